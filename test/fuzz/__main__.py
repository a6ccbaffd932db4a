"""`make fuzz`: a long run of every target, with a report."""

import argparse
import faulthandler
import json
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import guided
from targets import fuzz, targets

HANG_S = 120
NODE = "parameters of the real node"


def main() -> int:
    """Runs all targets; status 1 where one failed."""
    parser = argparse.ArgumentParser(description="fuzz everything that reads what others wrote")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one target")
    parser.add_argument(
        "--guided", type=float, metavar="SECONDS", help="for so long each, along the readers' branches; needs atheris"
    )
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    report, failed = {}, []
    if args.guided is not None:
        if not guided.installed():
            print(f"skipped: {guided.INSTALL}")
            return 0
        report = {name: along_branches(name, args, failed) for name in guided.READERS if args.only in (None, name)}
    else:
        every_target(args, report, failed)
    total = sum(values.get("cases", 0) for values in report.values())
    values = {"seed": args.seed, "cases": total, "failed": failed, "targets": report}
    (args.out / "fuzz.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    print(f"{total} cases, {len(failed)} targets failed; written: {args.out / 'fuzz.json'}")
    return 1 if failed else 0


def every_target(args, report, failed):
    """Fuzzes all targets, or the one that is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        for name, target in targets(Path(folder)).items():
            if args.only in (None, name):
                report[name] = one(name, target, args, failed)
        if args.only in (None, NODE):
            report[NODE] = with_node(Path(folder), args, failed)


def along_branches(name, args, failed):
    """Fuzzes one reader with atheris in a process of its own; its figures."""
    own = args.out / name
    own.mkdir(exist_ok=True)
    report, log = own / guided.REPORT, own / guided.LOG
    report.unlink(missing_ok=True)
    options = ["--seconds", str(args.guided), "--seed", str(args.seed), "--out", str(args.out)]
    command = [sys.executable, guided.__file__, name, *options]
    with log.open("wb") as stream:
        status = subprocess.run(command, stdout=stream, stderr=stream).returncode
    values = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    if status:
        failed.append(name)
        values.setdefault("failed", f"ended with status {status}")
        print(f"{name}: {values['failed']}; see {log}")
    report(name, values)
    return values


def with_node(folder, args, failed):
    """Fuzzes the parameter service of the real node where there is ROS; its figures, or why there are none."""
    try:
        from real_node import node_target
    except ImportError as error:
        return {"skipped": str(error)}
    with node_target(folder) as target:
        return one(NODE, target, args, failed)


def one(name, target, args, failed):
    """Fuzzes one target; its figures."""
    start = time.monotonic()
    # A hang ends the run with the place where it hangs.
    faulthandler.dump_traceback_later(HANG_S + args.cases * 0.05, exit=True)
    try:
        # Hypothesis stops early where it has seen all that a target can be given.
        tally = fuzz(target, round(target.share * args.cases) + 1, args.seed)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        failed.append(name)
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}"}
    finally:
        faulthandler.cancel_dump_traceback_later()
    values = tally.figures(time.monotonic() - start)
    report(name, values)
    return values


def report(name, values):
    """Says in a line what became of a target."""
    if "cases" in values:
        accepted, seconds = values["accepted"], values["seconds"]
        refused = values["cases"] - accepted
        print(f"{name}: {values['cases']} cases, {accepted} accepted, {refused} refused in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
