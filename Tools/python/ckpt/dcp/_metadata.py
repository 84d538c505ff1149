"""What a checkpoint of `torch.distributed.checkpoint` says about itself, as plain data.

A checkpoint of DCP is one checkpoint of the store: the root. Its object `__dcp__` describes all
tensors and values, and says in which part each chunk lies. There are two layouts:

- One process: the only part is the root itself. Tensors, values and the description are committed
  together.
- Several: rank N writes its chunks as a checkpoint of the store `ranks/N` inside the root's
  directory; the parts are named by rank and id. The root has the description alone, and is
  committed by the coordinator when all parts are durable.

Readers trust the root alone: a part without a root is left over from a save that did not end.
"""

from __future__ import annotations

import math
from typing import Any, Iterable, Mapping, NamedTuple, Optional

import torch
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata, ChunkStorageMetadata, Metadata, TensorProperties, TensorStorageMetadata,
)
from torch.distributed.checkpoint.storage import WriteResult

from .. import _values
from .._dtypes import BY_TORCH
from .._store import Checkpoint
from ..errors import DamagedError, MismatchError, UnsupportedError

#: Name of the object that describes a checkpoint of DCP.
DESCRIPTION = "__dcp__"
VERSION = 1

#: How a value is stored: as JSON, as bytes of `torch.save`, or as bytes of the user's own planner.
JSON, TORCH_SAVE, OWN = "json", "torch.save", "own"

Extents = tuple[int, ...]


class Part(NamedTuple):
    """A checkpoint with chunks: the root itself, or that of a rank.

    Attributes:
        rank: the rank whose store it is in; None means the root.
        id: its id; empty for the root.
    """

    rank: Optional[int]
    id: str


ROOT = Part(None, "")


class Stored(NamedTuple):
    """What a rank has written: a chunk of a tensor, or a value.

    Attributes:
        part: where it is.
        sizes: extents of the chunk; None for a value.
        encoding: of a value.
    """

    part: Part
    sizes: Optional[Extents]
    encoding: str


class Chunk(NamedTuple):
    """A chunk of a tensor: a box, and the part that has its bytes; None if it has no bytes."""

    offsets: Extents
    sizes: Extents
    part: Optional[Part]


class Description(NamedTuple):
    """A checkpoint of DCP."""

    metadata: Metadata
    chunks: Mapping[str, list[Chunk]]
    #: Part and encoding of each value.
    values: Mapping[str, tuple[Part, str]]


def chunk_name(fqn: str, offsets: Iterable[int], sizes: Iterable[int], shape: Iterable[int]) -> str:
    """The name of a chunk in its part: that of the tensor if it is all of it."""
    if tuple(sizes) == tuple(shape):
        return fqn
    return f"{fqn}@{','.join(map(str, offsets))}+{','.join(map(str, sizes))}"


def check_coverage(metadata: Metadata) -> None:
    """Checks that the chunks of each tensor are all of it, and do not overlap.

    DCP checks this only if there are several plans.

    Raises:
        MismatchError: some elements are saved by nobody, or twice.
    """
    for fqn, entry in metadata.state_dict_metadata.items():
        if not isinstance(entry, TensorStorageMetadata):
            continue
        boxes = {(tuple(chunk.offsets), tuple(chunk.sizes)) for chunk in entry.chunks}
        boxes = {box for box in boxes if math.prod(box[1])}
        for offsets, sizes in boxes:
            if any(start < 0 or start + size > extent for start, size, extent in zip(offsets, sizes, entry.size)):
                raise MismatchError(
                    f"a chunk of {fqn!r} at {list(offsets)} of {list(sizes)} elements is outside the tensor, "
                    f"which has the shape {list(entry.size)}")
        saved, wanted = sum(math.prod(sizes) for _, sizes in boxes), math.prod(entry.size)
        if saved < wanted:
            raise MismatchError(
                f"the ranks hold only {saved} of the {wanted} elements of {fqn!r}. Save with all ranks of its mesh")
        if saved > wanted:
            raise MismatchError(f"the chunks of {fqn!r} overlap: {saved} elements, and the tensor has {wanted}")


def encode(metadata: Metadata, results: Iterable[Iterable[WriteResult]]) -> bytes:
    """The description as JSON.

    Args:
        metadata: what the planner says.
        results: what the ranks have written; `storage_data` is `Stored`.

    Raises:
        MismatchError: nobody has written a chunk.
    """
    check_coverage(metadata)
    parts: dict[Part, int] = {}
    written: dict[Any, tuple[int, str]] = {}
    for result in (result for of_rank in results for result in of_rank):
        stored: Stored = result.storage_data
        offsets = None if result.index.offset is None else tuple(result.index.offset)
        key = (result.index.fqn, offsets if stored.sizes is not None else None, stored.sizes)
        written.setdefault(key, (parts.setdefault(stored.part, len(parts)), stored.encoding))
    tensors: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for fqn, entry in metadata.state_dict_metadata.items():
        if isinstance(entry, TensorStorageMetadata):
            boxes = dict.fromkeys((tuple(chunk.offsets), tuple(chunk.sizes)) for chunk in entry.chunks)
            tensors[fqn] = [
                _dtype_name(entry.properties.dtype, fqn), list(entry.size),
                [[list(offsets), list(sizes), _writer(fqn, offsets, sizes, written)] for offsets, sizes in boxes]]
        else:
            if (fqn, None, None) not in written:
                raise MismatchError(f"no rank has written the value {fqn!r}")
            values[fqn] = list(written[fqn, None, None])
    return _values.encode(
        {
            "version": VERSION, "parts": [[part.rank, part.id] for part in parts], "tensors": tensors, "values": values,
            "planner_data": metadata.planner_data, "torch_version": metadata.version,
        }, DESCRIPTION)


def _writer(fqn: str, offsets: Extents, sizes: Extents, written: Mapping[Any, tuple[int, str]]) -> Optional[int]:
    if not math.prod(sizes):
        return None
    found = written.get((fqn, offsets, sizes))
    if found is None:
        raise MismatchError(f"no rank has written the chunk of {fqn!r} at {list(offsets)} of {list(sizes)} elements")
    return found[0]


def _dtype_name(dtype: torch.dtype, fqn: str) -> str:
    kind = BY_TORCH.get(str(dtype))
    if kind is None:
        raise TypeError(f"tensor {fqn!r} has the type {dtype}, which cannot be saved")
    return kind.name


def decode(checkpoint: Checkpoint) -> Description:
    """Reads the description of a checkpoint. One that DCP has not made is described by its tensors
    and values, so that it can be loaded as well.

    Raises:
        UnsupportedError: a newer version of the package has made it.
        DamagedError: it makes no sense.
    """
    if DESCRIPTION not in checkpoint.objects:
        return _plain(checkpoint)
    found = checkpoint.object(DESCRIPTION)
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise UnsupportedError(
            f"step {checkpoint.step} was saved by a newer version of ckpt. Install a newer version")
    try:
        return _decoded(found)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DamagedError(
            f"the object {DESCRIPTION!r} of step {checkpoint.step} is not a description of a checkpoint: {error!r}") from error


def _decoded(found: Mapping[str, Any]) -> Description:
    parts = [Part(None if rank is None else int(rank), str(id)) for rank, id in found["parts"]]
    entries: dict[str, Any] = {}
    chunks: dict[str, list[Chunk]] = {}
    for fqn, (kind, shape, boxes) in found["tensors"].items():
        chunks[fqn] = [
            Chunk(_extents(offsets), _extents(sizes), None if part is None else parts[part])
            for offsets, sizes, part in boxes]
        entries[fqn] = tensor_metadata(kind, _extents(shape), chunks[fqn])
    values = {fqn: (parts[part], str(encoding)) for fqn, (part, encoding) in found["values"].items()}
    entries.update((fqn, BytesStorageMetadata()) for fqn in values)
    metadata = Metadata(entries, planner_data=found["planner_data"])
    if hasattr(metadata, "version"):
        metadata.version = found["torch_version"]
    return Description(metadata, chunks, values)


def _extents(values: Iterable[int]) -> Extents:
    extents = tuple(values)
    if any(type(value) is not int or value < 0 for value in extents):
        raise ValueError(f"extents {extents}")
    return extents


def tensor_metadata(kind: str, shape: Extents, chunks: Iterable[Chunk]) -> TensorStorageMetadata:
    """The metadata of a tensor with an element type of the format."""
    name = next((torch_name for torch_name, known in BY_TORCH.items() if known.name == kind), None)
    if name is None:
        raise TypeError(f"torch has no element type {kind}")
    dtype = getattr(torch, name.removeprefix("torch."))
    boxes = [ChunkStorageMetadata(torch.Size(chunk.offsets), torch.Size(chunk.sizes)) for chunk in chunks]
    return TensorStorageMetadata(TensorProperties(dtype=dtype), torch.Size(shape), boxes)


def _plain(checkpoint: Checkpoint) -> Description:
    chunks: dict[str, list[Chunk]] = {}
    entries: dict[str, Any] = {}
    for name, tensor in checkpoint.items():
        chunks[name] = [Chunk((0,) * len(tensor.shape), tensor.shape, ROOT)]
        entries[name] = tensor_metadata(tensor.dtype, tensor.shape, chunks[name])
    values = {name: (ROOT, JSON) for name in checkpoint.objects if checkpoint._objects[name][1] == "json"}
    entries.update((name, BytesStorageMetadata()) for name in values)
    return Description(Metadata(entries, planner_data={name: (name,) for name in entries}), chunks, values)
