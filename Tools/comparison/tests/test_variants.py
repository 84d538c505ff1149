from __future__ import annotations

import unittest

from ..variants import NAMES, variant


class VariantTests(unittest.TestCase):
    def test_sizes(self) -> None:
        self.assertAlmostEqual(variant("gpt2").nbytes / 1e9, 1.49, places=2)
        self.assertEqual(variant("gpt2").tensor_count, 444)
        self.assertAlmostEqual(variant("bf16").nbytes / 1e9, 1.74, places=2)
        self.assertEqual(variant("small").tensor_count, 20_001)
        self.assertAlmostEqual(variant("shape").nbytes / 1e9, 3.05, places=2)

    def test_of_lora_two_percent_change(self) -> None:
        found = variant("lora")
        self.assertAlmostEqual(found.changed_bytes / found.nbytes, 0.02, delta=0.003)

    def test_scale(self) -> None:
        for name in NAMES:
            found = variant(name, 0.01)
            self.assertLess(found.nbytes, variant(name).nbytes / 20)
            self.assertTrue(all(all(size > 0 for size in entry.shape) for entry in found.parameters))
            self.assertEqual(len({entry.name for entry in found.parameters}), len(found.parameters))
