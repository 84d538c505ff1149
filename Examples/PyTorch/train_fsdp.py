"""Trains a model that several processes share, with FSDP2. After a crash, the same command goes on, with any number of them:

    torchrun --nproc-per-node 2 train_fsdp.py STORE [STEP AT WHICH ONE PROCESS KILLS ITSELF]
"""
import os
import signal
import sys

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import init_device_mesh
from ckpt.torch import Checkpointer

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 4096), torch.nn.ReLU(), torch.nn.Linear(4096, 64))
for layer in (model[0], model[2], model):
    fully_shard(layer, mesh=init_device_mesh("cpu", (world,)))
optimizer = torch.optim.AdamW(model.parameters())
saver = Checkpointer(sys.argv[1], model=model, optimizer=optimizer, keep_last=3, ranks="torch")
report = saver.resume()
for step in range(report.step if report else 0, 60):
    batch = torch.randn(32, 64, generator=torch.Generator().manual_seed(step))
    mine = batch.chunk(world)[rank]                     # the same batch, however many processes share it
    loss = (model(mine) - mine.cumsum(1)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    dist.all_reduce(loss := loss.detach() / world)
    if rank == 0:
        print(step + 1, loss.item().hex(), flush=True)
    if (step + 1) % 5 == 0:
        saver.save(step + 1, {"loss": loss.item()})
        if rank == world - 1 and sys.argv[2:] == [str(step + 1)]:
            os.kill(os.getpid(), signal.SIGKILL)        # in the middle of the save
saver.close()
dist.destroy_process_group()
