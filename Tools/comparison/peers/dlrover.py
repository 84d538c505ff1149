"""DLRover flash checkpoint: the call copies into shared memory, another process writes."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from typing import Any

# It names its sockets and its shared memory, so that no earlier process is met.
_RUN = os.environ["TORCHELASTIC_RUN_ID"] = f"ckpt-compare-{os.getpid()}"

import torch
from dlrover.python.common.constants import CheckpointConstant
from dlrover.python.common.multi_process import SOCKET_TMP_DIR
from dlrover.trainer.torch.flash_checkpoint.checkpointer import StorageType
from dlrover.trainer.torch.flash_checkpoint.ddp import DdpCheckpointer

from .base import Peer

_POLL_SECONDS = 0.002


class DLRover(Peer):
    """`DdpCheckpointer` with storage type DISK.

    A save that comes while the process still writes an earlier one is skipped. The tracker file
    names the last step that is complete.
    """

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        logging.disable(logging.WARNING)
        self._saver = DdpCheckpointer(directory)

    def save(self, step: int) -> Any:
        path = os.path.join(self.path(step), "rank_0.pt")
        self._saver.save_checkpoint(step, dict(self.state.tensors), path, storage_type=StorageType.DISK)
        return step if self._saver._engine.latest_step == step else None

    def wait(self, handle: Any) -> None:
        tracker = os.path.join(self.directory, CheckpointConstant.TRACER_FILE_NAME)
        while True:
            try:
                with open(tracker) as file:
                    if int(file.read() or 0) >= handle:
                        return
            except FileNotFoundError:
                pass
            time.sleep(_POLL_SECONDS)

    def path(self, step: int) -> str:
        return os.path.join(self.directory, str(step))

    def restore(self, step: int) -> None:
        found = self._load(step)
        with torch.no_grad():
            for name, tensor in self.state.tensors.items():
                tensor.copy_(found[name])

    def open(self, state: Any, directory: str) -> None:
        super().open(state, directory)
        logging.disable(logging.WARNING)
        self._saver = DdpCheckpointer(directory)

    def _load(self, step: int) -> Any:
        return self._saver.load_checkpoint(os.path.join(self.path(step), "rank_0.pt"))

    def restore_one(self, step: int, name: str) -> Any:
        return self._load(step)[name]

    def close(self) -> None:
        memory = self._saver._engine._shm_handler.shared_memory
        self._saver._engine.close()
        with contextlib.suppress(FileNotFoundError, AttributeError):
            memory.unlink()
        shutil.rmtree(os.path.join(SOCKET_TMP_DIR, _RUN), ignore_errors=True)
