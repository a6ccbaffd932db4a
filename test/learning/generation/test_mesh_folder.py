"""Mesh files in folders of classes: units, axes, new classes, furniture, and faults that name the file."""

import argparse

import numpy as np
import pytest

from dspdet3d_ros.commands import generate
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.scene_files import load_scene
from dspdet3d_ros.learning.generation.catalogue import FURNITURE, Catalogue
from dspdet3d_ros.learning.generation.interiors import interior_world
from dspdet3d_ros.learning.generation.shapes import TABLE_WEIGHTS, draw_name, make_shape

trimesh = pytest.importorskip("trimesh", reason="meshes are read with trimesh")


def write(folder, name, suffix, size=(0.05, 0.07, 0.2)):
    (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / name / f"model{suffix}"
    trimesh.creation.box(size).export(path)
    return path


def drawn(catalogue, name):
    rng = np.random.default_rng(0)
    return next(mesh for _ in range(60) if (mesh := catalogue.draw(name, rng)) is not None)


@pytest.mark.parametrize(
    ("suffix", "size"),
    [
        (".obj", (0.05, 0.07, 0.2)),
        (".ply", (0.05, 0.07, 0.2)),
        (".stl", (0.05, 0.07, 0.2)),
        (".glb", (0.05, 0.2, 0.07)),
    ],
)
def test_a_mesh_stands_upright_in_metres(tmp_path, suffix, size):
    write(tmp_path, "bottle", suffix, size)
    mesh = drawn(Catalogue.open(tmp_path), "bottle")
    scale = mesh.size()[0] / 0.05
    assert 0.9 <= scale <= 1.1
    np.testing.assert_allclose(mesh.size() / scale, [0.05, 0.07, 0.2], atol=1e-6)
    assert mesh.bounds()[0][2] == pytest.approx(0)
    assert len(np.unique(mesh.colors, axis=0)) == 1


@pytest.mark.parametrize("size", [(0.2, 0.02, 0.1), (0.02, 0.1, 0.2), (0.1, 0.2, 0.02)])
def test_a_part_lies_flat(tmp_path, size):
    write(tmp_path, "part", ".ply", size)
    catalogue, rng = Catalogue.open(tmp_path), np.random.default_rng(0)
    shapes = [make_shape("part", rng, catalogue) for _ in range(20)]
    heights = [shape.mesh.size()[2] for shape in shapes if len(shape.mesh.faces) == 12 and shape.mesh.size()[2] < 0.023]
    assert len(heights) > 4
    assert all(0.0179 < height < 0.0221 for height in heights)


def test_a_class_of_your_own_is_four_of_ten_objects(tmp_path):
    write(tmp_path, "wrench", ".stl")
    catalogue, rng = Catalogue.open(tmp_path), np.random.default_rng(0)
    assert catalogue.own_classes == ["wrench"]
    names = [draw_name(rng, TABLE_WEIGHTS, catalogue) for _ in range(400)]
    assert 120 < names.count("wrench") < 200
    assert make_shape("wrench", rng, catalogue).mesh.size()[2] == pytest.approx(0.2, rel=0.11)


def test_a_table_scene_labels_the_new_class_and_the_command_names_it(tmp_path, capsys):
    pytest.importorskip("embreex", reason="scenes are ray cast with embreex")
    write(tmp_path / "meshes", "wrench", ".stl")
    parser = argparse.ArgumentParser()
    generate.add_arguments(parser)
    options = ("--kind", "table", "--scenes", "3", "--catalogue", str(tmp_path / "meshes"))
    assert generate.run(parser.parse_args([str(tmp_path / "scenes"), *options])) == 0
    assert "classes of your own, from the names of folders: wrench" in capsys.readouterr().out
    assert any("wrench" in load_scene(path).names for path in (tmp_path / "scenes").iterdir())


def test_furniture_stands_in_interiors_and_is_no_class(tmp_path):
    write(tmp_path, FURNITURE, ".obj", (0.61, 0.43, 0.92))
    catalogue = Catalogue.open(tmp_path)
    assert catalogue.own_classes == []
    world = interior_world(np.random.default_rng(1), catalogue)
    assert sum(abs(mesh.size()[2] / 0.92 - 1) < 0.11 and len(mesh.faces) == 12 for mesh in world.meshes) > 1


def test_a_fault_names_the_file(tmp_path):
    path = write(tmp_path, "wrench", ".stl", (50, 70, 200))
    with pytest.raises(InputError, match=rf"{path}: expected metres.*found a length of 200; scale the mesh"):
        drawn(Catalogue.open(tmp_path), "wrench")
    path.write_bytes(b"solid")
    with pytest.raises(InputError, match=rf"{path}: "):
        drawn(Catalogue.open(tmp_path), "wrench")
    path.unlink()
    trimesh.PointCloud(np.eye(3)).export(path.with_suffix(".ply"))
    with pytest.raises(InputError, match="expected faces"):
        drawn(Catalogue.open(tmp_path), "wrench")
    path.with_suffix(".ply").unlink()
    trimesh.creation.icosphere(6, 0.1).export(path)
    with pytest.raises(InputError, match="expected at most 40000 faces, found 81920"):
        drawn(Catalogue.open(tmp_path), "wrench")


def test_a_folder_without_meshes_is_no_class(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError, match="folders named after a class"):
        Catalogue.open(tmp_path)
