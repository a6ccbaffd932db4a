"""A device that is not there: tensors on it are computed on the CPU, but must not be mixed with those of the host."""

import torch
from torch.overrides import TorchFunctionMode

DEVICE = "cuda:7"
# What brings numbers to the host.
_TO_HOST = ("cpu", "tolist", "item", "__bool__", "__int__", "__float__", "__index__", "__len__", "__repr__")


def tensors(value):
    """All tensors in a value, and in lists and tuples."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors(part)


def is_there(tensor):
    """Whether a tensor stands for one on `DEVICE`."""
    return getattr(tensor, "is_there", False)


class CheckedDevice(TorchFunctionMode):
    """Within it, `DEVICE` is a device, and an operation on tensors of both sides is an error as on a real one.

    Attributes:
        operations: number of operations on the device.
    """

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(function, "__name__", "")
        given = [*tensors(list(args)), *tensors(list(kwargs.values()))]
        there = any(map(is_there, given))
        if name == "__get__":
            # An attribute, such as `device` or `T`.
            value = function(*args, **kwargs)
            return torch.device(DEVICE) if there and isinstance(value, torch.device) else self._mark(value, there)
        others = [value for value in args if not isinstance(value, torch.Tensor)]
        moved = DEVICE in map(str, [*others, kwargs.get("device")])
        if moved:
            # To the device, or made there.
            kwargs.pop("device", None)
            args = [value for value in args if isinstance(value, torch.Tensor) or str(value) != DEVICE]
            if name == "to" and len(args) == 1 and not kwargs:
                return self._mark(args[0].clone(), True)
        # Single numbers may come from the host.
        elif there and not all(is_there(tensor) or not tensor.dim() for tensor in given):
            raise AssertionError(f"{name}: tensors of the host and of the device in one operation")
        if name == "numpy":
            assert not there, "numpy() of a tensor on the device"
        value = function(*args, **kwargs)
        if name in _TO_HOST:
            return value.clone() if isinstance(value, torch.Tensor) else value
        return self._mark(value, there or moved)

    def _mark(self, value, there):
        if there:
            for tensor in tensors(value):
                tensor.is_there = True
                self.operations += 1
        return value
