"""Label files of annotation tools, valid and broken."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from cloud_files import XYZ
from hypothesis import strategies as st
from mutation import changed
from outcome import Tally, judge
from stored import json_bytes, replaced

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.folders import open_scenes
from dspdet3d_ros.learning.datasets.formats.detection_results import read_results
from dspdet3d_ros.learning.datasets.formats.exporting import EXPORTS
from dspdet3d_ros.learning.datasets.formats.importing import import_labels

_AT = {"x": 0.1, "y": -0.2, "z": 0.3}
_BY = {"x": 0.0, "y": 0.0, "z": -0.5}
CUBOID = {"name": "cup", "centroid": _AT, "dimensions": {"length": 1, "width": 2, "height": 3}, "rotations": _BY}
CORNERS = [[x, y, z] for z in (1, -1) for x, y in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
LABELCLOUD = {"folder": "f", "filename": "s.npz", "path": "p", "objects": [CUBOID, {"name": "b", "vertices": CORNERS}]}
GEOMETRY = {"position": _AT, "rotation": _BY, "dimensions": {"x": 1, "y": 1, "z": 1}}
SUPERVISELY = {
    "objects": [{"key": "k", "id": 7, "classTitle": "cup"}],
    "figures": [{"objectKey": "k", "geometryType": "cuboid_3d", "geometry": GEOMETRY}],
}
ITEM = {"type": "cuboid_3d", "label_id": 0, "position": [0, 0, 0], "rotation": [0, 0, 1], "scale": [1, 1, 1]}
DATUMARO = {
    "categories": {"label": {"labels": [{"name": "cup"}]}},
    "items": [{"id": "s", "annotations": [ITEM], "point_cloud": {"path": "s.npz"}}],
}
GROUPS = {"segGroups": [{"label": "mug", "segments": [1, 2]}]}
SEGMENTS = {"segIndices": [n % 4 for n in range(20)]}
KITTI = b"Car 0 0 0 0 0 0 0 1.5 1.6 4 1 2 3 0.5\nCup 0 0 0 0 0 0 0 1 1 1 0 0 0 0 0.9\n"
CALIBRATION = b"R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n"
NUMBERS = b"".join(b"%d\n" % (1000 * (n % 3) + n % 2) for n in range(20))


def _one(name: str, value: object) -> st.SearchStrategy:
    return replaced(value).map(lambda changed_value: {name: json_bytes(changed_value)})


def _text(name: str, data: bytes, **others: bytes) -> st.SearchStrategy:
    return changed({name: data}).map(lambda case: {name: case[1], **others})


CASES = st.one_of(
    _one("s.json", LABELCLOUD),
    _one("s.npz.json", SUPERVISELY),
    _one("default.json", DATUMARO),
    st.tuples(_one("s.aggregation.json", GROUPS), _one("s.segs.json", SEGMENTS)).map(lambda pair: pair[0] | pair[1]),
    _text("s.txt", KITTI),
    _text("s.txt", NUMBERS),
    _text("calib/s.txt", CALIBRATION).map(lambda files: files | {"s.txt": KITTI}),
    _text("s.json", json.dumps(LABELCLOUD).encode()),
)
DETECTION = {"class": "cup", "score": 0.5, "center": [0, 0, 0], "size": [1, 2, 3], "turned": [0, 0, 0, 1, 2, 3, 0.4]}
RESULT = {"source": {"file": "s.npz"}, "frame_of_file": {"up": "y", "unit": "mm"}, "detections": [DETECTION]}
RESULTS = st.one_of(
    replaced(RESULT).map(json_bytes), changed({"r.jsonl": json.dumps(RESULT).encode()}).map(lambda case: case[1])
)


def results(tally: Tally, folder: Path, data: bytes) -> None:
    """One file of results: what is accepted can be exported in each format, or is refused by the format."""
    path, out = folder / "r.jsonl", folder / "exported"
    path.write_bytes(data)
    found = judge(tally, lambda: read_results(path), str(path))
    for export in EXPORTS.values() if found else ():
        shutil.rmtree(out, ignore_errors=True)
        with suppress(InputError):
            export(found[0], out)


def run(tally: Tally, folder: Path, files: dict[str, bytes]) -> None:
    """One folder: what is accepted can be opened, and has boxes of finite numbers."""
    own, out = folder / "labels", folder / "imported"
    for path in (own, out):
        shutil.rmtree(path, ignore_errors=True)
    (own / "calib").mkdir(parents=True)
    np.savez(own / "s.npz", xyz=XYZ)
    for name, data in files.items():
        (own / name).write_bytes(data)
    done = judge(tally, lambda: import_labels(own, out), str(own))
    assert (done is None) != out.exists()
    if done is not None:
        for scene in open_scenes(out):
            assert np.isfinite(scene.boxes).all()
            assert (scene.boxes[:, 3:] >= 0).all()
