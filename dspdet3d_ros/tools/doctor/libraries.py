"""Checks of Python, of the libraries that the network needs, and of the GPU."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from dspdet3d_ros.errors import text_of
from dspdet3d_ros.system import usable_cores
from dspdet3d_ros.tools.doctor.finding import Check, Finding, ok, problem, warning

OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
# Module, name for pip, oldest supported version; as in setup.py.
LIBRARIES = (
    ("numpy", "numpy", (1, 21)),
    ("PIL", "pillow", (9, 0)),
    ("yaml", "PyYAML", (5, 4)),
    ("tqdm", "tqdm", (4, 60)),
)
OLDEST_TORCH = (2, 1)
#: Packages that only some commands need, and these commands.
OPTIONAL = {
    "matplotlib": "pictures",
    "embreex": "generate",
    "tensorboard": "train",
    "scipy": "baseline, statistics",
    "laspy": "clouds from .las and .laz",
    "lazrs": "clouds from .laz",
    "pye57": "clouds from .e57",
    "trimesh": "clouds from .obj, .stl and .glb",
    "rosbags": "replay, record-demo",
    "mcap": "replay of truncated bags",
}
HOW_TO_TORCH = f"pip install 'torch>={OLDEST_TORCH[0]}.{OLDEST_TORCH[1]}', for the Python that runs ROS"
_NATIVE = "apt install gcc, then python -m dspdet3d_ros.native.build, or build the workspace again"
DRIVER = Path("/proc/driver/nvidia/version")


def python() -> Iterable[Finding]:
    """The version of Python."""
    found = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        yield problem("python", found, "use Python 3.10 or newer")
    elif sys.version_info[:2] > NEWEST_PYTHON:
        yield warning("python", found, "this version is not tested; Python 3.10 to 3.13 are")
    else:
        yield ok("python", found)


def libraries() -> Iterable[Finding]:
    """The versions of numpy and of the small libraries."""
    for module, package, oldest in LIBRARIES:
        yield _library(module, package, oldest, f"pip install '{package}>={_dotted(oldest)}'")[1]


def torch() -> Iterable[Finding]:
    """The version of torch, and whether it works with the installed numpy."""
    library, finding = _library("torch", "torch", OLDEST_TORCH, HOW_TO_TORCH)
    if library is None:
        yield finding
        return
    build = f"built for CUDA {library.version.cuda}" if library.version.cuda else "built for the CPU"
    try:
        import numpy as np

        library.from_numpy(np.zeros(1))
    except (ImportError, RuntimeError) as error:
        yield problem(
            "torch", f"{finding.found}, but it cannot use numpy: {error}", "pip install 'numpy<2', or a newer torch"
        )
        return
    yield Finding("torch", finding.level, f"{finding.found}, {build}", finding.fix)


def gpu() -> Iterable[Finding]:
    """The GPUs that torch can use, their driver, and the engine that runs on them."""
    library, _ = _library("torch", "torch", OLDEST_TORCH, HOW_TO_TORCH)
    if library is None:
        return
    driver = driver_version()
    if not library.cuda.is_available():
        yield no_gpu(library, driver)
        return
    for number in range(library.cuda.device_count()):
        name = f"gpu {number}"
        major, minor = library.cuda.get_device_capability(number)
        memory = library.cuda.get_device_properties(number).total_memory
        model = f"{library.cuda.get_device_name(number)}, {memory / 2**30:.0f} GiB"
        found = f"{model}, sm_{major}{minor}, driver {driver or 'unknown'}"
        try:
            (library.zeros(1, device=f"cuda:{number}") + 1).item()
        except RuntimeError as error:
            text = str(error).splitlines()[0]
            fix = "install a torch build with code for this GPU, or set device to cpu"
            yield problem(name, f"{found}; it cannot compute: {text}", fix)
            continue
        yield ok(name, found)
        yield _engine(f"cuda:{number}")


def native() -> Iterable[Finding]:
    """The C library for convolutions on the CPU."""
    try:
        from dspdet3d_ros.native.library import choose_isa, why_not
    except Exception:  # torch cannot be imported; its own check reports this
        return
    reason = why_not()
    if reason is None:
        yield ok("backend native", f"the C library is installed, with kernels for {choose_isa()}")
    else:
        yield warning("backend native", f"{reason}; plain torch computes on the CPU, several times slower", _NATIVE)


def minkowski() -> Iterable[Finding]:
    """MinkowskiEngine, which only backend minkowski needs."""
    if importlib.util.find_spec("MinkowskiEngine") is None:
        yield ok("MinkowskiEngine", "not installed; only backend minkowski needs it")
        return
    try:
        engine = importlib.import_module("MinkowskiEngine")
    except Exception as error:
        yield warning("MinkowskiEngine", f"cannot be imported: {text_of(error)}", "use another backend, or rebuild it")
        return
    yield ok("MinkowskiEngine", str(getattr(engine, "__version__", "unknown version")))


def optional() -> Iterable[Finding]:
    """Packages that only some commands need. It is no fault if one is missing."""
    installed = [package for package in OPTIONAL if importlib.util.find_spec(package) is not None]
    missing = [f"{package} ({OPTIONAL[package]})" for package in OPTIONAL if package not in installed]
    found = f"installed: {', '.join(installed) or 'none'}"
    if missing:
        found += f"; not installed: {', '.join(missing)}: pip install what you need"
    yield ok("optional packages", found)


def threads() -> Iterable[Finding]:
    """The settings of the CPU threads."""
    cores = usable_cores()
    policy, number = os.environ.get("OMP_WAIT_POLICY", "unset"), os.environ.get("OMP_NUM_THREADS", "unset")
    found = f"{cores} cores, OMP_WAIT_POLICY {policy}, OMP_NUM_THREADS {number}"
    if policy.upper() == "ACTIVE":
        yield warning("threads", found, "unset OMP_WAIT_POLICY: spinning threads occupy the cores of other nodes")
    elif number.isdigit() and int(number) > cores:
        yield warning("threads", found, f"set OMP_NUM_THREADS to at most {cores}, or unset it")
    else:
        yield ok("threads", found)


def driver_version() -> str | None:
    """Version of the NVIDIA driver in the kernel, or None without a driver."""
    try:
        match = re.search(r"Kernel Module\D*([\d.]+)", DRIVER.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None
    return match[1] if match else None


def no_gpu(library: ModuleType, driver: str | None) -> Finding:
    """Why torch finds no GPU, from its build and the version of the driver."""
    if driver is None and library.version.cuda is None:
        return ok("gpu", "none; the network runs on the CPU")
    if library.version.cuda is None:
        fix = "for speed, install a CUDA build of torch (on a Jetson the wheel of NVIDIA)"
        return warning("gpu", f"NVIDIA driver {driver}, but this torch is built for the CPU", fix)
    try:
        library.cuda.init()
        reason = "no reason given"
    except Exception as error:
        reason = text_of(error)
    fix = f"install or update the NVIDIA driver (it must support CUDA {library.version.cuda}), or a CPU build of torch"
    return warning("gpu", f"torch finds none, driver {driver or 'not loaded'}: {reason}; the CPU is used", fix)


def _engine(device: str) -> Finding:
    from dspdet3d_ros.sparse import choose_backend

    backend, reason = choose_backend(device)
    if backend == "triton":
        return ok("triton", f"backend triton runs on {device}: {reason}")
    return warning(
        "triton", f"backend {backend} on {device}: {reason}", "pip install the version of triton that torch requires"
    )


def _library(module: str, package: str, oldest: tuple[int, ...], fix: str) -> tuple[ModuleType | None, Finding]:
    """The imported module (None if it cannot be imported), and the finding."""
    try:
        library = importlib.import_module(module)
    except Exception as error:
        # A wrong build of a library can fail with any error.
        return None, problem(package, f"cannot be imported: {text_of(error)}", fix)
    version = str(library.__version__)
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < oldest:
        return library, problem(package, f"{version}; at least {_dotted(oldest)} is needed", fix)
    return library, ok(package, version)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", python),
    ("libraries", libraries),
    ("torch", torch),
    ("gpu", gpu),
    ("backend native", native),
    ("MinkowskiEngine", minkowski),
    ("optional packages", optional),
    ("threads", threads),
)
