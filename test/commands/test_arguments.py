"""Every command rejects numbers out of range in one line, before it loads anything."""

import pytest

from dspdet3d_ros.cli import main
from dspdet3d_ros.commands.arguments import check_number, with_joined_axis
from dspdet3d_ros.validation import AT_LEAST_ONE, SHARE


@pytest.mark.parametrize("value", [None, 0, 0.5, 1])
def test_numbers_in_range_and_missing_ones_are_accepted(value):
    check_number("--tau", value, SHARE)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["detect", "CLOUD", "--tau", "1.5"], "--tau: expected a number in 0..1, got 1.5"),
        (["detect", "CLOUD", "--score", "nan"], "--score: expected a number in 0..1, got nan"),
        (["detect", "CLOUD", "--taus", "0", "-1"], "--taus: expected a number in 0..1, got -1.0"),
        (["evaluate", "DIR", "--tau", "2"], "--tau: expected a number in 0..1, got 2.0"),
        (["evaluate", "DIR", "--score", "inf"], "--score: expected a number in 0..1, got inf"),
        (["evaluate", "DIR", "--limit", "0"], "--limit: expected an integer of at least 1, got 0"),
        (["evaluate", "DIR", "--yaw", "inf"], "--yaw: expected a number, got inf"),
        (["statistics", "DIR", "--limit", "0"], "--limit: expected an integer of at least 1, got 0"),
        (["sweep", "DIR", "--taus", "0", "2"], "--taus: expected a number in 0..1, got 2.0"),
        (["sweep", "DIR", "--limit", "0"], "--limit: expected an integer of at least 1, got 0"),
        (["baseline", "DIR", "--limit", "-3"], "--limit: expected an integer of at least 1, got -3"),
        (["benchmark", "--tau", "nan"], "--tau: expected a number in 0..1, got nan"),
        (["benchmark", "--repeats", "0"], "--repeats: expected an integer of at least 1, got 0"),
        (["benchmark", "--threads", "0"], "--threads: expected an integer of at least 1, got 0"),
        (["generate", "DIR", "--scenes", "-1"], "--scenes: expected an integer of at least 0, got -1"),
        (["generate", "DIR", "--seed", "-1"], "--seed: expected an integer of at least 0, got -1"),
        (["generate", "DIR", "--workers", "0"], "--workers: expected an integer of at least 1, got 0"),
        (["generate", "DIR", "--max-points", "0"], "--max-points: expected an integer of at least 1, got 0"),
        (["train", "--data", "DIR", "--threads", "0"], "--threads: expected an integer of at least 1, got 0"),
        (["dataset", "toscene", "DIR", "OUT", "--seed", "-1"], "--seed: expected an integer of at least 0, got -1"),
    ],
)
def test_a_number_out_of_range_is_refused_in_one_line(capsys, arguments, text):
    assert main(arguments) == 1
    assert capsys.readouterr().err == f"dspdet3d {arguments[0]}: {text}\n"


def test_the_minimum_itself_is_accepted():
    check_number("--limit", 1, AT_LEAST_ONE)
    check_number("--limit", None, AT_LEAST_ONE)


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["detect", "a.ply", "--up", "-y", "--tau", "0"], ["detect", "a.ply", "--up=-y", "--tau", "0"]),
        (["--up", "x"], ["--up=x"]),
        (["--up", "--unit", "mm", "-y"], ["--up", "--unit", "mm", "-y"]),
        (["--up"], ["--up"]),
        ([], []),
    ],
)
def test_an_axis_with_a_minus_is_no_option(given, joined):
    assert with_joined_axis(given) == joined
