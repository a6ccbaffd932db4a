"""Checkpoints and data sets, valid and broken."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
from cloud_files import RGB, XYZ, npz_bytes, ply_bytes
from hypothesis import strategies as st
from mutation import changed
from outcome import Tally, judge

from dspdet3d_ros.learning.datasets.folders import open_scenes
from dspdet3d_ros.learning.datasets.plain_pickle import read_plain_pickle
from dspdet3d_ros.learning.datasets.scannet import read_label_map
from dspdet3d_ros.learning.datasets.scannet import read_scan as read_scannet
from dspdet3d_ros.learning.datasets.toscene import read_scan as read_toscene

POINTS = np.column_stack([XYZ, RGB]).astype("<f4").tobytes()
BOX = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


def _checkpoints() -> dict[str, bytes]:
    import torch

    files = {}
    for name, zipped in (("zip.pth", True), ("legacy.pth", False)):
        stream = io.BytesIO()
        contents = {"state_dict": {"a.weight": torch.arange(12.0).reshape(3, 4), "b": torch.ones(2)}, "epoch": 3}
        torch.save(contents, stream, _use_new_zipfile_serialization=zipped)
        files[name] = stream.getvalue()
    return files


def _entry(**annos) -> dict:
    own = {"gt_num": 1, "name": np.array(["chair"]), "gt_boxes_upright_depth": np.array([BOX]), "class": np.array([2])}
    own["axis_align_matrix"] = np.eye(4)
    return {"point_cloud": {"num_features": 6, "lidar_idx": "s"}, "pts_path": "s.bin", "annos": {**own, **annos}}


def _current() -> dict:
    things = [{"bbox_3d": [*BOX, 0.1], "bbox_label_3d": 0}]
    scene = {"lidar_points": {"num_pts_feats": 6, "lidar_path": "s.bin"}, "instances": things}
    return {"metainfo": {"categories": {"cup": 0}}, "data_list": [scene]}


ODD = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 9),
        st.sampled_from([2**70, 10**400, -1, 6]),
        # More digits than Python prints.
        st.builds(lambda: 10**5000),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["a\nb", "x" * 300, "../s.bin", "/etc/hosts", "s.bin", "cup"]),
        st.builds(lambda n: np.arange(float(n)), st.integers(0, 8)),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=6,
)


def _places(value, at=()):
    """The way to every part of a nested value."""
    yield at
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from _places(part, (*at, key))


def _with(value, place, new):
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = _with(value[place[0]], place[1:], new)
    return copy


@st.composite
def replaced(draw, value):
    """A nested value of which up to two parts are something else."""
    for _ in range(draw(st.integers(0, 2))):
        value = _with(value, draw(st.sampled_from(list(_places(value)))), draw(ODD))
    return value


INDEX = [{"scene": "s", "objects": [{"box": BOX, "name": "cup"}], "subset": "a", "table_z": 0.5}]
SEGMENTS = {"segIndices": [n % 4 for n in range(20)]}
GROUPS = {"segGroups": [{"objectId": 0, "label": "mug", "segments": [1, 2]}]}
LABELS = "raw_category\tModelNet40\nmug\tcup\nwall\t\n"
TOSCENE = {
    "xyz": XYZ,
    "color": RGB,
    "instance_label": np.arange(20) % 3,
    "semantic_label": np.full(20, 39),
    "bbox": np.array([[0, 0, 0, 0.1, 0.1, 0.1, 39]] * 3),
}


def json_bytes(value) -> bytes:
    try:
        # JSON has no arrays of numpy, and Python refuses to print integers of thousands of digits.
        return json.dumps(value, default=lambda array: array.tolist()).encode()
    except ValueError:
        return b"1" * 5000


def _seldom(valid: dict[str, bytes]) -> st.SearchStrategy:
    """The contents of a file that is broken now and then."""
    (data,) = valid.values()
    return st.one_of(st.just(data), st.just(data), st.just(data), changed(valid).map(lambda case: case[1]))


CHECKPOINT_FILES = _checkpoints()
CHECKPOINTS = changed(CHECKPOINT_FILES)
PICKLE_FILES = {
    f"{name}{p}.pkl": pickle.dumps(v, p) for p in (2, 4) for name, v in (("old", [_entry()]), ("new", _current()))
}
PICKLES = changed(PICKLE_FILES)
SCANS = changed({"scan.npz": npz_bytes(**TOSCENE), "packed.npz": npz_bytes(np.savez_compressed, **TOSCENE)})
INFOS = st.one_of(replaced([_entry()]), replaced(_current())).map(lambda value: pickle.dumps(value, 4))
INDEXES = st.one_of(
    replaced(INDEX).map(json_bytes),
    st.just(b"[" * 20000),
    changed({"boxes.json": json.dumps(INDEX).encode()}).map(lambda case: case[1]),
)
SCANNET = st.tuples(
    replaced(SEGMENTS).map(json_bytes),
    replaced(GROUPS).map(json_bytes),
    _seldom({"map.tsv": LABELS.encode()}),
    _seldom({"s.txt": b"axisAlignment = 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n"}),
)


def checkpoint(tally: Tally, folder: Path, case) -> None:
    """One checkpoint: valid ones give the tensors that were saved."""
    from dspdet3d_ros.detector.checkpoint import read_checkpoint

    name, data, untouched = case
    path = folder / name
    path.write_bytes(data)
    contents = judge(tally, lambda: read_checkpoint(path), str(path))
    assert contents is not None or not untouched
    if untouched:
        assert contents["state_dict"]["a.weight"].tolist() == np.arange(12.0).reshape(3, 4).tolist()


def plain_pickle(tally: Tally, folder: Path, case) -> None:
    """One pickle, alone and as an info file."""
    name, data, untouched = case
    (folder / "s.bin").write_bytes(POINTS)
    path = folder / name
    path.write_bytes(data)
    judge(tally, lambda: read_plain_pickle(path), str(path))
    scenes = judge(tally, lambda: list(open_scenes(path, classes=("cup",))), str(path.parent))
    assert scenes is not None or not untouched


def infos(tally: Tally, folder: Path, data: bytes) -> None:
    """One info file whose structure is not the promised one."""
    (folder / "s.bin").write_bytes(POINTS)
    path = folder / "odd.pkl"
    path.write_bytes(data)
    judge(tally, lambda: list(open_scenes(path, classes=("cup",))), str(path.parent))


def index(tally: Tally, folder: Path, data: bytes) -> None:
    """One folder with a boxes.json."""
    own = folder / "indexed"
    own.mkdir(exist_ok=True)
    (own / "s.npz").write_bytes(npz_bytes(xyz=XYZ))
    (own / "boxes.json").write_bytes(data)
    judge(tally, lambda: list(open_scenes(own)), str(own))


def scannet(tally: Tally, folder: Path, case) -> None:
    """One scan of ScanNet with its table of labels."""
    segments, groups, labels, text = case
    own = folder / "scene0"
    own.mkdir(exist_ok=True)
    (own / "scene0_vh_clean_2.ply").write_bytes(ply_bytes("binary_little_endian", faces=False))
    (own / "scene0_vh_clean_2.0.010000.segs.json").write_bytes(segments)
    (own / "scene0.aggregation.json").write_bytes(groups)
    (own / "scene0.txt").write_bytes(text)
    table = folder / "labels.tsv"
    table.write_bytes(labels)
    judge(tally, lambda: read_scannet(own, read_label_map(table)), str(folder))


def toscene(tally: Tally, folder: Path, case) -> None:
    """One scan of TO-SCENE."""
    name, data, untouched = case
    path = folder / name
    path.write_bytes(data)
    scan = judge(tally, lambda: read_toscene(path, 0), str(path))
    assert scan is not None or not untouched
