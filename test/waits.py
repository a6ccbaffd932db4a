"""Counts what makes the host wait for a GPU, on the CPU: sizes that depend on the data, and numbers for the host."""

from collections import Counter

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ON_THE_HOST = {"tolist", "cpu", "numpy"}
SIZES = ("nonzero", "_unique2", "unique_dim", "unique_consecutive", "masked_select", "_local_scalar_dense")


class Operations(TorchDispatchMode):
    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)
            for index in (args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ())
        )
        if name in SIZES or masks:
            self.seen[f"{name} of a mask" if masks else name] += 1
        return func(*args, **(kwargs or {}))


#: Operations that only make another view of a tensor, or memory without values.
VIEWS = {
    *("_unsafe_view", "alias", "as_strided", "detach", "empty", "empty_like", "empty_strided", "expand", "new_empty"),
    *("permute", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unsqueeze"),
    *("view", "_local_scalar_dense", "lift_fresh"),
}


#: Kernels that torch launches on CUDA for an operation, where they are several; estimated from its source.
KERNELS = {"sort": 8, "_unique2": 10, "nonzero": 4, "topk": 6, "unique_consecutive": 6, "kthvalue": 6, "median": 8}


class Launches(TorchDispatchMode):
    """Counts the operations that launch something on a GPU, and estimates the number of kernels.

    While `counting` is False, they are not counted.
    """

    counting = True

    def __init__(self):
        super().__init__()
        self.number = 0
        self.names = Counter()

    @property
    def operations(self):
        return self.names.total()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if self.counting and name not in VIEWS:
            self.number += KERNELS.get(name, 1)
            self.names[name] += 1
        return func(*args, **(kwargs or {}))


class Requests(TorchFunctionMode):
    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in ON_THE_HOST:
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))
