"""Redis goes away and comes back: a gap is written down, everything outside it arrives."""

import pytest

from bridge import route
from delivery import assert_bounds, assert_delivered, decode_raw, missing
from publisher import Load
from waiting import wait_for

CHANNELS = ["a", "b", "c"]
# A message may lie in sockets for a moment after Redis answered its PUBLISH: that long before the last byte was read.
SLACK = 0.2


@pytest.fixture
def routes(topic):
    return {"all": route(topic, channels=CHANNELS, envelope="raw")}


@pytest.fixture
def arrived(topic, read):
    return lambda: [decode_raw(record) for record in read(topic)]


def settled(one, publisher, arrived):
    """Everything after a trouble: drained, nothing missing outside the gaps, and what is published now arrives."""
    start = len(publisher.sent)
    assert publisher.publish(*CHANNELS, count=50) == 150
    last = publisher.sent[-1]
    wait_for("the last message", lambda: one.drained()
             and any((seen.channel, seen.n) == (last.channel, last.n) for seen in arrived()), interval=0.2)
    seen = arrived()
    assert missing(publisher.sent[start:], seen) == [], "after the gap all must arrive"
    assert all(gap.end is not None for gap in one.gaps()), "no gap stays open"
    assert_delivered(publisher.sent, seen, gaps=one.spans(), slack=SLACK)
    assert_bounds(publisher.sent, seen, one.gaps())


def reasons(one):
    return [gap.reason for gap in one.gaps()]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_redis_restart_under_load(bridge, redis, publisher, routes, arrived, how):
    one = bridge(routes)
    with Load(publisher, CHANNELS, 400) as load:
        wait_for("some messages", lambda: one.totals()["delivered"] > 200)
        getattr(redis, how)()
        wait_for("the loss to be seen", lambda: not one.source()["connected"])
        assert not one.stats()["ready"]
        redis.start()
        wait_for("the bridge to be ready", lambda: one.stats()["ready"])
        more = load.published() + 200
        wait_for("more messages", lambda: load.published() > more)
    settled(one, publisher, arrived)
    assert reasons(one) == ["redis_restart"]
    assert one.source()["connections_total"] == 2 and one.source()["gaps_total"] == 1


def test_client_kill_three_times(bridge, redis, publisher, routes, arrived):
    one = bridge(routes)
    with Load(publisher, CHANNELS, 400) as load:
        for times in range(1, 4):
            seen = load.published()
            wait_for("some messages", lambda: load.published() > seen + 50)
            assert redis.kill_bridge_clients() >= 1
            wait_for("the new connection",
                     lambda: one.source()["connections_total"] == times + 1 and one.stats()["ready"])
    settled(one, publisher, arrived)
    assert reasons(one) == ["connection_lost"] * 3


def test_a_gap_is_no_longer_than_the_loss(bridge, redis, publisher, routes, arrived):
    """From the last byte read to the confirmed subscription: tight enough to be of use."""
    one = bridge(routes)
    publisher.publish(*CHANNELS, count=10)
    one.wait_totals(received=30, pending=0)
    before = publisher.sent[-1].before
    redis.kill_bridge_clients()
    wait_for("the new connection", lambda: one.source()["connections_total"] == 2 and one.stats()["ready"])
    gap, = one.gaps()
    assert gap.begin >= before - SLACK and gap.end >= gap.begin
    publisher.publish(*CHANNELS, count=1)
    assert publisher.sent[-1].before >= gap.end - 0.001
    settled(one, publisher, arrived)


def test_started_before_redis(make_bridge, redis, kafka, publisher, routes, arrived):
    redis.stop()
    one = make_bridge({"routes": routes}, redis=redis, kafka=kafka.bootstrap).start(wait="answers")
    wait_for("a refused connection", lambda: one.source()["error"] != "")
    assert not one.stats()["ready"]
    redis.start()
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])
    settled(one, publisher, arrived)


@pytest.fixture
def redis_proxy(redis, make_proxy):
    return make_proxy(("127.0.0.1", redis.port))


@pytest.fixture
def behind_proxy(make_bridge, kafka, redis_proxy, routes):
    def make(**source):
        settings = {"redis": {"legacy": {"url": f"redis://{redis_proxy.address}", **source}}, "routes": routes}
        return make_bridge(settings, kafka=kafka.bootstrap).start()
    return make


def test_connections_cut_again_and_again(behind_proxy, redis_proxy, publisher, arrived):
    one = behind_proxy()
    with Load(publisher, CHANNELS, 300) as load:
        for _ in range(4):
            seen = load.published()
            wait_for("some messages", lambda: load.published() > seen + 30)
            before = one.source()["connections_total"]
            redis_proxy.cut()
            wait_for("a new connection", lambda: one.source()["connections_total"] > before and one.stats()["ready"])
    settled(one, publisher, arrived)
    assert reasons(one) == ["connection_lost"] * 4


def test_a_silent_redis_is_noticed_by_the_heartbeat(behind_proxy, redis_proxy, publisher, arrived):
    """Connections stay, nothing moves: only an unanswered PING tells."""
    one = behind_proxy(heartbeat="300ms", heartbeat_timeout="700ms", connect_timeout="700ms")
    publisher.publish(*CHANNELS, count=10)
    one.wait_totals(received=30, pending=0)
    with Load(publisher, CHANNELS, 100) as load:
        redis_proxy.stall()
        wait_for("the silence to be noticed", lambda: not one.source()["connected"])
        redis_proxy.cut()               # what lay in the proxy is gone
        redis_proxy.go_on()
        wait_for("the bridge to be ready", lambda: one.stats()["ready"])
        more = load.published() + 50
        wait_for("more messages", lambda: load.published() > more)
    settled(one, publisher, arrived)
    assert "connection_lost" in reasons(one)


def test_redis_refuses_for_a_while(behind_proxy, redis_proxy, publisher, arrived):
    """However long it lasts it is one gap, and it is tried again for ever."""
    one = behind_proxy()
    redis_proxy.refuse()
    wait_for("the loss to be seen", lambda: not one.source()["connected"])
    publisher.publish(*CHANNELS, count=5)
    with one.control() as control:
        assert "source legacy is not connected" in control.ask_text("status")
    redis_proxy.go_on()
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])
    settled(one, publisher, arrived)
    assert reasons(one) == ["connection_lost"]
