from pathlib import Path

from dspdet3d_ros.ros.parameters import BY_NAME, config_yaml

ROOT = Path(__file__).resolve().parents[2]


def test_the_parameter_file_has_every_parameter_with_its_default():
    assert (ROOT / "config" / "detector.yaml").read_text(encoding="utf-8") == config_yaml()


def test_launch_sets_only_parameters_that_the_node_has():
    source = (ROOT / "launch" / "detector.launch.py").read_text(encoding="utf-8")
    for name in ("model", "checkpoint", "device", "pruning_threshold", "autostart"):
        assert f'"{name}"' in source
        assert name in BY_NAME
