"""Many bags in several processes: none is lost if a process dies, and none is computed twice."""

import json
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

pytest.importorskip("rosbags")


from dspdet3d_ros.cli import main
from dspdet3d_ros.message_contents import TYPES, MessageContents
from dspdet3d_ros.recordings.bags import BagWriter
from dspdet3d_ros.recordings.types import MessageTypes, make
from dspdet3d_ros.system import process_status
from dspdet3d_ros.tools.batch.batch_run import ProcessShare
from dspdet3d_ros.tools.batch.job import Job
from dspdet3d_ros.tools.replay.bag_job import BagJob
from dspdet3d_ros.tools.replay.claims import Claim, Claims, clock_ns
from dspdet3d_ros.tools.replay.many_bags import replay_bags
from dspdet3d_ros.tools.replay.replay_settings import ReplaySettings

NAMES = ("a", "b", "c", "d")


def write_bag(path, clouds):
    """A bag of clouds of a few points."""
    contents = MessageContents(MessageTypes(*TYPES))
    xyz = np.random.default_rng(0).uniform(0, (0.5, 0.5, 0.2), (500, 3)).astype(np.float32)
    with BagWriter(path) as bag:
        for second in range(1, clouds + 1):
            stamp = make("builtin_interfaces/msg/Time", sec=second)
            header = make("std_msgs/msg/Header", stamp=stamp, frame_id="map")
            bag.write("/map", contents.cloud(header, xyz), second * 10**9)
    return path


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    """Four bags."""
    folder = tmp_path_factory.mktemp("bags")
    return [write_bag(folder / name, 3) for name in NAMES]


@pytest.fixture
def model(tiny_checkpoint):
    return ["--checkpoint", str(tiny_checkpoint), "--device", "cpu", "--threads", "1"]


def wait_until(condition, limit_s):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def is_done(folder):
    return (folder / "summary.json").is_file()


@dataclass(frozen=True)
class Deadly(Job):
    """Its process is killed while it replays one of the bags; `deaths` is the file that counts it."""

    deaths: Path = Path()
    most: int = 1

    def load(self):
        loaded = super().load()
        doubts = loaded.doubts

        def dying(cloud):
            number = len(self.deaths.read_bytes()) if self.deaths.exists() else 0
            if number < self.most:
                with self.deaths.open("ab") as stream:
                    stream.write(b".")
                os.kill(os.getpid(), signal.SIGKILL)
            return doubts(cloud)

        object.__setattr__(loaded, "doubts", dying)
        return loaded


def outcomes(tiny_checkpoint, bags, out, tmp_path, most):
    deaths = []
    job = Deadly("small", tiny_checkpoint, "cpu", deaths=tmp_path / "deaths", most=most)
    named = [(bag, bag.name) for bag in bags]
    return list(replay_bags(job, ReplaySettings(), named, out, 1, 1, ProcessShare(), deaths.append)), deaths


def test_a_bag_whose_process_was_killed_is_tried_once_more(tiny_checkpoint, bags, tmp_path):
    done, deaths = outcomes(tiny_checkpoint, bags[:2], tmp_path / "out", tmp_path, 1)
    (death,) = deaths
    assert death.startswith(f"{bags[0]}: the process that computes ended with SIGKILL")
    assert [outcome.error for outcome in done] == ["", ""]
    assert all(is_done(tmp_path / "out" / name) for name in ("a", "b"))


def test_a_bag_that_kills_its_process_again_is_named_and_the_others_are_done(tiny_checkpoint, bags, tmp_path):
    done, deaths = outcomes(tiny_checkpoint, bags[:2], tmp_path / "out", tmp_path, 2)
    assert len(deaths) == 1
    assert {outcome.bag: outcome.error.partition(";")[0] for outcome in done} == {
        bags[0]: f"{bags[0]}: the process that computes ended with SIGKILL",
        bags[1]: "",
    }
    assert not is_done(tmp_path / "out" / "a")
    assert is_done(tmp_path / "out" / "b")


def children_of(pid):
    """Process ids of the children of a process that have loaded the command, deepest last."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = process_status(int(path.name))
        except (OSError, ValueError):
            continue
        if status.get("PPid") == str(pid):
            found += [int(path.name), *children_of(int(path.name))]
    return found


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.fixture
def torchrun(model, tmp_path):
    """Starts a replay of bags in two processes."""
    started = []

    def start(bags, out, *options):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *options]
        command += ["-m", "dspdet3d_ros", "replay", *map(str, bags), "-o", str(out), *model]
        log = (tmp_path / f"log{len(started)}").open("w+")
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        process.log = Path(log.name)
        started.append((process, log))
        return process

    yield start
    for process, log in started:
        for pid in [process.pid, *children_of(process.pid)]:
            if process.poll() is None:
                os.kill(pid, signal.SIGKILL)
        process.wait()
        log.close()


def computing(process):
    """Ids of the child processes that compute, by that of their rank."""
    ranks = [pid for pid in children_of(process.pid) if "dspdet3d_ros replay" in command_of(pid)]
    return {pid: [child for child in children_of(pid) if "multiprocessing.spawn" in command_of(child)] for pid in ranks}


def begun(out, names):
    """Those of the bags of which a process has computed a cloud, but not all."""
    return [
        name
        for name in names
        if (file := out / name / "computed.jsonl").is_file()
        and file.read_bytes().count(b"\n") > 1
        and not is_done(out / name)
    ]


@pytest.fixture(scope="module")
def long_bags(tmp_path_factory):
    """Bags that are replayed in some seconds."""
    folder = tmp_path_factory.mktemp("long")
    return [write_bag(folder / name, 40) for name in NAMES]


def test_a_killed_child_costs_no_bag_under_torchrun(torchrun, long_bags, tmp_path):
    out = tmp_path / "out"
    process = torchrun(long_bags, out)
    wait_until(lambda: len(begun(out, NAMES)) >= 2, WAIT_S)
    victim = next(child for children in computing(process).values() for child in children)
    os.kill(victim, signal.SIGKILL)
    assert process.wait(240) == 0, process.log.read_text()
    assert [summary_of(out / name)["clouds"] for name in NAMES] == [40] * 4
    assert "ended with SIGKILL" in process.log.read_text()


def test_after_a_killed_rank_torchrun_starts_again_and_nothing_is_lost(torchrun, long_bags, tmp_path):
    out = tmp_path / "out"
    process = torchrun(long_bags, out, "--max-restarts", "1")
    wait_until(lambda: any(is_done(out / name) for name in NAMES) and begun(out, NAMES), 240)
    done = {name: (out / name / "summary.json").stat().st_mtime_ns for name in NAMES if is_done(out / name)}
    rank = next(iter(computing(process)))
    os.kill(rank, signal.SIGKILL)
    assert process.wait(240) == 0, process.log.read_text()
    assert [summary_of(out / name)["clouds"] for name in NAMES] == [40] * 4
    # Bags that were done are not replayed again, and detections of others are not computed again.
    assert {name: (out / name / "summary.json").stat().st_mtime_ns for name in done} == done
    assert any(summary_of(out / name)["reused"] for name in NAMES)


def test_a_bag_that_cannot_be_read_stops_no_other_process(torchrun, bags, tmp_path):
    (tmp_path / "empty").mkdir()
    process = torchrun([tmp_path / "empty", *bags], tmp_path / "out")
    assert process.wait(240) != 0
    assert all(is_done(tmp_path / "out" / name) for name in NAMES)
    assert process.log.read_text().count(f"{tmp_path / 'empty'}: holds no bag") == 1


def test_children_end_with_the_process_that_started_them(model, long_bags, tmp_path):
    command = [sys.executable, "-m", "dspdet3d_ros", "replay", str(long_bags[0]), "-o", str(tmp_path / "out"), *model]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: begun(tmp_path / "out", NAMES), WAIT_S)
        children = children_of(process.pid)
    finally:
        process.kill()
        process.wait()
    assert children
    wait_until(lambda: not any(command_of(child) for child in children), WAIT_S)


def test_processes_take_what_others_leave(bags, model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    command = ["replay", *map(str, bags[:2]), "-o", str(tmp_path / "out"), *model]
    # The other process never starts.
    assert main(command) == 0
    assert all(is_done(tmp_path / "out" / name) for name in NAMES[:2])
    monkeypatch.setenv("RANK", "0")
    assert main(command) == 0
    assert "2 bags were done by an earlier run or by another process" in capsys.readouterr().out


def test_results_are_replaced_without_resume_and_kept_with_it(bags, model, tmp_path):
    command = ["replay", str(bags[0]), "-o", str(tmp_path / "out"), *model]
    summary = tmp_path / "out" / "a" / "summary.json"
    assert main(command) == 0
    first = summary.stat().st_mtime_ns
    assert main([*command, "--resume"]) == 0
    assert summary.stat().st_mtime_ns == first
    # Settings on which only the results depend, not the detections.
    assert main([*command, "--resume", "--no-tracking"]) == 0
    assert (summary_of(summary.parent)["reused"], summary_of(summary.parent)["objects"]) == (3, None)
    assert main(command) == 0
    assert summary_of(summary.parent)["reused"] == 0


def test_a_bag_that_cannot_be_read_does_not_stop_the_others(bags, model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["replay", str(tmp_path / "empty"), str(bags[0]), "-o", str(tmp_path / "out"), *model]) == 1
    assert "empty: holds no bag" in capsys.readouterr().err
    assert is_done(tmp_path / "out" / "a")


def test_names_of_bags_may_have_dots_and_errors_name_a_bag_once(model, tmp_path, capsys):
    empty = [tmp_path / "run_10.32.05", tmp_path / "run_10.32.17", tmp_path / "notes.txt"]
    for folder in empty[:2]:
        folder.mkdir()
    empty[2].write_text("no bag")
    assert main(["replay", *map(str, empty), "-o", str(tmp_path / "out"), *model]) == 1
    errors = capsys.readouterr().err.splitlines()
    for path, says in zip(empty, ("holds no bag", "holds no bag", "is no bag; give"), strict=True):
        (line,) = (error for error in errors if f"{path}: {says}" in error)
        assert line.count(f"{path}: ") == 1
    bag = write_bag(tmp_path / "table.v2", 1)
    assert main(["replay", str(bag), "-o", str(tmp_path / "out"), *model]) == 0
    assert (tmp_path / "out" / "table.v2" / "summary.json").is_file()


def test_results_are_not_written_into_the_bag(bags, capsys):
    bag = bags[0]
    before = sorted(bag.iterdir())
    assert main(["replay", str(bag), "-o", str(bag.parent)]) == 1
    assert "would be written into the bag itself; name another folder" in capsys.readouterr().err
    assert sorted(bag.iterdir()) == before


def test_a_bag_that_another_process_writes_is_refused(bags, model, tmp_path, capsys):
    with Claims(tmp_path, clock_ns(tmp_path)).claim("a") as claim:
        assert claim is Claim.OWN
        assert main(["replay", str(bags[0]), "-o", str(tmp_path), *model]) == 1
    assert "another process writes its results" in capsys.readouterr().err


def test_errors_of_an_earlier_run_do_not_count(tiny_checkpoint, tmp_path):
    """The bag is there in the second run only."""
    bag, out = tmp_path / "late", tmp_path / "out"

    def record():
        job = Job("small", tiny_checkpoint, "cpu")
        own = frozenset([bag])
        return BagJob(job, ReplaySettings(), out, {bag: "late"}, own, False, clock_ns(out)).load().record(bag)

    assert "error" in record()
    write_bag(bag, 1)
    time.sleep(0.01)
    assert "text" in record()
    assert record() == {"done": True}


@pytest.mark.parametrize(
    ("argument", "value"), [("--period", "-1"), ("--voxel-size", "1"), ("--tau", "2"), ("--workers", "0")]
)
def test_numbers_out_of_range_are_refused(tmp_path, capsys, argument, value):
    assert main(["replay", "bag", "-o", str(tmp_path), argument, value]) == 1
    assert argument in capsys.readouterr().err
