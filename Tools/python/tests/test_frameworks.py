"""Adapters of other frameworks, each with the framework itself; those that are missing are skipped."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import textwrap
import unittest
from typing import Any

import ckpt

from .support import PACKAGE, TestCase


def needs(*modules: str) -> Any:
    """Skips a test if one of the modules is not installed, unless CKPT_REQUIRE names it."""
    required = os.environ.get("CKPT_REQUIRE", "").split(",")
    missing = [name for name in modules if importlib.util.find_spec(name) is None and name not in required]
    return unittest.skipIf(missing, f"{', '.join(missing)} is not installed")


class SeveralProcesses(TestCase):
    """A test with programs that several processes run together, as a launcher starts them."""

    def together(self, text: str, world: int, *arguments: object) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        processes = []
        for rank in range(world):
            environment = {
                **os.environ, "PYTHONPATH": PACKAGE, "PYTHONFAULTHANDLER": "1", "OMP_NUM_THREADS": "1", "RANK": str(rank),
                "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                "ACCELERATE_USE_CPU": "1"}
            processes.append(subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(text), self.path, *map(str, arguments)], env=environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        try:
            errors = [process.communicate(timeout=240)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
        for process, error in zip(processes, errors):
            self.assertEqual(process.returncode, 0, error)


@needs("torch", "lightning")
class LightningTests(SeveralProcesses):
    PROGRAM = """
        import os, sys, warnings
        warnings.filterwarnings("ignore")
        os.environ["TQDM_DISABLE"] = "1"
        import logging
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        import lightning as L, torch
        from lightning.pytorch.callbacks import ModelCheckpoint
        from ckpt.lightning import CkptIO

        class Module(L.LightningModule):
            def __init__(self):
                super().__init__()
                self.save_hyperparameters({"width": 4, "names": ("a", "b")})
                self.layers = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
            def training_step(self, batch, index):
                loss = self.layers(batch).pow(2).mean()
                self.log("loss", loss)
                return loss
            def configure_optimizers(self):
                optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
                return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

        def fit(directory, epochs, **options):
            L.seed_everything(1, verbose=False)
            data = torch.utils.data.DataLoader(torch.randn(32, 8), batch_size=8)
            module = Module()
            keep = ModelCheckpoint(dirpath=directory, filename="{epoch}-{step}", monitor="loss", save_top_k=2, save_last=True)
            trainer = L.Trainer(
                max_epochs=epochs, plugins=[CkptIO()], callbacks=[keep], logger=False, enable_progress_bar=False,
                enable_model_summary=False, accelerator="cpu", log_every_n_steps=1)
            trainer.fit(module, data, **options)
            return module, keep, trainer

        path = sys.argv[1]
        whole, _, _ = fit(path + "-whole", 6)
        fit(path, 3)
        resumed, keep, trainer = fit(path, 6, ckpt_path=path + "/last.ckpt")
        for one, other in zip(whole.state_dict().values(), resumed.state_dict().values()):
            assert torch.equal(one, other)
        names = sorted(name for name in os.listdir(path) if name.endswith(".ckpt"))
        assert len(names) == 3 and names[-1] == "last.ckpt", names
        best = CkptIO().load_checkpoint(keep.best_model_path)
        Module().load_state_dict(best["state_dict"])
        assert best["hyper_parameters"]["names"] == ("a", "b"), best["hyper_parameters"]
        import ckpt
        with ckpt.Store(path + "/ckpt-store") as store:
            assert len(store.checkpoints()) == 3, store.checkpoints()
            state = store.open()
            assert "state.state_dict.layers.0.weight" in state, list(state)
    """

    def test_model_checkpoint_resumes_and_removes(self) -> None:
        outcome = self.program(self.PROGRAM, timeout=240)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)

    def test_removals_on_a_slow_disk_take_turns(self) -> None:
        slow = """
        import threading, time
        import ckpt
        remove, turn = ckpt.Store.remove, threading.Lock()

        def slow(self, *arguments, **options):
            if not turn.acquire(blocking=False):
                raise ckpt.BusyError("two removals at the same time")
            try:
                time.sleep(0.1)
                return remove(self, *arguments, **options)
            finally:
                turn.release()

        ckpt.Store.remove = slow
        """
        outcome = self.program(textwrap.dedent(slow) + textwrap.dedent(self.PROGRAM), timeout=240)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)

    def test_processes_that_are_data_parallel(self) -> None:
        program = """
            import os, sys, warnings
            warnings.filterwarnings("ignore")
            import logging
            logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
            import lightning as L, torch
            from lightning.pytorch.callbacks import ModelCheckpoint
            from ckpt.lightning import CkptIO

            class Module(L.LightningModule):
                def __init__(self):
                    super().__init__()
                    self.layer = torch.nn.Linear(8, 1)
                    self.seen = 0.0
                def training_step(self, batch, index):
                    loss = self.layer(batch).pow(2).mean()
                    self.log("loss", loss, sync_dist=True)
                    return loss
                def test_step(self, batch, index):
                    self.seen = float(self.layer.weight.sum())
                def configure_optimizers(self):
                    return torch.optim.AdamW(self.parameters(), lr=0.01)

            def fit(directory, epochs, **options):
                L.seed_everything(1, verbose=False)
                data = torch.utils.data.DataLoader(torch.randn(32, 8), batch_size=4)
                module = Module()
                keep = ModelCheckpoint(dirpath=directory, monitor="loss", save_top_k=2, save_last=True)
                trainer = L.Trainer(
                    max_epochs=epochs, plugins=[CkptIO()], callbacks=[keep], logger=False, enable_progress_bar=False,
                    enable_model_summary=False, accelerator="cpu", strategy="ddp", devices=2, log_every_n_steps=1)
                trainer.fit(module, data, **options)
                return module, trainer, data

            path = sys.argv[1]
            whole, _, _ = fit(path + "-whole", 4)
            fit(path, 2)
            resumed, trainer, data = fit(path, 4, ckpt_path=path + "/last.ckpt")
            for one, other in zip(whole.state_dict().values(), resumed.state_dict().values()):
                assert torch.equal(one, other)
            # On all processes, in the same program.
            trainer.test(resumed, data, ckpt_path="best", verbose=False)
            assert resumed.seen
        """
        self.together(program, 2)


@needs("torch", "accelerate")
class AccelerateTests(SeveralProcesses):
    def test_what_was_prepared_is_saved_and_restored(self) -> None:
        outcome = self.program(
            """
            import sys, torch
            from accelerate import Accelerator
            from ckpt.accelerate import checkpointer

            class Counter:
                def __init__(self): self.n = 0
                def state_dict(self): return {"n": self.n}
                def load_state_dict(self, state): self.n = state["n"]

            def run(path, first, last):
                torch.manual_seed(2)
                accelerator = Accelerator(cpu=True)
                model = torch.nn.Linear(6, 1)
                optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
                scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
                model, optimizer, scheduler = accelerator.prepare(model, optimizer, scheduler)
                counter = Counter()
                accelerator.register_for_checkpointing(counter)
                saver = checkpointer(accelerator, path)
                report = saver.resume()
                assert (report.step if report else 0) == first
                losses = []
                for step in range(first, last):
                    loss = model(torch.randn(4, 6)).pow(2).mean()
                    accelerator.backward(loss)
                    optimizer.step(); scheduler.step(); optimizer.zero_grad()
                    counter.n += 1
                    losses.append(loss.item())
                    saver.save(step + 1)
                saver.close()
                assert counter.n == last
                return losses

            path = sys.argv[1]
            whole = run(path + "-whole", 0, 8)
            assert run(path, 0, 5) + run(path, 5, 8) == whole
            """, timeout=240)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)

    #: Trains in any number of processes: each has its part of the same batches, so that the losses of
    #: one process are the means of those of several, but for rounding.
    DATA_PARALLEL = """
        import sys, torch
        from accelerate import Accelerator
        from ckpt.accelerate import checkpointer

        def run(path, first, last):
            torch.manual_seed(2)
            accelerator = Accelerator(cpu=True)
            model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
            optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
            scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
            model, optimizer, scheduler = accelerator.prepare(model, optimizer, scheduler)
            torch.manual_seed(accelerator.process_index)
            with checkpointer(accelerator, path) as saver:
                report = saver.resume()
                assert (report.step if report else 0) == first, report
                losses = []
                for step in range(first, last):
                    batch = torch.randn(8, 6, generator=torch.Generator().manual_seed(step))
                    with accelerator.split_between_processes(batch) as part:
                        loss = model(part).pow(2).mean()
                    accelerator.backward(loss)
                    optimizer.step(); scheduler.step(); optimizer.zero_grad()
                    losses.append(loss.item())
                    saver.save(step + 1).wait()
            return losses

        path, mode = sys.argv[1:3]
        if mode == "whole":
            whole = run(path + "-whole", 0, 6)
            assert run(path, 0, 4) + run(path, 4, 6) == whole
        else:
            assert len(run(path, int(mode), int(mode) + 2)) == 2
        Accelerator().end_training()
    """

    def test_processes_save_together_and_another_number_resumes(self) -> None:
        self.together(self.DATA_PARALLEL, 2, "whole")
        self.together(self.DATA_PARALLEL, 1, 6)
        self.together(self.DATA_PARALLEL, 2, 8)
        with ckpt.Store(self.path) as store:
            self.assertEqual(store.all_steps(), list(range(1, 11)))


@needs("torch", "transformers", "accelerate")
class HuggingFaceTests(SeveralProcesses):
    def test_a_trainer_resumes_bit_for_bit(self) -> None:
        outcome = self.program(
            """
            import os, sys, torch, warnings
            warnings.filterwarnings("ignore")
            from transformers import TrainingArguments, TrainerCallback
            from ckpt.huggingface import CkptTrainer
            import ckpt

            class Data(torch.utils.data.Dataset):
                def __len__(self): return 24
                def __getitem__(self, index):
                    return {"x": torch.full((4,), float(index)), "labels": torch.tensor([index % 3.0])}

            class Model(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layer, self.drop = torch.nn.Linear(4, 1), torch.nn.Dropout(0.3)
                def forward(self, x, labels):
                    y = self.layer(self.drop(x))
                    return {"loss": (y - labels).pow(2).mean(), "logits": y}

            class Stop(TrainerCallback):
                def on_step_end(self, args, state, control, **_):
                    control.should_training_stop = state.global_step == 7

            def train(path, stops=False, resume=None):
                torch.manual_seed(0)
                arguments = TrainingArguments(
                    output_dir=path, per_device_train_batch_size=4, num_train_epochs=3, save_steps=3, save_strategy="steps",
                    logging_steps=1, report_to=[], use_cpu=True, save_total_limit=2, disable_tqdm=True, seed=7)
                trainer = CkptTrainer(Model(), arguments, train_dataset=Data(), callbacks=[Stop()] if stops else [])
                trainer.train(resume_from_checkpoint=resume)
                return trainer

            path = sys.argv[1]
            whole = train(path + "-whole")
            train(path, stops=True, resume=True)
            resumed = train(path, resume=True)
            assert resumed.state.global_step == 18
            for one, other in zip(whole.model.state_dict().values(), resumed.model.state_dict().values()):
                assert torch.equal(one, other)
            history = lambda trainer: [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
            assert history(whole) == history(resumed), (history(whole), history(resumed))
            with ckpt.Store(path + "/ckpt-store") as store:
                assert store.all_steps()[-1] == 18 and len(store.all_steps()) <= 3, store.all_steps()
            again = train(path, resume=15) if 15 in ckpt.Store(path + "/ckpt-store").all_steps() else resumed
            assert again.state.global_step == 18
            """, timeout=240)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)

    def test_processes_that_are_data_parallel(self) -> None:
        program = """
            import sys, torch, warnings
            warnings.filterwarnings("ignore")
            import accelerate
            from transformers import TrainingArguments, TrainerCallback
            from ckpt.huggingface import CkptTrainer
            import ckpt

            class Data(torch.utils.data.Dataset):
                def __len__(self): return 24
                def __getitem__(self, index):
                    return {"x": torch.full((4,), float(index)), "labels": torch.tensor([index % 3.0])}

            class Model(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layer, self.drop = torch.nn.Linear(4, 1), torch.nn.Dropout(0.3)
                def forward(self, x, labels):
                    y = self.layer(self.drop(x))
                    return {"loss": (y - labels).pow(2).mean(), "logits": y}

            class Stop(TrainerCallback):
                def on_step_end(self, args, state, control, **_):
                    control.should_training_stop = state.global_step == 5

            def train(path, stops=False, resume=None, epochs=3):
                torch.manual_seed(0)
                arguments = TrainingArguments(
                    output_dir=path, per_device_train_batch_size=4, num_train_epochs=epochs, save_steps=2, save_strategy="steps",
                    logging_steps=1, report_to=[], use_cpu=True, save_total_limit=2, disable_tqdm=True, seed=7)
                trainer = CkptTrainer(Model(), arguments, train_dataset=Data(), callbacks=[Stop()] if stops else [])
                trainer.train(resume_from_checkpoint=resume)
                return trainer

            path, mode = sys.argv[1:3]
            if mode == "whole":
                whole = train(path + "-whole")
                train(path, stops=True, resume=True)
                resumed = train(path, resume=True)
                assert resumed.state.global_step == 9, resumed.state.global_step
                for one, other in zip(whole.model.state_dict().values(), resumed.model.state_dict().values()):
                    assert torch.equal(one, other)
                history = lambda trainer: [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
                assert history(whole) == history(resumed), (history(whole), history(resumed))
            else:
                resumed = train(path, resume=True, epochs=int(mode))
                assert resumed.state.global_step == int(sys.argv[3]), resumed.state.global_step
                try:
                    train(path, resume=1000)
                except ckpt.NotFoundError:
                    pass
                else:
                    raise AssertionError
            accelerate.PartialState().destroy_process_group()
        """
        self.together(program, 2, "whole")
        with ckpt.Store(self.path + "/ckpt-store") as store:
            self.assertEqual(store.all_steps()[-1], 9)
        # 24 rows are six steps of one process, or three of two.
        self.together(program, 1, 2, 12)
        self.together(program, 2, 5, 15)


@needs("torch", "torchtitan")
class TorchtitanTests(SeveralProcesses):
    PROGRAM = """
        import os, signal, sys, warnings
        warnings.filterwarnings("ignore")
        import torch, torch.distributed as dist
        from torch.distributed.fsdp import fully_shard
        from torch.distributed.device_mesh import init_device_mesh
        from ckpt.torchtitan import CkptManager

        class Optimizers:
            def __init__(self, parts):
                self.inner = [torch.optim.AdamW(part.parameters(), lr=0.1) for part in parts]
            def state_dict(self):
                from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, StateDictOptions
                options = StateDictOptions(flatten_optimizer_state_dict=True)
                return {k: v for part, one in zip(parts, self.inner) for k, v in get_optimizer_state_dict(part, one, options=options).items()}
            def load_state_dict(self, state):
                from torch.distributed.checkpoint.state_dict import set_optimizer_state_dict, StateDictOptions
                options = StateDictOptions(flatten_optimizer_state_dict=True)
                for part, one in zip(parts, self.inner): set_optimizer_state_dict(part, one, state, options=options)

        class Train:
            step = 0
            def state_dict(self): return {"step": self.step}
            def load_state_dict(self, state): self.step = state["step"]

        dist.init_process_group("gloo")
        torch.manual_seed(1)
        parts = [torch.nn.Linear(6, 6)]
        fully_shard(parts[0], mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
        optimizers, train = Optimizers(parts), Train()
        schedule = torch.optim.lr_scheduler.StepLR(optimizers.inner[0], 2)
        class Schedules:
            state_dict = lambda self: schedule.state_dict()
            load_state_dict = lambda self, state: schedule.load_state_dict(state)

        folder, dies, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
        config = CkptManager.Config(
            enable=True, folder="store", interval=2, keep_latest_k=2, async_mode=mode, last_save_model_only=False)
        manager = config.build(
            dataloader=None, model_parts=parts, optimizers=optimizers, lr_schedulers=Schedules(),
            states={"train_state": train}, sd_adapter=None, base_folder=os.path.dirname(folder))
        assert type(manager) is CkptManager
        manager.states.pop("dataloader")
        print("loaded", manager.load(step=-1), train.step, flush=True)
        assert train.step == int(sys.argv[4]), train.step
        while train.step < 9:
            train.step += 1
            torch.manual_seed(train.step)
            loss = parts[0](torch.randn(4, 6)).pow(2).mean()
            manager.maybe_wait_for_staging()
            optimizers.inner[0].zero_grad(); loss.backward(); optimizers.inner[0].step(); schedule.step()
            manager.save(train.step, last_step=train.step == 9)
            if train.step == dies:
                manager.maybe_wait_for_saving()
                dist.barrier()
                os.kill(os.getpid(), signal.SIGKILL)
        manager.maybe_wait_for_saving()
        full = parts[0].weight.full_tensor()
        if dist.get_rank() == 0: torch.save(full.detach().clone(), folder + ".weight")
        manager.close()
        try:
            manager.load(step=77)
        except FileNotFoundError as error:
            assert "77" in str(error)
        else:
            raise AssertionError("no error")
        dist.destroy_process_group()
    """

    def weight(self) -> Any:
        import torch

        return torch.load(self.path + ".weight")

    def test_a_killed_run_goes_on_bit_for_bit(self) -> None:
        import torch

        expected: dict[str, Any] = {}
        for mode in ("async", "disabled"):
            self.path = os.path.join(self.directory, mode, "store")
            os.makedirs(os.path.dirname(self.path))
            self.together(self.PROGRAM, 2, 0, mode, 0)
            expected[mode] = self.weight()
            with ckpt.Store(self.path) as store:
                self.assertEqual(store.all_steps(), [8, 9])
        self.assertTrue(torch.equal(expected["async"], expected["disabled"]))
        self.path = os.path.join(self.directory, "killed", "store")
        os.makedirs(os.path.dirname(self.path))
        with self.assertRaisesRegex(AssertionError, "-9"):
            self.together(self.PROGRAM, 2, 5, "async", 0)
        self.together(self.PROGRAM, 2, 0, "async_with_pinned_mem", 4)
        self.assertTrue(torch.equal(self.weight(), expected["async"]))


@needs("jax")
class JaxTests(TestCase):
    def test_trees_come_back(self) -> None:
        outcome = self.program(
            """
            import sys, collections, numpy as np
            import jax, jax.numpy as jnp
            import ckpt
            from ckpt.jax import Checkpointer

            Pair = collections.namedtuple("Pair", "mu nu")
            def tree(value):
                return {
                    "params": {"w": jnp.full((3, 2), value), "b": jnp.full((2,), value, jnp.bfloat16)},
                    "opt": [Pair(jnp.ones(3) * value, jnp.int32(value)), None], "key": jax.random.key(int(value)),
                    "host": np.full(4, value), "step": int(value), "name": "x"}
            path = sys.argv[1]
            with Checkpointer(path, every=2, keep_last=2) as saver:
                assert saver.latest_step() is None and saver.should_save(4) and not saver.should_save(5)
                for step in range(4):
                    saver.save(step, tree(step)).result()
            # `close` waits until those that are not kept are removed.
            with Checkpointer(path) as saver:
                assert saver.all_steps() == [2, 3], saver.all_steps()
                found = saver.restore(like=tree(9))
                wanted = tree(3)
                assert jax.tree.structure(found) == jax.tree.structure(wanted)
                for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted)):
                    if isinstance(one, jax.Array) and jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
                        one, other = jax.random.key_data(one), jax.random.key_data(other)
                    assert np.array_equal(np.asarray(one), np.asarray(other)), (one, other)
                    assert type(one) is type(other), (type(one), type(other))
                shapes = jax.eval_shape(lambda: tree(1)["params"])
                try:
                    saver.restore(2, like={"params": shapes})
                except ckpt.MismatchError as error:
                    assert "only in the checkpoint" in str(error)
                else:
                    raise AssertionError
                wrong = tree(1)
                wrong["params"]["w"] = jnp.zeros((3, 2), jnp.float16)
                try:
                    saver.restore(2, like=wrong)
                except ckpt.MismatchError as error:
                    assert "params.w" in str(error) and "float16" in str(error)
                else:
                    raise AssertionError
            """, timeout=240)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)


if __name__ == "__main__":
    unittest.main()
