"""Staging without a copy: `async_save` lends the state, and steps of optimizers wait for its capture.

A tensor is lent if only an optimizer changes it: it is a parameter, or state, of an optimizer that
has made a step. Before its next step a hook waits until the bytes are captured. All other tensors
and values (buffers, averaged weights, random states) are copied when they are staged.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import threading
import weakref
from typing import Any, Iterator, Optional

import torch
from torch.distributed.tensor import DTensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from .._checkpointer import Checkpointer
from ..errors import MisuseError

#: Speed of a copy into new memory, in bytes per second, at least. A step waits for as long as a copy
#: would take; then it copies.
_COPY_SPEED = 2e9
_PATIENCE_SECONDS = 0.05

#: Optimizers that have made a step, and tensors that are not captured yet.
_optimizers: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()
_loans: list[Loan] = []
#: The loan of the state that a thread is saving.
_current = threading.local()


class Loan:
    """Tensors that a staged state shares with the trainer, until they are captured.

    Ends in one of two ways: the tensors are submitted to a checkpointer, whose fence protects them
    from then on; or they are copied, because the next step cannot wait any longer.
    """

    def __init__(self) -> None:
        #: Held while tensors are submitted or copied.
        self.lock = threading.Lock()
        self._has_ended = threading.Event()
        self._tensors: list[torch.Tensor] = []
        self._saver: Optional[Checkpointer] = None
        self._bytes = 0

    def lend(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor with the same memory, which `copy` can give memory of its own."""
        alias = tensor.detach()
        self._tensors.append(alias)
        self._bytes += alias.nbytes
        return alias

    def submitted(self, saver: Checkpointer) -> None:
        """The tensors that are to be saved belong to a save of this checkpointer now."""
        self._saver = saver
        self._has_ended.set()

    def copy(self) -> None:
        """Gives the tensors memory of their own, unless they are submitted."""
        with self.lock:
            if not self._has_ended.is_set():
                for alias in self._tensors:
                    alias.data = alias.clone(memory_format=torch.preserve_format)
                self._has_ended.set()

    def settle(self) -> None:
        """Waits until the trainer may change the tensors."""
        if not self._has_ended.wait(_PATIENCE_SECONDS + self._bytes / _COPY_SPEED):
            self.copy()
        if self._saver is not None:
            # A checkpointer that is closed has ended every save.
            with contextlib.suppress(MisuseError):
                self._saver.fence().end()
        self.end()

    def abandon(self) -> None:
        """The tensors will not be saved."""
        self._has_ended.set()
        self.end()

    def end(self) -> None:
        """The tensors are captured, or not needed any more."""
        with contextlib.suppress(ValueError):
            _loans.remove(self)


class Staged(dict[str, Any]):
    """A state that lends tensors. Whoever saves it in this process finds the loan; for another
    process it becomes a dict with copies."""

    def __init__(self, state: dict[str, Any], loan: Loan) -> None:
        super().__init__(state)
        self._loan = loan

    def items(self) -> Any:
        # `dcp.save` begins with this call, in the thread that saves.
        _current.loan = self._loan
        return super().items()

    def __reduce__(self) -> Any:
        self._loan.copy()
        self._loan.end()
        return dict, (list(super().items()),)


def take_loan() -> Optional[Loan]:
    """The loan of the state that this thread saves; once."""
    loan: Optional[Loan] = getattr(_current, "loan", None)
    _current.loan = None
    return loan


def stage(state: dict[str, Any]) -> Staged:
    """A state that stays as it is now, whatever the trainer does."""
    loan = Loan()
    owned = set(_owned_storages())
    staged = {key: _staged(value, loan, owned) for key, value in state.items()}
    if loan._tensors:
        _loans.append(loan)
    return Staged(staged, loan)


def settle() -> None:
    """Waits until everything that is lent is captured."""
    for loan in list(_loans):
        loan.settle()


def _before_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    _optimizers.add(optimizer)
    if _loans:
        settle()


register_optimizer_step_pre_hook(_before_step)


def _owned_storages() -> Iterator[int]:
    """The memory that only optimizers change."""
    for optimizer in list(_optimizers):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                yield _storage(parameter)
        for state in optimizer.state.values():
            for value in state.values() if isinstance(state, dict) else ():
                if isinstance(value, torch.Tensor):
                    yield _storage(value)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    local: torch.Tensor = tensor._local_tensor if isinstance(tensor, DTensor) else tensor
    return local


def _storage(tensor: torch.Tensor) -> int:
    """The address of the memory of a plain tensor on the CPU; otherwise 0."""
    local = _local(tensor)
    if type(local) not in (torch.Tensor, torch.nn.Parameter) or local.device.type != "cpu":
        return 0
    return local.untyped_storage().data_ptr() if local.layout is torch.strided else 0


def _staged(value: Any, loan: Loan, owned: set[int]) -> Any:
    kind = type(value)
    if isinstance(value, torch.Tensor):
        return _staged_tensor(value, loan, owned)
    if kind in (dict, collections.OrderedDict):
        return {key: _staged(item, loan, owned) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(_staged(item, loan, owned) for item in value)
    if value is None or kind in (bool, int, float, str, bytes):
        return value
    return copy.deepcopy(value)


def _staged_tensor(tensor: torch.Tensor, loan: Loan, owned: set[int]) -> torch.Tensor:
    if isinstance(tensor, DTensor):
        local = _staged_tensor(_local(tensor), loan, owned)
        return DTensor(local, tensor._spec, requires_grad=False)
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return copy.deepcopy(tensor)
    storage = _storage(tensor)
    if storage and storage in owned:
        return loan.lend(tensor)
    plain = tensor.detach()
    return plain.clone() if plain.device.type == "cpu" else plain.to("cpu")
