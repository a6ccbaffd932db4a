"""Compiles the library of backend native with an installed C compiler; needs only Python's standard library.

python dspdet3d_ros/native/build.py [--output FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).absolute().parent
LIBRARY = FOLDER / "libdspdet3d_native.so"
SOURCES = FOLDER / "src"
#: The source files choose instruction sets themselves: one set of flags serves all.
FLAGS = (
    *("-std=c11", "-O3", "-fno-math-errno", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread"),
    *("-Wall", "-Wextra"),
)


class BuildError(Exception):
    """The library cannot be compiled; the text says why."""


def compiler() -> list[str]:
    """The command of the C compiler: $CC, or the first of the usual ones.

    Raises:
        BuildError: there is none.
    """
    candidates = [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    for candidate in candidates:
        command = shlex.split(candidate)
        if command and shutil.which(command[0]):
            return command
    raise BuildError(f"no C compiler: {' or '.join(candidates)} not found; apt install gcc")


def digest(sources: Path = SOURCES) -> str:
    """Digest of the sources, empty if there are none. CMakeLists.txt computes the same."""
    files = sorted(path for path in sources.glob("*") if path.suffix in (".c", ".h", ".inc"))
    lines = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""


def is_current(library: Path = LIBRARY) -> bool:
    """Whether the library exists and was compiled from the sources that are there; any will do if there are none."""
    try:
        return digest().encode() in library.read_bytes()
    except OSError:
        return False


def build(output: Path = LIBRARY) -> None:
    """Compiles the library to `output`; a process that has the old one loaded keeps it.

    Raises:
        BuildError: no compiler, the compilation failed, or the folder is not writable.
    """
    command = compiler()
    sources = sorted(map(str, SOURCES.glob("*.c")))
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".build-") as folder:
            made = Path(folder) / output.name
            flags = [*FLAGS, f'-DNATIVE_SOURCES="{digest()}"', *shlex.split(os.environ.get("CFLAGS", ""))]
            result = subprocess.run([*command, *flags, *sources, "-o", str(made)], capture_output=True, text=True)
            if result.returncode:
                raise BuildError(f"{command[0]} failed: {result.stderr.strip()[-2000:]}")
            made.replace(output)
    except OSError as error:
        raise BuildError(f"{output}: cannot be written: {error.strerror or error}") from error


def main() -> int:
    """Compiles; returns the exit status: 1 if that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=LIBRARY, help="file to write (default: in the package)")
    arguments = parser.parse_args()
    try:
        build(arguments.output)
    except BuildError as error:
        print(f"backend native: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
