"""The peers, and what has to be installed for each."""

from __future__ import annotations

import dataclasses

OURS, ASYNC, SYNC, FLOOR, CODEC = "ckpt", "async", "sync", "floor", "codec"

#: Packages that every process needs. The build of PyTorch without CUDA is taken if the index has it.
BASE = ("torch==2.15.0", "numpy==2.4.6", "ml_dtypes==0.6.0")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A peer as the command knows it."""

    name: str
    title: str
    kind: str
    #: Where its class is: "module:class".
    source: str
    requirements: tuple[str, ...] = ()
    #: A program that has to be there; not installed by the command.
    program: str = ""
    #: Whether it can restore what it has saved.
    restores: bool = True

    @property
    def package(self) -> str:
        """The package whose version the report names; empty if it is none of its own."""
        return self.requirements[0].split("==")[0] if self.requirements else ""


def _entry(name: str, title: str, kind: str, source: str, *requirements: str) -> Entry:
    return Entry(name, title, kind, f"comparison.peers.{source}", requirements)


ENTRIES = (
    _entry("write-fsync", "one file, writev and fsync", FLOOR, "plain:Buffered"),
    dataclasses.replace(
        _entry("write-direct", "one file, O_DIRECT from one aligned buffer", FLOOR, "plain:Direct"), restores=False),
    dataclasses.replace(_entry("fio", "fio, O_DIRECT", FLOOR, "fio:Fio"), restores=False, program="fio"),
    _entry("ckpt", "ckpt.torch.Checkpointer", OURS, "ours:Direct"),
    _entry("ckpt-raw", "ckpt.torch.Checkpointer, no compression", OURS, "ours:Raw"),
    _entry("ckpt-dcp", "dcp.async_save, unmodified, over CkptWriter", OURS, "ours:OverDCP"),
    _entry("torch-save", "torch.save; torch.load(mmap=True)", SYNC, "pytorch:TorchSave"),
    _entry("safetensors", "safetensors save_file", SYNC, "safetensors:Safetensors", "safetensors==0.8.0"),
    _entry("dcp-save", "dcp.save over FileSystemWriter", SYNC, "pytorch:DCPSave"),
    _entry("dcp-async", "dcp.async_save, staged in the call (its default)", ASYNC, "pytorch:DCPAsync"),
    _entry(
        "dcp-async-staged", "dcp.async_save, staged in a thread into shared memory", ASYNC, "pytorch:DCPAsyncStaged"),
    _entry(
        "torch-checkpointing", "torch_checkpointing CheckpointManager", ASYNC, "torch_checkpointing:TorchCheckpointing",
        "torch_checkpointing==0.1.1"),
    _entry("torchsnapshot", "TorchSnapshot async_take", ASYNC, "torchsnapshot:TorchSnapshot", "torchsnapshot==0.1.0"),
    _entry(
        "dlrover", "DLRover flash checkpoint, DdpCheckpointer", ASYNC, "dlrover:DLRover", "dlrover==0.6.1",
        "grpcio==1.85.3"),
    _entry("moonclip", "moonclip MoonclipManager", ASYNC, "moonclip:Moonclip", "moonclip==0.3.1"),
    _entry(
        "orbax", "Orbax AsyncCheckpointer", ASYNC, "orbax:Orbax", "orbax-checkpoint==0.12.8", "jax==0.10.2",
        "tensorstore==0.1.86"),
    _entry("tensorstore", "TensorStore, zarr3 in OCDBT", ASYNC, "tensorstore:TensorStore", "tensorstore==0.1.86"),
    _entry("zipnn", "ZipNN", CODEC, "zipnn:Zipnn", "zipnn==0.5.4"),
)

NAMES = tuple(entry.name for entry in ENTRIES)


def entry(name: str) -> Entry:
    """The entry of a name."""
    return next(entry for entry in ENTRIES if entry.name == name)
