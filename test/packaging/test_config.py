from pathlib import Path

from dspdet3d_ros.ros.parameters import config_yaml

ROOT = Path(__file__).resolve().parents[2]


def test_the_parameter_file_has_every_parameter_with_its_default():
    assert (ROOT / "config" / "detector.yaml").read_text(encoding="utf-8") == config_yaml()
