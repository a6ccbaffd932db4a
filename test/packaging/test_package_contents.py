"""Content of an installation, and imports of the modules."""

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from dspdet3d_ros.defaults import DEMO_CLOUD

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dspdet3d_ros"
ROS_MODULES = {
    "ament_index_python",
    "builtin_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "nav_msgs",
    "rcl_interfaces",
    "rclpy",
    "sensor_msgs",
    "sensor_msgs_py",
    "std_msgs",
    "std_srvs",
    "tf2_ros",
    "vision_msgs",
    "visualization_msgs",
}
# Where a distribution and its module have different names.
PACKAGE_OF = {"tf2_ros": "tf2_ros_py"}
# Runs the commands of an installation; a checkout may be on the path too.
INSTALLED = """
import pkgutil, sys
root, installed, cloud = sys.argv[1:]
sys.path[:] = [installed, *(folder for folder in sys.path if folder not in ("", root))]
from dspdet3d_ros import commands
from dspdet3d_ros.cli import main
assert list(commands.__path__) == [installed + "/dspdet3d_ros/commands"], commands.__path__
names = [name for _, name, _ in pkgutil.iter_modules(commands.__path__) if name != "arguments"]
assert len(names) > 10
for name in names:
    try:
        main([name.replace("_", "-"), "--help"])
    except SystemExit as end:
        assert end.code == 0, name
sys.exit(main(["doctor", "--without-ros"]) or main(["detect", cloud]) or main(["detect", cloud, "--model", "close"]))
"""
MODULE_OF = {"pillow": "PIL", "pyyaml": "yaml"}


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names of the modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            names.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            names.add(statement.module or "")
            names.update(f"{statement.module}.{alias.name}" for alias in statement.names)
    return frozenset(names)


def modules(folder: str = "") -> list[Path]:
    return sorted((PACKAGE / folder).rglob("*.py"))


def declared_modules() -> set[str]:
    """The modules of all distributions that setup.py names, extras included."""
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    names = re.findall(r'"([A-Za-z][\w-]*)[<>=]=[\d.]+[";]', text)
    return {MODULE_OF.get(name.lower(), name.lower()) for name in names}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_that_is_imported_is_declared(path: Path):
    # The last three are used where they happen to be installed.
    known = sys.stdlib_module_names | ROS_MODULES | declared_modules()
    known |= {"dspdet3d_ros", "MinkowskiEngine", "triton", "spconv_triton"}
    assert {name.split(".")[0] for name in imports(path)} - known == set()


def test_only_the_ros_folder_imports_ros():
    outside = [path for path in modules() if "ros" not in path.relative_to(PACKAGE).parts[:1]]
    offenders = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in outside
        if (
            found := {
                name
                for name in imports(path)
                if name.split(".")[0] in ROS_MODULES | {"dspdet3d_ros.msg", "dspdet3d_ros.srv"}
            }
        )
    }
    assert offenders == {}


@pytest.mark.parametrize(
    ("folder", "above"),
    [
        ("sparse", ("clouds", "commands", "detector", "learning", "mapping", "ros", "tools", "tracking")),
        ("clouds", ("commands", "detector", "learning", "mapping", "ros", "sparse", "tools", "tracking")),
        ("mapping", ("commands", "detector", "learning", "recordings", "ros", "sparse", "tools", "tracking")),
        ("detector", ("commands", "learning", "mapping", "ros", "tools", "tracking")),
        ("tracking", ("clouds", "commands", "learning", "mapping", "recordings", "mapping", "ros", "sparse", "tools")),
        ("recordings", ("commands", "learning", "ros", "tools")),
        ("learning", ("commands", "mapping", "ros", "tools")),
        ("learning/datasets", ("learning.evaluation", "learning.generation", "learning.training")),
        ("learning/evaluation", ("learning.generation", "learning.training")),
        # Tools use what learning has: the viewer matches boxes with truth, the benchmark times a training step.
        ("tools", ("commands", "ros")),
        ("ros", ("commands",)),
    ],
)
def test_a_layer_imports_nothing_from_above(folder: str, above: tuple[str, ...]):
    assert imported(modules(folder), above) == []
    assert len(modules(folder)) > 1, "the folder has no modules"


#: The parts of `ros/`, lowest first: each imports only parts before it. `tools` and the nodes are above all of them.
ROS_ORDER = (
    "signals",
    "faults",
    "placement",
    "results",
    "requests",
    "interface",
    "parameters",
    "pipeline",
    "accumulation",
    "health",
)


@pytest.mark.parametrize("part", ROS_ORDER)
def test_the_parts_of_the_ros_folder_import_each_other_one_way(part: str):
    module = PACKAGE / "ros" / f"{part}.py"
    files = [module] if module.is_file() else modules(f"ros/{part}")
    above = [name for name in names_in("ros") if name not in ROS_ORDER[: ROS_ORDER.index(part) + 1]]
    assert imported(files, tuple(f"ros.{name}" for name in above)) == []
    assert files, "there is no such part"


def names_in(folder: str) -> list[str]:
    """Names of the modules and folders in a folder of the package."""
    return sorted(path.stem for path in (PACKAGE / folder).iterdir() if not path.name.startswith("__"))


def test_the_node_imports_nothing_of_tools_and_learning():
    node = [path for path in modules("ros") if "tools" not in path.relative_to(PACKAGE).parts]
    assert imported(node, ("learning", "ros.tools", "tools")) == []
    assert PACKAGE / "ros" / "detector_node.py" in node


def imported(paths: list[Path], packages: tuple[str, ...]) -> list[tuple[str, str]]:
    """(file, module) of each import from one of the packages."""
    wanted = re.compile(rf"dspdet3d_ros\.({'|'.join(map(re.escape, packages))})(\.|$)")
    return [(path.name, name) for path in paths for name in sorted(imports(path)) if wanted.match(name)]


def test_a_pip_installation_has_every_module_and_data_file(tmp_path: Path):
    pytest.importorskip("setuptools", reason="needs setuptools")
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    result = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    installed = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert installed == tracked_files("dspdet3d_ros")


def tracked_files(folder: str) -> set[str]:
    """Files below `folder` that belong to the project: all but caches."""
    found = (ROOT / folder).rglob("*")
    return {path.relative_to(ROOT).as_posix() for path in found if path.is_file() and "__pycache__" not in path.parts}


def test_without_a_c_compiler_it_is_installed_all_the_same(tmp_path: Path):
    pytest.importorskip("setuptools", reason="needs setuptools")
    copy = tmp_path / "checkout"
    shutil.copytree(PACKAGE, copy / "dspdet3d_ros", ignore=shutil.ignore_patterns("__pycache__", "*.so", "data"))
    shutil.copy(ROOT / "setup.py", copy)
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "out")]
    environment = {**os.environ, "CC": "no-such-compiler"}
    result = subprocess.run(build, cwd=copy, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert "backend native is not built: no C compiler: no-such-compiler not found" in result.stderr
    installed = tmp_path / "out" / "dspdet3d_ros"
    assert (installed / "sparse" / "native" / "native_engine.py").is_file()
    assert list(installed.rglob("*.so")) == []


@pytest.mark.parametrize("program", sorted((ROOT / "scripts" / "executables").iterdir()), ids=lambda path: path.name)
def test_programs_for_ros2_run_are_installed_and_executable(program: Path):
    assert f"scripts/executables/{program.name}" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert os.access(program, os.X_OK)
    (module,) = (name.removesuffix(".main") for name in imports(program) if name.endswith(".main"))
    assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()


def test_package_xml_is_valid_and_names_every_ros_package_that_is_imported():
    package = pytest.importorskip("catkin_pkg.package", reason="needs catkin_pkg")
    manifest = package.parse_package(str(ROOT / "package.xml"))
    manifest.validate()
    needed = {name.split(".")[0] for path in modules("ros") for name in imports(path)} & ROS_MODULES
    needed = {PACKAGE_OF.get(module, module) for module in needed}
    assert needed - {dependency.name for dependency in manifest.exec_depends} == set()


def test_every_command_works_from_an_installation_without_the_checkout(tmp_path: Path):
    pytest.importorskip("torch")
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "installed")]
    result = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    cloud = str(tmp_path / "installed" / "dspdet3d_ros" / "data" / DEMO_CLOUD.name)
    result = subprocess.run(
        [sys.executable, "-c", INSTALLED, str(ROOT), str(tmp_path / "installed"), cloud],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert result.returncode == 0, result.stderr
    assert "objects found at IoU 0.25" in result.stdout


def test_no_two_modules_have_the_same_name():
    # Commands are exempt: their names are those of the sub-commands.
    names = [path.name for path in PACKAGE.rglob("*.py") if path.parent.name != "commands" and path.stem != "__init__"]
    assert sorted(names) == sorted(set(names))
