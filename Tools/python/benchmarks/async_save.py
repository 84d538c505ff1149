"""What `dcp.async_save` costs a training loop on the CPU, over ckpt and over the files of DCP.

    CKPT_LIBRARY=.../libcheckpoint.so python Tools/python/benchmarks/async_save.py [DIRECTORY] [--rounds 5]

Each round trains with each way of saving in turn, on the same 1.5 GB of parameters and AdamW state:

    none    no save
    ckpt    dcp.async_save, unmodified, over CkptWriter
    dcp     dcp.async_save over FileSystemWriter, staged in the background into shared memory, its
            best way on the CPU; both write and fsync all bytes
    direct  ckpt.torch.Checkpointer

A run is one save and four steps. Blocked is the time of the call, and of waits before the step that
follows; stall is the time of all steps beyond that of `none`; planning is what DCP's default planner
needs for this state, alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
import warnings
from typing import Any, Callable, Optional

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

import ckpt.torch
from ckpt.dcp import CkptWriter, _staging

WIDTH, LAYERS = 768, 12
STEPS = 4


class Run:
    """A loop whose state has the tensors of GPT-2, and whose forward pass is a matrix product."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        shapes = [(50257, WIDTH), (1024, WIDTH)]
        for _ in range(LAYERS):
            shapes += [(WIDTH,)] * 4 + [(3 * WIDTH, WIDTH), (3 * WIDTH,), (WIDTH, WIDTH), (WIDTH,)]
            shapes += [(4 * WIDTH, WIDTH), (4 * WIDTH,), (WIDTH, 4 * WIDTH), (WIDTH,)]
        self.model = torch.nn.Module()
        for index, shape in enumerate(shapes):
            self.model.register_parameter(f"p{index}", torch.nn.Parameter(torch.randn(shape) * 0.02))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.gradients = [torch.randn_like(parameter) * 1e-3 for parameter in self.model.parameters()]
        self.left = torch.randn(1024, 1024)
        self.compute()
        self.step()

    def compute(self) -> None:
        """Forward and backward: some 0.5 s on one thread."""
        end = time.perf_counter() + 0.5
        while time.perf_counter() < end:
            self.left = torch.tanh(self.left @ self.left * 0.01)
        for parameter, gradient in zip(self.model.parameters(), self.gradients):
            parameter.grad = gradient

    def step(self) -> None:
        self.optimizer.step()

    def state(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optim": self.optimizer.state_dict()}

    @property
    def nbytes(self) -> int:
        return 3 * sum(parameter.nbytes for parameter in self.model.parameters())


def planning(run: Run) -> float:
    """Seconds that the default planner takes."""
    state = run.state()
    start = time.perf_counter()
    planner = DefaultSavePlanner()
    planner.set_up_planner(state, None, True)
    plans, _ = planner.create_global_plan([planner.create_local_plan()])
    planner.finish_plan(plans[0])
    return time.perf_counter() - start


def loop(run: Run, save: Callable[[], Any], before_step: Callable[[Any], None]) -> tuple[float, float]:
    """A save and the steps after it.

    Returns:
        Seconds blocked, and seconds of the loop.
    """
    start = time.perf_counter()
    pending = save()
    blocked = time.perf_counter() - start
    for index in range(STEPS):
        run.compute()
        if index == 0:
            waiting = time.perf_counter()
            before_step(pending)
            blocked += time.perf_counter() - waiting
        run.step()
    return blocked, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    directory = tempfile.mkdtemp(prefix="async-save-", dir=arguments.directory)
    run = Run()
    writer = CkptWriter(os.path.join(directory, "ckpt"), keep_last=1, compression="none")
    saver = ckpt.torch.Checkpointer(
        os.path.join(directory, "direct"), model=run.model, optimizer=run.optimizer, keep_last=1, compression="none")
    figures: dict[str, list[tuple[float, float]]] = {}
    plans: list[float] = []
    step = 0

    def over_files() -> tuple[Any, DefaultStager]:
        stager = DefaultStager(StagingOptions(
            use_pinned_memory=False, use_shared_memory=True, use_async_staging=True, use_non_blocking_copy=False))
        shutil.rmtree(os.path.join(directory, "dcp"), ignore_errors=True)
        files = dcp.FileSystemWriter(os.path.join(directory, "dcp"), sync_files=True)
        return dcp.async_save(run.state(), storage_writer=files, async_stager=stager), stager

    ways: dict[str, tuple[Callable[[], Any], Callable[[Any], None], Callable[[Any], None]]] = {
        "none": (lambda: None, lambda _: None, lambda _: None),
        "ckpt": (
            lambda: dcp.async_save(run.state(), storage_writer=writer, checkpoint_id=step),
            lambda _: _staging.settle(), lambda future: future.result()),
        "dcp": (
            over_files, lambda pending: pending[0].staging_completion.result(),
            lambda pending: (pending[0].upload_completion.result(), pending[1].close())),
        "direct": (lambda: saver.save(step), lambda _: saver.fence().end(), lambda save: save.wait()),
    }
    try:
        for number in range(arguments.rounds + 1):
            plans.append(planning(run))
            for name, (save, before_step, finish) in ways.items():
                step += 1
                pending: list[Optional[Any]] = []

                def begin(save: Callable[[], Any] = save) -> Any:
                    pending.append(save())
                    return pending[0]

                entry = loop(run, begin, before_step)
                finish(pending[0])
                # The first round makes buffers and files.
                if number:
                    figures.setdefault(name, []).append(entry)
        none = statistics.median(seconds for _, seconds in figures["none"])
        print(f"{run.nbytes / 1e9:.2f} GB, {arguments.rounds} rounds, torch {torch.__version__}, ckpt {ckpt.__version__}")
        print(f"planning alone: median {1000 * statistics.median(plans):.0f} ms")
        print(f"{'':8}{'blocked ms, median / max':>28}{'stall ms, median':>20}")
        for name, found in figures.items():
            blocked_ms = [1000 * entry[0] for entry in found]
            stall = 1000 * (statistics.median(entry[1] for entry in found) - none)
            print(f"{name:8}{statistics.median(blocked_ms):>18.1f} / {max(blocked_ms):<7.1f}{stall:>20.0f}")
    finally:
        saver.close()
        writer.close()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
