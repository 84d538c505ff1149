"""Reading checkpoints of DCP."""

from __future__ import annotations

import dataclasses
import io
import math
import os
import uuid
from typing import Any, Optional

import torch
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadItemType, LoadPlan, LoadPlanner, ReadItem
from torch.distributed.checkpoint.storage import StorageReader

from .._store import Checkpoint, Store
from ..errors import MismatchError, MisuseError, NotFoundError
from . import _metadata
from ._metadata import JSON, ROOT, TORCH_SAVE, Chunk, Description, Part
from ._saver import last_known
from ._target import CheckpointId, Target, rank_path
from ._writer import CkptWriter


class CkptReader(StorageReader):
    """Reads checkpoints of a store with `dcp.load`, in any sharding. Every byte is checked.

    It also reads checkpoints that DCP has not saved: their tensors and values have the names in the
    store.

    Args:
        path: the store, or the path of a checkpoint in it. May be left out if every load has a
            checkpoint id with the path of a store.
        strict_dtype: whether a tensor of another type than the stored one is refused; otherwise it
            is converted.
        allow_pickle: whether values are unpickled that `torch.load(weights_only=True)` refuses.
            They can run any code: allow it only for files that you trust.
    """

    def __init__(
        self, path: Optional[CheckpointId] = None, *, strict_dtype: bool = True, allow_pickle: bool = False
    ) -> None:
        super().__init__()
        self._base = None if path is None else Target.of(path, None)
        self._target = self._base
        self._strict_dtype, self._allow_pickle = strict_dtype, allow_pickle
        self.load_id = str(uuid.uuid4())
        self._checkpoints: dict[Part, Checkpoint] = {}
        self._description: Optional[Description] = None

    @property
    def checkpoint_id(self) -> Optional[str]:
        """The path of the checkpoint that is being loaded."""
        if self._target is None or self._target.step is None:
            return None if self._target is None else self._target.store
        return os.path.join(self._target.store, f"step-{self._target.step}")

    # ------------------------------------------------------------------ what DCP calls

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: CheckpointId) -> bool:
        return CkptWriter.validate_checkpoint_id(checkpoint_id)

    def reset(self, checkpoint_id: Optional[CheckpointId] = None) -> None:
        self._target = self._base if checkpoint_id is None else Target.of(checkpoint_id, self._base)
        self._checkpoints, self._description = {}, None
        self.load_id = str(uuid.uuid4())

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        # DCP hides the first failure, and calls again with a rank: the failure is the same.
        if self._target is None:
            raise MisuseError("no store is given: give a path to CkptReader, or give checkpoint_id to load")
        store, step = self._target.store, self._target.step
        root = Store(store).open("latest" if step is None else step)
        self._checkpoints = {ROOT: root}
        self._description = _metadata.decode(root)
        last_known[os.path.realpath(store)] = root.summary.id
        metadata = self._description.metadata
        metadata.storage_meta = StorageMeta(
            checkpoint_id=os.path.join(store, f"step-{root.step}"), load_id=self.load_id)
        return metadata

    def set_up_storage_reader(self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        if self._description is None:
            self.read_metadata()

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return dataclasses.replace(plan, storage_data=self._checkpoints[ROOT].summary.id)

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        found = {plan.storage_data for plan in plans}
        if len(found) > 1:
            raise MismatchError(
                f"the ranks read {len(found)} different checkpoints, because one was saved meanwhile. "
                "Load again, or name a step with checkpoint_id")
        return plans

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> torch.futures.Future[None]:
        direct: dict[Part, dict[str, tuple[ReadItem, torch.Tensor]]] = {}
        for item in plan.items:
            if item.type == LoadItemType.BYTE_IO:
                planner.load_bytes(item, io.BytesIO(self._value(item.storage_index.fqn, planner)))
                continue
            chunk = self._chunk(item)
            target = planner.resolve_tensor(item)
            self._check(item, target)
            if chunk.part is None or not math.prod(item.lengths):
                planner.commit_tensor(item, target)
                continue
            whole = tuple(item.lengths) == chunk.sizes and self._is_direct(item, target)
            name = self._name(item.storage_index.fqn, chunk)
            if whole and name not in direct.setdefault(chunk.part, {}):
                direct[chunk.part][name] = (item, target)
            else:
                self._read_box(item, chunk, name, target)
                planner.commit_tensor(item, target)
        for part, found in direct.items():
            self._open(part).read_into({name: target.detach() for name, (_, target) in found.items()})
            for item, target in found.values():
                planner.commit_tensor(item, target)
        future: torch.futures.Future[None] = torch.futures.Future()
        future.set_result(None)
        return future

    # ------------------------------------------------------------------ reading

    def _described(self) -> Description:
        assert self._description is not None
        return self._description

    def _open(self, part: Part) -> Checkpoint:
        """The checkpoint of a part; opened once."""
        if part not in self._checkpoints:
            assert self._target is not None and part.rank is not None
            try:
                self._checkpoints[part] = Store(rank_path(self._target.store, part.rank)).open(part.id)
            except NotFoundError as error:
                raise NotFoundError(
                    f"the part of rank {part.rank} of step {self._checkpoints[ROOT].step} is missing: {error}. "
                    "If the store was moved, move its directory ranks as well", path=error.path) from error
        return self._checkpoints[part]

    def _chunk(self, item: ReadItem) -> Chunk:
        index = item.storage_index
        for chunk in self._described().chunks.get(index.fqn, ()):
            if chunk.offsets == tuple(index.offset or ()) and (chunk.part is not None or not math.prod(item.lengths)):
                return chunk
        raise NotFoundError(f"the checkpoint has no chunk of {index.fqn!r} at {list(index.offset or ())}")

    def _shape(self, fqn: str) -> tuple[int, ...]:
        return tuple(self._described().metadata.state_dict_metadata[fqn].size)  # type: ignore[union-attr]

    def _name(self, fqn: str, chunk: Chunk) -> str:
        return _metadata.chunk_name(fqn, chunk.offsets, chunk.sizes, self._shape(fqn))

    def _dtype(self, item: ReadItem) -> torch.dtype:
        entry = self._described().metadata.state_dict_metadata[item.storage_index.fqn]
        dtype: torch.dtype = entry.properties.dtype  # type: ignore[union-attr]
        return dtype

    def _check(self, item: ReadItem, target: torch.Tensor) -> None:
        fqn, dtype = item.dest_index.fqn, self._dtype(item)
        if target.size() != torch.Size(item.lengths):
            raise MismatchError(
                f"{fqn!r}: the plan reads a box of {list(item.lengths)} elements, and the tensor takes {list(target.shape)}")
        if self._strict_dtype and target.dtype != dtype:
            raise MismatchError(
                f"tensor {fqn!r} is {dtype} in the checkpoint and {target.dtype} in memory. Use "
                "CkptReader(strict_dtype=False) to convert it")

    def _is_direct(self, item: ReadItem, target: torch.Tensor) -> bool:
        """Whether a chunk can be read into a tensor without a copy in between."""
        return (
            type(target.detach()) is torch.Tensor and target.device.type == "cpu" and target.dtype == self._dtype(item)
            and not target.is_conj() and not target.is_neg())

    def _read_box(self, item: ReadItem, chunk: Chunk, name: str, target: torch.Tensor) -> None:
        """Reads a box of a chunk: the rows that it touches, and of them what is asked for."""
        stored = self._open(chunk.part or ROOT)[name]
        box = stored
        if chunk.sizes:
            start, length = item.storage_offsets[0], item.lengths[0]
            if length < chunk.sizes[0]:
                box = stored[start:start + length]
        rows = box.torch()
        for dimension, (start, length) in enumerate(zip(item.storage_offsets, item.lengths)):
            if dimension > 0:
                rows = rows.narrow(dimension, start, length)
        with torch.no_grad():
            target.detach().copy_(rows)

    def _value(self, fqn: str, planner: LoadPlanner) -> bytes:
        """A value as `torch.save` would have written it, which is what planners take."""
        found = self._described().values.get(fqn)
        if found is None:
            raise NotFoundError(f"the checkpoint has no value {fqn!r}")
        part, encoding = found
        value = self._open(part).object(fqn)
        if encoding == JSON:
            encoded = io.BytesIO()
            torch.save(value, encoded)
            return encoded.getvalue()
        is_default = isinstance(planner, DefaultLoadPlanner) and (
            type(planner).load_bytes is DefaultLoadPlanner.load_bytes)
        if not self._allow_pickle and (encoding == TORCH_SAVE or is_default):
            try:
                torch.load(io.BytesIO(value), weights_only=True)
            except Exception as error:
                raise MismatchError(
                    f"the value {fqn!r} is a pickle that may run code, and is not read: {str(error).splitlines()[0]} "
                    "If you trust the file, use CkptReader(allow_pickle=True)") from error
        return bytes(value)
