"""`make fuzz`: a long run of every target, with a report."""

import argparse
import faulthandler
import json
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from outcome import ACCEPTED
from targets import fuzz, targets

HANG_S = 120
NODE = "parameters of the real node"


def main() -> int:
    """Runs all targets; status 1 where one failed."""
    parser = argparse.ArgumentParser(description="fuzz everything that reads what others wrote")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one target")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    report, failed = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, target in targets(Path(folder)).items():
            if args.only in (None, name):
                report[name] = one(name, target, args, failed)
        if args.only in (None, NODE):
            report[NODE] = with_node(Path(folder), args, failed)
    total = sum(values.get("cases", 0) for values in report.values())
    values = {"seed": args.seed, "cases": total, "failed": failed, "targets": report}
    (args.out / "fuzz.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    print(f"{total} cases, {len(failed)} targets failed; written: {args.out / 'fuzz.json'}")
    return 1 if failed else 0


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
    accepted = tally.outcomes.pop(ACCEPTED, 0)
    seconds = time.monotonic() - start
    print(f"{name}: {tally.cases} cases, {accepted} accepted, {tally.cases - accepted} refused in {seconds:.0f} s")
    return {
        "cases": tally.cases,
        "accepted": accepted,
        "refused": dict(tally.outcomes.most_common()),
        "seconds": round(seconds, 1),
        "most_bytes_allocated": tally.most_bytes,
    }


if __name__ == "__main__":
    sys.exit(main())
