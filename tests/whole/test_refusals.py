"""A record that the real Kafka refuses: nothing is lost, people are told which one and why, and it goes on when Kafka takes it."""

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from bridge import route
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
    made = bridge({"small": route(small, channels=["s"]), "other": route(other, channels=["o"])})
    return made, small


def test_too_large_for_its_topic(two, kafka, publisher, redis):
    made, small = two
    set_limit(kafka, small, 5000)
    publisher.publish("s", "o", count=10)
    made.wait_totals(received=20, pending=0)
    redis.client().publish("s", "x" * 20000)
    wait_for("the refusal to be told", lambda: made.stats()["kafka"]["refused"])
    publisher.publish("s", "o", count=10)

    told = made.stats()["kafka"]["refused"]
    assert told.startswith(f"a record of route small for topic {small} is refused: ")
    code, out, _ = made.rkbctl("status")
    assert code == 1 and told in out.splitlines()[0] and "all topics wait" in out.splitlines()[0]
    made.wait_totals(received=41)
    assert made.stats()["routes"]["small"]["pending"] >= 1
    assert f"{told}; it stays in the journal" in made.stderr()

    set_limit(kafka, small, 1000000)
    made.wait_totals(40, received=41, pending=0, delivered=41)
    wait_for("the refusal to be over", lambda: made.stats()["kafka"]["refused"] is None)
    wait_for("the line that says so", lambda: "event=delivering" in made.stderr())
