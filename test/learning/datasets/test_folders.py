"""One function tells the formats of data folders apart."""

import json

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.folders import open_scenes


def write_index(folder, **changes):
    rng = np.random.default_rng(0)
    np.savez(folder / "a.npz", xyz=rng.integers(0, 1000, (50, 3)).astype(np.int16), scale=0.001)
    things = [{"box": [0.5, 0.5, 0.5, 0.2, 0.3, 0.4], "inst": 2}, {"box": [0.1] * 6, "name": "cup"}]
    entry = {"scene": "a", "subset": "boxes", "table_z": 0.25, "objects": things} | changes
    (folder / "boxes.json").write_text(json.dumps([entry]))


def test_clouds_next_to_an_index(tmp_path):
    write_index(tmp_path)
    (scene,) = open_scenes(tmp_path)
    assert (scene.name, scene.subset, scene.names, scene.table_z) == ("a", "boxes", ("object", "cup"), 0.25)
    assert scene.boxes.shape == (2, 6)
    assert scene.xyz.max() <= 1
    write_index(tmp_path, table_z=None, objects=[])
    (scene,) = open_scenes(tmp_path)
    assert scene.table_z is None
    assert scene.boxes.shape == (0, 6)
    assert scene.ignore.shape == (0, 6)
    write_index(tmp_path, ignore=[{"what": "cables", "box": [1, 2, 3, 4, 5, 6]}])
    (scene,) = open_scenes(tmp_path)
    assert scene.ignore.tolist() == [[1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize(
    "changes",
    [
        {"scene": "none"},
        {"objects": [{}]},
        {"objects": 3},
        {"objects": [{"box": [1, 2]}]},
        {"objects": [{"box": [0, 0, 0, 1, 1, -1]}]},
        {"objects": [{"box": [0, 0, float("nan"), 1, 1, 1]}]},
        {"table_z": "low"},
        {"ignore": [{"what": "cables"}]},
        {"ignore": [{"box": [0, 0, 0, 1, 1, -1]}]},
        {"ignore": 3},
    ],
)
def test_faults_of_an_index_are_named(tmp_path, changes):
    write_index(tmp_path, **changes)
    with pytest.raises(InputError, match=r"boxes\.json|none\.npz"):
        list(open_scenes(tmp_path))


@pytest.mark.parametrize("text", ["{", "3", "[3]", "\xff"])
def test_an_index_that_is_none_is_named(tmp_path, text):
    (tmp_path / "boxes.json").write_bytes(text.encode("latin1"))
    with pytest.raises(InputError, match=r"boxes\.json"):
        open_scenes(tmp_path)


def test_the_info_file_of_the_split_is_taken(infos):
    infos.write("scannet_infos_val.pkl")
    infos.infos = infos.infos[:1]
    train = infos.write("scannet_infos_train.pkl")
    assert len(open_scenes(infos.folder, "val")) == 2
    assert len(open_scenes(infos.folder, "val", limit=1)) == 1
    assert len(open_scenes(infos.folder, "train")) == 1
    assert len(open_scenes(train, "val")) == 1
    with pytest.raises(InputError, match=r"split 'test'.*name the file itself"):
        open_scenes(infos.folder, "test")


def test_another_split_is_not_taken_silently_but_a_file_of_no_split_is(infos):
    path = infos.write("scannet_infos_train.pkl")
    with pytest.raises(InputError, match=r"split 'val', found scannet_infos_train\.pkl"):
        open_scenes(infos.folder, "val")
    path.rename(infos.folder / "scannet_infos.pkl")
    assert len(open_scenes(infos.folder, "val")) == 2


def test_generated_scenes(tmp_path):
    pytest.importorskip("embreex", reason="scenes are made with embreex, which is not installed")
    from dspdet3d_ros.learning.datasets.scene_files import save_scene
    from dspdet3d_ros.learning.generation.scene import generate_scene

    made = generate_scene(3, "table")
    save_scene(tmp_path / "000003.npz", made)
    (scene,) = open_scenes(tmp_path)
    assert scene.names == made.names
    assert scene.subset.startswith("table")
    assert scene.scan in made.tags
    assert set(np.unique(scene.inst)) <= set(range(len(scene.boxes) + 1))
    (tmp_path / "000004.npz").write_bytes((tmp_path / "000003.npz").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"000004\.npz"):
        list(open_scenes(tmp_path))


def test_folders_without_scenes_are_named(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            open_scenes(path)
