"""Catalogue meshes come in their size, upright and in their colours, and only where a catalogue is given."""

import zipfile

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.generated_classes import CLASS_NAMES
from dspdet3d_ros.learning.generation.catalogue import Catalogue
from dspdet3d_ros.learning.generation.shapes import make_shape
from dspdet3d_ros.learning.generation.sweet_home import NAMES

#: A wedge with y up: its ridge, of another colour, is above its back edge, which is at the least z.
WEDGE = """mtllib wedge.mtl
v -1 0 -2
v 1 0 -2
v 1 0 2
v -1 0 2
v -1 3 -2
v 1 3 -2
v 99 99 99
usemtl side
f 1 2 3 4
f 1/1/1 4/1/1 5/1/1
f 2 6 3
usemtl lid
f -4 -5 -2 -3
f 1 5 6 2
"""
PAINT = "newmtl side\nKd 1 0 0\nnewmtl lid\nKa 0 0 0\nKd 0 0.5 1\n"
ENTRY = "name#{n}={name}\nmodel#{n}=/a/wedge.obj\nwidth#{n}=20.0\ndepth#{n}={depth}\nheight#{n}=6\n"


def write(folder, names=("Coffee mug",), obj=WEDGE, depth=8, extra="", paint=PAINT, file="c.sh3f"):
    text = "id=x\n" + "".join(ENTRY.format(n=n, name=name, depth=depth) for n, name in enumerate(names)) + extra
    with zipfile.ZipFile(folder / file, "w") as archive:
        archive.writestr("PluginFurnitureCatalog.properties", text)
        archive.writestr("a/wedge.obj", obj)
        archive.writestr("a/wedge.mtl", paint)
    return folder


def drawn(folder, name="mug"):
    catalogue, rng = Catalogue.open(folder), np.random.default_rng(0)
    return next(mesh for _ in range(60) if (mesh := catalogue.draw(name, rng)) is not None)


def test_a_model_stands_upright_in_its_size_and_colours(tmp_path):
    mesh = drawn(write(tmp_path))
    scale = mesh.size()[0] / 0.2
    assert 0.9 <= scale <= 1.1
    np.testing.assert_allclose(mesh.size() / scale, [0.2, 0.08, 0.06])
    np.testing.assert_allclose(mesh.bounds()[0] / scale, [-0.1, -0.04, 0], atol=1e-9)
    assert len(mesh.vertices) == 6
    assert len(mesh.faces) == 8
    ridge = mesh.vertices[mesh.vertices[:, 2] > 0.01]
    np.testing.assert_allclose(ridge[:, 1] / scale, 0.04)
    np.testing.assert_allclose(np.unique(mesh.colors, axis=0), [[0, 127.5, 255], [255, 0, 0]])
    np.testing.assert_array_equal(mesh.colors[:4], np.tile([255, 0, 0], (4, 1)))


def test_a_rotation_is_done_first(tmp_path):
    mesh = drawn(write(tmp_path, extra="modelRotation#0=1 0 0 0 0 1 0 -1 0\n"))
    # What was up is now back, and what was front is up: the ridge, up and back before, lies behind on the ground.
    behind = mesh.vertices[:, 1] > 0
    np.testing.assert_allclose(mesh.vertices[behind, 2], 0, atol=1e-9)
    assert mesh.vertices[~behind, 2].max() > 0.05
    np.testing.assert_allclose(mesh.size() / mesh.size()[0], [1, 0.4, 0.3])


def test_half_of_the_objects_are_from_the_catalogue_and_other_classes_are_by_formula(tmp_path):
    catalogue, rng = Catalogue.open(write(tmp_path, ("Coffee mug", "Sofa", "Wall socket"))), np.random.default_rng(1)
    assert set(catalogue.models) == {"mug"}
    shapes = [make_shape("mug", rng, catalogue) for _ in range(200)]
    assert 70 < sum(len(shape.mesh.faces) == 8 for shape in shapes) < 130
    plain, beside = (make_shape("bowl", np.random.default_rng(2), given) for given in (None, catalogue))
    np.testing.assert_array_equal(plain.mesh.vertices, beside.mesh.vertices)


def test_furniture_and_what_is_too_fine_is_left_out(tmp_path):
    with pytest.raises(InputError, match=r"expected \.sh3f catalogues"):
        Catalogue.open(write(tmp_path, depth=80))
    catalogue = Catalogue.open(write(tmp_path, obj=WEDGE + "f 1 2 3\n" * 40_000))
    assert all(catalogue.draw("mug", np.random.default_rng(seed)) is None for seed in range(20))


@pytest.mark.parametrize(
    "fault",
    [
        {"obj": "v 1 2\nf 1 1 1"},
        {"obj": "v 0 0 0\nf 1 2 3"},
        {"obj": "v a b c"},
        {"obj": "v 0 0 nan\nf 1 1 1"},
        {"paint": "newmtl side\nKd 1\n"},
    ],
)
def test_a_damaged_model_is_named(tmp_path, fault):
    with pytest.raises(InputError, match=r"c\.sh3f: a/wedge\.obj: cannot be read as OBJ"):
        drawn(write(tmp_path, **fault))


def test_a_damaged_catalogue_is_named(tmp_path):
    with pytest.raises(InputError, match=r"expected \.sh3f catalogues"):
        Catalogue.open(tmp_path)
    with pytest.raises(InputError, match=r"c\.sh3f.*modelRotation"):
        Catalogue.open(write(tmp_path, extra="modelRotation#0=1 0\n"))
    with zipfile.ZipFile(tmp_path / "c.sh3f", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("PluginFurnitureCatalog.properties", "id=x\n" * 100)
    packed = (tmp_path / "c.sh3f").read_bytes()
    start = packed.index(b"properties") + len(b"properties")
    (tmp_path / "c.sh3f").write_bytes(packed[:start] + b"\xff" * 8 + packed[start + 8 :])
    with pytest.raises(InputError, match=r"c\.sh3f: expected a furniture catalogue"):
        Catalogue.open(tmp_path)
    (tmp_path / "c.sh3f").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"c\.sh3f: expected a furniture catalogue"):
        Catalogue.open(tmp_path)


def test_every_class_of_the_catalogues_is_generated():
    assert set(NAMES) <= set(CLASS_NAMES)
