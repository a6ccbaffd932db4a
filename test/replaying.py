"""Replays in this process, and bags whose files are written without the writer of the package."""

import json
import sqlite3
from functools import cache

from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.recordings.bags import BagReader
from dspdet3d_ros.recordings.types import typestore
from dspdet3d_ros.tools.batch.job import Job
from dspdet3d_ros.tools.replay.bag_run import replay
from dspdet3d_ros.tools.replay.replay_settings import ReplaySettings

#: The demo room is recorded in so few frames that the camera turns far between two.
WIDE = MapSettings(min_observations=1, max_jump_m=0, max_jump_deg=0)


@cache
def model():
    return Job("small", device="cpu").load()


def run(bag, out, **settings):
    """The summary of the bag, as it is written."""
    replay(bag, out / bag.stem, model(), ReplaySettings(**{"map": WIDE, **settings}), {})
    return json.loads((out / bag.stem / "summary.json").read_text())


def lines_of(folder):
    return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]


def messages_of(bag):
    """(topic, time, message) of a bag."""
    with BagReader(bag) as reader:
        names = [topic.name for topic in reader.topics]
        return [(record.topic, record.time_ns, record.message) for record in reader.records(names)]


def write_mcap(path, messages, compression):
    """A single .mcap file by the library mcap; messages lie in it as they come."""
    from mcap.writer import CompressionType, Writer

    schemas, channels = {}, {}
    with path.open("wb") as stream:
        writer = Writer(stream, chunk_size=100_000, compression=CompressionType[compression])
        writer.start(profile="ros2", library="another recorder")
        for topic, time_ns, message in messages:
            kind = message.__msgtype__
            if kind not in schemas:
                text = typestore().generate_msgdef(kind)[0]
                schemas[kind] = writer.register_schema(kind, "ros2msg", text.encode())
            if topic not in channels:
                channels[topic] = writer.register_channel(topic, "cdr", schemas[kind])
            writer.add_message(channels[topic], time_ns, bytes(typestore().serialize_cdr(message, kind)), time_ns)
        writer.finish()
    return path


def write_sqlite(path, messages):
    """A single .db3 file by sqlite3."""
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, "
        "serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);"
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, "
        "data BLOB NOT NULL);"
    )
    numbers = {}
    for topic, time_ns, message in messages:
        kind = message.__msgtype__
        if topic not in numbers:
            numbers[topic] = len(numbers) + 1
            database.execute("INSERT INTO topics VALUES (?, ?, ?, 'cdr', '')", (numbers[topic], topic, kind))
        data = bytes(typestore().serialize_cdr(message, kind))
        database.execute(
            "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", (numbers[topic], time_ns, data)
        )
    database.commit()
    database.close()
    return path
