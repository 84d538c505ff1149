"""Exceptions: one class for each status of checkpoint.h."""

from __future__ import annotations


class CheckpointError(Exception):
    """A failure of the library.

    Attributes:
        message: what happened, to which file or tensor, and what to do.
        remedy: the part of the message that says what to do; empty if nothing is known.
        path: the file that it concerns; empty if none.
    """

    status = -1

    def __init__(self, message: str, remedy: str = "", path: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy, self.path = message, remedy, path


class NotFoundError(CheckpointError, KeyError):
    """The store, checkpoint, tensor or object does not exist."""

    status = 1

    def __str__(self) -> str:
        return self.message


class NotAStoreError(CheckpointError):
    """The directory is not a store."""

    status = 2


class BusyError(CheckpointError):
    """Another process or checkpointer writes to the store."""

    status = 3


class ExistsError(CheckpointError):
    """The step is already committed in this run, or the tag is taken."""

    status = 4


class NoSpaceError(CheckpointError, OSError):
    """The disk or quota is full."""

    status = 5


class ReadOnlyError(CheckpointError, OSError):
    """Writing is not permitted."""

    status = 6


class StorageError(CheckpointError, OSError):
    """The file system failed in another way."""

    status = 7


class DamagedError(CheckpointError):
    """Bytes on disk differ from those written."""

    status = 8


class UnsupportedError(CheckpointError):
    """A version, feature or kernel that is not supported."""

    status = 9


class MismatchError(CheckpointError):
    """The state and the checkpoint do not fit together. Nothing was restored."""

    status = 10


class MisuseError(CheckpointError):
    """An invalid argument, a closed object, or a call at the wrong time."""

    status = 11


class CancelledError(CheckpointError):
    """The save was cancelled."""

    status = 12


class SkippedError(CheckpointError):
    """The save was skipped: an earlier one was still being written."""

    status = 13


class TimedOutError(CheckpointError, TimeoutError):
    """A wait reached its deadline. The save continues."""

    status = 14


class OutOfMemoryError(CheckpointError, MemoryError):
    """Memory could not be allocated."""

    status = 15


class ProviderError(CheckpointError):
    """The state could not be encoded or decoded."""

    status = 16


class DeviceError(CheckpointError):
    """A device failed to copy."""

    status = 17


_BY_STATUS = {kind.status: kind for kind in CheckpointError.__subclasses__()}


def error_of(status: int, message: str, remedy: str, path: str) -> CheckpointError:
    """The exception of a status."""
    return _BY_STATUS.get(status, CheckpointError)(message, remedy, path)
