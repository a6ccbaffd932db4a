"""Workers run on one thread each, and nobody else notices."""

import threading

import pytest
import torch
from limits import WAIT_S

from dspdet3d_ros.sparse.parallel import for_chunks
from dspdet3d_ros.system import torch_threads


@pytest.fixture
def three_threads():
    with torch_threads(3):
        yield


@pytest.mark.parametrize(("rows", "chunk"), [(0, 4), (3, 4), (10, 4), (40, 4), (41, 3)])
def test_every_chunk_is_worked_on_once(three_threads, rows, chunk):
    seen = []
    for_chunks(rows, chunk, lambda starts: seen.extend(starts), on_cpu=True)
    assert sorted(seen) == list(range(0, rows, chunk))


def test_every_worker_has_one_thread_and_the_caller_keeps_all(three_threads):
    together, seen = threading.Barrier(3), []

    def work(starts):
        together.wait(WAIT_S)
        # Operations that spread over the threads there are, were there more than one.
        (torch.ones(400, 400) @ torch.ones(400, 400)).sort()
        seen.append((threading.current_thread(), torch.get_num_threads()))

    for_chunks(3, 1, work, on_cpu=True)
    assert len({thread for thread, _ in seen}) == 3
    assert [count for _, count in seen] == [1, 1, 1]
    assert torch.get_num_threads() == 3


def test_a_thread_that_comes_to_torch_while_chunks_are_worked_on_has_all_threads(three_threads):
    inside, finish, found = threading.Event(), threading.Event(), []

    def hold(starts):
        inside.set()
        finish.wait(WAIT_S)

    busy = threading.Thread(target=for_chunks, args=(3, 1, hold, True))
    busy.start()
    try:
        assert inside.wait(WAIT_S)
        newcomer = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        newcomer.start()
        newcomer.join(WAIT_S)
    finally:
        finish.set()
        busy.join(WAIT_S)
    assert found == [3]


def test_where_threads_cannot_be_had_it_fails_at_once_and_works_when_they_can(monkeypatch):
    start, started = threading.Thread.start, []

    def refuse_the_third(thread):
        started.append(thread)
        if len(started) == 3:
            raise RuntimeError("can't start new thread")
        start(thread)

    seen = []
    with torch_threads(5):
        monkeypatch.setattr(threading.Thread, "start", refuse_the_third)
        with pytest.raises(RuntimeError, match="new thread"):
            for_chunks(5, 1, lambda starts: seen.extend(starts), on_cpu=True)
        monkeypatch.undo()
        assert torch.get_num_threads() == 5
        for_chunks(5, 1, lambda starts: seen.extend(starts), on_cpu=True)
    assert sorted(seen) == [0, 1, 2, 3, 4]
