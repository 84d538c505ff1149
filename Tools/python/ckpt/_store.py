"""Stores and their checkpoints."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import json
import math
import os
import weakref
from typing import Any, Iterator, Mapping, Optional, Sequence, Union

from . import _native, _values
from ._dtypes import BY_NAME, BY_NUMBER, ElementType
from ._memory import CPU, Lent, dlpack_capsule, lent
from ._mirror import Mirror
from ._ranks import Ranks
from ._retention import PruneReport, Retention
from .errors import CheckpointError, MismatchError, MisuseError, NotFoundError

Reference = Union[str, int]

#: Roles of tensors, by their number in checkpoint.h.
_ROLES = ("parameter", "optimizer", "buffer", "other")


@dataclasses.dataclass(frozen=True)
class Summary:
    """One checkpoint in a list. Sizes are in bytes."""

    id: str
    run: str
    step: int
    #: Seconds since 1970.
    created: float
    metrics: Mapping[str, float]
    tags: tuple[str, ...]
    is_pinned: bool
    logical_bytes: int
    stored_bytes: int


def _summary(entry: Mapping[str, Any]) -> Summary:
    metrics = {name: float(value) for name, value in entry["metrics"].items()}
    return Summary(
        entry["id"], entry["run"], entry["step"], entry["created_ms"] / 1000, metrics, tuple(entry["tags"]),
        entry["pinned"], entry["logical_bytes"], entry["stored_bytes"])


def reference_text(reference: Reference) -> bytes:
    """A reference as C takes it: a step, or any text of `Store.open`."""
    text = _native.text(str(reference))
    assert text is not None
    return text


class Store:
    """A directory of checkpoints, or a place for them in object storage.

    Any number of processes may open it for reading, and one for writing.

    Args:
        path: the directory, which for writing is created if it is missing; or "s3://BUCKET/PREFIX", with the
            settings and credentials that are configured for other programs.
        mode: "r" to read, "w" to save.
        ranks: the processes that save together, each of which opens the store with mode "w"; None if
            this one saves alone.
        mirror: a second copy of a directory, which a checkpointer keeps up to date: a `Mirror` or its place.
            `resume` takes from it what the directory has lost or finds damaged.
    """

    def __init__(
        self, path: Union[str, os.PathLike[str]], mode: str = "r", *, ranks: Optional[Ranks] = None,
        mirror: Union[Mirror, str, os.PathLike[str], None] = None,
    ) -> None:
        if mode not in ("r", "w"):
            raise ValueError(f'mode is {mode!r}, not "r" or "w"')
        if mode == "r" and (ranks is not None or mirror is not None):
            raise ValueError('ranks and mirror are for saving: open the store with mode "w"')
        self.path = os.fspath(path)
        self.ranks = ranks
        self._has_mirror = mirror is not None
        group = None if ranks is None else ctypes.byref(ranks._structure())
        if mirror is not None:
            place = mirror if isinstance(mirror, Mirror) else Mirror(mirror)
            self._handle = _native.handle(
                _native.library.ckpt_store_open_mirrored, _native.text(self.path), group,
                ctypes.byref(place._structure()))
        elif ranks is not None:
            self._handle = _native.handle(_native.library.ckpt_store_open_ranks, _native.text(self.path), group)
        else:
            access = _native.READING if mode == "r" else _native.WRITING
            self._handle = _native.handle(_native.library.ckpt_store_open, _native.text(self.path), access)
        self._finalizer = weakref.finalize(self, _native.library.ckpt_store_close, self._handle)

    def checkpoints(self, limit: int = 0) -> list[Summary]:
        """The newest checkpoints, newest first; damaged ones are left out. 0 means all."""
        return [_summary(entry) for entry in self._entries(limit) if "error" not in entry]

    def _entries(self, limit: int = 0) -> list[dict[str, Any]]:
        """The same as in JSON; a damaged checkpoint has the one key `error`."""
        text = _native.returned_text(_native.library.ckpt_store_list_json, self._handle, limit)
        entries: list[dict[str, Any]] = json.loads(text)
        return entries

    def all_steps(self) -> list[int]:
        """The steps of all checkpoints, ascending, each once."""
        return sorted({summary.step for summary in self.checkpoints()})

    def latest_step(self) -> Optional[int]:
        """The step of the newest checkpoint; None if there is none."""
        newest = self.checkpoints(1) or self.checkpoints()
        return newest[0].step if newest else None

    def open(self, reference: Reference = "latest") -> Checkpoint:
        """Opens a checkpoint.

        Args:
            reference: "latest", a step, "RUN:STEP", "RUN:latest", a tag, an id or a prefix of one,
                "best:METRIC" or "best:METRIC:max".
        """
        handle = _native.handle(_native.library.ckpt_checkpoint_open, self._handle, reference_text(reference))
        return Checkpoint(handle)

    def tag(self, reference: Reference, tag: str, move: bool = False) -> None:
        """Names a checkpoint; retention then never removes it."""
        _native.check(
            _native.library.ckpt_store_tag(self._handle, reference_text(reference), _native.text(tag), int(move)))

    def untag(self, tag: str) -> None:
        """Deletes a tag; the checkpoint stays."""
        _native.check(_native.library.ckpt_store_untag(self._handle, _native.text(tag)))

    def pin(self, reference: Reference, pinned: bool = True) -> None:
        """Protects a checkpoint from retention, or ends the protection."""
        _native.check(_native.library.ckpt_store_pin(self._handle, reference_text(reference), int(pinned)))

    def remove(self, reference: Reference, force: bool = False) -> None:
        """Deletes a checkpoint, and frees the bytes that no other one shares.

        Args:
            force: also deletes one that is pinned, tagged or the newest of its run.

        Raises:
            BusyError: a reader or a save in flight uses it.
        """
        _native.check(_native.library.ckpt_store_remove(self._handle, reference_text(reference), int(force)))

    def prune(
        self, keep_last: Optional[int] = None, keep_every: Optional[int] = None,
        keep_seconds: Optional[float] = None, keep_best: Union[str, Sequence[str]] = (), dry_run: bool = False,
    ) -> PruneReport:
        """Removes the checkpoints that no rule keeps; see `Retention`. Reads all manifests.

        Args:
            dry_run: only counts them; the store may then be open for reading.

        Raises:
            BusyError: another process removes or repacks checkpoints.
        """
        return Retention(keep_last, keep_every, keep_seconds, keep_best).prune(self, dry_run)

    def close(self) -> None:
        """Closes the store. A second call does nothing."""
        if self._finalizer.alive:
            _native.check(_native.library.ckpt_store_close(self._handle))
            self._finalizer.detach()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ckpt.Store({self.path!r})"


class StoredTensor:
    """A tensor of a checkpoint. It is read when it is converted, and every byte is checked then.

        weight = checkpoint["layer.weight"]
        weight.numpy()                  # an array of numpy
        weight.torch()                  # a tensor of torch
        numpy.asarray(weight)           # the same as numpy()
        jax.dlpack.from_dlpack(weight)  # any consumer of DLPack, bf16 and fp8 included
        weight.read_into(parameter)     # into existing memory
        weight[10:20]                   # only these rows
    """

    def __init__(
        self, checkpoint: Checkpoint, name: str, kind: ElementType, shape: tuple[int, ...], role: str, group: str,
        rows: Optional[range] = None,
    ) -> None:
        self._checkpoint, self._rows = checkpoint, rows
        self.name, self.type, self.role, self.group = name, kind, role, group
        self.shape = shape if rows is None else (len(rows), *shape[1:])
        self._whole = shape

    @property
    def dtype(self) -> str:
        """Name of the element type: f32, bf16, f8e4m3, ..."""
        return self.type.name

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.type.bits // 8

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar has no length")
        return self.shape[0]

    def __getitem__(self, rows: slice) -> StoredTensor:
        """Some rows: a range of the first dimension with step 1. Only they are read."""
        if not isinstance(rows, slice) or not self.shape or self._rows is not None:
            raise TypeError("index a stored tensor once, by a slice of its first dimension, such as t[10:20]")
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            raise ValueError("the step of a slice of a stored tensor must be 1")
        row_bits = math.prod(self.shape[1:]) * self.type.bits
        if row_bits % 8:
            raise ValueError(f"a row of {self.shape} {self.dtype} is not a whole number of bytes")
        chosen = range(start, max(start, stop))
        return StoredTensor(self._checkpoint, self.name, self.type, self._whole, self.role, self.group, chosen)

    def read(self) -> bytearray:
        """Reads the row-major, little-endian bytes."""
        data = bytearray(self.nbytes)
        if data:
            buffer = (ctypes.c_char * len(data)).from_buffer(data)
            self._read(ctypes.addressof(buffer))
        return data

    def _read(self, address: int) -> None:
        row_bytes = math.prod(self._whole[1:]) * self.type.bits // 8
        offset = self._rows.start * row_bytes if self._rows is not None else 0
        if self._rows is None and self._whole:
            self._checkpoint._read([(self.name, Lent(address, self.type, self.shape, None, True, None))])
        else:
            _native.check(
                _native.library.ckpt_read_range(
                    self._checkpoint._handle, _native.text(self.name), offset, self.nbytes, address))

    def read_into(self, destination: Any) -> None:
        """Reads into an array or tensor of the same type and shape, without an intermediate copy."""
        if self._rows is not None:
            raise TypeError("rows cannot be read into existing memory; read the complete tensor")
        self._checkpoint.read_into({self.name: destination})

    def numpy(self) -> Any:
        """Reads an array of numpy. bf16 and 8-bit floats need the package ml_dtypes."""
        import numpy

        if self.type.numpy is None:
            raise TypeError(f"numpy has no element type {self.dtype}")
        try:
            dtype = numpy.dtype(self.type.numpy)
        except TypeError:
            try:
                import ml_dtypes
            except ImportError:
                raise TypeError(
                    f"tensor {self.name!r} is {self.dtype}, which numpy supports only with the package ml_dtypes"
                ) from None
            dtype = numpy.dtype(getattr(ml_dtypes, self.type.numpy))
        return numpy.frombuffer(self.read(), dtype=dtype).reshape(self.shape)

    def torch(self) -> Any:
        """Reads a tensor of torch."""
        import torch

        if self.type.torch is None or not hasattr(torch, self.type.torch):
            raise TypeError(f"torch has no element type {self.dtype}")
        tensor = torch.empty(self.shape, dtype=getattr(torch, self.type.torch))
        if tensor.numel():
            self._read(tensor.data_ptr())
        return tensor

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> Any:
        if copy is False:
            raise ValueError("a stored tensor is read from the disk: it cannot be viewed without a copy")
        array = self.numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def __dlpack__(self, **_: Any) -> Any:
        data = self.read() or bytearray(1)
        buffer = (ctypes.c_char * len(data)).from_buffer(data)
        return dlpack_capsule(ctypes.addressof(buffer), self.type, self.shape, buffer)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (CPU, 0)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.dtype}{list(self.shape)}>"


class Checkpoint(Mapping[str, StoredTensor]):
    """One checkpoint: a mapping from names to tensors, which are read when they are used."""

    def __init__(self, handle: ctypes.c_void_p) -> None:
        self._handle = handle
        self._finalizer = weakref.finalize(self, _native.library.ckpt_checkpoint_close, handle)

    @functools.cached_property
    def _entry(self) -> dict[str, Any]:
        """Everything about it. Made when it is asked for: it takes long if there are many tensors."""
        entry: dict[str, Any] = json.loads(_native.returned_text(_native.library.ckpt_checkpoint_json, self._handle))
        return entry

    @functools.cached_property
    def _tensors(self) -> dict[str, StoredTensor]:
        return {
            name: StoredTensor(self, name, BY_NAME[kind], tuple(shape), role, group)
            for name, kind, shape, role, group, _ in self._entry["tensors"]
        }

    @functools.cached_property
    def _objects(self) -> dict[str, tuple[str, str, int]]:
        return {name: (role, encoding, size) for name, role, encoding, size in self._entry["objects"]}

    @functools.cached_property
    def summary(self) -> Summary:
        """Step, id, run, metrics and sizes."""
        return _summary(self._entry)

    @property
    def step(self) -> int:
        """The step that was saved."""
        return self.summary.step

    def __getitem__(self, name: str) -> StoredTensor:
        index, tensor = ctypes.c_size_t(), _native.sized(_native.Tensor)
        _native.check(_native.library.ckpt_checkpoint_find(self._handle, _native.text(name), ctypes.byref(index)))
        _native.check(_native.library.ckpt_checkpoint_tensor(self._handle, index, ctypes.byref(tensor)))
        return StoredTensor(
            self, name, BY_NUMBER[tensor.type], tuple(tensor.shape[:tensor.rank]), _ROLES[tensor.role],
            tensor.group.decode())

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def objects(self) -> list[str]:
        """Names of the objects: state that is not a tensor."""
        return list(self._objects)

    def object(self, name: str) -> Any:
        """Reads an object: a value if it was stored as JSON, otherwise bytes."""
        data = self._object_bytes(name)
        return _values.decode(data) if self._objects[name][1] == "json" else data

    def _object_bytes(self, name: str) -> bytes:
        return _native.returned_bytes(_native.library.ckpt_read_object, self._handle, _native.text(name))

    def read_into(self, destinations: Mapping[str, Any]) -> None:
        """Reads tensors into arrays and tensors of the same types and shapes.

        Raises:
            MismatchError: a type or shape differs; nothing was read.
        """
        found = []
        for name, value in destinations.items():
            memory = lent(value, name)
            if memory is None or not memory.is_writable or memory.gpu is not None:
                raise MisuseError(
                    f"{name!r} cannot be read into a {type(value).__name__}, which is not writable memory of the CPU")
            tensor = self[name]
            if memory.type != tensor.type or memory.shape != tensor.shape:
                raise MismatchError(
                    f"tensor {name!r} is {tensor.dtype}{list(tensor.shape)} in the checkpoint, but "
                    f"{memory.type.name}{list(memory.shape)} in memory")
            found.append((name, memory))
        self._read(found)

    def _read(self, destinations: list[tuple[str, Lent]]) -> None:
        array = (_native.Tensor * len(destinations))()
        for entry, (name, memory) in zip(array, destinations):
            entry.struct_size = ctypes.sizeof(_native.Tensor)
            entry.name, entry.data = _native.text(name), memory.address or None
            entry.shape = (ctypes.c_int64 * max(len(memory.shape), 1))(*memory.shape)
            if memory.strides is not None:
                entry.strides = (ctypes.c_int64 * max(len(memory.shape), 1))(*memory.strides)
            entry.rank, entry.type = len(memory.shape), memory.type.number
        _native.check(_native.library.ckpt_read_tensors(self._handle, array, len(destinations)))

    def verify(self) -> None:
        """Reads every byte and checks it.

        Raises:
            DamagedError: the first damage.
        """
        _native.check(_native.library.ckpt_checkpoint_verify(self._handle))

    def close(self) -> None:
        """Closes the checkpoint. A second call does nothing."""
        self._finalizer()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<checkpoint of step {self.step}: {len(self)} tensors, {len(self._objects)} objects>"


__all__ = ["Checkpoint", "CheckpointError", "NotFoundError", "Reference", "Store", "StoredTensor", "Summary"]
