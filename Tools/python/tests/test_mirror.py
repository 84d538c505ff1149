"""Mirrors of stores, and stores in object storage."""

from __future__ import annotations

import os
import shutil
import time
import unittest
import uuid

import numpy as np

import ckpt

from .support import TestCase

REQUIRED = os.environ.get("CKPT_REQUIRE", "").split(",")
#: Tools/object-store sets it, with the settings that every program with the S3 protocol reads.
HAS_BUCKET = "CKPT_TEST_S3" in os.environ or "objects" in REQUIRED

#: A training loop of ten steps with a mirror; a number as its last argument is the step at which it dies.
TRAIN = """
import os, signal, sys
import numpy as np
import ckpt

path, mirror, dies = sys.argv[1], sys.argv[2], int(sys.argv[3])
state = {"weight": np.zeros(50_000), "seed": 1}
with ckpt.Checkpointer(path, state, mirror=ckpt.Mirror(mirror), run="trained") as saver:
    report = saver.resume()
    step = report.step if report else 0
    print("from", step, report.is_from_mirror if report else None)
    while step < 10:
        with saver.fence():
            state["weight"] += np.sin(state["weight"] + step)
        step += 1
        saver.save(step).wait()
        if step == dies:
            saver.wait_until_mirrored(60)
            saver.save(step + 100)
            os.kill(os.getpid(), signal.SIGKILL)
print(state["weight"].tobytes().hex()[:400])
"""


class MirrorTests(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.mirror = self.place()

    def place(self) -> str:
        """A place for a mirror that is not used yet."""
        return os.path.join(self.directory, "mirror")

    def test_a_killed_trainer_whose_disk_is_lost_resumes_from_the_mirror(self) -> None:
        whole = self.program(TRAIN, self.mirror, 0)
        self.assertEqual(whole.returncode, 0, whole.stderr)
        shutil.rmtree(self.path)
        self.mirror = self.place() + "-2"
        killed = self.program(TRAIN, self.mirror, 4)
        self.assertEqual(killed.returncode, -9, killed.stderr)
        shutil.rmtree(self.path)
        resumed = self.program(TRAIN, self.mirror, 0)
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        lines = resumed.stdout.splitlines()
        self.assertEqual(lines[0], "from 4 True")
        self.assertEqual(lines[-1], whole.stdout.splitlines()[-1])

    def test_the_mirror_has_rules_of_its_own(self) -> None:
        state = {"a": np.arange(10_000)}
        mirror = ckpt.Mirror(self.mirror, keep=ckpt.Retention(keep_every=2), bytes_per_second=1 << 30)
        with ckpt.Checkpointer(self.path, state, keep_last=1, mirror=mirror, mirror_seconds=60) as saver:
            for step in range(1, 6):
                with saver.fence():
                    state["a"] += step
                saver.save(step).wait()
                saver.wait_until_mirrored(60)
            with self.assertRaises(ckpt.NotFoundError):
                saver.store.open(77)
            # The directory has the newest alone, a moment later; an older one is read from the mirror.
            end = time.monotonic() + 60
            while saver.all_steps() != [5]:
                self.assertLess(time.monotonic(), end, saver.all_steps())
                time.sleep(0.05)
            self.assertEqual(saver.store.open(4)["a"].numpy()[0], 1 + 2 + 3 + 4)
        with ckpt.Store(self.mirror) as copy:
            self.assertTrue({2, 4, 5} <= set(copy.all_steps()), copy.all_steps())

    def test_what_cannot_be_a_mirror_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            ckpt.Store(self.path, mirror=self.mirror)
        for place in ("s3://", ""):
            with self.assertRaises(ckpt.MisuseError, msg=place):
                ckpt.Store(self.path, "w", mirror=place)
        for place in (self.path, os.path.join(self.path, "inside")):
            with self.assertRaises(ckpt.MisuseError, msg=place):
                ckpt.Checkpointer(self.path, {}, mirror=place)
        with self.assertRaises(ckpt.MisuseError):
            ckpt.Store("s3://bucket/a", "w", mirror=self.mirror)
        with ckpt.Store(self.path, "w") as store, ckpt.Checkpointer(store, {}) as saver:
            with self.assertRaises(ValueError):
                ckpt.Checkpointer(store, {}, mirror=self.mirror)
            with self.assertRaises(ckpt.MisuseError):
                saver.wait_until_mirrored(1)


@unittest.skipUnless(HAS_BUCKET, "needs an object store: Tools/object-store Tools/python/test")
class BucketMirrorTests(MirrorTests):
    def place(self) -> str:
        return f"s3://tests/python-{uuid.uuid4().hex}"


@unittest.skipUnless(HAS_BUCKET, "needs an object store: Tools/object-store Tools/python/test")
class BucketTests(TestCase):
    def test_a_store_in_a_bucket(self) -> None:
        self.path = f"s3://tests/python-{uuid.uuid4().hex}"
        with self.assertRaises(ckpt.CheckpointError):
            ckpt.Store(self.path)
        state = {"a": np.zeros(1000, np.float32), "seed": 3}
        with ckpt.Checkpointer(self.path, state, run="first") as saver:
            self.assertIsNone(saver.resume())
            for step in (1, 2, 3):
                with saver.fence():
                    state["a"][:] = step
                saver.save(step, {"loss": 1 / step}).wait()
            saver.store.tag(1, "first")
            with ckpt.Store(self.path) as reader:
                self.assertEqual(reader.all_steps(), [1, 2, 3])
                self.assertEqual(reader.open("best:loss")["a"].numpy()[0], 3)
            self.assertEqual(saver.store.prune(keep_every=2).removed_count, 0)
            saver.store.remove(2)
        state["a"][:], state["seed"] = 0, 0
        with ckpt.Checkpointer(self.path, state, run="first") as saver:
            self.assertEqual(saver.resume().step, 3)
            self.assertEqual((state["a"][0], state["seed"]), (3, 3))
            self.assertEqual(saver.all_steps(), [1, 3])


if __name__ == "__main__":
    unittest.main()
