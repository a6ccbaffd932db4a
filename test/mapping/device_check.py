"""A device that is not there: tensors on it are computed on the CPU, but must not be mixed with those of the host."""

import torch
from torch.overrides import TorchFunctionMode

DEVICE = "cuda:7"
# What brings data to the host, where it may synchronise with a device.
_TO_HOST = ("cpu", "tolist", "item", "__bool__", "__int__", "__float__", "__index__", "__len__", "__repr__")


class OnDevice(torch.Tensor):
    """A tensor that stands for one on `DEVICE`."""

    __torch_function__ = torch._C._disabled_torch_function_impl


def plain(value):
    if isinstance(value, OnDevice):
        return value.as_subclass(torch.Tensor)
    if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        return type(value)(map(plain, value)) if type(value) in (tuple, list) else value
    return value


def marked(value):
    if type(value) is torch.Tensor:
        return value.as_subclass(OnDevice)
    if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        made = [marked(part) for part in value]
        return tuple(made) if isinstance(value, tuple) else made
    return value


def tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from tensors(part)


class CheckedDevice(TorchFunctionMode):
    """Within it, `DEVICE` is a device, and an operation on tensors of both sides is an error as on a real one.

    Attributes:
        operations: number of operations on the device.
    """

    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        given = [*tensors(list(args)), *tensors(list(kwargs.values()))]
        on_device = [isinstance(tensor, OnDevice) for tensor in given]
        if name == "__get__":
            # An attribute, such as `device`, `T` or `dtype`.
            value = function(*plain(args), **kwargs)
            if not any(on_device):
                return value
            return torch.device(DEVICE) if isinstance(value, torch.device) else marked(value)
        moved = str(kwargs.get("device", "")) == DEVICE or any(
            str(a) == DEVICE for a in args if not given or a is not given[0]
        )
        if moved:
            kwargs.pop("device", None)
            args = [a for a in args if isinstance(a, torch.Tensor) or str(a) != DEVICE]
        # A number may come from the host.
        elif any(on_device) and not all(d or not t.dim() for d, t in zip(on_device, given, strict=True)):
            raise AssertionError(f"{name}: tensors of the host and of the device in one operation")
        value = function(*plain(tuple(args)), **{key: plain(part) for key, part in kwargs.items()})
        if name == "numpy":
            assert not any(on_device), "numpy() of a tensor on the device"
        if not moved and (name in _TO_HOST or not any(on_device)):
            return value
        self.operations += 1
        # An operation in place returns the same tensor.
        return args[0] if any(on_device) and value is plain(args[0]) else marked(value)
