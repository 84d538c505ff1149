from __future__ import annotations

import socket
import unittest

from ..redaction import last_line, redact


class RedactionTests(unittest.TestCase):
    def test_paths_lose_their_directories(self) -> None:
        self.assertEqual(
            redact("cannot open '/srv/runs/step-3/data.pt': no"), "cannot open '.../data.pt': no")
        self.assertEqual(redact("in /srv/store/"), "in .../")

    def test_relative_paths_ratios_and_words_stay(self) -> None:
        for text in ("step-3/data.pt", "3/4 of them", "0/state/model.wte", "and/or"):
            self.assertEqual(redact(text), text)

    def test_addresses_and_the_host_are_removed(self) -> None:
        self.assertEqual(redact("from https://index.example.org/simple/x failed"), "from https://... failed")
        host = socket.gethostname()
        if len(host) > 2:
            self.assertEqual(redact(f"on {host}: no"), "on HOST: no")

    def test_the_last_line_that_says_something(self) -> None:
        self.assertEqual(last_line("first\nERROR: /a/b/c failed\n\n"), "ERROR: .../c failed")
        self.assertEqual(last_line(" \n"), "")
