"""Clouds that are written are read back as they were."""

import numpy as np
import pytest

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.clouds.writers import SUFFIXES, write_cloud
from dspdet3d_ros.errors import InputError


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_what_is_written_is_read(suffix, colours, kind, tmp_path):
    random = np.random.default_rng(0)
    xyz = (random.uniform(-5, 5, (700, 3)) + (1e6 if kind == np.float64 else 0)).astype(kind)
    rgb = random.integers(0, 256, (700, 3)).astype(np.uint8) if colours else None
    path = tmp_path / "new" / f"cloud{suffix}"
    write_cloud(path, PointCloud(xyz, rgb))
    back = read_cloud(path)
    np.testing.assert_array_equal(back.xyz, xyz)
    assert back.xyz.dtype == kind
    if colours:
        np.testing.assert_array_equal(back.rgb, rgb)
    else:
        assert back.rgb is None
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cloud.las: expected a cloud file with the suffix .ply, .npz, .pcd"):
        write_cloud(tmp_path / "cloud.las", PointCloud(np.zeros((1, 3), np.float32)))
