"""What the tests share: a directory each, and programs that run in a process of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class TestCase(unittest.TestCase):
    """A test with a temporary directory, in which the store `self.path` may be made."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="ckpt-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.path = os.path.join(self.directory, "store")

    def program(self, text: str, *arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs a program of Python with `sys.argv[1]` as the path of the store."""
        environment = {**os.environ, "PYTHONPATH": PACKAGE, "PYTHONFAULTHANDLER": "1"}
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(text), self.path, *map(str, arguments)],
            env=environment, capture_output=True, text=True, timeout=timeout)
