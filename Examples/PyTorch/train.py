"""Trains a small model. After a crash, the same command goes on: python train.py STORE [STEP AT WHICH IT KILLS ITSELF]"""
import os
import signal
import sys

import torch
from ckpt.torch import Checkpointer

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 4096), torch.nn.ReLU(), torch.nn.Linear(4096, 64))
optimizer = torch.optim.AdamW(model.parameters())
saver = Checkpointer(sys.argv[1], model=model, optimizer=optimizer, keep_last=3)
report = saver.resume()
for step in range(report.step if report else 0, 60):
    x = torch.randn(32, 64)
    loss = (model(x) - x.cumsum(1)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step + 1, loss.item().hex(), flush=True)
    if (step + 1) % 5 == 0:
        saver.save(step + 1, {"loss": loss.item()})
        if sys.argv[2:] == [str(step + 1)]:
            os.kill(os.getpid(), signal.SIGKILL)        # in the middle of the save
saver.close()
