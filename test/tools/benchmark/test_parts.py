"""The other measurements: their figures belong together and leave everything as found."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dspdet3d_ros.tools.benchmark.benchmark_scene import read_scene
from dspdet3d_ros.tools.benchmark.cloud_side import POINTS, measure_cloud_side
from dspdet3d_ros.tools.benchmark.convolutions import measure_kinds
from dspdet3d_ros.tools.benchmark.flop_count import count_flops
from dspdet3d_ros.tools.benchmark.scaling import exponent, measure_scaling
from dspdet3d_ros.tools.benchmark.target import BenchmarkTarget, with_weights
from dspdet3d_ros.tools.benchmark.training_step import measure_training


@pytest.fixture(scope="module")
def target(tiny_checkpoint):
    return BenchmarkTarget("small", tiny_checkpoint, "cpu", 0.9)


@pytest.fixture(scope="module")
def kept_rooms(tmp_path_factory):
    pytest.importorskip("embreex", reason="ray casting needs embreex")
    return tmp_path_factory.mktemp("here")


def test_convolutions_of_each_kind_with_and_without_their_maps(target, tiny_cloud):
    detector = target.load("torch")
    flops = count_flops(detector, np.load(tiny_cloud), replace(detector.default_settings(), pruning_threshold=0.5))
    gemm_peaks = {8: {"gflops": 2.0}}
    rows = measure_kinds(flops.convolutions, {"torch": detector.engine}, gemm_peaks, torch.device("cpu"), 1)
    assert {row["kind"] for row in rows} == {convolution.kind for convolution in flops.convolutions}
    assert sum(row["count"] for row in rows) == len(flops.convolutions)
    assert sum(row["share_of_run"] for row in rows) == pytest.approx(1)
    for row in rows:
        assert 0 < row["filled"] <= 1
        for figures in row["engines"]["torch"].values():
            assert figures["gflops"] == pytest.approx(2 * row["multiply_adds"] / figures["ms"]["median"] / 1e6)
            wide = row["kind"].split()[-1].startswith("8→")
            assert figures["share_of_gemm_peak"] == (pytest.approx(figures["gflops"] / 2) if wide else None)


def test_the_exponent_is_that_of_the_times():
    assert exponent([1, 2, 4], [3, 6, 12]) == pytest.approx(1)
    assert exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


def test_buildings_of_several_sizes_and_the_cloud_side(target, kept_rooms, monkeypatch):
    monkeypatch.chdir(kept_rooms)
    values = measure_scaling(target, "torch", repeats=1, warmup=0, memory=False, sizes=(1, 2))
    one, two = values["scaling"]
    assert two["area_m2"] == 2 * one["area_m2"]
    assert two["points"] > one["points"] > 0
    times = [run["total_ms"]["median"] for run in (one, two)]
    assert values["exponent"] == pytest.approx(np.log2(times[1] / times[0]))
    before = torch.get_num_threads()
    side = measure_cloud_side(target, "torch", repeats=2, warmup=0)
    assert torch.get_num_threads() == before
    assert side["points"] == POINTS
    assert sum(stage["median"] for stage in side["stages"].values()) == pytest.approx(side["ms"]["median"])


def test_forward_and_backward_of_a_training_step(target):
    pytest.importorskip("embreex", reason="ray casting needs embreex")
    values = measure_training(target, "torch", repeats=1, warmup=0, points=5000)
    assert values["points"] == 5000
    both = values["forward_ms"]["median"] + values["backward_ms"]["median"]
    assert values["ratio"] == pytest.approx(both / values["forward_ms"]["median"])
    assert values["ratio"] > 1


def test_a_model_without_weights_gets_those_of_the_reference_network():
    with with_weights(BenchmarkTarget("scannet_md40", None, "cpu", None)) as with_file:
        detector = with_file.load("torch")
    assert detector.model_name == "scannet_md40"
    assert detector.config.widths == (64, 128, 128, 128)
    assert not with_file.checkpoint.exists()


def test_the_demo_scene_is_a_message_that_decodes_to_itself():
    from dspdet3d_ros.clouds.pointcloud2 import decode

    scene = read_scene("demo")
    np.testing.assert_array_equal(decode(scene.message()).xyz, scene.cloud.xyz)


def test_a_scene_from_a_bin_has_the_given_number_of_columns(tmp_path):
    points = np.random.default_rng(0).normal(size=(9, 5)).astype("<f4")
    points.tofile(tmp_path / "scan.bin")
    np.testing.assert_array_equal(read_scene(str(tmp_path / "scan.bin"), 5).cloud.xyz, points[:, :3])
