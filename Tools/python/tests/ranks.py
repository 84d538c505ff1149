"""Processes of a group of ranks: `python -m tests.ranks SCENARIO RANK WORLD STORE`. What each does is a
function here; test_dcp.py starts them, and looks at the store afterwards."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from typing import Any, Callable

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed._shard import sharded_tensor
from torch.distributed._shard.sharding_spec import ChunkShardingSpec, EnumerableShardingSpec, ShardMetadata
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_saver import AsyncCheckpointerType
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard, distribute_tensor, init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import ckpt
from ckpt.dcp import CkptReader, CkptSavePlanner, CkptWriter

#: Tensors by name: shape, and how they are cut over two ranks.
PLACEMENTS: dict[str, tuple[tuple[int, ...], Placement]] = {
    "row": ((8, 6), Shard(0)), "column": ((5, 8), Shard(1)), "uneven": ((5, 3), Shard(0)),
    "uneven_column": ((3, 7), Shard(1)), "empty": ((1, 4), Shard(0)), "replicated": ((4, 4), Replicate()),
    "third": ((2, 3, 6), Shard(2)), "none": ((0, 3), Shard(0)),
}
#: The same over a mesh of 2 x 2.
PLACEMENTS_2D: dict[str, tuple[tuple[int, ...], tuple[Placement, Placement]]] = {
    "both": ((10, 6), (Shard(0), Shard(1))), "hybrid": ((7, 5), (Replicate(), Shard(0))),
    "turned": ((3, 4, 9), (Shard(2), Shard(1))), "twice": ((13,), (Shard(0), Shard(0))),
    "scarce": ((1, 8), (Shard(0), Replicate())), "replicated": ((6, 6), (Replicate(), Replicate())),
    "few": ((2, 3), (Shard(0), Shard(0))),
}


def whole(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The whole tensor of a name: the same in every process."""
    generator = torch.Generator().manual_seed(sum(name.encode()) + 1)
    return torch.randn(shape, generator=generator)


def state_of_two(world: int) -> dict[str, Any]:
    mesh = init_device_mesh("cpu", (world,))
    tensors = {
        name: distribute_tensor(whole(name, shape), mesh, [cut]) for name, (shape, cut) in PLACEMENTS.items()}
    return {"cut": tensors, "plain": whole("plain", (3, 4)), "step": 17, "shape": (1, "two"), "lr": [0.1, float("inf")]}


def other_cut(cut: Placement, shape: tuple[int, ...]) -> Placement:
    return Shard((cut.dim + 1) % len(shape)) if isinstance(cut, Shard) else Shard(0)


def check_two(world: int, store: str, cut_otherwise: bool, step: int) -> None:
    """Loads what `state_of_two` has saved, and compares it."""
    mesh = init_device_mesh("cpu", (world,))
    target = {
        name: distribute_tensor(torch.zeros(shape), mesh, [other_cut(cut, shape) if cut_otherwise else cut])
        for name, (shape, cut) in PLACEMENTS.items()}
    state: dict[str, Any] = {"cut": target, "plain": torch.zeros(3, 4), "step": 0, "shape": None, "lr": None}
    dcp.load(state, storage_reader=CkptReader(store), checkpoint_id=f"step-{step}")
    for name, tensor in target.items():
        assert torch.equal(tensor.full_tensor(), whole(name, PLACEMENTS[name][0])), (name, step)
    assert torch.equal(state["plain"], whole("plain", (3, 4)))
    assert (state["step"], state["shape"], state["lr"]) == (17, (1, "two"), [0.1, float("inf")]), state


def two(rank: int, world: int, store: str) -> None:
    """All placements of two ranks, by every way to save, into the same and other placements."""
    state = state_of_two(world)
    writer = CkptWriter(store)
    dcp.save(state, storage_writer=writer, checkpoint_id="step-1", planner=CkptSavePlanner())
    dcp.save(state, storage_writer=writer, checkpoint_id="step-2", planner=CkptSavePlanner(), use_collectives=False)
    for step, collectives in ((3, True), (4, False)):
        future = dcp.async_save(
            state, storage_writer=writer, checkpoint_id=f"step-{step}", planner=CkptSavePlanner(),
            use_collectives=collectives)
        changed = [tensor.to_local().zero_() for tensor in state["cut"].values()]
        future.result()
        state = state_of_two(world)
        del changed
    # Plans that do not change are not sent again.
    planner = CkptSavePlanner(enable_plan_caching=True)
    for step in (5, 6):
        dcp.save(state, storage_writer=writer, checkpoint_id=f"step-{step}", planner=planner)
    dist.barrier()
    for step in range(1, 7):
        check_two(world, store, False, step)
        check_two(world, store, True, step)
    # Saved by one process.
    check_two(world, store + "-one", True, 0)
    if rank == 0:
        with ckpt.Store(store) as found:
            assert found.all_steps() == [1, 2, 3, 4, 5, 6], found.all_steps()
    writer.close()


def sharded_tensors(rank: int, world: int, store: str) -> None:
    """ShardedTensors, which come before DTensor, from every division into every other."""
    def enumerated(*rows: tuple[int, int, int]) -> EnumerableShardingSpec:
        return EnumerableShardingSpec([
            ShardMetadata([start, 0], [length, 20], f"rank:{owner}/cpu") for start, length, owner in rows])

    specs = [
        ChunkShardingSpec(0, ["rank:0/cpu", "rank:1/cpu"]),
        ChunkShardingSpec(0, ["rank:0/cpu", "rank:1/cpu", "rank:1/cpu", "rank:0/cpu"]),
        ChunkShardingSpec(1, ["rank:0/cpu", "rank:1/cpu"]),
        enumerated((0, 2, 0), (2, 1, 1), (3, 3, 0), (6, 3, 1), (9, 1, 0)), enumerated((0, 8, 1), (8, 2, 0)),
    ]
    for number, spec in enumerate(specs):
        # A writer of its own for each save, as programs often have it, and no checkpoint id.
        saved = sharded_tensor.rand(spec, 10, 20)
        dcp.save({"t": saved}, storage_writer=CkptWriter(store))
        expected = torch.zeros(10, 20) if rank == 0 else None
        saved.gather(out=expected)
        for other in specs:
            loaded = sharded_tensor.zeros(other, 10, 20)
            dcp.load({"t": loaded}, storage_reader=CkptReader(store))
            found = torch.zeros(10, 20) if rank == 0 else None
            loaded.gather(out=found)
            assert rank or torch.equal(found, expected), (number, other)


def process_executor(rank: int, world: int, store: str) -> None:
    """`async_save` in a process of its own."""
    model = nn.Linear(8, 8)
    optimizer = torch.optim.AdamW(model.parameters())
    fully_shard(model)
    optimizer = torch.optim.AdamW(model.parameters())
    writer = CkptWriter(store)

    def step() -> None:
        model(torch.ones(2, 8)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    for number in (1, 2):
        expected = {name: value.full_tensor().clone() for name, value in model.state_dict().items()}
        model_state, optimizer_state = get_state_dict(model, optimizer)
        future = dcp.async_save(
            {"model": model_state, "optim": optimizer_state}, storage_writer=writer, checkpoint_id=f"step-{number}",
            async_checkpointer_type=AsyncCheckpointerType.PROCESS)
        step()
        future.result()
        found = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
        dcp.load({"model": found}, storage_reader=CkptReader(store), checkpoint_id=f"step-{number}")
        for name, value in found.items():
            assert torch.equal(value.full_tensor(), expected[name]), name


def four(rank: int, world: int, store: str) -> None:
    """Placements over a mesh of two dimensions, and a model with tensor parallelism under FSDP."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "model"))
    tensors = {
        name: distribute_tensor(whole(name, shape), mesh, cut) for name, (shape, cut) in PLACEMENTS_2D.items()}
    model = net()
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    parallelize_module(model, mesh["model"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
    fully_shard(model, mesh=mesh["data"])
    state = {"cut": tensors, "model": model.state_dict()}
    dcp.save(state, storage_writer=CkptWriter(store), checkpoint_id="step-1", planner=CkptSavePlanner())
    for tensor in [*tensors.values(), *model.state_dict().values()]:
        tensor.to_local().zero_()
    dcp.load(state, storage_reader=CkptReader(store))
    for name, tensor in tensors.items():
        assert torch.equal(tensor.full_tensor(), whole(name, PLACEMENTS_2D[name][0])), name
    for name, value in model.state_dict().items():
        assert torch.equal(value.full_tensor(), expected[name]), name


def net() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))


def faulty(storage: Any, method: str, rank: int) -> Any:
    """The same storage, which fails in one method on one rank."""
    if dist.get_rank() == rank:
        def fail(*_: Any, **__: Any) -> None:
            raise OSError(f"{method} is broken")

        setattr(storage, method, fail)
    return storage


class FaultyPlanner(CkptSavePlanner):
    def create_local_plan(self) -> Any:
        if dist.get_rank() == 1:
            raise ValueError("the plan is broken")
        return super().create_local_plan()


def failures(action: Callable[[], Any]) -> list[int]:
    """The ranks that have failed, as the exception on this rank says."""
    try:
        action()
    except CheckpointException as error:
        return sorted(error.failures)
    raise AssertionError("it did not fail")


def faults(rank: int, world: int, store: str) -> None:
    """What fails on one rank fails on all, which name that rank; the checkpoints before stay."""
    state = state_of_two(world)
    dcp.save(state, storage_writer=CkptWriter(store), checkpoint_id="step-1", planner=CkptSavePlanner())
    for method, at in (
        ("set_up_storage_writer", 1), ("prepare_local_plan", 1), ("prepare_global_plan", 0), ("write_data", 1),
        ("write_data", 0), ("finish", 0),
    ):
        writer = faulty(CkptWriter(store), method, at)
        found = failures(lambda: dcp.save(state, storage_writer=writer, checkpoint_id="step-2", planner=CkptSavePlanner()))
        assert found == [at], (method, found)
        future = dcp.async_save(state, storage_writer=writer, checkpoint_id="step-2", planner=CkptSavePlanner())
        assert failures(future.result) == [at], method
        writer.close()
    for method, at in (
        ("set_up_storage_reader", 1), ("prepare_local_plan", 0), ("prepare_global_plan", 0), ("read_data", 1),
    ):
        found = failures(lambda: dcp.load(state, storage_reader=faulty(CkptReader(store), method, at)))
        assert found == [at], (method, found)
    assert failures(lambda: dcp.save(
        state, storage_writer=CkptWriter(store), checkpoint_id="step-2", planner=FaultyPlanner())) == [1]
    assert failures(lambda: dcp.save(state, storage_writer=CkptWriter(store), checkpoint_id="step-1")) == [0]
    # A rank that cannot write its part, and the same step again, which every rank may have written.
    writer = CkptWriter(store)
    if rank == 1:
        writer = CkptWriter(store, workers=1000)
    assert failures(lambda: dcp.save(
        state, storage_writer=writer, checkpoint_id="step-2", planner=CkptSavePlanner())) == [1]
    writer.close()
    dcp.save(state, storage_writer=CkptWriter(store), checkpoint_id="step-2", planner=CkptSavePlanner())
    check_two(world, store, True, 2)
    with ckpt.Store(store) as found_store:
        assert found_store.all_steps() == [1, 2]


def train(rank: int, world: int, store: str) -> None:
    """Trains with FSDP, saves at every second step, and prints the losses. CKPT_KILL names a step
    whose save ends with SIGKILL in its middle."""
    model = net()
    if dist.is_initialized():
        fully_shard(model[0])
        fully_shard(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    writer = CkptWriter(store, keep_last=3)
    first = 0
    if os.path.exists(store):
        model_state, optimizer_state = get_state_dict(model, optimizer)
        state: dict[str, Any] = {"model": model_state, "optim": optimizer_state, "step": 0}
        dcp.load(state, storage_reader=CkptReader(store))
        set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optim"])
        first = state["step"]
    kill = int(os.environ.get("CKPT_KILL", "0"))
    # Saves run beside training, so their messages need a group of their own.
    group = dist.new_group(backend="gloo") if dist.is_initialized() else None
    future = None
    for step in range(first + 1, 13):
        # The same batch on all ranks, whatever their number.
        generator = torch.Generator().manual_seed(step)
        loss = (model(torch.randn(8, 12, generator=generator)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if rank == 0:
            print(step, loss.item().hex(), flush=True)
        if step % 2 == 0:
            if future is not None:
                future.result()
            model_state, optimizer_state = get_state_dict(model, optimizer)
            if step == kill and rank == world - 1:
                threading.Thread(target=kill_after_part, args=(store, rank, step)).start()
            future = dcp.async_save(
                {"model": model_state, "optim": optimizer_state, "step": step}, storage_writer=writer,
                checkpoint_id=f"step-{step}", process_group=group)
    if future is not None:
        future.result()
    writer.close()


def kill_after_part(store: str, rank: int, step: int) -> None:
    """Kills this process when its part is written, and the root perhaps is not."""
    path = os.path.join(store, "ranks", str(rank))
    while True:
        try:
            with ckpt.Store(path) as part:
                if step in part.all_steps():
                    break
        except ckpt.CheckpointError:
            pass
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    warnings.filterwarnings("ignore")
    scenario, rank, world, store = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(1)
    if world:
        dist.init_process_group("gloo", init_method=f"file://{sys.argv[5]}", rank=rank, world_size=world)
    globals()[scenario](rank, world, store)
    if world:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
