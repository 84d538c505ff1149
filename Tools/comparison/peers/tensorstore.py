"""TensorStore: one zarr3 array per tensor, all in one OCDBT database per save."""

from __future__ import annotations

import os
from typing import Any, ContextManager

import ml_dtypes
import numpy
import tensorstore
import torch

from .base import Peer


class TensorStore(Peer):
    """Writes that return at once; `copy` is done when the memory may change, `commit` when it is stored."""

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        self._arrays = {name: _array(tensor) for name, tensor in state.tensors.items()}
        self._writes: list[Any] = []

    def _spec(self, step: int, name: str) -> dict[str, Any]:
        base = f"file://{os.path.abspath(self.path(step))}/"
        return {"driver": "zarr3", "kvstore": {"driver": "ocdbt", "base": base, "path": name + "/"}}

    def save(self, step: int) -> Any:
        for write in self._writes:
            write.commit.result()
        context = tensorstore.Context()
        transaction = tensorstore.Transaction()
        opened = [
            (tensorstore.open(
                self._spec(step, name), create=True, dtype=array.dtype, shape=array.shape, context=context,
                chunk_layout=tensorstore.ChunkLayout(chunk_shape=array.shape), transaction=transaction), array)
            for name, array in self._arrays.items()]
        self._writes = [store.result().write(array) for store, array in opened]
        return transaction, transaction.commit_async()

    def fence(self) -> ContextManager[Any]:
        for write in self._writes:
            write.copy.result()
        return super().fence()

    def wait(self, handle: Any) -> None:
        handle[1].result()

    def restore(self, step: int) -> None:
        context = tensorstore.Context()
        opened = [
            (tensorstore.open(self._spec(step, name), open=True, context=context), _array(tensor))
            for name, tensor in self.state.tensors.items()]
        reads = [(store.result().read(), target) for store, target in opened]
        for read, target in reads:
            numpy.copyto(target, read.result())

    def restore_one(self, step: int, name: str) -> Any:
        return tensorstore.open(self._spec(step, name), open=True).result().read().result()


def _array(tensor: Any) -> Any:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()
