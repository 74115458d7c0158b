"""kill -9 of the bridge: what was in ring or journal arrives, the same bytes under the same UUID;
what is missing lies in a gap."""

import time

import pytest

from bridge import route
from delivery import assert_bounds, assert_delivered, decode_raw, missing
from publisher import Load
from waiting import wait_for

CHANNELS = ["a", "b", "c", "d"]
SLACK = 0.2         # as in test_redis_faults.py
KILLS = 5


@pytest.fixture
def routes(make_topic):
    return {"all": route(make_topic("kill", partitions=2), channels=CHANNELS, envelope="raw")}


@pytest.fixture
def arrived(routes, read):
    return lambda: [decode_raw(record) for record in read(routes["all"]["topic"])]


def test_five_times_under_load(bridge, publisher, routes, arrived):
    one = bridge(routes)
    received, lives = 0, []      # of each kill: when it came, when the bridge was dead, when it was back
    with Load(publisher, CHANNELS, 400) as load:
        for number in range(KILLS):
            more = load.published() + 150 + 37 * number
            wait_for("more messages", lambda: load.published() > more)
            received += one.totals()["received"]
            before = time.time()
            one.kill()
            dead = time.time()
            one.start()
            lives.append((before, dead, time.time()))
        more = load.published() + 200
        wait_for("more messages", lambda: load.published() > more)
    received += one.totals()["received"]
    one.drained()
    seen, gaps = arrived(), one.gaps()
    assert_delivered(publisher.sent, seen, gaps=[gap.span() for gap in gaps], slack=SLACK)
    assert len({one.uuid for one in seen}) >= received, "all that the books said was received is there"
    assert [gap.reason for gap in gaps] == ["restart"] * KILLS
    assert all(gap.bound is not None for gap in gaps), "a kill takes nothing that bounds are counted from"
    absent = assert_bounds(publisher.sent, seen, gaps)
    assert sum(gap.bound for gap in gaps) <= absent + 40 * KILLS, "the number, but for what was under way"
    for (before, dead, back), gap in zip(lives, gaps):
        assert before - 0.5 <= gap.begin <= dead, "a restart gap begins with the last byte read before the kill"
        assert dead <= gap.end <= back, "and ends with the confirmed subscription"


def test_nothing_that_was_received_is_lost(proxied_bridge, kafka_proxy, publisher, routes, arrived):
    """Kafka is away, so all that arrives afterwards was found again in ring and journal: none missing, none twice."""
    kafka_proxy.refuse()
    one = proxied_bridge(routes).start()
    for number in range(1, KILLS + 1):
        publisher.publish(*CHANNELS, count=100)
        one.wait_totals(received=400, pending=400 * number)     # killed at once: some are still in the ring
        one.kill()
        one.start()
        assert one.totals()["recovered"] == 400 * number == one.totals()["pending"]
    kafka_proxy.go_on()
    one.drained()
    assert_delivered(publisher.sent, arrived(), once=True)
    assert one.totals()["delivered"] == one.totals()["recovered"] == 400 * KILLS


def test_killed_as_it_starts(proxied_bridge, kafka_proxy, publisher, routes, arrived):
    """At one moment after another of a start, while it reads journal and ring, and sends what it found."""
    one = proxied_bridge(routes).start()
    kafka_proxy.stall()
    publisher.publish(*CHANNELS, count=200)
    one.wait_totals(received=800)
    one.kill()
    for moment in range(1, 13):
        kafka_proxy.cut()
        kafka_proxy.go_on()
        one.start(wait=None)
        time.sleep(0.015 * moment)
        one.kill()
        kafka_proxy.stall()
    kafka_proxy.cut()
    kafka_proxy.go_on()
    one.start()
    one.drained()
    assert_delivered(publisher.sent, arrived(), gaps=one.spans(), slack=SLACK)
    assert all(gap.reason == "restart" and gap.end and not gap.bound for gap in one.gaps()), "nothing was missed"


def test_killed_while_it_reads(proxied_bridge, kafka_proxy, publisher, routes, arrived):
    """Killed in the middle of a burst: what arrives is an unbroken run from its beginning."""
    kafka_proxy.refuse()
    one = proxied_bridge(routes).start()
    with Load(publisher, CHANNELS, 3000):
        one.wait_totals(received=500)
        one.kill()
    one.start()
    recovered = one.totals()["recovered"]
    assert recovered >= 500
    kafka_proxy.go_on()
    one.drained()
    seen = arrived()
    assert len(seen) == recovered
    first = publisher.sent[:recovered]
    assert missing(first, seen) == []
    assert_delivered(publisher.sent, seen, gaps=one.spans(), slack=SLACK, once=True)


def test_killed_before_the_first_checkpoint_and_again_while_it_ships(proxied_bridge, kafka_proxy, publisher, routes,
                                                                     arrived):
    """What Kafka has is sent again only as far as it was not known to be there; always under the same UUID."""
    one = proxied_bridge(routes).start()
    with Load(publisher, CHANNELS, 800):
        for _ in range(3):
            delivered = one.totals()["delivered"]
            wait_for("some to arrive", lambda: one.totals()["delivered"] > delivered + 100)
            kafka_proxy.stall()         # some are on their way, without an answer
            waiting = one.totals()["pending"]
            wait_for("some to wait", lambda: one.totals()["pending"] > waiting + 50)
            one.kill()
            kafka_proxy.cut()
            kafka_proxy.go_on()
            one.start()
    one.drained()
    assert_delivered(publisher.sent, arrived(), gaps=one.spans(), slack=SLACK)


def test_a_ring_that_does_not_outlive_it(bridge, publisher, routes, arrived):
    """Without a tmpfs the ring's part may be lost: then it lies in the gap."""
    one = bridge(routes, journal={"ring_directory": "none"})
    assert one.stats()["journal"]["ring_outlives"] is False
    with Load(publisher, CHANNELS, 500) as load:
        for _ in range(2):
            more = load.published() + 200
            wait_for("more messages", lambda: load.published() > more)
            one.kill()
            one.start()
        more = load.published() + 100
        wait_for("more messages", lambda: load.published() > more)
    one.drained()
    assert_delivered(publisher.sent, arrived(), gaps=one.spans(), slack=SLACK)


def test_waiting_records_go_where_they_were_meant_to_go(proxied_bridge, kafka_proxy, publisher, make_topic, read):
    """The config may change between a kill and the next start: a waiting record keeps its topic,
    a route gone keeps its books."""
    old, new = make_topic("old"), make_topic("new")
    kafka_proxy.refuse()
    one = proxied_bridge({"first": route(old, channels=["a"], envelope="raw"),
                          "gone": route(old, channels=["b"], envelope="raw")}).start()
    publisher.publish("a", "b", count=50)
    one.wait_totals(received=100, pending=100)
    one.kill()
    one.rewrite({"routes": {"first": route(new, channels=["a"], envelope="raw"), "gone": None}})
    one.start()
    assert {name: books["recovered"] for name, books in one.stats()["routes"].items()} == {"first": 50, "gone": 50}
    publisher.publish("a", count=10)
    one.wait_totals(received=10)
    kafka_proxy.go_on()
    one.drained()
    assert_delivered(publisher.sent[:100], [decode_raw(record) for record in read(old)], once=True)
    assert_delivered(publisher.sent[100:], [decode_raw(record) for record in read(new)], once=True)


def test_no_sequence_number_twice(proxied_bridge, kafka_proxy, publisher, routes, arrived):
    """The journal's numbers go on after the last one, also after an orderly end with nothing left."""
    one = proxied_bridge(routes).start()
    heads = []
    for _ in range(3):
        publisher.publish(*CHANNELS, count=10)
        one.wait_totals(received=40, pending=0)
        heads.append(one.stats()["journal"]["head"])
        assert one.terminate() == 0
        one.start()
    assert heads == sorted(set(heads))
    assert one.stats()["journal"]["head"] >= heads[-1]
    assert_delivered(publisher.sent, arrived(), gaps=one.spans(), once=True)
