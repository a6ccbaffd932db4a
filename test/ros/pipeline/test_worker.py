"""The latest item wins, every item is counted once, and nothing is delivered after it was discarded."""

import sys
import threading
import time

import pytest
from limits import WAIT_S

from dspdet3d_ros.ros.pipeline.worker import REST_S, LatestWorker
from dspdet3d_ros.ros.results import Counts


class Gate:
    """Computations that wait until they are let through, and everything that came of them."""

    def __init__(self):
        self.started, self.passes = threading.Semaphore(0), threading.Semaphore(0)
        self.delivered, self.failures = [], []
        self.done = threading.Semaphore(0)

    def compute(self, item):
        self.started.release()
        assert self.passes.acquire(timeout=WAIT_S)
        if isinstance(item, Exception):
            raise item
        return item * 10

    def deliver(self, result, counts):
        self.delivered.append((result, counts))
        self.done.release()

    def failed(self, item, error):
        self.failures.append((item, error))
        self.done.release()


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def worker(gate):
    worker = LatestWorker(gate.compute, gate.deliver, gate.failed)
    worker.start()
    yield worker
    for _ in range(100):
        gate.passes.release()
    assert worker.stop(WAIT_S)


def wait(semaphore):
    assert semaphore.acquire(timeout=WAIT_S)


def settled(worker, **expected):
    """Counting follows delivery at once, but in another thread."""
    end = time.monotonic() + WAIT_S
    while worker.counts != Counts(**expected) and time.monotonic() < end:
        time.sleep(0.001)
    return worker.counts


def test_the_latest_of_a_burst_is_computed_and_the_others_are_counted(worker, gate):
    worker.submit(0)
    wait(gate.started)
    for item in range(1, 101):
        worker.submit(item)
    for _ in range(2):
        gate.passes.release()
        wait(gate.done)
    assert [result for result, _ in gate.delivered] == [0, 1000]
    assert gate.delivered[0][1] == Counts(received=101, processed=1, dropped=99)
    assert gate.delivered[1][1] == Counts(received=101, processed=2, dropped=99)
    expected = {"received": 101, "processed": 2, "dropped": 99}
    assert settled(worker, **expected) == Counts(**expected)


def test_submit_does_not_wait_for_a_computation(worker, gate):
    worker.submit(1)
    wait(gate.started)
    caller = threading.Thread(target=lambda: [worker.submit(i) for i in range(10)])
    caller.start()
    caller.join(WAIT_S)
    assert not caller.is_alive()
    assert worker.counts.received == 11


def test_a_failure_is_reported_and_the_next_item_is_computed(worker, gate):
    error = RuntimeError("broken")
    worker.submit(error)
    gate.passes.release()
    wait(gate.done)
    worker.submit(3)
    gate.passes.release()
    wait(gate.done)
    assert gate.failures == [(error, error)]
    assert [result for result, _ in gate.delivered] == [30]
    expected = {"received": 2, "processed": 1, "refused": 1}
    assert settled(worker, **expected) == Counts(**expected)
    assert worker.alive


def test_a_failing_delivery_counts_as_refused(gate):
    def deliver(result, counts):
        raise OSError("cannot be published")

    worker = LatestWorker(lambda item: item, deliver, gate.failed)
    worker.start()
    worker.submit(1)
    wait(gate.done)
    assert str(gate.failures[0][1]) == "cannot be published"
    assert settled(worker, received=1, refused=1) == Counts(received=1, refused=1)
    assert worker.stop(WAIT_S)


def test_nothing_is_delivered_after_discard(worker, gate):
    worker.submit(1)
    wait(gate.started)
    worker.submit(2)
    worker.discard()
    gate.passes.release()
    worker.submit(3)
    wait(gate.started)
    gate.passes.release()
    wait(gate.done)
    assert [result for result, _ in gate.delivered] == [30]
    assert gate.delivered[0][1] == Counts(received=1, processed=1)


def test_a_failure_after_discard_is_not_reported(worker, gate):
    worker.submit(RuntimeError())
    wait(gate.started)
    worker.discard()
    gate.passes.release()
    worker.submit(1)
    wait(gate.started)
    gate.passes.release()
    wait(gate.done)
    assert gate.failures == []


def test_items_that_are_refused_or_ignored_are_counted(worker):
    worker.count_refused()
    worker.count_ignored()
    assert worker.counts == Counts(received=2, refused=1, ignored=1)


def test_stop_tells_whether_the_thread_has_ended_and_it_can_start_again(worker, gate):
    worker.submit(1)
    wait(gate.started)
    assert not worker.stop(0.01)
    gate.passes.release()
    assert worker.stop(WAIT_S)
    assert not worker.alive
    worker.start()
    worker.submit(2)
    gate.passes.release()
    wait(gate.done)
    assert [result for result, _ in gate.delivered] == [20]


def test_each_item_is_dropped_once_however_often_all_are_dropped(worker, gate):
    worker.submit(1)
    wait(gate.started)
    worker.submit(2)
    worker.drop()
    worker.drop()
    assert worker.counts == Counts(received=2, dropped=2)
    gate.passes.release()
    worker.submit(3)
    wait(gate.started)
    gate.passes.release()
    wait(gate.done)
    assert settled(worker, received=3, processed=1, dropped=2) == Counts(received=3, processed=1, dropped=2)
    assert [result for result, _ in gate.delivered] == [30]


def test_an_item_that_was_discarded_is_not_counted_any_more(worker, gate):
    worker.submit(1)
    wait(gate.started)
    worker.discard()
    worker.drop()
    assert worker.counts == Counts()


def test_a_death_at_a_discarded_item_counts_nothing(gate):
    worker = LatestWorker(lambda item: gate.compute(item) and sys.exit(), gate.deliver, gate.failed)
    worker.start()
    worker.submit(1)
    wait(gate.started)
    worker.discard()
    gate.passes.release()
    assert worker.stop(WAIT_S)
    assert isinstance(worker.death, SystemExit)
    assert worker.counts == Counts()


def test_the_latest_item_waits_until_its_result_is_wanted(gate):
    wanted = threading.Event()
    worker = LatestWorker(gate.compute, gate.deliver, gate.failed, wanted.is_set)
    worker.start()
    for item in (1, 2, 3):
        worker.submit(item)
    worker.wake()
    assert worker.counts == Counts(received=3, ignored=2)
    assert worker.counts.waiting == 1
    assert not gate.started.acquire(timeout=0.2)
    wanted.set()
    worker.wake()
    gate.passes.release()
    wait(gate.done)
    assert [result for result, _ in gate.delivered] == [30]
    assert settled(worker, received=3, ignored=2, processed=1) == Counts(received=3, ignored=2, processed=1)
    assert worker.counts.waiting == 0
    assert worker.stop(WAIT_S)


def test_an_item_that_waits_for_nobody_is_dropped_once(gate):
    worker = LatestWorker(gate.compute, gate.deliver, gate.failed, lambda: False)
    worker.start()
    worker.submit(1)
    worker.drop()
    worker.drop()
    assert worker.counts == Counts(received=1, dropped=1)
    assert worker.stop(WAIT_S)


def test_an_item_is_worked_on_again_without_being_counted(worker, gate):
    worker.submit(1)
    gate.passes.release()
    wait(gate.done)
    # A newer result ends all repetitions; it is counted after its delivery.
    settled(worker, received=1, processed=1)
    worker.submit_again(2)
    gate.passes.release()
    wait(gate.done)
    worker.submit_again(RuntimeError())
    gate.passes.release()
    wait(gate.done)
    assert [result for result, _ in gate.delivered] == [10, 20]
    assert len(gate.failures) == 1
    assert worker.counts == Counts(received=1, processed=1)


@pytest.mark.parametrize("forget", ["submit", "drop", "discard"])
def test_an_item_is_not_worked_on_again_after_a_newer_result_and_after_all_was_forgotten(worker, gate, forget):
    worker.submit(1)
    wait(gate.started)
    worker.submit_again(2)
    if forget != "submit":
        getattr(worker, forget)()
        worker.submit(3)
    gate.passes.release(2)
    wait(gate.done)
    worker.submit(4)
    gate.passes.release()
    wait(gate.done)
    assert [result for result, _ in gate.delivered] == [10 if forget == "submit" else 30, 40]


def test_after_a_failure_an_item_is_still_worked_on_again(worker, gate):
    worker.submit(RuntimeError())
    wait(gate.started)
    worker.submit_again(2)
    gate.passes.release(2)
    wait(gate.done)
    wait(gate.done)
    assert [result for result, _ in gate.delivered] == [20]
    assert settled(worker, received=1, refused=1) == Counts(received=1, refused=1)


def test_it_rests_once_after_each_series_of_items(gate):
    rests = threading.Semaphore(0)
    worker = LatestWorker(gate.compute, gate.deliver, gate.failed, rest=rests.release)
    worker.start()
    for item in range(2):
        worker.submit(item)
        gate.passes.release()
        wait(gate.done)
        wait(rests)
        worker.wake()
    assert not rests.acquire(timeout=2 * REST_S)
    assert worker.stop(WAIT_S)
