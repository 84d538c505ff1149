"""TorchSnapshot: the call copies the state, a thread writes."""

from __future__ import annotations

from typing import Any

import torch
from torchsnapshot import Snapshot, StateDict

from .base import Peer


class TorchSnapshot(Peer):
    """`Snapshot.async_take`; one save is in flight."""

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        self._last: Any = None

    def _state(self) -> Any:
        return {"state": StateDict(**self.state.tensors)}

    def save(self, step: int) -> Any:
        if self._last is not None:
            self._last.wait()
        self._last = Snapshot.async_take(self.path(step), self._state())
        return self._last

    def wait(self, handle: Any) -> None:
        handle.wait()

    def restore(self, step: int) -> None:
        found = self._state()
        Snapshot(self.path(step)).restore(found)
        with torch.no_grad():
            for name, tensor in self.state.tensors.items():
                if found["state"][name].data_ptr() != tensor.data_ptr():
                    tensor.copy_(found["state"][name])

    def restore_one(self, step: int, name: str) -> Any:
        tensor = torch.empty_like(self.state.tensors[name])
        return Snapshot(self.path(step)).read_object(f"0/state/{name}", obj_out=tensor)
