"""Text, LAS, LAZ, E57 and meshes give the points that were written; damaged files are refused by name."""

import struct
import subprocess
import sys

import numpy as np
import pytest

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.clouds.isolation import isolated
from dspdet3d_ros.errors import InputError

XYZ = np.random.default_rng(3).normal(size=(50, 3)).astype(np.float32)
RGB = np.random.default_rng(4).integers(0, 256, (50, 3), dtype=np.uint8)


def rows(separator, *columns, number=repr):
    values = np.column_stack([np.asarray(column, np.float64) for column in columns])
    return "".join(separator.join(map(number, row)) + "\n" for row in values.tolist())


TEXTS = {
    "plain.xyz": rows(" ", XYZ, RGB),
    "tabs and no last line end.txt": rows("\t", XYZ, RGB).rstrip("\n"),
    "intensity.pts": "50\n" + rows(" ", XYZ, np.full(50, -1200), RGB),
    "names.csv": "blue,X,Y,Z,label,red,green\n"
    + rows(",", RGB[:, 2], XYZ, np.full(50, np.nan), RGB[:, :2]).replace("nan", "chair"),
    "cloudcompare.txt": "//X Y Z R G B Scalar\n50\n" + rows(" ", XYZ, RGB, np.ones(50)),
    "paraview.csv": '"red","green","blue","Points:0","Points:1","Points:2"\n' + rows(",", RGB, XYZ),
    "veloview.csv": '"red","green","blue","Points_m_XYZ:0","Points_m_XYZ:1","Points_m_XYZ:2"\n' + rows(",", RGB, XYZ),
    "units.csv": "x [m],y [m],z[m],r,g,b\n" + rows(",", XYZ, RGB),
    "an index.csv": ",X (m),Y (m),Z (m),r,g,b\n" + rows(",", np.arange(50), XYZ, RGB),
    "decimal commas.csv": "x;y;z;r;g;b\n" + rows(";", XYZ, RGB).replace(".", ","),
    "fractions.xyz": "# made by hand\n\n" + rows("  ", XYZ, RGB / 255),
    "windows.txt": rows(" ", XYZ, RGB).replace("\n", "\r\n"),
    "empty columns.csv": "x,y,z,note,r,g,b\n" + rows(",", XYZ, np.full(50, np.nan), RGB).replace("nan", ""),
}


@pytest.mark.parametrize("name", TEXTS)
def test_rows_of_text_are_points(tmp_path, name):
    (tmp_path / name).write_text(TEXTS[name], newline="")
    cloud = read_cloud(tmp_path / name)
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    np.testing.assert_array_equal(cloud.rgb, RGB)


def test_normals_and_intensities_are_no_colours(tmp_path):
    (tmp_path / "a.xyz").write_text(rows(" ", XYZ, -np.abs(XYZ)))
    (tmp_path / "b.xyz").write_text(rows(" ", XYZ, np.full(50, 0.5)))
    for name in "ab":
        cloud = read_cloud(tmp_path / f"{name}.xyz")
        np.testing.assert_array_equal(cloud.xyz, XYZ)
        assert cloud.rgb is None


QUATERNIONS = np.random.default_rng(5).normal(size=(50, 4))
QUATERNIONS /= np.linalg.norm(QUATERNIONS, axis=1, keepdims=True)
ROTATIONS = np.tile([0.6, 0, -0.8, 1.5, 0, 1, 0, 2.5, 0.8, 0, 0.6, -1], (50, 1))
NO_CLOUDS = {
    "trajectory.txt": "# timestamp tx ty tz qx qy qz qw\n" + rows(" ", np.arange(50) / 30 + 1.3e9, XYZ, QUATERNIONS),
    "poses.csv": rows(",", XYZ, QUATERNIONS),
    "matrices.txt": rows(" ", ROTATIONS),
    "normals.xyz": rows(" ", QUATERNIONS[:, :3] / np.linalg.norm(QUATERNIONS[:, :3], axis=1, keepdims=True)),
    "millimetres.csv": "x [mm],y [mm],z [mm]\n" + rows(",", XYZ),
}


@pytest.mark.parametrize("name", NO_CLOUDS)
def test_rows_of_something_else_are_refused(tmp_path, name):
    (tmp_path / name).write_text(NO_CLOUDS[name])
    with pytest.raises(InputError, match="with a first line that names the columns"):
        read_cloud(tmp_path / name)


def test_points_with_normals_and_no_curvature_are_no_poses(tmp_path):
    directions = QUATERNIONS[:, :3] / np.linalg.norm(QUATERNIONS[:, :3], axis=1, keepdims=True)
    (tmp_path / "a.xyz").write_text(rows(" ", XYZ, directions, np.zeros(50)))
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.xyz").xyz, XYZ)


def las(path, withheld=(), colours=RGB, point_format=3):
    laspy = pytest.importorskip("laspy", reason="laspy is not installed")
    if path.suffix == ".laz":
        pytest.importorskip("lazrs", reason="lazrs is not installed")
    header = laspy.LasHeader(point_format=point_format, version="1.2" if point_format < 4 else "1.4")
    header.scales, header.offsets = np.full(3, 1e-4), np.array([500_000.0, 5_000_000.0, 0])
    data = laspy.LasData(header)
    data.x, data.y, data.z = (XYZ + header.offsets).T
    if colours is not None:
        data.red, data.green, data.blue = colours.T.astype(np.uint16) * 257
    data.withheld = np.isin(np.arange(50), withheld)
    data.write(str(path))


@pytest.mark.parametrize("suffix", [".las", ".laz", ".LAS"])
def test_las_keeps_the_digits_of_global_coordinates(tmp_path, suffix):
    las(tmp_path / f"a{suffix}", withheld=[3, 7])
    cloud = read_cloud(tmp_path / f"a{suffix}")
    left = np.delete(np.arange(50), [3, 7])
    np.testing.assert_allclose(cloud.xyz, XYZ[left] + np.array([500_000, 5_000_000, 0.0]), atol=6e-5)
    np.testing.assert_array_equal(cloud.rgb, RGB[left])


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("point_format", [0, 1, 2, 3, 6, 7, 8])
def test_las_without_colours_has_none(tmp_path, point_format, suffix):
    coloured = point_format in (2, 3, 7, 8)
    las(tmp_path / f"a{suffix}", [3], np.zeros((50, 3)) if coloured else None, point_format)
    cloud = read_cloud(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(cloud.xyz - [500_000, 5_000_000, 0.0], np.delete(XYZ, 3, axis=0), atol=6e-5)
    assert cloud.rgb is None


def e57(path):
    pye57 = pytest.importorskip("pye57", reason="pye57 is not installed")
    with pye57.E57(str(path), mode="w") as file:
        for part, shift in ((slice(0, 20), 1.0), (slice(20, 50), -2.0)):
            values = {f"cartesian{axis}": XYZ[part, k].astype(np.float64) for k, axis in enumerate("XYZ")}
            values |= {f"color{name}": RGB[part, k] for k, name in enumerate(("Red", "Green", "Blue"))}
            file.write_scan_raw(values, translation=np.array([shift, 0, 0]))


def test_the_scans_of_an_e57_are_joined_in_one_frame(tmp_path):
    e57(tmp_path / "a.e57")
    cloud = read_cloud(tmp_path / "a.e57")
    shifts = np.repeat([[1.0, 0, 0], [-2.0, 0, 0]], [20, 30], axis=0)
    np.testing.assert_allclose(cloud.xyz, XYZ + shifts, atol=1e-6)
    np.testing.assert_array_equal(cloud.rgb, RGB)


@pytest.fixture
def trimesh():
    return pytest.importorskip("trimesh", reason="trimesh is not installed")


@pytest.mark.parametrize("suffix", ["obj", "stl", "glb"])
def test_the_faces_of_a_mesh_are_evenly_covered(tmp_path, trimesh, suffix):
    box = trimesh.creation.box((0.2, 0.1, 0.4))
    box.export(tmp_path / f"a.{suffix}")
    xyz = read_cloud(tmp_path / f"a.{suffix}").xyz
    # 0.28 m² at 5 mm.
    assert 11_000 < len(xyz) < 11_500
    on_face = np.isclose(np.abs(xyz), [0.1, 0.05, 0.2], atol=1e-6)
    assert on_face.any(1).all()
    np.testing.assert_allclose(on_face.mean(0), np.array([0.08, 0.16, 0.04]) / 0.28, atol=0.01)
    np.testing.assert_array_equal(xyz, read_cloud(tmp_path / f"a.{suffix}").xyz)


def test_parts_of_a_scene_are_where_it_places_them(tmp_path, trimesh):
    scene = trimesh.Scene()
    for height in (0.0, 2.0):
        red = trimesh.creation.box((0.1, 0.1, 0.1), vertex_colors=[255, 0, 0, 255])
        scene.add_geometry(red, transform=trimesh.transformations.translation_matrix([0, 0, height]))
    scene.export(tmp_path / "a.glb")
    cloud = read_cloud(tmp_path / "a.glb")
    upper = cloud.xyz[:, 2] > 1
    assert 0.45 < upper.mean() < 0.55
    assert np.abs(cloud.xyz[upper, 2] - 2).max() < 0.0501
    np.testing.assert_array_equal(np.unique(cloud.rgb, axis=0), [[255, 0, 0]])


def test_vertices_without_faces_are_the_points(tmp_path, trimesh):
    colours = np.column_stack([RGB, np.full(50, 255, np.uint8)])
    trimesh.Scene(trimesh.PointCloud(XYZ, colors=colours)).export(tmp_path / "a.glb")
    (tmp_path / "a.obj").write_text("".join("v " + " ".join(map(repr, p)) + "\n" for p in XYZ.tolist()))
    for name in ("a.glb", "a.obj"):
        np.testing.assert_array_equal(read_cloud(tmp_path / name).xyz, XYZ)
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.glb").rgb, RGB)


def cut(write):
    def write_cut(path):
        write(path)
        path.write_bytes(path.read_bytes()[:-300])

    return write_cut


def huge_las(path):
    las(path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 107, 4_000_000_000)
    path.write_bytes(data)


def text(content):
    return lambda path: path.write_text(content)


FAULTS = {
    "pose.txt": (
        text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"),
        "4 rows without names of columns, which may be a matrix",
    ),
    "label.txt": (text("Car 0 0 0 1 2 3 4 5 6 7 8 9 10 11\n" * 20), "has the columns Car, 0"),
    "words.csv": (text("x,y,z\n" + "1,2,chair\n" * 20), "has a line without numbers: '1,2,chair'"),
    "late words.csv": (text("x,y,z\n" + "1,2,3\n" * 20 + "1,2,chair\n"), "a row of points that cannot be read"),
    "two columns.xyz": (text("1 2\n" * 20), "rows of 2 columns"),
    "few rows.pts": (text("60\n" + rows(" ", XYZ)), "50 rows, but its first line promises 60"),
    "only names.csv": (text("x,y,z\n"), "no rows of numbers"),
    "cut.las": (cut(las), "promises 50 points"),
    "huge.las": (huge_las, "promises 4000000000 points"),
    "noise.las": (lambda path: path.write_bytes(bytes(range(256))), "is no LAS file"),
    "short.las": (lambda path: path.write_bytes(b"LASF"), "fewer than a LAS header"),
    "cut.laz": (cut(las), "cannot be read as .laz"),
    "cut.e57": (cut(e57), "cannot be read as .e57"),
    "noise.e57": (lambda path: path.write_bytes(bytes(range(256))), "cannot be read as .e57"),
    "noise.glb": (lambda path: path.write_bytes(b"glTF" + bytes(200)), "cannot be read as .glb"),
    "empty.obj": (text("# nothing\n"), "a.obj"),
    "las.ply": (las, "is a LAS or LAZ file; rename it"),
}


PACKAGES = {".las": "laspy", ".laz": "laspy", ".e57": "pye57", ".obj": "trimesh", ".stl": "trimesh", ".glb": "trimesh"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_damaged_file_is_refused_in_one_line_that_names_it(tmp_path, name):
    write, expected = FAULTS[name]
    if package := PACKAGES.get((tmp_path / name).suffix):
        pytest.importorskip(package, reason=f"{package} is not installed")
    if name == "las.ply":
        las(tmp_path / "a.las")
        (tmp_path / "a.las").rename(tmp_path / name)
    elif write is las:
        write(tmp_path / "a.las")
    else:
        write(tmp_path / name)
    if name == "empty.obj":
        expected = "empty.obj: "
    with pytest.raises(InputError) as error:
        read_cloud(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", PACKAGES)
def test_without_the_package_the_error_has_the_line_of_pip(tmp_path, suffix):
    heads = {".las": b"LASF", ".laz": b"LASF", ".e57": b"ASTM-E57", ".glb": b"glTF"}
    (tmp_path / f"a{suffix}").write_bytes(heads.get(suffix, b"v 0 0 0\n") + bytes(300))
    # A module that hides the package from this process and from those that it starts.
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('laspy', 'pye57', 'trimesh'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
    )
    code = (
        "import sys; import sitecustomize\n"
        "from dspdet3d_ros.clouds.files import read_cloud\n"
        "from dspdet3d_ros.errors import InputError\n"
        "try: read_cloud(sys.argv[1])\n"
        "except InputError as error: print(error)\n"
    )
    script = tmp_path / "read.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(hidden)!r})\n{code}")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / f"a{suffix}")],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(hidden)},
    )
    assert f"needs the Python package {PACKAGES[suffix]}" in done.stdout, done.stderr
    assert f"-m pip install {PACKAGES[suffix]}" in done.stdout


def read_and_die(path):
    import os

    os.abort()


def test_a_decoder_that_aborts_is_an_error(tmp_path):
    (tmp_path / "a.laz").touch()
    with pytest.raises(RuntimeError, match="the library that decodes it ended with SIGABRT"):
        isolated(read_and_die)(tmp_path / "a.laz")
