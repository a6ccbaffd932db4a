"""The clouds of the benchmark, selected by a short text."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.clouds.pointcloud2 import encode
from dspdet3d_ros.clouds.upright import upright
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.errors import InputError

EXPECTED = "demo, a cloud file, room:SEED[:POINTS] or building[:ROOMS]"
#: Cache for the rooms of buildings, relative to the working directory: generating sixteen takes a minute.
KEPT = Path("build/benchmark")
_BUILDING_SEED = 0


@dataclass(frozen=True)
class BenchmarkScene:
    """A cloud with a name.

    Attributes:
        name: its name in the table.
        cloud: the points.
    """

    name: str
    cloud: PointCloud

    def message(self) -> SimpleNamespace:
        """The cloud as a message: an object with the attributes of sensor_msgs/msg/PointCloud2, without ROS."""
        packed = encode(self.cloud.xyz, self.cloud.rgb)
        fields = [SimpleNamespace(name=n, offset=o, datatype=t, count=c) for n, o, t, c in packed.fields]
        return SimpleNamespace(
            height=1,
            width=packed.width,
            fields=fields,
            is_bigendian=False,
            point_step=packed.point_step,
            row_step=packed.point_step * packed.width,
            data=packed.data,
            is_dense=False,
        )


def read_scene(spec: str, columns: int | None = None, up: str = "z", unit: str = "m") -> BenchmarkScene:
    """The scene for a text: `demo`, the path of a cloud file, `room:SEED[:POINTS]`, `building[:ROOMS]`.

    Args:
        spec: the text.
        columns: see `read_cloud`.
        up, unit: see `upright`; for a file.

    Raises:
        InputError: the text is none of these, the file cannot be read, or a library for generating is missing.
    """
    kind, *numbers = spec.split(":")
    if kind == "demo" and not numbers:
        return _from_file("demo", DEMO_CLOUD)
    if kind == "room":
        values = _whole_numbers(spec, numbers, least=1, most=2)
        return _room(*values)
    if kind == "building":
        return building(*_whole_numbers(spec, numbers, least=0, most=1))
    if not os.path.isfile(spec):
        raise InputError(f"--scene: expected {EXPECTED}, got {spec!r}")
    return _from_file(Path(spec).name, Path(spec), columns, up, unit)


def building(rooms: int | None = None) -> BenchmarkScene:
    """The building of the benchmark.

    Args:
        rooms: number of rooms, or None for the standard number.

    Raises:
        InputError: the number is not possible, the rooms cannot be written, or a library for generating is missing.
    """
    from dspdet3d_ros.learning.generation.building import STANDARD_ROOMS, generate_building

    count = STANDARD_ROOMS if rooms is None else rooms
    scene = generate_building(_BUILDING_SEED, count, KEPT)
    return BenchmarkScene(f"building of {count} rooms", PointCloud(scene.xyz, scene.rgb))


def _from_file(name: str, path: Path, columns: int | None = None, up: str = "z", unit: str = "m") -> BenchmarkScene:
    return BenchmarkScene(name, upright(read_cloud(path, columns), up, unit))


def _room(seed: int, points: int | None = None) -> BenchmarkScene:
    from dspdet3d_ros.learning.generation.scene import generate_scene, thinned

    scene = generate_scene(seed, "room")
    if points is not None:
        scene = thinned(scene, points, seed)
    return BenchmarkScene(f"room {seed}", PointCloud(scene.xyz, scene.rgb))


def _whole_numbers(spec: str, texts: list[str], least: int, most: int) -> list[int]:
    if not least <= len(texts) <= most or not all(text.isascii() and text.isdigit() for text in texts):
        raise InputError(f"--scene: expected {EXPECTED}, got {spec!r}")
    return [int(text) for text in texts]
