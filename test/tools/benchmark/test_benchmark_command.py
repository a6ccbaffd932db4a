"""`dspdet3d benchmark` writes figures that belong together; how fast anything is, is never asserted."""

import json

import pytest
import torch

from dspdet3d_ros.cli import main
from dspdet3d_ros.tools.benchmark import gemm_peak

STAGES = ["decode", "points", "voxelise", "backbone", "level3", "level2", "level1", "level0", "postprocess"]


@pytest.fixture(autouse=True)
def short_gemm_timings(monkeypatch):
    monkeypatch.setattr(gemm_peak, "MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(gemm_peak, "TALL_ROWS", 1024)


def benchmark(tmp_path, checkpoint, cloud, *more):
    out = tmp_path / "figures.json"
    arguments = ["--checkpoint", str(checkpoint), "--device", "cpu", "--scene", str(cloud), "--tau", "0.5"]
    repeats = ["--repeats", "2", "--warmup", "0", "--json", str(out)]
    assert main(["benchmark", *arguments, *repeats, *more]) == 0
    return json.loads(out.read_text())


def test_figures_belong_together_and_threads_are_left_as_found(tmp_path, tiny_checkpoint, tiny_cloud, capsys):
    before = torch.get_num_threads()
    values = benchmark(tmp_path, tiny_checkpoint, tiny_cloud, "--threads", "1")
    assert torch.get_num_threads() == before
    assert values["machine"]["threads"] == 1
    assert values["scene"]["points"] == 3000 >= values["scene"]["voxels"] > 0
    (engine,) = values["engines"].values()
    assert list(engine["stages"]) == STAGES
    for times in [*engine["stages"].values(), engine["network_ms"], engine["total_ms"], engine["maps_ms"]]:
        assert 0 <= times["least"] <= times["median"] <= times["p90"]
    # Of two runs the median is the mean, so that medians add up.
    stages = sum(times["median"] for times in engine["stages"].values())
    assert stages == pytest.approx(engine["total_ms"]["median"], rel=0.01)
    assert engine["network_ms"]["median"] < engine["total_ms"]["median"]
    assert 0 < engine["memory"]["before_mb"] <= engine["memory"]["peak_mb"]
    flops = values["flop_count"]
    assert sum(stage["multiply_adds"] for stage in flops["stages"].values()) == flops["network"]["multiply_adds"]
    rate = 2 * flops["network"]["multiply_adds"] / engine["network_ms"]["median"] / 1e6
    assert flops["network"]["gflops"] == pytest.approx(rate)
    for peak in values["gemm_peak"].values():
        assert peak["gflops"] == max(product["gflops"] for product in peak["products"])
    table = capsys.readouterr().out
    assert all(name in table for name in ("backbone", "level0", "post-processing", "kernel maps", "GEMM peak"))


def test_another_engine_is_compared_on_the_same_cells(tmp_path, tiny_checkpoint, tiny_cloud):
    pytest.importorskip("MinkowskiEngineBackend", reason="MinkowskiEngine is not installed")
    values = benchmark(
        tmp_path, tiny_checkpoint, tiny_cloud, "--backend", "torch", "--against", "minkowski", "--no-memory"
    )
    medians = {name: engine["network_ms"]["median"] for name, engine in values["engines"].items()}
    assert values["speedup"] == pytest.approx(medians["minkowski"] / medians["torch"])
    assert values["agreement"]["agreeing"] == values["agreement"]["boxes"] > 0
    assert "memory" not in values["engines"]["torch"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tau", "nan"], "--tau: expected a number in 0..1"),
        (["--repeats", "0"], "--repeats: expected an integer of at least 1"),
        (["--threads", "0"], "--threads: expected an integer of at least 1"),
        (["--scene", "hall:3"], "--scene: expected demo"),
        (["--scene", "room:x"], "--scene: expected demo"),
        (
            ["--backend", "torch", "--against", "torch"],
            "--against: torch is the engine to measure; name another engine",
        ),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, said, capsys):
    assert main(["benchmark", "--no-memory", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_kernels_are_measured_on_cuda_only_and_tabled(tmp_path, tiny_checkpoint, tiny_cloud, capsys):
    arguments = ["--checkpoint", str(tiny_checkpoint), "--scene", str(tiny_cloud), "--kernels"]
    assert main(["benchmark", "--device", "cpu", *arguments]) == 1
    assert "expected a CUDA device, got cpu" in capsys.readouterr().err
    if not torch.cuda.is_available():
        pytest.skip("the kernels themselves need a CUDA device")
    assert main(["benchmark", "--device", "cuda", *arguments]) == 0
    assert "transposed" in capsys.readouterr().out


def test_the_accumulator_is_measured_with_its_memory(tmp_path, tiny_checkpoint, tiny_cloud, capsys):
    values = benchmark(tmp_path, tiny_checkpoint, tiny_cloud, "--accumulator", "--frames", "6")
    parts = values["accumulator"]
    assert (parts["width"], parts["height"], parts["frames"], parts["threads"]) == (640, 480, 6, 1)
    for name in ("refined", "as_given"):
        part = parts[name]
        assert part["frames_per_s"] > 0
        assert part["voxels"] >= part["points"] > 1000
        assert part["memory_mb"]["most"] >= part["memory_mb"]["end"] > 0
    assert "frames/s" in capsys.readouterr().out
