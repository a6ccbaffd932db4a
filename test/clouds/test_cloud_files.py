"""Every kind of cloud file gives the same cloud; every damaged one is refused by name, and nothing is unpickled."""

import bz2
import gzip
import json
import lzma
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from evil import Evil
from ply_bytes import ply_bytes

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.errors import InputError

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
XYZ = np.random.default_rng(3).normal(size=(50, 3)).astype(np.float32)
RGB = np.random.default_rng(4).integers(0, 256, (50, 3), dtype=np.uint8)
BOXES = np.array([[0, 0, 0.5, 1, 2, 1], [1, 1, 0.1, 0.1, 0.1, 0.2]], np.float32)

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real clouds at {DATA}")


def coloured() -> np.ndarray:
    """The points as a structured array, colours between the coordinates."""
    vertex = np.empty(50, [("red", "u1"), *((axis, "f4") for axis in "xyz"), ("green", "u1"), ("blue", "u1")])
    for i, axis in enumerate("xyz"):
        vertex[axis] = XYZ[:, i]
    for i, name in enumerate(("red", "green", "blue")):
        vertex[name] = RGB[:, i]
    return vertex


WRITERS = {
    "npz.npz": lambda path: np.savez(path, rgb=RGB, xyz=XYZ),
    "other keys.npz": lambda path: np.savez(path, color=RGB / 255, points=XYZ),
    "first array.npz": lambda path: np.savez(path, ids=np.arange(50), cloud=np.hstack([XYZ, RGB])),
    "npy.npy": lambda path: np.save(path, np.hstack([XYZ, RGB])),
    "fractions.npy": lambda path: np.save(path, np.hstack([XYZ.astype(np.float64), RGB / 255])),
    "bin.bin": lambda path: np.hstack([XYZ, RGB]).astype("<f4").tofile(path),
    "CAPITALS.BIN": lambda path: np.hstack([XYZ, RGB / 255]).astype("<f4").tofile(path),
    "text.ply": lambda path: path.write_bytes(ply_bytes(coloured(), "ascii")),
    "little-endian.ply": lambda path: path.write_bytes(ply_bytes(coloured())),
    "big-endian.ply": lambda path: path.write_bytes(ply_bytes(coloured(), "binary_big_endian")),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_cloud(tmp_path, name):
    WRITERS[name](tmp_path / name)
    cloud = read_cloud(tmp_path / name)
    np.testing.assert_allclose(cloud.xyz, XYZ, atol=1e-6)
    np.testing.assert_array_equal(cloud.rgb, RGB)
    assert cloud.xyz.dtype == (np.float64 if name == "fractions.npy" else np.float32)
    assert cloud.rgb.dtype == np.uint8
    assert cloud.xyz.flags["C_CONTIGUOUS"]
    assert cloud.truth is None


def test_points_that_are_not_finite_are_dropped_with_their_colours(tmp_path):
    xyz = XYZ.astype(np.float64)
    xyz[4, 1], xyz[9, 0], xyz[20, 2] = np.nan, np.inf, 1e200
    np.savez(tmp_path / "a.npz", xyz=xyz, rgb=RGB)
    cloud = read_cloud(tmp_path / "a.npz")
    np.testing.assert_array_equal(cloud.xyz, np.delete(XYZ, [4, 9, 20], axis=0))
    np.testing.assert_array_equal(cloud.rgb, np.delete(RGB, [4, 9, 20], axis=0))


FAR = np.array([[12_345_678.901, 3.3, -1e-9], [1e4, 1e4 + 1 / 3, 0]])
FAR_WRITERS = {
    "a.npz": lambda path: np.savez(path, xyz=FAR),
    "a.npy": lambda path: np.save(path, FAR),
    "table.npy": lambda path: np.save(path, FAR.view([(axis, "f8") for axis in "xyz"])[:, 0]),
    "a.ply": lambda path: path.write_bytes(ply_bytes(FAR.view([(axis, "f8") for axis in "xyz"])[:, 0])),
    "text.pcd": lambda path: path.write_bytes(
        doubles_pcd("ascii", "\n".join(" ".join(map(repr, p)) for p in FAR.tolist()))
    ),
    "binary.pcd": lambda path: path.write_bytes(doubles_pcd("binary", FAR.tobytes())),
}


def doubles_pcd(encoding, data):
    head = "VERSION 0.7\nFIELDS x y z\nSIZE 8 8 8\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 2\nHEIGHT 1\nPOINTS 2\n"
    return f"{head}DATA {encoding}\n".encode() + (data.encode() if isinstance(data, str) else data)


@pytest.mark.parametrize("name", FAR_WRITERS)
def test_float64_keeps_all_its_digits(tmp_path, name):
    FAR_WRITERS[name](tmp_path / name)
    np.testing.assert_array_equal(read_cloud(tmp_path / name).xyz, FAR)


def test_integers_keep_all_their_digits(tmp_path):
    whole = np.array([[123_456_789, -3, 0]])
    for dtype in (np.int32, np.int64):
        np.savez(tmp_path / "a.npz", xyz=whole.astype(dtype), scale=1e-3)
        np.testing.assert_array_equal(read_cloud(tmp_path / "a.npz").xyz, whole * 1e-3)


def test_the_truth_of_a_far_cloud_keeps_its_digits(tmp_path):
    boxes = np.array([[12_345_678.901, 0, 0, 0.1, 0.1, 0.1]])
    np.savez(tmp_path / "a.npz", xyz=FAR, boxes=boxes)
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.npz").truth.boxes, boxes)
    np.savez(tmp_path / "b.npz", xyz=FAR, inst=np.array([1, 0]))
    np.testing.assert_array_equal(read_cloud(tmp_path / "b.npz").truth.boxes, [[*FAR[0], 0, 0, 0]])


def test_scaled_integers_are_metres(tmp_path):
    np.savez(tmp_path / "a.npz", xyz=np.int16([[-100, 0, 32767]]), scale=1e-3)
    np.testing.assert_allclose(read_cloud(tmp_path / "a.npz").xyz, [[-0.1, 0, 32.767]], rtol=1e-6)


@pytest.mark.parametrize("key", ["names", "labels"])
def test_boxes_and_their_names_are_the_truth(tmp_path, key):
    np.savez(tmp_path / "a.npz", xyz=XYZ, boxes=BOXES.astype(np.float64), **{key: ["table", "cup"]})
    truth = read_cloud(tmp_path / "a.npz").truth
    np.testing.assert_array_equal(truth.boxes, BOXES)
    assert truth.names == ("table", "cup")


def test_boxes_without_names_are_objects_and_there_may_be_none(tmp_path):
    np.savez(tmp_path / "a.npz", xyz=XYZ, boxes=BOXES)
    assert read_cloud(tmp_path / "a.npz").truth.names == ("object", "object")
    np.savez(tmp_path / "b.npz", xyz=XYZ, boxes=np.empty((0, 6)), names=np.array([], "U1"))
    assert read_cloud(tmp_path / "b.npz").truth.boxes.shape == (0, 6)


def test_numbered_objects_are_the_truth_where_there_are_no_boxes(tmp_path):
    inst = np.repeat([0, 3, 1], [30, 12, 8])
    np.savez(tmp_path / "a.npz", xyz=XYZ, inst=inst)
    truth = read_cloud(tmp_path / "a.npz").truth
    assert truth.names == ("object", "object")
    low, high = XYZ[inst == 1].min(0), XYZ[inst == 1].max(0)
    np.testing.assert_allclose(truth.boxes[0], np.hstack([(low + high) / 2, high - low]), atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_points_that_are_dropped_count_for_no_object(tmp_path, bad):
    xyz, inst = XYZ.astype(np.float64), np.repeat([0, 3, 1, 2], [20, 12, 10, 8])
    xyz[20, 1], xyz[inst == 2, 0] = bad, bad
    np.savez(tmp_path / "a.npz", xyz=xyz, inst=inst)
    truth = read_cloud(tmp_path / "a.npz").truth
    assert len(truth.boxes) == len(truth.names) == 2
    low, high = XYZ[21:32].min(0), XYZ[21:32].max(0)
    np.testing.assert_allclose(truth.boxes[1], np.hstack([(low + high) / 2, high - low]), atol=1e-6)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_nothing_is_unpickled(tmp_path, suffix):
    witness = tmp_path / "executed"
    bombs = np.array([Evil(Path.touch, witness)] * 3, object)
    path = tmp_path / f"bomb{suffix}"
    if suffix == ".npz":
        np.savez(path, xyz=bombs)
    else:
        np.save(path, bombs)
    with pytest.raises(InputError, match="bomb"):
        read_cloud(path)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Evil(Path.touch, witness)))
    with pytest.raises(InputError, match=r"plain\.npy"):
        read_cloud(tmp_path / "plain.npy")
    assert not witness.exists()


FAULTS = {
    "kind.doc": (lambda path: path.write_text("1 2 3"), "unknown kind of cloud file '.doc'"),
    "no_suffix": (lambda path: path.write_text("1 2 3"), "unknown kind"),
    "absent.npz": (lambda path: None, "no such file"),
    "folder.npz": (lambda path: path.mkdir(), "no such file"),
    "too_long" * 40 + ".npz": (lambda path: None, "no such file"),
    "empty.npz": (lambda path: path.touch(), "is empty (0 bytes)"),
    "empty.npy": (lambda path: path.touch(), "is empty (0 bytes)"),
    "empty.ply": (lambda path: path.touch(), "is empty (0 bytes)"),
    "empty.bin": (lambda path: path.touch(), "is empty (0 bytes)"),
    "empty.pcd": (lambda path: path.touch(), "is empty (0 bytes)"),
    "noise.npz": (lambda path: path.write_bytes(b"PK\3\4" + bytes(range(256))), "cannot be read as .npz"),
    "noise.ply": (lambda path: path.write_bytes(bytes(range(256))), "is no PLY file"),
    "cut.bin": (lambda path: path.write_bytes(bytes(25)), "25 bytes, no multiple of 24"),
    "not colours.bin": (lambda path: np.full((4, 6), -1, "<f4").tofile(path), "no colours (0..255) in columns 4 to 6"),
    "flat.npy": (lambda path: np.save(path, np.ones(9)), "shape (9,)"),
    "narrow.npy": (lambda path: np.save(path, np.ones((9, 2))), "shape (9, 2)"),
    "text.npy": (lambda path: np.save(path, np.full((9, 3), "a")), "type <U1"),
    "nan.npy": (lambda path: np.save(path, np.full((9, 3), np.nan)), "no finite point (of 9)"),
    "no points.npz": (lambda path: np.savez(path, ids=np.arange(3)), "arrays: ids"),
    "scale.npz": (lambda path: np.savez(path, xyz=XYZ, scale=-1.0), "'scale' is -1.0"),
    "few colours.npz": (lambda path: np.savez(path, xyz=XYZ, rgb=RGB[:3]), "'rgb' has shape (3, 3)"),
    "few inst.npz": (lambda path: np.savez(path, xyz=XYZ, inst=np.zeros(3)), "'inst' has shape (3,)"),
    "turned.npz": (lambda path: np.savez(path, xyz=XYZ, boxes=np.ones((2, 7))), "'boxes' has shape (2, 7)"),
    "flat box.npz": (lambda path: np.savez(path, xyz=XYZ, boxes=np.zeros((2, 6))), "not positive"),
    "few names.npz": (lambda path: np.savez(path, xyz=XYZ, boxes=BOXES, names=["a"]), "2 boxes, but names of"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_damaged_file_is_refused_in_one_line_that_names_it(tmp_path, name):
    write, text = FAULTS[name]
    write(tmp_path / name)
    with pytest.raises(InputError) as error:
        read_cloud(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert text in str(error.value)
    assert "\n" not in str(error.value)


NOT_CLOUDS = {
    "pointer.ply": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    "pointer.npz": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    "pointer.bin": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    "annex.pcd": (b"../.git/annex/objects/SHA256E-s9--0.pcd\n", "git annex get"),
    "page.ply": (b"\n<!DOCTYPE html>\n<html><head>", "is a web page"),
    "error.npy": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
    "absent.ply": (b"404: Not Found", "begins with '404: Not Found'"),
    "compressed.ply": (gzip.compress(b"ply\nformat ascii 1.0\n"), "is compressed (gzip)"),
    "compressed.bin": (gzip.compress(bytes(600)), "is compressed (gzip)"),
    "compressed.pcd": (bz2.compress(b"# .PCD v0.7\n"), "is compressed (bzip2)"),
    "compressed.npy": (lzma.compress(bytes(9)), "is compressed (xz)"),
    "archive.ply": (b"PK\3\4" + bytes(99), "is a zip archive"),
    "archive.npy": (b"PK\3\4" + bytes(99), "rename it to .npz"),
    "array.npz": (b"\x93NUMPY\1\0", "rename it to .npy"),
    "mesh.pcd": (b"ply\nformat ascii 1.0\n", "rename it to .ply"),
    "cloud.ply": (b"# .PCD v0.7 - Point Cloud Data\n", "rename it to .pcd"),
    "tiles.ply": (b"LASF" + bytes(99), "is a LAS or LAZ file; rename it"),
}


@pytest.mark.parametrize("name", NOT_CLOUDS)
def test_a_file_that_is_something_else_is_named_for_what_it_is(tmp_path, name):
    content, text = NOT_CLOUDS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read_cloud(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert text in str(error.value)


ONE = np.random.default_rng(5).uniform(0, 1, (50, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("columns", "values"),
    [(3, [XYZ]), (4, [XYZ, ONE]), (5, [XYZ, ONE, 30 * ONE]), (6, [XYZ, XYZ]), (8, [XYZ, XYZ, ONE, ONE])],
)
def test_a_bin_has_as_many_columns_as_one_says(tmp_path, columns, values):
    np.hstack(values).astype("<f4").tofile(tmp_path / "a.bin")
    cloud = read_cloud(tmp_path / "a.bin", columns)
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    assert cloud.rgb is None


@pytest.mark.parametrize("columns", [6, 7])
def test_columns_4_to_6_of_a_bin_are_colours_where_they_can_be(tmp_path, columns):
    np.hstack([XYZ, RGB, ONE])[:, :columns].astype("<f4").tofile(tmp_path / "a.bin")
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.bin", columns).rgb, RGB)


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ([np.abs(XYZ)], "--columns 3 (x y z)"),
        ([np.abs(XYZ) * 20], "--columns 3 (x y z)"),
        ([XYZ[:48], ONE[:48]], "--columns 4 (x y z intensity, as in KITTI)"),
        ([XYZ[:48], ONE[:48], ONE[:48]], "--columns 5 (x y z intensity ring, as in nuScenes)"),
        ([XYZ[:49], ONE[:49]], "has 784 bytes, no multiple of 24"),
    ],
)
def test_a_bin_of_other_columns_is_refused_with_those_that_it_may_have(tmp_path, values, advice):
    np.hstack(values).astype("<f4").tofile(tmp_path / "a.bin")
    with pytest.raises(InputError, match=re.escape(advice)):
        read_cloud(tmp_path / "a.bin")


@pytest.mark.parametrize("columns", [-1, 0, 2])
def test_fewer_columns_than_coordinates_are_refused(tmp_path, columns):
    XYZ.tofile(tmp_path / "a.bin")
    with pytest.raises(InputError, match=rf"a\.bin: cannot have {columns} columns a point; name at least 3"):
        read_cloud(tmp_path / "a.bin", columns)


@pytest.mark.parametrize("name", [name for name in WRITERS if "npz" not in name and "npy" not in name])
@pytest.mark.parametrize("part", [0.2, 0.9])
def test_a_cut_file_is_refused(tmp_path, name, part):
    WRITERS[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * part) // 24 * 24 + 1])
    with pytest.raises(InputError):
        read_cloud(tmp_path / name)


@needs_data
def test_a_real_table_top_cloud_has_its_objects():
    scene = next(s for s in json.loads((DATA / "mosd_learn/boxes.json").read_text()) if s["scene"] == "learn40")
    cloud = read_cloud(DATA / "mosd_learn/learn40.npz")
    assert cloud.xyz.shape == cloud.rgb.shape == (scene["n_points"], 3)
    assert abs(np.median(cloud.xyz[:, 2])) < 0.01
    listed = np.array([entry["box"] for entry in scene["objects"]])
    np.testing.assert_allclose(cloud.truth.boxes, listed, atol=0.02)


@needs_data
def test_a_real_room_is_the_same_from_both_of_its_files():
    raw, aligned = read_cloud(DATA / "scannet/scene0000_00.bin"), read_cloud(DATA / "scannet/scannet_scene0000_00.npz")
    assert len(raw.xyz) == len(aligned.xyz) == 40684
    np.testing.assert_array_equal(raw.rgb, aligned.rgb)
    # The alignment of one of them is a rigid motion: from each point it is as far to the next in both.
    steps = [np.linalg.norm(np.diff(cloud.xyz.astype(np.float64), axis=0), axis=1) for cloud in (raw, aligned)]
    np.testing.assert_allclose(*steps, atol=1e-4)
    assert len(aligned.truth.names) == 27
    assert {"table", "window"} <= set(aligned.truth.names)
