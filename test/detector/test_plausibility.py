"""A cloud in the wrong unit, frame or density is doubted, with advice; real and generated clouds are not."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.detector.config import load_model_config
from dspdet3d_ros.detector.plausibility import Plausibility
from dspdet3d_ros.detector.result import Detections, DetectionStats

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SMALL = load_model_config("small")
CLOSE = load_model_config("close")
NO_STATS = DetectionStats(0.4, 0, 0, 0, (), {}, 0.0, "cpu", "torch")
# A ScanNet scan has a point every 7 cm.
SPARSE = "scannet"


@pytest.fixture(scope="module")
def demo():
    return read_cloud(DEMO_CLOUD)


def doubts(xyz, config, found=None):
    plausibility = Plausibility(xyz, config)
    return plausibility.of_cloud + (() if found is None else plausibility.of_boxes(found))


def rotation(axis, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = [k for k in range(3) if k != axis]
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def thinned(xyz, edge, centres=False):
    """One point for each voxel: the mean of its points, or its centre."""
    voxels, of = np.unique(np.floor(xyz / edge).astype(int), axis=0, return_inverse=True)
    if centres:
        return (voxels + 0.5) * edge
    of = of.ravel()
    return np.stack([np.bincount(of, column) / np.bincount(of) for column in xyz.T], axis=1)


def wall():
    """The wall of a room: 3 x 2.4 m, nothing else."""
    rng = np.random.default_rng(0)
    return np.stack([rng.normal(0, 0.003, 90_000), *rng.uniform((0, 0), (3, 2.4), (90_000, 2)).T], axis=1)


def one(xyz, kind):
    (doubt,) = doubts(xyz.astype(np.float32), SMALL)
    assert doubt.kind == kind
    return doubt.text


@pytest.mark.parametrize(
    ("scale", "texts"),
    [
        (1000, ["4,0", " m, with points", "coordinates millimetres (4.0", "--unit mm"]),
        (100, ["centimetres (4.0", "cm"]),
        (0.001, ["spans only 4.0", " mm: its coordinates are not metres"]),
    ],
)
def test_a_wrong_unit_is_named_with_the_extent(demo, scale, texts):
    text = one(demo.xyz * scale, "unit")
    for part in texts:
        assert part in text


def test_feet_are_named(demo):
    assert "coordinates are feet (4.0" in one(demo.xyz / 0.3048, "density")
    room = np.concatenate([demo.xyz, demo.xyz + (0, 0, 1.3)])
    assert "too high for a room: are its coordinates feet" in doubts(room / 0.3048, SMALL)[0].text


@pytest.mark.parametrize("centres", [False, True])
def test_a_map_of_5_cm_is_named_with_the_setting_that_makes_it_finer(demo, centres):
    text = one(thinned(demo.xyz, 0.05, centres), "density")
    assert ("the centres of voxels of 5 cm" if centres else "about 5") in text
    assert "needs 3.2 cm or less" in text
    assert "RTAB-Map: Grid/CellSize" in text


def test_density_is_judged_for_models_of_which_it_is_known(demo):
    coarse = thinned(demo.xyz, 0.05)
    assert doubts(coarse, load_model_config("scannet_md40")) == ()
    assert doubts(coarse, replace(SMALL, point_spacing=0.1)) == ()


@pytest.mark.parametrize(
    ("turn", "texts"),
    [
        ([[1, 0, 0], [0, 0, 1], [0, -1, 0]], ["% face y", "is y or -y up?", "target_frame", "--up y"]),
        ([[0, 0, 1], [1, 0, 0], [0, 1, 0]], ["% face x", "is x or -x up?", "target_frame", "--up x"]),
        (rotation(1, 30), ["are tilted: is this the frame of a tilted camera? Set target_frame"]),
        (rotation(0, 20), ["are tilted: is this the frame of a tilted camera? Set target_frame"]),
        # A camera that looks down by 25 degrees: x right, y down, z forward.
        (np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]]) @ rotation(1, 25), ["tilted camera? Set target_frame"]),
    ],
)
def test_a_frame_that_is_not_upright_is_named(demo, turn, texts):
    text = one(demo.xyz @ np.asarray(turn).T, "up_axis")
    for part in texts:
        assert part in text


def test_one_wall_has_nothing_to_stand_on():
    assert "100% face x" in one(wall(), "up_axis")
    assert "no table or floor" in one(wall() @ rotation(2, 40).T, "up_axis")


def with_ceiling(xyz):
    low, high = xyz.min(0), xyz.max(0)
    ceiling = np.random.default_rng(0).uniform((*low[:2], 2.5), (*high[:2], 2.505), (60_000, 3))
    return np.concatenate([xyz, ceiling])


def one_table(xyz):
    """The points within 0.6 m of the densest place above the floor."""
    above = xyz[xyz[:, 2] > 0.5]
    counts, x, y = np.histogram2d(above[:, 0], above[:, 1], bins=10)
    i, j = np.unravel_index(counts.argmax(), counts.shape)
    centre = (x[i] + x[i + 1]) / 2, (y[j] + y[j + 1]) / 2
    return above[(np.abs(above[:, :2] - centre) < 0.6).all(1)]


@pytest.mark.parametrize(
    "change",
    [
        lambda xyz: xyz,
        lambda xyz: xyz @ rotation(2, 30).T,
        lambda xyz: xyz.astype(np.float64) + (3000, -500, 40),
        lambda xyz: thinned(xyz, 0.02),
        lambda xyz: xyz[::2],
        lambda xyz: xyz[xyz[:, 2] > 0.2],
        with_ceiling,
        one_table,
        lambda xyz: np.concatenate([xyz, [[5000, 0, 0], [np.nan] * 3]]),
        lambda xyz: xyz[:50],
        lambda xyz: xyz[:0],
    ],
    ids=[
        *("as it is", "yaw", "far away", "2 cm", "half", "floor cut away", "ceiling", "one table", "outliers"),
        *("few points", "no points"),
    ],
)
def test_upright_metric_clouds_are_not_doubted(demo, change):
    assert doubts(change(demo.xyz), SMALL) == ()


def boxes(sizes, names):
    labels = np.array([SMALL.classes.index(name) for name in names])
    found = np.column_stack([np.zeros((len(sizes), 3)), sizes])
    return Detections(found, np.full(len(sizes), 0.9, np.float32), labels, SMALL.classes, NO_STATS)


def cube(edge):
    return [edge, edge / 2, edge / 2]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            boxes([cube(0.38)], ["mug"]),
            "1 of 1 boxes have sizes far from those of their classes, such as a 'mug' of 38 cm",
        ),
        (boxes([cube(0.02)] * 4 + [cube(0.2)] * 4, ["can"] * 4 + ["vase"] * 4), "4 of 8 boxes .* a 'can' of 2 cm"),
    ],
)
def test_boxes_of_odd_sizes_make_a_cloud_doubtful(demo, found, text):
    (doubt,) = doubts(demo.xyz, SMALL, found)
    assert doubt.kind == "box_sizes"
    assert re.search(text, doubt.text)
    assert doubts(demo.xyz, replace(SMALL, class_sizes=None), found) == ()


def test_a_single_box_that_is_a_bit_long_does_not(demo):
    found = boxes([cube(0.2), *[cube(0.1)] * 9], ["mug"] * 10)
    assert doubts(demo.xyz, SMALL, found) == ()
    assert doubts(demo.xyz, SMALL, boxes([], [])) == ()


def test_more_boxes_than_there_is_room_for_make_a_cloud_doubtful(demo):
    table = demo.xyz[:2000]
    (doubt,) = doubts(demo.xyz, SMALL, boxes([cube(0.3)] * 600, ["vase"] * 600))
    assert doubt.kind == "box_count"
    assert "600 boxes, whose largest faces have 27.0 m²" in doubt.text
    counted = doubts(table, SMALL, boxes([cube(0.1)] * 60, ["can"] * 60))[-1]
    assert counted.kind == "box_count"
    assert "60 boxes were found in 2,000 points" in counted.text


def tray(spacing=0.005):
    """A level plate of 0.6 x 0.5 m with a wall of 20 cm."""
    x, y = np.mgrid[0:0.6:spacing, 0:0.5:spacing].reshape(2, -1)
    along, up = np.mgrid[0:0.6:spacing, 0:0.2:spacing].reshape(2, -1)
    wall = np.stack([along, np.zeros_like(along), up], 1)
    return np.concatenate([np.stack([x, y, np.zeros_like(x)], 1), wall])


def test_small_boxes_in_a_dense_cloud_of_a_tray_recommend_the_close_model(demo):
    found = boxes([cube(0.08)] * 2 + [cube(0.2)] * 3, ["box"] * 5)
    (doubt,) = doubts(tray(), SMALL, found)
    assert doubt.kind == "close"
    assert "2 of 5 boxes have no edge longer than 11 cm" in doubt.text
    assert "set model to close" in doubt.text
    for xyz, config, boxes_in_it in (
        (tray(0.015), SMALL, found),
        (demo.xyz, SMALL, found),
        (tray(), CLOSE, found),
        (tray(), SMALL, boxes([cube(0.08)] * 2 + [cube(0.2)] * 9, ["box"] * 11)),
        (tray(), SMALL, boxes([cube(0.08), cube(0.2)], ["box"] * 2)),
        (tray(), SMALL, boxes([], [])),
    ):
        assert doubts(xyz, config, boxes_in_it) == ()


def test_a_room_recommends_the_model_for_rooms(demo):
    doubt = doubts(demo.xyz, CLOSE)[-1]
    assert doubt.kind == "room"
    assert "the cloud spans 4.05 x 4.15" in doubt.text
    assert "set model to small" in doubt.text
    assert doubts(tray(), CLOSE) == ()


def test_a_cloud_that_is_too_sparse_for_the_close_model_recommends_the_other():
    (doubt,) = doubts(tray(0.025), CLOSE)
    assert doubt.kind == "density"
    assert "or set model to small" in doubt.text
    assert "model to" not in doubts(tray(0.05), CLOSE)[0].text


def test_all_doubts_about_one_cloud_come_together(demo):
    tilted = thinned(demo.xyz, 0.05) @ rotation(1, 30).T
    kinds = [doubt.kind for doubt in doubts(tilted, SMALL, boxes([cube(0.5)], ["mug"]))]
    assert kinds == ["density", "up_axis", "box_sizes"]
    assert [doubt.kind for doubt in doubts(tilted * 1000, SMALL, boxes([cube(0.5)], ["mug"]))] == ["unit"]


def real_clouds():
    return sorted(DATA.glob("*/*.npz")) + sorted(DATA.glob("sunrgbd/*.bin"))


@pytest.mark.skipif(not DATA.is_dir(), reason="the real clouds are not there")
def test_real_clouds_are_not_doubted():
    doubted = {}
    for path in real_clouds():
        # Its boxes are rotated, which cloud files cannot say; the .bin is the same cloud.
        if path.name != "sunrgbd_000017.npz" and (found := doubts(read_cloud(path).xyz, SMALL)):
            doubted[path.parent.name] = [doubt.kind for doubt in found]
    assert doubted == {SPARSE: ["density"]}


@pytest.fixture(scope="module")
def detector():
    pytest.importorskip("torch")
    from dspdet3d_ros.detector.predictor import Detector

    return Detector.load(device="cpu")


def test_the_demo_scene_is_not_doubted_with_its_boxes(demo, detector):
    found = detector(demo.xyz)
    assert len(found) > 10
    assert doubts(demo.xyz, detector.config, found) == ()


@pytest.mark.skipif(not DATA.is_dir(), reason="the real clouds are not there")
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("arc_bin/arc2017", ["close"]),
        ("pcl_tables/laptop", []),
        ("mosd_learn/learn20", []),
        ("desk_real/fr2_desk", []),
    ],
)
def test_real_clouds_are_not_doubted_with_their_boxes_but_a_bin_recommends_the_close_model(detector, name, kinds):
    xyz = read_cloud(DATA / f"{name}.npz").xyz
    found = detector(xyz)
    assert len(found) > 0
    assert [doubt.kind for doubt in doubts(xyz, detector.config, found)] == kinds


@pytest.mark.parametrize("kind", ["room", "table"])
def test_generated_scenes_are_not_doubted(detector, kind):
    pytest.importorskip("embreex", reason="scenes are made with embreex, which is not installed")
    from dspdet3d_ros.learning.generation.scene import generate_scene

    for seed in (910_017, 910_025):
        xyz = generate_scene(seed, kind).xyz
        assert doubts(xyz, detector.config, detector(xyz)) == ()
