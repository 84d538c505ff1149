"""How much longer steps of training take while a save is written in the background.

    CKPT_LIBRARY=.../libcheckpoint.so python Tools/python/benchmarks/step_times.py [DIRECTORY] [--rounds 6] [--bytes 1500000000]

The state is fp32. A step multiplies matrices that fit in the cache (`compute`), or adds arrays that do not
(`memory`), with one and with two threads. Rounds without a save and with one alternate; of a round with a save, the steps
count that begin before the save is committed. `save` and fences are not part of a step: this is what the work in the
background takes from training, by the processor, the memory bus and the kernel.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from typing import Callable, Optional

import torch

import ckpt

#: Length of a round without a save, and how long one with a save may take.
ROUND_SECONDS, LONGEST_SECONDS = 1.5, 60.0


def compute_step() -> Callable[[], None]:
    left, right, out = (torch.rand(256, 256) for _ in range(3))

    def step() -> None:
        for _ in range(24):
            torch.mm(left, right, out=out)

    return step


def memory_step() -> Callable[[], None]:
    one, two = (torch.rand(16 << 20) for _ in range(2))

    def step() -> None:
        one.add_(two)

    return step


def round_of_steps(step: Callable[[], None], save: Optional[ckpt.Save]) -> list[float]:
    times: list[float] = []
    began = time.perf_counter()
    while True:
        now = time.perf_counter()
        ends = now - began > (ROUND_SECONDS if save is None else LONGEST_SECONDS)
        if ends or save is not None and save.done():
            return times
        step()
        times.append(time.perf_counter() - now)


def percentile(samples: list[float], share: float) -> float:
    return sorted(samples)[min(int(len(samples) * share), len(samples) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--bytes", type=int, default=1_500_000_000)
    arguments = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="step-times-", dir=arguments.directory)
    count = 60
    state = {f"layer{index}": torch.rand(arguments.bytes // count // 4) for index in range(count)}
    print(f"{'step':8} threads   p50 plain    while saving             p99 plain    while saving")
    try:
        with ckpt.Checkpointer(os.path.join(directory, "store"), state, keep_last=1, compression="none") as saver:
            number = 0
            for name, make in (("compute", compute_step), ("memory", memory_step)):
                for threads in (1, 2):
                    torch.set_num_threads(threads)
                    step = make()
                    for _ in range(20):
                        step()
                    plain: list[float] = []
                    saving: list[float] = []
                    for _ in range(arguments.rounds):
                        plain += round_of_steps(step, None)
                        with saver.fence():
                            for tensor in state.values():
                                tensor.add_(1)
                        number += 1
                        save = saver.save(number)
                        saving += round_of_steps(step, save)
                        save.wait()
                    row = []
                    for share in (0.5, 0.99):
                        before, after = percentile(plain, share), percentile(saving, share)
                        row.append(f"{1000 * before:8.2f} ms {1000 * after:8.2f} ms ({100 * (after / before - 1):+5.1f} %)")
                    mean = statistics.fmean(saving) / statistics.fmean(plain) - 1
                    print(f"{name:8} {threads:7}   {'   '.join(row)}   mean {100 * mean:+5.1f} %, {len(saving)} steps", flush=True)
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
