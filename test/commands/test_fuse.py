"""`dspdet3d fuse`: frames in, a cloud file and a report out."""

import json

import numpy as np
import pytest
import torch

pytest.importorskip("PIL", reason="images are read with Pillow")

from box_scene import surface_distance
from frame_folders import COUNT, save_depth, seven_scenes, write

from dspdet3d_ros.cli import main
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.mapping.accumulator import Accumulator

PLAIN = ("--no-refine", "--voxel-size", "0.02")


@pytest.mark.parametrize("suffix", ["ply", "npz", "pcd"])
def test_the_cloud_and_the_report_are_written(suffix, tmp_path, capsys):
    folder, out, report = write("7-Scenes", tmp_path / "frames"), tmp_path / f"c.{suffix}", tmp_path / "r.json"
    assert main(["fuse", str(folder), "-o", str(out), "--report", "--json", str(report), *PLAIN]) == 0
    cloud = read_cloud(out)
    assert np.quantile(surface_distance(cloud.xyz), 0.95) < 0.005
    assert cloud.rgb is not None
    printed = capsys.readouterr().out
    assert f"7-Scenes: {COUNT} of {COUNT} frames used; refused: none" in printed
    assert "plane thickness: median" in printed
    values = json.loads(report.read_text())
    assert (values["used"], values["refused"], values["points"]) == (COUNT, {}, len(cloud.xyz))
    assert values["thickness_mm"] < 2


def test_refused_frames_are_reported_by_reason(tmp_path, capsys):
    folder = write("7-Scenes", tmp_path / "frames")
    (folder / "frame-000002.depth.png").unlink()
    save_depth(folder / "frame-000002.depth.png", np.zeros((120, 160)))
    (folder / "frame-000005.pose.txt").write_text("nan " * 16)
    assert main(["fuse", str(folder), "-o", str(tmp_path / "c.ply"), "--report", *PLAIN]) == 0
    printed = capsys.readouterr().out
    assert f"{COUNT - 2} of {COUNT} frames used; refused: 1 depth, 1 pose" in printed
    assert "frame-000002: depth image: no pixel has a depth" in printed


def test_up_makes_the_floor_level(tmp_path):
    # The world of these poses has y down, as in cameras.
    folder = tmp_path / "frames"
    folder.mkdir()
    seven_scenes(folder)
    to_y_down = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    for k in range(COUNT):
        pose = np.loadtxt(folder / f"frame-{k:06d}.pose.txt")
        np.savetxt(folder / f"frame-{k:06d}.pose.txt", to_y_down @ pose)
    for up in (["-y"], ["0.05", "-1", "0.06"]):
        assert main(["fuse", str(folder), "-o", str(tmp_path / "c.npz"), "--up", *up, *PLAIN]) == 0
        xyz = read_cloud(tmp_path / "c.npz").xyz
        floor = xyz[xyz[:, 2] < 0.05]
        slope = np.linalg.lstsq(np.column_stack([floor[:, :2], np.ones(len(floor))]), floor[:, 2], rcond=None)[0]
        assert np.abs(slope[:2]).max() < 0.003
        assert (np.abs(xyz[:, 2] - 0.25) < 0.01).sum() > 100


def test_a_part_of_the_frames_is_fused(tmp_path, capsys):
    folder = write("7-Scenes", tmp_path / "frames")
    part = ["--first", "2", "--count", "4"]
    assert main(["fuse", str(folder), "-o", str(tmp_path / "c.ply"), *part, *PLAIN]) == 0
    assert "4 frames used, 0 refused" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "c.las"], "c.las: expected a cloud file with the suffix"),
        (["-o", "c.ply", "--voxel-size", "0"], "--voxel-size: expected a number in 0.002..0.2, got 0"),
        (["-o", "c.ply", "--min-distance", "9"], "min_distance: expected less than max_distance"),
        (["-o", "c.ply", "--up", "0", "0", "0"], "--up: expected x, y, z"),
        (["-o", "c.ply", "--up", "left"], "--up: expected x, y, z"),
        (["-o", "c.ply", "--first", "99"], "has no frame 99"),
        (["-o", "c.ply", "--min-observations", "99"], "no surface was measured by 99 frames"),
        (["-o", "c.ply", "--device", "cudda"], "device: expected auto, cpu, cuda or cuda:n, got 'cudda'"),
        (["-o", "c.ply", "--device", "cuda:99"], "device: 'cuda:99' is not there"),
    ],
)
def test_unusable_arguments_are_named(arguments, says, tmp_path, capsys, monkeypatch):
    folder = write("7-Scenes", tmp_path / "frames")
    monkeypatch.chdir(tmp_path)
    assert main(["fuse", str(folder), *arguments]) == 1
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "c.ply").exists()


@pytest.mark.parametrize(("option", "name"), [("-o", "c.ply"), ("--json", "r.json")])
def test_a_file_that_cannot_be_written_is_named_before_the_frames_are_fused(option, name, tmp_path, capsys):
    folder = write("7-Scenes", tmp_path / "frames")
    (tmp_path / "file").write_text("")
    out = {"-o": str(tmp_path / "c.ply"), option: str(tmp_path / "file" / name)}
    arguments = [word for pair in out.items() for word in pair]
    # The frames would give no point.
    assert main(["fuse", str(folder), *arguments, "--min-observations", "99"]) == 1
    assert f"{name}: cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "c.ply").exists()


def test_a_map_that_was_emptied_is_said_without_a_report(tmp_path, capsys):
    folder = write("7-Scenes", tmp_path / "frames")
    # 30 m farther from the third frame on: another recording, or a new localisation.
    for k in range(2, COUNT):
        pose = np.loadtxt(folder / f"frame-{k:06d}.pose.txt")
        pose[0, 3] += 30
        np.savetxt(folder / f"frame-{k:06d}.pose.txt", pose)
    assert main(["fuse", str(folder), "-o", str(tmp_path / "c.ply"), "--min-observations", "1", *PLAIN]) == 0
    assert "the map was emptied, and earlier frames are not in the cloud: frame-000006" in capsys.readouterr().err


def test_a_missing_folder_is_named(tmp_path, capsys):
    assert main(["fuse", str(tmp_path / "no"), "-o", str(tmp_path / "c.ply")]) == 1
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "used"), [((), 1), (("--threads", "3"), 3)])
def test_one_thread_works_unless_more_are_asked_for(given, used, tmp_path, monkeypatch):
    """More are slower; see docs/mapping.md."""
    seen, insert = [], Accumulator.insert

    def watched(accumulator, frame):
        seen.append(torch.get_num_threads())
        return insert(accumulator, frame)

    monkeypatch.setattr(Accumulator, "insert", watched)
    folder, out = write("7-Scenes", tmp_path / "frames"), tmp_path / "c.ply"
    assert main(["fuse", str(folder), "-o", str(out), *given, *PLAIN]) == 0
    assert set(seen) == {used}
