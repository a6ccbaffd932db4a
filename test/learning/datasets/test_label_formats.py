"""Labels of annotation tools become labelled clouds: the same objects from each format; wrong ones are named."""

import json
import math

import numpy as np
import pytest

from dspdet3d_ros.cli import main
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.datasets.folders import open_scenes
from dspdet3d_ros.learning.datasets.formats.importing import FileFrame, import_labels
from dspdet3d_ros.learning.datasets.formats.oriented import OrientedBoxes, rotation

YAW = 0.5
# Centre, size in the frame of the box, angle about z.
OBJECTS = (("mug", [1.0, -0.5, 0.8], [0.1, 0.08, 0.12], 0.0), ("book", [0.2, 0.3, 0.77], [0.25, 0.18, 0.03], YAW))
XYZ = np.random.default_rng(0).uniform((0, -1, 0), (2, 1, 1), (400, 3)).astype(np.float32)


def hull(size, yaw):
    c, s = abs(math.cos(yaw)), abs(math.sin(yaw))
    return [size[0] * c + size[1] * s, size[0] * s + size[1] * c, size[2]]


def xyz_of(values):
    return dict(zip("xyz", map(float, values), strict=True))


def labelcloud(folder, angles="radians", corners=False):
    (folder / "labels").mkdir()
    np.savez(folder / "a.npz", xyz=XYZ)
    items = []
    for name, centre, size, yaw in OBJECTS:
        angle = yaw if angles == "radians" else math.degrees(yaw)
        item = {"name": name, "centroid": xyz_of(centre), "rotations": xyz_of([0, 0, angle])}
        item["dimensions"] = dict(zip(("length", "width", "height"), size, strict=True))
        if corners:
            # In labelCloud's order: length from 3 to 0, width from 1 to 0, height from 4 to 0.
            signs = np.array([(1, 1, 1), (1, -1, 1), (-1, -1, 1), (-1, 1, 1)])
            signs = np.concatenate([signs, signs * (1, 1, -1)])
            vertices = signs * np.array(size) / 2 @ rotate("z", yaw).T + centre
            item = {"name": name, "vertices": vertices.tolist()}
        items.append(item)
    contents = {"folder": "x", "filename": "a.npz", "path": "x/a.npz", "objects": items}
    (folder / "labels" / "a.json").write_text(json.dumps(contents))


def described(folder, name):
    (folder / "labels" / "_classes.json").write_text(json.dumps({"classes": [], "format": name}))


def kitti(folder, calibrated=False):
    (folder / "label_2").mkdir()
    (folder / "velodyne").mkdir()
    np.savez(folder / "velodyne" / "a.npz", xyz=XYZ)
    lines = ["DontCare -1 -1 -10 0 0 0 0 -1 -1 -1 -1000 -1000 -1000 -10"]
    # The camera looks along x of the scanner, 20 cm above it.
    rotate, offset = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]]), np.array([0.0, 0.2, 0])
    for name, centre, (length, width, height), yaw in OBJECTS:
        place, angle = np.array(centre), yaw
        if calibrated:
            place, angle = rotate @ (place - [0, 0, height / 2]) + offset, -yaw - math.pi / 2
        words = [name, 0, 0, 0, 0, 0, 0, 0, height, width, length, *place, angle]
        lines.append(" ".join(map(str, words)))
    (folder / "label_2" / "a.txt").write_text("\n".join(lines) + "\n")
    if calibrated:
        (folder / "calib").mkdir()
        move = " ".join(map(str, np.column_stack([rotate, offset]).ravel()))
        text = f"P0: 1 0 0 0 0 1 0 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: {move}\n"
        (folder / "calib" / "a.txt").write_text(text)


def supervisely(folder):
    own = folder / "dataset"
    (own / "ann").mkdir(parents=True)
    (own / "pointcloud").mkdir()
    (folder / "meta.json").write_text(json.dumps({"classes": []}))
    rows = "\n".join(" ".join(map(repr, row)) for row in XYZ.tolist())
    head = "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 400\nHEIGHT 1\nPOINTS 400\n"
    (own / "pointcloud" / "a.pcd").write_text(f"{head}DATA ascii\n{rows}\n")
    objects = [{"key": f"k{k}", "classTitle": name} for k, (name, *_) in enumerate(OBJECTS)]
    figures = [{"objectKey": "k0", "geometryType": "point_cloud", "geometry": {"indices": [1]}}]
    for k, (_, centre, size, yaw) in enumerate(OBJECTS):
        geometry = {"position": xyz_of(centre), "rotation": xyz_of([0, 0, yaw]), "dimensions": xyz_of(size)}
        figures.append({"objectKey": f"k{k}", "geometryType": "cuboid_3d", "geometry": geometry})
    contents = {"objects": objects, "figures": figures, "description": "", "tags": []}
    (own / "ann" / "a.pcd.json").write_text(json.dumps(contents))


def datumaro(folder):
    (folder / "annotations").mkdir()
    (folder / "point_clouds" / "default").mkdir(parents=True)
    np.savez(folder / "point_clouds" / "default" / "a.npz", xyz=XYZ)
    names = [name for name, *_ in OBJECTS]
    cuboids = [
        {"type": "cuboid_3d", "label_id": names.index(name), "position": centre, "rotation": [0, 0, yaw], "scale": size}
        for name, centre, size, yaw in OBJECTS
    ]
    item = {"id": "default/a", "annotations": [*cuboids, {"type": "points"}], "point_cloud": {"path": ""}}
    labels = {"labels": [{"name": name, "parent": ""} for name in names]}
    contents = {"info": {}, "categories": {"label": labels}, "items": [item]}
    (folder / "annotations" / "default.json").write_text(json.dumps(contents))


def degrees(folder):
    labelcloud(folder, "degrees")


def degrees_that_are_described(folder):
    labelcloud(folder, "degrees")
    described(folder, "centroid_abs")


def radians_that_are_described(folder):
    labelcloud(folder)
    described(folder, "centroid_rel")


FORMATS = {
    "labelCloud, radians": radians_that_are_described,
    "labelCloud, degrees": degrees,
    "labelCloud, degrees by _classes.json": degrees_that_are_described,
    "labelCloud, vertices": lambda folder: labelcloud(folder, corners=True),
    "KITTI in the frame of the cloud": kitti,
    "KITTI with a camera": lambda folder: kitti(folder, calibrated=True),
    "Supervisely": supervisely,
    "CVAT, Datumaro": datumaro,
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_same_objects(tmp_path, name):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    FORMATS[name](source)
    done = import_labels(source, out)
    assert (done.clouds, dict(done.objects), done.turned) == (1, {"mug": 1, "book": 1}, 1)
    assert done.untransformed == (name == "KITTI in the frame of the cloud")
    (scene,) = open_scenes(out)
    assert (scene.name, scene.names) == ("a", ("mug", "book"))
    np.testing.assert_array_equal(scene.xyz, XYZ)
    for box, (_, centre, size, yaw) in zip(scene.boxes, OBJECTS, strict=True):
        np.testing.assert_allclose(box, [*centre, *hull(size, yaw)], atol=1e-4)
    mug, book = json.loads((out / "boxes.json").read_text())[0]["objects"]
    assert "turned" not in mug
    np.testing.assert_allclose(book["turned"], [*OBJECTS[1][1], *OBJECTS[1][2], YAW], atol=1e-4)


def test_unit_and_axis_of_the_cloud_are_those_of_the_labels(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "labels").mkdir(parents=True)
    np.savez(source / "a.npz", xyz=np.stack([XYZ[:, 0], XYZ[:, 2], -XYZ[:, 1]], 1) * 1000)
    items = []
    for name, (x, y, z), (length, width, height), yaw in OBJECTS:
        item = {"name": name, "centroid": xyz_of([1000 * x, 1000 * z, -1000 * y])}
        sizes = [1000 * length, 1000 * height, 1000 * width]
        item["dimensions"] = dict(zip(("length", "width", "height"), sizes, strict=True))
        items.append({**item, "rotations": xyz_of([0, yaw, -0.0])})
    items[0]["rotations"]["x"] = -1e-9
    (source / "labels" / "a.json").write_text(json.dumps({"objects": items}))
    import_labels(source, out, frame=FileFrame(up="y", unit="mm"), angles="radians")
    (scene,) = open_scenes(out)
    np.testing.assert_allclose(scene.xyz, XYZ, atol=1e-6)
    for box, (_, centre, size, yaw) in zip(scene.boxes, OBJECTS, strict=True):
        np.testing.assert_allclose(box, [*centre, *hull(size, yaw)], atol=1e-4)


def test_the_hull_holds_every_corner_and_the_yaw_is_the_one_nearest_to_the_axes():
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(50):
        axes = rotation(*rng.uniform(-4, 4, 3))
        rows.append(("a", rng.normal(size=3), axes, rng.uniform(0.1, 1, 3)))
    boxes = OrientedBoxes.of(rows)
    signs = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    for (_, centre, axes, size), box in zip(rows, boxes.hulls(), strict=True):
        corners = (signs * size / 2) @ axes.T + centre
        np.testing.assert_allclose(box[:3] - box[3:] / 2, corners.min(0), atol=1e-12)
        np.testing.assert_allclose(box[:3] + box[3:] / 2, corners.max(0), atol=1e-12)
    for yaw in np.linspace(-7, 7, 29):
        one = OrientedBoxes.of([("a", np.zeros(3), rotate("z", yaw), np.array([3.0, 1, 2]))])
        (row,), (upright,) = one.turned()
        assert upright
        assert abs(row[6]) <= math.pi / 4 + 1e-12
        again = OrientedBoxes.of([("a", row[:3], rotate("z", row[6]), row[3:6])])
        np.testing.assert_allclose(again.hulls(), one.hulls(), atol=1e-12)
    assert not OrientedBoxes.of([("a", np.zeros(3), rotation(0.5, 0, 0), np.ones(3))]).turned()[1].any()


def scannet(folder, points=400):
    np.savez(folder / "scan_vh_clean_2.npz", xyz=XYZ)
    segments = (np.arange(points) // 10).tolist()
    (folder / "scan_vh_clean_2.0.010000.segs.json").write_text(json.dumps({"segIndices": segments}))
    groups = [{"label": "coffee mug", "segments": [3, 4]}, {"label": "wall", "segments": [0, 1]}]
    (folder / "scan.aggregation.json").write_text(json.dumps({"segGroups": groups}))


def scannetpp(folder):
    scans = folder / "abc123" / "scans"
    scans.mkdir(parents=True)
    np.savez(scans / "abc123.npz", xyz=XYZ)
    (scans / "segments.json").write_text(json.dumps({"segIndices": (np.arange(400) // 10).tolist()}))
    groups = [{"label": "coffee mug", "segments": [3, 4]}, {"label": "wall", "segments": [0, 1]}]
    (scans / "segments_anno.json").write_text(json.dumps({"segGroups": groups}))
    (scans / "abc123.npz").rename(scans / "scans.npz")


def numbers(folder):
    np.savez(folder / "a.npz", xyz=XYZ)
    values = np.zeros(400, int)
    values[30:50], values[:20], values[100:120] = 39_001, 1_007, 5_000
    (folder / "a.txt").write_text("".join(f"{value}\n" for value in values))


@pytest.mark.parametrize(
    ("write", "names"),
    [(scannet, {"coffee mug": "mug", "wall": None}), (scannetpp, {"coffee mug": "mug", "wall": None}),
     (numbers, {"39": "mug", "1": None})],
)  # fmt: skip
def test_numbered_points_are_objects_and_names_can_be_changed(tmp_path, write, names):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write(source)
    (tmp_path / "names.json").write_text(json.dumps(names))
    assert main(["dataset", "labels", str(source), str(out), "--names", str(tmp_path / "names.json")]) == 0
    (scene,) = open_scenes(out)
    assert scene.names == ("mug",)
    points = XYZ[30:50]
    np.testing.assert_allclose(scene.boxes[0, :3], (points.min(0) + points.max(0)) / 2, atol=1e-4)
    np.testing.assert_array_equal(np.flatnonzero(scene.inst), np.arange(30, 50))


def test_clouds_without_labels_and_other_files_are_said(tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    labelcloud(source, "degrees")
    np.savez(source / "b.npz", xyz=XYZ)
    (source / "notes.txt").write_text("nothing")
    assert main(["dataset", "labels", str(source), str(out)]) == 0
    printed = capsys.readouterr().out
    assert "1 clouds, 2 objects: mug 1, book 1" in printed
    assert "1 boxes are turned" in printed
    assert "1 clouds without labels: b.npz" in printed
    assert "1 files without labels: notes.txt" in printed


def test_clouds_may_be_in_another_folder_and_of_any_kind(tmp_path):
    source, clouds, out = tmp_path / "in", tmp_path / "clouds", tmp_path / "out"
    source.mkdir()
    clouds.mkdir()
    labelcloud(source, "degrees")
    (source / "a.npz").unlink()
    (clouds / "a.xyz").write_text("".join(" ".join(map(repr, row)) + "\n" for row in XYZ.tolist()))
    import_labels(source, out, clouds)
    np.testing.assert_array_equal(next(iter(open_scenes(out))).xyz, XYZ)


def test_clouds_next_to_boxes_json_may_be_of_any_kind(tmp_path):
    text = "".join(" ".join(map(repr, row)) + "\n" for row in XYZ.tolist())
    (tmp_path / "a.xyz").write_text(text)
    entry = {"scene": "a", "objects": [{"box": [0.5, 0.5, 0.5, 0.1, 0.1, 0.1], "name": "cup", "inst": 1}]}
    for name in ("a", "a.xyz"):
        (tmp_path / "boxes.json").write_text(json.dumps([entry | {"scene": name}]))
        (scene,) = open_scenes(tmp_path)
        np.testing.assert_array_equal(scene.xyz, XYZ)
        assert scene.inst is None
    (tmp_path / "boxes.json").write_text(json.dumps([entry]))
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=r"boxes\.json: scene a: its cloud may be a\.xyz, a\.txt; write the suffix"):
        list(open_scenes(tmp_path))


def changed(write, file, change):
    def write_changed(folder):
        write(folder)
        contents = json.loads((folder / file).read_text())
        change(contents)
        (folder / file).write_text(json.dumps(contents))

    return write_changed


def changed_text(write, file, before, after):
    def write_changed(folder):
        write(folder)
        text = (folder / file).read_text()
        assert before in text
        (folder / file).write_text(text.replace(before, after))

    return write_changed


LABELS, ANN, ITEMS = "labels/a.json", "dataset/ann/a.pcd.json", "annotations/default.json"
FAULTS = {
    "no labels": (lambda folder: np.savez(folder / "a.npz", xyz=XYZ), "has no label files of labelCloud, KITTI"),
    "not JSON": (changed_text(degrees, LABELS, "{", "", ), "a.json: cannot be read as JSON"),
    "no name": (changed(degrees, LABELS, lambda c: c["objects"][0].pop("name")), "a.json: object 0: expected a class"),
    "no centre": (changed(degrees, LABELS, lambda c: c["objects"][1]["centroid"].pop("z")), "object 1, centroid: exp"),
    "NaN": (changed_text(degrees, LABELS, "0.08", "NaN"), "object 0, dimensions: expected a number, got 'nan'"),
    "flat": (changed_text(degrees, LABELS, "0.08", "0"), "object 0: expected positive sizes"),
    "bent": (changed_text(lambda f: labelcloud(f, corners=True), LABELS, "[[", "[[9"), "are not those of a box"),
    "unclear angles": (changed(labelcloud, LABELS, lambda c: None), "may be radians (centroid_rel) or degrees"),
    "no cloud": (lambda folder: (degrees(folder), (folder / "a.npz").unlink()), "has no cloud a.npz or a in"),
    "two clouds": (lambda folder: (kitti(folder), np.savez(folder / "velodyne" / "a.ply.npz", xyz=XYZ),
                   (folder / "velodyne" / "a.xyz").write_text("1 2 3")), "its cloud may be a.npz, a.xyz"),
    "few columns": (changed_text(kitti, "label_2/a.txt", "mug 0", "mug"), "a.txt: line 2: expected 15 columns, got 14"),
    "word": (changed_text(kitti, "label_2/a.txt", "0.12", "high"), "a.txt: line 2: expected a number, got 'high'"),
    "no calibration": (changed_text(lambda f: kitti(f, True), "calib/a.txt", "R0_rect", "R1"), "expected R0_rect and"),
    "bad calibration": (changed_text(lambda f: kitti(f, True), "calib/a.txt", "R0_rect: 1", "R0_rect: 2"), "rotation"),
    "no object": (changed(supervisely, ANN, lambda c: c["objects"].pop()), "figure 2: expected the key of an object"),
    "episode": (changed(supervisely, ANN, lambda c: c.update(frames=c.pop("figures"))), "annotation of an episode"),
    "label": (changed(datumaro, ITEMS, lambda c: c["items"][0]["annotations"][0].update(label_id=7)), "label_id of 0"),
    "item": (changed(datumaro, ITEMS, lambda c: c["items"][0].update(id=3)), "item '3': expected a text as id"),
    "segments": (changed(scannet, "scan.aggregation.json", lambda c: c["segGroups"][0].update(segments=3)), "group 0"),
    "no segments": (lambda f: (scannet(f), (f / "scan_vh_clean_2.0.010000.segs.json").unlink()), "has no file of seg"),
    "other cloud": (lambda folder: scannet(folder, points=390), "numbers 390 points, but"),
    "late word": (changed_text(numbers, "a.txt", "5000\n0\n", "5000\nx\n"), "a.txt: line 121: expected a whole number"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_wrong_labels_are_refused_by_name_and_nothing_is_written(tmp_path, name):
    write, text = FAULTS[name]
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write(source)
    with pytest.raises(InputError) as error:
        import_labels(source, out)
    assert text in str(error.value)
    assert str(source) in str(error.value)
    assert not out.exists()
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["absent", "OUT"], "absent: no such folder"),
        (["IN", "IN"], "in: exists and is not an empty folder"),
        (["IN", "OUT", "--clouds", "absent"], "absent: no such folder"),
        (["IN", "OUT", "--names", "IN/labels/a.json"], 'a.json: expected {"name in the labels": "class name" or null}'),
    ],
)
def test_bad_arguments_are_refused_in_one_line(tmp_path, capsys, arguments, text):
    (tmp_path / "in").mkdir()
    degrees(tmp_path / "in")
    arguments = [a.replace("IN", str(tmp_path / "in")).replace("OUT", str(tmp_path / "out")) for a in arguments]
    assert main(["dataset", "labels", *arguments]) == 1
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1
