"""SIGTERM and SIGINT: unsubscribe, drain, sync; the exit code and the last line tell what is left."""

import re
import signal

import pytest

from bridge import route
from delivery import assert_delivered, decode_raw
from publisher import Load
from waiting import wait_for

CHANNELS = ["a", "b"]


@pytest.fixture
def routes(topic):
    return {"all": route(topic, channels=CHANNELS, envelope="raw")}


@pytest.fixture
def arrived(topic, read):
    return lambda: [decode_raw(record) for record in read(topic)]


def last_line(one):
    return one.stderr().strip().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drains_under_load(bridge, redis, publisher, routes, arrived, number):
    """All that Redis gave it before it unsubscribed arrives: PUBLISH told the publisher how many got it."""
    one = bridge(routes)
    with Load(publisher, CHANNELS, 1000):
        wait_for("some messages", lambda: one.totals()["received"] > 300)
        assert one.terminate(number=number) == 0
    assert publisher.sent[-1].receivers == 0
    assert_delivered(publisher.sent, arrived(), once=True)
    assert not one.socket.exists()
    assert redis.bridge_clients() == []
    assert not re.search(r"[1-9]\d* records? (is|are)? ?left", last_line(one))


def test_drains_what_is_on_its_way(bridge, publisher, routes, arrived):
    """What Redis sent before it confirmed the end of the subscriptions counts, however much it is."""
    one = bridge(routes)
    one.process.send_signal(signal.SIGSTOP)
    assert publisher.publish(*CHANNELS, count=5000) == 10000
    one.process.send_signal(signal.SIGTERM)
    one.process.send_signal(signal.SIGCONT)
    assert one.ended() == 0
    assert_delivered(publisher.sent, arrived(), once=True)


def test_kafka_down_leaves_the_rest_in_the_journal(proxied_bridge, kafka_proxy, publisher, routes, arrived):
    kafka_proxy.refuse()
    one = proxied_bridge(routes, shutdown_timeout="1s").start()
    publisher.publish(*CHANNELS, count=75)
    one.wait_totals(received=150, pending=150)
    assert one.terminate() == 3
    assert "150" in last_line(one), last_line(one)
    kafka_proxy.go_on()
    one.start()
    assert one.totals()["recovered"] == 150
    publisher.publish(*CHANNELS, count=5)
    stats = one.wait_totals(received=10, pending=0)
    assert stats["totals"]["delivered"] == 160
    assert_delivered(publisher.sent, arrived(), once=True)
    assert one.terminate() == 0


def test_asked_again_to_end(proxied_bridge, kafka_proxy, publisher, routes, arrived):
    """It leaves at once, however much it was to wait; nothing is lost."""
    kafka_proxy.refuse()
    one = proxied_bridge(routes, shutdown_timeout="60s").start()
    publisher.publish(*CHANNELS, count=20)
    one.wait_totals(received=40, pending=40)
    one.process.send_signal(signal.SIGTERM)
    wait_for("the first to be taken", lambda: "event=stopping" in one.stderr())
    assert one.terminate(timeout=15) == 3
    assert "event=left_at_once" in one.stderr() and "40" in last_line(one)
    kafka_proxy.go_on()
    one.start()
    one.drained()
    assert one.totals()["recovered"] == 40
    assert_delivered(publisher.sent, arrived(), once=True)


def test_a_second_start_recovers_nothing_and_writes_the_gap(bridge, publisher, routes, arrived):
    one = bridge(routes)
    publisher.publish(*CHANNELS, count=20)
    one.wait_totals(received=40, pending=0)
    assert one.terminate() == 0
    publisher.publish(*CHANNELS, count=1)
    assert [sent.receivers for sent in publisher.sent[-2:]] == [0, 0]
    one.start()
    assert one.totals()["recovered"] == 0
    gap, = one.gaps()
    assert gap.reason == "restart" and gap.begin <= publisher.sent[-1].before
    assert publisher.sent[-1].after <= gap.end + 0.001
    publisher.publish(*CHANNELS, count=20)
    one.wait_totals(received=40, pending=0)
    assert_delivered(publisher.sent, arrived(), once=True)


def test_redis_down_at_the_end(bridge, redis, publisher, routes, arrived):
    """Nobody answers UNSUBSCRIBE: it ends all the same, and at once, since there is nothing to wait for."""
    one = bridge(routes)
    publisher.publish(*CHANNELS, count=20)
    one.wait_totals(received=40, pending=0)
    redis.stop()
    wait_for("the loss to be seen", lambda: not one.source()["connected"])
    assert one.terminate(timeout=10) == 0
    assert_delivered(publisher.sent, arrived(), once=True)
