"""Progress on the terminal, and commands whose output goes to a log."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

BAR_WIDTH = 24
REDRAW_S = 0.5
HEARTBEAT_S = 30.0
TAIL_LINES = 25


class SetupError(Exception):
    """Set-up cannot continue. The text is one line with the reason and the remedy."""


class Progress:
    """A progress bar on a terminal; elsewhere plain lines at intervals."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0
        self._title = ""
        self._note = ""
        self._fraction = 0.0
        self._started = 0.0
        self._terminal = sys.stdout.isatty()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Shows `title` and the elapsed time within the context, and the duration at its end."""
        self._number += 1
        self._title, self._note, self._fraction, self._started = title, "", 0.0, time.monotonic()
        if not self._terminal:
            print(f"[{self._number}/{self._total}] {title} ...", flush=True)
        stop = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(stop,), daemon=True)
        ticker.start()
        outcome = "failed after"
        try:
            yield
            outcome = "done in"
        finally:
            stop.set()
            ticker.join()
            duration = f"{outcome} {time.monotonic() - self._started:.1f} s"
            print(f"{self._clear()}[{self._number}/{self._total}] {title}: {duration}", flush=True)

    def update(self, note: str, fraction: float | None = None) -> None:
        """Sets the current activity of the step and, if known, the finished fraction (0..1)."""
        self._note = note
        if fraction is not None:
            self._fraction = min(max(fraction, self._fraction), 1.0)

    def say(self, text: str) -> None:
        """Prints a permanent line."""
        print(f"{self._clear()}      {text}", flush=True)

    def _clear(self) -> str:
        return "\r\033[K" if self._terminal else ""

    def _tick(self, stop: threading.Event) -> None:
        period = REDRAW_S if self._terminal else HEARTBEAT_S
        while not stop.wait(period):
            print(self._line(), end="" if self._terminal else "\n", flush=True)

    def _line(self) -> str:
        elapsed = time.monotonic() - self._started
        state = f"[{self._number}/{self._total}] {self._title}"
        clock = f"{int(elapsed) // 60}:{int(elapsed) % 60:02d}"
        if not self._terminal:
            return f"{state}: {clock} {self._note}"
        filled = int(BAR_WIDTH * (self._number - 1 + self._fraction) / self._total)
        line = f"{'█' * filled}{'░' * (BAR_WIDTH - filled)} {state} {clock} {self._note}"
        return self._clear() + line[: os.get_terminal_size().columns - 1]


def run_logged(
    command: list[str],
    log: Path,
    environment: dict[str, str],
    on_line: Callable[[str], None] = lambda line: None,
) -> None:
    """Runs a command, and appends its output to a log file.

    Raises:
        SetupError: the command failed; the last lines of its output have been printed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: list[str] = []
    with log.open("a", encoding="utf-8") as record:
        record.write(f"$ {' '.join(command)}\n")
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            for line in process.stdout or ():
                record.write(line)
                tail = [*tail[-TAIL_LINES + 1 :], line]
                on_line(line.rstrip())
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if status:
        print(f"\n{''.join(tail)}", flush=True)
        raise SetupError(f"`{Path(command[0]).name} {' '.join(command[1:4])} …` failed with status {status}; see {log}")
