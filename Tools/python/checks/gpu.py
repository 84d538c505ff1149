#!/usr/bin/env python3
"""Checks on a machine with an NVIDIA GPU that its memory is saved as it was at the save.

    python3 gpu.py [--megabytes N] [--rounds N] [--store DIRECTORY]

Needs the NVIDIA driver and Python alone; with PyTorch for CUDA it also trains a model. Uses the package `ckpt`, or a wheel of
it that lies beside this file. Work that fills the tensors is put into a stream before and after every save. Prints one
line for each check, and figures; ends with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import ctypes
import glob
import os
import sys
import tempfile
import time
import zipfile
from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
#: The legacy default stream.
STREAM = ctypes.c_void_p(1)


def import_ckpt(directory: str) -> Any:
    """The package: that of the wheel beside this file, taken apart in `directory`, or the installed one."""
    for wheel in sorted(glob.glob(os.path.join(HERE, "ckpt-*.whl")))[-1:]:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(directory)
        sys.path.insert(0, directory)
    import ckpt

    return ckpt


class Driver:
    """The CUDA driver, with the primary context of GPU 0 current on this thread."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise SystemExit(f"no NVIDIA driver: {error}") from None
        self.call("cuInit", 0)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuDeviceGet", ctypes.byref(device), 0)
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, 256, device)
        self.name = name.value.decode()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxPushCurrent_v2", context)

    def call(self, name: str, *arguments: Any) -> None:
        result = getattr(self._library, name)(*arguments)
        if result != 0:
            raise SystemExit(f"{name} failed with CUDA error {result}")

    def wait(self) -> None:
        self.call("cuStreamSynchronize", STREAM)


class DeviceArray:
    """32-bit numbers in the memory of the GPU."""

    def __init__(self, driver: Driver, count: int) -> None:
        self._driver, self.count = driver, count
        address = ctypes.c_uint64()
        driver.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(4 * count))
        self.address = address.value

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": (self.count,), "typestr": "<u4", "data": (self.address, False), "version": 3}

    def fill(self, value: int) -> None:
        """Puts into the stream work that gives all elements a value."""
        self._driver.call(
            "cuMemsetD32Async", ctypes.c_uint64(self.address), ctypes.c_uint(value), ctypes.c_size_t(self.count), STREAM)

    def download(self, target: Any) -> None:
        """Puts into the stream a copy to memory of the CPU."""
        self._driver.call(
            "cuMemcpyDtoHAsync_v2", ctypes.c_void_p(ctypes.addressof(target)), ctypes.c_uint64(self.address),
            ctypes.c_size_t(4 * self.count), STREAM)


def is_filled(data: bytes, value: int) -> bool:
    """Whether all 32-bit numbers have a value."""
    return data == value.to_bytes(4, sys.byteorder) * (len(data) // 4)


def link_speed(driver: Driver, array: DeviceArray) -> float:
    """Bytes per second of plain copies into pinned memory: the best of five."""
    pinned = (ctypes.c_char * (4 * array.count))()
    driver.call("cuMemHostRegister_v2", pinned, ctypes.c_size_t(len(pinned)), 1)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        array.download(pinned)
        driver.wait()
        best = max(best, len(pinned) / (time.perf_counter() - began))
    driver.call("cuMemHostUnregister", pinned)
    return best


def check_snapshots(ckpt: Any, driver: Driver, arrays: list[DeviceArray], path: str, rounds: int) -> None:
    """Saves in the middle of work that changes everything; each checkpoint has the values of its save."""
    state = {f"tensor{index}": array for index, array in enumerate(arrays)}
    total = sum(4 * array.count for array in arrays)
    blocked, waited, captured = [], [], []
    with ckpt.Checkpointer(path, state) as saver:
        for step in range(1, rounds + 1):
            for array in arrays:
                array.fill(step)
            began = time.perf_counter()
            save = saver.save(step)
            blocked.append(time.perf_counter() - began)
            began = time.perf_counter()
            with saver.fence():
                waited.append(time.perf_counter() - began)
                for array in arrays:
                    array.fill(1_000_000 + step)
            captured.append(save.result().captured_seconds)
        wrong = 0
        for step in range(1, rounds + 1):
            checkpoint = saver.store.open(step)
            wrong += any(not is_filled(bytes(checkpoint[name].read()), step) for name in state)
        report("snapshots", wrong == 0, f"{rounds} saves, {wrong} with other values than those of the save")
        print(f"  save blocks for {1e3 * median(blocked):.2f} ms, its fence waits for {1e3 * median(waited):.1f} ms")
        print(f"  captured at {total / median(captured) / 1e9:.2f} GB/s")
        for array in arrays:
            array.fill(5)
        saver.restore(1)
        is_restored = True
        for array in arrays:
            target = (ctypes.c_char * (4 * array.count))()
            array.download(target)
            driver.wait()
            is_restored &= is_filled(target.raw, 1)
        report("restore", is_restored, "all elements are those of step 1")


def check_overlap(ckpt: Any, driver: Driver, array: DeviceArray, others: list[DeviceArray], path: str) -> None:
    """How much longer the GPU takes for work on other memory while a save copies."""
    def work() -> float:
        began = time.perf_counter()
        for value in range(200):
            for other in others:
                other.fill(value)
        driver.wait()
        return time.perf_counter() - began

    work()
    alone = median([work() for _ in range(5)])
    with ckpt.Checkpointer(path, {"a": array}) as saver:
        beside = []
        for step in range(1, 6):
            array.fill(step)
            save = saver.save(step)
            beside.append(work())
            save.wait()
    print(f"overlap: work on other memory takes {1e3 * alone:.1f} ms alone, {1e3 * median(beside):.1f} ms beside a save")


def check_torch(path: str) -> None:
    """Trains on the GPU with tensors that are lent, and compares each save with a copy that was made at once."""
    try:
        import torch
    except ImportError:
        print("torch: not installed, not checked")
        return
    if not torch.cuda.is_available():
        print("torch: has no CUDA, not checked")
        return
    from ckpt.torch import Checkpointer

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(2048, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 64)).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    copies = {}
    with Checkpointer(path, model=model, optimizer=optimizer, cuda="lend") as saver:
        for step in range(1, 21):
            loss = (model(torch.randn(64, 2048, device="cuda")) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            saver.save(step)
            copies[step] = {name: value.detach().clone() for name, value in model.named_parameters()}
    with Checkpointer(path, model=model, optimizer=optimizer, cuda="lend") as saver:
        wrong = 0
        for step, wanted in copies.items():
            saver.restore(step)
            wrong += any(not torch.equal(value.detach(), wanted[name]) for name, value in model.named_parameters())
    report("torch", wrong == 0, f"20 steps of AdamW on {torch.cuda.get_device_name(0)}, {wrong} saves are wrong")


failures = 0


def report(name: str, is_right: bool, text: str) -> None:
    global failures
    failures += not is_right
    print(f"{name}: {'ok' if is_right else 'FAILED'}: {text}", flush=True)


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--megabytes", type=int, default=2000, help="size of the state")
    arguments.add_argument("--rounds", type=int, default=50, help="number of saves")
    arguments.add_argument("--store", help="a directory that does not exist yet; by default a temporary one")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="ckpt-gpu-") as directory:
        ckpt = import_ckpt(os.path.join(directory, "package"))
        store = options.store or os.path.join(directory, "store")
        driver = Driver()
        arrays = [DeviceArray(driver, options.megabytes * 1_000_000 // 16) for _ in range(4)]
        print(f"{driver.name}, ckpt {ckpt.__version__}, state of {options.megabytes} MB")
        print(f"link: {link_speed(driver, arrays[0]) / 1e9:.2f} GB/s")
        check_snapshots(ckpt, driver, arrays, os.path.join(store, "snapshots"), options.rounds)
        check_overlap(ckpt, driver, arrays[0], arrays[1:], os.path.join(store, "overlap"))
        check_torch(os.path.join(store, "torch"))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
