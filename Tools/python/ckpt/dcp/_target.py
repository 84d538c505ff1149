"""What a checkpoint id names."""

from __future__ import annotations

import os
import re
import time
from typing import Optional, Union

from .._store import Store
from ..errors import MisuseError, NotAStoreError, NotFoundError, TimedOutError

CheckpointId = Union[str, int, "os.PathLike[str]"]

_STEP = re.compile(r"(?:(?:global_?)?step|checkpoint|ckpt|epoch|iter(?:ation)?)?[-_=]?(\d{1,18})", re.IGNORECASE)
#: Maximum time for which a rank waits until the coordinator has made the store.
_STORE_SECONDS = 60.0


class Target:
    """What a checkpoint id names: a store, and a step in it or None."""

    def __init__(self, store: str, step: Optional[int]) -> None:
        self.store, self.step = store, step

    @classmethod
    def of(cls, checkpoint_id: CheckpointId, base: Optional[Target]) -> Target:
        """What an id means, if `base` was meant before."""
        if isinstance(checkpoint_id, int):
            if base is None:
                raise MisuseError(
                    "a step alone does not identify a checkpoint: give the path of the store too")
            return cls(base.store, checkpoint_id)
        path = os.fspath(checkpoint_id)
        if "://" in path:
            raise MisuseError(
                f"{path} is a URL, which is not supported here: give the path of a directory")
        directory, name = os.path.split(path.rstrip("/"))
        found = _STEP.fullmatch(name)
        if found is None or os.path.exists(os.path.join(path, "store.json")):
            return cls(path, None)
        if directory:
            return cls(directory, int(found[1]))
        return cls(base.store if base else ".", int(found[1]))

    def exists(self) -> bool:
        """Whether there is a store. Lists the directory, since NFS remembers that a file is missing."""
        try:
            return "store.json" in os.listdir(self.store)
        except OSError:
            return False

    def wait_until_made(self) -> None:
        """Waits until the coordinator has made the store."""
        end = time.monotonic() + _STORE_SECONDS
        while not self.exists():
            if time.monotonic() > end:
                raise TimedOutError(
                    f"there is no store at {self.store} after {_STORE_SECONDS} s. All ranks need the same file system")
            time.sleep(0.01)

    def steps(self) -> list[int]:
        """The steps that the store has; none if there is no store yet."""
        try:
            with Store(self.store) as store:
                return store.all_steps()
        except (NotFoundError, NotAStoreError):
            return []


def rank_path(store: str, rank: int) -> str:
    """The store of a rank's parts."""
    return os.path.join(store, "ranks", str(rank))
