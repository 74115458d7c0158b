"""Keys and partitions: a key goes where a Java producer puts it, so that a service may stop using Redis, publish to the
same topic by itself, and each key's records stay in one partition."""

import collections
import random

import pytest

import java
from bridge import route

PARTITIONS = 7


def some_keys():
    """Every length up to 300, every byte, texts that are not ASCII. (What would be an empty key is none; see below.)"""
    rng = random.Random(5)
    texts = ["user_created", "h\u00e9llo", "\u65e5\u672c\u8a9e", "\U0001f600", "user:42:\u00fc", "\u0000", "a\u0000b",
             "ABC-1", " "]
    keys = {rng.randbytes(size) for size in range(1, 301)} | {bytes([byte]) for byte in range(256)}
    return sorted(keys | {text.encode() for text in texts})


def partition_of(records):
    places = collections.defaultdict(set)
    for record in records:
        places[record.key].add(record.partition)
    return dict(places)


def publish(redis, channels):
    with redis.client() as client:
        pipeline = client.pipeline(transaction=False)
        for channel in channels:
            pipeline.publish(channel, b"{}")
        assert set(pipeline.execute()) == {1}


def test_java_puts_each_key_into_the_same_partition(bridge, redis, kafka, make_topic, read):
    keys = some_keys()
    javas, ours = make_topic("java", partitions=PARTITIONS), make_topic("ours", partitions=PARTITIONS)
    one = bridge({"all": route(ours, patterns=["*"], envelope="raw")})
    publish(redis, keys)
    one.wait_totals(received=len(keys), pending=0)
    java.run("KeyProducer.java", kafka.bootstrap, javas, input="".join(key.hex() + "\n" for key in keys))
    expected = partition_of(read(javas))
    assert sorted(expected) == keys and set().union(*expected.values()) == set(range(PARTITIONS))
    assert partition_of(read(ours)) == expected


@pytest.mark.parametrize("key", ["none", "{{payload:/id}}"], ids=["none", "a pointer that finds nothing"])
def test_what_has_no_key_goes_to_all_partitions(bridge, redis, make_topic, read, key):
    """An empty key would have one partition, as every other has; it is no key."""
    topic = make_topic(partitions=PARTITIONS)
    one = bridge({"all": route(topic, channels=["c"], envelope="raw", key=key)})
    for n in range(20):     # librdkafka takes another partition for what has no key every 10 ms
        publish(redis, [b"c"] * 5)
        one.wait_totals(received=5 * (n + 1), pending=0)
    places = partition_of(read(topic))
    assert list(places) == [None] and len(places[None]) > 1
