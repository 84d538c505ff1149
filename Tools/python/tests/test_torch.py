"""Training loops of PyTorch, on the CPU."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import unittest

import numpy as np

import ckpt

from .support import TestCase

try:
    import torch
    from torch import nn

    from ckpt.torch import Checkpointer
except ImportError:
    if "torch" in os.environ.get("CKPT_REQUIRE", "").split(","):
        raise
    raise unittest.SkipTest("torch is not installed") from None


class Loop:
    """A small training run that uses all the random generators."""

    def __init__(self, optimizer: str = "adamw", scheduler: bool = True) -> None:
        torch.manual_seed(3)
        random.seed(4)
        np.random.seed(5)
        self.model = nn.Sequential(
            nn.Linear(16, 32), nn.BatchNorm1d(32), nn.Dropout(0.2), nn.ReLU(), nn.Linear(32, 1))
        parameters = self.model.parameters()
        makers = {
            "adamw": lambda: torch.optim.AdamW(parameters, lr=1e-2),
            "adamw-fused": lambda: torch.optim.AdamW(parameters, lr=1e-2, fused=True, amsgrad=True),
            "adam-tensor-lr": lambda: torch.optim.Adam(parameters, lr=torch.tensor(1e-2), foreach=False, capturable=False),
            "sgd": lambda: torch.optim.SGD(parameters, lr=1e-2, momentum=0.9),
            "sgd-plain": lambda: torch.optim.SGD(parameters, lr=1e-2),
            "adagrad": lambda: torch.optim.Adagrad(parameters, lr=1e-2),
            "adafactor": lambda: torch.optim.Adafactor(parameters, lr=1e-2),
            "rmsprop": lambda: torch.optim.RMSprop(parameters, lr=1e-3, centered=True),
            "nadam": lambda: torch.optim.NAdam(parameters, lr=1e-3),
            "lbfgs": lambda: torch.optim.LBFGS(parameters, lr=1e-2, max_iter=2, history_size=3),
        }
        self.optimizer = makers[optimizer]()
        self.scheduler = torch.optim.lr_scheduler.SequentialLR(
            self.optimizer,
            [torch.optim.lr_scheduler.LinearLR(self.optimizer, 0.1, total_iters=5),
             torch.optim.lr_scheduler.MultiStepLR(self.optimizer, [3, 8])], [5]) if scheduler else None

    def step(self) -> float:
        inputs = torch.randn(8, 16) * random.random() + np.random.rand()
        target = inputs.sum(1, keepdim=True)

        def closure() -> torch.Tensor:
            self.optimizer.zero_grad()
            loss = ((self.model(inputs) - target) ** 2).mean()
            loss.backward()
            return loss

        loss = self.optimizer.step(closure)
        if self.scheduler:
            self.scheduler.step()
        return loss.item()

    def saver(self, path: str, **options: object) -> Checkpointer:
        return Checkpointer(
            path, model=self.model, optimizer=self.optimizer, scheduler=self.scheduler, **options)

    def state(self) -> list[bytes]:
        tensors = list(self.model.state_dict().values())
        for state in self.optimizer.state.values():
            tensors += [value for _, value in sorted(state.items()) if isinstance(value, torch.Tensor)]
        return [tensor.detach().reshape(-1).view(torch.uint8).numpy().tobytes() for tensor in tensors]


class ResumeTests(TestCase):
    def test_a_resumed_run_equals_the_uninterrupted_one(self) -> None:
        for optimizer in ("adamw", "adamw-fused", "adam-tensor-lr", "sgd", "sgd-plain", "adagrad", "adafactor", "rmsprop",
                          "nadam", "lbfgs"):
            with self.subTest(optimizer):
                path = f"{self.path}-{optimizer}"
                has_scheduler = optimizer != "adam-tensor-lr"
                whole = Loop(optimizer, has_scheduler)
                expected = [whole.step() for _ in range(14)]

                first = Loop(optimizer, has_scheduler)
                with first.saver(path) as saver:
                    self.assertIsNone(saver.resume())
                    losses = [first.step() for _ in range(7)]
                    saver.save(7, {"loss": losses[-1]})
                    first.step()

                second = Loop(optimizer, has_scheduler)
                torch.randn(9)
                with second.saver(path) as saver:
                    self.assertEqual(saver.resume().step, 7)
                    losses += [second.step() for _ in range(7)]
                    saver.save(14)
                self.assertEqual(losses, expected)
                self.assertEqual(second.state(), whole.state())

                # Back in the same process, into state that exists.
                with second.saver(path) as saver:
                    pointer = second.model[0].weight.data_ptr()
                    saver.restore(7)
                    self.assertEqual(second.model[0].weight.data_ptr(), pointer)
                    self.assertEqual([second.step() for _ in range(7)], expected[7:])

    def test_a_killed_run_resumes_bit_exactly(self) -> None:
        text = """
            import os, signal, sys, threading
            from tests.test_torch import Loop
            end = float(sys.argv[2])
            loop = Loop("adamw-fused")
            saver = loop.saver(sys.argv[1], keep_last=3)
            report = saver.resume()
            start = report.step if report else 0
            if end: threading.Timer(end, os.kill, (os.getpid(), signal.SIGKILL)).start()
            for step in range(start, 100):
                loop.step()
                saver.save(step + 1)
            saver.close()
            print(hash(tuple(loop.state())))
        """
        os.environ["PYTHONHASHSEED"] = "0"
        self.addCleanup(os.environ.pop, "PYTHONHASHSEED")
        expected = self.program(text, 0)
        self.assertEqual(expected.returncode, 0, expected.stderr)
        self.path += "-killed"
        generator = random.Random(12)
        kills = 0
        for _ in range(3):
            outcome = self.program(text, generator.uniform(0.05, 0.5))
            kills += outcome.returncode == -signal.SIGKILL
        self.assertGreater(kills, 0)
        last = self.program(text, 0)
        self.assertEqual((last.returncode, last.stdout), (0, expected.stdout), last.stderr)

    def test_a_mismatch_changes_nothing(self) -> None:
        loop = Loop()
        with loop.saver(self.path) as saver:
            loop.step()
            saver.save(1)
        other = Loop()
        other.model.append(nn.Linear(1, 1))
        before = other.state()
        with other.saver(self.path) as saver:
            with self.assertRaisesRegex(ckpt.MismatchError, r"model\.5\.weight"):
                saver.resume()
            self.assertEqual((other.state(), len(other.optimizer.state)), (before, 0))
            report = saver.resume(strict=False)
            self.assertEqual((report.missing_count, report.unused_count), (2, 0))
        self.assertEqual(other.model[0].weight.tolist(), loop.model[0].weight.tolist())

    def test_a_model_that_has_lost_a_layer(self) -> None:
        loop = Loop()
        with loop.saver(self.path) as saver:
            loop.step()
            saver.save(1)
        other = Loop()
        del other.model[4]
        other.optimizer = torch.optim.AdamW(other.model.parameters())
        with Checkpointer(self.path, model=other.model, optimizer=other.optimizer) as saver:
            self.assertGreater(saver.resume(strict=False).unused_count, 0)
        self.assertEqual(other.model[0].weight.tolist(), loop.model[0].weight.tolist())
        self.assertEqual(other.optimizer.state[other.model[0].weight]["step"], 1)

    def test_other_parameter_groups(self) -> None:
        model = nn.Linear(3, 2)
        with Checkpointer(self.path, model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.5)) as saver:
            saver.save(1)
        groups = [{"params": [model.bias], "lr": 1}, {"params": [model.weight]}]
        with Checkpointer(self.path, model=model, optimizer=torch.optim.SGD(groups, lr=0.5)) as saver:
            with self.assertRaisesRegex(ckpt.MismatchError, r"the parameter groups of optimizer \(2\) differ from those"):
                saver.resume()

    def test_several_models_and_optimizers_and_extra_state(self) -> None:
        def make() -> tuple:
            torch.manual_seed(1)
            models = {"g": nn.Linear(40, 40), "d": nn.Linear(40, 1)}
            optimizers = {name: torch.optim.Adam(model.parameters()) for name, model in models.items()}
            average = torch.optim.swa_utils.AveragedModel(models["g"])
            return models, optimizers, average

        models, optimizers, average = make()
        with Checkpointer(self.path, model=models, optimizer=optimizers, extra={"ema": average, "tokens": 12}) as saver:
            for step in range(3):
                models["d"](models["g"](torch.randn(4, 40))).mean().backward()
                for optimizer in optimizers.values():
                    optimizer.step()
                average.update_parameters(models["g"])
            saver.save(3)
        again = make()
        with Checkpointer(self.path, model=again[0], optimizer=again[1], extra={"ema": again[2], "tokens": 0}) as saver:
            report = saver.resume()
        self.assertEqual(report.objects["extra.tokens"], 12)
        for name in models:
            self.assertTrue(torch.equal(models[name].weight, again[0][name].weight))
            first, second = optimizers[name].state[models[name].weight], again[1][name].state[again[0][name].weight]
            self.assertTrue(all(torch.equal(first[key], second[key]) for key in first))
        self.assertTrue(torch.equal(average.module.weight, again[2].module.weight))
        self.assertEqual(average.n_averaged, again[2].n_averaged)

    def test_modules_with_unusual_state(self) -> None:
        class Odd(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.tied = nn.Linear(5, 5, bias=False)
                self.other = nn.Linear(5, 5, bias=False)
                self.other.weight = self.tied.weight
                self.brain = nn.Parameter(torch.randn(7, dtype=torch.bfloat16))
                self.scalar = nn.Parameter(torch.tensor(2.5))
                self.image = nn.Parameter(torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last))
                self.register_buffer("empty", torch.zeros(0, 3))
                self.register_buffer("cache", torch.zeros(9), persistent=False)
                self.fp8 = nn.Parameter(torch.randn(8).to(torch.float8_e4m3fn), requires_grad=False)
                self.count = 0

            def get_extra_state(self) -> dict:
                return {"count": self.count}

            def set_extra_state(self, state: dict) -> None:
                self.count = state["count"]

        torch.manual_seed(1)
        odd = Odd()
        odd.count = 5
        with Checkpointer(self.path, model=odd) as saver:
            saver.save(1)
        torch.manual_seed(2)
        again = Odd()
        with Checkpointer(self.path, model=again) as saver:
            saver.resume()
        self.assertEqual(again.count, 5)
        self.assertEqual(again.tied.weight.data_ptr(), again.other.weight.data_ptr())
        for (name, first), second in zip(odd.named_parameters(), again.parameters()):
            self.assertTrue(torch.equal(first.view(-1).float() if first.dim() else first, second.view(-1).float() if second.dim() else second)
                            if first.is_contiguous() else torch.equal(first, second), name)
        self.assertTrue(again.image.is_contiguous(memory_format=torch.channels_last))
        with ckpt.Store(self.path) as store:
            self.assertNotIn("model.cache", store.open())
            self.assertEqual(store.open()["model.brain"].torch().tolist(), odd.brain.tolist())
            self.assertTrue(torch.equal(torch.from_dlpack(store.open()["model.brain"]), odd.brain.detach()))


class FenceTests(TestCase):
    class Fill(torch.optim.Optimizer):
        """Sets all parameters to the number of the step."""

        def __init__(self, parameters: object) -> None:
            super().__init__(parameters, {"count": 0})

        def step(self, closure: object = None) -> None:
            for group in self.param_groups:
                group["count"] += 1
                for parameter in group["params"]:
                    parameter.data.fill_(group["count"])

    def check_steps(self, is_fenced: bool) -> int:
        """Returns the number of checkpoints that are not of their step alone."""
        parameters = nn.ParameterList(nn.Parameter(torch.zeros(1 << 20)) for _ in range(8))
        optimizer = self.Fill(parameters)
        generator = random.Random()
        path = f"{self.path}-{is_fenced}"
        wrong = 0
        with Checkpointer(path, model=parameters, optimizer=optimizer, fence_on_step=is_fenced, compression="none",
                          arena_bytes=8 << 20) as saver:
            for step in range(1, 9):
                optimizer.step()
                save = saver.save(step)
                time.sleep(generator.uniform(0, 0.004))
                optimizer.step()
                optimizer.param_groups[0]["count"] -= 1
                save.result(60)
        with ckpt.Store(path) as store:
            for step in range(1, 9):
                values = {float(value) for tensor in store.open(step).values() for value in tensor.torch().unique()}
                wrong += values != {float(step)}
        return wrong

    def test_every_step_of_an_optimizer_is_a_fence(self) -> None:
        self.assertEqual(self.check_steps(True), 0)
        self.assertGreater(self.check_steps(False), 0)

    def test_an_error_in_a_step_leaves_no_fence(self) -> None:
        loop = Loop("sgd")
        with loop.saver(self.path) as saver:
            loop.step()

            def fail() -> torch.Tensor:
                raise ZeroDivisionError

            with self.assertRaises(ZeroDivisionError):
                loop.optimizer.step(fail)
            saver.save(1).result(60)

    def test_buffers_are_those_of_the_call(self) -> None:
        model = nn.BatchNorm1d(1 << 18)
        with Checkpointer(self.path, model=model) as saver:
            for step in range(1, 5):
                model.running_mean.fill_(step)
                save = saver.save(step)
                model.running_mean.fill_(-1)
                save.result(60)
        with ckpt.Store(self.path) as store:
            for step in range(1, 5):
                mean = store.open(step)["model.running_mean"].torch()
                self.assertTrue(bool((mean == step).all()))

    def test_optimizers_that_the_saver_does_not_know(self) -> None:
        model = nn.Linear(1 << 10, 1 << 10)
        with Checkpointer(self.path, model=model, compression="none") as saver:
            unknown = self.Fill(model.parameters())
            saver.save(1)
            unknown.step()
            stranger = self.Fill([nn.Parameter(torch.zeros(3))])
            self.assertEqual((saver._groups_of(unknown), saver._groups_of(stranger)), ([None], []))
            saver.save(2).result(60)

    def test_state_that_is_replaced_is_seen(self) -> None:
        loop = Loop("adamw", scheduler=False)
        with loop.saver(self.path) as saver:
            loop.step()
            saver.save(1)
            loop.optimizer.load_state_dict(loop.optimizer.state_dict())
            loop.step()
            saver.save(2)
            expected = loop.model[0].weight.tolist()
            loop.model.to(torch.float64)
            saver.save(3)
        with ckpt.Store(self.path) as store:
            self.assertEqual(store.open(2)["model.0.weight"].torch().tolist(), expected)
            self.assertEqual(store.open(3)["model.0.weight"].dtype, "f64")

    def test_wrapper_tensors_are_taken_apart_or_refused(self) -> None:
        from torch.testing._internal.two_tensor import TwoTensor

        model = nn.Module()
        model.pair = nn.Parameter(TwoTensor(torch.randn(4), torch.randn(4)))
        with Checkpointer(self.path, model=model, rng=False) as saver:
            saver.save(1)
        with ckpt.Store(self.path) as store:
            self.assertEqual(list(store.open()), ["model.pair.a", "model.pair.b"])
        fake = nn.Linear(3, 3, device="meta")
        with Checkpointer(self.path + "2", model=fake) as saver:
            with self.assertRaisesRegex((TypeError, NotImplementedError), "meta"):
                saver.save(1)

    def test_references_are_held_while_a_save_reads(self) -> None:
        outcome = self.program("""
            import sys, torch
            from ckpt.torch import Checkpointer
            model = torch.nn.Linear(3000, 3000)
            saver = Checkpointer(sys.argv[1], model=model, compression="none", bytes_per_second=100 << 20)
            for step in range(5):
                saver.save(step)
                model.weight = torch.nn.Parameter(torch.randn(3000, 3000))
            saver.save(9)
            del model
        """)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)
        with ckpt.Store(self.path) as store:
            store.open(9).verify()

    def test_data_loader_workers_are_harmless(self) -> None:
        outcome = self.program("""
            import sys, torch
            from ckpt.torch import Checkpointer
            from torch.utils.data import DataLoader, TensorDataset
            model = torch.nn.Linear(2000, 2000)
            saver = Checkpointer(sys.argv[1], model=model, compression="none")
            step = 0
            for epoch in range(2):
                for batch, in DataLoader(TensorDataset(torch.randn(20, 4)), batch_size=4, num_workers=2):
                    step += 1
                    saver.save(step)
            saver.close()
            print(step)
        """)
        self.assertEqual((outcome.returncode, outcome.stdout), (0, "10\n"), outcome.stderr)


if __name__ == "__main__":
    unittest.main()
