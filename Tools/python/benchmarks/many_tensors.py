"""What a save and a read cost if there are 20,000 small tensors.

    CKPT_LIBRARY=.../libcheckpoint.so python Tools/python/benchmarks/many_tensors.py [DIRECTORY] [--rounds 10]

`arrays` are 20,000 arrays of numpy in a dictionary; `torch` is a model of 6,666 parameters with the state of AdamW. Each
round waits until the save before is committed. `one tensor` opens the store, and the checkpoint, and reads one tensor.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from typing import Any, Callable

import numpy as np
import torch

import ckpt
import ckpt.torch

COUNT = 20_000


def milliseconds(body: Callable[[], Any]) -> float:
    began = time.perf_counter()
    body()
    return 1000 * (time.perf_counter() - began)


def report(name: str, samples: list[float]) -> None:
    print(f"{name:28}{statistics.median(samples):8.1f} ms, at most {max(samples):.1f}")


def saves(saver: ckpt.Checkpointer, change: Callable[[], None], rounds: int) -> list[float]:
    """Milliseconds of each call of `save` but the first two, which describe the tensors."""
    samples = []
    for step in range(1, rounds + 3):
        with saver.fence():
            change()
        pending: list[Any] = []
        samples.append(milliseconds(lambda: pending.append(saver.save(step))))
        pending[0].wait()
    return samples[2:]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    directory = tempfile.mkdtemp(prefix="many-tensors-", dir=arguments.directory)
    try:
        arrays = {f"layer{index}.weight": np.full(100, float(index), np.float32) for index in range(COUNT)}
        path = os.path.join(directory, "arrays")
        with ckpt.Checkpointer(path, arrays, keep_last=1) as saver:
            report("save, arrays", saves(saver, lambda: arrays["layer7.weight"].__iadd__(1), arguments.rounds))
        name = f"layer{COUNT // 2}.weight"

        def read() -> None:
            with ckpt.Store(path) as store, store.open() as checkpoint:
                assert checkpoint[name].numpy()[0] == COUNT // 2

        report("one tensor, opening included", [milliseconds(read) for _ in range(arguments.rounds)])
        with ckpt.Store(path) as store:
            report("opening a checkpoint", [milliseconds(lambda: store.open().close()) for _ in range(arguments.rounds)])
            with store.open() as checkpoint:
                names = [f"layer{index}.weight" for index in range(0, COUNT, COUNT // arguments.rounds)]
                report("one tensor, open", [milliseconds(checkpoint[name].numpy) for name in names])
            with store.open() as checkpoint:
                report("its names", [milliseconds(lambda: list(checkpoint))])

        model = torch.nn.Sequential(*(torch.nn.Linear(16, 8) for _ in range(COUNT // 6)))
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        with ckpt.torch.Checkpointer(os.path.join(directory, "torch"), model=model, optimizer=optimizer, keep_last=1) as torch_saver:
            report("save, torch", saves(torch_saver, lambda: None, arguments.rounds))
            report("state_dict of the model", [milliseconds(lambda: model.state_dict(keep_vars=True)) for _ in range(5)])
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
