"""Every layout gives the same scene, and faults of a folder are named with the file."""

import shutil

import numpy as np
import pytest

pytest.importorskip("PIL", reason="images are read with Pillow")

from box_scene import BOX, surface_distance
from frame_folders import COUNT, LAYOUTS, write

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.mapping.folders import open_frames
from dspdet3d_ros.mapping.frame import FrameRefused
from dspdet3d_ros.mapping.fusing import fuse_frames
from dspdet3d_ros.mapping.map_settings import MapSettings

SETTINGS = MapSettings(refine=False, voxel_size=0.02)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_fuses_to_the_scene(layout, tmp_path):
    folder = open_frames(write(layout, tmp_path / "frames"))
    assert folder.layout == layout
    assert folder.notes == ()
    cloud, report = fuse_frames(folder, SETTINGS)
    assert (report.used, report.frames, dict(report.refused)) == (COUNT, COUNT, {})
    assert np.quantile(surface_distance(cloud.xyz), 0.95) < 0.005
    lid = (np.abs(cloud.xyz[:, :2]).max(1) < 0.1) & (np.abs(cloud.xyz[:, 2] - 0.25) < 0.005)
    assert lid.sum() > 50
    np.testing.assert_allclose(cloud.rgb[lid].mean(0), BOX, atol=8)
    assert report.thickness.planes > 20
    assert report.thickness.median_m < 0.002


def damaged(layout, tmp_path, change):
    folder = write(layout, tmp_path / "frames")
    change(folder)
    return folder


@pytest.mark.parametrize(
    ("layout", "change", "says"),
    [
        (
            "7-Scenes",
            lambda f: (f / "camera-intrinsics.txt").write_text("1 2 3"),
            "camera-intrinsics.txt: expected 3 x 3",
        ),
        ("7-Scenes", lambda f: [p.unlink() for p in f.glob("*.depth.png")], "no frame with a pose"),
        ("APC", lambda f: (f / "cam.info.txt").write_text("# Color\n1 2"), "Color camera intrinsic matrix"),
        ("APC", lambda f: (f / "cam.info.txt").write_text("# Color\n1 2\n1"), "cam.info.txt: the matrix of 'Color'"),
        ("TUM RGB-D", lambda f: (f / "depth.txt").write_text("no stamp"), "depth.txt: expected lines of a stamp"),
        ("ScanNet", lambda f: shutil.rmtree(f / "intrinsic"), "intrinsic_depth.txt: no such file"),
        (
            "Open3D",
            lambda f: (f / "scene.log").write_text("0 0 1\n1 0 0 0\n0 1 0\n0 0 1 0\n0 0 0 1"),
            "pose 0 has no four",
        ),
        ("Open3D", lambda f: (f / "intrinsic.json").write_text("{}"), "intrinsic.json: expected 'intrinsic_matrix'"),
        ("Open3D", lambda f: (f / "other.log").touch(), "has 2 trajectories"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named(layout, change, says, tmp_path):
    with pytest.raises(InputError, match=says):
        open_frames(damaged(layout, tmp_path, change))


def test_other_folders_are_no_frames(tmp_path):
    with pytest.raises(InputError, match="is no folder of RGB-D frames; expected"):
        open_frames(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        open_frames(tmp_path / "missing")


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (lambda f: (f / "frame-000003.depth.png").write_bytes(b"\x89PNG damaged"), "file", "frame-000003.depth.png"),
        (lambda f: (f / "frame-000003.color.png").write_bytes(b""), "file", "frame-000003.color.png"),
        (lambda f: (f / "frame-000003.pose.txt").unlink(), "file", "frame-000003.pose.txt"),
        (lambda f: np.savetxt(f / "frame-000003.pose.txt", np.full((4, 4), np.nan)), "pose", "not finite"),
        (lambda f: shutil.copy(f / "frame-000003.color.png", f / "frame-000003.depth.png"), "depth", "16 bits"),
    ],
    ids=["depth", "colour", "no pose", "lost pose", "no depth image"],
)
def test_a_damaged_frame_is_refused_and_the_others_are_used(change, kind, says, tmp_path):
    folder = open_frames(damaged("7-Scenes", tmp_path, change))
    cloud, report = fuse_frames(folder, SETTINGS)
    assert dict(report.refused) == {kind: 1}
    assert report.used == COUNT - 1
    assert len(report.texts) == 1
    assert "frame-000003" in report.texts[0]
    assert says in report.texts[0]
    assert np.quantile(surface_distance(cloud.xyz), 0.95) < 0.005


def test_a_truncated_image_is_refused(tmp_path):
    folder = write("7-Scenes", tmp_path / "frames")
    path = folder / "frame-000000.depth.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FrameRefused, match=r"frame-000000.depth.png: cannot be decoded"):
        open_frames(folder).frames[0].read()


def test_tum_frames_without_a_pose_are_refused_and_bad_poses_are_noted(tmp_path):
    folder = write("TUM RGB-D", tmp_path / "frames")
    lines = (folder / "groundtruth.txt").read_text().splitlines()
    unusable = [line.rsplit(" ", 1)[0] + " 9.0" for line in lines[1:3]]
    # The poses of the last second are missing.
    (folder / "groundtruth.txt").write_text("\n".join([*unusable, *lines[3:55]]))
    found = open_frames(folder)
    assert "2 lines are no pose" in found.notes[0]
    _, report = fuse_frames(found, SETTINGS)
    assert report.refused["pose"] == 2
    assert "the nearest one is" in report.texts[0]


def test_a_header_of_tum_poses_with_w_first_is_followed(tmp_path):
    folder = write("TUM RGB-D", tmp_path / "frames")
    file = folder / "groundtruth.txt"
    words = [line.split() for line in file.read_text().splitlines()[1:]]
    lines = [" ".join([*row[:4], row[7], *row[4:7]]) for row in words]
    file.write_text("\n".join(["# timestamp tx ty tz qw qx qy qz", *lines]))
    found = open_frames(folder)
    assert "qw before qx" in found.notes[0]
    cloud, _ = fuse_frames(found, SETTINGS)
    assert np.quantile(surface_distance(cloud.xyz), 0.95) < 0.005


def log_of(folder, kept, numbers=lambda k: k):
    """Leaves the poses of some images in the trajectory of an Open3D folder."""
    lines = (folder / "scene.log").read_text().splitlines()
    blocks = [lines[start : start + 5] for start in range(0, len(lines), 5)]
    text = ["\n".join([f"{numbers(k)} 0 0", *blocks[k][1:]]) for k in kept]
    (folder / "scene.log").write_text("\n".join(text))


def test_images_without_a_pose_in_an_open3d_log_are_left_out(tmp_path):
    folder = write("Open3D", tmp_path / "frames")
    log_of(folder, [1, 2, 5, 6, 7])
    found = open_frames(folder)
    assert found.notes == (f"scene.log has no pose for {COUNT - 5} of {COUNT} depth images",)
    assert [source.name for source in found.frames] == [f"{k:05d}.png" for k in (1, 2, 5, 6, 7)]
    cloud, report = fuse_frames(found, SETTINGS)
    assert report.used == 5
    assert np.quantile(surface_distance(cloud.xyz), 0.95) < 0.005


def test_an_open3d_log_with_numbers_of_no_images_is_taken_in_order(tmp_path):
    folder = write("Open3D", tmp_path / "frames")
    log_of(folder, range(COUNT), lambda k: 1000 + k)
    assert len(open_frames(folder).frames) == COUNT
    log_of(folder, range(COUNT - 2), lambda k: 0)
    found = open_frames(folder)
    assert len(found.frames) == COUNT - 2
    assert "the first 6 of both are used" in found.notes[0]
    (folder / "scene.log").write_text("")
    with pytest.raises(InputError, match=r"scene.log: has no pose"):
        open_frames(folder)


@pytest.mark.parametrize("layout", ["ScanNet", "Open3D"])
def test_hidden_files_of_a_copy_are_no_images(layout, tmp_path):
    folder = write(layout, tmp_path / "frames")
    for image in [*folder.glob("*/*.png"), *folder.glob("*/*.jpg")]:
        image.with_name(f"._{image.name}").write_bytes(b"resource fork")
    assert all(source.read().colour is not None for source in open_frames(folder).frames)


def test_missing_intrinsics_are_noted_or_named(tmp_path):
    folder = write("7-Scenes", tmp_path / "frames")
    (folder / "camera-intrinsics.txt").unlink()
    assert "585" in open_frames(folder).notes[0]
    frame = open_frames(folder, (140.0, 140.0, 79.5, 59.5)).frames[0].read()
    assert frame.camera.fx == 140.0
    assert open_frames(folder, (140.0, 140.0, 79.5, 59.5)).notes == ()
