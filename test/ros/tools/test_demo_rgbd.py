"""The demo of the depth camera: images to the accumulator, its map to the detector, in real processes."""

import json

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("torch")
pytest.importorskip("rosbags")

from dspdet3d_ros.ros.tools.demo_rgbd import main, used_text


def test_the_map_grows_until_the_last_image_is_in_it(tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--frames", "24", "--rate", "4"]) == 0
    said = capsys.readouterr().out
    assert "objects found in the last map" in said
    assert "of 24 images are in the map" in said
    states = json.loads((tmp_path / "states.json").read_text())["states"]
    assert states[-1]["frames"] == 24
    assert states[-1]["points"] > 500
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in ("first", "middle", "last"))


def test_images_that_a_busy_machine_drops_are_said():
    assert "lower --rate (now 10 images per second)" in used_text(124, 200, 10.0)
    assert used_text(199, 200, 10.0) == "199 of 200 images are in the map"


@pytest.mark.parametrize(("argument", "value"), [("--frames", "2"), ("--rate", "0")])
def test_numbers_out_of_range_are_refused_by_name(tmp_path, capsys, argument, value):
    assert main(["--out", str(tmp_path), argument, value]) == 1
    assert argument in capsys.readouterr().err
