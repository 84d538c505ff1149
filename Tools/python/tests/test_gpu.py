"""Memory of a GPU, with the driver in software of Tests/FakeCUDA."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import unittest

import ckpt

from .support import PACKAGE, TestCase

FAKE = os.path.join(PACKAGE, "..", "..", "Tests", "FakeCUDA")
#: Entry points whose names in the driver have a version.
VERSIONED = (
    "cuDevicePrimaryCtxRelease cuCtxPushCurrent cuCtxPopCurrent cuStreamDestroy cuEventDestroy cuMemcpyDtoHAsync "
    "cuMemcpyHtoDAsync cuMemAlloc cuMemFree cuMemHostRegister").split()


class OnAGPU:
    """An array that says that a GPU has it."""

    def __init__(self, **interface: object) -> None:
        self.__cuda_array_interface__ = {
            "shape": (4,), "typestr": "<f4", "data": (4096, False), "version": 3, **interface}


@unittest.skipIf(shutil.which("cc") is None, "there is no C compiler")
class GPUTests(TestCase):
    def test_the_check_for_machines_with_a_gpu(self) -> None:
        subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", "-pthread", "-Dstatic=", f"-I{FAKE}/include", "-Wl,-soname,libcuda.so.1",
             f"{FAKE}/fake_cuda.c", "-o", f"{self.directory}/libcuda.so.1",
             *(f"-Wl,--defsym={name}_v2={name}" for name in VERSIONED)], check=True)
        environment = {**os.environ, "PYTHONPATH": PACKAGE, "LD_LIBRARY_PATH": self.directory}
        outcome = subprocess.run(
            [sys.executable, os.path.join(PACKAGE, "checks", "gpu.py"), "--megabytes", "16", "--rounds", "12",
             "--store", self.path],
            env=environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(outcome.returncode, 0, outcome.stdout + outcome.stderr)
        self.assertIn("Software GPU", outcome.stdout)
        self.assertIn("snapshots: ok: 12 saves, 0 with other values", outcome.stdout)
        self.assertIn("restore: ok", outcome.stdout)

    def test_what_cannot_be_lent_is_refused_by_name(self) -> None:
        for interface in {"typestr": ">f4"}, {"typestr": "|V16"}, {"mask": object()}, {"strides": (3,)}:
            with self.assertRaisesRegex(TypeError, "weight"):
                ckpt.Checkpointer(self.path, {"weight": OnAGPU(**interface)})
        # There is no such GPU.
        array = OnAGPU()
        array.__dlpack_device__ = lambda: (2, 4_000_000)  # type: ignore[attr-defined]
        with ckpt.Checkpointer(self.path, {"weight": array}) as saver:
            with self.assertRaises(ckpt.DeviceError):
                saver.save(1)


if __name__ == "__main__":
    unittest.main()
