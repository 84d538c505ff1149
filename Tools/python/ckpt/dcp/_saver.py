"""The checkpointer behind the writers of a process."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Any, Mapping, Optional

from .. import _checkpointer, _native
from .._checkpointer import Item, Save
from .._store import Store
from ..errors import CheckpointError, NotFoundError

logger = logging.getLogger("ckpt")


#: The checkpoint that this process has loaded last, by store.
loaded: dict[str, str] = {}


class Saver(_checkpointer.Checkpointer):
    """The checkpointer of one store, which all writers of this process share."""

    _shared: weakref.WeakValueDictionary[Any, Saver] = weakref.WeakValueDictionary()
    _sharing = threading.Lock()

    @classmethod
    def of(cls, path: str, options: Mapping[str, Any]) -> Saver:
        """The saver of a store; it is open until no writer needs it."""
        key = (os.path.realpath(path), tuple(sorted(options.items())))
        with cls._sharing:
            saver = cls._shared.get(key)
            if saver is None or not saver._finalizer.alive:
                os.makedirs(os.path.dirname(key[0]), exist_ok=True)
                saver = cls._shared[key] = cls(path, None, **options)
                # The parts of a rank follow each other; a root follows what was loaded.
                is_part = os.path.basename(os.path.dirname(key[0])) == "ranks"
                saver._go_on_from("latest" if is_part else loaded.get(key[0]))
            return saver

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lock = threading.Lock()
        self._state_now: tuple[list[Item], dict[str, Any]] = ([], {})
        #: Steps that this checkpointer cannot save again.
        self.steps: set[int] = set()

    def _collect(self) -> tuple[list[Item], dict[str, Any]]:
        return self._state_now

    def _go_on_from(self, reference: Optional[str]) -> None:
        """What is saved continues the checkpoint that this process has loaded."""
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
