#!/usr/bin/env python3
"""Checks that many saves and restores leave memory and descriptors as they are: python memory.py [CALLS]

Makes CALLS (10,000) saves of about 1 MB, and a restore after every tenth, with new memory each time. Prints resident memory
and open descriptors, and ends with 1 if either grows after the first fifth.
"""

from __future__ import annotations

import array
import gc
import os
import sys
import tempfile
import time
from typing import Any

import ckpt

#: Resident memory may vary by this much between one tenth of the calls and another.
SLACK_BYTES = 8_000_000


class Numbers:
    """An array that needs no package."""

    def __init__(self, count: int, value: float) -> None:
        self.data = array.array("d", [value]) * count

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __dlpack__(self) -> Any:
        from ckpt._memory import BY_DLPACK, dlpack_capsule

        return dlpack_capsule(self.data.buffer_info()[0], BY_DLPACK[2, 64], (len(self.data),), self.data)


def resident() -> int:
    """Resident memory of this process, in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    samples = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ckpt-memory-") as directory:
        state = {"weights": Numbers(100_000, 0), "small": {str(i): Numbers(25, i) for i in range(100)}, "step": 0}
        with ckpt.Checkpointer(os.path.join(directory, "store"), state, keep_last=2) as saver:
            for step in range(1, calls + 1):
                state["weights"], state["step"] = Numbers(100_000, step), step
                save = saver.save(step, {"loss": 1 / step})
                if step % 10 == 0:
                    save.wait()
                    state["weights"].data[0] = -1
                    saver.restore("latest")
                    assert state["weights"].data[0] == step and state["step"] == step
                if step % max(calls // 10, 1) == 0:
                    gc.collect()
                    samples.append((resident(), len(os.listdir("/proc/self/fd"))))
                    print(f"{step} saves: {samples[-1][0] / 1e6:.1f} MB, {samples[-1][1]} descriptors", flush=True)
    print(f"{calls} saves in {time.monotonic() - began:.0f} s")
    first, rest = samples[1], samples[2:]
    is_flat = all(memory <= first[0] + SLACK_BYTES and files <= first[1] + 2 for memory, files in rest)
    print("flat" if is_flat else "GROWS")
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
