"""A topic of the real Kafka refuses the time at which a message was read: it is never set aside for that,
and goes on by itself."""

import time

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from bridge import route
from delivery import assert_delivered, decode_raw
from waiting import wait_for

CHANNELS = ["a", "b"]


def take_older(kafka, topic, milliseconds):
    entry = ConfigEntry("message.timestamp.before.max.ms", str(milliseconds),
                        incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20)


def test_times_that_a_topic_refuses(proxied_bridge, kafka, kafka_proxy, publisher, make_topic, read):
    """First a journal that is older than the topic allows: it goes with the time of sending. Then clocks that are
    apart, which a topic plays that takes no time at all: it waits, says so, and all goes when they are not."""
    topic, other = make_topic(config={"message.timestamp.before.max.ms": "900"}), make_topic()
    kafka_proxy.refuse()
    one = proxied_bridge({"old": route(topic, channels=CHANNELS, envelope="raw"),
                          "other": route(other, channels=["o"], envelope="raw")}).start()
    publisher.publish(*CHANNELS, count=1000)
    one.wait_totals(received=2000, pending=2000)
    stamped = time.time()
    wait_for("the messages to be too old", lambda: one.stats()["journal"]["oldest_pending_seconds"] > 1.5)
    kafka_proxy.go_on()
    one.drained()
    assert one.stderr().count("event=time_refused") == 1
    assert min(record.time for record in read(topic)) > stamped

    take_older(kafka, topic, 0)
    publisher.publish(*CHANNELS, "o", count=200)
    wait_for("the clocks to be missed",
             lambda: "this machine's clock and Kafka's" in (one.stats()["kafka"]["refused"] or ""))
    one.wait_totals(received=2600, delivered=2200)
    take_older(kafka, topic, 3600000)
    one.drained()
    assert one.totals()["dead_lettered"] == 0
    assert_delivered(publisher.sent, [decode_raw(record) for place in (topic, other) for record in read(place)])
