"""The beginning of bag files that are truncated, as after a crash or a full disk: such files have no index."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import missing_package


@dataclass(frozen=True)
class _Definition:
    """Text of a message type and its language, as rosbags has them."""

    data: str
    format: Any


@dataclass(frozen=True)
class Connection:
    """A topic of a file; the attributes are those of rosbags."""

    topic: str
    msgtype: str
    msgdef: _Definition
    msgcount: int = 0


class TruncatedSqlite:
    """Reads the rows of a .db3 file in the order in which they lie there, up to the first missing page.

    Raises:
        sqlite3.Error: not even the topics can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        # Otherwise sqlite refuses a file that is shorter than its header says.
        self._database.execute("PRAGMA writable_schema = ON")
        rows = self._database.execute("SELECT id, name, type FROM topics").fetchall()
        self._topics = {number: Connection(name, kind, _Definition("", _Format("NONE"))) for number, name, kind in rows}
        self.connections = list(self._topics.values())

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """Connection, time and bytes of each message; ends with an error of sqlite where a page is missing."""
        # Without an order sqlite would use the index, whose pages are the first to be missing.
        query = "SELECT topic_id, timestamp, data FROM messages NOT INDEXED ORDER BY rowid"
        for number, time_ns, data in self._database.execute(query):
            connection = self._topics.get(number)
            if connection in connections:
                assert connection is not None
                yield connection, time_ns, data

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


def has_log(file: Path) -> bool:
    """Whether messages of a .db3 file are in sqlite's log next to it, as a recorder that was killed leaves them."""
    log = file.with_name(f"{file.name}-wal")
    return file.suffix == ".db3" and log.is_file() and log.stat().st_size > 0


class TruncatedMcap:
    """Reads the records of an .mcap file one after the other, up to the first incomplete chunk.

    Raises:
        InputError: the package mcap is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            from mcap.stream_reader import StreamReader
        except ImportError:
            raise missing_package("the beginning of a truncated .mcap file", "mcap") from None
        self.path, self._reader_class = path, StreamReader
        topics: dict[str, Connection] = {}
        self._failure: Exception | None = None
        for connection, _, _ in self._scan(raises=False):
            topics.setdefault(connection.topic, connection)
        if not topics and self._failure:
            raise self._failure
        self.connections = list(topics.values())

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """Connection, time and bytes of each message; ends with an error where the file is incomplete."""
        wanted = {connection.topic for connection in connections}
        for connection, time_ns, data in self._scan(raises=True):
            if connection.topic in wanted:
                yield connection, time_ns, data

    def close(self) -> None:
        """The file is open only while it is read."""

    def _scan(self, raises: bool) -> Iterator[tuple[Connection, int, bytes]]:
        from mcap.records import Channel, Message, Schema

        schemas: dict[int, Any] = {}
        channels: dict[int, Connection] = {}
        with self.path.open("rb") as stream:
            try:
                for record in self._reader_class(stream).records:
                    if isinstance(record, Schema):
                        schemas[record.id] = record
                    elif isinstance(record, Channel) and record.schema_id in schemas:
                        schema = schemas[record.schema_id]
                        text = schema.data.decode("utf-8", "replace")
                        definition = _Definition(text, _Format("IDL" if schema.encoding == "ros2idl" else "MSG"))
                        channels[record.id] = Connection(record.topic, schema.name, definition)
                    elif isinstance(record, Message) and record.channel_id in channels:
                        yield channels[record.channel_id], record.log_time, record.data
            except Exception as error:
                # The library's errors for incomplete records have no common type.
                self._failure = error
                if raises:
                    raise


@dataclass(frozen=True)
class _Format:
    name: str


TRUNCATED = {".db3": TruncatedSqlite, ".mcap": TruncatedMcap}
