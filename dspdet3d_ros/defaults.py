"""What is taken where nobody says anything else, and what may be chosen: for the node, the commands and the library."""

from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"
#: What `make demo`, the player and the benchmark take.
DEMO_CLOUD = DATA / "demo_scene.npz"

MODEL = "small"
BACKENDS = ("auto", "native", "torch", "triton", "minkowski")
PRECISIONS = ("auto", "fp16", "fp32")

#: Clouds with more points, or that fill more voxels, are thinned to these numbers.
MAX_POINTS = 5_000_000
MAX_VOXELS = 5_000_000
#: The most cells that a level of the head is refined to, and the most boxes that are reported.
MAX_CELLS_PER_LEVEL = 2_500_000
MAX_DETECTIONS = 300
