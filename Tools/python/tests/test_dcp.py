"""torch.distributed.checkpoint over a store."""

from __future__ import annotations

import collections
import enum
import gc
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
import unittest
from typing import Any, Optional

import ckpt

from .support import PACKAGE, TestCase

try:
    import torch
    import torch.distributed.checkpoint as dcp
    from torch import nn
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
    from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, Metadata, MetadataIndex
    from torch.distributed.checkpoint.planner import SavePlan, WriteItem, WriteItemType
    from torch.distributed.checkpoint.staging import AsyncStager
    from torch.distributed.checkpoint.state_dict_loader import _load_state_dict_from_keys

    from ckpt.dcp import _staging
    from ckpt.dcp import (
        CkptReader, CkptSavePlanner, CkptWriter, ckpt_to_dcp, ckpt_to_torch_save, dcp_to_ckpt, torch_save_to_ckpt,
    )

    from . import ranks
except ImportError:
    if "torch" in os.environ.get("CKPT_REQUIRE", "").split(","):
        raise
    raise unittest.SkipTest("torch is not installed") from None


class Counter:
    """State with methods of its own."""

    def __init__(self) -> None:
        self.value, self.calls = 3, 0

    def state_dict(self) -> dict[str, Any]:
        self.calls += 1
        return {"value": self.value, "history": torch.arange(3)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["value"]


class Custom:
    """Something that JSON cannot hold."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom)


class DCPTestCase(TestCase):
    def setUp(self) -> None:
        super().setUp()
        # DCP logs every failure with its traceback.
        logging.disable(logging.WARNING)
        self.addCleanup(logging.disable, logging.NOTSET)

    def load(self, state: dict[str, Any], path: Optional[str] = None, **options: Any) -> dict[str, Any]:
        dcp.load(state, storage_reader=CkptReader(path or self.path, **options))
        return state

    def assertFails(self, text: str, action: Any) -> None:
        with self.assertRaises(CheckpointException) as caught:
            action()
        self.assertEqual(list(caught.exception.failures), [0])
        self.assertIn(text, str(caught.exception))

    def steps(self, path: Optional[str] = None) -> list[int]:
        with ckpt.Store(path or self.path) as store:
            return store.all_steps()


class OneProcessTests(DCPTestCase):
    def test_round_trip_of_types_and_layouts(self) -> None:
        base = torch.randn(6, 8)
        state = {
            "f32": base, "view": base[1:4, ::2], "transposed": base.t(), "scalar": torch.tensor(2.5), "none": torch.zeros(0, 3),
            "expanded": torch.randn(1, 4).expand(3, 4), "conjugate": torch.randn(3, dtype=torch.complex64).conj(),
            "channels": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last), "tied": base,
            **{str(kind): (torch.rand(7) * 50).to(kind) for kind in (
                torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.int8, torch.uint8, torch.bool,
                torch.float8_e4m3fn)},
        }
        dcp.save(state, storage_writer=CkptWriter(self.path))
        found = self.load({name: torch.zeros_like(value.resolve_conj()) for name, value in state.items()})
        for name, value in state.items():
            self.assertTrue(torch.equal(found[name].view(torch.uint8) if value.dtype is torch.float8_e4m3fn else found[name],
                                        value.view(torch.uint8) if value.dtype is torch.float8_e4m3fn else value), name)

    def test_values_are_plain_data(self) -> None:
        values = {
            "int": 2**70, "float": float("nan"), "text": "x", "none": None, "tuple": (1, ("a",)), "set": {1, 2}, "bytes": b"\0\xff",
            "bool": True, "list": [1, (2,)], "complex": 1 + 2j, "frozen": frozenset({3}), "buffer": bytearray(b"q"),
            "size": torch.Size([2, 3])}
        dcp.save(values, storage_writer=CkptWriter(self.path))
        found = self.load(dict.fromkeys(values))
        self.assertNotEqual(found["float"], found.pop("float"))
        values.pop("float")
        self.assertEqual(found, values)
        self.assertEqual({name: type(value) for name, value in found.items()}, {name: type(value) for name, value in values.items()})
        with ckpt.Store(self.path) as store:
            checkpoint = store.open()
            self.assertEqual({encoding for _, encoding, _ in checkpoint._objects.values()}, {"json"})

    def test_a_class_that_does_not_come_back_is_reported(self) -> None:
        Point = collections.namedtuple("Point", "x y")
        Mode = enum.Enum("Mode", {"TRAIN": "train"}, type=str)
        logging.disable(logging.NOTSET)
        with self.assertLogs("ckpt", "WARNING") as log:
            dcp.save({"points": [Point(1, 2)], "mode": Mode.TRAIN, "w": torch.ones(2)}, storage_writer=CkptWriter(self.path))
        self.assertRegex(log.output[0], "points is, or has inside, a .*Point, which comes back as a plain value")
        self.assertRegex(log.output[1], "mode is, or has inside, a .*Mode")
        found = self.load({"points": None, "mode": None})
        self.assertEqual((found["points"], found["mode"]), ([(1, 2)], "train"))

    def test_a_value_that_may_run_code_is_reported_and_refused(self) -> None:
        logging.disable(logging.NOTSET)
        with self.assertLogs("ckpt", "WARNING") as log:
            dcp.save({"odd": Custom(), "n": 1}, storage_writer=CkptWriter(self.path))
        self.assertIn("odd is a tests.test_dcp.Custom", log.output[0])
        self.assertEqual(self.load({"n": 0})["n"], 1)
        self.assertFails("the value 'odd' is a pickle that may run code", lambda: self.load({"odd": None}))
        self.assertEqual(self.load({"odd": None}, allow_pickle=True)["odd"], Custom())

    def test_stateful_objects_and_nesting(self) -> None:
        counter = Counter()
        dcp.save({"counter": counter, "deep": {"a": [{"b": torch.ones(2)}]}}, storage_writer=CkptWriter(self.path))
        counter.value = 0
        found = self.load({"counter": counter, "deep": {"a": [{"b": torch.zeros(2)}]}})
        self.assertEqual(counter.value, 3)
        self.assertTrue(torch.equal(found["deep"]["a"][0]["b"], torch.ones(2)))

    def test_partial_load_and_missing_keys(self) -> None:
        dcp.save({"a": torch.ones(2), "b": 1}, storage_writer=CkptWriter(self.path))
        self.assertTrue(torch.equal(self.load({"a": torch.zeros(2)})["a"], torch.ones(2)))
        self.assertFails("Missing key in checkpoint state_dict: c", lambda: self.load({"c": torch.zeros(2)}))
        state = {"a": torch.zeros(2), "c": torch.full((2,), 7.0)}
        dcp.load(state, storage_reader=CkptReader(self.path), planner=DefaultLoadPlanner(allow_partial_load=True))
        self.assertEqual((state["a"].sum(), state["c"].sum()), (2, 14))

    def test_types_and_shapes_must_be_equal(self) -> None:
        dcp.save({"a": torch.ones(4, 2)}, storage_writer=CkptWriter(self.path))
        wrong = {"a": torch.zeros(4, 2, dtype=torch.bfloat16)}
        self.assertFails("tensor 'a' is torch.float32 in the checkpoint and torch.bfloat16", lambda: self.load(wrong))
        self.assertEqual(self.load(wrong, strict_dtype=False)["a"].sum(), 8)
        self.assertFails("a", lambda: self.load({"a": torch.zeros(4, 3)}))

    def test_checkpoint_ids(self) -> None:
        writer = CkptWriter(self.path)
        for number, name in enumerate((3, "4", "step-5", "step_000006", "global_step7", f"{self.path}/checkpoint-8")):
            dcp.save({"n": number}, storage_writer=writer, checkpoint_id=name)
        self.assertEqual(self.steps(), [3, 4, 5, 6, 7, 8])
        for number, name in enumerate((3, "step-4", f"{self.path}/5", "6", 7, "step-8")):
            state = {"n": -1}
            dcp.load(state, storage_reader=CkptReader(self.path), checkpoint_id=name)
            self.assertEqual(state["n"], number)
        self.assertEqual(self.load({"n": -1}, f"{self.path}/step-4")["n"], 1)
        # A directory of its own for each checkpoint, as DCP's own writer makes them.
        other = os.path.join(self.directory, "other")
        dcp.save({"n": 70}, storage_writer=CkptWriter(), checkpoint_id=other)
        self.assertEqual((self.load({"n": 0}, other)["n"], self.steps(other)), (70, [0]))
        self.assertTrue(CkptWriter.validate_checkpoint_id(self.path))
        self.assertFalse(CkptReader.validate_checkpoint_id("s3://bucket/x"))
        self.assertFails("give checkpoint_id", lambda: dcp.save({"n": 1}, storage_writer=CkptWriter()))

    def test_a_checkpoint_that_dcp_has_not_saved(self) -> None:
        with ckpt.Checkpointer(self.path, {"model": {"weight": torch.ones(3)}, "seed": (1, 2)}) as saver:
            saver.save(5)
        found = self.load({"model.weight": torch.zeros(3), "seed": None})
        self.assertEqual((found["model.weight"].sum(), found["seed"]), (3, (1, 2)))

    def test_what_follows_a_load_continues_the_run(self) -> None:
        for step in range(4):
            program = CkptWriter(self.path, keep_last=2)
            if step:
                self.load({"n": 0})
            dcp.save({"n": step}, storage_writer=program)
            program.close()
        self.assertEqual(self.steps(), [2, 3])


class TrapTests(DCPTestCase):
    """The traps of the contract of StorageWriter and StorageReader."""

    def test_1_objects_are_true(self) -> None:
        for kind in (CkptWriter, CkptReader):
            self.assertFalse(hasattr(kind, "__len__") or hasattr(kind, "__bool__"))

    def test_2_a_writer_is_used_again_without_reset(self) -> None:
        writer = CkptWriter(self.path)
        for step in range(3):
            dcp.save({"n": step}, storage_writer=writer)
        self.assertEqual((self.steps(), self.load({"n": -1})["n"]), ([0, 1, 2], 2))
        # An id is that of one call.
        dcp.save({"n": 9}, storage_writer=writer, checkpoint_id="step-9")
        dcp.save({"n": 10}, storage_writer=writer)
        self.assertEqual(self.steps()[-2:], [9, 10])
        reader = CkptReader(self.path)
        for wanted in (9, 10):
            state = {"n": 0}
            dcp.load(state, storage_reader=reader, checkpoint_id=None if wanted == 10 else "step-9")
            self.assertEqual(state["n"], wanted)
            reader.reset()

    def test_3_rank_and_collectives_are_passed(self) -> None:
        import inspect
        for method in (CkptWriter.set_up_storage_writer, CkptReader.read_metadata, CkptReader.set_up_storage_reader):
            self.assertIn("kwargs", inspect.signature(method).parameters)
        dcp.save({"n": 1}, storage_writer=CkptWriter(self.path), use_collectives=False)
        self.assertEqual(self.load({"n": 0})["n"], 1)

    def test_4_errors_of_read_metadata_say_what_happened(self) -> None:
        self.assertFails(f"global metadata read failed: {self.path} ", lambda: self.load({"n": 0}))
        dcp.save({"n": 1}, storage_writer=CkptWriter(self.path))
        self.assertFails("step 5", lambda: self.load({"n": 0}, f"{self.path}/step-5"))
        manifests = os.path.join(self.path, "manifests")
        for name in os.listdir(manifests):
            with open(os.path.join(manifests, name), "r+b") as file:
                file.seek(100)
                file.write(b"\xff" * 8)
        self.assertFails("rank local metadata read failed", lambda: self.load({"n": 0}))

    def test_5_a_planner_resolves_to_views_and_temporaries(self) -> None:
        class Doubling(DefaultSavePlanner):
            def resolve_data(self, write_item: WriteItem) -> Any:
                found = super().resolve_data(write_item)
                return found.t().contiguous().t() * 2 if isinstance(found, torch.Tensor) else found

        dcp.save({"a": torch.arange(6.0).reshape(2, 3), "b": 4}, storage_writer=CkptWriter(self.path), planner=Doubling())
        found = self.load({"a": torch.zeros(3, 2).t(), "b": 0})
        self.assertTrue(torch.equal(found["a"], torch.arange(6.0).reshape(2, 3) * 2))
        self.assertEqual(found["b"], 4)

    def test_6_planner_data_comes_back(self) -> None:
        state = {"model": {"layers": [{"w": torch.ones(2)}, {"w": torch.zeros(2)}], "n": 1}, "x.y": 2}
        dcp.save(state, storage_writer=CkptWriter(self.path))
        found = CkptReader(self.path).read_metadata()
        self.assertEqual(found.planner_data["model.layers.1.w"], ("model", "layers", 1, "w"))
        self.assertEqual(found.planner_data["x.y"], ("x.y",))
        keys = _load_state_dict_from_keys("model", storage_reader=CkptReader(self.path))
        self.assertTrue(torch.equal(keys["model"]["layers"][0]["w"], torch.ones(2)))

    def test_7_nothing_is_pickled(self) -> None:
        dcp.save({"n": [1, (2, "x")], "w": torch.ones(5)}, storage_writer=CkptWriter(self.path, compression="none"))
        for directory, _, names in os.walk(self.path):
            for name in names:
                with open(os.path.join(directory, name), "rb") as file:
                    data = file.read()
                self.assertNotIn(b"PK\x03\x04", data, name)
                self.assertFalse(any(
                    data.find(pickle.dumps(word, protocol)[-6:]) >= 0 for word in ("collections",) for protocol in (2,)))

    def test_8_missing_coverage_is_noticed_in_one_process(self) -> None:
        class Forgetful(DefaultSavePlanner):
            def create_local_plan(self) -> SavePlan:
                plan = super().create_local_plan()
                item = plan.items[0]
                assert item.tensor_data is not None
                half = ChunkStorageMetadata(torch.Size([0]), torch.Size([2]))
                data = torch.distributed.checkpoint.planner.TensorWriteData(half, item.tensor_data.properties, item.tensor_data.size)
                self.plan = SavePlan([WriteItem(item.index, WriteItemType.SHARD, tensor_data=data)], planner_data=plan.planner_data)
                return self.plan

            def resolve_data(self, write_item: WriteItem) -> Any:
                return super().resolve_data(write_item)[:2]

        self.assertFails(
            "the ranks hold only 2 of the 4 elements of 'a'",
            lambda: dcp.save({"a": torch.ones(4)}, storage_writer=CkptWriter(self.path), planner=Forgetful()))
        self.assertEqual(self.steps(), [])

    def test_9_an_empty_shard_does_not_replace_a_real_one(self) -> None:
        def plan(sizes: list[int]) -> SavePlan:
            data = torch.distributed.checkpoint.planner.TensorWriteData(
                ChunkStorageMetadata(torch.Size([0]), torch.Size(sizes)), torch.distributed.checkpoint.metadata.TensorProperties(),
                torch.Size([4]))
            return SavePlan([WriteItem(MetadataIndex("a", [0]), WriteItemType.SHARD, tensor_data=data)])

        plans = CkptSavePlanner()._dedup_save_plans([plan([0]), plan([4])])
        self.assertEqual([len(found.items) for found in plans], [0, 1])

    def test_10_cached_plans(self) -> None:
        writer, planner = CkptWriter(self.path), DefaultSavePlanner(enable_plan_caching=True)
        for step in range(3):
            dcp.save({"w": torch.full((3,), float(step)), "n": step}, storage_writer=writer, planner=planner)
        found = self.load({"w": torch.zeros(3), "n": 0})
        self.assertEqual((found["w"].sum(), found["n"]), (6, 2))

    def test_11_a_writer_can_be_pickled(self) -> None:
        writer = CkptWriter(self.path, keep_last=2)
        dcp.save({"n": 1}, storage_writer=writer)
        writer.close()
        other = pickle.loads(pickle.dumps(writer))
        dcp.save({"n": 2}, storage_writer=other)
        self.assertEqual(self.load({"n": 0})["n"], 2)

    def test_12_a_step_is_not_overwritten(self) -> None:
        dcp.save({"n": 1}, storage_writer=CkptWriter(self.path), checkpoint_id=5)
        again = lambda **options: dcp.save({"n": 2}, storage_writer=CkptWriter(self.path, **options), checkpoint_id=5)  # noqa: E731
        self.assertFails("Checkpoint already exists: step 5", again)
        self.assertEqual(self.load({"n": 0})["n"], 1)
        again(overwrite=True)
        self.assertEqual(self.load({"n": 0})["n"], 2)
        self.assertFails(
            "Checkpoint already exists", lambda: dcp.save({"n": 3}, storage_writer=CkptWriter(self.path, overwrite=False)))

    def test_a_writer_for_each_save_continues_the_run(self) -> None:
        logging.disable(logging.NOTSET)
        with self.assertNoLogs("ckpt", "WARNING"):
            for step in range(6):
                writer = CkptWriter(self.path, keep_last=2)
                dcp.save({"w": torch.full((2,), float(step))}, storage_writer=writer, checkpoint_id=step)
                del writer
                gc.collect()
        with ckpt.Store(self.path) as store:
            self.assertEqual(store.all_steps(), [4, 5])
            self.assertEqual(len({entry["run"] for entry in store._entries()}), 1)

    def test_a_finish_that_fails_leaves_nothing(self) -> None:
        class Failing(CkptWriter):
            fails = True

            def finish(self, *arguments: Any, **options: Any) -> None:
                if self.fails:
                    raise ValueError("fails before finish")
                super().finish(*arguments, **options)

        writer = Failing(self.path)
        self.assertFails("fails before finish", lambda: dcp.save({"w": torch.ones(2)}, storage_writer=writer, checkpoint_id=1))
        with ckpt.Store(self.path) as store:
            self.assertEqual(store.all_steps(), [])
        writer.fails = False
        logging.disable(logging.NOTSET)
        with self.assertNoLogs("ckpt", "WARNING"):
            dcp.save({"w": torch.ones(2)}, storage_writer=writer, checkpoint_id=1)
        self.assertEqual(self.load({"w": torch.zeros(2)})["w"].sum(), 2)

    def test_13_state_dict_of_a_load_is_no_save(self) -> None:
        counter = Counter()
        dcp.save({"counter": counter}, storage_writer=CkptWriter(self.path))
        self.load({"counter": counter})
        self.assertGreater(counter.calls, 1)
        self.assertEqual((self.steps(), _staging._loans), ([0], []))


class AsyncTests(DCPTestCase):
    def setUp(self) -> None:
        super().setUp()
        torch.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Linear(64, 8))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)
        self.writer = CkptWriter(self.path)
        self.addCleanup(self.writer.close)

    def step(self) -> None:
        self.model(torch.randn(16, 64)).sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def state(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optim": self.optimizer.state_dict(), "list": [1]}

    def copy(self) -> dict[str, torch.Tensor]:
        found = {f"model.{name}": value.clone() for name, value in self.model.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            found |= {f"optim.state.{index}.{name}": value.clone() for name, value in state.items()}
        return found

    def check(self, wanted: dict[str, torch.Tensor], step: int) -> None:
        with ckpt.Store(self.path) as store:
            checkpoint = store.open(step)
            self.assertEqual(set(checkpoint), set(wanted))
            for name, value in wanted.items():
                self.assertTrue(torch.equal(checkpoint[name].torch(), value), name)

    def test_the_writer_is_its_own_stager(self) -> None:
        self.assertIsInstance(self.writer, AsyncStager)
        self.step()
        state = self.state()
        staged = self.writer.stage(state)
        weight, buffer = "0.weight", "1.running_mean"
        self.assertEqual(staged["model"][weight].data_ptr(), state["model"][weight].data_ptr())
        self.assertNotEqual(staged["model"][buffer].data_ptr(), state["model"][buffer].data_ptr())
        self.assertIsNot(staged["list"], state["list"])
        _staging.settle()
        self.assertNotEqual(staged["model"][weight].data_ptr(), state["model"][weight].data_ptr())

    def test_steps_after_a_save_do_not_change_it(self) -> None:
        self.step()
        for step in range(1, 6):
            wanted, state = self.copy(), self.state()
            future = dcp.async_save(state, storage_writer=self.writer, checkpoint_id=step)
            state["list"].append(2)
            self.step()
            future.result()
            self.check(wanted, step)
        self.assertEqual(_staging._loans, [])

    def test_what_no_optimizer_owns_is_copied(self) -> None:
        weights = {"w": torch.ones(100_000)}
        future = dcp.async_save(weights, storage_writer=self.writer)
        weights["w"].zero_()
        future.result()
        self.check({"w": torch.ones(100_000)}, 0)

    def test_a_step_does_not_wait_for_a_plan_that_never_comes(self) -> None:
        class Broken(DefaultSavePlanner):
            def create_local_plan(self) -> SavePlan:
                raise ValueError("no plan")

        class Slow(DefaultSavePlanner):
            def create_local_plan(self) -> SavePlan:
                time.sleep(1)
                return super().create_local_plan()

        self.step()
        for planner in (Broken(), Slow()):
            wanted = self.copy()
            future = dcp.async_save(self.state(), storage_writer=self.writer, planner=planner)
            start = time.monotonic()
            self.step()
            self.assertLess(time.monotonic() - start, 0.9)
            if isinstance(planner, Broken):
                self.assertFails("no plan", future.result)
            else:
                future.result()
        self.check(wanted, 0)
        self.assertEqual(_staging._loans, [])

    def test_saves_that_overlap(self) -> None:
        self.step()
        futures, wanted = [], []
        for step in range(4):
            wanted.append(self.copy())
            futures.append(dcp.async_save(self.state(), storage_writer=CkptWriter(self.path), checkpoint_id=step))
            self.step()
        for step, future in enumerate(futures):
            future.result()
            self.check(wanted[step], step)

    def test_saves_that_are_not_waited_for(self) -> None:
        # The first of them makes the store.
        for store, ids in (("named", (1, 2, 3)), ("counted", (None, None, None))):
            path = os.path.join(self.directory, store)
            writer = CkptWriter(path)
            futures = [
                dcp.async_save({"w": torch.full((1000,), float(number)), "n": number}, storage_writer=writer, checkpoint_id=step)
                for number, step in enumerate(ids, 1)]
            for future in futures:
                future.result()
            found = set()
            with ckpt.Store(path) as opened:
                steps = opened.all_steps()
            for step in steps:
                state = {"w": torch.zeros(1000), "n": 0}
                dcp.load(state, storage_reader=CkptReader(path), checkpoint_id=step)
                self.assertTrue(torch.all(state["w"] == state["n"]))
                found.add(state["n"])
            self.assertEqual(found, {1, 2, 3})
            self.assertEqual(steps, [1, 2, 3] if ids[0] else [0, 1, 2])
            writer.close()

    def test_a_failed_write_leaves_training_and_store_alone(self) -> None:
        self.step()
        dcp.async_save(self.state(), storage_writer=self.writer, checkpoint_id=1).result()
        bad = CkptWriter(os.path.join(self.directory, "file", "store"))
        with open(os.path.join(self.directory, "file"), "w"):
            pass
        future = dcp.async_save(self.state(), storage_writer=bad)
        self.step()
        with self.assertRaises(CheckpointException):
            future.result()
        self.assertEqual((self.steps(), _staging._loans), ([1], []))


class ConversionTests(DCPTestCase):
    def test_there_and_back(self) -> None:
        model = nn.Linear(3, 2)
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
        state = {"model": model.state_dict(), "optim": optimizer.state_dict(), "step": 4, "list": [torch.ones(2), (1, "a")]}
        file, directory, other = (os.path.join(self.directory, name) for name in ("a.pt", "dcp", "b.pt"))
        torch.save(state, file)
        torch_save_to_ckpt(file, f"{self.path}/step-4")
        ckpt_to_dcp(self.path, directory)
        dcp_to_ckpt(directory, f"{self.path}/step-5", compression="none")
        ckpt_to_torch_save(f"{self.path}/step-5", other)
        found = torch.load(other, weights_only=True)
        self.assertEqual(self.steps(), [4, 5])
        self.assertEqual((found["step"], found["list"][1]), (4, (1, "a")))
        for name, value in model.state_dict().items():
            self.assertTrue(torch.equal(found["model"][name], value))
        again = torch.optim.AdamW(model.parameters())
        again.load_state_dict({**found["optim"], "state": {int(key): value for key, value in found["optim"]["state"].items()}})
        self.assertTrue(torch.equal(again.state[model.weight]["exp_avg"], optimizer.state[model.weight]["exp_avg"]))
        ckpt_to_torch_save(self.path, other, "model")
        self.assertEqual(list(torch.load(other)), ["weight", "bias"])

    def test_what_is_refused(self) -> None:
        file = os.path.join(self.directory, "a.pt")
        torch.save([torch.ones(1)], file)
        with self.assertRaisesRegex(TypeError, "holds a list"):
            torch_save_to_ckpt(file, self.path)
        torch.save({"a": Custom()}, file)
        with self.assertRaises(pickle.UnpicklingError):
            torch_save_to_ckpt(file, self.path)
        with self.assertRaisesRegex(KeyError, "no 'x'; it has 'n'"):
            dcp.save({"n": 1}, storage_writer=CkptWriter(self.path))
            ckpt_to_torch_save(self.path, file, "x")


class RankTests(DCPTestCase):
    """Groups of processes on this machine."""

    def start(self, scenario: str, world: int, **environment: str) -> list[subprocess.Popen[str]]:
        meeting = os.path.join(self.directory, f"meeting-{time.monotonic_ns()}")
        return [
            subprocess.Popen(
                [sys.executable, "-m", "tests.ranks", scenario, str(rank), str(world), self.path, meeting],
                env={**os.environ, "PYTHONPATH": PACKAGE, "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", **environment},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PACKAGE)
            for rank in range(max(world, 1))]

    def finish(self, processes: list[subprocess.Popen[str]], codes: Optional[set[int]] = None) -> str:
        """Waits for all, and returns what rank 0 has printed."""
        end = time.monotonic() + 150
        outcomes = []
        try:
            for process in processes:
                outcomes.append(process.communicate(timeout=max(end - time.monotonic(), 0.1)))
        finally:
            for process in processes:
                process.kill()
        for process, (_, error) in zip(processes, outcomes):
            self.assertIn(process.returncode, codes or {0}, error)
        return outcomes[0][0]

    def run_ranks(self, scenario: str, world: int) -> None:
        self.finish(self.start(scenario, world))

    def test_two_ranks_and_every_placement(self) -> None:
        tensors = {name: ranks.whole(name, shape) for name, (shape, _) in ranks.PLACEMENTS.items()}
        values = {"step": 17, "shape": (1, "two"), "lr": [0.1, float("inf")]}
        # From one process to two ...
        dcp.save({"cut": tensors, "plain": ranks.whole("plain", (3, 4)), **values}, storage_writer=CkptWriter(self.path + "-one"))
        self.run_ranks("two", 2)
        # ... and back.
        for step in range(1, 7):
            state: dict[str, Any] = {
                "cut": {name: torch.zeros_like(value) for name, value in tensors.items()}, "step": 0, "shape": None, "lr": None}
            dcp.load(state, storage_reader=CkptReader(self.path), checkpoint_id=step)
            for name, value in tensors.items():
                self.assertTrue(torch.equal(state["cut"][name], value), (name, step))
            self.assertEqual({name: state[name] for name in values}, values)
        # A store without its parts.
        os.rename(f"{self.path}/ranks/1", f"{self.path}/ranks/x")
        self.assertFails("the part of rank 1 of step 6 is missing", lambda: self.load(state))

    def test_four_ranks_and_two_dimensions(self) -> None:
        self.run_ranks("four", 4)
        state = {name: torch.zeros(shape) for name, (shape, _) in ranks.PLACEMENTS_2D.items()}
        model = ranks.net()
        expected = {name: value.clone() for name, value in model.state_dict().items()}
        self.load({"cut": state, "model": model.state_dict()})
        for name, (shape, _) in ranks.PLACEMENTS_2D.items():
            self.assertTrue(torch.equal(state[name], ranks.whole(name, shape)), name)
        for name, value in model.state_dict().items():
            self.assertTrue(torch.equal(value, expected[name]), name)

    def test_sharded_tensors(self) -> None:
        self.run_ranks("sharded_tensors", 2)

    def test_a_fault_on_one_rank(self) -> None:
        self.run_ranks("faults", 2)

    def test_async_save_in_a_process(self) -> None:
        self.run_ranks("process_executor", 2)

    def test_training_with_fsdp_is_killed_and_resumes(self) -> None:
        path = self.path
        self.path = path + "-whole"
        whole = self.finish(self.start("train", 2)).splitlines()
        self.path = path
        processes = self.start("train", 2, CKPT_KILL="6")
        first = processes[0]
        processes[1].wait(timeout=120)
        self.assertEqual(processes[1].returncode, -signal.SIGKILL)
        first.kill()
        before = (first.communicate()[0] or "").splitlines()
        steps = self.steps()
        self.assertIn(steps[-1], (4, 6))
        resumed = self.finish(self.start("train", 2)).splitlines()
        self.assertEqual(before[:steps[-1]] + resumed, whole)
        # A root is committed when all its parts are; later saves delete parts without one.
        with ckpt.Store(self.path) as store:
            roots = store.all_steps()
        self.assertEqual(roots[-1], 12)
        for rank in (0, 1):
            self.assertLessEqual(set(roots), set(self.steps(f"{self.path}/ranks/{rank}")))
            self.assertLessEqual(len(self.steps(f"{self.path}/ranks/{rank}")), 5)
        # The end can be read by one process.
        alone = {"step": 0}
        self.load(alone)
        self.assertEqual(alone["step"], 12)


if __name__ == "__main__":
    unittest.main()
