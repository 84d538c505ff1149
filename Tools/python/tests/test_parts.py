"""Parts of the package that decide something, without a store."""

from __future__ import annotations

import array
import os
import subprocess
import sys
import threading
import unittest
from typing import Any

import numpy

from ckpt import errors
from ckpt._memory import BY_DLPACK, _exports, dlpack_capsule
from ckpt._retention import Pruner, PruneReport, Retention

from .support import PACKAGE, TestCase

try:
    import torch

    from ckpt._lent_plan import LentPlan
    from ckpt.torch import _item
except ImportError:
    torch = None  # type: ignore[assignment]


@unittest.skipIf(torch is None, "needs PyTorch")
class LentPlanTests(unittest.TestCase):
    def setUp(self) -> None:
        self.tensors: list[Any] = [torch.zeros(3, 4), torch.zeros(5), "not lent"]
        self.keys = ["a", "b", "c"]
        items = [_item(key, tensor, 0, "") for key, tensor in zip(self.keys[:2], self.tensors)]
        self.owner = object()
        self.plan = LentPlan(self.keys, self.tensors, [*items, None], [self.owner])

    def fits(self, tensors: Any = None, keys: Any = None, owners: Any = None) -> bool:
        return self.plan.fits(keys or list(self.keys), tensors or list(self.tensors), owners or [self.owner])

    def test_the_same(self) -> None:
        self.assertTrue(self.fits())
        self.tensors[0].add_(1)
        self.assertTrue(self.fits())

    def test_others(self) -> None:
        self.assertFalse(self.fits(tensors=[self.tensors[0].clone(), *self.tensors[1:]]))
        self.assertFalse(self.fits(tensors=self.tensors[:2]))
        self.assertFalse(self.fits(tensors=[*self.tensors[:2], "other"]))
        self.assertFalse(self.fits(keys=["a", "b", "d"]))
        self.assertFalse(self.fits(owners=[object()]))

    def test_the_same_object_that_has_changed(self) -> None:
        changes: list[Any] = [
            lambda tensor: tensor.set_(torch.zeros(3, 4)),            # another memory
            lambda tensor: tensor.t_(),                               # other strides, the same memory
            lambda tensor: tensor.resize_(4, 3),                      # another shape, the same memory
            lambda tensor: setattr(tensor, "data", tensor.data.view(torch.int32)),  # another type, the same memory
        ]
        for change in changes:
            with self.subTest(change=change):
                self.setUp()
                self.assertTrue(self.fits())
                change(self.tensors[0])
                self.assertFalse(self.fits())


@unittest.skipIf(torch is None, "needs PyTorch")
class BenchmarkTests(TestCase):
    def test_each_runs(self) -> None:
        for arguments in (["step_times.py", "--rounds", "1", "--bytes", "4000000"], ["many_tensors.py", "--rounds", "1"]):
            program, *options = arguments
            found = subprocess.run(
                [sys.executable, os.path.join(PACKAGE, "benchmarks", program), self.directory, *options],
                env={**os.environ, "PYTHONPATH": PACKAGE}, capture_output=True, text=True, timeout=120)
            self.assertEqual(found.returncode, 0, found.stderr)
            self.assertRegex(found.stdout, r"\d ms")


class CapsuleTests(unittest.TestCase):
    def capsule(self) -> Any:
        data = array.array("d", [1, 2, 3])
        return dlpack_capsule(data.buffer_info()[0], BY_DLPACK[2, 64], (3,), data)

    def test_one_that_nobody_takes_is_released(self) -> None:
        before = dict(_exports)
        found = self.capsule()
        self.assertEqual(len(_exports), len(before) + 1)
        del found
        self.assertEqual(_exports, before)

    def test_one_that_is_taken_lives_as_long_as_its_consumer(self) -> None:
        class Producer:
            def __init__(self, capsule: Any) -> None:
                self.capsule = capsule

            def __dlpack_device__(self) -> tuple[int, int]:
                return (1, 0)

            def __dlpack__(self, **_: Any) -> Any:
                return self.capsule

        before = dict(_exports)
        producer = Producer(self.capsule())
        taken = numpy.from_dlpack(producer)  # type: ignore[arg-type]
        del producer
        self.assertEqual(len(_exports), len(before) + 1)
        self.assertEqual(list(taken), [1, 2, 3])
        del taken
        self.assertEqual(_exports, before)


class Rules(Retention):
    """Counts how often it is applied, and fails as told."""

    def __init__(self, outcomes: list[Any]) -> None:
        super().__init__(keep_last=1)
        object.__setattr__(self, "outcomes", outcomes)
        object.__setattr__(self, "applied", threading.Semaphore(0))
        object.__setattr__(self, "count", 0)

    def prune(self, store: Any, dry_run: bool = False) -> PruneReport:
        object.__setattr__(self, "count", self.count + 1)  # type: ignore[attr-defined]
        outcome = self.outcomes.pop(0) if self.outcomes else PruneReport(1, 0, 0, 0)  # type: ignore[attr-defined]
        self.applied.release()  # type: ignore[attr-defined]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]


class PrunerTests(unittest.TestCase):
    def test_rules_are_applied_when_the_save_has_ended_and_at_the_end(self) -> None:
        rules: Any = Rules([])
        pruner = Pruner(None, rules)  # type: ignore[arg-type]
        ended = threading.Event()
        pruner.after(lambda: ended.wait(20))
        self.assertFalse(rules.applied.acquire(timeout=0.2))
        ended.set()
        self.assertTrue(rules.applied.acquire(timeout=20))
        # The next time is after a minute, or at the end.
        pruner.after(lambda: None)
        self.assertFalse(rules.applied.acquire(timeout=0.2))
        pruner.close()
        self.assertEqual(rules.count, 2)

    def test_another_process_that_removes_is_waited_for_at_the_end(self) -> None:
        rules: Any = Rules([errors.BusyError("busy"), errors.BusyError("busy"), PruneReport(1, 0, 1, 0)])
        Pruner(None, rules).close()  # type: ignore[arg-type]
        # Twice busy, once with a checkpoint in use, and then done.
        self.assertEqual(rules.count, 4)

    def test_a_failure_is_told_and_ends_nothing(self) -> None:
        rules: Any = Rules([errors.StorageError("the disk is gone")])
        pruner = Pruner(None, rules)  # type: ignore[arg-type]
        with self.assertLogs("ckpt", "WARNING") as logged:
            pruner.close()
        self.assertIn("the disk is gone", logged.output[0])


if __name__ == "__main__":
    unittest.main()
