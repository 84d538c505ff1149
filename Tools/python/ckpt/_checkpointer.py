"""Saving and resuming the state of a training loop."""

from __future__ import annotations

import array
import concurrent.futures
import ctypes
import dataclasses
import functools
import logging
import math
import operator
import os
import re
import threading
import time
import weakref
from typing import Any, Callable, Mapping, MutableMapping, NamedTuple, Optional, Sequence, Union

from . import _native, _values
from ._dtypes import BY_NAME
from ._memory import Lent, held, lent
from ._mirror import Mirror
from ._ranks import RULES, Box, OfRank, Ranks, Shard
from ._retention import Pruner, Retention
from ._store import Reference, Store, Summary, _summary, reference_text
from .errors import CheckpointError, MismatchError, MisuseError, NotFoundError, TimedOutError

logger = logging.getLogger("ckpt")

PARAMETER, OPTIMIZER, BUFFER, OTHER = 0, 1, 2, 3
_OBJECT_ROLES = {"rng": 1, "data": 2, "dataloader": 2, "schedule": 3, "scheduler": 3, "optimizer": 4, "config": 5}
_COMPRESSIONS = {"auto": 0, "none": 1, "fast": 2, "balanced": 3, "max": 4}
_CAPTURES = {"fenced": 0, "checked": 1, "guarded": 2}
_BACKPRESSURES = {"block": 0, "skip": 1, "replace_pending": 2}
_TERMINATIONS = {"publish": 0, "stop": _native.STOP_AT_SIGTERM}
_STATES = {"captured": _native.CAPTURED, "durable": _native.DURABLE, "committed": _native.COMMITTED}

#: Maximum time in a call that waits: after it Python looks for signals such as that of Ctrl-C.
_SLICE_SECONDS = 0.1


class _Encoded(bytes):
    """A value that is encoded already."""


class _Raw(bytes):
    """A value that is kept as bytes, in an encoding of its own."""


class Item(NamedTuple):
    """A tensor of the state."""

    name: str
    memory: Lent
    role: int
    #: What is changed together; empty for the default group.
    group: str
    #: The part of the tensor that the memory has; None if it has the complete one.
    box: Optional[Box] = None


@dataclasses.dataclass(frozen=True)
class SaveReport:
    """The result of a committed save. Times are in seconds and count from the call of `save`."""

    step: int
    id: str
    logical_bytes: int
    stored_bytes: int
    new_bytes: int
    reused_bytes: int
    captured_seconds: float
    durable_seconds: float
    committed_seconds: float
    stall_seconds: float
    is_unchanged: bool


@dataclasses.dataclass(frozen=True)
class RestoreReport:
    """The result of a restore."""

    step: int
    id: str
    tensor_count: int
    tensor_bytes: int
    #: Number of names of tensors that only the state, and only the checkpoint, has.
    missing_count: int
    unused_count: int
    #: Number of newer checkpoints that were skipped because they are damaged.
    skipped_count: int
    #: The values that are not tensors, by name.
    objects: Mapping[str, Any] = dataclasses.field(repr=False)
    #: Number of values of this process that are those of rank 0, because another number of processes
    #: has saved the checkpoint.
    first_rank_count: int = 0
    #: Number of tensors that were converted to another type, and of finite elements that became infinite.
    converted_count: int = 0
    overflow_count: int = 0
    #: True if it was restored from the mirror of the store.
    is_from_mirror: bool = False


@dataclasses.dataclass(frozen=True)
class Stall:
    """Time in seconds for which training was blocked by saves."""

    submit: float
    fence: float
    disk: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.submit + self.fence + self.disk


class Save:
    """A requested save. It continues whether or not this object is kept."""

    def __init__(self, handle: ctypes.c_void_p, step: int) -> None:
        self.step = step
        self._handle = handle
        self._is_reported = False
        weakref.finalize(self, _native.quick.ckpt_ticket_close, handle)

    def wait(self, state: str = "committed", timeout: Optional[float] = None) -> None:
        """Waits until the save has reached a state: "captured", "durable" or "committed".

        Raises:
            TimedOutError: the timeout is over; the save continues.
            CheckpointError: the save has failed.
        """
        end = None if timeout is None else time.monotonic() + timeout
        number = _choice(_STATES, state)
        while True:
            left = _SLICE_SECONDS if end is None else min(_SLICE_SECONDS, end - time.monotonic())
            status = _native.library.ckpt_ticket_wait(self._handle, number, max(left, 0))
            if status == 0:
                return
            error = _native.last_error(status)
            if not isinstance(error, TimedOutError):
                self._is_reported = True
                raise error
            if end is not None and time.monotonic() >= end:
                raise TimedOutError(f"step {self.step} is not {state} after {timeout} s")

    def done(self) -> bool:
        """True if the save is committed or has failed."""
        reached = ctypes.c_uint32()
        status = _native.quick.ckpt_ticket_state(self._handle, ctypes.byref(reached))
        return status != 0 or reached.value == _native.COMMITTED

    def result(self, timeout: Optional[float] = None) -> SaveReport:
        """Waits until the save is committed, and returns its report."""
        self.wait("committed", timeout)
        report = _native.sized(_native.SaveReport)
        _native.check(_native.quick.ckpt_ticket_report(self._handle, ctypes.byref(report)))
        return SaveReport(
            report.step, report.id.decode(), report.logical_bytes, report.stored_bytes, report.new_bytes,
            report.reused_bytes, report.captured_seconds, report.durable_seconds, report.committed_seconds,
            report.stall_submit_seconds + report.stall_fence_seconds + report.stall_disk_seconds,
            bool(report.is_unchanged))

    def cancel(self) -> None:
        """Cancels the save, unless it is being committed already."""
        _native.check(_native.library.ckpt_ticket_cancel(self._handle))

    @property
    def captured(self) -> concurrent.futures.Future[None]:
        """Done when every byte has been copied out of the state."""
        return self._future("captured", lambda: None)

    @property
    def durable(self) -> concurrent.futures.Future[None]:
        """Done when every byte is on stable storage."""
        return self._future("durable", lambda: None)

    @property
    def committed(self) -> concurrent.futures.Future[SaveReport]:
        """Done when the checkpoint is published; its result is the report."""
        return self._future("committed", self.result)

    def _future(self, state: str, result: Callable[[], Any]) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()

        def watch() -> None:
            try:
                self.wait(state)
                future.set_result(result())
            except CheckpointError as error:
                future.set_exception(error)

        threading.Thread(target=watch, name=f"ckpt-{state}-{self.step}", daemon=True).start()
        return future

    def __repr__(self) -> str:
        return f"<save of step {self.step}>"


class Fence:
    """A fence that is held; ends with its `with` block, or by `end`."""

    __slots__ = ("_handle", "_group")

    def __init__(self, handle: ctypes.c_void_p, group: Optional[bytes]) -> None:
        self._handle, self._group = handle, group

    def end(self) -> None:
        """Ends the fence: the update is over."""
        _native.check(_native.quick.ckpt_fence_end(self._handle, self._group))

    def __enter__(self) -> Fence:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()


State = Union[Mapping[str, Any], Callable[[], Mapping[str, Any]]]


#: An array of numpy as it was last time, with its shape, strides, type and item. It is where it was while these are
#: the same.
_KnownArray = tuple[Any, tuple[int, ...], tuple[int, ...], Any, Item]


def flatten(
    state: Mapping[str, Any], prefix: str = "", known: Optional[dict[str, _KnownArray]] = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The leaves of nested mappings by dotted names: tensors, and all other values.

    Args:
        known: arrays as they were last time, by name; those that are found are added. A tensor that is
            still the same is its item.

    Raises:
        MisuseError: two leaves have the same name.
    """
    tensors: dict[str, Any] = {}
    values: dict[str, Any] = {}
    count = _flatten(state, prefix, known, tensors, values)
    if count != len(tensors) + len(values) or not tensors.keys().isdisjoint(values):
        raise MisuseError(f"two entries of the state have the name {_name_given_twice(state)!r}: a key is text, and dots join keys")
    return tensors, values


def _flatten(
    state: Mapping[str, Any], prefix: str, known: Optional[dict[str, _KnownArray]], tensors: dict[str, Any],
    values: dict[str, Any],
) -> int:
    """Adds the leaves of a mapping. Returns their number."""
    count = 0
    for key, value in state.items():
        name = f"{prefix}{key}"
        count += 1
        if known is not None and name in known:
            array, shape, strides, dtype, item = known[name]
            if value is array and value.shape == shape and value.strides == strides and value.dtype is dtype:
                tensors[name] = item
                continue
            del known[name]
        if isinstance(value, Mapping):
            count += _flatten(value, name + ".", known, tensors, values) - 1
        elif isinstance(value, Shard):
            tensors[name] = value
        elif (memory := lent(value, name)) is not None:
            tensors[name] = memory
            if known is not None and memory.owner is value and hasattr(value, "__array_interface__"):
                known[name] = (value, value.shape, value.strides, value.dtype, _item(name, memory))
        else:
            values[name] = value
    return count


def _name_given_twice(state: Mapping[str, Any], prefix: str = "", seen: Optional[set[str]] = None) -> Optional[str]:
    seen = set() if seen is None else seen
    for key, value in state.items():
        name = f"{prefix}{key}"
        found = _name_given_twice(value, name + ".", seen) if isinstance(value, Mapping) else name if name in seen else None
        if found is not None:
            return found
        seen.add(name)
    return None


def _close(handle: ctypes.c_void_p, held: dict[int, Any], mirror_seconds: float = 0) -> int:
    """Waits for the saves in flight, which keeps their memory until then, and for the mirror."""
    try:
        if mirror_seconds > 0:
            status = _native.library.ckpt_wait_until_mirrored(handle, mirror_seconds)
            _note_mirror(_native.last_error(status) if status else None)
        return int(_native.library.ckpt_checkpointer_close(handle))
    finally:
        held.clear()


def _note_mirror(error: Optional[CheckpointError]) -> None:
    # Misuse: there is no mirror, or another process sends to it.
    if error is not None and not isinstance(error, MisuseError):
        logger.warning("not everything is in the mirror: %s The next process that saves to the store sends the rest", error)


class Checkpointer:
    """Saves and restores the state of one training loop in one store.

        with ckpt.Checkpointer("runs/first", {"model": arrays, "rng": generator_state}) as saver:
            saver.resume()
            while step < 10_000:
                forward_backward()
                with saver.fence():
                    update()
                step += 1
                if step % 100 == 0:
                    saver.save(step, {"loss": loss})

    The state is a mapping, nested to any depth, or a function that returns one. Arrays of numpy,
    tensors of torch, and objects with `__dlpack__` or `__cuda_array_interface__` are lent: `save`
    returns before they are copied, and they may change only inside a fence. All other values are copied
    by `save`.

    Use it from one thread, that of the loop.

    Args:
        store: a store that is open for writing, or a path.
        state: the state.
        ranks: the processes that save together, if `store` is a path; each of them makes a checkpointer,
            and describes with `Shard` and `OfRank` what only it has. All save the same steps.
        run: name of the run; by default that of the store's directory.
        keep_last: number of checkpoints of the run to keep; None keeps all.
        keep_every, keep_seconds, keep_best: further rules of `Retention`. A checkpoint that no rule keeps is
            removed, in the background and at most once a minute.
        every: `save_if_due` saves every N steps.
        compression: "auto", "none", "fast", "balanced" or "max".
        capture: "fenced"; "checked" also finds tensors that change outside a fence; "guarded" needs
            no fences (Linux 6.4, and usually a privilege).
        backpressure: policy for saves that come faster than the disk: "block", "skip" or
            "replace_pending".
        arena_bytes: memory for copies; by default 128 MiB, and more while training would wait for the disk, up to an
            eighth of the free memory.
        workers: threads that copy and compress.
        bytes_per_second: limit of the disk bandwidth.
        exit_seconds: maximum time for which the end of the process waits for saves.
        termination_seconds: maximum time to finish saves after SIGTERM; None does not handle the signal.
        on_termination: "publish" finishes the saves in flight, and the signal then ends the process; "stop"
            asks the loop to end: `is_terminating` becomes true, and the loop saves and closes.
        deduplicate: whether chunks that training in this store has saved before are not written again.
        trace_path: a file for Perfetto, written by `close`.
        mirror: a second copy of the store, if `store` is a path of a directory: a `Mirror` or its place. Each
            checkpoint is sent there after it is committed, by a thread that gives way to all others.
        mirror_seconds: maximum time for which `close` waits for the mirror; 0 is 60 s.
        cuda_stream: the stream in which arrays on a GPU are changed, as the number of a `CUstream`; 0 is the
            legacy default stream. Copies follow the work that is in it when `save` is called.
    """

    def __init__(
        self, store: Union[Store, str, os.PathLike[str]], state: Optional[State] = None, *,
        ranks: Optional[Ranks] = None, run: Optional[str] = None,
        keep_last: Optional[int] = None, keep_every: Optional[int] = None, keep_seconds: Optional[float] = None,
        keep_best: Union[str, Sequence[str]] = (), every: int = 1, compression: str = "auto", capture: str = "fenced",
        backpressure: str = "block", arena_bytes: int = 0, chunk_bytes: int = 0, workers: int = 0,
        bytes_per_second: int = 0, exit_seconds: float = 0, termination_seconds: Optional[float] = None,
        on_termination: str = "publish", deduplicate: bool = True, trace_path: Optional[str] = None,
        mirror: Union[Mirror, str, os.PathLike[str], None] = None, mirror_seconds: float = 0, cuda_stream: int = 0,
    ) -> None:
        if every < 1 or (keep_last is not None and keep_last < 1):
            raise ValueError("every and keep_last must be at least 1")
        if isinstance(state, Mapping):
            # What cannot be saved is told here, and not after hours.
            for name, value in flatten(state)[1].items():
                self._encode(name, value.value if isinstance(value, OfRank) else value)
        rules = Retention(keep_last, keep_every, keep_seconds, keep_best)
        #: The engine itself keeps the newest; all else needs the metrics and times of all checkpoints.
        has_rules = keep_every is not None or keep_seconds is not None or len(keep_best) > 0
        options = _native.sized(_native.Options)
        options.run, options.trace_path = _native.text(run), _native.text(trace_path)
        options.arena_bytes, options.chunk_bytes, options.workers = arena_bytes, chunk_bytes, workers
        options.bytes_per_second, options.keep_last = bytes_per_second, 0 if has_rules else keep_last or 0
        options.exit_seconds, options.termination_seconds = exit_seconds, termination_seconds or 0
        # Waited for in `close`, which looks for signals meanwhile, and tells what is left.
        options.mirror_seconds = _SLICE_SECONDS
        options.compression, options.capture = _choice(_COMPRESSIONS, compression), _choice(_CAPTURES, capture)
        options.backpressure = _choice(_BACKPRESSURES, backpressure)
        options.flags = _native.QUIET | (0 if deduplicate else 1) | _choice(_TERMINATIONS, on_termination)
        if isinstance(store, Store) and (ranks is not None or mirror is not None):
            raise ValueError("give ranks and mirror to the store, or give its path and them to the checkpointer")
        self.store = store if isinstance(store, Store) else Store(store, "w", ranks=ranks, mirror=mirror)
        self._owns_store = store is not self.store
        self.every = every
        self._state = state
        self._pid = os.getpid()
        try:
            self._handle = _native.handle(
                _native.library.ckpt_checkpointer_open, self.store._handle, ctypes.byref(options))
        except CheckpointError:
            if self._owns_store:
                self.store.close()
            raise
        self._cuda_stream = cuda_stream
        #: Numbers of GPUs in descriptions, by their number in CUDA and the stream.
        self._devices: dict[tuple[int, int], int] = {}
        #: The owners of lent memory, by the number of their description.
        self._held: dict[int, Any] = {}
        self._mirror_seconds = (mirror_seconds or 60) if self.store._has_mirror else 0
        self._finalizer = weakref.finalize(self, _close, self._handle, self._held, self._mirror_seconds)
        #: What was described last: the items, and of each all but the address, the address, and what keeps
        #: its memory.
        self._items_sent: list[Item] = []
        self._layout: Optional[list[Any]] = None
        self._addresses: list[int] = []
        self._owners: list[Any] = []
        #: Arrays of the state as they were last time.
        self._arrays: dict[str, _KnownArray] = {}
        self._sent: dict[str, bytes] = {}
        self._last: Optional[Save] = None
        self._has_warned = False
        #: Bytes written, and to write, of the last save, by its step.
        self._written: dict[int, tuple[int, int]] = {}
        is_first = self._ranks is None or self._ranks.rank == 0
        self._pruner = Pruner(self.store, rules) if has_rules and is_first else None

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise MisuseError("the checkpointer is closed")

    # ------------------------------------------------------------------ what subclasses replace

    def _collect(self) -> tuple[list[Item], dict[str, Any]]:
        """The tensors and values of the state as it is now."""
        state = self._state() if callable(self._state) else self._state or {}
        tensors, values = flatten(state, known=self._arrays)
        if len(self._arrays) > len(tensors):
            self._arrays = {name: known for name, known in self._arrays.items() if name in tensors}
        return [tensor if type(tensor) is Item else _item(name, tensor) for name, tensor in tensors.items()], values

    def _install(self, values: Mapping[str, Any]) -> None:
        """Puts restored values back into the state, where it has their names."""
        state = self._state() if callable(self._state) else self._state or {}
        for name, value in values.items():
            _put(state, name, value)

    def _lifted(self, name: str) -> Any:
        """A restored tensor that a value refers to."""
        raise MisuseError(f"a value of the checkpoint refers to the tensor {name!r}: restore it with ckpt.torch")

    def _encode(self, name: str, value: Any) -> bytes:
        """A value as it is stored."""
        return _values.encode(value, name)

    def _targets(self, reference: Callable[[], bytes]) -> list[Item]:
        """The memory to restore into.

        Args:
            reference: names the checkpoint. Raises NotFoundError if the run has none.
        """
        # Whether they may be written to is asked again.
        self._arrays = {}
        return self._collect()[0]

    # ------------------------------------------------------------------ saving

    def save(self, step: int, metrics: Optional[Mapping[str, float]] = None) -> Save:
        """Requests a checkpoint of the state as it is now, and returns immediately.

        Args:
            step: number of updates made so far; unique in the run.
            metrics: numbers to choose checkpoints by, such as the loss.
        """
        self._check_open()
        step = operator.index(step)
        if not 0 <= step < 2**63:
            raise ValueError(f"step is {step}, not from 0 to 2**63 - 1")
        items, values = self._collect()
        if not items and not self._has_warned:
            logger.warning("step %d has no tensors: was the state given to the checkpointer?", step)
            self._has_warned = True
        self._send(items, values)
        pairs = [_native.Metric(_native.text(name), _number(value)) for name, value in (metrics or {}).items()]
        entries = (_native.Metric * len(pairs))(*pairs)
        handle = _native.handle(_native.library.ckpt_save, self._handle, step, entries, len(pairs))
        self._last = Save(handle, step)
        self._written = {step: (0, 0)}
        if self._pruner is not None:
            self._pruner.after(functools.partial(self._wait_quietly, self._last))
        self._release()
        self._log_events()
        return self._last

    def is_due(self, step: int) -> bool:
        """True if a step is a multiple of `every`."""
        return step % self.every == 0

    def save_if_due(self, step: int, metrics: Optional[Mapping[str, float]] = None) -> Optional[Save]:
        """Saves if the step is a multiple of `every`."""
        return self.save(step, metrics) if self.is_due(step) else None

    #: Of the last restore, how many values of this process are those of rank 0.
    _first_rank_count = 0

    def _send(self, items: list[Item], values: Mapping[str, Any]) -> None:
        """Describes the state, as far as it has changed since the last time."""
        if self._layout is not None and len(items) == len(self._items_sent):
            # Usually nearly all are those of the last time: only the others are looked at.
            changed = [index for index, (item, known) in enumerate(zip(items, self._items_sent)) if item is not known]
            if self._devices:
                # The stream of a GPU may be another one.
                changed += [index for index, item in enumerate(items) if item.memory.gpu is not None]
            layout, addresses, owners = self._layout.copy(), self._addresses.copy(), self._owners.copy()
        else:
            changed = list(range(len(items)))
            layout, addresses, owners = [None] * len(items), [0] * len(items), [None] * len(items)
        for index in changed:
            item = items[index]
            device = 0 if item.memory.gpu is None else self._device(item.memory.gpu)
            layout[index] = (item.name, item.memory[1:4], item.role, item.group, item.box, device)
            addresses[index], owners[index] = item.memory.address, held(item.memory.owner)
        number = ctypes.c_uint64()
        if layout != self._layout:
            fields = array.array("q")
            names = bytearray()
            for item, described in zip(items, layout):
                memory, name, group = item.memory, item.name.encode(), item.group.encode()
                device = described[-1]
                follows = (memory.strides is not None) + 2 * (item.box is not None) + 4 * (device != 0)
                fields.extend((
                    memory.address, memory.type.number, item.role, len(name), len(group), follows,
                    len(memory.shape), *memory.shape, *(memory.strides or ())))
                if item.box is not None:
                    shape, offset, holders = item.box
                    if not len(shape) == len(offset) == len(memory.shape):
                        raise ValueError(
                            f"shard {item.name!r} has {len(memory.shape)} dimensions, its shape {len(shape)}, and "
                            f"its offset {len(offset)}")
                    fields.extend((*shape, *offset, len(holders), *holders))
                if device != 0:
                    fields.append(device)
                names += name + group
            start, count = fields.buffer_info()
            _native.check(
                _native.library.ckpt_describe_packed(
                    self._handle, start, count, bytes(names), len(names), len(items), ctypes.byref(number)))
            self._layout = layout
        elif addresses != self._addresses:
            pointers = array.array("Q", addresses)
            _native.check(
                _native.library.ckpt_set_pointers(
                    self._handle, pointers.buffer_info()[0], len(addresses), ctypes.byref(number)))
        self._items_sent, self._addresses, self._owners = items, addresses, owners
        if number.value:
            self._held[number.value] = owners
        self._send_values(values)

    def _device(self, gpu: int) -> int:
        """The number in a description of a GPU, whose copies follow the work in its stream."""
        key = (gpu, self._stream(gpu))
        if key not in self._devices:
            number = ctypes.c_uint32()
            _native.check(_native.library.ckpt_cuda_device(self._handle, *key, ctypes.byref(number)))
            self._devices[key] = number.value
        return self._devices[key]

    def _stream(self, gpu: int) -> int:
        """The stream in which tensors on a GPU are changed, as the number of a `CUstream`."""
        return self._cuda_stream

    def _send_values(self, values: Mapping[str, Any]) -> None:
        for name in [name for name in self._sent if name not in values]:
            _native.check(_native.library.ckpt_remove_object(self._handle, _native.text(name)))
            del self._sent[name]
        for name, value in values.items():
            rule = None
            # One that saves alone keeps the names that it has always had.
            if isinstance(value, OfRank):
                rule = RULES[value.on_another_world] if self._ranks is not None else None
                value = value.value
            data = value if isinstance(value, (_Encoded, _Raw)) else self._encode(name, value)
            if self._sent.get(name) == data:
                continue
            encoding = _native.BYTES if isinstance(data, _Raw) else _native.JSON
            arguments = (self._handle, _native.text(name), _object_role(name), encoding, data, len(data))
            if rule is None:
                _native.check(_native.library.ckpt_set_object(*arguments))
            else:
                _native.check(_native.library.ckpt_set_rank_object(*arguments, rule))
            self._sent[name] = data

    @property
    def _ranks(self) -> Optional[Ranks]:
        """The processes that save together; None if this one saves alone."""
        ranks = self.store.ranks
        return ranks if ranks is not None and ranks.world_size > 1 else None

    def _release(self) -> None:
        """Drops the references to memory that no save reads any more."""
        if len(self._held) > 1:
            oldest = ctypes.c_uint64()
            _native.check(_native.quick.ckpt_oldest_lent(self._handle, ctypes.byref(oldest)))
            for number in [number for number in self._held if number < oldest.value]:
                del self._held[number]

    def _log_events(self) -> None:
        event = _native.sized(_native.Event)
        while _native.quick.ckpt_next_event(self._handle, 0, ctypes.byref(event)) == 0:
            if event.kind == _native.EVENT_PROGRESS:
                self._written[event.step] = (event.done_bytes, event.total_bytes)
            elif event.kind == _native.EVENT_WARNING:
                logger.warning("%s", event.message.decode(errors="replace"))
            elif event.kind == _native.EVENT_FAILED:
                logger.error("save of step %d failed: %s", event.step, event.message.decode(errors="replace"))

    # ------------------------------------------------------------------ fences

    def fence(self, group: Optional[str] = None) -> Fence:
        """Waits until no tensor of a group, or of the state, is being copied any more.

        Change the state inside it: `with saver.fence(): update()`.
        """
        name = None if group is None else group.encode()
        self._check_open()
        # The usual case takes a microsecond, and does not give up the GIL.
        if _native.quick.ckpt_try_fence(self._handle, name) != 0:
            _native.check(_native.library.ckpt_fence(self._handle, name))
        return Fence(self._handle, name)

    # ------------------------------------------------------------------ restoring

    def resume(self, strict: bool = True, convert: bool = False) -> Optional[RestoreReport]:
        """Restores the newest intact checkpoint of the run, and continues from it.

        Args:
            strict: whether state and checkpoint must have the same names.
            convert: whether a tensor of 64, 32 or 16-bit floats may be another one of them in the
                checkpoint. Values are rounded to the nearest; `overflow_count` counts those that are too large.

        Returns:
            None if the run has no checkpoint.

        Raises:
            MismatchError: the state does not fit the checkpoint; nothing was changed.
        """
        def newest() -> bytes:
            return _native.returned_text(_native.library.ckpt_resume_reference, self._handle)

        return self._restore(newest, _native.library.ckpt_resume, (), strict, convert)

    def restore(self, reference: Reference, strict: bool = True, convert: bool = False) -> RestoreReport:
        """Restores a checkpoint that need not be the newest of the run, and continues from it.

        Args:
            reference: "latest", a step, a tag, an id, "best:METRIC" or "RUN:STEP". A step, and "latest", are
                those of this run, if it has them, and otherwise of the store.
            strict, convert: as those of `resume`.
        """
        self._check_open()
        name = self._own_reference(reference)
        report = self._restore(lambda: name, _native.library.ckpt_restore, (name,), strict, convert)
        assert report is not None
        return report

    def _own_reference(self, reference: Reference) -> bytes:
        """A reference that means this run, if it has what is asked for."""
        if reference != "latest" and not str(reference).isdigit():
            return reference_text(reference)
        own = self._own_checkpoints()
        if not own or reference != "latest" and int(reference) not in {found.step for found in own}:
            return reference_text(reference)
        return reference_text(f"{own[0].run}:{reference}")

    def _own_checkpoints(self) -> list[Summary]:
        """The checkpoints of the run, newest first."""
        try:
            newest = _native.returned_text(_native.library.ckpt_resume_reference, self._handle).decode()
        except NotFoundError:
            return []
        entries = [entry for entry in self.store._entries() if "error" not in entry and not entry["copy"]]
        run = next((entry["run"] for entry in entries if f"{entry['restart']}:{entry['step']}" == newest), None)
        return [_summary(entry) for entry in entries if entry["run"] == run]

    def _restore(
        self, reference: Callable[[], bytes], call: Callable[..., int], arguments: tuple[Any, ...], strict: bool,
        convert: bool,
    ) -> Optional[RestoreReport]:
        try:
            items = self._targets(reference)
            for item in items:
                if not item.memory.is_writable:
                    raise MisuseError(f"{item.name!r} is read-only, and cannot be restored")
            if strict:
                self._check_values(reference)
        except Exception as error:
            self._refuse(call, arguments, error)
            raise
        # The values of the checkpoint replace those of the state, but each process names its own.
        self._send(items, {} if self._ranks is None else self._declared_values())
        mode = (_native.STRICT if strict else _native.PARTIAL) | (_native.CONVERT_FLOATS if convert else 0)
        found = _native.sized(_native.RestoreReport)
        _native.check(call(self._handle, *arguments, mode, ctypes.byref(found)))
        self._log_events()
        if not found.found:
            return None
        values: dict[str, Any] = {}
        with self.store.open(found.id.decode()) as checkpoint:
            for name in checkpoint.objects:
                if _is_of_a_rank(name, checkpoint._objects):
                    continue
                try:
                    data = _native.returned_bytes(_native.library.ckpt_get_object, self._handle, _native.text(name))
                except NotFoundError:
                    # That of this process, which rank 0 does not have: it is there under its own name.
                    continue
                is_json = checkpoint._objects[name][1] == "json"
                values[name] = _values.decode(data, self._lifted) if is_json else data
                if is_json:
                    self._sent[name] = data
        report = RestoreReport(
            found.step, found.id.decode(), found.tensor_count, found.tensor_bytes, found.missing_count,
            found.unused_count, found.skipped_count, values, found.first_rank_count, found.converted_count,
            found.overflow_count, bool(found.is_from_mirror))
        self._first_rank_count = found.first_rank_count
        self._install(values)
        return report

    def _refuse(self, call: Callable[..., int], arguments: tuple[Any, ...], reason: Exception) -> None:
        """Tells the other processes that this one cannot restore: they would wait for it until their timeout.

        It takes part in their restore with a tensor that no checkpoint has, whose name is the reason.
        """
        if self._ranks is None:
            return
        byte = (ctypes.c_uint8 * 1)()
        memory = Lent(ctypes.addressof(byte), BY_NAME["u8"], (1,), None, True, byte)
        text = " ".join(str(reason).split())[:500]
        self._send([Item(f"(this process cannot restore: {text})", memory, 0, "")], self._declared_values())
        # The caller raises the reason.
        call(self._handle, *arguments, _native.STRICT, ctypes.byref(_native.sized(_native.RestoreReport)))

    def _check_values(self, reference: Callable[[], bytes]) -> None:
        """Raises MismatchError if the state and a checkpoint do not have values of the same names."""
        expected = self._expected_values()
        if not expected:
            return
        try:
            with self.store.open(reference().decode()) as checkpoint:
                found = [name for name in checkpoint.objects if not _is_of_a_rank(name, checkpoint._objects)]
        except CheckpointError:
            # There is nothing to resume from, or the call that follows reports it.
            return
        missing = sorted(expected.difference(found))
        if missing:
            raise MismatchError(
                f"the checkpoint lacks {len(missing)} values of the state: {', '.join(missing[:8])}. Check that it is "
                "from this loop, or restore with strict=False")

    def _expected_values(self) -> set[str]:
        """The names of the values that a strict restore must find."""
        state = self._state() if callable(self._state) else self._state or {}
        # None may stand for what is not there yet.
        return {name for name, value in flatten(state)[1].items() if value is not None and not isinstance(value, OfRank)}

    def _declared_values(self) -> dict[str, Any]:
        """The values that belong to this one of several processes, and that a restore needs."""
        return {name: value for name, value in self._collect()[1].items() if isinstance(value, OfRank)}

    # ------------------------------------------------------------------ observing and ending

    def all_steps(self) -> list[int]:
        """The steps of all checkpoints of the run, ascending. `store.all_steps()` has those of all runs."""
        return sorted({found.step for found in self._own_checkpoints()})

    def latest_step(self) -> Optional[int]:
        """The step of the newest checkpoint of the run; None if there is none."""
        steps = self.all_steps()
        return steps[-1] if steps else None

    @property
    def stall(self) -> Stall:
        """Time for which training was blocked so far."""
        stall = _native.sized(_native.Stall)
        _native.check(_native.quick.ckpt_get_stall(self._handle, ctypes.byref(stall)))
        return Stall(stall.submit_seconds, stall.fence_seconds, stall.disk_seconds)

    @property
    def is_terminating(self) -> bool:
        """True after this process has received SIGTERM, if `termination_seconds` is given.

        Of several processes, perhaps only one receives it: all must know before one of them ends.
        """
        answer = ctypes.c_uint32()
        _native.check(_native.quick.ckpt_is_terminating(self._handle, ctypes.byref(answer)))
        return answer.value != 0

    @property
    def progress(self) -> tuple[int, int]:
        """Bytes of the last requested save that are written, and that are to be written; both 0 until the first is."""
        self._log_events()
        return (0, 0) if self._last is None else self._written[self._last.step]

    def wait_until_finished(self, timeout: Optional[float] = None, progress: bool = False) -> None:
        """Waits until the last requested save is committed.

        Args:
            timeout: maximum time in seconds; None for none.
            progress: shows a progress bar, if tqdm is installed.

        Raises:
            TimedOutError: the timeout is over; the save continues.
            CheckpointError: it has failed.
        """
        if self._last is None:
            return
        bar = _progress_bar(self._last.step) if progress else None
        if bar is None:
            return self._last.wait("committed", timeout)
        end = math.inf if timeout is None else time.monotonic() + timeout
        with bar:
            while True:
                try:
                    self._last.wait("committed", max(min(_SLICE_SECONDS, end - time.monotonic()), 0))
                    return
                except TimedOutError:
                    if time.monotonic() >= end:
                        raise
                finally:
                    done, bar.total = self.progress
                    bar.update(done - bar.n)

    def wait_until_mirrored(self, timeout: Optional[float] = None) -> None:
        """Waits until everything that is committed now is in the mirror of the store.

        Raises:
            TimedOutError: the timeout is over.
            MisuseError: the store has no mirror, or another process sends to it.
            CheckpointError: what keeps the mirror from being brought up to date, which is tried again.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _SLICE_SECONDS if end is None else min(_SLICE_SECONDS, end - time.monotonic())
            try:
                return _native.check(_native.library.ckpt_wait_until_mirrored(self._handle, max(left, 0)))
            except TimedOutError:
                if end is not None and time.monotonic() >= end:
                    raise

    def close(self) -> None:
        """Waits for the saves in flight, and ends. A second call does nothing.

        Raises:
            CheckpointError: the last save has failed, and the failure was not reported yet.
        """
        if not self._finalizer.alive:
            return
        last, self._last = self._last, None
        if os.getpid() == self._pid:
            self._wait_quietly(last)
            if self._pruner is not None:
                self._pruner.close()
            if self._mirror_seconds > 0:
                try:
                    self.wait_until_mirrored(self._mirror_seconds)
                except CheckpointError as failure:
                    _note_mirror(failure)
            self._log_events()
        self._finalizer.detach()
        status = _close(self._handle, self._held)
        error = _native.last_error(status) if status else None
        if self._owns_store:
            self.store.close()
        if error is not None and not (last is not None and last._is_reported):
            raise error

    @staticmethod
    def _wait_quietly(last: Optional[Save]) -> None:
        """Waits in slices, so that Ctrl-C ends the wait; the failure is reported by the end."""
        if last is None:
            return
        was_reported = last._is_reported
        try:
            last.wait()
        except CheckpointError:
            last._is_reported = was_reported

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            self.close()
        except CheckpointError:
            # The error of the loop comes first; the failed save has been logged.
            if kind is None:
                raise


def _item(name: str, tensor: Any) -> Item:
    """The item of a leaf: memory, or a shard."""
    if not isinstance(tensor, Shard):
        return Item(name, tensor, _tensor_role(name), "")
    memory = lent(tensor.memory, name)
    if memory is None:
        raise TypeError(f"the memory of shard {name!r} is a {type(tensor.memory).__name__}, and no tensor")
    return Item(name, memory, _tensor_role(name), "", tensor.box)


def _number(value: Any) -> float:
    """A metric: also one that gradients flow through."""
    return float(value.detach() if hasattr(value, "detach") else value)


def _progress_bar(step: int) -> Any:
    """A bar of tqdm; None if it is not installed."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(desc=f"step {step}", unit="B", unit_scale=True)


def _choice(choices: Mapping[str, int], word: str) -> int:
    if not isinstance(word, str) or word not in choices:
        raise ValueError(f"{word!r} is not one of {', '.join(choices)}")
    return choices[word]


def _tensor_role(name: str) -> int:
    first = name.split(".", 1)[0]
    return OPTIMIZER if first in ("optimizer", "opt_state", "optim") else PARAMETER


def _is_of_a_rank(name: str, objects: Mapping[str, Any]) -> bool:
    """True for a value of one of several processes, such as `rng.torch.rank1of2`, whose plain name has a copy
    of that of the first rank."""
    for match in _OF_A_RANK.finditer(name):
        plain = name[:match.start()]
        first = plain + "." + re.sub(r"\d+of(\d+)(?=\.|$)", r"0of\1", name[match.end():])
        if plain in objects and first in objects and objects[plain][1:] == objects[first][1:]:
            return True
    return False


#: Dots that coordinates follow to the end of the name.
_OF_A_RANK = re.compile(r"\.(?=([^.]*\d+of\d+)(\.[^.]*\d+of\d+)*$)")


def _object_role(name: str) -> int:
    for part in name.split("."):
        if part in _OBJECT_ROLES:
            return _OBJECT_ROLES[part]
    return 0


def _put(state: Any, name: str, value: Any) -> None:
    """Sets a leaf by its dotted name; keys may contain dots themselves."""
    if not isinstance(state, MutableMapping):
        return
    for key in state:
        text = str(key)
        if text == name and not isinstance(state[key], Mapping):
            if isinstance(state[key], OfRank):
                state[key].value = value
            else:
                state[key] = value
            return
        if name.startswith(text + ".") and isinstance(state[key], Mapping):
            _put(state[key], name[len(text) + 1:], value)
            return
