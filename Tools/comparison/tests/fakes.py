"""A state and peers without PyTorch, some of which misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import threading
import time
from typing import Any, Iterator, Optional

from ..peers.base import Codec, Peer
from ..variants import Variant


class ByteState:
    """A state of byte arrays, of the first parameters of a variant."""

    def __init__(self, variant: Variant, threads: int) -> None:
        self.tensors = {
            entry.name: bytearray(os.urandom(64 + index)) for index, entry in enumerate(variant.parameters[:8])}
        self.nbytes = sum(len(value) for value in self.tensors.values())

    def compute(self, passes: int) -> None:
        for _ in range(passes):
            sum(len(value) for value in self.tensors.values())

    def update(self) -> None:
        for value in self.tensors.values():
            value[0] = (value[0] + 1) % 256

    def clear(self) -> None:
        for value in self.tensors.values():
            value[:] = bytes(len(value))

    def memory(self, name: str) -> memoryview:
        return memoryview(self.tensors[name])

    def digest(self) -> str:
        return hashlib.sha256(b"".join(self.tensors.values())).hexdigest()

    def digest_of(self, name: str, value: Optional[Any] = None) -> str:
        return hashlib.sha256(self.tensors[name] if value is None else value).hexdigest()


class Good(Peer):
    """Writes one file."""

    def save(self, step: int) -> Any:
        with open(self.path(step), "wb") as file:
            for value in self.state.tensors.values():
                file.write(value)
        return step

    def restore(self, step: int) -> None:
        with open(self.path(step), "rb") as file:
            for value in self.state.tensors.values():
                value[:] = file.read(len(value))

    def restore_one(self, step: int, name: str) -> Any:
        self.restore(step)
        return bytes(self.state.tensors[name])


class Late(Good):
    """Writes in the background without keeping a copy, so that it stores what the next update has made."""

    _updated = threading.Event()

    def save(self, step: int) -> Any:
        self._updated.clear()
        return step

    @contextlib.contextmanager
    def fence(self) -> Iterator[None]:
        yield
        self._updated.set()

    def wait(self, handle: Any) -> None:
        self._updated.wait(30)
        super().save(handle)


class Checked(Good):
    """Stores a hash, and notices damage."""

    def save(self, step: int) -> Any:
        super().save(step)
        with open(self.path(step), "ab") as file:
            file.write(self.state.digest().encode())
        return step

    def restore(self, step: int) -> None:
        super().restore(step)
        with open(self.path(step), "rb") as file:
            if file.read()[-64:].decode() != self.state.digest():
                raise ValueError(f"{self.path(step)} is damaged")


class Crashing(Good):
    """Ends the process in the second save."""

    def save(self, step: int) -> Any:
        if step == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().save(step)


class Hanging(Good):
    """Never completes its second save."""

    def wait(self, handle: Any) -> None:
        while handle == 2:
            time.sleep(1)


class Raising(Good):
    """Cannot start."""

    def prepare(self, state: Any, directory: str) -> None:
        raise OSError(f"no room in {directory}")


class FailingInBackground(Good):
    """Reports an error after its save has returned."""

    def wait(self, handle: Any) -> None:
        raise OSError("the disk is full")


class Lingering(Good):
    """Leaves a thread that keeps the process alive."""

    def close(self) -> None:
        threading.Thread(target=time.sleep, args=(60,)).start()


class Skipping(Good):
    """Skips every second save."""

    def save(self, step: int) -> Any:
        return super().save(step) if step % 2 == 0 else None


class Squeezing(Codec):
    """Halves nothing, but counts as a codec."""

    def compress(self, data: bytearray, dtype: str) -> Any:
        return bytes(data) + b"."

    def decompress(self, data: Any) -> Any:
        return data[:-1]
