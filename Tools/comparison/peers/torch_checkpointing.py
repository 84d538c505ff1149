"""torch_checkpointing: a thread stages into shared memory, another process writes."""

from __future__ import annotations

from typing import Any, ContextManager

import torch
from torch_checkpointing import CheckpointManager
from torch_checkpointing.config import AsyncCheckpointSaverConfig
from torch_checkpointing.staging import CheckpointStagerConfig
from torch_checkpointing.storage.filesystem import LocalFileSystemStorageConfig

from .base import Peer


class TorchCheckpointing(Peer):
    """`CheckpointManager` as its documentation configures it for the CPU.

    O_DIRECT is off: with it, version 0.1.1 writes buffers that are not aligned, and every save fails.
    """

    def _manager(self) -> Any:
        return CheckpointManager(CheckpointManager.Config(
            save=AsyncCheckpointSaverConfig(staging_config=CheckpointStagerConfig(
                use_pinned_memory=False, use_shared_memory=True, use_async_staging=True,
                use_non_blocking_copy=False)),
            storage_config=LocalFileSystemStorageConfig(use_direct_io=False)))

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        self._saver = self._manager()

    def save(self, step: int) -> Any:
        return self._saver.save(self.path(step), {"state": dict(self.state.tensors)})

    def fence(self) -> ContextManager[Any]:
        lock: ContextManager[Any] = self._saver.lock()
        return lock

    def wait(self, handle: Any) -> None:
        handle.result()

    def open(self, state: Any, directory: str) -> None:
        super().open(state, directory)
        self._saver = self._manager()

    def restore(self, step: int) -> None:
        found = self._saver.load(self.path(step), into={"state": dict(self.state.tensors)})["state"]
        with torch.no_grad():
            for name, tensor in self.state.tensors.items():
                if found[name].data_ptr() != tensor.data_ptr():
                    tensor.copy_(found[name])

    def restore_one(self, step: int, name: str) -> Any:
        tensor = torch.zeros_like(self.state.tensors[name])
        return self._saver.load(self.path(step), into={"state": {name: tensor}})["state"][name]

    def close(self) -> None:
        self._saver.close()
