"""Messages without the paths and the name of this machine."""

from __future__ import annotations

import re
import socket

#: An absolute path of at least two parts; its last part is kept.
_PATH = re.compile(r"(?<![\w.:/])/(?:[\w.@+~-]+/)+([\w.@+~-]*)")
_URL = re.compile(r"\b(https?|file)://[^\s'\")]+")


def redact(text: str) -> str:
    """Replaces addresses, leaves only the last part of absolute paths, and removes the name of the machine."""
    text = _URL.sub(r"\1://...", text)
    text = _PATH.sub(r".../\1", text)
    host = socket.gethostname()
    return re.sub(rf"\b{re.escape(host)}\b", "HOST", text) if len(host) > 2 else text


def last_line(text: str) -> str:
    """The last line that says something, without paths, at most 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return redact(lines[-1])[:300] if lines else ""
