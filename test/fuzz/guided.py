"""Cases that follow the code's branches: libFuzzer, by way of atheris, changes bytes and keeps what reaches new ones.

`make fuzz GUIDED=SECONDS` runs this once for each reader, in a process of its own, which libFuzzer ends. What it keeps
lies in OUT/READER/corpus, from where the next run goes on. A case that failed lies in OUT/READER, as crash-*, and
`scripts/run python test/fuzz/guided.py READER --out OUT --again FILE` runs it again.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

READERS = ("PointCloud2", "cloud files", "checkpoints", "plain pickles")
INSTALL = "atheris is missing; install it with `.venv/bin/pip install atheris` (Linux, Python 3.11 to 3.13)"
# What is followed, where it is Python.
FOLLOWED = ["dspdet3d_ros"]
HANG_S = 60
LONGEST = 8192
REPORT, LOG = "report.json", "log"


def installed() -> bool:
    """Whether atheris is there."""
    return find_spec("atheris") is not None


def seeds_and_cases(name: str, folder: Path) -> tuple[list[bytes], Callable[[bytes], Any]]:
    """The inputs from which libFuzzer starts, and how its bytes become a case of the target of that name."""
    if name == "PointCloud2":
        packed = import_module("packed")
        return packed.examples(50), packed.unpack
    if name == "cloud files":
        seeds, case = _files(import_module("cloud_files").VALID)
        return seeds, lambda data: (folder, *case(data))
    stored = import_module("stored")
    return _files(stored.CHECKPOINT_FILES if name == "checkpoints" else stored.PICKLE_FILES)


def _files(valid: dict[str, bytes]) -> tuple[list[bytes], Callable[[bytes], Any]]:
    """The first byte chooses the file's name, the others are its contents."""
    names = sorted(valid)

    def case(data: bytes) -> tuple[str, bytes, bool]:
        name = names[data[0] % len(names)] if data else names[0]
        return name, data[1:], data[1:] == valid[name]

    return [bytes([number]) + valid[name] for number, name in enumerate(names)], case


def arguments() -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(description="fuzz one reader along its branches")
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--again", type=Path, metavar="FILE", help="one case that failed, instead of a search")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Runs one reader until the time is over or a case fails."""
    args = arguments()
    import atheris
    from torch._weights_only_unpickler import Unpickler

    with atheris.instrument_imports(include=FOLLOWED):
        targets = import_module("targets").targets
    # Of torch no more than this; all of it would take minutes.
    Unpickler.load = atheris.instrument_func(Unpickler.load)
    from outcome import Tally

    own = args.out / args.reader
    folder, corpus = own / "files", own / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(exist_ok=True)
    target, tally = targets(folder)[args.reader], Tally()
    seeds, case = seeds_and_cases(args.reader, folder)
    for number, data in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(data)
    start = time.monotonic()

    def report(**more: str) -> None:
        values = {**tally.figures(time.monotonic() - start), **more}
        (own / REPORT).write_text(json.dumps(values), encoding="utf-8")

    def one(data: bytes) -> None:
        if time.monotonic() - start > args.seconds:
            # libFuzzer would end the process without a word of what was counted.
            report()
            os._exit(0)
        try:
            target.run(tally, case(data))
        except BaseException as error:
            report(failed=f"{type(error).__name__}: {error}")
            raise

    # A seed of 0 would let libFuzzer choose one.
    options = [f"-seed={args.seed + 1}", f"-timeout={HANG_S}", f"-max_len={LONGEST}", "-len_control=0"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={own}/", str(args.again or corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
