"""Defaults and choices that the node, the commands and the library share."""

from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
#: Default cloud of `make demo`, the cloud player and the benchmark.
DEMO_CLOUD = DATA / "demo_scene.npz"
#: Reference numbers, computed with the original code.
ORACLE = DATA / "oracle"

#: Common numbers of values per point in .bin files, which do not contain this number.
BIN_LAYOUTS = {
    3: "x y z",
    4: "x y z intensity, as in KITTI",
    5: "x y z intensity ring, as in nuScenes",
    6: "x y z r g b",
}
BIN_COLUMNS = 6
COLUMNS_HELP = (
    f"float32 values per point of a .bin file: {'; '.join(f'{n} ({layout})' for n, layout in BIN_LAYOUTS.items())}; "
    "other layouts must start with x y z"
)
#: How the coordinates of a cloud file may be meant: the axis that points up, and metres in each unit.
UPS = ("x", "y", "z", "-x", "-y", "-z")
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048}
UP_HELP = "axis of the file that points up; cloud and boxes are rotated so that z points up"
UNIT_HELP = "unit of the file's coordinates; boxes are in metres"

#: How boxes are oriented: parallel to the axes of the cloud, or about the vertical as their objects are.
ORIENTATIONS = ("axes", "fitted")

MODEL = "small"
BACKENDS = ("auto", "native", "torch", "triton", "minkowski")
PRECISIONS = ("auto", "fp16", "fp32")

#: Clouds with more points or more occupied voxels are thinned to these numbers.
MAX_POINTS = 5_000_000
MAX_VOXELS = 5_000_000
#: Maximum number of cells per level of the head, and of reported boxes.
MAX_CELLS_PER_LEVEL = 2_500_000
MAX_DETECTIONS = 300
#: Maximum number of views: after four quarter turns a cloud is as it was.
MAX_VIEWS = 4

#: Accumulated maps: edge of the voxels in metres, and the maximum number of them in memory.
MAP_VOXEL_SIZE = 0.01
MAP_MAX_VOXELS = 2_000_000
#: CPU threads of a map. Measured: with a second one, the many small tensors of a frame take longer.
MAP_THREADS = 1
