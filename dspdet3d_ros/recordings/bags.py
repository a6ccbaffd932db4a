"""Bags of ROS 2 (sqlite3 and mcap, also compressed), read and written without ROS."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from dspdet3d_ros.errors import InputError, missing_package, one_line, unwritable
from dspdet3d_ros.recordings.salvage import TRUNCATED, has_log
from dspdet3d_ros.recordings.types import typestore

SUFFIXES = (".db3", ".mcap")
STORAGES = ("mcap", "sqlite3")


@dataclass(frozen=True)
class Topic:
    """A topic of a bag.

    Attributes:
        name: such as "/camera/depth/image_raw".
        kind: full name of its type, such as "sensor_msgs/msg/Image".
        count: number of messages; 0 if the bag does not say.
    """

    name: str
    kind: str
    count: int


@dataclass(frozen=True)
class Record:
    """A message of a bag.

    Attributes:
        topic: name of its topic.
        kind: full name of its type.
        time_ns: when it was recorded.
        message: the message, with the attributes that it has in ROS.
    """

    topic: str
    kind: str
    time_ns: int
    message: Any


class BagReader:
    """Reads what can be read of a bag, and keeps what was lost in `losses`.

    Args:
        path: folder of a bag, or one of its files.

    Raises:
        InputError: nothing can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: What could not be read, in one line each.
        self.losses: list[str] = []
        self._files = self._open()
        self._store = typestore()
        self._bad: Counter[str] = Counter()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reader in self._files:
            with suppress(Exception):
                reader.close()

    @property
    def topics(self) -> list[Topic]:
        """The topics, by name."""
        counts: Counter[tuple[str, str]] = Counter()
        for reader in self._files:
            for connection in reader.connections:
                counts[connection.topic, connection.msgtype] += connection.msgcount
        return [Topic(name, kind, count) for (name, kind), count in sorted(counts.items())]

    def records(self, topics: Collection[str]) -> Iterator[Record]:
        """The messages of some topics, in the order of their recording.

        Messages that cannot be decoded are left out and counted in `losses`.
        """
        for reader in self._files:
            connections = [c for c in reader.connections if c.topic in topics and self._known(reader, c)]
            if not connections:
                continue
            try:
                for connection, time_ns, data in reader.messages(connections=connections):
                    try:
                        message = self._store.deserialize_cdr(data, connection.msgtype)
                    except Exception as error:
                        # The library has no error of its own for bytes that do not fit a type.
                        self._bad[f"{connection.topic}: messages that cannot be decoded ({one_line(error)})"] += 1
                        continue
                    yield Record(connection.topic, connection.msgtype, time_ns, message)
            except Exception as error:
                # A truncated file ends with an error of sqlite, of a decompressor or of the library.
                self._lose(f"{reader.path.name}: the rest cannot be read ({one_line(error)})")
        for text, count in self._bad.items():
            self._lose(f"{text}: {count}")
        self._bad.clear()

    def first(self, topic: str) -> Any:
        """The first message of a topic; None if it has none."""
        return next((record.message for record in self.records([topic])), None)

    def _lose(self, text: str) -> None:
        """Notes a loss once, although a bag may be read several times."""
        if text not in self.losses:
            self.losses.append(text)

    def _open(self) -> list[Any]:
        try:
            from rosbags.rosbag2 import Reader
        except ImportError:
            raise missing_package("recordings", "rosbags") from None
        if not self.path.exists():
            raise InputError(
                f"{self.path}: no such file or folder; give the folder with metadata.yaml, or a .db3 or .mcap file"
            )
        if self.path.is_file() and self.path.suffix not in SUFFIXES:
            raise InputError(f"{self.path}: is no bag; give a folder with metadata.yaml, or a .db3 or .mcap file")
        if any(map(has_log, self.path.glob("*.db3") if self.path.is_dir() else [self.path])):
            reason = "its recorder did not end it"
        else:
            try:
                return [_opened(Reader, self.path)]
            except Exception as error:
                # The library has many errors for what a crash of the recorder leaves.
                reason = one_line(error)
        files = [self.path]
        if self.path.is_dir():
            files = sorted(file for file in self.path.iterdir() if file.suffix in SUFFIXES)
            if not files:
                raise InputError(f"{self.path}: holds no bag ({reason}); give a folder with .db3 or .mcap files")
            self.losses.append(f"the bag cannot be read as a whole ({reason}): its files are read one by one")
        readers = [reader for file in files for reader in self._beginning(Reader, file)]
        if not readers:
            raise InputError(f"{self.path}: nothing can be read: {'; '.join(self.losses)}; record it again")
        return readers

    def _beginning(self, reader_class: Any, file: Path) -> list[Any]:
        """A reader of the file, or of what is left of it; none where nothing is left."""
        if has_log(file):
            # The library does not look into the log.
            try:
                return [TRUNCATED[file.suffix](file)]
            except Exception as error:
                self.losses.append(
                    f"{file.name}: what is in {file.name}-wal cannot be read ({one_line(error)}): copy the bag to a "
                    "folder that can be written"
                )
        try:
            return [_opened(reader_class, file)]
        except Exception as error:
            self.losses.append(f"{file.name}: damaged or truncated ({one_line(error)}): only its beginning is read")
        try:
            return [TRUNCATED[file.suffix](file)]
        except InputError:
            raise
        except Exception as error:
            self.losses.append(f"{file.name}: nothing can be read ({one_line(error)})")
            return []

    def _known(self, reader: Any, connection: Any) -> bool:
        """Whether messages of this type can be decoded; takes its definition from the bag where it has one."""
        kind = connection.msgtype
        if kind in self._store.fielddefs:
            return True
        try:
            from rosbags.typesys import get_types_from_idl, get_types_from_msg

            text = connection.msgdef.data
            of_idl = connection.msgdef.format.name == "IDL"
            types = get_types_from_idl(text) if of_idl else get_types_from_msg(text, kind)
            self._store.register({name: value for name, value in types.items() if name not in self._store.fielddefs})
        except Exception as error:
            self._lose(f"{connection.topic}: type {kind} is not known ({one_line(error)})")
            return False
        return kind in self._store.fielddefs


def _opened(reader_class: Any, path: Path) -> Any:
    reader = reader_class(path)
    reader.open()
    return reader


class BagWriter:
    """Writes a bag; it appears under its name only when it is complete.

    Args:
        path: its folder; an earlier bag of that name is replaced.
        storage: "mcap" or "sqlite3".

    Raises:
        InputError: the folder cannot be written, or holds something else than a bag.
    """

    def __init__(self, path: Path, storage: str = "mcap") -> None:
        try:
            from rosbags.rosbag2 import StoragePlugin, Writer
        except ImportError:
            raise missing_package("recordings", "rosbags") from None
        if path.exists() and not (path.is_dir() and (path / "metadata.yaml").is_file()):
            raise InputError(f"{path}: exists and is no bag; give another name or remove it")
        self.path, self._part = path, path.with_name(f".{path.name}.part")
        self._connections: dict[str, Any] = {}
        try:
            shutil.rmtree(self._part, ignore_errors=True)
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(self._part, version=8, storage_plugin=StoragePlugin[storage.upper()])
            self._writer.open()
        except OSError as error:
            raise unwritable(path, error) from None

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    def abandon(self) -> None:
        """Leaves nothing behind."""
        with suppress(Exception):
            self._writer.close()
        shutil.rmtree(self._part, ignore_errors=True)

    def close(self) -> None:
        """Gives the complete bag its name."""
        self._writer.close()
        # Players look for the names in metadata.yaml.
        name = self._part.name
        metadata = self._part / "metadata.yaml"
        text = metadata.read_text(encoding="utf-8")
        for file in self._part.iterdir():
            if file.name.startswith(name):
                new = file.name.replace(name, self.path.name, 1)
                text = text.replace(file.name, new)
                file.rename(file.with_name(new))
        metadata.write_text(text, encoding="utf-8")
        if self.path.exists():
            shutil.rmtree(self.path)
        self._part.rename(self.path)

    def write(self, topic: str, message: Any, time_ns: int, latched: bool = False) -> None:
        """Adds a message.

        Args:
            topic: name of the topic.
            message: made by `recordings.types.make`.
            time_ns: time of the recording.
            latched: offer it to subscribers who come later, as transforms that do not change.
        """
        kind = message.__msgtype__
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=typestore(), offered_qos_profiles=[_qos(latched)]
            )
        self._writer.write(self._connections[topic], time_ns, typestore().serialize_cdr(message, kind))


def _qos(latched: bool) -> Any:
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(sec=9223372036, nsec=854775807)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )
