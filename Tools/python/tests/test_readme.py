"""The code of README.md."""

from __future__ import annotations

import importlib.util
import os
import re

from .support import PACKAGE, TestCase

PRELUDE = """
import sys, os
os.chdir(os.path.dirname(sys.argv[1]))
"""
TORCH = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.AdamW(model.parameters())
scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
steps = 40
def train_step():
    loss = (model(torch.randn(8, 4)) ** 2).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step(); scheduler.step()
    return loss.item()
"""


class ReadmeTests(TestCase):
    def test_its_code_runs(self) -> None:
        pages = [os.path.join(PACKAGE, "README.md"), os.path.join(PACKAGE, "..", "..", "README.md")]
        docs = os.path.join(PACKAGE, "docs")
        pages += [os.path.join(docs, name) for name in sorted(os.listdir(docs))]
        for page in pages:
            with open(page, encoding="utf-8") as file:
                text = file.read()
            blocks = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
            self.assertTrue(blocks or page.endswith("troubleshoot.md"), page)
            for block in blocks:
                modules = set(re.findall(r"^(?:import|from) (\w+)", block, re.M)) | ({"torch"} if "torch" in block else set())
                if any(importlib.util.find_spec(name) is None for name in modules):
                    continue
                with self.subTest(page=os.path.basename(page), block=block.splitlines()[0]):
                    outcome = self.program(PRELUDE + (TORCH if "torch" in block else "") + block, timeout=300)
                    self.assertEqual(outcome.returncode, 0, outcome.stderr)
