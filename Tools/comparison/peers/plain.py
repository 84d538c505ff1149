"""Floors: the bytes of the state in one file, as fast as Python writes them."""

from __future__ import annotations

import mmap
import os
from typing import Any

from .base import Peer

_BLOCK = 8 << 20
#: Maximum number of buffers in one call of writev.
_BUFFERS = 1024


class Buffered(Peer):
    """Writes all tensors one after the other through the page cache, and fsyncs file and directory."""

    fsyncs = True

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        self._views = [state.memory(name) for name in state.tensors]

    def save(self, step: int) -> Any:
        descriptor = os.open(self.path(step), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            _write(descriptor, self._views)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_directory(self.directory)
        return step

    def restore(self, step: int) -> None:
        with open(self.path(step), "rb", buffering=0) as file:
            for name in self.state.tensors:
                _read(file, self.state.memory(name))

    def restore_one(self, step: int, name: str) -> Any:
        with open(self.path(step), "rb", buffering=0) as file:
            for other in self.state.tensors:
                size = len(self.state.memory(other))
                if other == name:
                    data = bytearray(size)
                    _read(file, memoryview(data))
                    return data
                file.seek(size, os.SEEK_CUR)
        raise KeyError(name)


class Direct(Peer):
    """Writes as many bytes as the state has, from one aligned buffer, past the page cache.

    This is the speed of the disk: the buffer does not hold the state.
    """

    fsyncs = True

    def prepare(self, state: Any, directory: str) -> None:
        super().prepare(state, directory)
        self._buffer = mmap.mmap(-1, _BLOCK)
        self._buffer.write(os.urandom(1 << 20) * (_BLOCK >> 20))

    def save(self, step: int) -> Any:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DIRECT
        descriptor = os.open(self.path(step), flags, 0o644)
        try:
            left = -(-self.state.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
            view = memoryview(self._buffer)
            while left:
                left -= os.write(descriptor, view[:min(left, _BLOCK)])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_directory(self.directory)
        return step


def _write(descriptor: int, views: list[memoryview]) -> None:
    pending = [view for view in views if len(view)]
    while pending:
        written = os.writev(descriptor, pending[:_BUFFERS])
        done = 0
        while done < len(pending) and written >= len(pending[done]):
            written -= len(pending[done])
            done += 1
        pending = pending[done:]
        if written:
            pending[0] = pending[0][written:]


def _read(file: Any, view: memoryview) -> None:
    while len(view):
        count = file.readinto(view)
        if not count:
            raise EOFError(f"{file.name} is too short")
        view = view[count:]


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
