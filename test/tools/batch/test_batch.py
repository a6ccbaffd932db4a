"""Many clouds: which files, results that no dying process loses, and shares of several processes."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from limits import WAIT_S

from dspdet3d_ros.cli import main
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.tools.batch.batch_run import ProcessShare, run
from dspdet3d_ros.tools.batch.cloud_inputs import cloud_files
from dspdet3d_ros.tools.batch.job import Job
from dspdet3d_ros.tools.batch.workers import Workers


@pytest.fixture
def scans(tmp_path):
    """A folder of four clouds, one of them in a sub-folder."""
    folder = tmp_path / "scans"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.npz", "b.npz", "c.npz", "more/d.npz")):
        xyz = np.random.default_rng(number).uniform(0, (0.5, 0.5, 0.2), (500, 3)).astype(np.float32)
        np.savez(folder / name, xyz=xyz)
    return folder


@pytest.fixture
def model(tiny_checkpoint):
    return ["--checkpoint", str(tiny_checkpoint), "--device", "cpu"]


@pytest.fixture
def job(tiny_checkpoint):
    return Job("small", tiny_checkpoint, "cpu")


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def names(records):
    return [Path(record["source"]["file"]).name for record in records]


def test_files_of_folders_and_patterns_are_taken_once(scans, monkeypatch):
    (scans / "notes.txt").write_text("no cloud")
    (scans / ".hidden.npz").touch()
    all_four = [scans / name for name in ("a.npz", "b.npz", "c.npz", "more/d.npz")]
    assert cloud_files([str(scans)]) == all_four
    assert cloud_files([str(scans / "c.npz"), str(scans)]) == [all_four[2], *all_four[:2], all_four[3]]
    assert cloud_files([str(scans / "**" / "[bd].npz")]) == [all_four[1], all_four[3]]
    assert cloud_files([str(scans / "*.txt")]) == [scans / "notes.txt"]
    monkeypatch.chdir(scans)
    assert cloud_files(["a.npz", str(scans / "a.npz")]) == [Path("a.npz")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("absent.npz", "absent.npz: no such file"),
        ("*.ply", "no file has such a name"),
        ("empty", "holds no cloud files"),
    ],
)
def test_names_without_a_file_are_refused(scans, name, text):
    (scans / "empty").mkdir()
    with pytest.raises(InputError, match=text.replace("*", r"\*")):
        cloud_files([str(scans / name)])


def test_each_cloud_has_a_line_and_errors_come_last(scans, model, tmp_path, capsys):
    (scans / "bad.npz").write_bytes(b"PK\3\4")
    out = tmp_path / "new" / "out"
    assert main(["detect", str(scans), *model, "-o", str(out), "--workers", "2"]) == 1
    records = lines(out / "detections.jsonl")
    assert names(records) == ["a.npz", "b.npz", "bad.npz", "c.npz", "d.npz"]
    assert ["error" in record for record in records] == [False, False, True, False, False]
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("dspdet3d detect: ")]
    assert errors[0] == "dspdet3d detect: 1 clouds have no result:"
    assert errors[1].startswith(f"dspdet3d detect: {scans / 'bad.npz'}: cannot be read as .npz")
    assert "4 clouds, " in captured.out
    one = tmp_path / "one.json"
    assert main(["detect", str(scans / "a.npz"), *model, "--json", str(one)]) == 0
    assert records[0]["detections"] == json.loads(one.read_text())["detections"]
    assert len(records[0]["detections"]) > 0


def test_another_run_computes_only_what_is_missing(scans, model, tmp_path, capsys):
    out = tmp_path / "out"
    (scans / "c.npz").rename(tmp_path / "c.npz")
    command = ["detect", str(scans), *model, "-o", str(out)]
    assert main(command) == 0
    before = lines(out / "detections.jsonl")
    (tmp_path / "c.npz").rename(scans / "c.npz")
    np.savez(scans / "b.npz", xyz=np.load(scans / "a.npz")["xyz"])
    assert main(command) == 0
    after = lines(out / "detections.jsonl")
    assert names(after) == ["a.npz", "b.npz", "c.npz", "d.npz"]
    # Times are equal only if the result is that of the first run.
    assert [after[0], after[3]] == [before[0], before[2]]
    assert after[1]["detections"] == after[0]["detections"] != before[1]["detections"]
    assert "4 clouds (2 of an earlier run)" in capsys.readouterr().out


def test_results_of_other_settings_are_not_mixed(scans, model, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["detect", str(scans), *model, "-o", str(out)]) == 0
    before = (out / "detections.jsonl").read_bytes()
    assert main(["detect", str(scans), *model, "-o", str(out), "--score", "0.5"]) == 1
    assert "holds results of another score_threshold; name another folder" in capsys.readouterr().err
    assert (out / "detections.jsonl").read_bytes() == before


def test_a_process_that_is_killed_loses_nothing_that_is_done(scans, model, tmp_path):
    out = tmp_path / "out"
    for number in range(30):
        np.savez(scans / f"e{number:02}.npz", xyz=np.load(scans / "a.npz")["xyz"])
    command = [sys.executable, "-m", "dspdet3d_ros", "detect", str(scans), *model, "-o", str(out)]
    part = out / "parts" / "rank0.jsonl"
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + WAIT_S
        while not (part.exists() and part.read_bytes().count(b"\n") >= 2):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    # Half a line, as a process leaves it that dies while it writes.
    done = part.read_bytes()[: part.read_bytes().rfind(b"\n") + 1]
    part.write_bytes(done + b'{"source": {"fi')
    assert main(command[3:]) == 0
    assert part.read_bytes().startswith(done)
    assert len(lines(out / "detections.jsonl")) == 34


@dataclass(frozen=True)
class Deadly(Job):
    """Its process is killed by files named b.npz, as by a decoder that crashes."""

    def load(self):
        loaded = super().load()
        record = loaded.record

        def dying(path):
            if path.name == "b.npz":
                os.kill(os.getpid(), signal.SIGKILL)
            return record(path)

        object.__setattr__(loaded, "record", dying)
        return loaded


def test_a_file_that_kills_its_process_is_an_error_and_the_others_are_done(scans, tiny_checkpoint, tmp_path):
    paths = cloud_files([str(scans)])
    outcome = run(Deadly("small", tiny_checkpoint, "cpu"), paths, tmp_path / "out", 1, 1, ProcessShare())
    assert outcome.done == 3
    (error,) = outcome.errors
    assert error.startswith(f"{scans / 'b.npz'}: the process that computes ended with SIGKILL")


def test_a_process_that_dies_between_two_files_is_replaced(scans, job):
    paths = cloud_files([str(scans)])
    with Workers(job, 1, 1) as pool:
        results = pool.results(paths)
        path, record = next(results)
        (process,) = multiprocessing.active_children()
        process.kill()
        process.join()
        records = {path: record, **dict(results)}
    assert list(records) == paths
    assert not any("error" in record for record in records.values())
    assert multiprocessing.active_children() == []


def test_only_the_last_process_fails_for_a_cloud_without_result(scans, model, tmp_path, capsys, monkeypatch):
    """torchrun would end all other processes if an earlier one failed."""
    (scans / "a.npz").write_bytes(b"PK\3\4")
    out = tmp_path / "out"
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, status in (("0", 0), ("1", 1)):
        monkeypatch.setenv("RANK", rank)
        assert main(["detect", str(scans), *model, "-o", str(out)]) == status
        assert f"{scans / 'a.npz'}: cannot be read" in capsys.readouterr().err
    assert names(lines(out / "detections.jsonl")) == ["a.npz", "b.npz", "c.npz", "d.npz"]


def test_shares_of_two_processes_are_joined_by_the_last(scans, model, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert main(["detect", str(scans), *model, "-o", str(out)]) == 0
    assert "process 1 of 2: 2 clouds of other processes are not done" in capsys.readouterr().out
    assert not (out / "detections.jsonl").exists()
    assert names(lines(out / "parts" / "rank1.jsonl")) == ["b.npz", "d.npz"]
    monkeypatch.setenv("RANK", "0")
    assert main(["detect", str(scans), *model, "-o", str(out)]) == 0
    assert names(lines(out / "detections.jsonl")) == ["a.npz", "b.npz", "c.npz", "d.npz"]
    monkeypatch.setenv("RANK", "2")
    assert main(["detect", str(scans), *model, "-o", str(out)]) == 1
    assert "RANK: expected 0 to 1, got 2" in capsys.readouterr().err


def test_torchrun_shares_the_clouds(scans, model, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "dspdet3d_ros", "detect", str(scans), *model, "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert names(lines(out / "detections.jsonl")) == ["a.npz", "b.npz", "c.npz", "d.npz"]
    assert sorted(path.name for path in (out / "parts").iterdir()) == ["rank0.jsonl", "rank1.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["SCANS"], "several clouds need a folder for the results; add -o FOLDER"),
        (["SCANS/a.npz", "SCANS/b.npz"], "add -o FOLDER"),
        (["SCANS/a.npz", "--workers", "2"], "--workers: applies to many clouds"),
        (["SCANS", "-o", "OUT", "--workers", "0"], "--workers: expected an integer of at least 1"),
        (["SCANS", "-o", "OUT", "--png", "a.png"], "--png: applies to one cloud"),
        (["SCANS", "-o", "SCANS/a.npz/x"], "cannot be written"),
        (["SCANS", "-o", "OUT", "--device", "cuda:99"], "cuda:99"),
    ],
)
def test_bad_input_is_refused_in_one_line(scans, model, tmp_path, capsys, arguments, text):
    arguments = [a.replace("SCANS", str(scans)).replace("OUT", str(tmp_path / "out")) for a in arguments]
    # What the case names comes last and replaces what the fixture names.
    assert main(["detect", *model, *arguments]) == 1
    error = capsys.readouterr().err
    assert text in error
    assert error.startswith("dspdet3d detect: ")
    assert error.count("\n") == 1
