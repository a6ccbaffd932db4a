"""The steps of the set-up, each with a fingerprint of its inputs."""

from __future__ import annotations

import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import host
from console import Progress, SetupError, run_logged

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STATE = VENV / ".setup"
NATIVE = ROOT / "dspdet3d_ros" / "native"
WHEELS = Path(__file__).resolve().with_name("ros-wheels.txt")
# Outside site-packages, so that the generated, empty dspdet3d_ros/__init__.py does not hide the real one.
INTERFACES = "lib/ros_interfaces"
DEFAULT_TORCH = "torch==2.13.0"
EXTRAS = "all"
# Increase it when the steps change so much that existing environments must be rebuilt.
SETUP_VERSION = "1"


@dataclass(frozen=True)
class Step:
    """One step. It runs again if its fingerprint differs from that of its last success, or its result is not there."""

    name: str
    title: str
    fingerprint: str
    run: Callable[[Progress], None]
    is_there: Callable[[], bool] = lambda: True

    @property
    def stamp(self) -> Path:
        """The file with the fingerprint of the last success."""
        return STATE / f"{self.name}.stamp"

    def is_done(self) -> bool:
        """Whether nothing has changed since the last success."""
        unchanged = self.stamp.is_file() and self.stamp.read_text(encoding="utf-8") == self.fingerprint
        return unchanged and self.is_there()


def _has_native() -> bool:
    """Whether the library of backend native was compiled from the present sources, or cannot be compiled here."""
    native = runpy.run_path(str(NATIVE / "build.py"))
    if native["is_current"]():
        return True
    try:
        native["compiler"]()
    except native["BuildError"]:
        return True
    return False


class Builder:
    """Creates the steps for one environment."""

    def __init__(self, torch: str, ros: str | None) -> None:
        self.torch = torch
        self.ros = ros
        self.python = str(VENV / "bin" / "python")
        self.environment = host.build_environment(VENV, ros is not None)

    def steps(self) -> list[Step]:
        """All steps in order. The fingerprint of a step contains those of the steps on which it depends."""
        base = _digest([SETUP_VERSION, sys.executable, sys.version, str(VENV), str(self.ros)])
        torch = _digest([base, self.torch])
        ros = _digest([base, WHEELS])
        vision = _digest([ros, *_files(ROOT / "interfaces" / "vision_msgs")])
        messages = _digest([vision, *_files(ROOT / "msg"), *_files(ROOT / "srv"), ROOT / "CMakeLists.txt"])
        native = _digest([base, *_files(NATIVE / "src"), NATIVE / "build.py", str(shutil.which("cc"))])
        package = _digest([torch, ros, ROOT / "setup.py", ROOT / "dspdet3d_ros" / "__init__.py"])
        steps = [
            Step("venv", "Python environment in .venv", base, self._make_venv),
            Step("torch", f"PyTorch ({self.torch})", torch, self._install_torch),
            Step("ros", "ROS 2 wheels", ros, self._install_ros),
            Step("vision_msgs", "vision_msgs, built with rosidl", vision, self._build_vision_msgs),
            Step("messages", "messages of dspdet3d_ros, built with rosidl", messages, self._build_messages),
            Step("native", "library of backend native", native, self._build_native, _has_native),
            Step("package", "dspdet3d_ros and the packages for its tests", package, self._install_package),
        ]
        if self.ros:
            steps = [step for step in steps if step.name != "ros"]
        return steps

    def _make_venv(self, progress: Progress) -> None:
        shutil.rmtree(VENV, ignore_errors=True)
        options = ["--system-site-packages"] if self.ros else []
        STATE.mkdir(parents=True)
        self._run([sys.executable, "-m", "venv", *options, str(VENV)], "venv")
        (VENV / "COLCON_IGNORE").touch()
        interfaces = VENV / INTERFACES
        interfaces.mkdir(parents=True)
        (self._site_packages() / "ros_interfaces.pth").write_text(f"{interfaces}\n", encoding="utf-8")

    def _install_torch(self, progress: Progress) -> None:
        if self.ros and self.torch == DEFAULT_TORCH and self._succeeds(_TORCH_IS_RECENT):
            progress.say("using the torch of the system")
            return
        self._pip(progress, "torch", [self.torch, *self._torch_index(progress)], expected=12)
        version, cuda, usable = self._output(
            "import torch as t; print(t.__version__, t.version.cuda, t.cuda.is_available())"
        )
        progress.say(f"torch {version}, " + (f"CUDA {cuda}, GPU usable: {usable}" if cuda != "None" else "CPU build"))

    def _torch_index(self, progress: Progress) -> list[str]:
        if host.has_nvidia_gpu():
            progress.say("NVIDIA GPU found: installing the default build of torch, with CUDA")
            return []
        progress.update("looking for the index with the CPU builds of torch")
        if self._index_is_configured():
            progress.say("no NVIDIA GPU found; installing torch from the package index in the configuration of pip")
            return []
        if host.cpu_index_answers():
            return ["--extra-index-url", host.CPU_INDEX]
        progress.say(f"{host.CPU_INDEX} does not answer; installing torch from pip's default index: this may be")
        progress.say(
            "the CUDA build, which has gigabytes. To avoid it, set PIP_FIND_LINKS to a folder with a CPU build."
        )
        return []

    def _index_is_configured(self) -> bool:
        listing = subprocess.run(
            [self.python, "-m", "pip", "config", "list"], env=self.environment, capture_output=True, text=True
        )
        return re.search(r"^\S+\.(index-url|no-index)=", listing.stdout, re.M) is not None

    def _install_ros(self, progress: Progress) -> None:
        lines = [line for line in WHEELS.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
        self._pip(progress, "ros", ["-r", str(WHEELS)], expected=len(lines))
        self._relocate_wheels()
        self._check("import rclpy; rclpy.init(); rclpy.shutdown()", "rclpy does not start")

    def _relocate_wheels(self) -> None:
        """Replaces include paths in the CMake files of the wheels, which are those of the machine that built them."""
        python_include, numpy_include = self._output(
            "import numpy, sysconfig; print(sysconfig.get_paths()['include'], numpy.get_include())"
        )
        root = r"/opt/python/cp3\d+-cp3\d+"
        paths = {
            rf"{root}/include/python3\.\d+": python_include,
            rf"{root}/lib/python3\.\d+/site-packages/numpy/(_core|core)/include": numpy_include,
        }
        for folder in (VENV / "share", VENV / "lib" / "cmake"):
            for path in folder.rglob("*.cmake"):
                before = path.read_text(encoding="utf-8")
                after = before
                for pattern, local in paths.items():
                    after = re.sub(pattern, lambda match, local=local: local, after)
                if after != before:
                    path.write_text(after, encoding="utf-8")

    def _build_vision_msgs(self, progress: Progress) -> None:
        if self.ros and self._succeeds("import vision_msgs.msg"):
            progress.say(f"using the vision_msgs of ROS 2 {self.ros}")
            return
        self._cmake(progress, "vision_msgs", ROOT / "interfaces" / "vision_msgs")
        self._check(_type_support("vision_msgs", "Detection3DArray"), "vision_msgs cannot be used")

    def _build_messages(self, progress: Progress) -> None:
        self._cmake(progress, "messages", ROOT, "-DINSTALL_PYTHON=OFF")
        # pip would treat it as an installed dspdet3d_ros that it cannot replace.
        for leftover in (VENV / INTERFACES).glob("*.egg-info"):
            shutil.rmtree(leftover)
        for name in ("AccumulatorStats", "PruningStats"):
            self._check(_type_support("dspdet3d_ros", name), "the messages of dspdet3d_ros cannot be used")
        self._check(_type_support("dspdet3d_ros", "Detect", "srv"), "the service of dspdet3d_ros cannot be used")

    def _build_native(self, progress: Progress) -> None:
        # Not needed: without it plain torch computes.
        build = [self.python, str(NATIVE / "build.py")]
        result = subprocess.run(build, env=self.environment, capture_output=True, text=True)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no reason given"])[0]
            progress.say(f"not built ({reason}): the network runs on plain torch, several times slower")

    def _install_package(self, progress: Progress) -> None:
        self._pip(progress, "package", ["-e", f"{ROOT}[{EXTRAS}]"], expected=40, constrain=("torch",))
        self._check("import dspdet3d_ros", "dspdet3d_ros cannot be imported")

    def _pip(
        self, progress: Progress, name: str, arguments: list[str], expected: int, constrain: Iterable[str] = ()
    ) -> None:
        """Runs `pip install`, without changing the versions of the packages in `constrain`.

        With a ROS installation, numpy keeps its version too, because the messages of ROS are compiled against it.
        """
        pins = [*constrain, *(["numpy"] if self.ros else [])]
        constraints = STATE / f"{name}.constraints.txt"
        constraints.write_text("".join(f"{pin}=={self._version(pin)}\n" for pin in pins if self._version(pin)))
        collected = 0

        def follow(line: str) -> None:
            nonlocal collected
            text = line.strip()
            if text.startswith(("Collecting", "Requirement already")):
                collected += 1
            if text.startswith(("Collecting", "Downloading", "Building", "Installing")):
                progress.update(text[:100], 0.9 * min(collected / expected, 1.0))

        command = [self.python, "-m", "pip", "install", "--progress-bar", "off", "-c", str(constraints), *arguments]
        self._run(command, name, follow)

    def _cmake(self, progress: Progress, name: str, source: Path, *options: str) -> None:
        host.check_build_tools()
        build = STATE / "build" / name
        shutil.rmtree(build, ignore_errors=True)

        def follow(line: str) -> None:
            percent = re.match(r"\[ *(\d+)%\]", line)
            progress.update(line[:100], int(percent[1]) / 100 if percent else None)

        common = [
            f"-DCMAKE_INSTALL_PREFIX={VENV}",
            f"-DPYTHON_INSTALL_DIR={INTERFACES}",
            f"-DPython3_EXECUTABLE={self.python}",
            "-DBUILD_TESTING=OFF",
            "-DCMAKE_BUILD_TYPE=Release",
            "-DCMAKE_COLOR_MAKEFILE=OFF",
        ]
        self._run(["cmake", "-S", str(source), "-B", str(build), *common, *options], name, follow)
        self._run(["cmake", "--build", str(build), "--parallel", str(os.cpu_count() or 1)], name, follow)
        self._run(["cmake", "--install", str(build)], name)

    def _run(self, command: list[str], log: str, on_line: Callable[[str], None] = lambda line: None) -> None:
        run_logged(command, STATE / "log" / f"{log}.txt", self.environment, on_line)

    def _output(self, code: str) -> list[str]:
        result = subprocess.run([self.python, "-c", code], env=self.environment, capture_output=True, text=True)
        if result.returncode:
            raise SetupError((result.stderr.strip().splitlines() or [f"`{code}` failed"])[-1])
        return result.stdout.split()

    def _succeeds(self, code: str) -> bool:
        return subprocess.run([self.python, "-c", code], env=self.environment, capture_output=True).returncode == 0

    def _check(self, code: str, complaint: str) -> None:
        try:
            self._output(code)
        except SetupError as error:
            raise SetupError(f"{complaint}: {error}; `rm -r .venv` and try again") from None

    def _version(self, package: str) -> str:
        return "".join(self._output(_VERSION_OF.format(package=package)))

    def _site_packages(self) -> Path:
        return Path(self._output("import sysconfig; print(sysconfig.get_paths()['purelib'])")[0])


_TORCH_IS_RECENT = "import torch; assert tuple(map(int, torch.__version__.split('.')[:2])) >= (2, 1)"
_VERSION_OF = (
    "from importlib.metadata import PackageNotFoundError, version\n"
    "try:\n    print(version('{package}'))\n"
    "except PackageNotFoundError:\n    pass"
)


def _type_support(package: str, kind: str, module: str = "msg") -> str:
    return (
        f"from {package}.{module} import {kind} as m; from rclpy.type_support import check_for_type_support as c; c(m)"
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _digest(inputs: Iterable[str | Path]) -> str:
    """A hash of texts, and of names and contents of files."""
    digest = hashlib.sha256()
    for item in inputs:
        content = item.read_bytes() if isinstance(item, Path) else item.encode()
        name = item.name if isinstance(item, Path) else ""
        digest.update(f"{name}:{len(content)}:".encode() + content)
    return digest.hexdigest()
