"""Kafka goes away and comes back: everything that was received arrives, in order,
the same bytes under the same UUID."""

import pytest

from bridge import route
from delivery import assert_delivered, decode_event, decode_raw
from publisher import Load
from waiting import wait_for

CHANNELS = ["a", "b", "c", "d"]


@pytest.fixture
def routes(make_topic):
    return {"all": route(make_topic("faults", partitions=2), channels=CHANNELS, envelope="raw")}


@pytest.fixture
def all_arrived(routes, read):
    def check(publisher, **more):
        assert_delivered(publisher.sent, [decode_raw(record) for record in read(routes["all"]["topic"])], **more)
    return check


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_kafka_restart_under_load(bridge, kafka, publisher, routes, all_arrived, how):
    one = bridge(routes)
    with Load(publisher, CHANNELS, 400) as load:
        wait_for("some messages", lambda: one.totals()["delivered"] > 200)
        getattr(kafka, how)()
        wait_for("the loss to be seen", lambda: not one.stats()["kafka"]["connected"])
        wait_for("messages that wait", lambda: one.totals()["pending"] > 400)
        assert one.stats()["ready"] and one.source()["connected"], "Redis is read all the same"
        kafka.start()
        more = load.published() + 400
        wait_for("more messages", lambda: load.published() > more)
    one.wait_totals(60, received=len(publisher.sent), pending=0)
    all_arrived(publisher)
    assert one.gaps() == []


def test_kafka_down_at_start(proxied_bridge, kafka_proxy, publisher, routes, all_arrived):
    kafka_proxy.refuse()
    one = proxied_bridge(routes).start()
    publisher.publish(*CHANNELS, count=250)
    one.wait_totals(received=1000, pending=1000)
    with one.control() as control:
        assert "Kafka is not connected" in control.ask_text("status")
    kafka_proxy.go_on()
    one.drained()
    all_arrived(publisher)
    assert one.gaps() == []


def test_kafka_connections_cut_under_load(proxied_bridge, kafka_proxy, publisher, routes, all_arrived):
    one = proxied_bridge(routes).start()
    with Load(publisher, CHANNELS, 500) as load:
        for _ in range(6):
            more = load.published() + 100
            wait_for("more messages", lambda: load.published() > more)
            kafka_proxy.cut()
    one.wait_totals(60, received=len(publisher.sent), pending=0)
    all_arrived(publisher)


def test_kafka_stalls_under_load(proxied_bridge, kafka_proxy, publisher, routes, all_arrived):
    """Acknowledgements do not come: the journal takes what Redis sends."""
    one = proxied_bridge(routes, kafka={"properties": {"socket.timeout.ms": 3000}}).start()
    with Load(publisher, CHANNELS, 400):
        wait_for("some messages", lambda: one.totals()["delivered"] > 100)
        kafka_proxy.stall()
        wait_for("messages that wait", lambda: one.totals()["pending"] > 800)
        kafka_proxy.go_on()
        received = one.totals()["received"]
        wait_for("the way to be free", lambda: one.totals()["delivered"] > received)
    one.wait_totals(60, received=len(publisher.sent), pending=0)
    all_arrived(publisher)


def test_kafka_refuses_half_the_time(proxied_bridge, kafka_proxy, publisher, routes, all_arrived):
    one = proxied_bridge(routes).start()
    with Load(publisher, CHANNELS, 300) as load:
        for _ in range(3):
            kafka_proxy.refuse()
            more = load.published() + 150
            wait_for("more messages", lambda: load.published() > more)
            kafka_proxy.go_on()
            more = load.published() + 150
            wait_for("more messages", lambda: load.published() > more)
    one.wait_totals(60, received=len(publisher.sent), pending=0)
    all_arrived(publisher)


def test_a_large_backlog_arrives_whole(proxied_bridge, kafka_proxy, make_publisher, redis, make_topic, read):
    """More than ring and librdkafka's queue hold, over several segments."""
    topic = make_topic("backlog")
    publisher = make_publisher(redis, pad=1000)
    kafka_proxy.refuse()
    one = proxied_bridge({"all": route(topic, channels=CHANNELS)},
                         journal={"segment_size": "1MiB", "max_size": "64MiB", "ring_size": "1MiB"}).start()
    for _ in range(25):
        publisher.publish(*CHANNELS, count=200)
    stats = one.wait_totals(received=20000, pending=20000)
    assert stats["journal"]["segments"] > 10
    kafka_proxy.go_on()
    stats = one.drained(120)
    assert_delivered(publisher.sent, [decode_event()(record) for record in read(topic)])
    assert stats["totals"]["dropped"] == 0
    wait_for("the shipped segments to go", lambda: one.stats()["journal"]["segments"] <= 3)
