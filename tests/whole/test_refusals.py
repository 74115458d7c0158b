"""Records that the real Kafka refuses for good become dead letters, each alone; what a topic waits for holds no other
topic up."""

import random

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from bridge import route
from delivery import assert_delivered, decode_raw
from waiting import wait_for


def set_limit(kafka, topic, size):
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20)


@pytest.fixture
def two(bridge, make_topic):
    """Two routes; the topic of `small` takes little."""
    small, other = make_topic(), make_topic()
    made = bridge({"small": route(small, channels=["s"], envelope="raw"),
                   "other": route(other, channels=["o"], envelope="raw")})
    return made, small, other


def test_too_large_for_its_topic(two, kafka, publisher, redis, read):
    """One in fifty is too large; they go in full batches with the others, which must not go with them into the dead
    letters."""
    made, small, other = two
    set_limit(kafka, small, 5000)
    shuffled = random.Random(4)
    for _ in range(6):
        publisher.publish("s", "o", count=50)
        redis.client().publish("s", shuffled.randbytes(20000).hex())
    made.wait_totals(60, received=606, pending=0)
    stats = made.stats()
    assert stats["routes"]["small"]["dead_lettered"] == 6 and stats["routes"]["other"]["dead_lettered"] == 0
    assert stats["totals"]["delivered"] == 600 and stats["kafka"]["dead_letter_bytes"] > 6 * 40000
    assert stats["kafka"]["refused"] is None and stats["kafka"]["topics_waiting"] == 0
    assert_delivered(publisher.sent, [decode_raw(record) for topic in (small, other) for record in read(topic)])
    assert "event=dead_lettered" in made.stderr() and "MSG_SIZE_TOO_LARGE" in made.stderr()

    set_limit(kafka, small, 1000000)
    redis.client().publish("s", shuffled.randbytes(20000).hex())
    made.wait_totals(60, received=607, delivered=601, pending=0)


def test_batches_too_large_for_the_topic(two, kafka, publisher, read):
    """No record is over the topic's limit, but the usual batch is."""
    made, small, _ = two
    set_limit(kafka, small, 3000)
    publisher.pad = "x" * 600
    for _ in range(4):
        publisher.publish("s", count=300)
    made.wait_totals(60, received=1200, pending=0)
    assert made.totals()["dead_lettered"] == 0
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(small)])


def test_a_missing_topic_holds_no_other_up(bridge, make_topic, kafka, publisher, read):
    here, missing = make_topic(), "not-made-yet." + str(random.randrange(10**9))
    made = bridge({"here": route(here, channels=["h"], envelope="raw"),
                   "missing": route(missing, channels=["m"], envelope="raw")},
                  kafka={"properties": {"topic.metadata.propagation.max.ms": "500"}})
    publisher.publish("m", "h", count=100)
    made.wait_totals(received=200, delivered=100)
    wait_for("the refusal to be told", lambda: made.stats()["kafka"]["refused"])
    code, out, _ = made.rkbctl("status")
    assert code == 1 and missing in out.splitlines()[0]
    publisher.publish("h", count=100)
    made.wait_totals(received=300, delivered=200, pending=100)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(missing, 1, 1)])[missing].result(20)
    made.drained(60)
    assert_delivered(publisher.sent, [decode_raw(record) for topic in (here, missing) for record in read(topic)])
    wait_for("the line that says so", lambda: f"topic {missing} takes records again" in made.stderr())
