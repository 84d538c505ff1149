"""The states that are saved: names, shapes and kinds of their parameters, without any memory."""

from __future__ import annotations

import dataclasses
import math
from typing import Callable

#: fp32 parameter with two AdamW moments.
FULL = "full"
#: bf16 parameter with an fp32 master copy and two AdamW moments.
MIXED = "mixed"
#: Parameter that no optimizer changes.
FROZEN = "frozen"

#: Bytes of state per element of a parameter, by kind, and tensors per parameter.
BYTES = {FULL: 12, MIXED: 14, FROZEN: 4}
TENSORS = {FULL: 3, MIXED: 4, FROZEN: 1}


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of the model."""

    name: str
    shape: tuple[int, ...]
    kind: str

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclasses.dataclass(frozen=True)
class Variant:
    """A state, described."""

    name: str
    title: str
    parameters: tuple[Parameter, ...]

    @property
    def nbytes(self) -> int:
        """Size of the state in bytes."""
        return sum(BYTES[entry.kind] * entry.elements for entry in self.parameters)

    @property
    def tensor_count(self) -> int:
        """Number of tensors of the state."""
        return sum(TENSORS[entry.kind] for entry in self.parameters)

    @property
    def changed_bytes(self) -> int:
        """Bytes that one update changes."""
        return sum(BYTES[entry.kind] * entry.elements for entry in self.parameters if entry.kind != FROZEN)


Shapes = list[tuple[str, tuple[int, ...]]]


def _gpt2(width: int, layers: int) -> Shapes:
    """The parameters of GPT-2, with a vocabulary of 50,257 and 1,024 positions."""
    shapes: Shapes = [("wte", (50257, width)), ("wpe", (1024, width))]
    for layer in range(layers):
        block: Shapes = [
            ("ln1.weight", (width,)), ("ln1.bias", (width,)),
            ("attention.qkv.weight", (3 * width, width)), ("attention.qkv.bias", (3 * width,)),
            ("attention.out.weight", (width, width)), ("attention.out.bias", (width,)),
            ("ln2.weight", (width,)), ("ln2.bias", (width,)),
            ("mlp.up.weight", (4 * width, width)), ("mlp.up.bias", (4 * width,)),
            ("mlp.down.weight", (width, 4 * width)), ("mlp.down.bias", (width,)),
        ]
        shapes += [(f"h{layer}.{name}", shape) for name, shape in block]
    return shapes + [("ln.weight", (width,)), ("ln.bias", (width,))]


def _shrunk(shapes: Shapes, scale: float) -> Shapes:
    """The same tensors with fewer rows, or with more."""
    return [(name, (max(1, math.ceil(shape[0] * scale)), *shape[1:])) for name, shape in shapes]


def _of(shapes: Shapes, kind: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, shape, kind) for name, shape in shapes)


def _make_gpt2(scale: float) -> tuple[Parameter, ...]:
    return _of(_shrunk(_gpt2(768, 12), scale), FULL)


def _make_bf16(scale: float) -> tuple[Parameter, ...]:
    return _of(_shrunk(_gpt2(768, 12), scale), MIXED)


def _make_small(scale: float) -> tuple[Parameter, ...]:
    """6,667 parameters, so 20,001 tensors, of 64 to 16,384 elements; 8,160 on average."""
    count = max(1, round(6667 * scale))
    return tuple(Parameter(f"p{index}", (64 * (1 + index * 97 % 256),), FULL) for index in range(count))


def _make_lora(scale: float) -> tuple[Parameter, ...]:
    """GPT-2 medium, frozen, with adapters of rank 8."""
    width, layers, rank = 1024, 24, 8
    adapters: Shapes = []
    for layer in range(layers):
        for name, rows in (("attention.qkv", 3 * width), ("attention.out", width), ("mlp.up", 4 * width)):
            adapters += [(f"h{layer}.{name}.a", (rank, width)), (f"h{layer}.{name}.b", (rows, rank))]
    return _of(_shrunk(_gpt2(width, layers), scale), FROZEN) + _of(_shrunk(adapters, scale), FULL)


def _make_shape(scale: float) -> tuple[Parameter, ...]:
    """One of the 32 layers of Llama 3 8B, without the embeddings."""
    hidden, inner, keys = 4096, 14336, 1024
    shapes: Shapes = [
        ("attention.q", (hidden, hidden)), ("attention.k", (keys, hidden)), ("attention.v", (keys, hidden)),
        ("attention.out", (hidden, hidden)), ("mlp.gate", (inner, hidden)), ("mlp.up", (inner, hidden)),
        ("mlp.down", (hidden, inner)), ("norm1", (hidden,)), ("norm2", (hidden,)),
    ]
    return _of(_shrunk(shapes, scale), MIXED)


_MAKERS: dict[str, tuple[str, Callable[[float], tuple[Parameter, ...]]]] = {
    "gpt2": ("GPT-2 in fp32 with AdamW", _make_gpt2),
    "bf16": ("GPT-2 with bf16 weights, fp32 master weights and moments", _make_bf16),
    "small": ("20,000 small fp32 tensors with AdamW", _make_small),
    "lora": ("GPT-2 medium, frozen, with LoRA adapters: 2 % of the state changes", _make_lora),
    "shape": (
        "one layer of Llama 3 8B with bf16 weights and fp32 optimizer state: the tensor shapes of the checkpoint in "
        "MLPerf Storage, shape only", _make_shape),
}

NAMES = tuple(_MAKERS)


def variant(name: str, scale: float = 1.0) -> Variant:
    """Describes a state.

    Args:
        name: one of `NAMES`.
        scale: factor for the size: rows of each tensor, or for "small" the number of tensors.
    """
    title, make = _MAKERS[name]
    return Variant(name, title, make(scale))
