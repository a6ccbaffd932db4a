"""The indoor format of mmdet3d: read aligned and checked, on small files and on the real ones."""

import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.classes import class_lists, scannet_md40, toscene_down
from dspdet3d_ros.learning.datasets.folders import open_scenes
from dspdet3d_ros.learning.datasets.infos import enclosing_boxes, open_infos

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def held(xyz, box, slack=0.01):
    """Number of points in a box."""
    return int((np.abs(xyz - box[:3]) <= box[3:6] / 2 + slack).all(1).sum())


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_points_are_aligned_with_their_boxes(infos, protocol):
    scenes = open_infos(infos.write(protocol=protocol))
    assert len(scenes) == 2
    assert scenes.groups == {"small": scannet_md40().small}
    for scene in scenes:
        assert scene.xyz.dtype == scene.boxes.dtype == np.float32
        assert len(scene.xyz) == 700
        assert scene.names == ("chair", "cup")
        assert all(held(scene.xyz, box, 1e-4) >= 200 for box in scene.boxes)
    assert [scene.name for scene in scenes] == ["scene0000_00", "scene0001_00"]


def test_a_scene_without_objects_and_without_alignment_is_a_scene(infos):
    infos.infos[0]["annos"] = {"gt_num": 0, "axis_align_matrix": np.eye(4)}
    del infos.infos[1]["annos"]["axis_align_matrix"]
    first, second = open_infos(infos.write())
    assert first.boxes.shape == (0, 6)
    assert first.names == ()
    stored = np.fromfile(infos.folder / "points" / "scene0001_00.bin", "<f4").reshape(-1, 6)
    np.testing.assert_array_equal(second.xyz, stored[:, :3])


def test_the_newer_layout_with_categories_is_read(infos):
    old = infos.infos[0]
    boxes = old["annos"]["gt_boxes_upright_depth"].tolist()
    things = [{"bbox_3d": box, "bbox_label_3d": label} for box, label in zip(boxes, (1, 0), strict=True)]
    things.append({"bbox_3d": [0.0] * 6, "bbox_label_3d": -1})
    entry = {
        "lidar_points": {"num_pts_feats": 6, "lidar_path": "scene0000_00.bin"},
        "instances": things,
        "axis_align_matrix": old["annos"]["axis_align_matrix"].tolist(),
    }
    infos.infos = {"metainfo": {"categories": {"nut": 0, "bolt": 1}}, "data_list": [entry]}
    (scene,) = open_infos(infos.write())
    assert scene.names == ("bolt", "nut")
    assert all(held(scene.xyz, box, 1e-4) >= 200 for box in scene.boxes)


def test_turned_boxes_are_given_as_the_boxes_that_enclose_them():
    box = [1, 2, 3, 2, 1, 0.5]
    turned = np.array([[*box, angle] for angle in (0, np.pi / 2, np.pi / 4, -np.pi / 4)])
    diagonal = 3 / np.sqrt(2)
    expected = [[2, 1, 0.5], [1, 2, 0.5], [diagonal, diagonal, 0.5], [diagonal, diagonal, 0.5]]
    np.testing.assert_allclose(enclosing_boxes(turned)[:, 3:], expected, atol=1e-12)
    np.testing.assert_array_equal(enclosing_boxes(turned)[:, :3], turned[:, :3])


def test_ids_stand_for_the_given_classes_where_the_file_has_no_names(infos):
    for info in infos.infos:
        del info["annos"]["name"]
    path = infos.write()
    with pytest.raises(InputError, match="names no classes"):
        open_infos(path)
    scenes = open_infos(path, scannet_md40().classes)
    assert next(iter(scenes)).names == ("chair", "cup")
    assert scenes.groups == {"small": scannet_md40().small}
    with pytest.raises(InputError, match=r"class id 5 is out of range: the model has 2 classes"):
        open_infos(path, ("a", "b"))


def test_names_that_were_assumed_are_said(infos, caplog):
    path = infos.write()
    open_infos(path, ("a", "b"))
    assert caplog.messages == [], "the file names its classes"
    for info in infos.infos:
        del info["annos"]["name"]
    open_infos(infos.write(), scannet_md40().classes)
    (message,) = caplog.messages
    assert f"{path}: does not name its classes" in message
    assert "bathtub, bed, bench" in message


def of_dataset(infos, **metainfo):
    """An info file of mmdet3d 1.1, with class ids 1 and 0 and without names."""
    boxes = infos.infos[0]["annos"]["gt_boxes_upright_depth"].tolist()
    entry = {
        "lidar_points": {"num_pts_feats": 6, "lidar_path": "scene0000_00.bin"},
        "instances": [{"bbox_3d": box, "bbox_label_3d": k} for box, k in zip(boxes, (1, 0), strict=True)],
    }
    infos.infos = {"metainfo": metainfo, "data_list": [entry]}
    return infos.write()


@pytest.mark.parametrize("metainfo", [{"dataset": "S3DIS"}, {"DATASET": "s3dis"}, {"dataset": "S3DISDataset"}])
def test_a_known_data_set_has_its_own_classes_whatever_the_model(infos, caplog, metainfo):
    scenes = open_infos(of_dataset(infos, **metainfo), ("cup", "book"))
    assert next(iter(scenes)).names == ("chair", "table")
    assert caplog.messages == []


@pytest.mark.parametrize("key", ["dataset", "Dataset", "DATASET", "dataset_name", "DATASET_TYPE"])
@pytest.mark.parametrize("name", ["Matterport3D", "ScanNet++", "scannet200"])
def test_a_data_set_whose_classes_nobody_knows_never_gets_those_of_the_model(infos, key, name):
    path = of_dataset(infos, **{key: name})
    for classes in (("cup", "book"), None):
        with pytest.raises(InputError, match=rf"data set '{re.escape(name)}', whose classes are not known.*add its 'c"):
            open_infos(path, classes)


@pytest.mark.parametrize(
    "metainfo",
    [
        {"categories": {"cup": 0, "nut": 1}},
        {"Categories": {"cup": np.int64(0), "nut": np.int64(1)}},
        {"cat2label": {"nut": 1, "cup": 0}},
        {"classes": ["cup", "nut"]},
        {"CLASSES": ("cup", "nut")},
        {"class_names": np.array(["cup", "nut"])},
    ],
    ids=lambda metainfo: next(iter(metainfo)),
)
@pytest.mark.parametrize("dataset", [{}, {"dataset": "own"}, {"dataset": "scannet"}])
def test_classes_of_the_file_come_first(infos, caplog, metainfo, dataset):
    path = of_dataset(infos, **metainfo, **dataset)
    assert next(iter(open_infos(path, ("a", "b")))).names == ("nut", "cup")
    assert caplog.messages == []


def test_an_unknown_data_set_keeps_the_names_of_its_objects(infos):
    """It is not taken for ScanNet, which has the same names with other ids."""
    scenes = [info | {"annos": info["annos"] | {"class": np.array([0, 1])}} for info in infos.infos]
    infos.infos = {"metainfo": {"dataset": "own"}, "data_list": scenes}
    assert next(iter(open_infos(infos.write()))).names == ("chair", "cup")


def test_ones_own_ids_for_names_that_others_have_too_are_taken_as_they_are(infos):
    for info in infos.infos:
        info["annos"]["class"] = np.array([0, 1])
    scenes = open_infos(infos.write(), ("a", "b"))
    assert next(iter(scenes)).names == ("chair", "cup")
    assert scenes.groups == {}


@pytest.mark.parametrize(
    ("metainfo", "text"),
    [
        ({"categories": ["cup", "book"]}, "metainfo 'categories': expected class names with whole numbers"),
        ({"categories": {"cup": 0, "book": 2}}, "metainfo .categories.: expected class names with ids 0 to 1"),
        ({"classes": "all"}, "metainfo 'classes': expected a list of class names"),
        ({"CLASSES": [1, 2]}, "metainfo 'classes': expected a list of class names"),
        ({"classes": []}, "metainfo 'classes': expected a list of class names"),
    ],
)
def test_a_list_of_classes_that_is_none_is_named_and_not_passed_over(infos, metainfo, text):
    with pytest.raises(InputError, match=rf"scannet_infos_val\.pkl: {text}"):
        open_infos(of_dataset(infos, **metainfo), ("cup", "book"))


def test_names_of_ones_own_are_taken_as_they_are(infos):
    for info in infos.infos:
        info["annos"]["name"] = np.array(["nut", "bolt"])
    scenes = open_infos(infos.write())
    assert next(iter(scenes)).names == ("nut", "bolt")
    assert scenes.groups == {}
    infos.infos[1]["annos"]["name"] = np.array(["bolt", "nut"])
    with pytest.raises(InputError, match="named otherwise elsewhere"):
        open_infos(infos.write())


def annos(change):
    return lambda infos: infos[1]["annos"].update(change)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            annos({"class": np.array([5, 22])}),
            r"scene0001_00: class id 22 is out of range: ScanNet-md40 has 22 classes",
        ),
        (annos({"class": np.array([5, -1])}), "class id -1 is out of range"),
        (annos({"class": np.array([5, 7])}), "class id 7 is 'curtain' in ScanNet-md40, but the object is named 'cup'"),
        (annos({"class": np.array([5])}), r"'class' has 1 entries, expected 2"),
        (annos({"class": np.array([5.0, 6.0])}), "integers"),
        (annos({"class": ["a", "b"]}), "integers"),
        (annos({"name": np.array(["chair"])}), "'name' has 1 entries"),
        (annos({"name": 3}), "class names"),
        (annos({"gt_num": 3}), "expected 3"),
        (annos({"gt_boxes_upright_depth": np.zeros((2, 5))}), r"\(2, 5\)"),
        (annos({"gt_boxes_upright_depth": [[1, 2], [3]]}), "expected numbers"),
        (annos({"gt_boxes_upright_depth": np.full((2, 6), np.nan)}), "not finite"),
        (annos({"gt_boxes_upright_depth": np.full((2, 6), -1.0)}), "below zero"),
        (annos({"axis_align_matrix": np.eye(3)}), "axis_align_matrix"),
        (annos({"axis_align_matrix": np.full((4, 4), 2.0)}), "axis_align_matrix"),
        (lambda infos: infos[1].pop("annos"), "no 'annos'"),
        (lambda infos: infos[1].update(annos=[1]), "'annos': expected a mapping"),
        (lambda infos: infos[1]["point_cloud"].update(num_features=4), "4 columns, expected 6"),
        (lambda infos: infos[1].update(pts_path="points/none.bin"), r"none\.bin: no such file"),
        (lambda infos: infos[1].update(pts_path="../a.bin"), "inside the folder"),
        (lambda infos: infos[1].update(pts_path="/etc/passwd"), "inside the folder"),
        (lambda infos: infos[1].pop("pts_path"), "pts_path"),
        (lambda infos: infos.append("text"), "scene 2: expected a mapping"),
    ],
)
def test_faults_are_named_in_one_line(infos, spoil, message):
    spoil(infos.infos)
    with pytest.raises(InputError, match=rf"scannet_infos_val\.pkl.*{message}") as caught:
        open_infos(infos.write())
    assert "\n" not in str(caught.value)


def test_points_of_another_number_of_columns_or_cut_short_are_named(infos):
    path = infos.folder / "points" / "scene0000_00.bin"
    points = np.fromfile(path, "<f4").reshape(-1, 6)
    scenes = open_infos(infos.write())
    points[:600, :4].tofile(path)
    with pytest.raises(InputError, match=r"scene0000_00\.bin: has no colours \(0\.\.255\) in columns 4 to 6"):
        next(iter(scenes))
    path.write_bytes(points.tobytes()[:-5])
    with pytest.raises(InputError, match=r"scene0000_00\.bin: has \d+ bytes"):
        next(iter(scenes))


@pytest.mark.parametrize("contents", [3, {"a": 1}, {"data_list": 3}, "text", None])
def test_a_pickle_of_something_else_is_named(tmp_path, contents):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(contents))
    with pytest.raises(InputError, match=r"a\.pkl"):
        open_infos(tmp_path / "a.pkl")


def test_small_classes_are_classes():
    assert len(toscene_down().small) == 52
    assert "bag" in toscene_down().small
    assert "cup" in scannet_md40().small
    for known in class_lists():
        assert known.small < set(known.classes)


@pytest.mark.skipif(not (DATA / "scannet").is_dir(), reason="the real ScanNet scene is not there")
def test_the_real_scannet_scene_has_points_in_each_of_its_27_boxes():
    (scene,) = open_scenes(DATA / "scannet")
    assert len(scene.boxes) == len(scene.names) == 27
    counts = [held(scene.xyz, box) for box in scene.boxes]
    assert min(counts) > 20
    reference = np.load(DATA / "scannet" / "scannet_scene0000_00.npz")
    np.testing.assert_allclose(scene.xyz, reference["xyz"], atol=1e-4)
    np.testing.assert_allclose(scene.boxes, reference["boxes"], atol=1e-5)
    assert scene.names == tuple(reference["labels"])


@pytest.mark.skipif(not (DATA / "sunrgbd").is_dir(), reason="the real SUN RGB-D frame is not there")
def test_the_real_sunrgbd_frame_has_its_turned_boxes_enclosed(tmp_path):
    shutil.copy(DATA / "sunrgbd" / "demo_data_sunrgbd_000017.bin", tmp_path / "000017.bin")
    shutil.copy(DATA / "sunrgbd" / "demo_data_sunrgbd_sunrgbd_000017_infos.pkl", tmp_path / "sunrgbd_infos.pkl")
    (scene,) = open_scenes(tmp_path)
    assert scene.names == ("night_stand", "bed")
    turned = np.load(DATA / "sunrgbd" / "sunrgbd_000017.npz")["boxes"]
    for box, (x, y, z, dx, dy, dz, yaw) in zip(scene.boxes, turned, strict=True):
        c, s = np.cos(yaw), np.sin(yaw)
        corners = np.array([[i * dx / 2, j * dy / 2] for i in (-1, 1) for j in (-1, 1)]) @ [[c, s], [-s, c]] + [x, y]
        np.testing.assert_allclose(corners.min(0), box[:2] - box[3:5] / 2, atol=1e-5)
        np.testing.assert_allclose(corners.max(0), box[:2] + box[3:5] / 2, atol=1e-5)
        assert box[[2, 5]] == pytest.approx([z, dz], abs=1e-6)
        assert held(scene.xyz, box) > 100
