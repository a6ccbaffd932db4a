"""Common parts of the commands of long runs: arguments, the report and the exit status."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.output_files import make_folder, write_json
from dspdet3d_ros.ros.tools.endurance import figures
from dspdet3d_ros.ros.tools.endurance.process_sample import ProcessSample
from dspdet3d_ros.ros.tools.node_client import ClientError


@dataclass(frozen=True)
class Outcome:
    """Result of a run.

    Attributes:
        values: the report, with its checks under `checks`.
        samples: of the node's process.
        latencies: `time.monotonic()` and milliseconds of each service call.
        title: of the plot.
    """

    values: dict[str, Any]
    samples: Sequence[ProcessSample]
    latencies: Sequence[tuple[float, float]]
    title: str


def arguments(name: str, description: str, minutes: float) -> argparse.ArgumentParser:
    """A parser of the arguments of every run.

    Args:
        name: of the run, and of its folder under build/.
        description: one line for --help.
        minutes: default duration of the run.
    """
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("--out", type=Path, default=Path("build", name))
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME:=VALUE")
    return parser


def run(
    parser: argparse.ArgumentParser, measure: Callable[[argparse.Namespace], Outcome], argv: Sequence[str] | None
) -> int:
    """Runs, writes the report and the plot; status 1 where a check fails or the node does not answer."""
    args = parser.parse_args(argv)
    # However the run is ended, it takes the node's process with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        make_folder(args.out)
        outcome = measure(args)
    except (ClientError, InputError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    report = args.out / f"{parser.prog}.json"
    write_json(report, outcome.values)
    figures.plot(report.with_suffix(".png"), outcome.samples, outcome.latencies, outcome.title)
    return figures.report(outcome.values, report)
