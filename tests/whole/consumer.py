"""Reads Kafka topics from the beginning to the end they have at that moment."""

import dataclasses
import itertools
import time

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

QUIET = {"log_level": 0}
_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple          # of (name, value) in their order
    time: float = 0.0       # seconds since 1970, in whole milliseconds; of what, says message.timestamp.type

    def header(self, name):
        """The value of the one header of that name; None where there is none."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"header {name} comes {len(values)} times"
        return values[0] if values else None

    def bytes(self):
        """All that must be the same when it is sent again."""
        return self.key, self.value, self.headers


def fresh_topic(bootstrap, name, partitions=1, config=None, node=None):
    """Makes a topic nobody used before, on that node if one is named; returns its name, which begins with `name`."""
    topic = f"{name}.{int(time.time() * 1000)}.{next(_numbers)}"
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
    place = {"replica_assignment": [[node]] * partitions} if node else {"replication_factor": 1}
    for future in admin.create_topics([NewTopic(topic, partitions, config=config or {}, **place)],
                                      operation_timeout=20).values():
        future.result(30)
    return topic


def read_topic(bootstrap, topic, timeout=30):
    """Every record of the topic, partition by partition, each in the order of its offsets."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": "rkbridge-tests",
                                         "enable.auto.commit": False,
                                         "auto.offset.reset": "error", "fetch.wait.max.ms": 50, **QUIET})
    try:
        partitions = consumer.list_topics(topic, timeout=timeout).topics[topic].partitions
        records = []
        for number in sorted(partitions):
            records += _read_partition(consumer, topic, number, timeout)
        return records
    finally:
        consumer.close()


def _read_partition(consumer, topic, partition, timeout):
    place = confluent_kafka.TopicPartition(topic, partition)
    first, end = consumer.get_watermark_offsets(place, timeout=timeout)
    place.offset = first
    consumer.assign([place])
    records = []
    deadline = time.monotonic() + timeout
    while first + len(records) < end:
        got = f"{topic}/{partition}: {len(records)} of {end - first} records within {timeout} s"
        assert time.monotonic() < deadline, got
        for message in consumer.consume(min(1000, end - first - len(records)), 0.5):    # it waits for as many
            assert message.error() is None, message.error()
            records.append(Record(topic, partition, message.offset(), message.key(), message.value() or b"",
                                  tuple(message.headers() or ()), message.timestamp()[1] / 1000))
    return records
