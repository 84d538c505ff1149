"""What PyTorch itself offers."""

from __future__ import annotations

import os
from typing import Any, ContextManager

import torch
import torch.distributed.checkpoint as dcp

from .base import Peer


class TorchSave(Peer):
    """`torch.save` of a dict of tensors; `torch.load` maps the file, and the values are copied into the state."""

    def save(self, step: int) -> Any:
        torch.save(dict(self.state.tensors), self.path(step))
        return step

    def restore(self, step: int) -> None:
        found = torch.load(self.path(step), mmap=True, weights_only=True)
        with torch.no_grad():
            for name, tensor in self.state.tensors.items():
                tensor.copy_(found[name])

    def restore_one(self, step: int, name: str) -> Any:
        return torch.load(self.path(step), mmap=True, weights_only=True)[name].clone()


class DCPSave(Peer):
    """`dcp.save` over `FileSystemWriter`, which fsyncs the data, with as many threads as cores."""

    def _writer(self, step: int) -> Any:
        return dcp.FileSystemWriter(self.path(step), thread_count=os.cpu_count() or 1, sync_files=True)

    def save(self, step: int) -> Any:
        dcp.save(dict(self.state.tensors), storage_writer=self._writer(step))
        return step

    def restore(self, step: int) -> None:
        dcp.load(dict(self.state.tensors), storage_reader=dcp.FileSystemReader(self.path(step)))

    def restore_one(self, step: int, name: str) -> Any:
        tensor = torch.empty_like(self.state.tensors[name])
        dcp.load({name: tensor}, storage_reader=dcp.FileSystemReader(self.path(step)))
        return tensor


class DCPAsync(DCPSave):
    """`dcp.async_save` with its defaults: it copies the state, and returns. One save is in flight."""

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        self._last: Any = None

    def save(self, step: int) -> Any:
        if self._last is not None:
            self._last.result()
        self._last = dcp.async_save(dict(self.state.tensors), storage_writer=self._writer(step))
        return self._last

    def wait(self, handle: Any) -> None:
        handle.result()


class DCPAsyncStaged(DCPSave):
    """`dcp.async_save` whose stager copies in a thread into shared memory, which is kept for the next save."""

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

        self._stager: Any = DefaultStager(StagingOptions(
            use_pinned_memory=False, use_shared_memory=True, use_async_staging=True, use_non_blocking_copy=False))
        self._last: Any = None

    def save(self, step: int) -> Any:
        if self._last is not None:
            self._last.upload_completion.result()
        self._last = dcp.async_save(
            dict(self.state.tensors), storage_writer=self._writer(step), async_stager=self._stager)
        return self._last

    def fence(self) -> ContextManager[Any]:
        if self._last is not None:
            self._last.staging_completion.result()
        return super().fence()

    def wait(self, handle: Any) -> None:
        handle.upload_completion.result()

    def open(self, state: Any, directory: str) -> None:
        super().open(state, directory)
        self._stager = None

    def close(self) -> None:
        if self._stager is not None:
            self._stager.close()
