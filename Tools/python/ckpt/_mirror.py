"""A second copy of a store, elsewhere."""

from __future__ import annotations

import ctypes
import dataclasses
import os
from typing import Optional, Union

from . import _native
from ._retention import Retention


@dataclasses.dataclass(frozen=True)
class Mirror:
    """A second copy of a store, which a checkpointer of the store keeps up to date.

    Of several processes, rank 0 sends, and all must be given the mirror to restore from it.

    Attributes:
        place: a directory, or "s3://BUCKET/PREFIX": a mirror of the same store, or nothing yet.
        keep: what the mirror keeps, whatever the store itself keeps; None for all.
        bytes_per_second: maximum speed; 0 for none.
    """

    place: Union[str, os.PathLike[str]]
    keep: Optional[Retention] = None
    bytes_per_second: int = 0

    def _structure(self) -> _native.Mirror:
        mirror = _native.sized(_native.Mirror)
        mirror.place = _native.text(os.fspath(self.place))
        if self.keep is not None:
            mirror.rules = ctypes.pointer(self.keep._structure())
        mirror.bytes_per_second = self.bytes_per_second
        return mirror
