"""What a person who had only the documentation stumbled over."""

from __future__ import annotations

import logging
import os
import time
import unittest
from typing import Any

import numpy as np

import ckpt
from .support import TestCase

try:
    import torch

    import ckpt.torch
except ImportError:
    torch = None  # type: ignore[assignment]


class ArraySurprises(TestCase):
    def test_scalars_of_numpy_come_back(self) -> None:
        state: dict[str, Any] = {"w": np.ones(3), "best": np.float64(0.25), "n": np.int64(7), "on": np.bool_(True)}
        with ckpt.Checkpointer(self.path, state) as saver:
            saver.save(1).wait()
        again: dict[str, Any] = {"w": np.zeros(3), "best": np.float64(9), "n": np.int64(0), "on": np.bool_(False)}
        with ckpt.Checkpointer(self.path, again) as saver:
            saver.resume()
        self.assertEqual((again["best"], again["n"], again["on"]), (0.25, 7, True))
        self.assertIs(type(again["n"]), np.int64)

    def test_two_leaves_with_one_name_are_refused(self) -> None:
        one, two = np.ones(1), np.zeros(1)
        for state in ({"a.b": one, "a": {"b": two}}, {1: one, "1": two}, {"a": {"b": 1}, "a.b": 2}, {"a.b": one, "a": {"b": 2}}):
            with self.assertRaisesRegex(ckpt.MisuseError, "have the name '(a.b|1)'"):
                ckpt.Checkpointer(self.path, state)  # type: ignore[arg-type]
        with ckpt.Checkpointer(self.path, lambda: {"a.b": one, "a": {"b": two}}) as saver:
            with self.assertRaises(ckpt.MisuseError):
                saver.save(1)

    def test_a_value_that_cannot_be_saved_is_told_at_once(self) -> None:
        with self.assertRaisesRegex(TypeError, "f is a builtins.object"):
            ckpt.Checkpointer(self.path, {"w": np.ones(3), "f": object()})

    def test_missing_values_are_a_mismatch(self) -> None:
        with ckpt.Checkpointer(self.path, {"w": np.ones(3), "old": 1}) as saver:
            saver.save(1).wait()
        state = {"w": np.zeros(3), "epoch": 3, "old": 0}
        with ckpt.Checkpointer(self.path, state) as saver:
            with self.assertRaisesRegex(ckpt.MismatchError, "lacks 1 values of the state: epoch"):
                saver.resume()
            self.assertEqual(list(state["w"]), [0, 0, 0])  # type: ignore[call-overload]
            self.assertIsNotNone(saver.resume(strict=False))
        self.assertEqual(state["old"], 1)

    def test_a_run_means_its_own_steps(self) -> None:
        for run, value in (("a", 1.0), ("b", 2.0)):
            with ckpt.Checkpointer(self.path, {"w": np.full(3, value)}, run=run) as saver:
                saver.save(5 if run == "a" else 7).wait()
                saver.save(9).wait()
        state = {"w": np.zeros(3)}
        with ckpt.Checkpointer(self.path, state, run="a") as saver:
            self.assertEqual(saver.all_steps(), [5, 9])
            self.assertEqual(saver.latest_step(), 9)
            for reference in ("latest", 9, "9"):
                state["w"][:] = 0
                saver.restore(reference)
                self.assertEqual(state["w"][0], 1)
            saver.restore(7)
            self.assertEqual(state["w"][0], 2)
        with ckpt.Checkpointer(self.path, state, run="c") as saver:
            self.assertIsNone(saver.latest_step())
            self.assertEqual(saver.all_steps(), [])

    def test_bad_steps_states_and_rules(self) -> None:
        with ckpt.Checkpointer(self.path, {"w": np.ones(3)}) as saver:
            for step in (2**64, 2**63, -1):
                with self.assertRaisesRegex(ValueError, "step is"):
                    saver.save(step)
            with self.assertRaises(TypeError):
                saver.save(1.5)  # type: ignore[arg-type]
            with self.assertRaisesRegex(ValueError, "0.2 is not one of captured"):
                saver.save(1).wait(0.2)  # type: ignore[arg-type]
        for rule in ("loss:max", "loss:0", "loss:1:most", ":1"):
            with self.assertRaisesRegex(ValueError, "keep_best"):
                ckpt.Checkpointer(self.path, {"w": np.ones(3)}, keep_best=rule)
        with self.assertRaisesRegex(ckpt.MisuseError, "the checkpointer is closed"):
            saver.save(2)
        with self.assertRaisesRegex(ckpt.MisuseError, "the checkpointer is closed"):
            saver.fence()

    def test_a_state_without_tensors_is_a_warning(self) -> None:
        with self.assertLogs("ckpt", logging.WARNING) as logged, ckpt.Checkpointer(self.path) as saver:
            saver.save(1).wait()
            saver.save(2).wait()
        self.assertEqual(sum("has no tensors" in line for line in logged.output), 1)

    def test_a_lost_directory_with_another_name_continues_its_run(self) -> None:
        mirror = os.path.join(self.path, "mirror")
        with ckpt.Checkpointer(os.path.join(self.path, "one"), {"w": np.ones(3)}, mirror=mirror) as saver:
            saver.save(3).wait()
            saver.wait_until_mirrored(30)
        state = {"w": np.zeros(3)}
        with ckpt.Checkpointer(os.path.join(self.path, "two"), state, mirror=mirror) as saver:
            report = saver.resume()
            assert report is not None
            self.assertEqual((report.step, report.is_from_mirror), (3, True))
            saver.save(4).wait()
            self.assertEqual(saver.store.open("latest").summary.run, "one")

    def test_a_mirror_out_of_reach_does_not_hold_up_close(self) -> None:
        os.environ.update(AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y", AWS_REGION="us-east-1")
        try:
            store = os.path.join(self.path, "s")
            with ckpt.Checkpointer(store, {"w": np.ones(3)}) as saver:
                saver.save(1).wait()
            try:
                saver = ckpt.Checkpointer(store, {"w": np.ones(3)}, mirror="s3://bucket/s", mirror_seconds=1)
            except ckpt.UnsupportedError:
                self.skipTest("the library has no object storage")
            saver.save(2).wait()
            began = time.monotonic()
            with self.assertLogs("ckpt", logging.WARNING) as logged:
                saver.close()
            self.assertLess(time.monotonic() - began, 20)
            self.assertTrue(any("not everything is in the mirror" in line for line in logged.output), logged.output)
        finally:
            for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
                del os.environ[name]


@unittest.skipIf(torch is None, "needs PyTorch")
class TorchSurprises(TestCase):
    def test_values_in_extra_are_those_of_the_save(self) -> None:
        extra: dict[str, Any] = {"tokens": 0, "seen": [0]}
        model = torch.nn.Linear(2, 2)
        with ckpt.torch.Checkpointer(self.path, model=model, extra=extra) as saver:
            for step in range(1, 3):
                extra["tokens"] += 1000
                extra["seen"].append(step)
                saver.save(step).wait()
        again: dict[str, Any] = {"tokens": 0, "seen": []}
        with ckpt.torch.Checkpointer(self.path, model=model, extra=again) as saver:
            report = saver.resume()
            assert report is not None
            self.assertEqual(report.objects["extra.tokens"], 2000)
        self.assertEqual(again, {"tokens": 2000, "seen": [0, 1, 2]})
        with ckpt.torch.Checkpointer(self.path, model=model, extra={**again, "new": 1}) as saver:
            with self.assertRaisesRegex(ckpt.MismatchError, "extra.new"):
                saver.resume()

    def test_another_kind_of_optimizer_is_a_mismatch(self) -> None:
        model = torch.nn.Linear(2, 2)
        optimizer: Any = torch.optim.AdamW(model.parameters())
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        with ckpt.torch.Checkpointer(self.path, model=model, optimizer=optimizer) as saver:
            saver.save(1).wait()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
        with ckpt.torch.Checkpointer(self.path, model=model, optimizer=optimizer) as saver:
            for strict in (True, False):
                with self.assertRaisesRegex(ckpt.MismatchError, "another kind than SGD"):
                    saver.resume(strict)
        self.assertEqual((optimizer.param_groups[0]["lr"], dict(optimizer.state)), (0.5, {}))

    def test_a_loss_with_a_gradient_is_a_metric(self) -> None:
        model = torch.nn.Linear(2, 2)
        loss = model(torch.ones(1, 2)).sum()
        with ckpt.torch.Checkpointer(self.path, model=model) as saver:
            with self.assertNoLogs("py.warnings") if hasattr(self, "assertNoLogs") else self.subTest():
                saver.save(1, {"loss": loss}).wait()
            self.assertAlmostEqual(saver.store.open(1).summary.metrics["loss"], float(loss.detach()), places=5)


if __name__ == "__main__":
    unittest.main()
