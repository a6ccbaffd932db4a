"""Sets up `.venv`: torch, ROS 2, the messages, this package. `make setup` runs it. It repeats only changed steps.

    python3 scripts/environment [--torch REQUIREMENT] [--dry-run]

It needs only the standard library of Python.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import host
from console import Progress, SetupError
from steps import DEFAULT_TORCH, ROOT, STATE, VENV, Builder, Step

CHOICE = STATE / "torch-requirement.txt"


def main() -> int:
    """Runs the pending steps; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", default="", help=f"pip requirement for torch (default {DEFAULT_TORCH})")
    parser.add_argument("--dry-run", action="store_true", help="only print the pending steps")
    arguments = parser.parse_args()
    try:
        with _one_at_a_time():
            _set_up(arguments.torch, arguments.dry_run)
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the next run continues from here", file=sys.stderr)
        return 130
    return 0


def _set_up(torch: str, dry_run: bool) -> None:
    ros = host.sourced_ros()
    host.check_python(with_ros=ros is not None)
    # A given requirement stays valid until another one is given or .venv is removed.
    chosen = torch or (CHOICE.read_text(encoding="utf-8") if CHOICE.is_file() else DEFAULT_TORCH)
    steps = Builder(chosen, ros).steps()
    pending = _pending(steps)
    if dry_run:
        print("".join(f"{step.name}\n" for step in pending), end="")
        return
    if not pending:
        return
    if any(step.name in ("vision_msgs", "messages") for step in pending):
        host.check_build_tools()
    print(f"Setting up {VENV}, {len(pending)} steps" + (f", on ROS 2 {ros}" if ros else ""), flush=True)
    started = time.monotonic()
    progress = Progress(len(pending))
    for step in pending:
        step.stamp.unlink(missing_ok=True)
        with progress.step(step.title):
            step.run(progress)
        step.stamp.write_text(step.fingerprint, encoding="utf-8")
        if step.name == "torch":
            CHOICE.write_text(chosen, encoding="utf-8")
    print(f"Set-up done in {time.monotonic() - started:.0f} s.", flush=True)


def _pending(steps: list[Step]) -> list[Step]:
    """The steps to run: all of them if the environment is new, changed or broken."""
    if not steps[0].is_done() or not _python_works():
        return steps
    return [step for step in steps if not step.is_done()]


def _python_works() -> bool:
    """Whether the Python of the environment still exists."""
    python = VENV / "bin" / "python"
    # -I -S: without the packages of the environment, which take time to load.
    return python.exists() and subprocess.run([str(python), "-I", "-S", "-c", ""]).returncode == 0


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Prevents two simultaneous set-ups of one checkout."""
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up of this folder is running; waiting for it ...", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
