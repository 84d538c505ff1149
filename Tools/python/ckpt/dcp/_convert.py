"""Converting files of PyTorch to checkpoints of a store, and back. Each holds the state in memory."""

from __future__ import annotations

import os
from typing import Any, Optional, Union

import torch
from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict
from torch.distributed.checkpoint.state_dict_saver import _save_state_dict
from torch.distributed.checkpoint.storage import StorageReader, StorageWriter

from ._reader import CkptReader
from ._target import CheckpointId
from ._writer import CkptWriter

Path = Union[str, "os.PathLike[str]"]


def _load(reader: StorageReader) -> dict[str, Any]:
    """The whole state, nested as it was saved."""
    state: dict[str, Any] = {}
    planner = _EmptyStateDictLoadPlanner()  # type: ignore[no-untyped-call]
    _load_state_dict(state, storage_reader=reader, planner=planner, no_dist=True)
    return state


def _save(state: dict[str, Any], writer: StorageWriter) -> None:
    _save_state_dict(state, storage_writer=writer, no_dist=True)


def _save_in_store(state: dict[str, Any], checkpoint: CheckpointId, options: dict[str, Any]) -> None:
    writer = CkptWriter(checkpoint, **options)
    try:
        _save(state, writer)
    finally:
        writer.close()


def dcp_to_ckpt(directory: Path, checkpoint: CheckpointId, **options: Any) -> None:
    """Saves a directory of `torch.distributed.checkpoint` in a store.

    PyTorch unpickles the metadata of the directory, which can run any code: convert only what you
    trust. `ckpt import` reads such directories without that.

    Args:
        directory: the directory, with its file `.metadata`.
        checkpoint: the store, or STORE/step-N.
        options: those of `CkptWriter`.
    """
    _save_in_store(_load(FileSystemReader(directory)), checkpoint, options)


def ckpt_to_dcp(checkpoint: CheckpointId, directory: Path) -> None:
    """Writes a checkpoint as a directory of `torch.distributed.checkpoint`.

    Args:
        checkpoint: the store, of which the newest is taken, or STORE/step-N.
    """
    _save(_load(CkptReader(checkpoint)), FileSystemWriter(directory))


def torch_save_to_ckpt(
    file: Path, checkpoint: CheckpointId, *, allow_pickle: bool = False, **options: Any
) -> None:
    """Saves a file of `torch.save` in a store.

    Args:
        file: the file; it holds a dict.
        checkpoint: the store, or STORE/step-N.
        allow_pickle: whether objects are unpickled that `torch.load(weights_only=True)` refuses.
            They can run any code.
        options: those of `CkptWriter`.
    """
    state = torch.load(file, map_location="cpu", weights_only=not allow_pickle)
    if not isinstance(state, dict):
        raise TypeError(f"{os.fspath(file)} holds a {type(state).__name__}, not a dict of state")
    _save_in_store(state, checkpoint, options)


def ckpt_to_torch_save(checkpoint: CheckpointId, file: Path, key: Optional[str] = None) -> None:
    """Writes a checkpoint as a file of `torch.save`.

    Args:
        checkpoint: the store, of which the newest is taken, or STORE/step-N.
        key: writes this entry of the state alone, such as "model".
    """
    state = _load(CkptReader(checkpoint))
    if key is not None and key not in state:
        raise KeyError(f"the checkpoint has no {key!r}; it has {', '.join(map(repr, state))}")
    torch.save(state if key is None else state[key], file)
