"""The training loop, with and without saves, and the clocks around it."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any, Optional

from . import disk
from .peers.base import Peer, State

#: Maximum number of steps for which a loop waits for a save to become durable.
MOST_STEPS = 60


class Watch:
    """Waits in a thread until a save is durable, and fsyncs its files if the peer does not.

    Args:
        peer: the peer.
        handle: what its `save` has returned.
        step: the step that was saved.
        start: when the save was requested.
    """

    def __init__(self, peer: Peer, handle: Any, step: int, start: float) -> None:
        #: Seconds from the request until the peer says that the save is complete, and until it is durable.
        self.complete = self.durable = 0.0
        self._error: Optional[BaseException] = None

        def run() -> None:
            try:
                peer.wait(handle)
                self.complete = time.perf_counter() - start
                if not peer.fsyncs:
                    disk.sync(peer.path(step))
                self.durable = time.perf_counter() - start
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, name=f"durable-{step}", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the save is durable or has failed."""
        return not self._thread.is_alive()

    def join(self) -> None:
        """Waits until the save is durable; raises its error."""
        self._thread.join()
        if self._error is not None:
            raise self._error


@dataclasses.dataclass
class Saved:
    """A loop around one save. Times are in seconds."""

    #: The call of `save`.
    call: float
    #: All waits before updates.
    waits: float
    #: The loop.
    loop: float
    steps: int
    #: From the request; None if the peer has skipped the save.
    complete: Optional[float]
    durable: Optional[float]

    @property
    def blocked(self) -> float:
        """Time for which training was blocked by the save."""
        return self.call + self.waits


def steps(state: State, passes: int, count: int) -> float:
    """Trains without saving.

    Returns:
        Seconds per step.
    """
    start = time.perf_counter()
    for _ in range(count):
        state.compute(passes)
        state.update()
    return (time.perf_counter() - start) / count


def _step(peer: Peer, state: State, passes: int) -> float:
    """One step of training; returns the seconds for which it waited before the update."""
    state.compute(passes)
    start = time.perf_counter()
    with peer.fence():
        waited = time.perf_counter() - start
        state.update()
    return waited


def saved(peer: Peer, state: State, step: int, passes: int, least: int) -> Saved:
    """Saves once, and trains until the save is durable.

    Args:
        least: minimum number of steps.
    """
    start = time.perf_counter()
    handle = peer.save(step)
    call, waits = time.perf_counter() - start, 0.0
    watch = None if handle is None else Watch(peer, handle, step, start)
    count = 0
    while count < least or (watch is not None and not watch.done and count < MOST_STEPS):
        waits += _step(peer, state, passes)
        count += 1
    loop = time.perf_counter() - start
    if watch is None:
        return Saved(call, waits, loop, count, None, None)
    watch.join()
    return Saved(call, waits, loop, count, watch.complete, watch.durable)


@dataclasses.dataclass
class EveryStep:
    """A loop that saves at every step, until the last save is durable."""

    seconds: float
    requested: int
    done: int


def every_step(peer: Peer, state: State, first: int, passes: int, count: int) -> EveryStep:
    """Saves before every step.

    Args:
        first: the first step that is saved.
        count: number of steps.
    """
    start = time.perf_counter()
    watches = []
    for step in range(first, first + count):
        requested = time.perf_counter()
        handle = peer.save(step)
        if handle is not None:
            watches.append(Watch(peer, handle, step, requested))
        _step(peer, state, passes)
    for watch in watches:
        watch.join()
    return EveryStep(time.perf_counter() - start, count, len(watches))
