"""Real frames fuse to thin surfaces."""

from pathlib import Path

import pytest

pytest.importorskip("PIL", reason="images are read with Pillow")

from dataclasses import replace

from dspdet3d_ros.mapping.folders import open_frames
from dspdet3d_ros.mapping.fusing import fuse_frames
from dspdet3d_ros.mapping.map_settings import MapSettings

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.parametrize(("name", "every", "limit_mm"), [("redkitchen", 4, 7.0), ("apc_shelf", 1, 4.0)])
@pytest.mark.parametrize("refine", [True, False])
def test_planes_are_thin(name, every, limit_mm, refine):
    if not (DATA / name).is_dir():
        pytest.skip(f"needs the real frames in {DATA / name}")
    folder = open_frames(DATA / name)
    folder = replace(folder, frames=folder.frames[::every])
    cloud, report = fuse_frames(folder, MapSettings(refine=refine))
    assert report.used == len(folder.frames)
    assert len(cloud.xyz) > 4000
    assert report.thickness.planes > 20
    assert report.thickness.median_m * 1000 <= limit_mm
