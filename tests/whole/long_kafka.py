"""What takes a Kafka of its own and longer than the other scenarios: its disk is full; its leaders move, again and
again.

Not collected with the others: python -m pytest tests/whole/long_kafka.py
"""

import random

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

import broker
import consumer
from bridge import route
from delivery import assert_delivered, decode_event
from disk import Mounts
from publisher import Load
from waiting import wait_for


@pytest.fixture
def small(tmp_path):
    """A Kafka of its own with its topics on a small tmpfs."""
    mounts = Mounts()
    place = mounts.tmpfs("kafka", "24m")
    node = broker.Broker(tmp_path / "small-kafka",
                         {"log.dirs": place / "data", "metadata.log.dir": tmp_path / "metadata"})
    node.place = place
    try:
        yield node.start()
    finally:
        node.kill()
        mounts.close()


def test_the_disk_of_kafka_is_full(small, make_bridge, make_publisher, redis):
    topic = consumer.fresh_topic(small.bootstrap, "small")
    publisher = make_publisher(redis, pad=4000)
    one = make_bridge({"routes": {"all": route(topic, channels=["a", "b"])}}, redis=redis,
                      kafka=small.bootstrap).start()
    ballast = small.place / "ballast"
    with Load(publisher, ["a", "b"], 300):
        one.wait_totals(delivered=200)
        with ballast.open("wb") as file:
            try:
                while file.write(random.randbytes(65536)):
                    file.flush()
            except OSError:
                pass
        small.process.wait(60)
        wait_for("messages that wait", lambda: one.totals()["pending"] > 300)
        ballast.unlink()
        small.start()
        received = one.totals()["received"]
        wait_for("the way to be free", lambda: one.totals()["delivered"] > received, 60)
    one.wait_totals(60, received=len(publisher.sent), pending=0)
    assert one.totals()["dead_lettered"] == 0
    assert_delivered(publisher.sent, [decode_event()(record) for record in consumer.read_topic(small.bootstrap, topic)])


@pytest.fixture
def pair(tmp_path):
    """Two nodes; a leader that is back leads again within seconds."""
    soon = {"leader.imbalance.check.interval.seconds": 1, "replica.lag.time.max.ms": 3000}
    first = broker.Broker(tmp_path / "kafka-1", soon)
    second = broker.Broker(tmp_path / "kafka-2", soon, first=first)
    try:
        yield first.start(), second.start()
    finally:
        second.kill()
        first.kill()


def test_leaders_move(pair, make_bridge, publisher, redis):
    """Of a topic on both nodes, led by the second: that is killed and comes back, three times, under load."""
    first, second = pair
    admin = AdminClient({"bootstrap.servers": first.bootstrap})
    wait_for("both nodes to be of the cluster", lambda: len(admin.list_topics(timeout=10).brokers) == 2)
    admin.create_topics([NewTopic("pair", 2, replica_assignment=[[2, 1], [2, 1]])])["pair"].result(20)

    def leaders():
        pair = admin.list_topics("pair", timeout=10).topics["pair"]
        return {partition.leader for partition in pair.partitions.values()}

    channels = ["a", "b", "c", "d"]
    one = make_bridge({"routes": {"all": route("pair", channels=channels)}}, redis=redis,
                      kafka=f"{first.bootstrap},{second.bootstrap}").start()
    with Load(publisher, channels, 500):
        for _ in range(3):
            wait_for("the second node to lead", lambda: leaders() == {2}, 60)
            received = one.totals()["received"]
            wait_for("messages to be delivered", lambda: one.totals()["delivered"] > received + 200)
            second.kill()
            wait_for("the first node to lead", lambda: leaders() == {1}, 60)
            received = one.totals()["received"]
            wait_for("messages to be delivered", lambda: one.totals()["delivered"] > received + 200)
            second.start()
    one.wait_totals(60, received=len(publisher.sent), pending=0)
    assert one.totals()["dead_lettered"] == 0
    seen = [decode_event()(record) for record in consumer.read_topic(first.bootstrap, "pair")]
    assert_delivered(publisher.sent, seen)
    twice = len(seen) - len(publisher.sent)
    print(f"{len(publisher.sent)} messages, {twice} came twice; {one.stats()['kafka']['errors_total']}")
