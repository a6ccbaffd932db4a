"""Results of many clouds in a folder: one JSON line per cloud, written as soon as the cloud is done.

Each process that was started by torchrun appends to a file of its own, so none waits for another and nothing is lost if
one dies. When all clouds are done, the lines of all processes are joined.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from dspdet3d_ros.errors import InputError, unwritable
from dspdet3d_ros.output_files import make_folder, writing_whole
from dspdet3d_ros.tools.batch.job import source_of

JOINED, SETTINGS, PARTS = "detections.jsonl", "settings.json", "parts"


class Records:
    """The results in a folder.

    Args:
        folder: where they are; it is created.
        rank: number of the process that writes them.

    Raises:
        InputError: the folder cannot be written, or another process with that number is writing.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self.folder = folder
        self._part = folder / PARTS / f"rank{rank}.jsonl"
        make_folder(self._part.parent)
        self._stream = self._opened()

    def _opened(self) -> IO[bytes]:
        try:
            stream = open(self._part, "ab+")  # noqa: SIM115, as it stays open until `close`
        except OSError as error:
            raise unwritable(self._part, error) from error
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            raise InputError(f"{self.folder}: another process is writing there; name another folder, or wait") from None
        except OSError:
            # A file system without locks.
            pass
        # A process that died may have left half a line.
        stream.seek(0)
        whole = stream.read().rfind(b"\n") + 1
        stream.truncate(whole)
        return stream

    def check_settings(self, description: dict[str, Any]) -> None:
        """Writes what the results depend on, or compares it with what an earlier run wrote.

        Raises:
            InputError: the folder has results of other settings.
        """
        path = self.folder / SETTINGS
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            with writing_whole(path) as part:
                part.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
            return
        except (OSError, ValueError, RecursionError):
            before = {}
        if before != description:
            names = [
                name for name in description if not isinstance(before, dict) or before.get(name) != description[name]
            ]
            raise InputError(
                f"{self.folder}: holds results of another {names[0] if names else 'version'}; name another folder"
            )

    def add(self, path: Path, record: dict[str, Any]) -> None:
        """Appends the result of a cloud.

        Raises:
            InputError: it cannot be written.
        """
        line = json.dumps({"source": source_of(path)} | record)
        try:
            self._stream.write(line.encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            raise unwritable(self._part, error) from error

    def of(self, paths: Sequence[Path]) -> dict[Path, dict[str, Any]]:
        """The results of all processes so far, of the given files as they are now.

        A result without an error counts if there is one, else the error.

        Raises:
            InputError: a file of results is damaged.
        """
        wanted = {json.dumps(source_of(path)): path for path in paths}
        found: dict[Path, dict[str, Any]] = {}
        for part in sorted(self._part.parent.glob("rank*.jsonl")):
            for record in _lines(part):
                path = wanted.get(json.dumps(record.get("source")))
                if path is not None and not ("error" in record and path in found):
                    found[path] = record
        return found

    def join(self, paths: Sequence[Path], results: dict[Path, dict[str, Any]]) -> Path:
        """Writes the results of all files into one file, in the order of the files.

        Two processes that finish at the same time write the same.

        Raises:
            InputError: it cannot be written.
        """
        joined = self.folder / JOINED
        with writing_whole(joined) as part:
            part.write_text("".join(json.dumps(results[path]) + "\n" for path in paths), encoding="utf-8")
        return joined

    def close(self) -> None:
        """Closes the file; another process may write it then."""
        self._stream.close()


def _lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file. Half a line at its end, which a process may be writing, does not count."""
    try:
        data = path.read_bytes()
        records = [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
        if not all(isinstance(record, dict) for record in records):
            raise ValueError("a line is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON lines: {error}; remove it, and run again") from error
    return records
