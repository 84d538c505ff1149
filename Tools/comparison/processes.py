"""Runs one job in a process of its own, with a time limit, and collects what it has measured."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import tempfile
import time
from typing import Any, Mapping, Optional, Sequence

from .redaction import last_line

OK, FAILED, CRASHED, TIMED_OUT = "ok", "failed", "crashed", "timed out"

#: Time for a process to end after it has measured everything.
GRACE_SECONDS = 20.0
_POLL_SECONDS = 0.02


@dataclasses.dataclass
class Outcome:
    """The result of a job."""

    status: str
    #: What the process did last.
    phase: str
    #: Why it is not OK; or, if it is, a remark or nothing.
    message: str
    seconds: float
    #: Everything measured, in order, by name of the figure.
    values: dict[str, list[Any]]


def run(
    command: Sequence[str], job: Mapping[str, Any], environment: Mapping[str, str], limit: float,
    grace: float = GRACE_SECONDS,
) -> Outcome:
    """Runs a job.

    Args:
        command: the runner; the path of the job is added.
        job: the job, without `output`.
        environment: the environment of the process.
        limit: seconds after which the process is killed, with all processes that it has started.
        grace: seconds for the process to end after its last figure.
    """
    with tempfile.TemporaryDirectory(prefix="ckpt-compare-") as folder:
        output, errors = os.path.join(folder, "output"), os.path.join(folder, "errors")
        path = os.path.join(folder, "job.json")
        with open(path, "w") as file:
            json.dump({**job, "output": output}, file)
        start = time.monotonic()
        with open(errors, "wb") as error_file:
            process = subprocess.Popen(
                [*command, path], env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=error_file, start_new_session=True)
            try:
                code = _wait(process, output, start + limit, grace)
            finally:
                _end(process)
        seconds = time.monotonic() - start
        record = _read(output)
        with open(errors, errors="replace") as file:
            text = file.read()
    status, message = _judge(code, record, text, limit, grace)
    return Outcome(status, record.phase, message, seconds, record.values)


def _wait(process: subprocess.Popen[bytes], output: str, deadline: float, grace: float) -> Optional[int]:
    """The exit code; None if the process was still running at the deadline, or long after its last figure."""
    end_seen: Optional[float] = None
    while True:
        code = process.poll()
        now = time.monotonic()
        if code is not None:
            return code
        if now >= deadline or (end_seen is not None and now >= end_seen + grace):
            return None
        if end_seen is None and _read(output).ended:
            end_seen = now
        time.sleep(_POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and all that it has started: they have a session of their own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


@dataclasses.dataclass
class _Record:
    """What the process has written so far."""

    phase: str = "start"
    ended: bool = False
    error: str = ""
    values: dict[str, list[Any]] = dataclasses.field(default_factory=dict)


def _read(output: str) -> _Record:
    record = _Record()
    try:
        with open(output) as file:
            lines = file.readlines()
    except FileNotFoundError:
        lines = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            # The process has died while it wrote this line.
            continue
        record.phase = entry.get("phase", record.phase)
        record.error = record.error or entry.get("error", "")
        record.ended = record.ended or entry.get("end", False)
        if "name" in entry:
            record.values.setdefault(entry["name"], []).append(entry["value"])
    return record


def _judge(code: Optional[int], record: _Record, text: str, limit: float, grace: float) -> tuple[str, str]:
    if record.ended:
        if code is None:
            return OK, f"the process did not end by itself within {grace:g} s"
        return OK, "" if code == 0 else f"the process ended with {_code(code)}"
    if code is None and record.error:
        return FAILED, record.error
    if code is None:
        return TIMED_OUT, f"nothing within {limit:g} s"
    if code < 0 and not record.error:
        last = last_line(text)
        return CRASHED, f"{_code(code)}: {last}" if last else _code(code)
    if code == 0:
        return FAILED, "the process ended before everything was measured"
    return FAILED, record.error or last_line(text) or _code(code)


def _code(code: int) -> str:
    return f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
