"""Checkpoints of PyTorch training loops.

    from ckpt.torch import Checkpointer

    saver = Checkpointer("runs/first", model=model, optimizer=optimizer)
    report = saver.resume()
    for step in range(report.step if report else 0, 10_000):
        loss = train_step()          # calls optimizer.step(), which waits for what is not copied yet
        saver.save(step + 1, {"loss": loss})
    saver.close()
"""

from __future__ import annotations

import itertools
import operator
import os
import random
import sys
import weakref
from typing import Any, Callable, Mapping, MutableMapping, Optional, Sequence, Union

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from . import _checkpointer, _native, _values
from ._checkpointer import BUFFER, OPTIMIZER, OTHER, PARAMETER, Item, RestoreReport, Save, _Encoded
from ._dtypes import BY_NAME
from ._lent_plan import LentPlan
from ._memory import lent
from ._ranks import Box, OfRank, Ranks
from ._store import Checkpoint, Store
from .errors import BusyError, MismatchError, NotFoundError

Module = torch.nn.Module
Optimizer = torch.optim.Optimizer

#: A tensor in a value that is at least as large becomes a tensor of the checkpoint.
_LIFTED_BYTES = 1024
_PACKED = "packed"


class _Prepared:
    """A restore that is under way: what has to be done after the bytes are there."""

    def __init__(self, checkpoint: Checkpoint, lends_gpus: bool) -> None:
        self.checkpoint = checkpoint
        self._lends_gpus = lends_gpus
        self.items: list[Item] = []
        #: Tensors that are not restored in place: they are copied to their destination.
        self.copies: list[tuple[torch.Tensor, torch.Tensor]] = []
        #: Packed scalars by optimizer and type.
        self.packed: dict[str, torch.Tensor] = {}
        #: Tensors that values refer to.
        self.lifted: dict[str, torch.Tensor] = {}
        #: Puts the states of the optimizers back as they were.
        self.undo: list[Callable[[], None]] = []

    def add(self, name: str, tensor: torch.Tensor, role: int, group: str, box: Optional[Box] = None) -> None:
        """Restores into a tensor, which has a box of the one in the checkpoint."""
        plain = tensor.detach()
        if not _is_lendable(plain, self._lends_gpus) or not plain.is_contiguous() and plain.numel() != plain.untyped_storage().nbytes() // plain.element_size():
            staged = torch.empty(plain.shape, dtype=plain.dtype)
            self.copies.append((plain, staged))
            plain = staged
        if box is not None and not plain.is_contiguous():
            staged = torch.empty(plain.shape, dtype=plain.dtype)
            self.copies.append((plain, staged))
            plain = staged
        self.items.append(_item(name, plain, role, group, box))


class Checkpointer(_checkpointer.Checkpointer):
    """Saves and restores a PyTorch training loop.

    Saved are: parameters and persistent buffers of the model; the state and the parameter groups of
    the optimizers, their scalars packed into one tensor; the `state_dict` of schedulers, of the
    dataloader and of everything in `extra`; and the random generators of Python, numpy and torch.
    Nothing is pickled.

    Parameters and optimizer state are lent: they may change only in `optimizer.step()`, which
    waits for what has not been copied yet, or inside `with saver.fence():`. Buffers and everything
    in `extra` are copied when `save` is called, so they may change at any time. So are tensors on
    a GPU, unless `cuda` is "lend".

    With `ranks`, all of several processes make one, and save a checkpoint together: DTensors (FSDP2,
    tensor parallel) by their local shards, and everything else (data parallel) once, after a comparison;
    buffers are those of rank 0. Any number of processes restores it. Each process has random generators and a
    dataloader of its own; if another number of processes resumes, generators are seeded anew from those of
    rank 0, and what the dataloader gets is said by `dataloader_on_another_world`.

    Args:
        store: a store that is open for writing, or a path.
        model: a module, or a dict of modules.
        optimizer: an optimizer, or a list or dict of them.
        scheduler: a scheduler, or a list or dict of them.
        dataloader: an object with `state_dict` and `load_state_dict`, such as a StatefulDataLoader.
        extra: more state by name: objects with `state_dict` and `load_state_dict`, such as a
            GradScaler or an averaged model, or plain values. Each save takes what the mapping has then; a restore
            puts plain values back into it, and `RestoreReport.objects` has them too.
        rng: true to save and restore the random generators.
        fence_on_step: true to make every `step` of an optimizer a fence.
        cuda: "copy" copies tensors on NVIDIA GPUs to the CPU in `save`; "lend" copies them in the background,
            after the work that is in the current stream when `save` is called. "lend" has not been tested on
            a GPU yet: run Tools/gpu-check there first.
        ranks: the processes that save together, if `store` is a path; "torch" for those of the default
            process group of `torch.distributed`, if there is one. None if this one saves alone.
        dataloader_on_another_world: what the dataloader gets if another number of processes has saved the
            checkpoint: "refuse" fails, "first" is the state of rank 0's.
        options: those of `ckpt.Checkpointer`.
    """

    def __init__(
        self, store: Union[Store, str, os.PathLike[str]], *, model: Union[Module, Mapping[str, Module], None] = None,
        optimizer: Union[Optimizer, Sequence[Optimizer], Mapping[str, Optimizer], None] = None,
        scheduler: Any = None, dataloader: Any = None, extra: Optional[Mapping[str, Any]] = None, rng: bool = True,
        fence_on_step: bool = True, cuda: str = "copy", ranks: Union[Ranks, None, str] = None,
        dataloader_on_another_world: str = "refuse", **options: Any,
    ) -> None:
        if isinstance(ranks, str):
            if ranks != "torch":
                raise ValueError(f'ranks is {ranks!r}: give Ranks, None or "torch"')
            ranks = Ranks.of_torch() if _is_distributed() else None
        if cuda not in ("copy", "lend"):
            raise ValueError(f'cuda is {cuda!r}: give "copy" or "lend"')
        self._lends_gpus = cuda == "lend"
        self._dataloader_rule = dataloader_on_another_world
        self._models: dict[str, Module] = _named(model, "model")
        self._optimizers: dict[str, Optimizer] = _named(optimizer, "optimizer")
        self._stateful: dict[str, Any] = {**_named(scheduler, "scheduler"), **_named(dataloader, "dataloader")}
        for name, value in self._stateful.items():
            if not hasattr(value, "state_dict"):
                raise TypeError(f"{name} is a {type(value).__name__}, which has no state_dict")
        self._extra: Mapping[str, Any] = extra if extra is not None else {}
        for name, value in self._others.items():
            if name.startswith("extra.") and not hasattr(value, "state_dict"):
                # What cannot be saved is told here, and not after hours.
                _values.encode(value, name, lambda path, _: path)
        self._rng = rng
        self._prepared: Optional[_Prepared] = None
        #: What is known since the last save: items with what they were made from, names of parameters, and
        #: what models and optimizers were made of.
        self._items: dict[str, tuple[torch.Tensor, Item, int, torch.Size, torch.dtype, tuple[int, ...]]] = {}
        self._known_names: dict[int, tuple[list[int], dict[int, str], list[torch.Tensor]]] = {}
        self._plans: dict[str, LentPlan] = {}
        self._optimizer_states: dict[str, _OptimizerState] = {}
        #: Places of DTensors by name, with what they were found from; and the numbers of all ranks.
        self._places: dict[str, tuple[Any, torch.Size, Optional[Box]]] = {}
        self._everyone: Optional[tuple[int, ...]] = None
        #: Which group a parameter belongs to: that of the optimizer that changes it.
        self._groups: dict[int, str] = {}
        for name, found in self._optimizers.items():
            self._adopt(name, found)
        try:
            super().__init__(store, None, ranks=ranks, **options)
        except BusyError as error:
            if ranks is None and _is_distributed():
                advice = 'Give ranks="torch" if all processes are to save together'
                raise BusyError(f"{error} {advice}", error.remedy or advice, error.path) from None
            raise
        self._hooks = _register_hooks(self) if fence_on_step else []

    @property
    def _others(self) -> dict[str, Any]:
        """What is saved besides models and optimizers, as it is now, by full names."""
        return {**self._stateful, **{f"extra.{name}": value for name, value in self._extra.items()}}

    # ------------------------------------------------------------------ fences

    def _adopt(self, name: str, optimizer: Optimizer) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                self._groups[id(parameter)] = name

    def _before_step(self, optimizer: Optimizer) -> None:
        groups = self._groups_of(optimizer)
        for group in groups:
            self.fence(group)

    def _after_step(self, optimizer: Optimizer) -> None:
        for group in self._groups_of(optimizer):
            _checkpointer.Fence(self._handle, None if group is None else group.encode()).end()

    def _groups_of(self, optimizer: Optimizer) -> list[Optional[str]]:
        """The groups that an optimizer changes; [None], which means all, if that is not known."""
        for name, known in self._optimizers.items():
            if known is optimizer:
                return [name]
        ours = {id(parameter) for model in self._models.values() for parameter in model.parameters()}
        found = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        return [None] if any(id(parameter) in ours for parameter in found) else []

    # ------------------------------------------------------------------ saving

    def save(self, step: int, metrics: Optional[Mapping[str, float]] = None) -> Save:
        # A step that raised an error has left its fence behind.
        _checkpointer.Fence(self._handle, None).end()
        return super().save(step, metrics)

    def _collect(self) -> tuple[list[Item], dict[str, Any]]:
        items: list[Item] = []
        values: dict[str, Any] = {}
        for name, model in self._models.items():
            self._collect_model(name, model, items, values)
        for name, optimizer in self._optimizers.items():
            self._collect_optimizer(name, optimizer, items, values)
        for name, value in self._others.items():
            if not _is_dataloader(name) or self._ranks is None:
                state = value.state_dict() if hasattr(value, "state_dict") else value
                values[name] = _Encoded(_values.encode(state, name, self._lift(name, items)))
        values.update(self._own_values())
        return items, values

    def _own_values(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self._ranks is not None:
            for name, value in self._others.items():
                if _is_dataloader(name):
                    # With its tensors: a tensor of the checkpoint would be that of all ranks.
                    state = _Encoded(_values.encode(value.state_dict(), name))
                    values[name] = OfRank(state, self._dataloader_rule)
        if self._rng:
            values.update({name: OfRank(value, "first") for name, value in _random_state().items()})
        return values

    def _expected_values(self) -> set[str]:
        # Each process has a dataloader of its own, with a rule of its own.
        return {name for name in self._others if self._ranks is None or not _is_dataloader(name)}

    def _declared_values(self) -> dict[str, Any]:
        values = self._own_values()
        if self._prepared is None:
            return values
        # A generator that the checkpoint lacks is no reason to fail: it was not used then, or not saved.
        saved = self._prepared.checkpoint.objects
        return {name: value for name, value in values.items() if name in saved or _is_dataloader(name)}

    def _box(self, tensor: torch.Tensor) -> Optional[Box]:
        """Where a local tensor that all processes have the same of lies; None if this one saves alone."""
        if self._ranks is None:
            return None
        if self._everyone is None:
            self._everyone = tuple(range(self._ranks.world_size))
        return Box(tuple(tensor.shape), (0,) * tensor.dim(), self._everyone)

    def _shards(self, name: str, tensor: torch.Tensor) -> list[tuple[str, torch.Tensor, Optional[Box]]]:
        """The plain tensors that a tensor is made of, each with the part of a larger one that it is."""
        if hasattr(tensor, "device_mesh") and hasattr(tensor, "placements"):
            # Its place is found once: that takes longer than all else.
            key = (tensor.device_mesh, tensor.placements, tensor.shape)
            local: torch.Tensor = getattr(tensor, "_local_tensor")
            known = self._places.get(name)
            if known is None or known[0] != key or known[1] != local.shape:
                box = _place(name, tensor, self._ranks)
                known = self._places[name] = (key, local.shape, box)
            return [(name, local, known[2])]
        return [(part, plain, self._box(plain)) for part, plain in _parts(name, tensor)]

    def _lift(self, name: str, items: list[Item]) -> _values.Lift:
        """Makes large tensors in values tensors of the checkpoint. They are copied now."""
        def lift(path: str, tensor: Any) -> Optional[str]:
            if tensor.numel() * tensor.element_size() < _LIFTED_BYTES:
                return None
            copy = _copy(tensor)
            items.append(_item(path, copy, OTHER, "", self._box(copy)))
            return path

        return lift

    def _collect_model(self, name: str, model: Module, items: list[Item], values: dict[str, Any]) -> None:
        state = model.state_dict(keep_vars=True)
        keys, tensors = list(state), list(state.values())
        plan = self._plans.get(name)
        if plan is None or not plan.fits(keys, tensors):
            found = [self._lend_parameter(f"{name}.{key}", value) for key, value in state.items()]
            plan = self._plans[name] = LentPlan(keys, tensors, found)
        if plan.lends_all:
            items += plan.items  # type: ignore[arg-type]
            return
        for key, value, item in zip(keys, tensors, plan.items):
            if item is not None:
                items.append(item)
            else:
                self._collect_entry(f"{name}.{key}", value, items, values)

    def _lend_parameter(self, name: str, value: Any) -> Optional[Item]:
        """The item of a parameter that is lent itself; None for all else."""
        if type(value) is not torch.nn.Parameter:
            return None
        item = self._lend(name, value, PARAMETER, self._groups.get(id(value), ""), self._box(value))
        return item if item.memory.owner is value else None

    def _collect_entry(self, name: str, value: Any, items: list[Item], values: dict[str, Any]) -> None:
        """Adds what a model's state has besides parameters that are lent themselves."""
        if not isinstance(value, torch.Tensor):
            values[name] = _Encoded(_values.encode(value, name, self._lift(name, items)))
            return
        is_parameter = isinstance(value, torch.nn.Parameter)
        group = self._groups.get(id(value), "")
        if type(value) is torch.nn.Parameter:
            items.append(self._lend(name, value, PARAMETER, group, self._box(value)))
            return
        for part, tensor, box in self._shards(name, value):
            # Forward may change buffers, so they are copied; so is what is not on the CPU.
            if is_parameter:
                items.append(self._lend(part, tensor, PARAMETER, group, box))
            elif box is None or tuple(tensor.shape) != box.shape:
                items.append(_item(part, _copy(tensor), BUFFER, group, box))
            elif self._ranks is not None and self._ranks.rank == 0:
                # Those of a normalization differ from rank to rank.
                items.append(_item(part, _copy(tensor), BUFFER, group))

    def _stream(self, gpu: int) -> int:
        return int(torch.cuda.current_stream(gpu).cuda_stream)

    def _lend(
        self, name: str, tensor: torch.Tensor, role: int, group: str, box: Optional[Box] = None
    ) -> Item:
        """The item of a tensor; that of the last save if nothing about the tensor has changed."""
        known = self._items.get(name)
        if (
            known is not None and known[0] is tensor and known[2] == tensor.data_ptr() and known[3] == tensor.shape
            and known[4] is tensor.dtype and known[5] == tensor.stride() and known[1].group == group
            and known[1].box == box
        ):
            return known[1]
        lendable = tensor if _is_lendable(tensor, self._lends_gpus) else _copy(tensor)
        # The memory of a shard is row-major.
        item = _item(name, lendable if box is None else lendable.contiguous(), role, group, box)
        if item.memory.owner is tensor:
            self._items[name] = (tensor, item, tensor.data_ptr(), tensor.shape, tensor.dtype, tensor.stride())
        return item

    def _names(self, optimizer: Optimizer) -> dict[int, str]:
        """The names of an optimizer's parameters, by id."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        key = [id(parameter) for parameter in parameters]
        known = self._known_names.get(id(optimizer))
        if known is not None and known[0] == key:
            return known[1]
        found = self._find_names(optimizer)
        # The parameters are kept, so that no other has one of their ids.
        self._known_names[id(optimizer)] = (key, found, parameters)
        return found

    def _find_names(self, optimizer: Optimizer) -> dict[int, str]:
        names = {
            id(parameter): key if len(self._models) == 1 else f"{model_name}.{key}"
            for model_name, model in self._models.items()
            for key, parameter in model.named_parameters()
        }
        result: dict[int, str] = {}
        for index, group in enumerate(optimizer.param_groups):
            for position, parameter in enumerate(group["params"]):
                result[id(parameter)] = names.get(id(parameter), f"group{index}.{position}")
        return result

    def _collect_optimizer(
        self, name: str, optimizer: Optimizer, items: list[Item], values: dict[str, Any]
    ) -> None:
        state = self._optimizer_state(name, optimizer)
        for entry, item in zip(state.entries, state.items):
            if item is not None:
                items.append(item)
            elif type(entry[1]) is torch.Tensor:
                items.append(self._lend(*entry, OPTIMIZER, name, self._box(entry[1])))
            else:
                for part, tensor, box in self._shards(*entry):
                    items.append(self._lend(part, tensor, OPTIMIZER, name, box))
        items.extend(self._pack(name, dtype, state) for dtype in state.packed)
        groups = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        path = f"{name}.values"
        values[path] = _Encoded(
            _values.encode({"param_groups": groups, "state": state.others}, path, self._lift(path, items)))
        values[f"{name}.index"] = self._index(name, optimizer, state)

    def _pack(self, name: str, dtype: str, state: _OptimizerState) -> Item:
        """The scalars of one type as one tensor: that of the last save if no save reads it any more."""
        known = state.packed_items.get(dtype)
        elements = state.elements(dtype)
        # Its group is that of the optimizer, whose step has waited for it.
        if known is not None and _native.quick.ckpt_try_fence(self._handle, name.encode()) == 0:
            try:
                with torch.no_grad():
                    torch.cat(elements, out=known.memory.owner)
            finally:
                _native.check(_native.quick.ckpt_fence_end(self._handle, name.encode()))
            return known
        with torch.no_grad():
            packed = torch.cat(elements)
        item = _item(f"{name}.{_PACKED}.{dtype}", packed, OPTIMIZER, name, self._box(packed))
        state.packed_items[dtype] = item
        return item

    def _optimizer_state(self, name: str, optimizer: Optimizer) -> _OptimizerState:
        """The state of an optimizer in order; that of the last save if nothing about it has changed."""
        names = self._names(optimizer)
        states = list(optimizer.state.values())
        owners = [names, *optimizer.state]
        keys = [*itertools.chain.from_iterable(states), *map(len, states)]
        tensors = list(itertools.chain.from_iterable(map(dict.values, states)))
        known = self._optimizer_states.get(name)
        if known is not None and known.plan.fits(keys, tensors, owners):
            return known
        state = self._optimizer_states[name] = _OptimizerState(name, optimizer, names)
        found: list[Optional[Item]] = []
        for full, value in state.entries:
            item = self._lend(full, value, OPTIMIZER, name, self._box(value)) if type(value) is torch.Tensor else None
            found.append(item if item is not None and item.memory.owner is value else None)
        # Values that are lent are those of the entries; all others have to be the same objects.
        lent = dict(zip(map(id, (value for _, value in state.entries)), found))
        state.plan = LentPlan(keys, tensors, [lent.get(id(value)) for value in tensors], owners)
        state.items = found
        return state

    def _index(self, name: str, optimizer: Optimizer, state: _OptimizerState) -> _Encoded:
        """Which scalars are packed, and which parameters are in which group: large, and the same at nearly every save."""
        names = self._names(optimizer)
        members = [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]
        if state.index is None or state.members != members:
            state.members = members
            state.index = _Encoded(_values.encode({"packed": state.places, "param_groups": members}, f"{name}.index"))
        return state.index

    # ------------------------------------------------------------------ restoring

    def _restore(
        self, reference: Any, call: Any, arguments: Any, strict: bool, convert: bool
    ) -> Optional[RestoreReport]:
        _checkpointer.Fence(self._handle, None).end()
        self._prepared = None
        try:
            report = super()._restore(reference, call, arguments, strict, convert)
        except BaseException:
            if self._prepared is not None:
                for undo in reversed(self._prepared.undo):
                    undo()
            raise
        finally:
            if self._prepared is not None:
                self._prepared.checkpoint.close()
            self._prepared = None
        return report

    def _targets(self, reference: Callable[[], bytes]) -> list[Item]:
        try:
            checkpoint = self.store.open(reference().decode())
        except NotFoundError:
            # There is nothing to resume from, or the call that follows reports it.
            return []
        prepared = self._prepared = _Prepared(checkpoint, self._lends_gpus)
        for name, model in self._models.items():
            for key, value in model.state_dict(keep_vars=True).items():
                if isinstance(value, torch.Tensor):
                    for part, tensor, box in self._shards(f"{name}.{key}", value):
                        part = self._known_name(part, value, checkpoint)
                        prepared.add(part, tensor, PARAMETER, self._groups.get(id(value), ""), box)
        for name, optimizer in self._optimizers.items():
            self._prepare_optimizer(name, optimizer, prepared)
        described = {item.name for item in prepared.items}
        prefixes = tuple(f"{name}" for name in [*self._others, *(f"{name}.values" for name in self._optimizers)])
        for name, stored in checkpoint.items():
            if name not in described and name.startswith(prefixes):
                tensor = torch.empty(stored.shape, dtype=getattr(torch, stored.type.torch or "uint8"))
                prepared.lifted[name] = tensor
                prepared.add(name, tensor, OTHER, "")
        return prepared.items

    @staticmethod
    def _known_name(name: str, tensor: torch.Tensor, checkpoint: Checkpoint) -> str:
        """The name in a checkpoint; until version 0.2 that of a DTensor of one process had an addition."""
        earlier = name + "._local_tensor"
        return earlier if hasattr(tensor, "device_mesh") and name not in checkpoint and earlier in checkpoint else name

    def _prepare_optimizer(self, name: str, optimizer: Optimizer, prepared: _Prepared) -> None:
        """Makes the state that an optimizer has not made yet, as the checkpoint has it."""
        before = {parameter: dict(state) for parameter, state in optimizer.state.items()}
        prepared.undo.append(lambda: _reset(optimizer, before))
        names = self._names(optimizer)
        self._check_options(name, optimizer, prepared.checkpoint)
        self._check_groups(name, optimizer, names, prepared.checkpoint)
        wanted: dict[str, torch.Tensor] = {}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                wanted[f"{name}.state.{names[id(parameter)]}"] = parameter
        for full, stored in prepared.checkpoint.items():
            if full.startswith(f"{name}.{_PACKED}."):
                scalars = torch.empty(stored.shape, dtype=getattr(torch, full.rsplit(".", 1)[1]))
                prepared.packed[full] = scalars
                prepared.add(full, scalars, OPTIMIZER, name)
                continue
            owner, _, key = full.rpartition(".")
            parameter_found = wanted.get(owner)
            if parameter_found is None:
                continue
            state = optimizer.state[parameter_found]
            current = state.get(key)
            if not isinstance(current, torch.Tensor) or tuple(current.shape) != stored.shape:
                dtype = getattr(torch, BY_NAME[stored.dtype].torch or "uint8")
                current = state[key] = (
                    torch.empty_like(parameter_found, dtype=dtype, memory_format=torch.preserve_format)
                    if stored.shape == tuple(parameter_found.shape)
                    else torch.empty(stored.shape, dtype=dtype, device=parameter_found.device)
                )
                if current.requires_grad:
                    current.requires_grad_(False)
            for part, tensor, box in self._shards(full, current):
                prepared.add(part, tensor, OPTIMIZER, name, box)

    def _check_options(self, name: str, optimizer: Optimizer, checkpoint: Checkpoint) -> None:
        """An optimizer of another kind would get options, and state, that it does not know."""
        if f"{name}.values" not in checkpoint.objects:
            return
        groups = _values.plain(checkpoint._object_bytes(f"{name}.values"))["param_groups"]
        for group, saved in zip(optimizer.param_groups, groups):
            only_here, only_there = set(group) - set(saved) - {"params"}, set(saved) - set(group)
            # Versions of PyTorch add options to an optimizer; only another one also lacks some.
            if only_here and only_there:
                raise MismatchError(
                    f"{name} of step {checkpoint.step} was of another kind than {type(optimizer).__name__}: only the checkpoint "
                    f"has {', '.join(sorted(only_there))}, only the optimizer has {', '.join(sorted(only_here))}. To restore "
                    "the model alone, use a checkpointer without an optimizer, and strict=False")

    def _check_groups(
        self, name: str, optimizer: Optimizer, names: Mapping[int, str], checkpoint: Checkpoint
    ) -> None:
        """Options are restored by group, so the same parameters must be in the same groups."""
        if f"{name}.index" not in checkpoint.objects:
            return
        saved = checkpoint.object(f"{name}.index")["param_groups"]
        members = [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]
        if saved != members and sorted(sum(saved, [])) == sorted(sum(members, [])):
            raise MismatchError(
                f"the parameter groups of {name} ({len(members)}) differ from those in the checkpoint of step "
                f"{checkpoint.step} ({len(saved)}). Create the optimizer with the groups that were saved")

    def _lifted(self, name: str) -> Any:
        assert self._prepared is not None
        try:
            return self._prepared.lifted[name]
        except KeyError:
            raise MismatchError(f"the checkpoint refers to the tensor {name!r}, which was not restored") from None

    def _install(self, values: Mapping[str, Any]) -> None:
        prepared = self._prepared
        assert prepared is not None
        with torch.no_grad():
            for tensor, staged in prepared.copies:
                tensor.copy_(staged)
        for name, model in self._models.items():
            _load_extra_state(name, model, values)
        for name, optimizer in self._optimizers.items():
            if f"{name}.values" in values:
                self._install_optimizer(
                    name, optimizer, {**values[f"{name}.values"], **{"packed": values[f"{name}.index"]["packed"]}}, prepared)
        for name, target in self._others.items():
            if name not in values:
                continue
            if hasattr(target, "load_state_dict"):
                target.load_state_dict(values[name])
            elif isinstance(self._extra, MutableMapping):
                key = next(key for key in self._extra if f"extra.{key}" == name)
                self._extra[key] = values[name]
        if self._rng:
            self._install_random_state(values)

    def _install_random_state(self, values: Mapping[str, Any]) -> None:
        _set_random_state(values)
        if self._ranks is not None and self._first_rank_count > 0:
            _reseed(self._ranks.rank)

    def _install_optimizer(
        self, name: str, optimizer: Optimizer, values: Mapping[str, Any], prepared: _Prepared
    ) -> None:
        names = self._names(optimizer)
        by_name = {names[id(p)]: p for group in optimizer.param_groups for p in group["params"]}
        with torch.no_grad():
            for dtype, entries in values["packed"].items():
                scalars = prepared.packed[f"{name}.{_PACKED}.{dtype}"]
                for (owner, key), scalar in zip(entries, scalars):
                    if owner not in by_name:
                        # The restore is not strict, and the model has lost a parameter.
                        continue
                    state = optimizer.state[by_name[owner]]
                    current = state.get(key)
                    if isinstance(current, torch.Tensor) and current.dim() == 0:
                        current.copy_(scalar)
                    else:
                        # Fused and capturable optimizers keep their counters on the device of the parameter.
                        is_beside = any(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)
                        device = by_name[owner].device if is_beside else "cpu"
                        state[key] = scalar.clone().to(device)
        for owner, state_values in values["state"].items():
            if owner in by_name:
                optimizer.state[by_name[owner]].update(state_values)
        for group, saved in zip(optimizer.param_groups, values["param_groups"]):
            for key, value in saved.items():
                if isinstance(group.get(key), torch.Tensor):
                    group[key].copy_(torch.as_tensor(value))
                else:
                    group[key] = value

    def should_stop(self) -> bool:
        """True if this process has received SIGTERM, or another one with which it saves: at the same step in all.

        With `termination_seconds` and `on_termination="stop"`, a loop asks after every step, and saves and ends
        if it is true. Of several processes with `ranks="torch"`, all call it; it is a reduction of one number.
        """
        answer = self.is_terminating
        if self._ranks is not None and _is_distributed():
            import torch.distributed as dist

            device = "cuda" if dist.get_backend() == "nccl" else "cpu"
            flag = torch.tensor([float(answer)], device=device)
            dist.all_reduce(flag, op=dist.ReduceOp.MAX)
            answer = bool(flag.item())
        return answer

    def close(self) -> None:
        for hook in getattr(self, "_hooks", []):
            hook.remove()
        self._hooks = []
        super().close()


class _OptimizerState:
    """The state of an optimizer in order, and what is made of it only if it changes."""

    plan: LentPlan

    def __init__(self, name: str, optimizer: Optimizer, names: Mapping[int, str]) -> None:
        #: Tensors with dimensions, by full name.
        self.entries: list[tuple[str, torch.Tensor]] = []
        #: Their items; None for those that are not lent themselves.
        self.items: list[Optional[Item]] = []
        #: Scalars by type, and the name of the parameter and the key of each.
        self.packed: dict[str, list[torch.Tensor]] = {}
        self.places: dict[str, list[tuple[str, str]]] = {}
        self.packed_items: dict[str, Item] = {}
        #: Views of the scalars as one element each, by type, with the addresses that they are of.
        self._elements: dict[str, tuple[list[int], list[torch.Tensor]]] = {}
        #: Values that are no tensors, by the name of the parameter.
        self.others: dict[str, dict[str, Any]] = {}
        #: What `_index` has made.
        self.index: Optional[_Encoded] = None
        self.members: list[list[str]] = []
        for parameter, state in optimizer.state.items():
            owner = names.get(id(parameter))
            if owner is None:
                continue
            for key, value in state.items():
                if not isinstance(value, torch.Tensor):
                    self.others.setdefault(owner, {})[key] = value
                elif value.dim() == 0:
                    dtype = str(value.dtype).removeprefix("torch.")
                    self.packed.setdefault(dtype, []).append(value)
                    self.places.setdefault(dtype, []).append((owner, key))
                else:
                    self.entries.append((f"{name}.state.{owner}.{key}", value))

    def elements(self, dtype: str) -> list[torch.Tensor]:
        """The scalars of a type as tensors of one element on the CPU."""
        scalars = self.packed[dtype]
        if not all(map(_is_on_cpu, scalars)):
            return [scalar.detach().cpu().reshape(1) for scalar in scalars]
        # A view shows what its scalar is, unless that was given other memory.
        addresses = list(map(torch.Tensor.data_ptr, scalars))
        known = self._elements.get(dtype)
        if known is None or known[0] != addresses:
            known = self._elements[dtype] = (addresses, [scalar.detach().reshape(1) for scalar in scalars])
        return known[1]


#: Whether the CPU has a tensor.
_is_on_cpu = operator.attrgetter("is_cpu")


def _reset(optimizer: Optimizer, before: Mapping[torch.Tensor, dict[str, Any]]) -> None:
    optimizer.state.clear()
    for parameter, state in before.items():
        optimizer.state[parameter].update(state)


def _named(value: Any, name: str) -> dict[str, Any]:
    """One value, a list or a dict of values, by full names."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {f"{name}.{key}": item for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return {f"{name}.{index}": item for index, item in enumerate(value)}
    return {name: value}


def _item(name: str, tensor: torch.Tensor, role: int, group: str, box: Optional[Box] = None) -> Item:
    memory = lent(tensor, name)
    assert memory is not None
    return Item(name, memory, role, group, box)


def _is_distributed() -> bool:
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _is_dataloader(name: str) -> bool:
    return name == "dataloader" or name.startswith("dataloader.")


def _place(name: str, tensor: Any, ranks: Optional[Ranks]) -> Optional[Box]:
    """Where the local part of a DTensor lies in the complete one; None if this process has all of it."""
    from torch.distributed.tensor import Partial
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    mesh, placements = tensor.device_mesh, tensor.placements
    if ranks is None and mesh.size() > 1:
        raise TypeError(
            f"tensor {name!r} is a DTensor over {mesh.size()} processes, and this one saves alone: give the "
            "checkpointer ranks, or save it with torch.distributed.checkpoint")
    if any(isinstance(placement, Partial) for placement in placements):
        raise TypeError(f"tensor {name!r} is a partial sum of {mesh.size()} processes; add them up first")
    local = tensor._local_tensor
    if ranks is None:
        return None
    coordinate = mesh.get_coordinate()
    if coordinate is None:
        raise TypeError(f"tensor {name!r} is a DTensor of other processes")
    extent, offset = compute_local_shape_and_global_offset(tensor.shape, mesh, placements)
    if tuple(extent) != tuple(local.shape):
        raise TypeError(f"tensor {name!r} has local elements of shape {tuple(local.shape)}, not {tuple(extent)}")
    # Along the axes of the mesh that replicate, the same elements are on all ranks.
    place = tuple(
        slice(None) if placement.is_replicate() else index for placement, index in zip(placements, coordinate))
    holders = tuple(sorted(int(rank) for rank in mesh.mesh[place].flatten().tolist()))
    # An empty part may lie at the end.
    offset = tuple(min(start, whole - size) for start, whole, size in zip(offset, tensor.shape, extent))
    return Box(tuple(tensor.shape), offset, holders)


def _reseed(rank: int) -> None:
    """Makes generators of this rank from those of rank 0, which it has now."""
    seed = int(torch.randint(2**62, ()).item())
    torch.manual_seed(seed + rank)
    random.seed(random.getrandbits(64) + rank)
    if "numpy" in sys.modules:
        import numpy

        numpy.random.seed((int(numpy.random.randint(2**31)) + rank) % 2**32)


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU."""
    plain = tensor.detach()
    copy = plain.to("cpu") if plain.device.type != "cpu" else plain.clone(memory_format=torch.contiguous_format)
    return copy.resolve_conj().resolve_neg().contiguous()


def _is_lendable(tensor: torch.Tensor, lends_gpus: bool) -> bool:
    """Whether the tensor itself is lent, and not a copy on the CPU."""
    return tensor.device.type == "cpu" or (lends_gpus and tensor.device.type == "cuda")


def _parts(name: str, tensor: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    """The plain tensors that a tensor is made of: itself, or those inside a wrapper subclass."""
    if type(tensor) in (torch.Tensor, torch.nn.Parameter) or not hasattr(tensor, "__tensor_flatten__"):
        return [(name, tensor)]
    inner = tensor.detach() if isinstance(tensor, torch.nn.Parameter) else tensor
    mesh = getattr(inner, "device_mesh", None)
    if mesh is not None and mesh.size() > 1:
        raise TypeError(
            f"tensor {name!r} is a {type(inner).__name__} over {mesh.size()} processes; "
            "save it with torch.distributed.checkpoint")
    attributes, _ = inner.__tensor_flatten__()  # type: ignore[attr-defined]
    return [part for key in attributes for part in _parts(f"{name}.{key}", getattr(inner, key))]


def _load_extra_state(name: str, model: Module, values: Mapping[str, Any]) -> None:
    """Gives modules what their `get_extra_state` returned."""
    for path, module in model.named_modules():
        full = ".".join(part for part in (name, path, "_extra_state") if part)
        if full in values and type(module).set_extra_state is not Module.set_extra_state:
            module.set_extra_state(values[full])


def _random_state() -> dict[str, Any]:
    state: dict[str, Any] = {"rng.python": random.getstate(), "rng.torch": torch.get_rng_state()}
    if "numpy" in sys.modules:
        state["rng.numpy"] = sys.modules["numpy"].random.get_state()
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["rng.cuda"] = torch.cuda.get_rng_state_all()
    # Copied into the values, however large.
    return {name: _Encoded(_values.encode(value, name)) for name, value in state.items()}


def _set_random_state(values: Mapping[str, Any]) -> None:
    if "rng.python" in values:
        random.setstate(values["rng.python"])
    if "rng.torch" in values:
        torch.set_rng_state(values["rng.torch"])
    if "rng.numpy" in values:
        import numpy

        numpy.random.set_state(values["rng.numpy"])
    if "rng.cuda" in values and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(values["rng.cuda"][:torch.cuda.device_count()])


def _register_hooks(saver: Checkpointer) -> list[Any]:
    """Makes every step of an optimizer a fence, also of optimizers that are made later."""
    found = weakref.ref(saver)

    def before(optimizer: Optimizer, *_: Any) -> None:
        if (saver := found()) is not None:
            saver._before_step(optimizer)

    def after(optimizer: Optimizer, *_: Any) -> None:
        if (saver := found()) is not None:
            saver._after_step(optimizer)

    return [
        register_optimizer_step_pre_hook(before),
        register_optimizer_step_post_hook(after),
    ]


__all__ = ["Checkpointer"]
