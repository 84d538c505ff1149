"""The programs of Examples/PyTorch: what a killed one goes on with is what an uninterrupted one has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unittest

from .support import PACKAGE, TestCase

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

EXAMPLES = os.path.join(PACKAGE, "..", "..", "Examples", "PyTorch")


@unittest.skipIf(torch is None, "torch is not installed")
class ExampleTests(TestCase):
    def run_example(self, name: str, *arguments: str, world: int = 0) -> tuple[int, dict[int, float]]:
        """Runs an example, and returns its exit code and the losses by step."""
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)] if world else []
        # An installed package, such as a wheel, comes first where CKPT_INSTALLED says so.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCHELASTIC_LOG_LEVEL": "ERROR"}
        if "CKPT_INSTALLED" not in environment:
            environment["PYTHONPATH"] = PACKAGE
        outcome = subprocess.run(
            [sys.executable, *launcher, os.path.join(EXAMPLES, name), *arguments], env=environment,
            capture_output=True, text=True, timeout=200, cwd=self.directory)
        lines = [line.split() for line in outcome.stdout.splitlines()]
        losses = {int(line[0]): float.fromhex(line[1]) for line in lines if len(line) == 2 and line[0].isdigit()}
        self.assertTrue(losses, outcome.stderr)
        return outcome.returncode, losses

    def test_one_process_goes_on_bit_for_bit(self) -> None:
        code, whole = self.run_example("train.py", self.path)
        self.assertEqual((code, sorted(whole)), (0, list(range(1, 61))))
        for at in 5, 30:
            path = f"{self.path}-{at}"
            code, killed = self.run_example("train.py", path, str(at))
            self.assertEqual((code, max(killed)), (-signal.SIGKILL, at))
            code, rest = self.run_example("train.py", path)
            self.assertEqual((code, max(rest)), (0, 60))
            self.assertLessEqual(min(rest), at + 1)
            self.assertEqual(rest, {step: whole[step] for step in rest})
            self.assertEqual(killed, {step: whole[step] for step in killed})

    def test_processes_that_share_a_model_go_on_with_any_number(self) -> None:
        """2 to 2 is bit for bit; 2 to 1 and 1 to 2 add up gradients in another order."""
        whole: dict[int, dict[int, float]] = {}
        for world in 1, 2:
            code, whole[world] = self.run_example("train_fsdp.py", f"{self.path}-{world}", world=world)
            self.assertEqual((code, sorted(whole[world])), (0, list(range(1, 61))))
        for first, second in (2, 2), (2, 1), (1, 2):
            path = f"{self.path}-{first}-{second}"
            code, killed = self.run_example("train_fsdp.py", path, "30", world=first)
            self.assertNotEqual(code, 0)
            self.assertEqual(max(killed), 30)
            code, rest = self.run_example("train_fsdp.py", path, world=second)
            self.assertEqual((code, max(rest)), (0, 60))
            # That during which it was killed, or one before it that was in flight, too.
            self.assertIn(min(rest), (16, 21, 26, 31))
            for step, loss in rest.items():
                if first == second:
                    self.assertEqual(loss, whole[2][step], step)
                else:
                    self.assertAlmostEqual(loss / whole[1][step], 1, places=3, msg=str(step))


if __name__ == "__main__":
    unittest.main()
