"""A short run of what `make fuzz` does at length: every case is a correct decode or a refusal that says why."""

import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed")

from targets import fuzz, targets

CASES = {"PointCloud2": 150, "cloud files": 150, "other cloud files": 80, "plain pickles": 60}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        "PointCloud2",
        "cloud files",
        "other cloud files",
        "parameters",
        "checkpoints",
        "plain pickles",
        "mmdet3d infos",
        "boxes.json",
        "labels of tools",
        "results",
        "ScanNet",
        "TO-SCENE",
        "native convolutions",
    ],
)
def test_every_case_is_decoded_or_refused(name, tmp_path):
    if name == "native convolutions" and name not in targets(tmp_path):
        pytest.skip("the C library is not built (no C compiler)")
    tally = fuzz(targets(tmp_path)[name], CASES.get(name, 40), start=0)
    assert tally.cases >= 20


def test_the_real_node_takes_what_the_readme_allows_and_nothing_else(tmp_path):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    from real_node import node_target

    with node_target(tmp_path) as target:
        tally = fuzz(target, 60, start=0)
    assert tally.cases >= 20
    assert tally.outcomes["accepted"] > 0
