"""The C interface, by ctypes. Signatures follow checkpoint.h; nothing here decides anything."""

from __future__ import annotations

import ctypes
import os
import pathlib
from ctypes import (
    POINTER, Structure, byref, c_char, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64,
    c_void_p, sizeof,
)
from typing import Any, Callable, Optional, TypeVar

from .errors import CheckpointError, error_of

ABI_VERSION = 4
READING, WRITING = 0, 1
STRICT, PARTIAL, CONVERT_FLOATS = 0, 1, 16
SUBMITTED, CAPTURED, DURABLE, COMMITTED = 0, 1, 2, 3
TIMED_OUT = 14
BYTES, JSON = 0, 1
EVENT_PROGRESS, EVENT_FAILED, EVENT_WARNING = 1, 5, 6
QUIET, STOP_AT_SIGTERM = 4, 8


class Tensor(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("name", c_char_p), ("group", c_char_p), ("data", c_void_p),
        ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)), ("bytes", c_uint64),
        ("rank", c_uint32), ("type", c_uint32), ("role", c_uint32), ("device", c_uint32),
    ]


class Options(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("run", c_char_p), ("trace_path", c_char_p), ("arena_bytes", c_uint64),
        ("chunk_bytes", c_uint64), ("bytes_per_second", c_uint64), ("keep_last", c_uint64),
        ("exit_seconds", c_double), ("termination_seconds", c_double), ("workers", c_uint32),
        ("compression", c_uint32), ("capture", c_uint32), ("backpressure", c_uint32), ("flags", c_uint32),
        ("reserved", c_uint32), ("mirror_seconds", c_double),
    ]


class Ranks(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("launch", c_char_p), ("seconds", c_double), ("start_seconds", c_double),
        ("rank", c_uint32), ("world_size", c_uint32),
    ]


class Retention(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("keep_last", c_uint64), ("keep_every", c_uint64), ("keep_seconds", c_double),
        ("keep_best", POINTER(c_char_p)), ("keep_best_count", c_size_t),
    ]


class Mirror(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("place", c_char_p), ("rules", POINTER(Retention)), ("bytes_per_second", c_uint64),
    ]


class PruneReport(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("kept_count", c_uint64), ("removed_count", c_uint64), ("in_use_count", c_uint64),
        ("freed_bytes", c_uint64),
    ]


class Metric(Structure):
    _fields_ = [("name", c_char_p), ("value", c_double)]


class SaveReport(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("step", c_int64), ("logical_bytes", c_uint64), ("stored_bytes", c_uint64),
        ("new_bytes", c_uint64), ("reused_bytes", c_uint64), ("captured_seconds", c_double),
        ("durable_seconds", c_double), ("committed_seconds", c_double), ("stall_submit_seconds", c_double),
        ("stall_fence_seconds", c_double), ("stall_disk_seconds", c_double), ("is_unchanged", c_uint32),
        ("reserved", c_uint32), ("id", c_char * 40),
    ]


class RestoreReport(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("found", c_uint32), ("is_from_mirror", c_uint32), ("step", c_int64),
        ("tensor_count", c_uint64), ("object_count", c_uint64), ("tensor_bytes", c_uint64),
        ("missing_count", c_uint64), ("unused_count", c_uint64), ("skipped_count", c_uint64),
        ("id", c_char * 40), ("first_rank_count", c_uint64), ("converted_count", c_uint64),
        ("overflow_count", c_uint64),
    ]


class Event(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("kind", c_uint32), ("failure", c_int32), ("step", c_int64),
        ("done_bytes", c_uint64), ("total_bytes", c_uint64), ("message", c_char * 1024),
    ]


class Stall(Structure):
    _fields_ = [
        ("struct_size", c_size_t), ("submit_seconds", c_double), ("fence_seconds", c_double),
        ("disk_seconds", c_double), ("arena_high_water_bytes", c_uint64),
    ]


_H, _OUT, _STR = c_void_p, POINTER(c_void_p), c_char_p
_SIGNATURES: dict[str, list[Any]] = {
    "ckpt_store_open": [_STR, c_uint32, _OUT],
    "ckpt_store_open_ranks": [_STR, POINTER(Ranks), _OUT],
    "ckpt_store_open_mirrored": [_STR, POINTER(Ranks), POINTER(Mirror), _OUT],
    "ckpt_store_close": [_H],
    "ckpt_store_list_json": [_H, c_size_t, _OUT],
    "ckpt_store_tag": [_H, _STR, _STR, c_uint32],
    "ckpt_store_untag": [_H, _STR],
    "ckpt_store_pin": [_H, _STR, c_uint32],
    "ckpt_store_remove": [_H, _STR, c_uint32],
    "ckpt_store_prune": [_H, POINTER(Retention), c_uint32, POINTER(PruneReport)],
    "ckpt_checkpoint_open": [_H, _STR, _OUT],
    "ckpt_checkpoint_close": [_H],
    "ckpt_checkpoint_json": [_H, _OUT],
    "ckpt_checkpoint_find": [_H, _STR, POINTER(c_size_t)],
    "ckpt_checkpoint_tensor": [_H, c_size_t, POINTER(Tensor)],
    "ckpt_read_tensors": [_H, POINTER(Tensor), c_size_t],
    "ckpt_read_range": [_H, _STR, c_uint64, c_uint64, c_void_p],
    "ckpt_read_object": [_H, _STR, _OUT, POINTER(c_size_t)],
    "ckpt_checkpoint_verify": [_H],
    "ckpt_checkpointer_open": [_H, POINTER(Options), _OUT],
    "ckpt_checkpointer_close": [_H],
    "ckpt_describe_packed": [_H, c_void_p, c_size_t, _STR, c_size_t, c_size_t, POINTER(c_uint64)],
    "ckpt_cuda_device": [_H, c_uint32, c_uint64, POINTER(c_uint32)],
    "ckpt_set_pointers": [_H, c_void_p, c_size_t, POINTER(c_uint64)],
    "ckpt_oldest_lent": [_H, POINTER(c_uint64)],
    "ckpt_set_object": [_H, _STR, c_uint32, c_uint32, _STR, c_size_t],
    "ckpt_set_rank_object": [_H, _STR, c_uint32, c_uint32, _STR, c_size_t, c_uint32],
    "ckpt_remove_object": [_H, _STR],
    "ckpt_get_object": [_H, _STR, _OUT, POINTER(c_size_t)],
    "ckpt_fence": [_H, _STR],
    "ckpt_try_fence": [_H, _STR],
    "ckpt_fence_end": [_H, _STR],
    "ckpt_save": [_H, c_int64, POINTER(Metric), c_size_t, _OUT],
    "ckpt_is_terminating": [_H, POINTER(c_uint32)],
    "ckpt_ticket_wait": [_H, c_uint32, c_double],
    "ckpt_ticket_state": [_H, POINTER(c_uint32)],
    "ckpt_ticket_report": [_H, POINTER(SaveReport)],
    "ckpt_ticket_earlier_failure": [_H],
    "ckpt_ticket_cancel": [_H],
    "ckpt_ticket_close": [_H],
    "ckpt_wait_until_mirrored": [_H, c_double],
    "ckpt_resume": [_H, c_uint32, POINTER(RestoreReport)],
    "ckpt_resume_reference": [_H, _OUT],
    "ckpt_restore": [_H, _STR, c_uint32, POINTER(RestoreReport)],
    "ckpt_next_event": [_H, c_double, POINTER(Event)],
    "ckpt_get_stall": [_H, POINTER(Stall)],
}


def _path() -> str:
    """The library: that of CKPT_LIBRARY, that inside this package, or that of the system."""
    if given := os.environ.get("CKPT_LIBRARY"):
        return given
    inside = pathlib.Path(__file__).parent / "lib" / "libcheckpoint.so"
    return str(inside) if inside.exists() else "libcheckpoint.so"


def _load(kind: type[ctypes.CDLL]) -> ctypes.CDLL:
    try:
        library = kind(_path())
    except OSError as error:
        raise ImportError(
            f"{error}. Install the wheel, or set CKPT_LIBRARY to the libcheckpoint.so that "
            "Tools/c-library builds"
        ) from None
    for name in ("ckpt_last_message", "ckpt_last_remedy", "ckpt_last_path", "ckpt_version"):
        getattr(library, name).restype = c_char_p
    library.ckpt_abi_version.restype = c_uint32
    if library.ckpt_abi_version() < ABI_VERSION:
        raise ImportError(
            f"{_path()} is older than this package: its ABI is {library.ckpt_abi_version()}, "
            f"and at least {ABI_VERSION} is needed. Install the library of the same version")
    library.ckpt_free.argtypes, library.ckpt_free.restype = [c_void_p], None
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_int32
    return library


#: Releases the GIL in every call: for calls that may wait.
library = _load(ctypes.CDLL)
#: Holds the GIL: for calls of a microsecond that never wait for another thread of Python.
quick = _load(ctypes.PyDLL)


def check(status: int) -> None:
    """Raises the exception of a status."""
    if status != 0:
        raise last_error(status)


def last_error(status: int) -> CheckpointError:
    """The exception of the last failure in this thread."""
    message, remedy, path = (
        (function() or b"").decode(errors="replace")
        for function in (quick.ckpt_last_message, quick.ckpt_last_remedy, quick.ckpt_last_path)
    )
    return error_of(status, message, remedy, path)


def text(value: Optional[str]) -> Optional[bytes]:
    """A text as C takes it."""
    if value is not None and "\0" in value:
        raise ValueError(f"{value!r} contains a NUL character")
    return None if value is None else value.encode()


S = TypeVar("S", bound=Structure)


def sized(kind: type[S]) -> S:
    """A structure with its size."""
    value = kind()
    setattr(value, "struct_size", sizeof(kind))
    return value


def handle(call: Callable[..., int], *arguments: Any) -> c_void_p:
    """Calls a function whose last argument receives a handle."""
    found = c_void_p()
    check(call(*arguments, byref(found)))
    return found


def returned_text(call: Callable[..., int], *arguments: Any) -> bytes:
    """Calls a function whose last argument receives a text to free."""
    found = c_void_p()
    check(call(*arguments, byref(found)))
    try:
        return ctypes.string_at(found)
    finally:
        quick.ckpt_free(found)


def returned_bytes(call: Callable[..., int], *arguments: Any) -> bytes:
    """Calls a function whose last two arguments receive bytes to free, and their number."""
    found, length = c_void_p(), c_size_t()
    check(call(*arguments, byref(found), byref(length)))
    try:
        return ctypes.string_at(found, length.value)
    finally:
        quick.ckpt_free(found)


def version() -> str:
    """The version of the library."""
    return bytes(quick.ckpt_version()).decode()
