"""Installs the Python part with pip; a ROS workspace builds the whole package with CMakeLists.txt."""

import re
import runpy
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

NAME = "dspdet3d_ros"
ROOT = Path(__file__).resolve().parent

# Read, not imported: importing the package needs its dependencies, which pip has not installed yet.
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / NAME / "__init__.py").read_text(encoding="utf-8"), re.M).group(1)

EXTRAS = {
    "demo": ["matplotlib>=3.5"],
    "evaluate": ["scipy>=1.7"],
    # pye57 has wheels for this processor only; elsewhere it needs Xerces-C to be built.
    "files": ["laspy>=2.4", "lazrs>=0.5", "pye57>=0.4; platform_machine == 'x86_64'", "trimesh>=4.6"],
    "train": ["embreex>=2.17.7", "tensorboard>=2.12"],
    "recordings": ["mcap>=1.1", "rosbags>=0.10"],
    "test": [
        "coverage>=7.10",
        "hypothesis>=6.80",
        "mypy>=1.15",
        "pytest>=7.4",
        "pytest-rerunfailures>=13",
        "ruff>=0.6",
        "setuptools>=59.0",
        "types-PyYAML>=6.0",
        "vermin>=1.6",
    ],
}


class BuildPy(build_py):
    """Copies the package's files, the C library of backend native too, which it compiles where a compiler is."""

    def run(self):
        """Compiles and copies; without the library the package runs on plain torch."""
        native = runpy.run_path(str(ROOT / NAME / "native" / "build.py"))
        try:
            if not native["is_current"]():
                native["build"]()
        except native["BuildError"] as error:
            print(f"backend native is not built: {error}; the network runs on plain torch", file=sys.stderr)
        super().run()


setup(
    name=NAME,
    version=VERSION,
    description="DSPDet3D for ROS 2: finds small objects in accumulated RGB-D point clouds",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    # Named although it is the default: it makes an editable install put the project folder itself on the path, where
    # the package's extend_path() can merge it with the folder of the generated messages.
    package_dir={"": "."},
    package_data={
        NAME: ["models/*.yaml", "data/*", "data/oracle/*", "tools/viewer/page/template/*"]
        + ["native/*.so", "native/src/*"]
    },
    cmdclass={"build_py": BuildPy},
    # torch is only bounded below: which build fits (CPU, which CUDA) depends on the machine, so it is best installed
    # first, as `make setup` does. rclpy and the messages come with ROS 2 and cannot be named here.
    install_requires=["numpy>=1.21", "pillow>=9.0", "PyYAML>=5.4", "torch>=2.1", "tqdm>=4.60"],
    extras_require={**EXTRAS, "all": sorted({requirement for extra in EXTRAS.values() for requirement in extra})},
    entry_points={
        "console_scripts": [
            "accumulator = dspdet3d_ros.ros.accumulator_node:main",
            "cloud_player = dspdet3d_ros.ros.tools.cloud_player:main",
            "dspdet3d = dspdet3d_ros.cli:main",
            "detector = dspdet3d_ros.ros.detector_node:main",
        ]
    },
    zip_safe=False,
)
