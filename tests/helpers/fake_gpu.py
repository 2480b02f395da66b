"""A GPU for machines without one: torch's fake tensors, which have a device and a shape and no numbers."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("cuda", 0)
WAITING = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "_unique2", "equal")


class Waits(TorchDispatchMode):
    """Records what would wait for a GPU; a number that is asked for is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        on_gpu = any(value.device == GPU for value in given)
        chooses = name.startswith("index") and any(value.dtype == torch.bool for value in given[1:])
        if on_gpu and (name in WAITING or chooses):
            self.found.append(name)
        if name == "_local_scalar_dense":
            return 1.0 if args[0].is_floating_point() else args[0].dtype == torch.bool or 1
        result = func(*args, **(kwargs or {}))
        if name in ("_to_copy", "copy_"):
            across = {value.device.type for value in (*given, result)} == {"cpu", "cuda"}
            free = (kwargs or {}).get("non_blocking") or args[2:] == (True,)
            if across and (result.device != GPU or not free):
                self.found.append(name)
        return result


@contextmanager
def fake_gpu() -> Iterator[Waits]:
    """Let tensors on ``GPU`` be made; yields what records the waiting."""
    copied: Any = patch.dict(copy._deepcopy_dispatch, {FakeTensor: _copy})  # type: ignore[attr-defined]
    moved = patch.object(nn.Module, "_apply", _apply)
    with copied, moved, FakeTensorMode(allow_non_fake_inputs=True), Waits() as waits:
        yield waits


def _copy(value: Tensor, memo: dict[int, Any]) -> Tensor:
    """Copy deeply; torch's own way wants the numbers in memory."""
    duplicate = value.detach().clone()
    return memo.setdefault(id(value), nn.Parameter(duplicate) if isinstance(value, nn.Parameter) else duplicate)


def _apply(module: nn.Module, change: Any, recurse: bool = True) -> nn.Module:
    """Move a network; torch's own way exchanges tensors in place, and fake ones cannot be."""
    for part in module.children():
        part._apply(change)
    for name, value in module._parameters.items():
        if value is not None and (moved := change(value.detach())) is not value:
            module._parameters[name] = nn.Parameter(moved, value.requires_grad)
    for name, value in module._buffers.items():
        if value is not None:
            module._buffers[name] = change(value)
    return module


class NoBackward(Precision):
    """Makes gradients without the backward pass, which torch runs on threads of real devices alone."""

    def backward(self, tensor: Tensor, model: Any, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Fill the gradients in."""
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)


class FakeGPU(SingleDeviceStrategy):
    """A Trainer's strategy that trains there."""

    def __init__(self) -> None:
        super().__init__(device=GPU, accelerator=CPUAccelerator(), precision_plugin=NoBackward())

    def setup_environment(self) -> None:
        """Set nothing up: there is no GPU."""
