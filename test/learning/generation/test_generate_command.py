"""`dspdet3d generate` writes scenes once each and names what is wrong."""

import argparse
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dspdet3d_ros.commands import generate
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.scene_files import load_scene
from dspdet3d_ros.learning.generation.scene import generate_scene


def _run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    generate.add_arguments(parser)
    return generate.run(parser.parse_args(arguments))


def test_two_workers_write_the_scenes_of_their_seeds(tmp_path, capsys):
    pytest.importorskip("embreex", reason="scenes are ray cast with embreex")
    folder = tmp_path / "new" / "scenes"
    assert _run(str(folder), "--scenes", "2", "--seed", "4", "--kind", "table", "--workers", "2") == 0
    assert sorted(path.name for path in folder.iterdir()) == ["000004.npz", "000005.npz"]
    assert re.search(r"^\d+\.\d scenes per minute and worker$", capsys.readouterr().out, re.M)
    scene = generate_scene(4, "table")
    np.testing.assert_array_equal(load_scene(folder / "000004.npz").boxes, scene.boxes)
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert _run(str(folder), "--scenes", "2", "--seed", "4", "--kind", "table") == 0
    said = capsys.readouterr().out
    assert "0 scenes written" in said
    assert "a minute" not in said
    assert written == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_scene_can_be_thinned(tmp_path):
    pytest.importorskip("embreex", reason="scenes are ray cast with embreex")
    assert _run(str(tmp_path), "--scenes", "1", "--seed", "4", "--kind", "table", "--max-points", "5000") == 0
    scene, whole = load_scene(tmp_path / "000004.npz"), generate_scene(4, "table")
    assert len(scene.xyz) == len(scene.inst) == len(scene.rgb) == 5000
    np.testing.assert_array_equal(scene.boxes, whole.boxes)
    assert set(np.unique(scene.inst)) <= set(range(len(scene.boxes) + 1))


def test_a_catalogue_gives_other_scenes_and_a_folder_without_one_is_named(tmp_path):
    pytest.importorskip("embreex", reason="scenes are ray cast with embreex")
    (tmp_path / "catalogues").mkdir()
    with pytest.raises(InputError, match="catalogues"):
        _run(str(tmp_path / "scenes"), "--scenes", "1", "--catalogue", str(tmp_path / "catalogues"))
    with zipfile.ZipFile(tmp_path / "catalogues" / "c.sh3f", "w") as archive:
        things = [f"name#{k}={name}\nmodel#{k}=/m.obj\n" for k, name in enumerate(("Milk", "Cup", "Book", "Plate"))]
        sizes = [f"width#{k}=9\ndepth#{k}=9\nheight#{k}=9\n" for k in range(4)]
        archive.writestr("PluginFurnitureCatalog.properties", "".join(things + sizes))
        archive.writestr("m.obj", "v 0 0 0\nv 1 0 0\nv 0 0 1\nv 0 1 0\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n")
    options = ("--scenes", "2", "--seed", "4", "--kind", "table", "--workers", "2")
    assert _run(str(tmp_path / "scenes"), *options, "--catalogue", str(tmp_path / "catalogues")) == 0
    scenes = [load_scene(tmp_path / "scenes" / f"00000{seed}.npz") for seed in (4, 5)]
    assert any(scene.names != generate_scene(seed, "table").names for seed, scene in zip((4, 5), scenes, strict=True))


@pytest.mark.parametrize("option", ["--scenes", "--seed", "--workers", "--max-points"])
def test_a_count_below_its_least_is_named(tmp_path: Path, option: str):
    with pytest.raises(InputError, match=f"{option}: expected"):
        _run(str(tmp_path), option, "-1")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        _run(str(tmp_path / "file"), "--scenes", "1")


def test_a_missing_ray_casting_library_is_named_with_its_remedy(tmp_path: Path, monkeypatch):
    pytest.importorskip("tqdm", reason="the command shows its progress with tqdm")
    for module in ("embreex", "embreex.mesh_construction", "embreex.rtcore_scene"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"embreex.*pip install embreex"):
        _run(str(tmp_path), "--scenes", "1")
    assert not list(tmp_path.iterdir())
