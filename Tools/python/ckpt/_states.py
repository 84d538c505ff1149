"""Whole states of other frameworks: dicts of tensors and plain values, saved in the background.

The state comes back as it was, with its keys and containers. Tensors become tensors of the
checkpoint, all else one JSON object.
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional, Union

import torch

from . import _values
from ._checkpointer import Item, Save, _Encoded, _tensor_role
from ._memory import lent
from ._store import Checkpoint
from .dcp import _staging
from .dcp._saver import Saver

STATE = "state"


def save_state(
    store: Union[str, os.PathLike[str]], step: int, state: Mapping[str, Any], metrics: Optional[Mapping[str, float]] = None,
    **options: Any,
) -> tuple[Saver, Save]:
    """Asks for a checkpoint of a state as it is now, and returns at once.

    Parameters and optimizer state are lent, as by `ckpt.dcp.CkptWriter.stage`; all else is copied.

    Returns:
        The saver, which has to be kept as long as it is to be used again, and the save.
    """
    staged = _staging.stage(dict(state))
    loan = staged._loan
    items: list[Item] = []
    names: set[str] = set()

    def lift(path: str, tensor: Any) -> str:
        # A key may look like a path.
        name = path if path not in names else f"{path}#{len(names)}"
        names.add(name)
        plain = tensor.detach()
        memory = lent(plain if plain.device.type == "cpu" else plain.to("cpu"), name)
        assert memory is not None
        items.append(Item(name, memory, _tensor_role(path.partition(".")[2]), ""))
        return name

    with loan.lock:
        values = {STATE: _Encoded(_values.encode(dict(staged), STATE, lift))}
        saver = Saver.of(os.fspath(store), options)
        save = saver.submit(step, items, values, metrics)
        loan.submitted(saver)
    return saver, save


def load_state(checkpoint: Checkpoint, map_location: Any = None) -> dict[str, Any]:
    """The state of a checkpoint.

    Args:
        map_location: the device for tensors; None means the CPU.
    """
    tensors = {
        name: torch.empty(tensor.shape, dtype=getattr(torch, tensor.type.torch or "uint8"))
        for name, tensor in checkpoint.items()}
    checkpoint.read_into(tensors)
    if map_location is not None:
        tensors = {name: tensor.to(map_location) for name, tensor in tensors.items()}
    state: dict[str, Any] = _values.decode(checkpoint._object_bytes(STATE), tensors.__getitem__)
    return state
