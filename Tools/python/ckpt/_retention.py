"""Which checkpoints stay."""

from __future__ import annotations

import ctypes
import dataclasses
import logging
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, Union

from . import _native
from .errors import BusyError, CheckpointError

if TYPE_CHECKING:
    from ._store import Store

logger = logging.getLogger("ckpt")

#: A rule for the best checkpoints, with its count.
_BEST = re.compile(r".+:[1-9][0-9]*(:min|:max)?", re.DOTALL)

#: Time between two removals beside a trainer: each reads all manifests.
_PAUSE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class PruneReport:
    """What a prune has removed, or in a dry run would."""

    kept_count: int
    removed_count: int
    #: Number that no rule keeps, but that a reader or a save in flight uses.
    in_use_count: int
    freed_bytes: int


@dataclasses.dataclass(frozen=True)
class Retention:
    """Rules for the checkpoints of each run to keep. One stays if at least one rule keeps it.

    The newest intact checkpoint of each run, and those with a tag or pin, always stay.

    Attributes:
        keep_last: keeps the newest N.
        keep_every: keeps the first one of every K steps.
        keep_seconds: keeps those made at most this long before the newest.
        keep_best: keeps the best by a metric: "loss:3" the three with the smallest, "accuracy:1:max" the one
            with the largest; "loss" is "loss:1". One text or several.
    """

    keep_last: Optional[int] = None
    keep_every: Optional[int] = None
    keep_seconds: Optional[float] = None
    keep_best: Union[str, Sequence[str]] = ()

    def __post_init__(self) -> None:
        numbers = (self.keep_last, self.keep_every)
        if any(number is not None and number < 1 for number in numbers):
            raise ValueError("keep_last and keep_every must be at least 1")
        if self.keep_seconds is not None and not self.keep_seconds > 0:
            raise ValueError("keep_seconds must be more than 0")
        for text in self._best():
            if not _BEST.fullmatch(text):
                raise ValueError(f'keep_best is {text!r}, not "METRIC", "METRIC:COUNT" or "METRIC:COUNT:max"')

    def _best(self) -> list[str]:
        texts = [self.keep_best] if isinstance(self.keep_best, str) else list(self.keep_best)
        return [text if ":" in text else f"{text}:1" for text in texts]

    def _structure(self) -> _native.Retention:
        rules = _native.sized(_native.Retention)
        rules.keep_last, rules.keep_every = self.keep_last or 0, self.keep_every or 0
        rules.keep_seconds = self.keep_seconds or 0
        best = [_native.text(text) for text in self._best()]
        rules.keep_best, rules.keep_best_count = (ctypes.c_char_p * max(len(best), 1))(*best), len(best)
        return rules

    def prune(self, store: Store, dry_run: bool = False) -> PruneReport:
        """Removes what no rule keeps."""
        rules = self._structure()
        found = _native.sized(_native.PruneReport)
        _native.check(
            _native.library.ckpt_store_prune(store._handle, ctypes.byref(rules), int(dry_run), ctypes.byref(found)))
        return PruneReport(found.kept_count, found.removed_count, found.in_use_count, found.freed_bytes)


class Pruner:
    """A thread that applies rules after saves have been committed: at most once a minute, and at the end."""

    def __init__(self, store: Store, rules: Retention) -> None:
        self._store, self._rules = store, rules
        self._changed = threading.Condition()
        self._waits: list[Callable[[], Any]] = []
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="ckpt-pruner", daemon=True)
        self._thread.start()

    def after(self, wait: Callable[[], Any]) -> None:
        """Has the rules applied after a save.

        Args:
            wait: returns when it has ended.
        """
        with self._changed:
            self._waits.append(wait)
            self._changed.notify_all()

    def close(self) -> None:
        """Applies the rules for the last time. All saves have ended."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waits or self._is_closing)
                waits, self._waits = self._waits, []
                is_last = self._is_closing
            for wait in waits:
                wait()
            self._prune(is_last)
            if is_last:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._is_closing, timeout=_PAUSE_SECONDS)

    def _prune(self, is_last: bool) -> None:
        for attempt in range(10 if is_last else 1):
            try:
                report = self._rules.prune(self._store)
            except BusyError:
                # Another process removes or repacks; the next time comes.
                time.sleep(0.1 if is_last else 0)
                continue
            except CheckpointError as error:
                logger.warning("checkpoints that are not to be kept cannot be removed: %s", error)
                return
            # A save relies on the checkpoint before it for a moment after it is committed.
            if not report.in_use_count or not is_last:
                return
            time.sleep(0.1)


__all__ = ["PruneReport", "Pruner", "Retention"]
