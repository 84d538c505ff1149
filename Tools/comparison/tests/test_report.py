"""The reports of a recorded small sample."""

from __future__ import annotations

import copy
import json
import os
import re
import unittest
import xml.etree.ElementTree as ElementTree
from typing import Any

from .. import markdown, page, tables
from ..summary import Spread, summarize

SAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sample.json")


def sample() -> dict[str, Any]:
    with open(SAMPLE) as file:
        results: dict[str, Any] = json.load(file)
    return results


class TextTests(unittest.TestCase):
    def test_times(self) -> None:
        self.assertEqual(tables.seconds(Spread(0.0123, 0.0101, 0.02, 3)), "12.3 ms (10.1 to 20.0)")
        self.assertEqual(tables.seconds(Spread(1.5, 0.5, 12.25, 3)), "1.50 s (0.500 to 12.2)")
        self.assertEqual(tables.seconds(Spread(0.5, 0.5, 0.5, 1)), "500 ms")
        self.assertEqual(tables.seconds(None), "-")

    def test_sizes_and_ratios(self) -> None:
        self.assertEqual(tables.size(1_493_000_000), "1.49 GB")
        self.assertEqual(tables.size(12), "12 B")
        self.assertEqual(tables.factor(1234.5), "1,234x")
        self.assertEqual(tables.factor(None), "-")


class ReportTests(unittest.TestCase):
    def setUp(self) -> None:
        self.results = sample()

    def test_markdown_has_a_row_per_peer_and_consistent_columns(self) -> None:
        text = markdown.render(self.results)
        for name in ("ckpt", "torch-save", "dcp-async", "write-fsync"):
            self.assertRegex(text, rf"(?m)^\| {name} \|")
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            self.assertEqual(len({row.count("|") - row.count("\\|") for row in block.splitlines()}), 1, block)

    def test_ratios_come_from_the_samples(self) -> None:
        variant = self.results["variants"][0]
        blocked = {"torch-save": [2.0], "dcp-async": [0.5], "ckpt": [0.001]}
        for run in variant["runs"]:
            if run["task"] == "save":
                run["values"]["blocked"] = blocked.get(run["peer"], [1.0])
        table = tables.saving(variant, summarize(variant, self.results["peers"]))
        row = next(row for row in table.rows if row[0] == "ckpt")
        self.assertEqual(table.rows[0], row)
        self.assertEqual(row[7:9], ("2,000x", "500x"))
        self.assertEqual(row[6], f"{tables.number(variant['bytes'] / 0.001 / 1e9)} GB/s")
        self.assertIn("(dcp-async)", table.columns[8])

    def test_failures_wrong_bytes_and_missing_peers_are_listed(self) -> None:
        results = copy.deepcopy(self.results)
        results["problems"] = {"moonclip": "not installed: no matching distribution"}
        for run in results["variants"][0]["runs"]:
            if run["peer"] == "dcp-async" and run["task"] == "restore":
                run["values"]["equal"][0] = False
            if run["peer"] == "torch-save" and run["task"] == "restore":
                run.update(status="timed out", message="nothing within 9 s", phase="restore, warm", values={})
        for text in (markdown.render(results), page.render(results)):
            self.assertIn("not installed: no matching distribution", text)
            self.assertIn("dcp-async (WRONG BYTES)", text)
            self.assertIn("restore, restore, warm: timed out: nothing within 9 s", text)
            self.assertIn(">NO<" if "<html" in text else "| NO |", text)

    def test_the_page_needs_nothing_else(self) -> None:
        text = page.render(self.results)
        self.assertNotRegex(text, r"(src|href)=|https?://|@import|url\(")
        self.assertIn("prefers-color-scheme: dark", text)
        plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
        self.assertGreaterEqual(len(plots), 7)
        for plot in plots:
            root = ElementTree.fromstring(plot)
            for rect in root.iter("rect"):
                self.assertGreaterEqual(float(rect.get("width") or 0), 1)
                self.assertLess(float(rect.get("x") or 0) + float(rect.get("width") or 0), 620)
        self.assertNotIn("nan", "".join(plots).lower())

    def test_the_page_escapes_texts(self) -> None:
        self.results["problems"] = {"x": "<script>alert(1)</script>"}
        self.assertNotIn("<script>", page.render(self.results))

    def test_names_versions_rules_and_what_is_missing(self) -> None:
        for text in (markdown.render(self.results), page.render(self.results)):
            for part in (self.results["date"], self.results["machine"]["cpu"], "2 cores", "ext4", "ckpt 0.2.0", "fsync",
                         "Not measured", "DIRECTORY"):
                self.assertIn(part, text)

    def test_a_variant_without_runs_can_be_shown(self) -> None:
        self.results["variants"][0]["runs"] = []
        self.assertIn("gpt2", markdown.render(self.results))
        self.assertIn("gpt2", page.render(self.results))


class NegativeStallTests(unittest.TestCase):
    def test_a_negative_median_has_a_bar(self) -> None:
        results = sample()
        for run in results["variants"][0]["runs"]:
            if "stall" in run["values"]:
                run["values"]["stall"] = [-0.01]
        for plot in re.findall(r"<svg.*?</svg>", page.render(results), re.DOTALL):
            ElementTree.fromstring(plot)
