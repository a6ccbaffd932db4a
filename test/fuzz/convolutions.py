"""Convolutions of a few cells by backend native: equal to plain torch, or refused."""

import torch
from hypothesis.strategies import booleans, builds, integers, lists, sampled_from, tuples
from outcome import Tally, judge

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import TorchEngine, make_engine
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.coords import COORDINATE_LIMIT, MAX_BATCH
from dspdet3d_ros.sparse.native.maps import NativeCoordinateSet
from dspdet3d_ros.system import torch_threads

_ENDS = (-COORDINATE_LIMIT - 1, -COORDINATE_LIMIT, COORDINATE_LIMIT - 1, COORDINATE_LIMIT, 2**31, -(2**31), 2**62)
_PLACES = integers(-4, 4) | sampled_from(_ENDS)
_ROWS = tuples(integers(0, 1) | sampled_from((-1, MAX_BATCH - 1, MAX_BATCH)), _PLACES, _PLACES, _PLACES)
_NEAR = tuples(integers(0, 1), *(integers(-4, 4),) * 3)
#: Enough of these fill blocks of 2 x 2 x 2 cells.
_DENSE = tuples(integers(0, 0), integers(0, 3), integers(0, 3), integers(-4, 3))
CASES = builds(
    dict,
    coords=lists(_NEAR, max_size=60) | lists(_ROWS, max_size=6) | lists(_DENSE, min_size=20, max_size=60),
    kind=sampled_from(("same", "down", "up")),
    volume=sampled_from((1, 27)),
    channels=tuples(integers(1, 70), integers(1, 140)) | tuples(*(integers(1, 5).map(lambda n: 16 * n),) * 2),
    threads=integers(1, 4),
    epilogue=booleans(),
)


def available() -> bool:
    """Whether the C library is built."""
    try:
        make_engine("native")
    except InputError:
        return False
    return True


def run(tally: Tally, case: dict) -> None:
    """Judges one case."""
    coords = torch.tensor(case["coords"], dtype=torch.int64).reshape(-1, 4)
    stride = 2
    ours = judge(tally, lambda: NativeCoordinateSet.from_coordinates(coords.clamp(-(2**61), 2**61), stride)[0])
    if ours is None:
        return
    aligned = NativeCoordinateSet.from_coordinates(ours.coords * torch.tensor([1, 0, 0, 0]) + _even(ours.coords), 2)[0]
    outputs = {"same": lambda: aligned, "down": aligned.downsampled, "up": aligned.expanded}[case["kind"]]()
    volume = 27 if case["kind"] == "up" else case["volume"]
    c_in, c_out = case["channels"]
    generator = torch.Generator().manual_seed(len(coords))
    features = torch.randn(len(aligned), c_in, generator=generator)
    weight = torch.randn(volume, c_in, c_out, generator=generator)
    epilogue = Epilogue(weight[0, 0], torch.ones(len(outputs), c_out), relu=True) if case["epilogue"] else None
    with torch.no_grad(), torch_threads(case["threads"]):
        found = make_engine("native").convolve(features, weight, aligned, outputs, epilogue)
        wanted = TorchEngine().convolve(features, weight, aligned, outputs, epilogue)
    assert found.shape == wanted.shape
    assert float((found - wanted).norm()) <= 1e-5 * float(wanted.norm()) + 1e-6


def _even(coords: torch.Tensor) -> torch.Tensor:
    """x, y and z rounded down to multiples of 2; the batch as 0."""
    return coords // 2 * torch.tensor([0, 2, 2, 2])
