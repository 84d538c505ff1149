"""What was lent for the last save of a PyTorch loop."""

from __future__ import annotations

import operator
from typing import Any, Optional, Sequence

from ._checkpointer import Item


class LentPlan:
    """The tensors of a model or an optimizer in order, with the items under which they were lent for the last save.

    Args:
        keys: what the tensors are known by.
        tensors: the tensors, or other values.
        items: the item of each; None for one that is not lent itself.
        owners: objects that decide about the names.
    """

    def __init__(
        self, keys: list[Any], tensors: list[Any], items: list[Optional[Item]], owners: Sequence[Any] = ()
    ) -> None:
        self.keys, self.tensors, self.items, self._owners = keys, tensors, items, owners
        #: True if every value is lent itself.
        self.lends_all = all(item is not None for item in items)
        self._lent = [
            (tensor, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
            for tensor, item in zip(tensors, items) if item is not None]

    def fits(self, keys: list[Any], tensors: list[Any], owners: Sequence[Any] = ()) -> bool:
        """Whether these are the same tensors, at the same places."""
        return (
            _are(tensors, self.tensors) and _are(owners, self._owners) and keys == self.keys
            # Without a list of them: many new objects make Python look for garbage everywhere.
            and all(
                tensor.data_ptr() == address and tensor.shape == shape and tensor.stride() == strides
                and tensor.dtype is dtype for tensor, address, shape, strides, dtype in self._lent))


def _are(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether these are the same objects."""
    return len(some) == len(others) and all(map(operator.is_, some, others))
