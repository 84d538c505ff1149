"""Writing checkpoints of DCP."""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import threading
import uuid
import weakref
from typing import Any, Optional

import torch
import torch.distributed as dist
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner, WriteItem, WriteItemType
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult

from .. import _values
from .._checkpointer import Item, Save, SaveReport, _Encoded, _Raw, _tensor_role
from .._memory import lent
from .._store import Store
from ..errors import ExistsError, MismatchError, MisuseError
from . import _metadata, _staging
from ._meeting import Meeting
from ._metadata import DESCRIPTION, JSON, OWN, ROOT, TORCH_SAVE, Part, Stored
from ._saver import Saver, last_known
from ._target import CheckpointId, Target, rank_path

logger = logging.getLogger("ckpt")


@dataclasses.dataclass(eq=False)
class _Saving:
    """One call of `dcp.save`, from its first call of the writer to its last."""

    target: Target
    step: int = 0
    rank: int = 0
    is_coordinator: bool = True
    #: Number of ranks that save together, as far as this rank knows; 0 means several.
    world: int = 0
    #: Where ranks meet that make no collective calls.
    meeting: Optional[Meeting] = None
    #: The metadata that the root was committed with by `write_data`.
    committed: Optional[Metadata] = None


#: Held while a thread makes a store, or chooses a step.
_choosing = threading.Lock()
#: The saves of this process that have no committed step yet; also some that have failed.
_in_flight: weakref.WeakSet[_Saving] = weakref.WeakSet()


class CkptWriter(StorageWriter):
    """Writes checkpoints of DCP to a store; is its own `AsyncStager`.

    `dcp.async_save` returns a plain Future. Parameters and optimizer state on the CPU are not
    copied by it: the next step of an optimizer waits until they are captured. If you change them in
    another way (`load_state_dict`, in-place math), call `synchronize_staging` first. All else may
    change as soon as `async_save` has returned.

    Args:
        path: the store, or the path of a checkpoint in it. May be left out if every save has a
            checkpoint id with the path of a store.
        overwrite: None refuses a step that exists; a path without a step takes the next one. False
            also refuses a path without a step if the store has a checkpoint. True saves a step
            again: the newest is read, the older one stays.
        options: those of `ckpt.Checkpointer`, such as `run`, `keep_last` or `compression`.
    """

    #: A part of the protocol `AsyncStager`.
    _synchronize_after_execute = False

    def __init__(self, path: Optional[CheckpointId] = None, *, overwrite: Optional[bool] = None, **options: Any) -> None:
        super().__init__()
        self._base = None if path is None else Target.of(path, None)
        self._overwrite, self._options = overwrite, options
        self.save_id = str(uuid.uuid4())
        self._here = threading.local()
        self._savers: dict[str, Saver] = {}

    @property
    def checkpoint_id(self) -> Optional[str]:
        """The path of the checkpoint that is being saved."""
        target: Optional[Target] = getattr(self._here, "target", self._base)
        if target is None:
            return None
        return target.store if target.step is None else os.path.join(target.store, f"step-{target.step}")

    # ------------------------------------------------------------------ what DCP calls

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: CheckpointId) -> bool:
        try:
            Target.of(checkpoint_id, Target(".", None))
        except (MisuseError, TypeError):
            return False
        return True

    def reset(self, checkpoint_id: Optional[CheckpointId] = None) -> None:
        self._here.target = self._base if checkpoint_id is None else Target.of(checkpoint_id, self._base)
        self.save_id = str(uuid.uuid4())

    def storage_meta(self) -> Optional[StorageMeta]:
        return StorageMeta(checkpoint_id=self.checkpoint_id, save_id=self.save_id)

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        target: Optional[Target] = getattr(self._here, "target", self._base)
        # The next save without a checkpoint id does not call `reset`.
        self._here.target = self._base
        if target is None:
            raise MisuseError("no store is given: give a path to CkptWriter, or give checkpoint_id to save")
        saving = self._here.saving = _Saving(target, rank=kwargs.get("rank", 0), is_coordinator=is_coordinator)
        with _choosing:
            saving.step = self._step(target, is_coordinator)
            _in_flight.add(saving)
            if is_coordinator and not target.exists():
                # A store is made in an empty directory, so before the stores of the ranks inside it.
                os.makedirs(os.path.dirname(os.path.realpath(target.store)), exist_ok=True)
                Store(target.store, "w").close()
        if not kwargs.get("use_collectives", True):
            saving.world = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
            if saving.world > 1:
                saving.meeting = Meeting(target.store, saving.step, saving.rank, saving.world)

    def _step(self, target: Target, is_coordinator: bool) -> int:
        steps = target.steps()
        if target.step is None:
            if steps and self._overwrite is False:
                raise ExistsError(
                    f"Checkpoint already exists: {target.store} has step {steps[-1]}. "
                    "Name a new step, "
                    'such as checkpoint_id="step-100", or use overwrite=None')
            # Several ranks have to agree, and save one after the other.
            is_alone = not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)
            store = os.path.realpath(target.store)
            taken = {saving.step for saving in _in_flight if is_alone and os.path.realpath(saving.target.store) == store}
            return max([*steps, *taken], default=-1) + 1
        if target.step in steps and not self._overwrite and is_coordinator:
            raise ExistsError(
                f"Checkpoint already exists: step {target.step} of {target.store}. Save another step, or use "
                "CkptWriter(overwrite=True)")
        return target.step

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        if self._here.saving.meeting is None:
            self._here.saving.world = len(plans)
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> torch.futures.Future[list[WriteResult]]:
        saving: _Saving = self._here.saving
        try:
            results = self._write(saving, plan, planner)
        except BaseException as error:
            if saving.meeting is not None:
                saving.meeting.fail(error)
            raise
        future: torch.futures.Future[list[WriteResult]] = torch.futures.Future()
        future.set_result(results)
        return future

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        saving: _Saving = self._here.saving
        # Committed now, or failed.
        self._here.saving = None
        if saving.committed is not None:
            return
        if saving.meeting is not None:
            met = saving.meeting.gather(metadata, results[0], saving.is_coordinator)
            if met is None:
                return
            metadata, results = met
        values = {DESCRIPTION: _Encoded(_metadata.encode(metadata, results))}
        _, save = self._submit(saving.target.store, saving.step, self._options, [], values)
        _committed(saving.target.store, save.result())

    # ------------------------------------------------------------------ writing

    def _submit(
        self, path: str, step: int, options: dict[str, Any], items: list[Item], values: dict[str, Any]
    ) -> tuple[Saver, Save]:
        """Asks for a checkpoint in a store. Several threads may: `async_save` has one for each save."""
        with Saver.lock_of(path):
            saver = Saver.of(path, options)
            if step in saver.steps:
                # Only another life of the run may save a step again.
                saver.close()
                saver = Saver.of(path, options, goes_on=False)
            self._savers[path] = saver
            return saver, saver.submit(step, items, values)

    def _write(self, saving: _Saving, plan: SavePlan, planner: SavePlanner) -> list[WriteResult]:
        # With one process, and metadata that is known already, all is one commit, unless `finish` may fail.
        is_one = saving.world == 1 and type(self).finish is CkptWriter.finish
        metadata = _planned_metadata(planner) if is_one else None
        part = ROOT if metadata is not None else Part(saving.rank, "")
        path, options = saving.target.store, self._options
        if part is not ROOT:
            saving.target.wait_until_made()
            # Parts live as long as the root that names them.
            path, options = rank_path(path, saving.rank), {**options, "keep_last": None, "run": None}
        loan = _staging.take_loan() or _staging.Loan()
        try:
            with loan.lock:
                items, values, results = _resolved(plan, planner, part)
                if metadata is not None:
                    values[DESCRIPTION] = _Encoded(_metadata.encode(metadata, [results]))
                saver, save = self._submit(path, saving.step, options, items, values)
                loan.submitted(saver)
        except BaseException:
            loan.abandon()
            raise
        del items
        try:
            save.wait("captured")
            loan.end()
            report = save.result()
        finally:
            saver.release()
        if part is not ROOT:
            saver.remove_unnamed(saving.target.store)
        saving.committed = metadata
        if part is ROOT:
            _committed(path, report)
            return results
        part = Part(saving.rank, report.id)
        return [
            dataclasses.replace(result, storage_data=result.storage_data._replace(part=part)) for result in results]

    # ------------------------------------------------------------------ staging

    @property
    def should_synchronize_after_execute(self) -> bool:
        """Whether `async_save` waits until the state may change: it need not."""
        return self._synchronize_after_execute

    def stage(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """A state that stays as it is now. Copies only what others than optimizers may change."""
        return _staging.stage(state_dict)

    def synchronize_staging(self) -> None:
        """Waits until every tensor of the state may be changed in any way."""
        _staging.settle()

    def close(self) -> None:
        """Waits for saves, and lets other processes write to the store. The writer may be used again."""
        _staging.settle()
        for saver in list(self._savers.values()):
            saver.close()
        self._savers.clear()

    def __getstate__(self) -> dict[str, Any]:
        # For the process of `async_save`, which opens the store itself.
        return {**self.__dict__, "_here": None, "_savers": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._here = threading.local()


def _committed(store: str, report: SaveReport) -> None:
    """Another writer of this process goes on from it: otherwise each would begin a branch of its own."""
    last_known[os.path.realpath(store)] = report.id


def _planned_metadata(planner: SavePlanner) -> Optional[Metadata]:
    """The metadata that `finish` will be given, if the planner tells it before."""
    if isinstance(planner, DefaultSavePlanner) and (
            type(planner).create_global_plan is DefaultSavePlanner.create_global_plan):
        metadata: Optional[Metadata] = getattr(planner, "metadata", None)
        return metadata
    return None


def _resolved(
    plan: SavePlan, planner: SavePlanner, part: Part
) -> tuple[list[Item], dict[str, Any], list[WriteResult]]:
    """The tensors and values of a plan, and what is known of them."""
    items: list[Item] = []
    values: dict[str, Any] = {}
    results: list[WriteResult] = []
    for item in plan.items:
        fqn = item.index.fqn
        if item.type == WriteItemType.BYTE_IO:
            if fqn == DESCRIPTION:
                raise MisuseError(f"{DESCRIPTION!r} is the name of ckpt's own object: rename this key of the state")
            values[fqn], encoding = _value(item, planner)
            results.append(WriteResult(item.index, len(values[fqn]), Stored(part, None, encoding)))
            continue
        assert item.tensor_data is not None
        chunk = item.tensor_data.chunk
        sizes = tuple(chunk.sizes)
        name = _metadata.chunk_name(fqn, chunk.offsets, sizes, item.tensor_data.size)
        tensor = _plain(planner.resolve_data(item), name, sizes)
        if tensor.numel():
            memory = lent(tensor, name)
            assert memory is not None
            items.append(Item(name, memory, _tensor_role(fqn), ""))
        results.append(WriteResult(item.index, tensor.nbytes, Stored(part, sizes, "")))
    return items, values, results


def _plain(tensor: Any, name: str, sizes: tuple[int, ...]) -> torch.Tensor:
    """A tensor on the CPU that can be lent."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"the planner resolves {name!r} to a {type(tensor).__name__}, not to a tensor")
    if tuple(tensor.shape) != sizes:
        raise MismatchError(
            f"the planner resolves {name!r} to a tensor of shape {list(tensor.shape)}; its plan says {list(sizes)}")
    plain = tensor.detach()
    if plain.device.type != "cpu":
        plain = plain.to("cpu")
    return plain.resolve_conj().resolve_neg() if plain.is_conj() or plain.is_neg() else plain


def _value(item: WriteItem, planner: SavePlanner) -> tuple[bytes, str]:
    """A value as it is stored, and its encoding."""
    fqn = item.index.fqn
    if isinstance(planner, DefaultSavePlanner) and (
            type(planner).resolve_data is DefaultSavePlanner.resolve_data
            and type(planner).transform_object is DefaultSavePlanner.transform_object):
        try:
            value = planner.lookup_object(item.index)
            encoded = _Encoded(_values.encode(value, fqn))
            changed = _values.changed_type(value)
            if changed is not None:
                logger.warning("%s is, or has inside, a %s, which comes back as a plain value", fqn, changed)
            return encoded, JSON
        except TypeError as error:
            logger.warning(
                "%s. It is stored as bytes of torch.save, which CkptReader reads only if torch.load accepts "
                "them with weights_only=True", str(error).split(", which", 1)[0])
            encoding = TORCH_SAVE
    else:
        encoding = OWN
    data = planner.resolve_data(item)
    return _Raw(data.getvalue() if isinstance(data, io.BytesIO) else bytes(data)), encoding
