"""A scene survives its file, and a file that is not one is named."""

from dataclasses import replace

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.datasets.scene_files import SCALE, load_scene, save_scene


@pytest.fixture
def scene() -> LabelledScene:
    rng = np.random.default_rng(0)
    box = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]], np.float32)
    return LabelledScene(
        name="000007",
        subset="table stacked",
        xyz=rng.uniform(-3, 3, (50, 3)).astype(np.float32),
        rgb=rng.integers(0, 256, (50, 3)).astype(np.uint8),
        inst=(np.arange(50) % 2).astype(np.int32),
        boxes=box,
        full_boxes=box + np.float32(0.01),
        names=("remote control",),
        exact=True,
        kind="table",
        tags=("stacked", "single_view"),
        extents=rng.normal(0, 1, (1, 32, 2)).astype(np.float32),
        ignore=np.array([[1, 1, 1, 0.1, 0.1, 0.1], [2, 1, 1, 0.1, 0.1, 0.1]], np.float32),
    )


def test_a_scene_comes_back_as_it_was_saved(tmp_path, scene):
    path = tmp_path / "000007.npz"
    save_scene(path, scene)
    back = load_scene(path)
    np.testing.assert_allclose(back.xyz, scene.xyz, atol=SCALE / 2 + 1e-6)
    for field in ("rgb", "inst", "boxes", "full_boxes", "extents", "ignore"):
        np.testing.assert_array_equal(getattr(back, field), getattr(scene, field))
    for field in ("name", "subset", "names", "kind", "tags", "scan", "exact"):
        assert getattr(back, field) == getattr(scene, field)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_scene_from_a_file_without_extents_and_regions_has_none(tmp_path, scene):
    save_scene(tmp_path / "old.npz", replace(scene, extents=None, ignore=None))
    old = load_scene(tmp_path / "old.npz")
    assert old.extents is None
    assert old.ignore is None


def test_a_scene_without_objects_comes_back(tmp_path, scene):
    none = np.zeros((0, 6), np.float32)
    inst = np.zeros(50, np.int32)
    empty = replace(scene, inst=inst, boxes=none, full_boxes=none, names=(), tags=(), extents=None)
    save_scene(tmp_path / "empty.npz", empty)
    assert load_scene(tmp_path / "empty.npz").names == ()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.npz: no such file"):
        load_scene(tmp_path / "gone.npz")


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_archive_is_named(tmp_path, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.npz"):
        load_scene(path)


def test_a_plain_array_file_is_named(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(InputError, match=r"array\.npy"):
        load_scene(path)


def _rewrite(path, **changes):
    with np.load(path, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored}
    for key, value in changes.items():
        if value is None:
            del arrays[key]
        else:
            arrays[key] = value
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("boxes", None),
        ("xyz", np.zeros((50, 2), np.int16)),
        ("rgb", np.zeros((49, 3), np.uint8)),
        ("inst", np.full(50, 2, np.uint16)),
        ("names", np.array([], dtype=np.str_)),
        ("names", np.array([{}], dtype=object)),
        ("boxes", np.full((1, 6), np.nan, np.float32)),
        ("scale", np.float64(0)),
        ("extents", np.zeros((2, 32, 2), np.float32)),
        ("extents", np.zeros((1, 32, 3), np.float32)),
        ("extents", np.zeros((1, 1, 2), np.float32)),
        ("extents", np.full((1, 32, 2), np.inf, np.float32)),
    ],
)
def test_a_fault_in_an_array_is_named_with_the_file(tmp_path, scene, key, value):
    path = tmp_path / "scene.npz"
    save_scene(path, scene)
    _rewrite(path, **{key: value})
    with pytest.raises(InputError, match=rf"scene\.npz.*({key}|Object arrays)"):
        load_scene(path)


def test_a_scene_without_colours_is_refused(tmp_path, scene):
    with pytest.raises(InputError, match=r"grey\.npz: expected a scene with colours"):
        save_scene(tmp_path / "grey.npz", replace(scene, rgb=None))


def test_a_scene_too_large_for_its_file_is_refused(tmp_path, scene):
    scene.xyz[0, 0] = 40.0
    with pytest.raises(InputError, match=r"far\.npz.*40\.0 m"):
        save_scene(tmp_path / "far.npz", scene)
    assert not list(tmp_path.iterdir())
