"""Files of a save: finding, fsyncing, caching, measuring and damaging them."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from typing import Iterable, Iterator

_BLOCK = 8 << 20
_libc = ctypes.CDLL(None, use_errno=True)


def files_of(path: str) -> list[str]:
    """All regular files under a path, or the path itself if it is a file."""
    if os.path.isfile(path):
        return [path]
    return sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names
        if os.path.isfile(os.path.join(folder, name)) and not os.path.islink(os.path.join(folder, name)))


def directories_of(path: str) -> list[str]:
    """All directories under a path, and the one that holds the path."""
    inside = [folder for folder, _, _ in os.walk(path)]
    return [*inside, os.path.dirname(os.path.abspath(path))]


def sync(path: str) -> None:
    """Fsyncs all files under a path, and all directories that name them."""
    for name in [*files_of(path), *directories_of(path)]:
        # A peer may delete its temporary files meanwhile.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def stored_bytes(path: str) -> int:
    """Disk space in use under a path; hard links count once."""
    found = {}
    for name in files_of(path):
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name)
            found[(status.st_dev, status.st_ino)] = status.st_blocks * 512
    return sum(found.values())


def load_into_cache(paths: Iterable[str]) -> None:
    """Reads files, so that they are in the page cache."""
    buffer = memoryview(bytearray(_BLOCK))
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def evict(paths: Iterable[str]) -> None:
    """Removes files from the page cache."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            # Pages that are not written yet stay in the cache.
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def cached_share(paths: Iterable[str]) -> float:
    """The part of files that is in the page cache, from 0 to 1."""
    pages = cached = 0
    for path in paths:
        size = os.path.getsize(path)
        if size == 0:
            continue
        with open(path, "rb") as file, mmap.mmap(file.fileno(), size, flags=mmap.MAP_PRIVATE) as mapping:
            count = -(-size // mmap.PAGESIZE)
            states = (ctypes.c_ubyte * count)()
            place = ctypes.c_char.from_buffer(mapping)
            try:
                failed = _libc.mincore(ctypes.c_void_p(ctypes.addressof(place)), ctypes.c_size_t(size), states)
            finally:
                del place
            if failed:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
            pages += count
            cached += sum(state & 1 for state in states)
    return cached / pages if pages else 0.0


#: Places in a file that are damaged in turn, as parts of its size.
_PLACES = (0.5, 0.25, 0.75, 0.4, 0.6, 0.1)


@contextlib.contextmanager
def flipped_byte(path: str, place: float) -> Iterator[None]:
    """Inverts one byte of a file for as long as the context lasts.

    Args:
        path: the file.
        place: where, as a part of its size.
    """
    offset = int(os.path.getsize(path) * place)
    descriptor = os.open(path, os.O_RDWR)
    try:
        byte = os.pread(descriptor, 1, offset)
        _overwrite(descriptor, offset, bytes([byte[0] ^ 0xFF]))
        try:
            yield
        finally:
            _overwrite(descriptor, offset, byte)
    finally:
        os.close(descriptor)


def _overwrite(descriptor: int, offset: int, byte: bytes) -> None:
    os.pwrite(descriptor, byte, offset)
    os.fsync(descriptor)
    # A reader that bypasses the cache, or maps the file, sees the same.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def damage_places(paths: Iterable[str]) -> list[tuple[str, float]]:
    """Where to flip a byte: places in the largest file, of which some may hold no data of a tensor."""
    largest = max(paths, key=os.path.getsize)
    return [(largest, place) for place in _PLACES]


class Filler:
    """A file that fills free memory as page cache.

    Some virtual machines give free memory back to their host, and get it again only slowly. Memory in
    the page cache stays, and is free for processes as soon as they need it.

    Args:
        path: the file; it is made.
        size: its size in bytes.
    """

    def __init__(self, path: str, size: int) -> None:
        self._path = path
        block = bytes(_BLOCK)
        with open(path, "wb", buffering=0) as file:
            for _ in range(size // _BLOCK):
                file.write(block)
            os.fsync(file.fileno())

    def fill(self) -> None:
        """Reads it again, as far as it has left the cache."""
        load_into_cache([self._path])
