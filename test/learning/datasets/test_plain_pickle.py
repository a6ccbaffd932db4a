"""Pickles are read without running what they name."""

import builtins
import os
import pickle
from collections import OrderedDict
from datetime import date

import numpy as np
import pytest
from evil import Evil

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.plain_pickle import read_plain_pickle

VALUES = {
    "plain": [None, True, 3, -(2**70), 2.5, "tëxt", b"\x00\xff", (1, (2,)), {4, 5}, frozenset({6})],
    "empty": [b"", [], (), {}, set(), ""],
    "floats": np.arange(12, dtype=np.float64).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "integers": np.array([1, -2, 3]),
    "big": np.array([1, 2], ">i2"),
    "flags": np.array([True, False]),
    "none": np.empty((0, 6)),
    "single": np.array(3.5),
    "names": np.array(["cup", "night_stand"]),
    "bytes": np.array([b"ab"]),
    "objects": np.array(["cup", 2], dtype=object),
    "scalars": [np.float32(0.5), np.int64(7), np.bool_(True), np.str_("x")],
}


def equal(a, b):
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in b)
    if isinstance(b, np.ndarray) and b.dtype == object:
        return a == b.tolist()
    if isinstance(b, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(b, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return a == b


def write(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays_come_back(tmp_path, protocol):
    if protocol < 2:
        # These write bytes and arrays with names that only Python 2 needs.
        values = {key: value for key, value in VALUES.items() if key == "names"}
        values["plain"] = [1, "a", 2.5, None]
        path = write(tmp_path / "a.pkl", pickle.dumps(values["plain"], protocol))
        assert read_plain_pickle(path) == values["plain"]
        return
    path = write(tmp_path / "a.pkl", pickle.dumps(VALUES, protocol))
    assert equal(read_plain_pickle(path), VALUES)


def test_names_of_older_and_newer_numpy_are_known(tmp_path):
    data = pickle.dumps(np.arange(3.0), 2)
    ours, other = (b"numpy._core", b"numpy.core") if b"numpy._core" in data else (b"numpy.core", b"numpy._core")
    path = write(tmp_path / "a.pkl", data.replace(b"c" + ours, b"c" + other))
    assert np.array_equal(read_plain_pickle(path), np.arange(3.0))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Evil(os.system, "touch trace"), "system"),
        (Evil(builtins.eval, "open('trace', 'w')"), "eval"),
        (Evil(open, "trace", "w"), "open"),
        (Evil(getattr, 1, "real"), "getattr"),
        (Evil(np.load, "trace"), "load"),
        (Evil(bytes, 10**12), "bytes"),
        (OrderedDict(a=1), "OrderedDict"),
        (date(2020, 1, 1), "date"),
        (np.array([1, 2], "datetime64[s]"), "M8"),
        (np.zeros(2, [("a", "f4")]), "records|type"),
        (np.zeros, "zeros"),
        (np.dtype("f4"), "bare"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_anything_else_is_refused_by_name_and_not_run(tmp_path, monkeypatch, value, name, protocol):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "evil.pkl", pickle.dumps({"infos": [value]}, protocol))
    with pytest.raises(InputError, match=rf"evil\.pkl.*({name})") as caught:
        read_plain_pickle(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "trace").exists()


def test_codecs_run_no_other_codec(tmp_path):
    good = pickle.dumps({"a": b"\x80abc"}, 2)
    assert b"latin1" in good
    with pytest.raises(InputError, match="encoding"):
        read_plain_pickle(write(tmp_path / "a.pkl", good.replace(b"latin1", b"base64")))


def test_an_array_header_cannot_claim_more_than_there_is(tmp_path):
    data = pickle.dumps(np.zeros(7, np.uint8), 2)
    shape = b"K\x07\x85"
    assert data.count(shape) == 1
    with pytest.raises(InputError, match=r"a\.pkl"):
        read_plain_pickle(write(tmp_path / "a.pkl", data.replace(shape, b"K\xff\x85")))


def test_objects_in_disguise_of_numbers_stay_bytes(tmp_path):
    """A type whose flags are forged makes numpy take bytes for addresses."""
    data = pickle.dumps(np.array([1.0]), 2).replace(b"f8", b"O8")
    with pytest.raises(InputError, match=r"a\.pkl"):
        read_plain_pickle(write(tmp_path / "a.pkl", data))


def test_functions_keep_their_state(tmp_path):
    """A pickle may try to change what it is given."""
    attack = b"cnumpy\ndtype\n}(X\x05\x00\x00\x00stateK\x01ub."
    with pytest.raises(InputError, match="change of a function"):
        read_plain_pickle(write(tmp_path / "a.pkl", attack))


def test_a_small_file_cannot_grow_without_end(tmp_path):
    value = ["x"]
    for _ in range(60):
        value = [value] * 10
    with pytest.raises(InputError, match="stand for very many"):
        read_plain_pickle(write(tmp_path / "a.pkl", pickle.dumps(value, 4)))
    with pytest.raises(InputError, match="memo number 4294967295"):
        read_plain_pickle(write(tmp_path / "c.pkl", b"\x80\x04Nr\xff\xff\xff\xff."))
    loop = []
    loop.append(loop)
    with pytest.raises(InputError, match="contains itself"):
        read_plain_pickle(write(tmp_path / "b.pkl", pickle.dumps(loop, 4)))


@pytest.mark.parametrize("length", [0, 1, 50, 0.5, -1])
def test_truncated_files_are_named(tmp_path, length):
    data = pickle.dumps(VALUES, 4)
    cut = data[: int(length * len(data))] if isinstance(length, float) else data[:length]
    with pytest.raises(InputError, match=r"a\.pkl: cannot be read as a pickle"):
        read_plain_pickle(write(tmp_path / "a.pkl", cut))


def test_other_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pkl: no such file"):
        read_plain_pickle(tmp_path / "none.pkl")
    with pytest.raises(InputError, match=r"a\.pkl"):
        read_plain_pickle(write(tmp_path / "a.pkl", b"\x00random bytes\xff" * 10))
