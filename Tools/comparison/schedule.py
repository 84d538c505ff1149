"""In which order peers run."""

from __future__ import annotations

from typing import Sequence, TypeVar

T = TypeVar("T")


def order(entries: Sequence[T], repeat: int, repeats: int) -> list[T]:
    """The order of a repeat: rotated, so that each peer runs early in some repeats and late in others.

    Every second repeat is reversed as well, so that no peer always runs after the same other peer.

    Args:
        entries: what runs.
        repeat: number of the repeat, from 0.
        repeats: how many repeats there are.
    """
    if not entries:
        return []
    shift = repeat * max(1, len(entries) // max(1, repeats)) % len(entries)
    rotated = [*entries[shift:], *entries[:shift]]
    return rotated[::-1] if repeat % 2 else rotated
