"""A Redis that says nothing any more, though its connections stand: noticed in every phase;
what is missing lies in gaps."""

import re
import time

import pytest

from bridge import route
from delivery import assert_bounds, assert_delivered, decode_raw, missing
from publisher import Load
from waiting import wait_for

CHANNELS = ["a", "b"]
SLACK = 0.2     # a message may lie in sockets for a moment after Redis answered its PUBLISH
QUICK = {"heartbeat": "200ms", "heartbeat_timeout": "300ms", "connect_timeout": "300ms", "reconnect_max": "100ms",
         "watch": "200ms"}
SUBSCRIBER = re.compile(rb"rkbridge:test\r\n")
WATCHER = re.compile(rb"rkbridge:test:")


@pytest.fixture
def redis_proxy(redis, make_proxy):
    return make_proxy(("127.0.0.1", redis.port))


@pytest.fixture
def make(make_bridge, kafka, redis_proxy, topic):
    """Makes a bridge behind the proxy, started; more: settings of its source."""
    def make(**source):
        settings = {"redis": {"legacy": {"url": f"redis://{redis_proxy.address}", **QUICK, **source}},
                    "routes": {"all": route(topic, channels=CHANNELS, envelope="raw")}}
        return make_bridge(settings, kafka=kafka.bootstrap).start()
    return make


def whole_again(one, proxy):
    """What lay in the connections is gone, and the bridge is ready again."""
    proxy.cut()
    proxy.go_on()
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])


def prove(one, publisher, read, topic):
    """All that is published now arrives, what Redis gave us before too, or lies in gaps; returns all that did not."""
    start = len(publisher.sent)
    publisher.publish(*CHANNELS, count=20)
    one.wait_totals(received=one.totals()["received"], pending=0)
    last = publisher.sent[-1]
    seen = wait_for("the last message", lambda: (seen := [decode_raw(record) for record in read(topic)])
                    and any((each.channel, each.n) == (last.channel, last.n) for each in seen) and seen, interval=0.2)
    assert missing(publisher.sent[start:], seen) == []
    assert all(gap.end is not None for gap in one.gaps())
    assert_delivered(publisher.sent, seen, gaps=one.spans(), slack=SLACK)
    assert_bounds(publisher.sent, seen, one.gaps())
    arrived = {(each.channel, each.n) for each in seen}
    return [sent for sent in publisher.sent if (sent.channel, sent.n) not in arrived]


def within(gaps, sent):
    """Times of gaps are whole milliseconds."""
    return any(gap.begin - SLACK <= sent.after and sent.before <= gap.end + 0.001 for gap in gaps)


@pytest.mark.parametrize("sides", [("near", "far"), ("far",)], ids=["both", "answers"])
def test_swallowed_while_subscribed(make, redis_proxy, publisher, read, topic, sides):
    one = make()
    publisher.publish(*CHANNELS, count=10)
    one.wait_totals(received=20, pending=0)
    with Load(publisher, CHANNELS, 200):
        began = time.time()
        redis_proxy.swallow(*sides)
        said = "nothing came from Redis for 300 ms after a PING"
        wait_for("the silence to be noticed", lambda: one.source()["error"].startswith(said))
        assert not one.stats()["ready"]
        whole_again(one, redis_proxy)
    lost = prove(one, publisher, read, topic)
    gap, = one.gaps()
    assert gap.reason == "connection_lost" and gap.begin <= began + SLACK
    assert lost and all(within([gap], sent) for sent in lost)


def test_swallowed_on_the_way_to_redis(make, redis_proxy, publisher, read, topic):
    """While messages come the connection lives, and nothing is lost; it is given up when they end."""
    one = make()
    with Load(publisher, CHANNELS, 100) as load:
        redis_proxy.swallow("near", whose=SUBSCRIBER.search)
        more = load.published() + 120
        wait_for("messages for longer than both deadlines", lambda: load.published() > more)
        assert one.source()["connections_total"] == 1 and one.gaps() == []
    wait_for("the silence to be noticed", lambda: not one.source()["connected"])
    whole_again(one, redis_proxy)
    assert prove(one, publisher, read, topic) == []
    assert [gap.reason for gap in one.gaps()] == ["connection_lost"]


def test_swallowed_on_the_second_connection(make, redis_proxy, publisher, read, topic):
    """It is made anew; the first one does not notice."""
    one = make()
    wait_for("the role", lambda: one.source()["role"] == "master")
    redis_proxy.swallow("far", whose=WATCHER.search)
    wait_for("the silence to be noticed", lambda: "event=watch_lost" in one.stderr())
    assert one.source()["role"] is None and one.stats()["ready"]
    redis_proxy.go_on()
    wait_for("the role", lambda: one.source()["role"] == "master")
    assert prove(one, publisher, read, topic) == []
    assert one.gaps() == [] and one.source()["connections_total"] == 1


# Where it begins to swallow: what the client has said by then, and what it waits for in vain.
PHASES = {"connected": (rb"", "the answer to the login did not come within 300 ms"),
          "subscribing": (rb"\r\nSUBSCRIBE\r\n", "the answer to all subscriptions did not come within 300 ms")}


def test_swallowed_while_connecting(make, redis_proxy, publisher, read, topic):
    """In each phase, one after the other, and all that time in one gap."""
    one = make()
    with Load(publisher, CHANNELS, 200):
        one.wait_totals(received=20)
        for said, waited_for in PHASES.values():
            redis_proxy.swallow("far", whose=re.compile(said).search)
            redis_proxy.cut()
            wait_for(f"'{waited_for}'", lambda: waited_for in one.source()["error"])
            assert not one.stats()["ready"] and one.gaps()[-1].end is None
        whole_again(one, redis_proxy)
    lost = prove(one, publisher, read, topic)
    gap, = one.gaps()
    assert gap.reason == "connection_lost" and lost and all(within([gap], sent) for sent in lost)
