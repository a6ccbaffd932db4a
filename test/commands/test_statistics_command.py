"""`dspdet3d statistics` on folders and cloud files."""

import json

import numpy as np
import pytest

from dspdet3d_ros.cli import main

pytest.importorskip("scipy", reason="distances between points are found with scipy")


def test_folders_and_clouds_have_a_column_each(indexed, tmp_path, capsys):
    np.savez(tmp_path / "one.npz", xyz=np.random.default_rng(0).uniform(0, 1, (500, 3)))
    out = tmp_path / "out" / "figures.json"
    assert main(["statistics", str(indexed), str(tmp_path / "one.npz"), "--json", str(out)]) == 0
    assert "| | clouds | one.npz |" in capsys.readouterr().out
    values = json.loads(out.read_text())
    assert (values["clouds"]["scenes"], values["one.npz"]["scenes"]) == (2, 1)
    assert values["clouds"]["longest_edge"]["samples"] == 4
    assert main(["statistics", str(indexed), "--limit", "1", "--json", str(out)]) == 0
    assert json.loads(out.read_text())["clouds"]["scenes"] == 1


def test_a_bin_has_the_given_number_of_columns(tmp_path, capsys):
    np.random.default_rng(0).uniform(0, 1, (500, 4)).astype("<f4").tofile(tmp_path / "one.bin")
    assert main(["statistics", str(tmp_path / "one.bin"), "--columns", "4"]) == 0
    assert "| | one.bin |" in capsys.readouterr().out


def test_folders_of_the_same_name_are_shown_with_their_paths(indexed, tmp_path, capsys):
    other = tmp_path / "other" / indexed.name
    other.parent.mkdir()
    indexed.rename(other)
    other.parent.joinpath("more").mkdir()
    (other.parent / "more" / indexed.name).symlink_to(other)
    assert main(["statistics", str(other), str(other.parent / "more" / indexed.name)]) == 0
    assert f"| | clouds | {other.parent / 'more' / indexed.name} |" in capsys.readouterr().out


def test_a_missing_cloud_is_named(tmp_path, capsys):
    assert main(["statistics", str(tmp_path / "none.npz")]) == 1
    assert "none.npz" in capsys.readouterr().err
