"""`dspdet3d record-demo`: a bag of the demo room, as a robot with a depth camera records it."""

import argparse
from pathlib import Path

from dspdet3d_ros.commands.arguments import check_number
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.validation import AT_LEAST_ONE, Range

#: A camera that moves around a room; stamps count nanoseconds.
_RATE_HZ = Range(0.1, 1000)

HELP = "write a bag of the demo room: depth, colour, camera_info, odometry and tf of a moving camera"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("bag", type=Path, help="folder of the bag; an earlier bag of that name is replaced")
    parser.add_argument("--frames", type=int, default=120, help="number of images (default: 120)")
    parser.add_argument("--rate", type=float, default=10.0, help="images per second (default: 10)")
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="format (default: mcap)")
    parser.add_argument("--cloud", type=Path, default=DEMO_CLOUD, help="a room with colours (default: the demo room)")


def run(args: argparse.Namespace) -> int:
    """Writes the bag and prints what is in it."""
    check_number("--frames", args.frames, AT_LEAST_ONE)
    check_number("--rate", args.rate, _RATE_HZ)

    import numpy as np
    from tqdm import tqdm

    from dspdet3d_ros.clouds.files import read_cloud
    from dspdet3d_ros.recordings.bags import BagReader
    from dspdet3d_ros.recordings.record_demo import record_demo

    cloud = read_cloud(args.cloud)
    rgb = np.full(cloud.xyz.shape, 160, np.uint8) if cloud.rgb is None else cloud.rgb
    xyz = cloud.xyz.astype(np.float64)
    record_demo(
        args.bag,
        xyz,
        rgb,
        args.frames,
        args.rate,
        args.storage,
        lambda v: tqdm(v, total=args.frames, unit="frame", disable=None),
    )
    with BagReader(args.bag) as bag:
        for topic in bag.topics:
            print(f"{topic.count:6} {topic.kind:28} {topic.name}")
    print(f"{args.bag}: play it with `ros2 bag play {args.bag}`")
    return 0
