"""Runs of fake peers."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import unittest
import unittest.mock
from typing import Any

from .. import peers
from ..command import Comparison
from ..environment import TOOLS

ENVIRONMENT = {**os.environ, "PYTHONPATH": TOOLS}
COMMAND = (sys.executable, "-m", "comparison.runner")
STATE = "comparison.tests.fakes:ByteState"
SETTINGS = {
    "repeats": 1, "scale": 0.001, "threads": 1, "limit": 30.0, "compute_seconds": 0.001, "rounds": 1, "steps": 1,
    "every": 2, "checkpoints": 3, "damage": True, "fill_cache": False}


def fake(name: str, kind: str = peers.ASYNC) -> peers.Entry:
    """The entry of a fake peer."""
    return peers.Entry(name.lower(), f"the fake {name}", kind, f"comparison.tests.fakes:{name}")


class TestCase(unittest.TestCase):
    """A test with a directory of its own."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="ckpt-compare-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        quiet = unittest.mock.patch("comparison.command.say")
        quiet.start()
        self.addCleanup(quiet.stop)

    def compare(self, *entries: peers.Entry, **settings: Any) -> dict[str, Any]:
        """The results of peers on the variant gpt2."""
        comparison = Comparison(self.directory, {**SETTINGS, **settings}, entries, COMMAND, ENVIRONMENT, STATE)
        try:
            comparison.run("gpt2")
        finally:
            comparison.close()
        return {
            "variants": comparison.variants, "problems": {}, "date": "2026-01-02", "command": "Tools/compare",
            "machine": {"cpu": "a CPU", "cores": 2, "memory_bytes": 8e9, "system": "Linux", "kernel": "6.1",
                        "file_system": "ext4", "python": "3.11.0"},
            "versions": {"ckpt": "1.2.3"}, "settings": {**SETTINGS, **settings},
            "peers": [{"name": entry.name, "title": entry.title, "kind": entry.kind} for entry in entries]}
