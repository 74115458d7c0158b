"""Topics that messages name: by channel, created as they come, bounded by max_topics; over a kill and a restart."""

import json

from bridge import route
from delivery import assert_delivered, decode_raw
from test_topics import line, new_name, partitions_of

CHANNELS = [f"stock.{number}" for number in range(19)] + ["stock.a/b"]
TOO_LONG = "stock." + "x" * 250


def topic_of(stem, channel):
    return f"{stem}.{channel.removeprefix('stock.').replace('/', '_')}"


def reasons(letters):
    assert {record.header("rkb-error-code") for record in letters} == {b"topic"}
    return {record.key.decode(): record.header("rkb-error").decode() for record in letters}


def test_by_channel(bridge, kafka, publisher, redis, make_topic, read):
    """Twenty channels, of which one is no name as it stands, into twenty topics that the bridge makes; killed and
    started in between. What would be one topic more, or has no name that Kafka takes, is a dead letter."""
    stem, letters = new_name("inventory"), make_topic("letters")
    made = bridge({"stock": route(stem + ".{{1}}", patterns=["stock.*"], envelope="raw", partitions=2, max_topics=20,
                                  dead_letter=letters)}, kafka={"create_topics": "yes"})
    publisher.publish(*CHANNELS, count=10)
    redis.client().publish(TOO_LONG, "first")
    made.wait_totals(received=201)
    made.kill()
    made.start()
    publisher.publish(*CHANNELS, count=10)
    for channel in (TOO_LONG, "stock.one-more"):
        redis.client().publish(channel, "second")
    made.drained(60)
    for channel in CHANNELS:
        assert partitions_of(kafka, topic_of(stem, channel)) == 2
    assert partitions_of(kafka, stem + ".one-more") == 0
    assert_delivered(publisher.sent, [decode_raw(record) for channel in CHANNELS
                                      for record in read(topic_of(stem, channel))])
    assert all(record.key == b"stock.a/b" for record in read(stem + ".a_b"))
    found = read(letters)
    assert {(record.key.decode(), record.value) for record in found} == {
        (TOO_LONG, b"first"), (TOO_LONG, b"second"), ("stock.one-more", b"second")}
    assert reasons(found) == {TOO_LONG: "the topic's name is longer than 249 bytes",
                              "stock.one-more": "a new topic, and the route has named 20 already (max_topics)"}


def test_by_what_is_in_it(bridge, kafka, redis, read):
    """A pointer names the topic; the one that nobody makes waits alone, is told,
    and its records come when it is there."""
    stem = new_name("kind")
    made = bridge({"kinds": route(stem + ".{{payload:/kind}}", channels=["k"], envelope="raw")},
                  kafka={"create_topics": "yes"})
    client = redis.client()
    for number in range(60):
        client.publish("k", json.dumps({"kind": ["a", "b"][number % 2], "number": number}))
    client.publish("k", json.dumps({"kind": None}))
    made.wait_totals(20, received=61, delivered=60, dead_lettered=1, pending=0)
    made.terminate()
    made.rewrite({"kafka": {"create_topics": "no"}})
    made.start()
    for number in range(60, 90):
        client.publish("k", json.dumps({"kind": ["a", "b", "c"][number % 3], "number": number}))
    made.wait_totals(20, received=30, delivered=20, pending=10)
    assert "the brokers do not make it by themselves" in line(made, "topic_missing", stem + ".c")
    made.kill()
    made.rewrite({"kafka": {"create_topics": "yes"}})
    made.start()
    made.drained(30)
    numbers = {kind: [json.loads(record.value)["number"] for record in read(f"{stem}.{kind}")] for kind in "abc"}
    assert sorted(numbers["a"] + numbers["b"] + numbers["c"]) == list(range(90))
    assert all(found == sorted(found) for found in numbers.values()) and len(numbers["c"]) == 10
