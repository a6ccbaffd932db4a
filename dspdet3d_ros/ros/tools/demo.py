"""The main job from end to end: the detector node in one process, a cloud published from another, boxes back.

`make demo` runs this. It prints what was found, writes a picture and a JSON file, and shows what the pruning threshold
of the running node does.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.clouds.upright import upright
from dspdet3d_ros.defaults import BIN_COLUMNS, COLUMNS_HELP, DEMO_CLOUD, UNIT_HELP, UNITS, UP_HELP, UPS
from dspdet3d_ros.output_files import write_json, writing
from dspdet3d_ros.ros.tools.client import Client
from dspdet3d_ros.ros.tools.node_client import ClientError, NodeProcess, exit_status, isolate
from dspdet3d_ros.tools.viewer.summary import as_json, boxes_table, cost_line, match_line, pruning_table

THRESHOLDS = (0.0, 0.3, 0.6, 0.9)


def main(argv: list[str] | None = None) -> int:
    """Runs the demo; status 0 only if everything arrived, else 1 and one line that says what did not."""
    args = _parser().parse_args(argv)
    return exit_status("demo", lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Starts the node, sends the cloud, reports, and ends the node.

    Raises:
        ClientError: something did not arrive.
        InputError: the cloud cannot be read, or a result not be written.
    """
    cloud = upright(read_cloud(args.cloud, args.columns), args.up, args.unit)
    out: Path = args.out
    log = out / "node.log"
    with writing(log):
        log.touch()
    isolate()
    namespace = f"/demo_{os.getpid()}"
    _say(f"starting the detector node; its log is {log}")
    # Best effort may lose a cloud on a busy machine, which a demo should not.
    process = NodeProcess(namespace, ["input_reliability:=reliable", *args.parameters], log)
    try:
        client = Client(process, namespace, args.timeout)
        try:
            _show(client, process, cloud, args)
        finally:
            client.close()
    except BaseException:
        process.stop()
        raise
    status = process.stop()
    if status != 0:
        raise ClientError(f"the detector node ended with status {status}; see {log}")


def _show(client: Client, process: NodeProcess, cloud: PointCloud, args: argparse.Namespace) -> None:
    start = time.monotonic()
    client.wait_until_active()
    _say(f"the node is active after {time.monotonic() - start:.1f} s; publishing {args.cloud}")
    detections, header = client.detect(cloud)
    print()
    print(boxes_table(detections, cloud.truth))
    print(match_line(detections, cloud.truth))
    print(cost_line(detections))
    doubts = process.remarks()
    for doubt in doubts:
        print(f"doubtful: {doubt.text}")
    stamp = (header.stamp.sec, header.stamp.nanosec)
    write_json(args.out / "detections.json", as_json(detections, header.frame_id, stamp, doubts))
    title = f"{args.cloud.name}: {match_line(detections, cloud.truth)}"
    from dspdet3d_ros.tools.viewer.picture import draw_detections

    draw_detections(args.out / "detections.png", cloud.xyz, cloud.rgb, detections, cloud.truth, title)
    print(f"written: {args.out / 'detections.png'}, {args.out / 'detections.json'}")
    print()
    _say("setting pruning_threshold of the running node and sending the cloud again")
    runs = []
    for tau in THRESHOLDS:
        client.set_pruning_threshold(tau)
        runs.append(client.detect(cloud)[0])
    print()
    print(pruning_table(runs))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description="Find objects in a cloud with the real node.")
    parser.add_argument(
        "cloud", type=Path, nargs="?", default=DEMO_CLOUD, help="cloud file (default: a generated scene)"
    )
    parser.add_argument("--columns", type=int, metavar="N", help=f"{COLUMNS_HELP} (default: {BIN_COLUMNS})")
    parser.add_argument("--up", choices=UPS, default="z", help=f"{UP_HELP} (default: %(default)s)")
    parser.add_argument("--unit", choices=tuple(UNITS), default="m", help=f"{UNIT_HELP} (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder of the results")
    parser.add_argument(
        "--timeout", type=float, default=180.0, help="seconds to wait for anything (default: %(default)s)"
    )
    parser.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        metavar="NAME:=VALUE",
        help="parameter of the node; may be given several times",
    )
    return parser


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
