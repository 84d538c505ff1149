"""Several processes that save one checkpoint together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import unittest

import numpy

import ckpt

from .support import PACKAGE, TestCase

try:
    import torch

    from . import together
except ImportError:
    if "torch" in os.environ.get("CKPT_REQUIRE", "").split(","):
        raise
    torch = None  # type: ignore[assignment]

#: A process with arrays of numpy: rows of one matrix, a copy of another, and a generator of its own.
ARRAYS = """
    import sys
    import ckpt, numpy

    store, rank, world, launch, first = sys.argv[1], *map(int, sys.argv[2:4]), sys.argv[4], int(sys.argv[5])
    rows = numpy.array_split(numpy.arange(10), world)[rank]
    everyone = tuple(range(world))

    def arrays(step):
        matrix = numpy.add.outer(rows * 100.0, numpy.arange(50.0)) + step
        return matrix, numpy.full((4,), float(step))

    matrix, copy = (numpy.zeros_like(array) for array in arrays(0))
    shared = ckpt.Shard(copy, shape=(4,), offset=(0,), holders=everyone)
    state = {
        "matrix": ckpt.Shard(matrix, shape=(10, 50), offset=(int(rows[0]), 0)),
        "copy": shared,
        "generator": ckpt.OfRank([rank, 0], on_another_world="first"),
        "epoch": 0,
    }
    if first == 2:
        # The values of rank 0 alone are in its part; the rows are in those of the others.
        del state["copy"]
    if first == -1 and rank == 1:
        # A value that this process alone knows, and the checkpoint does not.
        state["more"] = 1
    ranks = ckpt.Ranks(rank, world, launch, timeout=60, start_timeout=60)
    with ckpt.Checkpointer(store, state, ranks=ranks, compression="none") as saver:
        report = saver.resume(strict=first != 2)
        state["copy"] = shared
        assert (report.step if report else 0) == first, report
        if report:
            assert numpy.array_equal(matrix, arrays(first)[0]), matrix
            assert first == 2 or numpy.array_equal(copy, arrays(first)[1]), copy
            assert state["epoch"] == first, state["epoch"]
            print(state["generator"].value, report.first_rank_count)
        for step in first + 1, first + 2:
            with saver.fence():
                matrix[:], copy[:] = arrays(step)
                state["generator"].value = [rank, step]
                state["epoch"] = step
            saver.save(step).wait()
"""


class ArrayTests(TestCase):
    def ended(self, world: int, launch: str, first: int) -> list[tuple[int, str, str]]:
        """Exit status, output and errors of each process."""
        environment = {**os.environ, "PYTHONPATH": PACKAGE}
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(ARRAYS), self.path, str(rank), str(world), launch, str(first)],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for rank in range(world)]
        try:
            outcomes = [process.communicate(timeout=100) for process in processes]
        finally:
            for process in processes:
                process.kill()
        return [(process.returncode, *texts) for process, texts in zip(processes, outcomes)]

    def start(self, world: int, launch: str, first: int) -> list[str]:
        outcomes = self.ended(world, launch, first)
        for code, _, error in outcomes:
            self.assertEqual(code, 0, error)
        return [output.strip() for _, output, _ in outcomes]

    def test_any_number_of_processes_goes_on(self) -> None:
        self.assertEqual(self.start(3, "a", 0), ["", "", ""])
        self.assertEqual(self.start(3, "b", 2), ["[0, 2] 0", "[1, 2] 0", "[2, 2] 0"])
        self.assertEqual(self.start(2, "c", 4), ["[0, 4] 1", "[0, 4] 1"])
        self.assertEqual(self.start(1, "d", 6), ["[0, 6] 0"])
        self.assertEqual(self.start(2, "e", 8), ["[0, 8] 1", "[0, 8] 1"])
        with ckpt.Store(self.path) as store:
            self.assertEqual(store.all_steps(), list(range(1, 11)))
            checkpoint = store.open()
            checkpoint.verify()
            expected = numpy.add.outer(numpy.arange(10) * 100.0, numpy.arange(50.0)) + 10
            self.assertTrue(numpy.array_equal(checkpoint["matrix"].numpy(), expected))
            self.assertEqual(checkpoint.object("epoch"), 10)
            # What the processes hold in common is written once.
            for summary in store.checkpoints():
                self.assertLess(summary.logical_bytes, 8 * (500 + 4) + 200)

    def test_a_process_that_cannot_restore_tells_the_others(self) -> None:
        self.start(2, "a", 0)
        began = time.monotonic()
        (code, _, error), (other_code, _, reason) = self.ended(2, "b", -1)
        self.assertTrue(code and other_code)
        # The other one did not wait for its timeout, which is 60 s.
        self.assertLess(time.monotonic() - began, 30)
        self.assertIn("MismatchError: the checkpoint lacks 1 values of the state: more", reason)
        self.assertRegex(error, "(?s)CancelledError: .*lacks 1 values of the state: more")

    def test_names_that_look_like_those_of_ranks(self) -> None:
        state = {"fold": {"1of5": 0.5, "2of5": 0.25}, "fold.of": 1, "a": 1, "a.x0of2": 22, "a.x1of2": 3}
        with ckpt.Checkpointer(self.path, dict(state)) as saver:
            saver.save(1).wait()
        with ckpt.Checkpointer(self.path, {"fold": {"1of5": 0, "2of5": 0}, "fold.of": 0, "a": 0}) as saver:
            report = saver.resume()
            assert report is not None
            expected = {"fold.1of5": 0.5, "fold.2of5": 0.25, "fold.of": 1, "a": 1, "a.x0of2": 22, "a.x1of2": 3}
            self.assertEqual(report.objects, expected)

    def test_what_cannot_be(self) -> None:
        with self.assertRaises(ValueError):
            ckpt.Store(self.path, "r", ranks=ckpt.Ranks(0, 2, "a"))
        with self.assertRaises(ckpt.MisuseError):
            ckpt.Store(self.path, "w", ranks=ckpt.Ranks(2, 2, "a"))
        with self.assertRaises(ValueError):
            ckpt.OfRank(1, on_another_world="hope")
        alone = ckpt.Ranks(0, 2, "a", timeout=0.1, start_timeout=0.1)
        with self.assertRaises(ckpt.TimedOutError):
            ckpt.Checkpointer(self.path, {"a": numpy.zeros(3)}, ranks=alone)
        with ckpt.Store(self.path, "w") as store:
            with self.assertRaises(ValueError):
                ckpt.Checkpointer(store, {}, ranks=alone)
            shard = ckpt.Shard(numpy.zeros((2, 2)), shape=(4, 2), offset=(0,))
            with ckpt.Checkpointer(store, {"w": shard}) as saver:
                with self.assertRaisesRegex(ValueError, "shard 'w' has 2 dimensions"):
                    saver.save(1)
            shard = ckpt.Shard(numpy.zeros((2, 2)), shape=(4, 2), offset=(0, 0))
            with ckpt.Checkpointer(store, {"w": shard}) as saver:
                with self.assertRaisesRegex(ckpt.MisuseError, "only a part of tensor w"):
                    saver.save(1).wait()


@unittest.skipIf(torch is None, "torch is not installed")
class TorchTests(TestCase):
    def start(self, scenario: str, world: int, **environment: str) -> list[subprocess.Popen[str]]:
        meeting = os.path.join(self.directory, f"meeting-{time.monotonic_ns()}")
        return [
            subprocess.Popen(
                [sys.executable, "-m", "tests.together", scenario, str(rank), str(world), self.path, meeting],
                env={**os.environ, "PYTHONPATH": PACKAGE, "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", **environment},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PACKAGE)
            for rank in range(world)]

    def finish(self, processes: list[subprocess.Popen[str]], code: int = 0) -> list[str]:
        """Waits for all. Once one has ended with `code`, which is not 0, the others are killed."""
        end = time.monotonic() + 150
        try:
            while all(process.poll() is None for process in processes) and time.monotonic() < end:
                time.sleep(0.01)
            if code:
                ended = {process.poll() for process in processes} - {None}
                self.assertEqual(ended, {code}, [p.communicate()[1] for p in processes if p.poll() is not None])
                for process in processes:
                    process.kill()
            outcomes = [process.communicate(timeout=max(end - time.monotonic(), 0.1)) for process in processes]
        finally:
            for process in processes:
                process.kill()
        if not code:
            for process, (_, error) in zip(processes, outcomes):
                self.assertEqual(process.returncode, 0, error)
        return [output for output, _ in outcomes]

    def test_every_placement_on_two_ranks_and_four(self) -> None:
        self.finish(self.start("layouts", 2, CKPT_SAVES="1"))
        for world in 2, 4:
            self.finish(self.start("layouts", world))
        self.path += "-four"
        self.finish(self.start("layouts", 4, CKPT_SAVES="1"))
        for world in 4, 2:
            self.finish(self.start("layouts", world))
        with ckpt.Store(self.path) as store, store.open() as checkpoint:
            for name in together.LAYOUTS:
                self.assertTrue(torch.equal(checkpoint[f"model.{name}"].torch(), together.whole(name)), name)
            elements = sum(together.whole(name).numel() for name in together.LAYOUTS)
            self.assertEqual(store.checkpoints()[0].logical_bytes, 4 * elements, "each element once")

    def test_values_that_all_have_without_a_tensor_in_common(self) -> None:
        self.assertEqual(set(self.finish(self.start("schedule", 2))), {"0.125 2\n"})
        self.assertEqual(set(self.finish(self.start("schedule", 2))), {"0.03125 4\n"})
        self.assertEqual(set(self.finish(self.start("schedule", 3))), {f"{0.5 ** 7} 6\n"})
        self.assertEqual(set(self.finish(self.start("schedule", 1))), {f"{0.5 ** 9} 8\n"})

    def test_buffers_that_are_dtensors(self) -> None:
        self.finish(self.start("buffers", 4, CKPT_SAVES="1"))
        for world in 4, 2:
            self.finish(self.start("buffers", world))

    def test_a_process_that_saves_alone_among_several(self) -> None:
        self.finish(self.start("strangers", 2))

    def losses(self, output: str) -> dict[int, str]:
        lines = (line.split() for line in output.splitlines())
        return {int(line[0]): line[1] for line in lines if line[0].isdigit()}

    def test_fsdp_is_killed_and_goes_on_with_the_same_losses(self) -> None:
        whole = self.losses(self.finish(self.start("fsdp", 2))[0])
        self.assertEqual(sorted(whole), list(range(1, 13)))
        for world in 2, 1:
            self.path = os.path.join(self.directory, f"killed-{world}")
            self.finish(self.start("fsdp", 2, CKPT_KILL="8"), code=-signal.SIGKILL)
            outputs = self.finish(self.start("fsdp", world))
            first = outputs[0].splitlines()[0].split()
            self.assertEqual(first[0], "resumed", outputs)
            step = int(first[1])
            self.assertIn(step, (2, 4, 6, 8))
            # One process has no values of ranks; it takes those of rank 0.
            self.assertEqual(int(first[2]), 0)
            self.assertEqual([int(output.split()[3]) for output in outputs], [1000 * rank + step for rank in range(world)])
            rest = self.losses(outputs[0])
            self.assertEqual(sorted(rest), list(range(step + 1, 13)))
            for number, loss in rest.items():
                if world == 2:
                    self.assertEqual(loss, whole[number], number)
                else:
                    # Sums in another order.
                    self.assertAlmostEqual(float.fromhex(loss), float.fromhex(whole[number]), places=4)
        # And from one process to two.
        self.path = os.path.join(self.directory, "one")
        alone = self.losses(self.finish(self.start("fsdp", 1))[0])
        with ckpt.Store(self.path, "w") as store:
            for number in 8, 10, 12:
                store.remove(number, force=True)
        outputs = self.finish(self.start("fsdp", 2))
        resumed, step_text, count, position = outputs[1].split()[:4]
        self.assertEqual((resumed, step_text, position), ("resumed", "6", "6"))
        self.assertGreaterEqual(int(count), 3, "generators and the dataloader")
        for number, loss in self.losses(outputs[0]).items():
            self.assertAlmostEqual(float.fromhex(loss), float.fromhex(alone[number]), places=4)

    def test_a_signal_to_one_process_ends_all_after_the_same_step(self) -> None:
        for world in 2, 1:
            self.path = os.path.join(self.directory, f"preempted-{world}")
            steps = set(self.finish(self.start("preempted", world)))
            self.assertEqual(len(steps), 1, steps)
            # The signal may come a little later than the step in which it was sent.
            step = int(steps.pop())
            self.assertLess(step, 50)
            with ckpt.Store(self.path) as store:
                self.assertEqual(store.all_steps(), [step])

    def test_data_parallel_training_writes_each_byte_once(self) -> None:
        first = [output.split() for output in self.finish(self.start("ddp", 2))]
        self.assertEqual([line[2] for line in first], ["7", "1007"])
        self.assertNotEqual(first[0][:2], first[1][:2])
        self.assertNotEqual(first[0][4], first[1][4], "buffers of their own")
        self.assertEqual(first[0][5], first[1][5])
        with ckpt.Store(self.path) as store:
            summary = store.checkpoints()[0]
        # Weights and momentum once, and generators as text; a second copy of the weights is too much.
        self.assertLess(summary.logical_bytes, 4 * 3 * 90_900)
        again = [output.split() for output in self.finish(self.start("ddp", 2))]
        self.assertEqual([line[:3] for line in again], [line[:3] for line in first])
        self.assertEqual([line[4] for line in again], [first[0][4]] * 2, "the buffers of rank 0")
        self.assertEqual([line[5] for line in again], [first[0][5]] * 2)
        # Another number of ranks: new generators, and no state of a dataloader that it does not have.
        four = [output.split() for output in self.finish(self.start("ddp", 3))]
        self.assertEqual([line[2] for line in four], ["0", "1000", "2000"])
        self.assertEqual(len({line[0] for line in four}), 3)
        self.assertEqual([line[5] for line in four], [first[0][5]] * 3)


if __name__ == "__main__":
    unittest.main()
