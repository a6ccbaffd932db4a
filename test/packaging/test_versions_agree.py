import re
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import dspdet3d_ros

ROOT = Path(__file__).resolve().parents[2]


def test_package_xml_names_the_version_of_the_package():
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == dspdet3d_ros.__version__


def test_cmake_names_the_version_of_the_package():
    project = re.search(r"project\(dspdet3d_ros VERSION (\S+)\)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))
    assert project is not None
    assert project[1] == dspdet3d_ros.__version__


def test_pip_knows_the_version_of_the_package():
    try:
        installed = metadata.version("dspdet3d_ros")
    except metadata.PackageNotFoundError:
        pytest.skip("dspdet3d_ros was not installed with pip")
    assert installed == dspdet3d_ros.__version__


def test_the_citation_names_the_version_of_the_package():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == dspdet3d_ros.__version__
