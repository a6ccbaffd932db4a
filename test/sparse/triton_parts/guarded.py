"""Run by test_triton.py under TRITON_INTERPRET=1: kernels note how they are launched, so Triton is not needed."""

import sys
from types import ModuleType

import pytest
import torch
from random_cells import cells_of

LAUNCHES = []
CURRENT = []


class Kernel:
    """Takes the place of a Triton kernel: `kernel[grid](...)` notes which devices were made current around it."""

    def __init__(self, name):
        self.name = name

    def __getitem__(self, grid):
        return lambda *args, **kwargs: LAUNCHES.append((self.name, tuple(CURRENT)))


class Guard:
    def __init__(self, tensor):
        self.device = tensor.device

    def __enter__(self):
        CURRENT.append(self.device)

    def __exit__(self, *_):
        CURRENT.pop()


kernels = ModuleType("dspdet3d_ros.sparse.triton.kernels")
kernels.LIST_LENGTH = 32
for name in ("find_neighbours", "list_offsets", "masked_gemm"):
    setattr(kernels, name, Kernel(name))
sys.modules[kernels.__name__] = kernels

from dspdet3d_ros.sparse.triton import triton_engine  # noqa: E402
from dspdet3d_ros.sparse.triton.plan import plan_of  # noqa: E402


@pytest.fixture(autouse=True)
def guards(monkeypatch):
    LAUNCHES.clear()
    monkeypatch.setattr(torch.cuda, "device_of", Guard)
    monkeypatch.setattr(triton_engine, "installed_version", lambda: "3.2.0")


def test_every_kernel_of_a_convolution_is_launched_on_the_device_of_its_tensors():
    cells = cells_of(50, reach=4)
    triton_engine.TritonEngine("cpu", torch.float32).convolve(
        torch.randn(len(cells), 16), torch.randn(27, 16, 16), cells, cells
    )
    assert [name for name, _ in LAUNCHES] == ["find_neighbours", "list_offsets", "masked_gemm"]
    assert all(devices and devices[-1] == cells.keys.device for _, devices in LAUNCHES), LAUNCHES


def test_so_is_a_plan_that_is_made_without_a_convolution():
    cells = cells_of(50, reach=4)
    plan_of(cells, cells.downsampled(), 27).tiles(64)
    assert [name for name, devices in LAUNCHES if devices] == ["find_neighbours", "list_offsets"]
