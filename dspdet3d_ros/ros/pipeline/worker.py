"""A thread that processes the latest item: at most one item waits, older ones are counted and forgotten."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from dspdet3d_ros.ros.results import Counts

THREAD_NAME = "detector"
#: Seconds without an item after which the worker rests.
REST_S = 2.0
Item = TypeVar("Item")
Result = TypeVar("Result")


class LatestWorker(Generic[Item, Result]):
    """Computes results in a thread of its own and delivers them, for the newest item only.

    Args:
        compute: from item to result; runs without any lock and may take long. What it raises goes to `failed`.
        deliver: hands a result on, with the counts that include it; never runs after `discard` has returned.
        failed: called with an item whose computation or delivery raised, which counts as refused.
        wanted: true if somebody wants a result. Until then the latest item waits; `wake` makes the worker ask again.
        rest: called in the thread, once after each series of items, when no item has come for `REST_S`.
    """

    def __init__(
        self,
        compute: Callable[[Item], Result],
        deliver: Callable[[Result, Counts], None],
        failed: Callable[[Item, Exception], None],
        wanted: Callable[[], bool] = lambda: True,
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._compute, self._deliver, self._failed, self._wanted = compute, deliver, failed, wanted
        self._rest = rest
        self._changed = threading.Condition()
        # Held while a result is delivered, so that `discard` can wait for it but `submit` need not.
        self._delivery = threading.Lock()
        self._waiting: list[Item] = []
        self._again: list[Item] = []
        self._requests: deque[Item] = deque()
        self._counts = Counts()
        self._epoch = 0
        self._stopping = False
        self._busy_since: float | None = None
        # Epoch of the counted item that is processed. If it is the present epoch, its outcome is still to be counted.
        self._working: int | None = None
        self._death: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def counts(self) -> Counts:
        """The counts as of now."""
        with self._changed:
            return self._counts

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def death(self) -> BaseException | None:
        """The exception that ended the thread unexpectedly."""
        return self._death

    @property
    def busy_s(self) -> float:
        """Seconds that the present item has taken so far; 0 between items."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def start(self) -> None:
        """Starts the thread; does nothing if it runs."""
        if self.alive:
            return
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> None:
        """Makes an item the next to be processed, in place of one that waits."""
        with self._changed:
            replaced = {"dropped" if self._wanted() else "ignored": len(self._waiting)}
            self._waiting = [item]
            self._count(received=1, **replaced)
            self._changed.notify()

    def submit_again(self, item: Item) -> None:
        """Works once more on an item that was counted before, unless a newer result comes first; it is not counted."""
        with self._changed:
            self._again = [item]
            self._changed.notify()

    def submit_request(self, item: Item) -> None:
        """Works on an item next, before those that wait; it replaces none and is not counted."""
        with self._changed:
            self._requests.append(item)
            self._changed.notify()

    def wake(self) -> None:
        """Lets the worker ask again whether a result is wanted."""
        with self._changed:
            self._changed.notify()

    def count_refused(self) -> None:
        """Counts an item that was received but is not to be processed because it cannot be used."""
        with self._changed:
            self._count(received=1, refused=1)

    def count_ignored(self) -> None:
        """Counts an item that was received but is not to be processed because nobody would get a result."""
        with self._changed:
            self._count(received=1, ignored=1)

    def drop(self) -> None:
        """Drops the waiting item and the result of the present one, and counts them as dropped.

        When it returns, nothing that was submitted before is delivered any more.
        """
        with self._delivery, self._changed:
            self._count(dropped=len(self._waiting) + (self._working == self._epoch))
            self._forget()

    def discard(self) -> None:
        """Forgets the waiting item and the result of the present one, and counts from zero.

        When it returns, nothing that was submitted before is delivered any more.
        """
        with self._delivery, self._changed:
            self._forget()
            self._counts = Counts()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Discards everything and ends the thread once its present computation returns.

        Returns:
            False if the computation was still running after `timeout_s`; the thread then ends later by itself.
        """
        self.discard()
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.alive

    def _count(self, **more: int) -> None:
        self._counts = replace(
            self._counts, **{name: getattr(self._counts, name) + number for name, number in more.items()}
        )

    def _forget(self) -> None:
        self._waiting.clear()
        self._again.clear()
        self._requests.clear()
        self._epoch += 1

    def _next(self) -> tuple[Item, int, bool] | None:
        """The item to work on, its epoch, and whether it is to be counted; None when the thread is to end."""
        rests_at = time.monotonic() + REST_S
        while True:
            with self._changed:
                while not self._stopping:
                    job = self._choose()
                    if job is not None:
                        return job
                    left = rests_at - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(None if math.isinf(left) else left)
                else:
                    return None
            # Without the lock: items may come meanwhile.
            self._rest()
            rests_at = math.inf

    def _choose(self) -> tuple[Item, int, bool] | None:
        """As `_next`, or None where no item waits."""
        # An item that waits comes first: its result is newer.
        if self._requests:
            self._busy_since, self._working = time.monotonic(), None
            return self._requests.popleft(), self._epoch, False
        counted = bool(self._waiting) and self._wanted()
        if not counted and not self._again:
            return None
        self._busy_since = time.monotonic()
        self._working = self._epoch if counted else None
        return (self._waiting if counted else self._again).pop(), self._epoch, counted

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._work_on(*job)
                # Not kept while waiting for the next one: an item may be a hundred megabytes.
                del job
        except BaseException as error:
            # SystemExit and similar exceptions end a thread silently; the watchdog reads this attribute.
            self._death = error
            with self._changed:
                if self._working == self._epoch:
                    self._count(refused=1)

    def _work_on(self, item: Item, epoch: int, counted: bool) -> None:
        try:
            result = self._compute(item)
            with self._delivery:
                self._at_rest()
                if epoch == self._epoch:
                    self._deliver(result, replace(self.counts, processed=self.counts.processed + counted))
                    if counted:
                        with self._changed:
                            self._count(processed=1)
                            self._again.clear()
        except Exception as error:
            # An error of one item must not keep the next one from being processed.
            with self._delivery:
                self._at_rest()
                if epoch == self._epoch:
                    with self._changed:
                        self._count(refused=int(counted))
                    self._failed(item, error)

    def _at_rest(self) -> None:
        self._busy_since = self._working = None
