"""The checkpointer behind the writers of a process."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import Any, Mapping, Optional

from .. import _checkpointer, _native
from .._checkpointer import Item, Save
from .._store import Store
from ..errors import BusyError, CheckpointError, NotFoundError

logger = logging.getLogger("ckpt")


#: Maximum time for which a saver that no writer needs any more is expected to close.
_CLOSING_SECONDS = 10.0
#: The checkpoint that this process has loaded or committed last, by store.
last_known: dict[str, str] = {}


class Saver(_checkpointer.Checkpointer):
    """The checkpointer of one store, which all writers of this process share."""

    _shared: weakref.WeakValueDictionary[Any, Saver] = weakref.WeakValueDictionary()
    _sharing = threading.Lock()
    _locks: dict[str, threading.Lock] = {}
    _opened: set[str] = set()

    @classmethod
    def lock_of(cls, path: str) -> threading.Lock:
        """Held while a thread gets the saver of a store, and asks for a checkpoint: another may close it."""
        with cls._sharing:
            return cls._locks.setdefault(os.path.realpath(path), threading.Lock())

    @classmethod
    def of(cls, path: str, options: Mapping[str, Any], goes_on: bool = True) -> Saver:
        """The saver of a store; it is open until no writer needs it.

        Args:
            goes_on: whether what a new one saves follows what this process knows last.
        """
        key = (os.path.realpath(path), tuple(sorted(options.items())))
        with cls._sharing:
            saver = cls._shared.get(key)
            if saver is None or not saver._finalizer.alive:
                os.makedirs(os.path.dirname(key[0]), exist_ok=True)
                saver = cls._shared[key] = cls._open(path, key[0], options)
                # The parts of a rank follow each other; a root follows what is known last.
                is_part = os.path.basename(os.path.dirname(key[0])) == "ranks"
                if is_part or goes_on:
                    saver._go_on_from("latest" if is_part else last_known.get(key[0]))
            return saver

    @classmethod
    def _open(cls, path: str, real_path: str, options: Mapping[str, Any]) -> Saver:
        end = time.monotonic() + (_CLOSING_SECONDS if real_path in cls._opened else 0)
        while True:
            try:
                saver = cls(path, None, **options)
                cls._opened.add(real_path)
                return saver
            except BusyError:
                # The last one may be closing in another thread, which has dropped the last writer.
                if time.monotonic() >= end:
                    raise
                time.sleep(0.01)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lock = threading.Lock()
        # A root has no tensors: they are in the parts of the ranks.
        self._has_warned = True
        self._state_now: tuple[list[Item], dict[str, Any]] = ([], {})
        #: Steps that this checkpointer cannot save again.
        self.steps: set[int] = set()

    def _collect(self) -> tuple[list[Item], dict[str, Any]]:
        return self._state_now

    def _go_on_from(self, reference: Optional[str]) -> None:
        """What is saved continues a checkpoint."""
        if reference is None:
            return
        found = _native.sized(_native.RestoreReport)
        try:
            _native.check(_native.library.ckpt_restore(
                self._handle, _native.text(reference), _native.PARTIAL, found))
            with self.store.open(found.id.decode()) as checkpoint:
                self._sent = dict.fromkeys(checkpoint.objects, b"")
        except NotFoundError:
            pass
        except CheckpointError as error:
            logger.warning("%s begins a new branch of its run: %s", self.store.path, error)

    def submit(
        self, step: int, items: list[Item], values: dict[str, Any], metrics: Optional[Mapping[str, float]] = None
    ) -> Save:
        """Asks for a checkpoint. The items may not change until they are captured."""
        with self._lock:
            self._state_now = items, values
            self.steps.add(step)
            try:
                return self.save(step, metrics)
            finally:
                self._state_now = [], {}

    def release(self) -> None:
        """Drops the references to tensors that are saved."""
        with self._lock:
            self._send([], {})
            self._release()

    def remove_unnamed(self, root: str) -> None:
        """Deletes the parts in this store whose root is gone, or was never committed.

        A part that is younger than the newest root may belong to a save that goes on.
        """
        with Store(root) as store:
            roots = store._entries()
        if not roots or any("error" in entry for entry in roots):
            return
        steps = {entry["step"] for entry in roots}
        newest = max(entry["created_ms"] for entry in roots) / 1000
        for part in self.store.checkpoints():
            if part.step not in steps and part.created < newest:
                try:
                    self.store.remove(part.id, force=True)
                except CheckpointError as error:
                    logger.warning("the part of step %d in %s was not deleted: %s", part.step, self.store.path, error)
