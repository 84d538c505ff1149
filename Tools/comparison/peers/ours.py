"""ckpt, through its Python package."""

from __future__ import annotations

import logging
from typing import Any, ContextManager

from .base import Peer


class Direct(Peer):
    """`ckpt.torch.Checkpointer` with its defaults; keeps all checkpoints."""

    fsyncs = True
    options: dict[str, Any] = {}

    def _checkpointer(self) -> Any:
        from ckpt.torch import Checkpointer

        # The same tensors again: the harness asks for that only when it saves without an update between.
        logging.getLogger("ckpt").setLevel(logging.ERROR)
        return Checkpointer(
            self.directory, model=self.state.model, optimizer=self.state.optimizer, rng=False, fence_on_step=False,
            **self.options)

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        self._saver = self._checkpointer()

    def save(self, step: int) -> Any:
        return self._saver.save(step)

    def fence(self) -> ContextManager[Any]:
        fence: ContextManager[Any] = self._saver.fence()
        return fence

    def wait(self, handle: Any) -> None:
        handle.wait("committed")

    def path(self, step: int) -> str:
        return self.directory

    def open(self, state: Any, directory: str) -> None:
        super().open(state, directory)
        self._saver = None
        # The library is loaded here, not in the first restore.
        import ckpt.torch  # noqa: F401

    def restore(self, step: int) -> None:
        import ckpt

        with ckpt.Store(self.directory) as store, store.open(step) as checkpoint:
            checkpoint.read_into(self.state.tensors)

    def restore_one(self, step: int, name: str) -> Any:
        import ckpt

        with ckpt.Store(self.directory) as store, store.open(step) as checkpoint:
            return checkpoint[name].torch()

    def close(self) -> None:
        if self._saver is not None:
            self._saver.close()


class Raw(Direct):
    """The same without compression."""

    options = {"compression": "none"}


class OverDCP(Peer):
    """`torch.distributed.checkpoint` with our writer and reader."""

    fsyncs = True

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        from ckpt.dcp import CkptWriter

        self._writer: Any = CkptWriter(directory)
        self._last: Any = None

    def save(self, step: int) -> Any:
        import torch.distributed.checkpoint as dcp

        if self._last is not None:
            self._last.result()
        self._last = dcp.async_save(dict(self.state.tensors), storage_writer=self._writer, checkpoint_id=str(step))
        return self._last

    def fence(self) -> ContextManager[Any]:
        # A step of an optimizer waits for the same; here the wait is timed.
        self._writer.synchronize_staging()
        return super().fence()

    def wait(self, handle: Any) -> None:
        handle.result()

    def path(self, step: int) -> str:
        return self.directory

    def open(self, state: Any, directory: str) -> None:
        super().open(state, directory)
        self._writer = None
        import torch.distributed.checkpoint  # noqa: F401
        import ckpt.dcp  # noqa: F401

    def restore(self, step: int) -> None:
        import torch.distributed.checkpoint as dcp
        from ckpt.dcp import CkptReader

        dcp.load(dict(self.state.tensors), storage_reader=CkptReader(self.directory), checkpoint_id=str(step))

    def restore_one(self, step: int, name: str) -> Any:
        import torch
        import torch.distributed.checkpoint as dcp
        from ckpt.dcp import CkptReader

        tensor = torch.empty_like(self.state.tensors[name])
        dcp.load({name: tensor}, storage_reader=CkptReader(self.directory), checkpoint_id=str(step))
        return tensor

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
