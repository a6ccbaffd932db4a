"""Signals that ask the process to end: SIGINT, SIGTERM and SIGHUP, from its first line to its last.

No ROS is needed here: a program calls `end_at_once` before it imports anything large.
"""

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# rclpy ends the executor on these two.
ENDING = (signal.SIGINT, signal.SIGTERM)
# A shutdown that takes longer than this hangs. It takes about a second, up to four where a cloud is being processed.
HANGS_S = 20


class Interrupted(BaseException):
    """The process was asked to end during an activity, which the text names.

    It is no Exception, because libraries catch exceptions and continue.
    """

    def __init__(self, activity: str) -> None:
        super().__init__(f"interrupted while {activity}")


_asked = threading.Event()
_activity: str | None = None


def end_at_once() -> None:
    """From here on a signal ends the process with status 0: it holds nothing yet."""
    for number in ENDING:
        signal.signal(number, lambda *_: os._exit(0))


def remember() -> None:
    """From here on a signal is remembered, and interrupts an activity that is `interruptible`."""
    # No KeyboardInterrupt: inside rclpy's C++ code it aborts the process.
    for number in ENDING:
        signal.signal(number, _remember)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # The terminal was closed. rclpy does not wake up on this signal, so a thread turns it into SIGTERM.
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, lambda *_: None)
        threading.Thread(target=_terminate_on_hangup, args=(read,), name="hangup", daemon=True).start()


def asked_to_end() -> bool:
    """Whether a signal has come since `remember`."""
    return _asked.is_set()


@contextmanager
def interruptible(activity: str) -> Iterator[None]:
    """Lets a signal end the work within it at any line; not for work that calls ROS.

    Args:
        activity: what is done, to follow "interrupted while".

    Raises:
        Interrupted: a signal has come, before or meanwhile.
    """
    global _activity
    # Python handles signals in its main thread only.
    _activity = activity if threading.current_thread() is threading.main_thread() else None
    try:
        if not _asked.is_set():
            yield
    except Exception:
        # A library may make another exception of it.
        if not _asked.is_set():
            raise
    finally:
        _activity = None
    # Or swallow it, as destructors do.
    if _asked.is_set():
        raise Interrupted(activity)


def ignore() -> None:
    """From here on signals are ignored, so that the shutdown frees what it holds in shared memory.

    SIGKILL and SIGQUIT still end the process. A shutdown that hangs is ended by SIGALRM, after the stack of each
    thread was written to stderr.
    """
    for number in (*ENDING, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.register(signal.SIGALRM, file=2, all_threads=True, chain=True)
    signal.alarm(HANGS_S)


def _remember(*_: object) -> None:
    global _activity
    _asked.set()
    if _activity is not None:
        activity, _activity = _activity, None
        raise Interrupted(activity)


def _terminate_on_hangup(descriptor: int) -> None:
    """Reads the numbers of all signals that Python handles."""
    while number := os.read(descriptor, 1):
        if number[0] == signal.SIGHUP:
            os.kill(os.getpid(), signal.SIGTERM)
