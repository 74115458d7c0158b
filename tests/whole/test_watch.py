"""The second connection: another bridge on the same Redis, Redis's output buffer for us, a disk shared with Redis."""

import re
import signal

import pytest

from bridge import route
from waiting import wait_for

ROUTES = {"all": route("all", channels=["a", "b"], envelope="raw")}
PERIOD = "300ms"


@pytest.fixture
def make(make_bridge, redis):
    """Makes a bridge on `redis` with a Kafka of its own; more: settings of its source."""
    def make(instance="test", redis=redis, **source):
        settings = {"instance": instance, "routes": ROUTES, "redis": {"legacy": {"watch": PERIOD, **source}}}
        return make_bridge(settings, redis=redis)
    return make


def start(one, wait="ready", timeout=30):
    return one.start("--embedded-kafka", wait=wait, timeout=timeout)


def status(one):
    with one.control() as control:
        return control.ask_text("status")


def subscribed(redis):
    with redis.client() as client:
        return [one for one in client.client_list() if one["name"].startswith("rkbridge:") and int(one["sub"]) > 0]


def received(one, publisher, count=20):
    before = one.totals()["received"]
    publisher.publish("a", "b", count=count // 2)
    one.wait_totals(received=before + count, pending=0)


def test_the_second_of_two_waits_and_takes_over(make, redis, publisher):
    first, second = start(make("first")), start(make("second"), wait="answers")
    wait_for("the second to see the first", lambda: second.source()["held"])
    assert second.source()["another_bridge"] and not second.stats()["ready"] and len(subscribed(redis)) == 1
    received(first, publisher)
    assert second.totals()["received"] == 0
    said = status(second)
    mine, = subscribed(redis)
    third = make("third")
    third.rewrite({"start": "strict"})
    start(third, wait=None)
    assert third.ended() == 69 and "start is strict" in third.stderr()
    assert re.match("verdict: (WARN|BAD) source legacy is not subscribed: another bridge, instance first", said)
    assert f"clients {mine['id']} and " in said and mine["addr"] in said and "redis.legacy.allow_parallel: yes" in said
    assert "event=another_bridge" in second.stderr() and first.source()["another_bridge"] is False
    assert first.terminate() == 0
    wait_for("the second to take over", lambda: second.stats()["ready"])
    gap, = second.gaps()
    assert gap.reason == "another_bridge" and gap.end is not None and "event=takes_over" in second.stderr()
    received(second, publisher)


def test_two_that_find_each_other_subscribed(make, redis, publisher):
    """Both were started while Redis was away, so neither could look first: the younger one yields."""
    redis.stop()
    both = [start(make(name), wait="answers") for name in ("same", "same")]
    redis.start()
    wait_for("one of them to yield", lambda: sorted(one.source()["held"] for one in both) == [False, True]
             and sorted(one.stats()["ready"] for one in both) == [False, True])
    assert len(subscribed(redis)) == 1
    winner, loser = sorted(both, key=lambda one: one.source()["held"])
    received(winner, publisher)
    assert winner.terminate() == 0
    wait_for("the other to go on", lambda: loser.stats()["ready"])
    received(loser, publisher)


def test_a_ghost_of_ourselves_holds_nobody_up(make, redis, make_proxy, publisher):
    """kill -9 while a proxy keeps the connections to Redis: Redis thinks they live."""
    proxy = make_proxy(("127.0.0.1", redis.port))
    one = start(make(url=f"redis://{proxy.address}"))
    received(one, publisher)
    proxy.stall()
    one.kill()
    assert len(subscribed(redis)) == 1
    one.rewrite({"redis": {"legacy": {"url": redis.url()}}})
    start(one, timeout=10)      # and not the 16 s of one that has no second connection
    assert len(subscribed(redis)) == 2, "the ghost was there all the time"
    received(one, publisher)
    assert one.source()["another_bridge"] is False


def test_allowed_in_parallel_and_two_sources_on_one_redis(make, redis, publisher):
    one, other = [start(make(name, allow_parallel="yes")) for name in ("one", "other")]
    publisher.publish("a", count=10)
    for each in (one, other):
        each.wait_totals(received=10, pending=0)
        assert each.source()["another_bridge"] is None
        assert each.terminate() == 0
    both = make("both")
    both.rewrite({"redis": {"again": {"url": redis.url(), "watch": PERIOD}},
                  "routes": {"more": {"source": "again", "topic": "more", "channels": ["c"]}}})
    start(both)
    wait_for("both to have looked", lambda: all(both.source(name)["another_bridge"] is False
                                                for name in ("legacy", "again")))


def test_without_the_rights(make_redis, make, make_publisher):
    rights = "on >pw ~* resetchannels &a &b +subscribe +psubscribe +unsubscribe +punsubscribe +ping +client|setname"
    server = make_redis(users=["bridge " + rights])
    one = start(make(redis=server, url=server.url("bridge"), password="pw"))
    wait_for("the refusals", lambda: one.stderr().count("event=watch_refused") >= 3)
    source = one.source()
    assert source["another_bridge"] is source["output_buffer_bytes"] is source["output_buffer_limit_bytes"] is None
    assert "event=unwatched" in one.stderr() and "unknown" in status(one)
    received(one, make_publisher(server))


def test_much_that_waits_when_redis_dies_is_no_cut(make, redis, publisher):
    publisher.pad = "x" * 10000
    one = start(make())
    wait_for("the figures", lambda: one.source()["output_buffer_bytes"] == 0)
    one.process.send_signal(signal.SIGSTOP)
    publisher.publish("a", count=1200)          # more than the sockets take, less than makes Redis cut it off
    redis.kill()
    one.process.send_signal(signal.SIGCONT)
    redis.start()
    wait_for("the new connection", lambda: one.source()["connections_total"] == 2 and one.stats()["ready"])
    assert [gap.reason for gap in one.gaps()] == ["redis_restart"]


def test_a_cut_by_the_output_buffer(make, redis, publisher):
    with redis.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 256kb 0 0")
    publisher.pad = "x" * 10000
    one = start(make())
    received(one, publisher)
    wait_for("the figures", lambda: one.source()["output_buffer_bytes"] == 0)
    assert one.source()["output_buffer_limit_bytes"] == 262144
    assert "event=shared_disk" in one.stderr()
    one.process.send_signal(signal.SIGSTOP)
    try:
        wait_for("the cut", lambda: publisher.publish("a", count=200) < 200)
    finally:
        one.process.send_signal(signal.SIGCONT)
    wait_for("the new connection", lambda: one.source()["connections_total"] == 2 and one.stats()["ready"])
    wait_for("the end of the gap", lambda: one.gaps()[-1].end)
    gap, = one.gaps()
    assert gap.reason == "output_buffer" and "event=output_buffer_cut" in one.stderr()
    lost = len(publisher.sent) - one.totals()["received"]
    assert 0 < lost <= gap.bound <= lost + 20, "what Redis threw away, and little more"
    received(one, publisher)
