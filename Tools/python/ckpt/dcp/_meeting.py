"""Saving without collective calls."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from typing import Any, Optional

import torch.distributed as dist
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, Metadata, MetadataIndex, TensorStorageMetadata
from torch.distributed.checkpoint.storage import WriteResult

from .. import _values
from .._dtypes import BY_TORCH
from ..errors import MismatchError, TimedOutError
from ._metadata import Chunk, Part, Stored, tensor_metadata

#: Maximum time for which the coordinator waits for other ranks.
_RANKS_SECONDS = 1800.0


class Meeting:
    """Where ranks that make no collective calls tell the coordinator what they have written: the
    key-value store of the process group."""

    _counts: dict[tuple[str, int], int] = {}

    def __init__(self, path: str, step: int, rank: int, world: int) -> None:
        count = self._counts[path, step] = self._counts.get((path, step), 0) + 1
        digest = hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:16]
        self._key, self._rank, self._world = f"ckpt/{digest}/{step}/{count}", rank, world
        self._store = dist.distributed_c10d._get_default_store()

    def _tell(self, **message: Any) -> None:
        self._store.set(f"{self._key}/{self._rank}", _values.encode(message, self._key).decode())

    def fail(self, error: BaseException) -> None:
        """Says that this rank has failed."""
        self._tell(error=f"{type(error).__name__}: {error}")

    def gather(
        self, metadata: Metadata, results: list[WriteResult], is_coordinator: bool
    ) -> Optional[tuple[Metadata, list[list[WriteResult]]]]:
        """Says what this rank has written.

        Returns:
            To the coordinator the metadata and results of all ranks; None to the others.
        """
        if not is_coordinator:
            self._tell(metadata=_flat(metadata), results=[_flat_result(result) for result in results])
            return None
        end = time.monotonic() + _RANKS_SECONDS
        merged, all_results = metadata, [results]
        for rank in (rank for rank in range(self._world) if rank != self._rank):
            key = f"{self._key}/{rank}"
            while not self._store.check([key]):
                if time.monotonic() > end:
                    raise TimedOutError(f"rank {rank} has not written its part of the checkpoint after {_RANKS_SECONDS} s")
                time.sleep(0.01)
            message = _values.decode(self._store.get(key))
            self._store.delete_key(key)
            if "error" in message:
                raise MismatchError(f"rank {rank} has not written its part of the checkpoint: {message['error']}")
            all_results.append([_whole_result(result) for result in message["results"]])
            merged = _merged(merged, _whole(message["metadata"]))
        return merged, all_results


def _flat(metadata: Metadata) -> Any:
    tensors = {
        fqn: [
            str(entry.properties.dtype), list(entry.size),
            [[list(chunk.offsets), list(chunk.sizes)] for chunk in entry.chunks]]
        for fqn, entry in metadata.state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)}
    return [tensors, [fqn for fqn in metadata.state_dict_metadata if fqn not in tensors], metadata.planner_data]


def _whole(flat: Any) -> Metadata:
    tensors, values, planner_data = flat
    entries: dict[str, Any] = {fqn: BytesStorageMetadata() for fqn in values}
    for fqn, (dtype, shape, boxes) in tensors.items():
        chunks = [Chunk(tuple(offsets), tuple(sizes), None) for offsets, sizes in boxes]
        entries[fqn] = tensor_metadata(BY_TORCH[dtype].name, tuple(shape), chunks)
    return Metadata(entries, planner_data=planner_data)


def _flat_result(result: WriteResult) -> Any:
    offset = result.index.offset
    return [
        result.index.fqn, None if offset is None else list(offset), result.size_in_bytes,
        [*result.storage_data.part], result.storage_data.sizes, result.storage_data.encoding]


def _whole_result(flat: Any) -> WriteResult:
    fqn, offset, size, part, sizes, encoding = flat
    return WriteResult(MetadataIndex(fqn, offset), size, Stored(Part(*part), sizes, encoding))


def _merged(one: Metadata, other: Metadata) -> Metadata:
    """The metadata of ranks that made plans of their own."""
    entries = dict(one.state_dict_metadata)
    for fqn, entry in other.state_dict_metadata.items():
        known = entries.setdefault(fqn, entry)
        if known is not entry and isinstance(known, TensorStorageMetadata):
            if not isinstance(entry, TensorStorageMetadata) or (
                    entry.size != known.size or entry.properties.dtype != known.properties.dtype):
                raise MismatchError(f"ranks save {fqn!r} with different shapes or types")
            boxes = [chunk for chunk in entry.chunks if chunk not in known.chunks]
            entries[fqn] = dataclasses.replace(known, chunks=known.chunks + boxes)
    planner_data = one.planner_data
    if isinstance(planner_data, dict) and isinstance(other.planner_data, dict):
        planner_data = {**other.planner_data, **planner_data}
    return Metadata(entries, planner_data=planner_data)
