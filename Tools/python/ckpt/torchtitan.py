"""The checkpoint manager of torchtitan, over a store of ckpt.

    from ckpt.torchtitan import CkptManager

    config.checkpoint = CkptManager.Config(enable=True, interval=100, keep_latest_k=3)

All of torchtitan's options act as its documentation says. A save returns when what only the optimizer
changes is lent, and all else is copied; the rest happens while the next step computes.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import Future
from typing import Any, Optional

from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save, save
from torchtitan.components.checkpointer.base import MODEL
from torchtitan.components.checkpointer.dcp import AsyncMode, CheckpointManager

from .dcp import CkptReader, CkptSavePlanner, CkptWriter
from .dcp._target import Target


class CkptManager(CheckpointManager):  # type: ignore[misc]
    """Saves to one store, `checkpoint` in the dump folder, and resumes from it.

    With `last_save_in_hf` the last save is an export, in the folder beside the store whose name ends in `-hf`.
    """

    @dataclasses.dataclass(kw_only=True, slots=True)
    class Config(CheckpointManager.Config):  # type: ignore[misc]
        """The options of torchtitan's manager, and those of ckpt."""

        ckpt_options: dict[str, Any] = dataclasses.field(default_factory=dict)
        """Options of `ckpt.Checkpointer`, such as `compression`."""

        async_mode: str = "async"
        """`disabled` waits for every save. `async_with_pinned_mem` is `async`: nothing is staged."""

    def __init__(self, config: Config, **arguments: Any) -> None:
        mode = "disabled" if config.async_mode == "disabled" else "async"
        super().__init__(dataclasses.replace(config, async_mode=mode), **arguments)
        if not self.enable:
            return
        options = {"keep_last": config.keep_latest_k or None, **config.ckpt_options}
        self._writer = CkptWriter(self.folder, **options)

    def dcp_save(
        self, state_dict: dict[str, Any], checkpoint_id: str, async_mode: AsyncMode,
        enable_garbage_collection: bool = False, to_hf: bool = False,
    ) -> Optional[Future[Any]]:
        """Saves, in the background unless `async_mode` is disabled."""
        if to_hf:
            super().dcp_save(
                state_dict, checkpoint_id.replace(self.folder, self.folder + "-hf", 1), async_mode,
                enable_garbage_collection, to_hf)
            return None
        planner = CkptSavePlanner()
        if async_mode == AsyncMode.DISABLED:
            save(state_dict, storage_writer=self._writer, checkpoint_id=checkpoint_id, planner=planner)
            return None
        saving = async_save(
            state_dict, storage_writer=self._writer, checkpoint_id=checkpoint_id, planner=planner, process_group=self.pg)
        assert isinstance(saving, Future)
        return saving

    def dcp_load(self, state_dict: dict[str, Any], checkpoint_id: str, from_hf: bool, from_quantized: bool) -> None:
        """Loads a checkpoint of a store of ckpt, of DCP, or of Hugging Face."""
        if from_hf or not Target.of(checkpoint_id, None).exists():
            super().dcp_load(state_dict, checkpoint_id, from_hf, from_quantized)
            return
        load(state_dict, storage_reader=CkptReader(), checkpoint_id=checkpoint_id)
        if MODEL in self.states:
            self.states[MODEL].load_state_dict(state_dict)

    def _load(self, step: int = -1) -> bool:
        found = self._find_load_step() if step == -1 else step
        if found not in Target(self.folder, None).steps():
            # Nothing to resume from: what `initial_load_path` names, or an error that names the step.
            return bool(super()._load(step))
        self.dcp_load(self._states_to_load(found == 0), self._create_checkpoint_id(found), False, False)
        return True

    def _find_load_step(self, folder: str = "") -> int:
        return max(Target(folder or self.folder, None).steps(), default=-1)

    def _purge_stale_checkpoints(self) -> None:
        """Nothing: the engine keeps `keep_latest_k`."""

    def _close(self) -> None:
        if getattr(self, "_writer", None) is not None:
            if self.save_future is not None:
                self._wait_for_saving()
            self._writer.close()
        super()._close()
