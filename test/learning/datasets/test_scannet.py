"""ScanNet's own files, small, to ScanNet-md40."""

import json

import numpy as np
import pytest
from ply_bytes import ply_bytes

from dspdet3d_ros.cli import main
from dspdet3d_ros.learning.datasets.classes import scannet_md40
from dspdet3d_ros.learning.datasets.folders import open_scenes

NAME = "scene0000_00"
#: Turned by 90 degrees about z, then moved.
AXIS = "0 -1 0 3 1 0 0 -2 0 0 1 -0.1 0 0 0 1"
GROUPS = [("floor", [0]), ("office chair", [1, 2]), ("coffee mug", [3]), ("whiteboard", [4]), ("chair", [5])]


class Download:
    """A folder of two scans, and the label map."""

    def __init__(self, folder):
        self.folder, self.out, self.labels = folder / "scans", folder / "out", folder / "labels.tsv"
        rows = ["id\traw_category\tcategory\tModelNet40"]
        pairs = [("floor", "floor"), ("office chair", "chair"), ("chair", "chair"), ("coffee mug", "cup")]
        rows += [f"{i}\t{raw}\t{raw}\t{name}" for i, (raw, name) in enumerate([*pairs, ("whiteboard", "")])]
        self.labels.write_text("\n".join(rows) + "\n")
        self.xyz = self._scan(NAME)
        self._scan("scene0001_00")

    def path(self, ending, name=NAME):
        return self.folder / name / f"{name}{ending}"

    def _scan(self, name):
        (self.folder / name).mkdir(parents=True)
        rng = np.random.default_rng(0)
        xyz = np.concatenate([rng.uniform(0, 1, (40, 3)) + [2 * segment, segment, 0] for segment in range(7)])
        vertices = np.zeros(len(xyz), [(axis, "f4") for axis in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")])
        vertices["x"], vertices["y"], vertices["z"] = xyz.T
        vertices["red"] = 200
        self.path("_vh_clean_2.ply", name).write_bytes(ply_bytes(vertices))
        segments = np.repeat(np.arange(7), 40) * 11
        self.write("_vh_clean_2.0.010000.segs.json", {"segIndices": segments.tolist()}, name)
        groups = [
            {"objectId": number, "label": label, "segments": [11 * part for part in parts]}
            for number, (label, parts) in enumerate(GROUPS)
        ]
        self.write(".aggregation.json", {"segGroups": groups}, name)
        self.path(".txt", name).write_text(f"numColorFrames = 1\naxisAlignment = {AXIS} \nsceneType = Office\n")
        return xyz.astype(np.float32)

    def write(self, ending, values, name=NAME):
        self.path(ending, name).write_text(json.dumps(values))

    def convert(self, *arguments):
        return main(["dataset", "scannet", str(self.folder), str(self.out), "--labels", str(self.labels), *arguments])


@pytest.fixture
def download(tmp_path):
    return Download(tmp_path)


def test_objects_of_the_22_classes_come_out_with_boxes_round_their_aligned_points(download):
    assert download.convert() == 0
    scenes = list(open_scenes(download.out))
    assert [scene.name for scene in scenes] == [NAME, "scene0001_00"]
    x, y, z = download.xyz.astype(np.float64).T
    aligned = np.column_stack([-y + 3, x - 2, z - 0.1])
    np.testing.assert_allclose(scenes[0].xyz, aligned, atol=1e-5)
    assert scenes[0].names == ("chair", "cup", "chair")
    for box, rows in zip(scenes[0].boxes, (slice(40, 120), slice(120, 160), slice(200, 240)), strict=True):
        np.testing.assert_allclose(box[:3] - box[3:] / 2, aligned[rows].min(0), atol=1e-5)
        np.testing.assert_allclose(box[:3] + box[3:] / 2, aligned[rows].max(0), atol=1e-5)


def test_points_and_masks_are_as_the_original_tools_read_them(download):
    assert download.convert() == 0
    points = np.fromfile(download.out / "points" / f"{NAME}.bin", "<f4").reshape(-1, 6)
    np.testing.assert_array_equal(points[:, :3], download.xyz)
    assert (points[:, 3:] == [200, 0, 0]).all()
    instance, semantic = (
        np.fromfile(download.out / f"{kind}_mask" / f"{NAME}.bin", "<i8") for kind in ("instance", "semantic")
    )
    assert instance[::40].tolist() == [1, 2, 2, 3, 4, 5, 0]
    classes = scannet_md40().classes
    chair, cup, other = 2 + classes.index("chair"), 2 + classes.index("cup"), 2 + len(classes)
    assert semantic[::40].tolist() == [1, chair, chair, cup, other, chair, 0]


def test_the_scans_of_each_list_make_an_info_file(download, tmp_path, capsys):
    (tmp_path / "train.txt").write_text("scene0001_00\n")
    (tmp_path / "val.txt").write_text(f"{NAME}\n")
    assert download.convert("--train", str(tmp_path / "train.txt"), "--val", str(tmp_path / "val.txt")) == 0
    assert "1 scans to train, 1 scans to val" in capsys.readouterr().out
    assert [scene.name for scene in open_scenes(download.out, "train")] == ["scene0001_00"]
    assert [scene.name for scene in open_scenes(download.out, "val")] == [NAME]


def test_a_scan_without_alignment_is_aligned_already(download):
    download.path(".txt").write_text("sceneType = Office\n")
    assert download.convert() == 0
    scene = next(iter(open_scenes(download.out)))
    np.testing.assert_array_equal(scene.xyz, download.xyz)


def test_a_group_without_vertices_has_no_box(download):
    groups = [{"objectId": 0, "label": "chair", "segments": [999]}, {"objectId": 1, "label": "chair", "segments": [0]}]
    download.write(".aggregation.json", {"segGroups": groups})
    assert download.convert() == 0
    assert next(iter(open_scenes(download.out))).boxes.shape == (1, 6)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.path("_vh_clean_2.ply").unlink(), "_vh_clean_2.ply: no such file"),
        (
            lambda d: d.path("_vh_clean_2.ply").write_bytes(b"ply\nformat"),
            "_vh_clean_2.ply: has no complete PLY header",
        ),
        (lambda d: d.path("_vh_clean_2.0.010000.segs.json").unlink(), "segs.json: no such file"),
        (
            lambda d: d.write("_vh_clean_2.0.010000.segs.json", {"segIndices": [1]}),
            "has 1 entries, but the mesh has 280",
        ),
        (lambda d: d.write("_vh_clean_2.0.010000.segs.json", {}), "segs.json: damaged"),
        (lambda d: d.path(".aggregation.json").write_text('{"segGroups": ['), "aggregation.json: damaged"),
        (lambda d: d.write(".aggregation.json", {"segGroups": [{"label": "chair"}]}), "aggregation.json: damaged"),
        (
            lambda d: d.write(".aggregation.json", {"segGroups": [{"objectId": 1, "label": "ufo", "segments": []}]}),
            "'ufo' is not in the label map",
        ),
        (lambda d: d.path(".txt").unlink(), f"{NAME}.txt"),
        (lambda d: d.path(".txt").write_text("axisAlignment = 1 2 3"), "expected 16 numbers"),
        (lambda d: d.labels.write_text("id\tname\n1\tx\n"), "labels.tsv: expected a tab-separated table"),
        (lambda d: d.labels.unlink(), "labels.tsv: cannot be read"),
    ],
)
def test_faults_are_named_and_nothing_is_half_written(download, capsys, spoil, message):
    spoil(download)
    assert download.convert() == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not list(download.out.parent.glob("*out*"))


def test_absent_scans_and_full_folders_are_named(download, tmp_path, capsys):
    (tmp_path / "val.txt").write_text("scene9999_00\n")
    assert download.convert("--val", str(tmp_path / "val.txt")) == 1
    assert "no folder of the scan scene9999_00" in capsys.readouterr().err
    download.out.mkdir()
    (download.out / "mine").write_text("precious")
    assert download.convert() == 1
    assert "not an empty folder" in capsys.readouterr().err
    assert (download.out / "mine").read_text() == "precious"
