"""Checkpoints of Lightning in a store.

    from ckpt.lightning import CkptIO

    trainer = lightning.Trainer(plugins=[CkptIO()], callbacks=[ModelCheckpoint(save_top_k=2, save_last=True)])
    trainer.fit(module, ckpt_path="last")

The bytes lie in the directory `ckpt-store` beside the files that Lightning names. Such a file is a
line of JSON that says which checkpoint of the store it is; it appears when the checkpoint is
committed. Training goes on meanwhile: parameters and optimizer state are not copied, and the next
step of an optimizer waits until they are captured.

`LightningModule.load_from_checkpoint` does not ask a `CheckpointIO`; for weights alone use
`module.load_state_dict(CkptIO().load_checkpoint(path)["state_dict"])`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
from typing import Any, Optional, Union

from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from ._checkpointer import Save
from ._states import load_state, save_state
from ._store import Store
from .dcp._saver import Saver, last_known
from .errors import BusyError, NotFoundError

_STORE = "ckpt-store"
_KIND = "ckpt pointer"

Path = Union[str, "os.PathLike[str]"]


class CkptIO(TorchCheckpointIO):
    """A `CheckpointIO` over a store. Files of `torch.save` are read as before.

    Args:
        options: those of `ckpt.Checkpointer`, such as `compression`. Retention is that of
            `ModelCheckpoint`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self._options = options
        self._savers: dict[str, Saver] = {}
        self._steps: dict[str, int] = {}
        #: Saves whose file does not exist yet, by the file's path, and removals.
        self._pending: list[tuple[str, concurrent.futures.Future[None]]] = []
        #: Removes checkpoints one after the other: that waits for the disk. Made when it is needed, as
        #: a plugin may be pickled.
        self._remover: Optional[concurrent.futures.ThreadPoolExecutor] = None
        #: Checkpoints that no file stands for any more, by store; a save in flight may still use one.
        self._unnamed: dict[str, set[str]] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Path, storage_options: Optional[Any] = None) -> None:
        """Asks for a checkpoint, and returns. A failure is raised by the next call, or by `teardown`."""
        if storage_options is not None:
            raise TypeError("CkptIO takes no storage_options")
        self._raise_failures()
        path = os.path.abspath(path)
        directory = os.path.dirname(path)
        store = os.path.join(directory, _STORE)
        step = max(int(checkpoint.get("global_step", 0)), self._last_step(store) + 1)
        metrics: dict[str, float] = {key: float(checkpoint[key]) for key in ("global_step", "epoch") if key in checkpoint}
        self._savers[store], save = save_state(store, step, checkpoint, metrics, **self._options)
        self._steps[store] = step
        self._pending.append((path, self._when_committed(save, path, store, self._start_remover())))

    def _last_step(self, store: str) -> int:
        if store not in self._steps:
            try:
                with Store(store) as found:
                    self._steps[store] = max(found.all_steps(), default=-1)
            except NotFoundError:
                self._steps[store] = -1
        return self._steps[store]

    def load_checkpoint(
        self, path: Path, map_location: Any = None, weights_only: Optional[bool] = None, **options: Any
    ) -> dict[str, Any]:
        self._finish(os.path.abspath(path))
        pointer = _pointer(path)
        if pointer is None:
            found: dict[str, Any] = super().load_checkpoint(os.fspath(path), map_location, weights_only, **options)
            return found
        directory = os.path.join(os.path.dirname(os.path.realpath(path)), _STORE)
        # What is saved next continues this checkpoint.
        last_known[os.path.realpath(directory)] = pointer
        with Store(directory) as store:
            return load_state(store.open(pointer), map_location)

    def remove_checkpoint(self, path: Path) -> None:
        self._finish(os.path.abspath(path))
        pointer = _pointer(path)
        if pointer is None or os.path.islink(path):
            super().remove_checkpoint(os.fspath(path))
            return
        os.unlink(path)
        store = os.path.join(os.path.dirname(os.path.abspath(path)), _STORE)
        self._pending.append(("", self._start_remover().submit(self._remove, store, pointer)))

    def _start_remover(self) -> concurrent.futures.ThreadPoolExecutor:
        if self._remover is None:
            self._remover = concurrent.futures.ThreadPoolExecutor(1, "ckpt-remove")
        return self._remover

    def _remove(self, store: str, id: Optional[str]) -> None:
        """Deletes a checkpoint, and those that could not be deleted before."""
        unnamed = self._unnamed.setdefault(store, set())
        if id is not None:
            unnamed.add(id)
        saver = self._savers.get(store)
        with contextlib.ExitStack() as stack:
            opened = saver.store if saver is not None else stack.enter_context(Store(store, "w"))
            for found in list(unnamed):
                with contextlib.suppress(BusyError):
                    with contextlib.suppress(NotFoundError):
                        opened.remove(found, force=True)
                    unnamed.discard(found)

    def _when_committed(
        self, save: Save, path: str, store: str, remover: concurrent.futures.ThreadPoolExecutor,
    ) -> concurrent.futures.Future[None]:
        """Writes the file that stands for a checkpoint, when the checkpoint exists."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def write(committed: concurrent.futures.Future[Any]) -> None:
            try:
                before = None if os.path.islink(path) else _pointer(path)
                _write_pointer(path, committed.result().id, save.step)
                if before is None:
                    done.set_result(None)
                else:
                    _follow(remover.submit(self._remove, store, before), done)
            except BaseException as error:
                done.set_exception(error)

        save.committed.add_done_callback(write)
        return done

    def _finish(self, path: Optional[str] = None) -> None:
        """Waits for the saves of a file; None means all, and removals."""
        chosen = [entry for entry in self._pending if path is None or entry[0] == path]
        self._pending = [entry for entry in self._pending if entry not in chosen]
        concurrent.futures.wait([future for _, future in chosen])
        for _, future in chosen:
            future.result()

    def _raise_failures(self) -> None:
        done = [entry for entry in self._pending if entry[1].done()]
        self._pending = [entry for entry in self._pending if entry not in done]
        for _, future in done:
            future.result()

    def teardown(self) -> None:
        """Waits for the saves in flight, and lets other processes write to the store."""
        try:
            self._finish()
        finally:
            if self._remover is not None:
                self._remover.shutdown()
                self._remover = None
            for saver in self._savers.values():
                saver.close()
            self._savers.clear()
        # A save relies on its checkpoint for a moment longer than its file takes to appear.
        for store in [store for store, unnamed in self._unnamed.items() if unnamed]:
            with contextlib.suppress(BusyError):
                self._remove(store, None)
        super().teardown()


def _follow(one: concurrent.futures.Future[None], other: concurrent.futures.Future[None]) -> None:
    """Gives a future the outcome of another one."""
    def finish(ended: concurrent.futures.Future[None]) -> None:
        error = ended.exception()
        if error is None:
            other.set_result(None)
        else:
            other.set_exception(error)

    one.add_done_callback(finish)


def _write_pointer(path: str, id: str, step: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(json.dumps({"kind": _KIND, "id": id, "step": step}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".tmp", path)


def _pointer(path: Path) -> Optional[str]:
    """The id of the checkpoint that a file stands for; None if it is another file."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(4096))
        return str(found["id"]) if found["kind"] == _KIND else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


__all__ = ["CkptIO"]
