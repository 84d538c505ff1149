"""Floor: fio with as many bytes as the state has, in one sequential job. Its start counts."""

from __future__ import annotations

import subprocess
from typing import Any

from .base import Peer


class Fio(Peer):
    """Writes one file with O_DIRECT in blocks of 8 MiB, and fsyncs it at the end."""

    fsyncs = True

    def save(self, step: int) -> Any:
        blocks = max(1, round(self.state.nbytes / (8 << 20)))
        subprocess.run(
            ["fio", "--name=save", f"--filename={self.path(step)}", "--rw=write", "--bs=8M", f"--size={blocks * 8}M",
             "--ioengine=psync", "--direct=1", "--end_fsync=1", "--output-format=terse"],
            check=True, capture_output=True)
        return step
