"""Compiles the kernels for several GPUs and reads the resources that they need; needs no GPU.

`python -m dspdet3d_ros.sparse.triton.compiling` prints every configuration for every listed GPU.
"""

from __future__ import annotations

import argparse
import inspect
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dspdet3d_ros.sparse.triton.tuning import Configuration, blocks, candidates

#: Bytes of shared memory that one block may have, by compute capability (CUDA C++ Programming Guide, table "Technical
#: Specifications per Compute Capability"): A100; RTX 30; Jetson Orin; RTX 40; H100; RTX 50.
SHARED_MEMORY = {80: 163 << 10, 86: 99 << 10, 87: 163 << 10, 89: 99 << 10, 90: 227 << 10, 120: 99 << 10}
#: Channels of the convolutions of the published network.
CHANNELS = ((3, 64), (64, 64), (64, 128), (128, 128), (128, 64))
_FEW_GPUS, _FEW_CHANNELS = (86, 90), ((3, 64), (64, 64))


@dataclass(frozen=True)
class Resources:
    """Arguments of a compiled kernel.

    Attributes:
        shared: bytes of shared memory of a block.
        registers: of a thread; None if ptxas cannot be asked.
        spilled: bytes that a thread keeps in local memory for lack of registers; None likewise.
    """

    shared: int
    registers: int | None
    spilled: int | None


def compile_gemm(
    capability: int, configuration: Configuration, c_in: int, c_out: int, features: torch.dtype, out: torch.dtype
) -> Resources:
    """Compiles `masked_gemm` with its whole epilogue for a compute capability such as 90."""
    from dspdet3d_ros.sparse.triton.kernels import LIST_LENGTH, masked_gemm

    x, y = (f"*{'fp16' if dtype == torch.float16 else 'fp32'}" for dtype in (features, out))
    signature = dict.fromkeys(("table", "offsets", "counts"), "*i32") | {"rows": "*i64"}
    signature |= {"features": x, "weight": x, "bias": "*fp32", "residual": y, "out": y}
    signature |= dict.fromkeys(
        ("n_in", "n_out", "n_table", "ordered", "base", "has_bias", "has_residual", "relu"), "i32"
    )
    constants = {"C_IN": c_in, "C_OUT": c_out, "LIST": LIST_LENGTH, "WIDE": False, **blocks(configuration, c_in, c_out)}
    return _compile(masked_gemm, signature, constants, capability, configuration.warps, configuration.stages)


def compile_plan_kernels(capability: int) -> list[Resources]:
    """Compiles the kernels that build the maps: the search and the lists of active offsets."""
    from dspdet3d_ros.sparse.triton import kernels
    from dspdet3d_ros.sparse.triton.plan import SEARCH_ROWS

    search = dict.fromkeys(("in_keys", "out_keys"), "*i64") | dict.fromkeys(("table", "masks"), "*i32")
    search |= dict.fromkeys(("n_in", "n_out", "n_table", "steps", "step", "tag"), "i32")
    search |= {"unit_x": "i64", "unit_y": "i32", "unit_z": "i32"}
    lists = dict.fromkeys(("masks", "offsets", "counts"), "*i32") | dict.fromkeys(("first", "volume"), "i32")
    return [
        _compile(kernels.find_neighbours, search, {"VOLUME": 27, "ROWS": SEARCH_ROWS, "COLUMNS": 16}, capability),
        _compile(kernels.list_offsets, lists, {"TILE": 128, "LIST": kernels.LIST_LENGTH}, capability),
    ]


def _compile(
    kernel: Any, signature: dict, constants: dict, capability: int, warps: int = 4, stages: int = 3
) -> Resources:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = kernel.arg_names
    types = {name: signature.get(name, "constexpr") for name in names}
    # torch's allocations are aligned far better than the 16 bytes that wide loads need.
    aligned = [i for i, name in enumerate(names) if types[name].startswith("*")]
    if triton.__version__.startswith("3.2."):
        from triton.backends.compiler import AttrsDescriptor

        ordered = {name: signature[name] for name in names if name in signature}
        source = ASTSource(kernel, ordered, constants, AttrsDescriptor.from_hints(dict.fromkeys(aligned, 16)))
    else:
        values = {(names.index(name),): value for name, value in constants.items()}
        source = ASTSource(kernel, types, values, {(i,): [["tt.divisibility", 16]] for i in aligned})
    options = {"num_warps": warps, "num_stages": stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    registers, spilled = _ask_ptxas(compiled.asm["ptx"])
    return Resources(compiled.metadata.shared, registers, spilled)


def _ask_ptxas(ptx: str) -> tuple[int | None, int | None]:
    from triton.backends.nvidia import compiler

    architecture = re.findall(r"^\.target (sm_\w+)", ptx, re.M)[0]
    # Triton brings several, of which it takes one that knows the version of its assembly.
    if not hasattr(compiler, "get_ptxas"):
        return None, None
    number = int(re.findall(r"\d+", architecture)[0])
    # Triton 3.4 and 3.5 have one for all architectures; 3.3 gives a path and a version.
    found = compiler.get_ptxas(*([number] if inspect.signature(compiler.get_ptxas).parameters else []))
    program = found[0] if isinstance(found, tuple) else found.path
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "kernel.ptx")
        path.write_text(ptx)
        command = [program, "-v", f"-arch={architecture}", str(path), "-o", str(path.with_suffix(".cubin"))]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spilled = sum(int(number) for number in re.findall(r"(\d+) bytes spill stores", said))
    return int(re.findall(r"Used (\d+) registers", said)[0]), spilled


def main() -> int:
    """Prints the table; fails if a configuration does not fit a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--few", action="store_true", help="one width of each type, for compute capability 8.6 and 9.0")
    few = parser.parse_args().few
    faults = 0
    print("GPU  channels  operands  tile block warps stages  shared  registers  spilled")
    for capability, limit in SHARED_MEMORY.items():
        if few and capability not in _FEW_GPUS:
            continue
        compile_plan_kernels(capability)
        for c_in, c_out in _FEW_CHANNELS if few else CHANNELS:
            for dtype in (torch.float16, torch.float32) if c_in > 3 and not few else (_type_of(c_in),):
                for c in candidates(c_in, c_out, dtype):
                    used = compile_gemm(capability, c, c_in, c_out, dtype, dtype)
                    faults += used.shared > limit
                    what = f"{capability:3}  {c_in:3}->{c_out:3}  {str(dtype)[6:]:8}"
                    how = f"{c.tile:4} {c.block_in:5} {c.warps:5} {c.stages:6}"
                    print(f"{what}  {how}  {used.shared:6}  {used.registers!s:>9}  {used.spilled!s:>7}", flush=True)
    print(f"{faults} configurations do not fit" if faults else "every configuration compiles and fits")
    return 1 if faults else 0


def _type_of(c_in: int) -> torch.dtype:
    """The first convolution receives coordinates."""
    return torch.float32 if c_in == 3 else torch.float16


if __name__ == "__main__":
    sys.exit(main())
