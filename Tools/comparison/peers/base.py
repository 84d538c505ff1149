"""The protocol that every peer implements."""

from __future__ import annotations

import contextlib
import os
from typing import Any, ContextManager, Optional, Protocol


class State(Protocol):
    """What is saved. `comparison.state.State` has also `model` and `optimizer`."""

    tensors: dict[str, Any]
    nbytes: int

    def compute(self, passes: int) -> None:
        """Reads the state."""

    def update(self) -> None:
        """Changes the state in place."""

    def clear(self) -> None:
        """Sets the state to zero."""

    def memory(self, name: str) -> memoryview:
        """The bytes of a tensor."""

    def digest(self) -> str:
        """A hash of all bytes."""

    def digest_of(self, name: str, value: Optional[Any] = None) -> str:
        """A hash of one tensor, or of a value that was read for it."""


class Peer:
    """A way to save and restore.

    A process calls `prepare` or `open` once, then the other calls, then `close`. A handle is what
    `save` returns, and is opaque to the harness; None means that the peer has skipped the save.
    """

    #: Whether the peer fsyncs data and directories itself before it says that a save is durable.
    fsyncs = False

    state: Any
    directory: str

    def prepare(self, state: Any, directory: str) -> None:
        """Makes ready to save into an empty directory that exists."""
        self.state, self.directory = state, directory

    def save(self, step: int) -> Any:
        """Requests a save. Waits for an earlier one if the peer wants that; the time counts as blocked."""
        raise NotImplementedError

    def fence(self) -> ContextManager[Any]:
        """A context in which the state may be changed. Entering it waits for what is not captured yet."""
        return contextlib.nullcontext()

    def wait(self, handle: Any) -> None:
        """Waits until the peer says that a save is complete. Called in a thread of its own."""

    def path(self, step: int) -> str:
        """The file or directory with all files of a save."""
        return os.path.join(self.directory, f"step-{step}")

    def open(self, state: Any, directory: str) -> None:
        """Makes ready to restore, in another process than the one that saved."""
        self.state, self.directory = state, directory

    def restore(self, step: int) -> None:
        """Brings the saved values back into the memory of the state."""
        raise NotImplementedError

    def restore_one(self, step: int, name: str) -> Any:
        """Reads one tensor.

        Returns:
            The values: a tensor, an array or bytes.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Ends, and leaves nothing running."""


class Codec:
    """A compressor, of which size and speed are measured, but no save."""

    def compress(self, data: bytearray, dtype: str) -> Any:
        """Compresses the bytes of one tensor.

        Args:
            data: the bytes; a copy, which may be changed.
            dtype: "float32" or "bfloat16".
        """
        raise NotImplementedError

    def decompress(self, data: Any) -> Any:
        """Returns the bytes again."""
        raise NotImplementedError
