"""Run by test_triton.py with Triton compiling; no GPU is needed."""

import pytest
import torch

from dspdet3d_ros.sparse.triton.compiling import SHARED_MEMORY, compile_gemm, compile_plan_kernels
from dspdet3d_ros.sparse.triton.plan import TABLE_ROWS
from dspdet3d_ros.sparse.triton.tuning import HALF, SINGLE, candidates

# The least shared memory, and what `make test` need not try at every width.
AMPERE, HOPPER = 86, 90


def test_the_map_kernels_compile():
    for used in compile_plan_kernels(HOPPER):
        assert not used.spilled
        assert used.shared <= SHARED_MEMORY[HOPPER]


@pytest.mark.parametrize("capability", [AMPERE, HOPPER])
def test_every_half_precision_configuration_compiles_fits_and_keeps_to_registers(capability):
    configurations = candidates(128, 128, torch.float16)
    assert configurations
    for configuration in configurations:
        used = compile_gemm(capability, configuration, 128, 128, torch.float16, torch.float16)
        assert used.shared <= SHARED_MEMORY[capability], configuration
        assert not used.spilled, configuration


@pytest.mark.parametrize(("c_in", "c_out", "out"), [(3, 64, torch.float16), (64, 64, torch.float32)])
def test_single_precision_compiles_and_fits(c_in, c_out, out):
    for configuration in candidates(c_in, c_out, torch.float32):
        used = compile_gemm(AMPERE, configuration, c_in, c_out, torch.float32, out)
        assert used.shared <= SHARED_MEMORY[AMPERE], configuration
        assert not used.spilled, configuration


def test_tiles_divide_the_tables():
    assert all(TABLE_ROWS % configuration.tile == 0 for configuration in HALF + SINGLE)
