"""The command that writes a bag of the demo room."""

import pytest

pytest.importorskip("rosbags")

from dspdet3d_ros.cli import main
from dspdet3d_ros.recordings.bags import BagReader


def test_a_bag_is_written_and_listed(tmp_path, capsys):
    assert main(["record-demo", str(tmp_path / "walk"), "--frames", "3", "--storage", "sqlite3"]) == 0
    assert "/camera/aligned_depth_to_color/image_raw" in capsys.readouterr().out
    with BagReader(tmp_path / "walk") as bag:
        depth = [r.message for r in bag.records(["/camera/aligned_depth_to_color/image_raw"])]
    assert len(depth) == 3
    assert all(message.data.any() for message in depth)


@pytest.mark.parametrize(
    ("argument", "value"), [("--frames", "0"), ("--rate", "-1"), ("--rate", "nan"), ("--rate", "1e-9")]
)
def test_numbers_out_of_range_are_refused_by_name(tmp_path, capsys, argument, value):
    assert main(["record-demo", str(tmp_path / "walk"), argument, value]) == 1
    assert argument in capsys.readouterr().err
    assert not (tmp_path / "walk").exists()
