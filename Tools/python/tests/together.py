"""One of several processes that save together: `python -m tests.together SCENARIO RANK WORLD STORE FILE`. What
each does is a function here; test_together.py starts them, and looks at the store afterwards."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import warnings
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh
from torch.nn.parallel import DistributedDataParallel

import ckpt
import ckpt.torch
from ckpt.torch import Checkpointer


#: Tensors by name: shape, and how the last axis of the mesh cuts them.
LAYOUTS: dict[str, tuple[tuple[int, ...], Any]] = {
    "row": ((8, 6), Shard(0)), "column": ((5, 8), Shard(1)), "uneven": ((5, 3), Shard(0)), "scarce": ((1, 4), Shard(0)),
    "copies": ((4, 4), Replicate()), "none": ((0, 3), Shard(0)), "scalar": ((), Replicate()),
    "third": ((2, 3, 7), Shard(2)),
}


def whole(name: str) -> torch.Tensor:
    """The complete tensor of a name: the same in every process."""
    return torch.randn(LAYOUTS[name][0], generator=torch.Generator().manual_seed(sum(name.encode())))


class Loader:
    """A dataloader that remembers where it is; each rank reads other samples."""

    def __init__(self, rank: int) -> None:
        self.position = 1000 * rank

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(12, 33), nn.ReLU(), nn.Linear(33, 7))


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=0.01)


def step_of(model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> float:
    """The same batch on all ranks, whatever their number, so that a world of one has the same losses."""
    generator = torch.Generator().manual_seed(step)
    loss = (model(torch.randn(8, 12, generator=generator)) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.item())


def kill_during_commit(store: str) -> None:
    """Kills this process when the part of another rank is there, and the checkpoint is not."""
    parts = os.path.join(store, "parts")
    known = set(os.listdir(parts)) if os.path.isdir(parts) else set()
    while True:
        for name in set(os.listdir(parts) if os.path.isdir(parts) else ()) - known:
            try:
                if os.listdir(os.path.join(parts, name)):
                    os.kill(os.getpid(), signal.SIGKILL)
            except FileNotFoundError:
                pass
        time.sleep(0.0005)


def fsdp(rank: int, world: int, store: str) -> None:
    """Trains 12 steps with FSDP2, or in one process, and prints the losses."""
    model = network()
    if world > 1:
        mesh = init_device_mesh("cpu", (world,))
        fully_shard(model[0], mesh=mesh)
        fully_shard(model, mesh=mesh)
    optimizer = optimizer_of(model)
    kill = int(os.environ.get("CKPT_KILL", "0"))
    saver = Checkpointer(store, model=model, optimizer=optimizer, dataloader=(loader := Loader(rank)),
                         ranks="torch", dataloader_on_another_world="first")
    report = saver.resume()
    if report is not None:
        print("resumed", report.step, report.first_rank_count, loader.position, flush=True)
    for step in range((report.step if report else 0) + 1, 13):
        loss = step_of(model, optimizer, step)
        loader.position += 1
        if rank == 0:
            print(step, loss.hex(), flush=True)
        if step % 2 == 0:
            if step == kill and rank == world - 1:
                threading.Thread(target=kill_during_commit, args=(store,), daemon=True).start()
            saver.save(step)
    saver.close()


def preempted(rank: int, world: int, store: str) -> None:
    """The last rank alone gets SIGTERM; all end after the same step, with a checkpoint of it."""
    model = network()
    optimizer = optimizer_of(model)
    with Checkpointer(store, model=model, optimizer=optimizer, ranks="torch", termination_seconds=60,
                      on_termination="stop") as saver:
        for step in range(1, 100):
            step_of(model, optimizer, step)
            if step == 5 and rank == world - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            if saver.should_stop():
                saver.save(step)
                break
    print(step)


def schedule(rank: int, world: int, store: str) -> None:
    """FSDP2 with an optimizer of one tensor for each weight: ranks have no tensor in common, only values."""
    torch.manual_seed(1)
    model = nn.Linear(16, 8, bias=False)
    if world > 1:
        fully_shard(model, mesh=init_device_mesh("cpu", (world,)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    # Names that look like those of ranks.
    extra = {"best3of5": 1.5, "fold": "all", "fold.1of5": 0.25}
    with Checkpointer(store, model=model, optimizer=optimizer, scheduler=scheduler, extra=extra, ranks="torch") as saver:
        report = saver.resume()
        for step in range((report.step if report else 0) + 1, (report.step if report else 0) + 3):
            optimizer.zero_grad()
            model(torch.ones(4, 16)).sum().backward()
            optimizer.step()
            scheduler.step()
            saver.save(step).wait()
        if report is not None:
            found = {name: report.objects.get(f"extra.{name}") for name in extra}
            assert found == extra, report.objects
        print(optimizer.param_groups[0]["lr"], scheduler.last_epoch)


def buffers(rank: int, world: int, store: str) -> None:
    """Buffers that are DTensors of a mesh of two axes, divided along one."""
    mesh = init_device_mesh("cpu", (world // 2, 2))
    module = nn.Module()
    expected = torch.arange(24.0).reshape(8, 3)
    saves = "CKPT_SAVES" in os.environ
    value = expected if saves else torch.zeros(8, 3)
    module.register_buffer("cut", distribute_tensor(value, mesh, [Replicate(), Shard(0)]))
    module.register_buffer("copies", distribute_tensor(value, mesh, [Replicate(), Replicate()]))
    with Checkpointer(store, model=module, rng=False, ranks="torch") as saver:
        if saves:
            saver.save(1).wait()
        else:
            saver.resume()
            for name, buffer in module.named_buffers():
                assert torch.equal(buffer.full_tensor(), expected), name


def strangers(rank: int, world: int, store: str) -> None:
    """Without `ranks`, one process may save; the message to a second one says what to do."""
    if rank == 0:
        saver = Checkpointer(store, model=network())
    dist.barrier()
    if rank == 1:
        try:
            Checkpointer(store, model=network())
            raise AssertionError("two writers")
        except ckpt.BusyError as error:
            assert 'ranks="torch"' in str(error), error
    dist.barrier()
    if rank == 0:
        saver.close()


def layouts(rank: int, world: int, store: str) -> None:
    """DTensors of every placement, saved or restored on two ranks or on four."""
    saves = "CKPT_SAVES" in os.environ
    mesh = init_device_mesh("cpu", (world // 2, 2), mesh_dim_names=("dp", "tp")) if world > 2 else init_device_mesh(
        "cpu", (world,), mesh_dim_names=("tp",))
    module = nn.Module()
    for name, (shape, cut) in LAYOUTS.items():
        value, placements = whole(name), [cut]
        placements = ([Shard(0)] if name == "third" else [Replicate()]) * (mesh.ndim - 1) + placements
        tensor = distribute_tensor(value if saves else torch.zeros(shape), mesh, placements)
        module.register_parameter(name, nn.Parameter(tensor))
    with Checkpointer(store, model=module, rng=False, ranks="torch") as saver:
        if saves:
            saver.save(1).wait()
        else:
            saver.resume()
            for name, parameter in module.named_parameters():
                assert torch.equal(parameter.detach().full_tensor(), whole(name)), name


def ddp(rank: int, world: int, store: str) -> None:
    """Data-parallel training: buffers differ, generators differ, weights do not."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(300, 300), nn.BatchNorm1d(300))
    wrapped = DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(100 + rank)
    random.seed(200 + rank)
    loader = Loader(rank)
    strict = world == 2
    with Checkpointer(store, model=model, optimizer=optimizer, dataloader=loader, ranks="torch") as saver:
        if world != 2:
            try:
                saver.resume()
                raise AssertionError("the dataloader of two ranks was taken")
            except ckpt.MismatchError as error:
                assert "dataloader" in str(error), error
        report = saver.resume(strict=strict)
        if report is None:
            for _ in range(3):
                optimizer.zero_grad()
                wrapped(torch.randn(8, 300)).sum().backward()
                optimizer.step()
            loader.position += 7
            saver.save(1).wait()
        print(torch.rand(()).item(), random.random(), loader.position, report.first_rank_count if report else -1)
        print(model[1].running_mean.sum().item(), sum(p.sum().item() for p in model.parameters()))


def main() -> None:
    warnings.filterwarnings("ignore")
    scenario, rank, world, store = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{sys.argv[5]}", rank=rank, world_size=world)
    globals()[scenario](rank, world, store)
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
