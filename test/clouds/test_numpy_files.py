"""Of the arrays in a file of numpy the points are found by name or shape, and nothing else is taken for points."""

import numpy as np
import pytest
from evil import Evil

from dspdet3d_ros.clouds.columns import COLOUR_NAMES, POINT_NAMES
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.errors import InputError

POINTS = 24
RNG = np.random.default_rng(11)
XYZ = RNG.uniform(-1, 2, (POINTS, 3)).astype(np.float32)
RGB = RNG.integers(0, 256, (POINTS, 3), dtype=np.uint8)
SIX = np.hstack([XYZ, RGB])
PACKED = RGB.astype(np.uint32) @ np.uint32([1 << 16, 1 << 8, 1])
EXTRA = RNG.normal(size=(POINTS, 3))
IMAGE = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
DEPTH = RNG.uniform(0.5, 3, (48, 64)).astype(np.float32)
FACES = np.arange(60).reshape(20, 3)
POSE = np.eye(4)
DIRECTIONS = RNG.normal(size=(50, 4))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def structured(*fields):
    """A structured array of so many points."""
    table = np.zeros(POINTS, [(name, values.dtype, values.shape[1:]) for name, values in fields])
    for name, values in fields:
        table[name] = values
    return table


FIELDS = [*((axis, XYZ[:, i]) for i, axis in enumerate("xyz")), ("rgb", PACKED.view(np.float32))]
PDAL = [(axis, XYZ[:, i].astype(np.float64)) for i, axis in enumerate("XYZ")]
PDAL += [(name, RGB[:, i].astype(np.uint16)) for i, name in enumerate(("Red", "Green", "Blue"))]


def save(path, contents):
    """An .npz of a mapping, else an .npy."""
    if isinstance(contents, dict):
        np.savez(path, **contents)
    else:
        np.save(path, contents)


COLOURED = {
    **{f"{name}.npz": {name: XYZ, "rgb": RGB} for name in POINT_NAMES},
    **{f"colours {name}.npz": {"xyz": XYZ, name: RGB} for name in COLOUR_NAMES},
    "Capitals.npz": {"Points": XYZ, "Colors": RGB},
    "six columns.npz": {"points": SIX},
    "one array.npz": {"arr_0": SIX},
    "one array and others.npz": {"my_scan": SIX, "pose": POSE, "K": np.eye(3), "faces": FACES, "depth": DEPTH},
    "pose first.npz": {"pose": POSE, "cloud": XYZ, "colors": RGB},
    "faces first.npz": {"faces": FACES, "vertices": XYZ, "vertex_colors": RGB},
    "normals.npz": {"normals": EXTRA, "pos": XYZ, "color": RGB},
    "pixels and points.npz": {"points": np.ones((50, 2)), "xyz": XYZ, "rgb": RGB},
    "objects next to points.npz": {"xyz": XYZ, "rgb": RGB, "meta": np.array({"a": 1}, object)},
    "image next to points.npz": {"xyz": XYZ, "rgb": IMAGE, "colors": RGB},
    "other names.npz": {"scene_points": XYZ, "scene_colors": RGB, "colormap": RNG.integers(0, 256, (256, 3))},
    "trajectory and cloud.npz": {"position": EXTRA, "cloud": XYZ, "colors": RGB},
    "fractions.npz": {"xyz": XYZ, "rgb": RGB / 255},
    "floats.npz": {"xyz": XYZ, "rgb": RGB.astype(np.float32)},
    "16 bits.npz": {"xyz": XYZ, "rgb": RGB.astype(np.uint16) * 256},
    "alpha.npz": {"xyz": XYZ, "rgba": np.hstack([RGB, RGB[:, :1]])},
    "packed.npz": {"xyz": XYZ, "rgb": PACKED},
    "transposed.npz": {"xyz": XYZ.T, "rgb": RGB.T},
    "transposed points.npz": {"xyz": XYZ.T, "rgb": RGB},
    "organised.npz": {"xyz": XYZ.reshape(4, 6, 3), "rgb": RGB.reshape(4, 6, 3)},
    "batch of one.npz": {"points": XYZ[None], "colors": RGB[None]},
    "structured.npz": {"points": structured(*FIELDS)},
    "structured alone.npz": {"a": structured(*FIELDS), "K": np.eye(3)},
    "structured colours apart.npz": {"points": structured(*FIELDS[:3]), "colors": RGB},
    "structured.npy": structured(*FIELDS),
    "structured organised.npy": structured(*FIELDS).reshape(4, 6),
    "of PDAL.npy": structured(*PDAL),
    "vectors.npy": structured(("xyz", XYZ), ("rgb", RGB)),
    "six columns.npy": SIX,
    "seven columns.npy": np.hstack([SIX, np.ones((POINTS, 1))]),
    "nine columns.npy": np.hstack([SIX, EXTRA]),
    "organised.npy": SIX.reshape(4, 6, 6),
    "transposed.npy": SIX.T,
    "column order.npy": np.asfortranarray(SIX),
}


@pytest.mark.parametrize("name", COLOURED)
def test_points_and_colours_under_all_their_usual_names(tmp_path, name):
    save(tmp_path / name, COLOURED[name])
    cloud = read_cloud(tmp_path / name)
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    np.testing.assert_array_equal(cloud.rgb, RGB)


PLAIN = {
    "three.npy": XYZ,
    "four.npy": np.hstack([XYZ, EXTRA[:, :1]]),
    "five.npy": np.hstack([XYZ, EXTRA[:, :2]]),
    "normals.npy": np.hstack([XYZ, EXTRA]),
    "organised.npy": XYZ.reshape(4, 6, 3),
    "transposed.npy": XYZ.T,
    "one array.npz": {"arr_0": XYZ},
    "image of another size.npz": {"xyz": XYZ, "rgb": IMAGE},
    "normals.npz": {"points": XYZ, "normals": EXTRA},
    "colours below zero.npz": {"points": XYZ, "colors": EXTRA},
}


@pytest.mark.parametrize("name", PLAIN)
def test_points_without_colours_have_none(tmp_path, name):
    save(tmp_path / name, PLAIN[name])
    cloud = read_cloud(tmp_path / name)
    np.testing.assert_array_equal(cloud.xyz, XYZ.astype(cloud.xyz.dtype))
    assert cloud.rgb is None


def test_whole_numbers_without_a_name_are_points_if_they_cannot_be_faces(tmp_path):
    whole = np.rint(XYZ * 1000).astype(np.int32)
    np.save(tmp_path / "a.npy", whole)
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.npy").xyz, whole)


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_a_missing_colour_of_a_missing_point_does_no_harm(tmp_path, missing):
    np.savez(tmp_path / "a.npz", xyz=[[missing] * 3, *XYZ], rgb=[[missing] * 3, *(RGB / 255)])
    cloud = read_cloud(tmp_path / "a.npz")
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    np.testing.assert_array_equal(cloud.rgb, RGB)


NO_CLOUDS = {
    "camera.npz": {"K": np.eye(3), "depth": DEPTH},
    "frame.npz": {"rgb": IMAGE, "depth": DEPTH, "cam_K": np.eye(3), "pose": POSE},
    "poses.npz": {"cam2world": np.tile(POSE, (30, 1, 1))},
    "projections.npz": {"P": np.tile(POSE[:3], (30, 1, 1))},
    "pose called points.npz": {"points": POSE},
    "faces.npz": {"faces": FACES},
    "colours.npz": {"colors": RGB / 255},
    "normals.npz": {"normals": EXTRA},
    "boxes.npz": {"boxes": RNG.uniform(size=(20, 6))},
    "image.npz": {"img": RNG.uniform(size=(48, 64, 3))},
    "transposed.npz": {"a": XYZ.T},
    "table.npz": {"data": RNG.normal(size=(50, 8))},
    "voxels of a batch.npz": {"coords": RNG.integers(0, 99, (50, 4))},
    "few rows.npz": {"data": RNG.normal(size=(5, 3))},
    "features.npz": {"pos": RNG.normal(size=(50, 64))},
    "pixels.npz": {"points": RNG.normal(size=(50, 2))},
    "bytes.npz": {"points": RGB},
    "texts.npz": {"points": np.full((POINTS, 3), "a")},
    "two.npz": {"first": XYZ, "second": XYZ},
    "colours without a name.npz": {"arr_0": RGB / 255},
    "directions.npz": {"data": np.tile([[0.6, 0, -0.8]], (30, 1))},
    "nothing.npz": {},
}


@pytest.mark.parametrize("name", NO_CLOUDS)
def test_an_archive_without_clear_points_is_refused_with_its_arrays(tmp_path, name):
    save(tmp_path / name, NO_CLOUDS[name])
    with pytest.raises(InputError) as error:
        read_cloud(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert "save the points as 'xyz', (N, 3) metres" in str(error.value)
    for key, array in NO_CLOUDS[name].items():
        assert f"{key} {array.shape} {array.dtype}" in str(error.value)


def test_the_list_of_arrays_is_short(tmp_path):
    np.savez(tmp_path / "a.npz", **{f"layer{i}": np.ones((3, 3)) for i in range(200)})
    with pytest.raises(InputError, match="and 188 more") as error:
        read_cloud(tmp_path / "a.npz")
    assert len(str(error.value)) < 1000


NO_ARRAYS = {
    "camera.npy": np.eye(3),
    "pose.npy": POSE,
    "poses.npy": np.tile(POSE, (30, 1, 1)),
    "faces.npy": FACES,
    "depth.npy": DEPTH,
    "depth in millimetres.npy": (DEPTH * 1000).astype(np.uint16),
    "grey.npy": IMAGE[..., 0],
    "image.npy": IMAGE,
    "image of fractions.npy": (IMAGE / 255).astype(np.float32),
    "trajectory.npy": RNG.normal(size=(50, 7)),
    "table.npy": RNG.normal(size=(50, 12)),
    "table of fractions.npy": RNG.uniform(size=(50, 12)),
    "features.npy": RNG.normal(size=(50, 64)),
    "pixels.npy": RNG.normal(size=(50, 2)),
    "numbers.npy": np.ones(9),
    "truth.npy": np.ones((50, 3), bool),
    "colours.npy": (RGB / 255).astype(np.float32),
    "colours with alpha.npy": np.hstack([RGB / 255, np.ones((POINTS, 1))]),
    "colours up to 255.npy": RGB.astype(np.float32),
    "image of floats.npy": IMAGE.astype(np.float32),
    "normals.npy": DIRECTIONS[:, :3] / np.linalg.norm(DIRECTIONS[:, :3], axis=1, keepdims=True),
    "normals of an image.npy": np.where(DEPTH[..., None] > 2, np.nan, [0.6, 0, 0.8]),
    "quaternions.npy": DIRECTIONS,
}


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_an_array_that_may_be_something_else_is_refused_with_its_shape(tmp_path, name):
    save(tmp_path / name, NO_ARRAYS[name])
    with pytest.raises(InputError) as error:
        read_cloud(tmp_path / name)
    assert f"has shape {NO_ARRAYS[name].shape} and type {NO_ARRAYS[name].dtype}" in str(error.value)
    assert "(N, 3)" in str(error.value)


def test_a_mapping_in_an_npy_is_refused_with_what_to_do_and_not_run(tmp_path):
    witness = tmp_path / "executed"
    np.save(tmp_path / "a.npy", np.array({"xyz": Evil(type(witness).touch, witness)}, object))
    with pytest.raises(InputError, match="holds Python objects, which may run code; save the arrays alone"):
        read_cloud(tmp_path / "a.npy")
    assert not witness.exists()
