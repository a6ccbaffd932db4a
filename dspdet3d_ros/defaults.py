"""What is taken where nobody says anything else, and what may be chosen: for the node, the commands and the library."""

from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
#: What `make demo`, the player and the benchmark take.
DEMO_CLOUD = DATA / "demo_scene.npz"
#: Numbers that the original code computed.
ORACLE = DATA / "oracle"

#: Values a point of a .bin file, which does not say it itself, by what programs write there.
BIN_LAYOUTS = {
    3: "x y z",
    4: "x y z intensity, as in KITTI",
    5: "x y z intensity ring, as in nuScenes",
    6: "x y z r g b",
}
BIN_COLUMNS = 6
COLUMNS_HELP = (
    f"float32 values a point of a .bin file: {'; '.join(f'{n} ({layout})' for n, layout in BIN_LAYOUTS.items())}; "
    "others begin with x y z"
)
#: How the coordinates of a cloud file may be meant: the axis that points up, and metres in each unit.
UPS = ("x", "y", "z", "-x", "-y", "-z")
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048}
UP_HELP = "axis of the file that points up; cloud and boxes are rotated so that z points up"
UNIT_HELP = "unit of the file's coordinates; boxes are in metres"

MODEL = "small"
BACKENDS = ("auto", "torch", "triton", "minkowski")
PRECISIONS = ("auto", "fp16", "fp32")

#: Clouds with more points, or that fill more voxels, are thinned to these numbers.
MAX_POINTS = 5_000_000
MAX_VOXELS = 5_000_000
#: The most cells that a level of the head is refined to, and the most boxes that are reported.
MAX_CELLS_PER_LEVEL = 2_500_000
MAX_DETECTIONS = 300
