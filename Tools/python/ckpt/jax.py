"""Checkpoints of pytrees of JAX or numpy.

    from ckpt.jax import Checkpointer

    saver = Checkpointer("runs/first", keep_last=3)
    state = saver.restore(like=state) if saver.latest_step() is not None else state
    for step in range(...):
        state = update(state)
        saver.save(step, state)
    saver.close()

Arrays of JAX never change, so saving needs no fence; arrays of numpy in the tree are copied by
`save`. Arrays on one device, or fully replicated ones, can be saved.
"""

from __future__ import annotations

import os
from typing import Any, Mapping, Optional, Union

import jax
import numpy

from . import _checkpointer
from ._checkpointer import Save
from ._store import Reference, Store
from .errors import MismatchError


class Checkpointer:
    """Saves pytrees to a store, and restores them.

    Args:
        store: a store that is open for writing, or a path.
        every: the steps at which `should_save` is true: those that it divides.
        options: those of `ckpt.Checkpointer`.
    """

    def __init__(self, store: Union[Store, str, os.PathLike[str]], *, every: int = 1, **options: Any) -> None:
        self._tree: dict[str, Any] = {}
        self._saver = _checkpointer.Checkpointer(store, lambda: self._tree, every=every, **options)

    def save(self, step: int, tree: Any, metrics: Optional[Mapping[str, float]] = None) -> Save:
        """Asks for a checkpoint of a tree, and returns at once.

        Args:
            tree: any pytree of arrays, numbers and other plain values.
        """
        self._tree = {name: _saved(name, leaf) for name, leaf in _leaves(tree)}
        return self._saver.save(step, metrics)

    def restore(self, reference: Reference = "latest", *, like: Any) -> Any:
        """A tree with the structure, types and devices of another, and the values of a checkpoint.

        Args:
            reference: as that of `ckpt.Checkpointer.restore`: a step, and "latest", are those of the run, if it has them.
            like: arrays, or `jax.ShapeDtypeStruct`s.

        Raises:
            MismatchError: names, shapes or types differ.
        """
        found = self._saver.store.open(self._saver._own_reference(reference).decode())
        names = [name for name, _ in _leaves(like)]
        missing = [name for name in names if name not in found and name not in found.objects]
        unused = sorted({*found, *found.objects} - set(names))
        if missing or unused:
            raise MismatchError(
                f"step {found.step} has another structure. Only in the tree: {missing[:5]}; only in the checkpoint: {unused[:5]}")
        leaves = [
            _restored(found[name], leaf) if name in found else found.object(name) for name, leaf in _leaves(like)]
        return jax.tree.unflatten(jax.tree.structure(like), leaves)

    def should_save(self, step: int) -> bool:
        """Whether `every` divides a step."""
        return self._saver.is_due(step)

    def latest_step(self) -> Optional[int]:
        """The step of the newest checkpoint of the run; None if there is none."""
        return self._saver.latest_step()

    def all_steps(self) -> list[int]:
        """The steps of all checkpoints of the run, ascending."""
        return self._saver.all_steps()

    def wait(self) -> None:
        """Waits until the last save is committed; raises its failure."""
        self._saver.wait_until_finished()

    def close(self) -> None:
        """Waits for the saves in flight, and ends."""
        self._saver.close()

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(self, *arguments: Any) -> None:
        self._saver.__exit__(*arguments)


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a tree, with the names of their paths."""
    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(jax.tree_util.keystr(path, simple=True, separator=".") or "tree", leaf) for path, leaf in found]


def _saved(name: str, leaf: Any) -> Any:
    if isinstance(leaf, jax.Array):
        if jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if not leaf.is_fully_addressable or not (leaf.is_fully_replicated or len(leaf.devices()) == 1):
            raise TypeError(
                f"{name!r} is sharded over {len(leaf.sharding.device_set)} devices, "
                "which cannot be saved")
        return numpy.asarray(leaf)
    return leaf.copy() if isinstance(leaf, numpy.ndarray) else leaf


def _restored(stored: Any, like: Any) -> Any:
    if not hasattr(like, "shape"):
        return stored.numpy()[()]
    is_key = jax.numpy.issubdtype(like.dtype, jax.dtypes.prng_key)
    shape = jax.random.key_data(like).shape if is_key else like.shape
    value = stored.numpy()
    if value.shape != tuple(shape) or not is_key and value.dtype != like.dtype:
        raise MismatchError(
            f"{stored.name!r} is {value.dtype}{list(value.shape)} in the checkpoint, and {like.dtype}{list(like.shape)} in the tree")
    if is_key:
        return jax.random.wrap_key_data(jax.numpy.asarray(value), impl=jax.random.key_impl(like))
    if isinstance(like, numpy.ndarray):
        return value
    sharding = getattr(like, "sharding", None)
    return jax.device_put(value, sharding) if sharding is not None else jax.numpy.asarray(value)


__all__ = ["Checkpointer"]
