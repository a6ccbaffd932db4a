"""TO-SCENE's own files, small, to TO-SCENE-down."""

import re

import numpy as np
import pytest

from dspdet3d_ros.cli import main
from dspdet3d_ros.learning.datasets.classes import toscene_down
from dspdet3d_ros.learning.datasets.folders import open_scenes
from dspdet3d_ros.learning.datasets.toscene import SOURCE_IDS, most_points, read_scan

#: A table, a bottle and a small mug, by the source's label ids; instance labels are in this order but with gaps.
THINGS = [
    (7, 4, [0, 0, 0.4, 1.5, 0.8, 0.8], 2000),
    (42, 9, [0.2, 0, 0.95, 0.1, 0.1, 0.3], 3000),
    (57, 11, [-0.3, 0.1, 0.84, 0.08, 0.1, 0.09], 10),
]


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    xyz, semantic, instance = [rng.uniform(-3, 3, (500, 3))], [np.full(500, 1)], [np.zeros(500, int)]
    for label, number, box, count in THINGS:
        low, size = np.array(box[:3]) - np.array(box[3:]) / 2, box[3:]
        xyz.append(low + rng.uniform(0, size, (count, 3)))
        semantic.append(np.full(count, label))
        instance.append(np.full(count, number))
    order = rng.permutation(sum(map(len, xyz)))
    xyz = np.concatenate(xyz)[order]
    return {
        "xyz": xyz,
        "color": rng.integers(0, 256, xyz.shape),
        "semantic_label": np.concatenate(semantic)[order],
        "instance_label": np.concatenate(instance)[order],
        "bbox": np.array([[*box, label] for label, _, box, _ in THINGS]),
    }


@pytest.fixture
def source(tmp_path):
    for split, count in (("train", 2), ("val", 1)):
        (tmp_path / "raw" / split).mkdir(parents=True)
        for number in range(count):
            np.savez(tmp_path / "raw" / split / f"{split}_{number}.npz", **arrays(number))
    return tmp_path / "raw"


def test_the_source_ids_are_those_of_the_70_classes():
    assert len(SOURCE_IDS) == len(set(SOURCE_IDS)) == len(toscene_down().classes) == 70
    by_name = dict(zip(toscene_down().classes, SOURCE_IDS, strict=True))
    assert [by_name[name] for name in ("cabinet", "garbagebin", "bag", "vase", "vegetables")] == [3, 39, 41, 92, 93]


def test_the_most_points_follow_the_published_formula():
    assert most_points(np.array([0.1, 0.1, 0.3])) == int(9000 / 3700 * 1200 * 0.03) == 87
    assert most_points(np.array([0.5, 0.3, 0.1])) == int(6000 / 3700 * 1200 * 0.15) == 291


def test_points_of_small_objects_are_thinned_and_no_others(source):
    before = arrays(0)
    scan = read_scan(source / "train" / "train_0.npz", seed=0)
    counts = {label: int((scan.semantic == label).sum()) for label in (1, 7, 42, 57)}
    assert counts == {1: 500, 7: 2000, 42: 87, 57: 10}
    assert len(scan.points) == len(scan.instance) == 500 + 2000 + 87 + 10
    rows = {tuple(row) for row in before["xyz"].astype(np.float32).tolist()}
    assert {tuple(row) for row in scan.points[:, :3].tolist()} <= rows


def test_a_box_without_points_leaves_the_others_their_objects(source):
    values = arrays(0)
    # Another bottle, larger, of which no point is left: by position the mug's points would be the bottle's.
    values["bbox"] = np.insert(values["bbox"], 0, [2, 0, 0.9, 0.05, 0.05, 0.1, 39], axis=0)
    path = source / "train" / "train_0.npz"
    np.savez(path, **values)
    scan = read_scan(path, seed=0)
    assert {label: int((scan.semantic == label).sum()) for label in (7, 42, 57)} == {7: 2000, 42: 87, 57: 10}
    assert len(scan.boxes) == 4


def test_the_choice_is_of_the_seed_and_the_name(source):
    path = source / "train" / "train_0.npz"
    first, again, other = (read_scan(path, seed).points for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    renamed = path.rename(path.with_name("other.npz"))
    assert not np.array_equal(read_scan(renamed, 0).points, first)


def test_the_converted_set_is_read(source, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["dataset", "toscene", str(source), str(out)]) == 0
    assert "2 scans to train, 1 scans to val" in capsys.readouterr().out
    scenes = list(open_scenes(out, "train"))
    assert len(scenes) == 2
    assert scenes[0].names == ("table", "bottle", "mug")
    np.testing.assert_allclose(scenes[0].boxes, [box for _, _, box, _ in THINGS], atol=1e-6)
    for box in scenes[0].boxes:
        assert (np.abs(scenes[0].xyz - box[:3]) <= box[3:] / 2 + 1e-4).all(1).sum() >= 10
    assert open_scenes(out, "val").groups == {"small": toscene_down().small}


def test_scans_in_the_folder_itself_are_of_no_split(source, tmp_path):
    assert main(["dataset", "toscene", str(source / "train"), str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "toscene_infos.pkl").is_file()
    assert len(open_scenes(tmp_path / "out", "val")) == 2


def bad_id(values):
    values["bbox"][1, 6] = 40


def bad_columns(values):
    values["bbox"] = values["bbox"][:, :6]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (bad_id, "class id 40 is out of range"),
        (bad_columns, r"'bbox' has shape \(3, 6\)"),
        (lambda v: v.update(color=v["color"][:5]), "'color' has 5 rows"),
        (lambda v: v.update(bbox=v["bbox"][:2]), "3 labelled instances, but only 2 boxes"),
        (lambda v: v.update(bbox=v["bbox"][[1, 0, 2]]), "no box left that is of the class of instance 9"),
        (lambda v: v.pop("instance_label"), "no array 'instance_label'"),
        (lambda v: v.update(xyz=v["xyz"] * np.nan), "finite"),
        (lambda v: v.update(bbox=-v["bbox"]), "out of range"),
        (lambda v: v.update(xyz=np.array([None, 3], dtype=object)), "cannot read it"),
    ],
)
def test_faults_are_named_and_nothing_is_half_written(source, tmp_path, capsys, spoil, message):
    values = arrays(0)
    spoil(values)
    np.savez(source / "train" / "train_1.npz", **values)
    assert main(["dataset", "toscene", str(source), str(tmp_path / "out")]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.search(message, last)
    assert "train_1.npz" in last
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_truncated_and_absent_scans_are_named(source, tmp_path, capsys):
    path = source / "val" / "val_0.npz"
    path.write_bytes(path.read_bytes()[:-100])
    assert main(["dataset", "toscene", str(source), str(tmp_path / "out")]) == 1
    assert "val_0.npz: expected a scan of TO-SCENE, cannot read it" in capsys.readouterr().err
    assert main(["dataset", "toscene", str(tmp_path / "none"), str(tmp_path / "out")]) == 1
    assert "no scans" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
