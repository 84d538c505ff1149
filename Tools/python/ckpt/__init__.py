"""Asynchronous checkpoints for training loops.

    import ckpt

    with ckpt.Checkpointer("runs/first", state) as saver:
        saver.resume()
        ...
        with saver.fence():
            update()
        saver.save(step, {"loss": loss})

    with ckpt.Store("runs/first") as store:
        weight = store.open("latest")["layer.weight"].numpy()

For PyTorch see `ckpt.torch`.
"""

from __future__ import annotations

from ._checkpointer import Checkpointer, Fence, RestoreReport, Save, SaveReport, Stall
from ._mirror import Mirror
from ._native import version as _version
from ._ranks import OfRank, Ranks, Shard
from ._retention import PruneReport, Retention
from ._store import Checkpoint, Store, StoredTensor, Summary
from .errors import (
    BusyError, CancelledError, CheckpointError, DamagedError, DeviceError, ExistsError, MismatchError, MisuseError,
    NoSpaceError, NotAStoreError, NotFoundError, OutOfMemoryError, ProviderError, ReadOnlyError, SkippedError,
    StorageError, TimedOutError, UnsupportedError,
)

__version__ = _version()

__all__ = [
    "BusyError", "CancelledError", "Checkpoint", "CheckpointError", "Checkpointer", "DamagedError", "DeviceError",
    "ExistsError", "Fence", "Mirror", "MismatchError", "MisuseError", "NoSpaceError", "NotAStoreError", "NotFoundError",
    "OfRank", "OutOfMemoryError", "ProviderError", "PruneReport", "Ranks", "ReadOnlyError", "RestoreReport",
    "Retention", "Save", "SaveReport", "Shard", "SkippedError", "Stall", "StorageError", "Store", "StoredTensor", "Summary", "TimedOutError", "UnsupportedError",
]
