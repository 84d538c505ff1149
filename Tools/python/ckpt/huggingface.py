"""Checkpoints of the Trainer of Hugging Face.

    from ckpt.huggingface import CkptTrainer

    trainer = CkptTrainer(model, arguments, train_dataset=data)     # instead of Trainer
    trainer.train(resume_from_checkpoint=True)                      # from the newest, if there is any

The store is `ckpt-store` in `output_dir`. `save_strategy`, `save_steps` and `save_total_limit` mean
what they mean for Trainer; `save_model` and `push_to_hub` at the end write files as before. Several
processes that train data parallel save one checkpoint together, and any number of them resumes.
"""

from __future__ import annotations

import json
import os
from typing import Any, Optional, Union

from accelerate.utils import broadcast_object_list
from transformers import Trainer
from transformers.trainer_callback import ExportableState

from ._checkpointer import RestoreReport
from ._store import Store
from .errors import NotFoundError
from .torch import Checkpointer

_STATE_FILE = "trainer_state.json"


class CkptTrainer(Trainer):
    """A Trainer that saves to a store in the background: model, optimizer, scheduler, random generators
    and its own state. For one process, or several that are data parallel.

    Attributes:
        ckpt_options: options of `ckpt.torch.Checkpointer`.
    """

    ckpt_options: dict[str, Any] = {}

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError("CkptTrainer is for processes that are data parallel, not for FSDP or DeepSpeed")
        if self.args.load_best_model_at_end:
            raise ValueError(
                "CkptTrainer does not support load_best_model_at_end: load the checkpoint best:METRIC of the store")
        self._saver: Optional[Checkpointer] = None
        self._restored: Optional[RestoreReport] = None

    @property
    def ckpt_store(self) -> str:
        """The path of the store."""
        return os.path.join(str(self.args.output_dir), "ckpt-store")

    def train(self, resume_from_checkpoint: Union[str, bool, int, None] = None, *arguments: Any, **options: Any) -> Any:
        """Trains.

        Args:
            resume_from_checkpoint: True means the newest checkpoint of the store, or none if it is
                empty; a number means that step; a path means files of Trainer.
        """
        resumed = resume_from_checkpoint
        if isinstance(resumed, (bool, int)):
            resumed = None if resumed is False else self._folder("latest" if resumed is True else int(resumed))
        try:
            return super().train(resumed, *arguments, **options)
        finally:
            if self._saver is not None:
                self._saver.close()
                self._saver = None

    def _folder(self, reference: Union[str, int]) -> Optional[str]:
        """The folder from which Trainer resumes, the same for all processes; None if there is nothing."""
        if self.args.world_size == 1:
            return self._make_folder(reference)
        # The newest is what the first process finds.
        found: list[Any] = [None, None]
        if self.is_world_process_zero():
            try:
                found[0] = self._make_folder(reference)
            except Exception as error:
                found[1] = error
        # A failure, too: the others wait.
        broadcast_object_list(found)
        folder: Optional[str] = found[0]
        if found[1] is not None:
            raise found[1]
        return folder

    def _make_folder(self, reference: Union[str, int]) -> Optional[str]:
        """Makes the folder with the state of the trainer."""
        try:
            with Store(self.ckpt_store) as store:
                checkpoint = store.open(reference)
                state = checkpoint.object("extra.trainer")
        except NotFoundError:
            if reference == "latest":
                return None
            raise
        folder = os.path.join(str(self.args.output_dir), f"checkpoint-{checkpoint.step}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, _STATE_FILE), "w", encoding="utf-8") as file:
            json.dump(state, file, indent=2)
        with open(os.path.join(folder, "ckpt-id"), "w", encoding="utf-8") as file:
            file.write(checkpoint.summary.id)
        return folder

    def _checkpointer(self) -> Checkpointer:
        if self._saver is None:
            options = {"keep_last": self.args.save_total_limit, **self.ckpt_options}
            optimizer = getattr(self.optimizer, "optimizer", self.optimizer)
            scaler = self.accelerator.scaler
            self._saver = Checkpointer(
                self.ckpt_store, model=self.accelerator.unwrap_model(self.model), optimizer=optimizer,
                scheduler=self.lr_scheduler, extra={} if scaler is None else {"scaler": scaler},
                ranks="torch" if self.args.world_size > 1 else None, **options)
        return self._saver

    # ------------------------------------------------------------------ what Trainer calls

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.hp_search_backend is None and trial is None:
            self.store_flos()
        exported: dict[str, Any] = getattr(self.state, "stateful_callbacks")
        for callback in [*self.callback_handler.callbacks, self.control]:
            if isinstance(callback, ExportableState):
                name = callback.__class__.__name__
                known = exported.get(name)
                if isinstance(known, list):
                    known.append(callback.state())
                else:
                    exported[name] = callback.state()
        saver = self._checkpointer()
        if self.is_world_process_zero():
            # That of another process has other times and numbers in it.
            saver._extra = {**saver._extra, "trainer": json.loads(_state_text(self.state))}
        losses = {"loss": entry["loss"] for entry in self.state.log_history[-1:] if "loss" in entry}
        saver.save(self.state.global_step, losses)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        # The model is restored together with the optimizer.
        if _id(resume_from_checkpoint) is None:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: Optional[str]) -> None:
        reference = _id(checkpoint)
        if reference is None:
            super()._load_optimizer_and_scheduler(checkpoint)
        else:
            self._restored = self._checkpointer().restore(reference, strict=False)

    def _load_rng_state(self, checkpoint: Optional[str]) -> None:
        if _id(checkpoint) is None or self._restored is None:
            super()._load_rng_state(checkpoint)
        else:
            self._checkpointer()._install_random_state(self._restored.objects)


def _state_text(state: Any) -> str:
    """The state of a trainer as its file has it."""
    import dataclasses

    return json.dumps(dataclasses.asdict(state), default=str)


def _id(folder: Optional[str]) -> Optional[str]:
    """The id of the checkpoint that a folder was made from; None if Trainer has written it."""
    try:
        with open(os.path.join(folder or "", "ckpt-id"), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


__all__ = ["CkptTrainer"]
