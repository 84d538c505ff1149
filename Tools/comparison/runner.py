"""The process that measures one peer: `python -m comparison.runner JOB`, a file of JSON.

Writes one line of JSON per figure to the file `output` of the job, so that what was measured before a
crash is kept. A line is {"phase": name}, {"name": figure, "value": value}, {"error": message} or {"end": true}.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import warnings
from typing import Any, Optional

from . import disk, loop, machine
from .redaction import redact

#: Number of restores of a kind per process.
RESTORES = 2


class Runner:
    """Measures what a job asks for.

    Args:
        job: the job.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self._output = open(job["output"], "a", buffering=1)
        self._phase("import")
        self.peer: Any = _load(job["peer"])()
        make_state = _load(job["state"])
        self._phase("build the state")
        self.state: Any = make_state(_variant(job), job["threads"])
        self.passes = job["passes"]

    def _line(self, **entry: Any) -> None:
        self._output.write(json.dumps(entry) + "\n")

    def _phase(self, name: str) -> None:
        self._line(phase=name)

    def _value(self, name: str, value: Any) -> None:
        self._line(name=name, value=value)

    def run(self) -> None:
        """Carries the job out."""
        getattr(self, self.job["task"])()
        self._line(end=True)

    # ------------------------------------------------------------------ tasks

    def calibrate(self) -> None:
        """Finds how many passes a computation of the wanted time has."""
        self._phase("calibrate")
        self.state.compute(1)
        start = time.perf_counter()
        count = 0
        while count < 3 or time.perf_counter() - start < self.job["compute_seconds"]:
            self.state.compute(1)
            count += 1
        one = (time.perf_counter() - start) / count
        self._value("passes", max(1, round(self.job["compute_seconds"] / one)))

    def save(self) -> None:
        """Measures saves."""
        job, state, peer = self.job, self.state, self.peer
        self._phase("prepare")
        peer.prepare(state, job["directory"])
        self._phase("first save")
        found = loop.saved(peer, state, 1, self.passes, 1)
        self._value("first_blocked", found.blocked)
        step = 1
        last: Optional[int] = None
        for _ in range(job["rounds"]):
            step += 1
            self._phase("steps without a save")
            base = loop.steps(state, self.passes, job["steps"])
            digest = state.digest()
            self._phase("save")
            found = loop.saved(peer, state, step, self.passes, job["steps"])
            self._value("step", base)
            if found.durable is None:
                self._value("skipped", step)
                continue
            self._value("blocked", found.blocked)
            self._value("blocked_call", found.call)
            self._value("blocked_waits", found.waits)
            self._value("stall", found.loop - found.steps * base)
            self._value("complete", found.complete)
            self._value("durable", found.durable)
            last = step
        if last is not None:
            self._value("saved", {"step": last, "digest": digest})
        self._phase("a save at every step")
        base = loop.steps(state, self.passes, job["every"])
        every = loop.every_step(peer, state, step + 1, self.passes, job["every"])
        self._value("every_step", every.seconds / (job["every"] * base))
        self._value("every_step_done", every.done / every.requested)
        self._phase("close")
        peer.close()

    def restore(self) -> None:
        """Measures restores of one save."""
        peer, state, step = self.peer, self.state, self.job["step"]
        self._phase("open")
        state.clear()
        peer.open(state, self.job["directory"])
        paths = disk.files_of(peer.path(step))
        self._phase("first restore")
        self._value("restore_first", self._restore())
        for kind in ("warm", "cold"):
            for _ in range(RESTORES):
                self._phase(f"restore, {kind}")
                self._cache(kind, paths)
                self._value(f"restore_{kind}", self._restore())
                if kind == "cold":
                    self._value("cached_before_cold", self._cached)
                self._value("equal", state.digest() == self.job["digest"])
        name = _middle(state)
        expected = state.digest_of(name)
        for kind in ("warm", "cold"):
            for _ in range(RESTORES):
                self._phase(f"restore one tensor, {kind}")
                self._cache(kind, paths)
                start = time.perf_counter()
                value = peer.restore_one(step, name)
                self._value(f"one_{kind}", time.perf_counter() - start)
                self._value("one_equal", state.digest_of(name, value) == expected)
                del value
        self._value("one_bytes", len(state.memory(name)))
        self._phase("close")
        peer.close()

    def _cache(self, kind: str, paths: list[str]) -> None:
        """Brings the files into the page cache, or out of it."""
        gc.collect()
        if kind == "warm":
            # A store may hold more saves than the cache. What this restore needs, the one before has read.
            if sum(map(os.path.getsize, paths)) < machine.available_bytes() / 2:
                disk.load_into_cache(paths)
        else:
            disk.evict(paths)
            self._cached = disk.cached_share(paths)

    def _restore(self) -> float:
        self.state.clear()
        start = time.perf_counter()
        self.peer.restore(self.job["step"])
        return time.perf_counter() - start

    def _flip(self, paths: list[str]) -> str:
        for path, place in disk.damage_places(paths):
            gc.collect()
            with disk.flipped_byte(path, place):
                try:
                    self._restore()
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:
                    # That of DCP is no Exception.
                    return "noticed: " + _first_line(error)
                if self.state.digest() != self.job["digest"]:
                    return "wrong values, no error"
        return "no effect at the places that were tried"

    def successive(self) -> None:
        """Measures the disk space of successive checkpoints, one update apart."""
        self._phase("prepare")
        self.peer.prepare(self.state, self.job["directory"])
        for step in range(1, self.job["checkpoints"] + 1):
            self._phase(f"checkpoint {step} of {self.job['checkpoints']}")
            with self.peer.fence():
                self.state.update()
            start = time.perf_counter()
            handle = self.peer.save(step)
            if handle is None:
                raise RuntimeError(f"the save of step {step} was skipped")
            loop.Watch(self.peer, handle, step, start).join()
            self._value("stored", disk.stored_bytes(self.job["directory"]))
        self._value("saved", {"step": self.job["checkpoints"], "digest": self.state.digest()})
        self._phase("close")
        self.peer.close()
        self._value("stored_at_end", disk.stored_bytes(self.job["directory"]))

    def damage(self) -> None:
        """Flips one byte in the files of the only save of a directory, and restores it."""
        peer, state = self.peer, self.state
        self._phase("open")
        peer.open(state, self.job["directory"])
        self._phase("restore with a flipped byte")
        self._value("flip", self._flip(disk.files_of(peer.path(self.job["step"]))))
        self._phase("close")
        peer.close()

    def codec(self) -> None:
        """Measures a compressor on every tensor of the state."""
        self._phase("compress")
        stored = 0
        compress = decompress = 0.0
        for name, tensor in self.state.tensors.items():
            # A codec may change the buffer that it compresses.
            data = bytearray(self.state.memory(name))
            dtype = str(getattr(tensor, "dtype", "float32")).removeprefix("torch.")
            start = time.perf_counter()
            packed = self.peer.compress(data, dtype)
            middle = time.perf_counter()
            unpacked = self.peer.decompress(packed)
            end = time.perf_counter()
            compress, decompress = compress + middle - start, decompress + end - middle
            stored += len(packed)
            if self.state.digest_of(name, unpacked) != self.state.digest_of(name):
                raise RuntimeError(f"{name} differs after decompression")
        self._value("codec_stored", stored)
        self._value("codec_compress", compress)
        self._value("codec_decompress", decompress)
        self._value("equal", True)


def _middle(state: Any) -> str:
    """The tensor whose size is closest to one percent of the state."""
    names: list[str] = list(state.tensors)
    return min(names, key=lambda name: abs(len(state.memory(name)) - state.nbytes / 100))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return redact(f"{type(error).__name__}: {lines[0]}")[:300] if lines else type(error).__name__


def _variant(job: dict[str, Any]) -> Any:
    from .variants import variant

    return variant(job["variant"], job["scale"])


def _load(source: str) -> Any:
    """A class by "module:class"."""
    module, name = source.split(":")
    return getattr(importlib.import_module(module), name)


def main() -> None:
    """Runs the job whose file is the first argument."""
    warnings.filterwarnings("ignore")
    with open(sys.argv[1]) as file:
        job = json.load(file)
    try:
        Runner(job).run()
    except BaseException as error:
        # What threads and destructors print afterwards would hide it.
        with open(job["output"], "a") as output:
            output.write(json.dumps({"error": _first_line(error)}) + "\n")
        raise


if __name__ == "__main__":
    main()
