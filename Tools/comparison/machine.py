"""What the report says about the machine: nothing that identifies it."""

from __future__ import annotations

import os
import platform
import re


def describe(directory: str) -> dict[str, object]:
    """CPU, cores, memory, kernel and file system.

    Args:
        directory: where checkpoints are written.
    """
    return {
        "cpu": _cpu(), "cores": len(os.sched_getaffinity(0)), "memory_bytes": _memory("MemTotal"),
        "kernel": _version(platform.release()), "system": platform.system(),
        "file_system": file_system(directory, _mounts()), "python": platform.python_version(),
    }


def available_bytes() -> int:
    """Memory that can be used without swapping."""
    return _memory("MemAvailable")


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            found = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.machine()


def _memory(name: str) -> int:
    try:
        with open("/proc/meminfo") as file:
            found = re.search(rf"^{name}:\s*(\d+) kB", file.read(), re.MULTILINE)
    except OSError:
        found = None
    return int(found.group(1)) * 1024 if found else 0


def _version(release: str) -> str:
    """The numbers of a version, without what a vendor has added."""
    found = re.match(r"[\d.]+", release)
    return found.group(0).rstrip(".") if found else release


def _mounts() -> str:
    try:
        with open("/proc/self/mountinfo") as file:
            return file.read()
    except OSError:
        return ""


def file_system(directory: str, mounts: str) -> str:
    """The type of the file system that a directory is on.

    Args:
        directory: the directory.
        mounts: the text of /proc/self/mountinfo.
    """
    real = os.path.realpath(directory)
    best, kind = "", "unknown"
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = fields[4]
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        # Of two mounts at one place the later one is visible.
        if inside and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind
