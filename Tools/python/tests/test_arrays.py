"""Stores, and training loops with arrays of numpy."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import sys
import threading
import time
import types
import unittest
from typing import Any
from unittest import mock

import numpy as np

import ckpt

from .support import TestCase

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None


class SavingTests(TestCase):
    def test_a_nested_state_comes_back(self) -> None:
        def make(fill: float) -> dict:
            return {
                "model": {"a": np.full((3, 5), fill, np.float32), "b": {"c": np.full(7, int(fill), np.int64)}},
                "scalar": np.array(fill), "empty": np.zeros((0, 4)),
                "rng": {"seed": (int(fill), None, [1.5, float("inf")])}, "names": {1: "one"},
            }

        state = make(3)
        with ckpt.Checkpointer(self.path, state) as saver:
            self.assertIsNone(saver.resume())
            report = saver.save(10, {"loss": 0.25}).result(60)
            self.assertEqual((report.step, report.is_unchanged), (10, False))
        other = make(0)
        other["names"] = None
        with ckpt.Checkpointer(self.path, other) as saver:
            restored = saver.resume()
            self.assertEqual((restored.step, restored.tensor_count), (10, 4))
            self.assertEqual((saver.latest_step(), saver.all_steps()), (10, [10]))
        np.testing.assert_array_equal(other["model"]["a"], state["model"]["a"])
        np.testing.assert_array_equal(other["model"]["b"]["c"], state["model"]["b"]["c"])
        self.assertEqual(other["scalar"], 3)
        self.assertEqual(other["rng"], state["rng"])
        self.assertEqual(restored.objects["names.1"], "one")

    def test_every_element_type(self) -> None:
        generator = np.random.default_rng(7)
        names = "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 complex128 complex64".split()
        state = {name: generator.integers(0, 100, 64).astype(name) for name in names}
        state["bool"] = generator.integers(0, 2, 64).astype(bool)
        if ml_dtypes is not None:
            for name in "bfloat16 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e4m3b11fnuz".split():
                state[name] = generator.integers(0, 9, 64).astype(getattr(ml_dtypes, name))
        with ckpt.Checkpointer(self.path, state) as saver:
            saver.save(1)
        with ckpt.Store(self.path) as store, store.open() as checkpoint:
            for name, array in state.items():
                read = checkpoint[name].numpy()
                self.assertEqual(read.dtype, array.dtype)
                self.assertEqual(read.tobytes(), array.tobytes(), name)

    def test_strides_and_views(self) -> None:
        base = np.arange(6000, dtype=np.int32).reshape(60, 100)
        state = {"transposed": base.T, "columns": base[:, 10:20], "reversed": base[::-1, ::-2], "whole": base}
        with ckpt.Checkpointer(self.path, state) as saver:
            saver.save(1)
        targets = {name: np.zeros_like(base) for name in ("transposed", "columns", "reversed")}
        views = {"transposed": targets["transposed"].T, "columns": targets["columns"][:, 10:20],
                 "reversed": targets["reversed"][::-1, ::-2], "whole": np.zeros_like(base)}
        with ckpt.Store(self.path) as store:
            store.open().read_into(views)
            for name, view in views.items():
                np.testing.assert_array_equal(view, state[name])

    def test_what_changes_shape_or_moves_is_seen(self) -> None:
        state = {"w": np.ones(100)}
        with ckpt.Checkpointer(self.path, state) as saver:
            saver.save(1).result(60)
            state["w"] = np.full(100, 2.0)
            saver.save(2).result(60)
            state["w"], state["v"] = np.full((5, 5), 3.0), np.arange(4)
            saver.save(3).result(60)
            del state["w"]
            saver.save(4).result(60)
        with ckpt.Store(self.path) as store:
            self.assertEqual(store.open(2)["w"].numpy()[0], 2)
            self.assertEqual(store.open(3)["w"].shape, (5, 5))
            self.assertEqual(list(store.open(4)), ["v"])

    def test_a_checkpoint_holds_one_step(self) -> None:
        """Also when the array changes all the time; and without the fence, it must not."""
        seed = random.randrange(1 << 30)
        for is_fenced in (True, False):
            with self.subTest(seed=seed, is_fenced=is_fenced):
                generator = random.Random(seed)
                path = f"{self.path}-{is_fenced}"
                array = np.zeros(8 << 20, np.float32)
                torn = 0
                with ckpt.Checkpointer(path, {"a": array}, compression="none", arena_bytes=8 << 20) as saver:
                    for step in range(1, 9):
                        save = saver.save(step)
                        time.sleep(generator.uniform(0, 0.004))
                        if is_fenced:
                            with saver.fence():
                                array.fill(step)
                        else:
                            # Until it has ended, so that the save sees a change on a busy machine too.
                            while not save.done():
                                array += 1
                        save.result(60)
                with ckpt.Store(path) as store:
                    for step in range(1, 9):
                        read = store.open(step)["a"].numpy()
                        torn += bool((read != read[0]).any())
                        if is_fenced:
                            self.assertEqual(read[0], step - 1)
                if is_fenced:
                    self.assertEqual(torn, 0)
                else:
                    self.assertGreater(torn, 0)

    def test_what_cannot_be_saved_is_refused_by_name(self) -> None:
        with self.assertRaisesRegex(TypeError, r"a\.f is a builtins\.function"):
            ckpt.Checkpointer(self.path, {"a": {"f": lambda: 0}})
        with ckpt.Checkpointer(self.path, lambda: {"a": {"f": lambda: 0}}) as saver:
            with self.assertRaisesRegex(TypeError, r"a\.f is a builtins\.function"):
                saver.save(1)

    def test_rules_say_what_stays(self) -> None:
        state = {"w": np.zeros(1000), "step": 0}
        rules = {"keep_last": 2, "keep_every": 10, "keep_best": ["loss:1", "score:1:max"]}
        with ckpt.Checkpointer(self.path, state, **rules) as saver:
            for step in range(1, 26):
                with saver.fence():
                    state["w"] += 1
                saver.save(step, {"loss": abs(step - 7), "score": -abs(step - 13)}).wait()
        with ckpt.Store(self.path) as store:
            self.assertEqual(store.all_steps(), [1, 7, 10, 13, 20, 24, 25])
            report = store.prune(keep_last=1, keep_best="loss", dry_run=True)
            self.assertEqual((report.kept_count, report.removed_count, report.in_use_count), (2, 5, 0))
            with self.assertRaises(ckpt.MisuseError):
                store.prune(keep_last=1)
        with ckpt.Store(self.path, "w") as store:
            store.tag(20, "good")
            with self.assertRaises(ckpt.MisuseError):
                store.prune()
            for wrong in {"keep_best": "loss:0"}, {"keep_best": "loss:x"}, {"keep_last": 0}, {"keep_every": -1}, {"keep_seconds": float("nan")}:
                with self.assertRaises(ValueError):
                    store.prune(**wrong)
            self.assertEqual(len(store.all_steps()), 7)
            report = store.prune(keep_last=1, keep_best="loss")
            self.assertEqual((report.kept_count, report.removed_count), (3, 4))
            self.assertGreater(report.freed_bytes, 0)
            self.assertEqual(store.all_steps(), [7, 20, 25])
            store.prune(keep_seconds=1e9)
            self.assertEqual(store.all_steps(), [7, 20, 25])

    def test_a_failure_is_reported_although_rules_wait_for_the_save(self) -> None:
        saver = ckpt.Checkpointer(self.path, {"w": np.zeros(10)}, keep_every=5)
        saver.save(1).wait()
        saver.save(1)
        with self.assertRaises(ckpt.ExistsError):
            saver.close()

    def test_retention_tags_and_references(self) -> None:
        with ckpt.Store(self.path, "w") as store:
            with ckpt.Checkpointer(store, {"a": np.zeros(9)}, keep_last=2, every=5) as saver:
                saver.save(1, {"loss": 3}).result(60)
                store.tag(1, "first")
                for step in range(2, 21):
                    save = saver.save_if_due(step, {"loss": 1 / step})
                    self.assertEqual(save is not None, step % 5 == 0)
                    if save:
                        save.result(60)
            self.assertEqual(store.all_steps(), [1, 15, 20])
            newest, older, tagged = store.checkpoints()
            self.assertEqual((newest.step, newest.metrics, tagged.tags), (20, {"loss": 0.05}, ("first",)))
            self.assertEqual(store.open("best:loss:max").step, 1)
            self.assertEqual(store.open(newest.id).step, 20)
            with self.assertRaises(ckpt.ExistsError):
                store.tag(20, "first")
            store.untag("first")
            store.pin(20)
            self.assertTrue(store.checkpoints(1)[0].is_pinned)
            with self.assertRaisesRegex(ckpt.MisuseError, "pinned"):
                store.remove(20)
            store.remove(20, force=True)
            with self.assertRaises(ckpt.NotFoundError):
                store.remove(20)
            with self.assertRaisesRegex(ckpt.MisuseError, "reading only"), ckpt.Store(self.path) as reader:
                reader.remove(1)


class ReadingTests(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.array = np.random.default_rng(1).normal(size=(1000, 300)).astype(np.float32)
        with ckpt.Checkpointer(self.path, {"layer": {"weight": self.array}, "n": 5}) as saver:
            saver.save(1)
        self.store = ckpt.Store(self.path)
        self.addCleanup(self.store.close)

    def test_one_tensor_lazily(self) -> None:
        checkpoint = self.store.open("latest")
        weight = checkpoint["layer.weight"]
        self.assertEqual((weight.dtype, weight.shape, weight.nbytes), ("f32", (1000, 300), 1_200_000))
        np.testing.assert_array_equal(np.asarray(weight), self.array)
        np.testing.assert_array_equal(weight[10:20].numpy(), self.array[10:20])
        np.testing.assert_array_equal(weight[-5:].numpy(), self.array[-5:])
        self.assertEqual(weight[5:5].numpy().shape, (0, 300))
        self.assertEqual((list(checkpoint), checkpoint.objects, checkpoint.object("n")), (["layer.weight"], ["n"], 5))
        checkpoint.verify()

    def test_dlpack_out_and_in(self) -> None:
        array = np.from_dlpack(self.store.open()["layer.weight"])
        np.testing.assert_array_equal(array, self.array)
        del array

        class Producer:
            """An array that is known by DLPack alone."""

            def __init__(self, array: np.ndarray) -> None:
                self.array = array

            def __dlpack__(self) -> object:
                return self.array.__dlpack__()

            def __dlpack_device__(self) -> tuple[int, int]:
                return (1, 0)

        with ckpt.Checkpointer(self.path + "2", {"a": Producer(self.array.T)}) as saver:
            saver.save(1)
            with saver.fence():
                self.array *= 0
            saver.restore(1)
        self.assertNotEqual(self.array[0, 0], 0)

    def test_errors_name_the_problem_and_the_remedy(self) -> None:
        checkpoint = self.store.open()
        with self.assertRaisesRegex(ckpt.NotFoundError, "Nearest names: layer.weight"):
            checkpoint["layer.wieght"]
        self.assertRaises(KeyError, checkpoint.__getitem__, "x")
        with self.assertRaisesRegex(ckpt.MismatchError, r"f32\[1000, 300\]"):
            checkpoint["layer.weight"].read_into(np.zeros((300, 1000), np.float32))
        with self.assertRaises(ckpt.MisuseError):
            checkpoint["layer.weight"].read_into(b"")
        with self.assertRaises(ckpt.NotFoundError) as caught:
            self.store.open(77)
        self.assertIn("1", str(caught.exception))
        with self.assertRaises(ckpt.MisuseError):
            self.store.open("::")
        with self.assertRaises(ckpt.NotFoundError):
            ckpt.Store(self.directory + "/none")
        checkpoint.close()
        with self.assertRaises(ckpt.MisuseError):
            checkpoint.verify()

    def test_damage_is_an_exception(self) -> None:
        folder = os.path.join(self.path, "segments")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "r+b") as file:
                middle = os.fstat(file.fileno()).st_size // 2
                file.seek(middle)
                byte = file.read(1)
                file.seek(middle)
                file.write(bytes([byte[0] ^ 1]))
        with self.assertRaises(ckpt.DamagedError):
            self.store.open()["layer.weight"].numpy()


class ProcessTests(TestCase):
    def test_waits_and_futures(self) -> None:
        array = np.random.default_rng(3).integers(0, 255, 6 << 20).astype(np.uint8)
        with ckpt.Checkpointer(self.path, {"a": array}, bytes_per_second=2 << 20, compression="none") as saver:
            save = saver.save(1)
            with self.assertRaises(ckpt.TimedOutError):
                save.wait("committed", 0.05)
            self.assertFalse(save.done())
            futures = [save.captured, save.durable, save.committed]
            self.assertEqual(futures[2].result(60).step, 1)
            self.assertEqual([future.result(60) for future in futures[:2]], [None, None])

            async def wait() -> int:
                return (await asyncio.wrap_future(saver.save(2).committed)).step

            self.assertEqual(asyncio.run(wait()), 2)
            saver.wait_until_finished(60)

    def test_progress_is_shown_by_tqdm(self) -> None:
        bars: list[Any] = []

        class Bar:
            def __init__(self, desc: str, **_: Any) -> None:
                self.desc, self.n, self.total, self.is_closed = desc, 0, None, False
                bars.append(self)

            def update(self, count: int) -> None:
                self.n += count

            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *_: Any) -> None:
                self.is_closed = True

        module = types.ModuleType("tqdm.auto")
        setattr(module, "tqdm", Bar)
        state = {"a": np.random.default_rng(1).random(4_000_000)}
        with ckpt.Checkpointer(self.path, state, bytes_per_second=64 << 20) as saver:
            self.assertEqual(saver.progress, (0, 0))
            saver.save(1)
            with mock.patch.dict(sys.modules, {"tqdm": types.ModuleType("tqdm"), "tqdm.auto": module}):
                with self.assertRaises(ckpt.TimedOutError):
                    saver.wait_until_finished(timeout=0.2, progress=True)
                self.assertLess(bars[0].n, 32_000_000)
                saver.wait_until_finished(progress=True)
            self.assertEqual(saver.progress, (32_000_000, 32_000_000))
            with mock.patch.dict(sys.modules, {"tqdm.auto": None}):
                saver.wait_until_finished(progress=True)
        self.assertEqual([bar.desc for bar in bars], ["step 1", "step 1"])
        self.assertEqual([bar.is_closed for bar in bars], [True, True])
        self.assertEqual((bars[1].n, bars[1].total), (32_000_000, 32_000_000))

    def test_a_failed_save_is_reported_once_and_training_goes_on(self) -> None:
        with self.assertLogs("ckpt", logging.ERROR) as logs:
            with ckpt.Checkpointer(self.path, {"a": np.zeros(5)}) as saver:
                saver.save(1).result(60)
                with self.assertRaises(ckpt.ExistsError):
                    saver.save(1).result(60)
                self.assertEqual(saver.save(2).result(60).step, 2)
                self.assertIsInstance(saver.save(2).committed.exception(60), ckpt.ExistsError)
        self.assertIn("save of step 1 failed", logs.output[0])
        saver = ckpt.Checkpointer(self.path, {"a": np.zeros(5)})
        saver.save(3).result(60)
        saver.save(3)
        with self.assertRaises(ckpt.ExistsError):
            saver.close()

    def test_a_cancelled_save(self) -> None:
        array = np.random.default_rng(3).integers(0, 255, 4 << 20).astype(np.uint8)
        with ckpt.Checkpointer(self.path, {"a": array}, bytes_per_second=1 << 20, compression="none") as saver:
            save = saver.save(1)
            save.cancel()
            with self.assertRaises(ckpt.CancelledError):
                save.result(60)

    def test_one_writer(self) -> None:
        with ckpt.Store(self.path, "w") as store:
            with ckpt.Checkpointer(store, {}):
                with self.assertRaises(ckpt.BusyError):
                    ckpt.Checkpointer(store, {})
                with self.assertRaises(ckpt.MisuseError):
                    store.close()
            outcome = self.program("""
                import ckpt, sys
                try: ckpt.Store(sys.argv[1], "w")
                except ckpt.BusyError as error: print(error.remedy)
            """)
            self.assertEqual(outcome.returncode, 0, outcome.stderr)

    def test_an_exception_in_the_loop_comes_through(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            with ckpt.Checkpointer(self.path, {"a": np.zeros(5)}) as saver:
                saver.save(1)
                1 / 0
        self.assertEqual(ckpt.Store(self.path).latest_step(), 1)

    def test_a_mismatch_changes_nothing(self) -> None:
        with ckpt.Checkpointer(self.path, {"a": np.ones(5), "b": np.ones(3)}) as saver:
            saver.save(1)
        state = {"a": np.zeros(5), "c": np.zeros(3)}
        with ckpt.Checkpointer(self.path, state) as saver:
            with self.assertRaisesRegex(ckpt.MismatchError, "c"):
                saver.resume()
            self.assertEqual(state["a"].sum(), 0)
            report = saver.resume(strict=False)
            self.assertEqual((report.missing_count, report.unused_count, state["a"].sum()), (1, 1, 5))
            state["a"].flags.writeable = False
            with self.assertRaisesRegex(ckpt.MisuseError, "read-only"):
                saver.resume(strict=False)

    def test_the_process_may_end_with_a_save_in_flight(self) -> None:
        for ending in ("pass", "raise SystemExit(0)", "sys.exit()", "del saver, array"):
            with self.subTest(ending):
                self.path += "x"
                outcome = self.program(f"""
                    import ckpt, sys, numpy
                    array = numpy.random.default_rng(1).integers(0, 255, 40 << 20).astype(numpy.uint8)
                    saver = ckpt.Checkpointer(sys.argv[1], {{"a": array}}, compression="none")
                    saver.save(7)
                    {ending}
                """)
                self.assertEqual(outcome.returncode, 0, outcome.stderr)
                with ckpt.Store(self.path) as store:
                    store.open(7).verify()

    def test_children_are_refused_and_harm_nothing(self) -> None:
        outcome = self.program("""
            import ckpt, multiprocessing, numpy, os, sys
            array = numpy.zeros(30 << 20, numpy.uint8)
            saver = ckpt.Checkpointer(sys.argv[1], {"a": array}, compression="none", deduplicate=False)

            def child(queue):
                try: saver.fence()
                except ckpt.MisuseError as error: queue.put("fork" in str(error))

            context = multiprocessing.get_context("fork")
            for step in range(4):
                saver.save(step)
                queue = context.Queue()
                process = context.Process(target=child, args=(queue,))
                process.start()
                assert queue.get(timeout=20)
                process.join(20)
                assert process.exitcode == 0, process.exitcode
                if os.fork() == 0: sys.exit(0)
                assert os.wait()[1] == 0
            saver.close()
            print(saver.store.path == sys.argv[1])
        """)
        self.assertEqual((outcome.returncode, outcome.stdout), (0, "True\n"), outcome.stderr)
        with ckpt.Store(self.path) as store:
            self.assertEqual(store.all_steps(), [0, 1, 2, 3])

    def test_a_signal_to_a_child_is_not_the_parent_s(self) -> None:
        outcome = self.program("""
            import ckpt, numpy, os, signal, sys, time
            array = numpy.zeros(1 << 20, numpy.uint8)
            saver = ckpt.Checkpointer(sys.argv[1], {"a": array}, termination_seconds=20)
            child = os.fork()
            if child == 0:
                while True: time.sleep(1)
            os.kill(child, signal.SIGTERM)
            status = os.waitpid(child, 0)[1]
            assert os.WTERMSIG(status) == signal.SIGTERM, status
            time.sleep(0.3)
            saver.save(1)
            saver.close()
            print("saved")
        """)
        self.assertEqual((outcome.returncode, outcome.stdout), (0, "saved\n"), outcome.stderr)

    def test_a_killed_trainer_resumes(self) -> None:
        text = """
            import ckpt, numpy, os, signal, sys, threading
            end = float(sys.argv[2])
            state = {"w": numpy.zeros(1 << 20), "rng": {"python": None}}
            import random
            random.seed(5)
            state["rng"]["python"] = random.getstate()
            if end: threading.Timer(end, os.kill, (os.getpid(), signal.SIGKILL)).start()
            with ckpt.Checkpointer(sys.argv[1], state, keep_last=3) as saver:
                report = saver.resume()
                step = report.step if report else 0
                random.setstate(state["rng"]["python"])
                while step < 40:
                    with saver.fence():
                        state["w"] += random.random()
                    step += 1
                    state["rng"]["python"] = random.getstate()
                    saver.save(step)
            print(state["w"][0].hex(), state["w"].min() == state["w"].max())
        """
        expected = self.program(text, 0).stdout
        self.path += "-killed"
        generator = random.Random(11)
        for _ in range(4):
            outcome = self.program(text, generator.uniform(0.3, 1.2))
            if outcome.returncode == 0:
                break
            self.assertEqual(outcome.returncode, -signal.SIGKILL, outcome.stderr)
        self.assertEqual(self.program(text, 0).stdout, expected)

    def test_floats_are_converted_if_wanted(self) -> None:
        values = np.array([0, 1.5, -3, 1e6], np.float32)
        with ckpt.Checkpointer(self.path, {"w": values, "n": np.arange(3)}) as saver:
            saver.save(1).wait()
        state = {"w": np.zeros(4, np.float16), "n": np.zeros(3, np.int64)}
        with ckpt.Checkpointer(self.path, state) as saver:
            with self.assertRaisesRegex(ckpt.MismatchError, "w.*f32.*f16"):
                saver.resume()
            self.assertEqual(state["w"].tolist(), [0, 0, 0, 0])
            for restore in lambda: saver.resume(convert=True), lambda: saver.restore(1, convert=True):
                report = restore()
                self.assertEqual((report.converted_count, report.overflow_count), (1, 1))
                self.assertEqual(state["w"].tolist(), [0, 1.5, -3, float("inf")])
                state["w"][:] = 0
        # Numbers that are no floats are never converted.
        with ckpt.Checkpointer(self.path, {"w": values, "n": np.zeros(3, np.int32)}) as saver:
            with self.assertRaises(ckpt.MismatchError):
                saver.resume(convert=True)

    def test_sigterm_ends_the_loop(self) -> None:
        text = """
            import ckpt, numpy, os, signal, sys, time
            state = {"w": numpy.zeros(1000)}
            stops, at = sys.argv[2] == "stop", int(sys.argv[3])
            saver = ckpt.Checkpointer(
                sys.argv[1], state, termination_seconds=30, on_termination=sys.argv[2], keep_last=3)
            report = saver.resume()
            for step in range(report.step if report else 0, 20):
                with saver.fence():
                    state["w"] += 1
                if step + 1 == at:
                    os.kill(os.getpid(), signal.SIGTERM)
                    time.sleep(0 if stops else 30)
                if step + 1 == 20 or (saver.is_terminating and stops):
                    saver.save(step + 1)
                    break
            saver.close()
            print(step + 1)
        """
        stopped = self.program(text, "stop", 7)
        self.assertEqual(stopped.returncode, 0, stopped.stderr)
        self.assertEqual(stopped.stdout, "7\n")
        with ckpt.Store(self.path) as store:
            self.assertEqual(store.all_steps(), [7])
        # The signal ends the process, as soon as the saves in flight are there.
        began = time.monotonic()
        self.assertEqual(self.program(text, "publish", 9).returncode, -signal.SIGTERM)
        self.assertLess(time.monotonic() - began, 25)
        self.assertEqual(self.program(text, "stop", 0).stdout, "20\n")
        with self.assertRaisesRegex(ckpt.MisuseError, "termination_seconds"):
            ckpt.Checkpointer(self.path, {}, on_termination="stop")
        with self.assertRaises(ValueError):
            ckpt.Checkpointer(self.path, {}, on_termination="pray", termination_seconds=5)

    def test_ctrl_c_ends_a_wait(self) -> None:
        array = np.random.default_rng(3).integers(0, 255, 6 << 20).astype(np.uint8)
        saver = ckpt.Checkpointer(self.path, {"a": array}, bytes_per_second=1 << 20, compression="none")
        save = saver.save(1)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            save.wait()
        self.assertLess(time.monotonic() - began, 3)
        save.cancel()
        with self.assertRaises(ckpt.CancelledError):
            saver.close()

    def test_many_calls_leave_nothing_behind(self) -> None:
        state = {"a": np.zeros(1000), "b": 5}
        with ckpt.Checkpointer(self.path, state, keep_last=2) as saver:
            def calls(steps: range) -> None:
                for step in steps:
                    state["b"] = step
                    state["a"] = np.full(1000, float(step))
                    saver.save(step).result(60)
                    if step % 10 == 0:
                        saver.restore("latest")
                        self.assertEqual(state["a"][0], step)

            calls(range(1, 30))
            descriptors = len(os.listdir("/proc/self/fd"))
            calls(range(30, 100))
            self.assertLessEqual(len(os.listdir("/proc/self/fd")), descriptors + 2)
            self.assertLessEqual(len(saver._held), 3)


if __name__ == "__main__":
    unittest.main()
