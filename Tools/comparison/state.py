"""The state of a training loop in PyTorch, and its two phases: a computation that reads it, and an update in place."""

from __future__ import annotations

import hashlib
from typing import Any, Optional

import torch

from .variants import FROZEN, MIXED, Variant

TOKENS = 64
LEARNING_RATE, BETA1, BETA2, EPSILON, DECAY = 1e-4, 0.9, 0.999, 1e-8, 0.01
#: Gradients are slices of one array of random numbers, at a place that depends on the step.
_GRADIENT_SLACK = 1 << 16


class AdamW(torch.optim.Optimizer):
    """AdamW that keeps an fp32 master copy of each bf16 parameter in its state."""

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        super().__init__(parameters, {"lr": LEARNING_RATE})
        self.step_count = 0
        elements = max(parameter.numel() for parameter in parameters)
        self._gradients = torch.randn(elements + _GRADIENT_SLACK) * 1e-3
        self._buffer = torch.empty(elements)
        for parameter in parameters:
            state = self.state[parameter]
            if parameter.dtype != torch.float32:
                state["master"] = parameter.detach().float() + torch.randn(parameter.shape) * 1e-5
            state["exp_avg"] = torch.zeros(parameter.shape)
            state["exp_avg_sq"] = torch.zeros(parameter.shape)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Changes every parameter and all optimizer state in place."""
        self.step_count += 1
        for index, parameter in enumerate(self.param_groups[0]["params"]):
            state = self.state[parameter]
            start = (self.step_count * 7919 + index * 131) % _GRADIENT_SLACK
            gradient = self._gradients[start:start + parameter.numel()].view(parameter.shape)
            master, mean, square = state.get("master", parameter), state["exp_avg"], state["exp_avg_sq"]
            mean.lerp_(gradient, 1 - BETA1)
            square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
            root = self._buffer[:parameter.numel()].view(parameter.shape)
            torch.sqrt(square, out=root).add_(EPSILON)
            master.mul_(1 - LEARNING_RATE * DECAY).addcdiv_(mean, root, value=-LEARNING_RATE)
            if master is not parameter:
                parameter.copy_(master)


class State:
    """A model and its optimizer, filled with random numbers of a fixed seed.

    Args:
        variant: what the state is made of.
        threads: number of threads that compute.
    """

    def __init__(self, variant: Variant, threads: int) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(threads)
        self.model = torch.nn.Module()
        trained = []
        for entry in variant.parameters:
            weights = torch.randn(entry.shape) * 0.02
            parameter = torch.nn.Parameter(
                weights.bfloat16() if entry.kind == MIXED else weights, requires_grad=entry.kind != FROZEN)
            _register(self.model, entry.name, parameter)
            if entry.kind != FROZEN:
                trained.append(parameter)
        self.optimizer = AdamW(trained)
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        #: All tensors by name. They share the memory of the parameters.
        self.tensors: dict[str, torch.Tensor] = {
            f"model.{name}": parameter.detach() for name, parameter in self.model.named_parameters()}
        for owner, state in self.optimizer.state.items():
            self.tensors.update({f"optimizer.state.{names[id(owner)]}.{key}": value for key, value in state.items()})
        self.nbytes = sum(tensor.nbytes for tensor in self.tensors.values())
        widths = [parameter.shape[-1] for parameter in self.model.parameters()]
        self._activations = torch.randn(TOKENS, max(widths)) * 0.1
        self._low_activations = self._activations.bfloat16()
        for _ in range(2):
            self.update()

    def compute(self, passes: int) -> None:
        """Reads every parameter, as a forward pass does: products with a batch of activations.

        Args:
            passes: how often; fixed for all peers of a run, so that a slow pass shows.
        """
        with torch.no_grad():
            for _ in range(passes):
                for parameter in self.model.parameters():
                    if parameter.dim() == 2:
                        low = parameter.dtype == torch.bfloat16
                        activations = self._low_activations if low else self._activations
                        torch.mm(activations[:, :parameter.shape[1]], parameter.t())
                    else:
                        parameter.sum()

    def update(self) -> None:
        """Changes the trained part of the state in place, completely."""
        self.optimizer.step()

    def clear(self) -> None:
        """Sets every tensor to zero, so that only a restore can bring the values back."""
        with torch.no_grad():
            for tensor in self.tensors.values():
                tensor.zero_()

    def memory(self, name: str) -> memoryview:
        """The bytes of a tensor."""
        return memory(self.tensors[name])

    def digest(self) -> str:
        """The SHA-256 of all tensors."""
        found = hashlib.sha256()
        for name in self.tensors:
            found.update(self.memory(name))
        return found.hexdigest()

    def digest_of(self, name: str, value: Optional[Any] = None) -> str:
        """The SHA-256 of one tensor, or of a value that a peer has read for it."""
        return hashlib.sha256(self.memory(name) if value is None else memory(value)).hexdigest()


def memory(tensor: Any) -> memoryview:
    """The bytes of a contiguous tensor of PyTorch, or of an array of numpy."""
    if isinstance(tensor, torch.Tensor):
        plain: Any = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
        return memoryview(plain)
    if isinstance(tensor, (bytes, bytearray, memoryview)):
        return memoryview(tensor).cast("B")
    import numpy

    array: Any = numpy.ascontiguousarray(tensor).reshape(-1).view(numpy.uint8)
    return memoryview(array)


def _register(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> None:
    """Adds a parameter under a dotted name."""
    *path, last = name.split(".")
    for part in path:
        if not hasattr(module, part):
            module.add_module(part, torch.nn.Module())
        module = getattr(module, part)
    module.register_parameter(last, parameter)
