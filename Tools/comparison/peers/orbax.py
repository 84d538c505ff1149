"""Orbax: arrays of numpy that share the memory of the state, written by TensorStore in threads."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import ml_dtypes
import numpy
import orbax.checkpoint as ocp
import torch

from .base import Peer


def arrays(state: Any) -> dict[str, Any]:
    """The tensors as arrays of numpy, without a copy."""
    return {name: _array(tensor) for name, tensor in state.tensors.items()}


def _array(tensor: Any) -> Any:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


class Orbax(Peer):
    """`AsyncCheckpointer` with `StandardCheckpointHandler` (OCDBT); waits for the save before."""

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        self._saver = ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler())

    def save(self, step: int) -> Any:
        self._saver.save(self.path(step), args=ocp.args.StandardSave(arrays(self.state)))
        return step

    def wait(self, handle: Any) -> None:
        self._saver.wait_until_finished()

    def open(self, state: Any, directory: str) -> None:
        super().open(state, directory)
        self._saver = ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler())

    def restore(self, step: int) -> None:
        targets = arrays(self.state)
        found = self._saver.restore(self.path(step), args=ocp.args.StandardRestore(targets))
        for name, target in targets.items():
            numpy.copyto(target, found[name])

    def restore_one(self, step: int, name: str) -> Any:
        target = {name: _array(self.state.tensors[name])}
        with ocp.PyTreeCheckpointer() as reader:
            found = reader.restore(self.path(step), args=ocp.args.PyTreeRestore(
                item=target, restore_args={name: ocp.RestoreArgs(restore_type=numpy.ndarray)}, partial_restore=True))
        return found[name]

    def close(self) -> None:
        self._saver.close()
