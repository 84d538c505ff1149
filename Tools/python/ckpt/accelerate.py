"""Checkpoints of Accelerate.

    from ckpt.accelerate import checkpointer

    model, optimizer, scheduler, loader = accelerator.prepare(model, optimizer, scheduler, loader)
    saver = checkpointer(accelerator, "runs/first", keep_last=3)
    report = saver.resume()
"""

from __future__ import annotations

import os
from typing import Any, Union

from accelerate import Accelerator, DistributedType

from ._store import Store
from .torch import Checkpointer


def checkpointer(accelerator: Accelerator, store: Union[Store, str, os.PathLike[str]], **options: Any) -> Checkpointer:
    """A checkpointer of all that `accelerator.prepare` and `register_for_checkpointing` were given: models,
    optimizers, schedulers, stateful dataloaders, the scaler, and objects with a `state_dict`.

    Call it after `prepare`. Several processes that are data parallel call it together, and save one
    checkpoint; `store` is then a path.

    Args:
        options: those of `ckpt.torch.Checkpointer`; entries of `extra` are saved as well.
    """
    if accelerator.num_processes > 1:
        _check_kind(accelerator)
        options.setdefault("ranks", "torch")
    extra = dict(options.pop("extra", None) or {})
    extra.update((f"registered.{index}", value) for index, value in enumerate(accelerator._custom_objects))
    if accelerator.scaler is not None:
        extra["scaler"] = accelerator.scaler
    loaders = [loader for loader in accelerator._dataloaders if getattr(loader, "use_stateful_dataloader", False)]
    return Checkpointer(
        store, model=_one_or_all([accelerator.unwrap_model(model) for model in accelerator._models]),
        optimizer=_one_or_all([optimizer.optimizer for optimizer in accelerator._optimizers]),
        scheduler=_one_or_all([scheduler.scheduler for scheduler in accelerator._schedulers]),
        dataloader=_one_or_all(loaders), extra=extra, **options)


def _check_kind(accelerator: Accelerator) -> None:
    """Refuses processes that are not data parallel."""
    kind = accelerator.distributed_type
    if kind in (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM, DistributedType.XLA):
        raise RuntimeError(
            f"ckpt.accelerate is for processes that are data parallel, not for {kind.value}. With FSDP2 make "
            'ckpt.torch.Checkpointer(store, model=..., optimizer=..., ranks="torch"); for others save with '
            "torch.distributed.checkpoint and ckpt.dcp.CkptWriter")


def _one_or_all(found: list[Any]) -> Any:
    """One thing without a number in its name, as programs without Accelerate have it."""
    if len(found) < 2:
        return found[0] if found else None
    return {str(index): value for index, value in enumerate(found)}


__all__ = ["checkpointer"]
