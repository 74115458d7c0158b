"""How many messages a gap may hold: by Redis's own count of PUBLISH, and proven by the publisher's.
Without Kafka's help."""

import json

import pytest

from bridge import route
from consumer import read_topic
from waiting import wait_for

CHANNELS = ["a", "b"]


@pytest.fixture
def proxy(redis, make_proxy):
    return make_proxy(("127.0.0.1", redis.port))


@pytest.fixture
def one(make_bridge, proxy):
    """A bridge behind the proxy; everything else goes to Redis directly."""
    settings = {"redis": {"legacy": {"url": f"redis://{proxy.address}", "watch": "500ms", "gap_topic": "t"}},
                "routes": {"all": route("t", channels=CHANNELS, envelope="raw", key="legacy")}}
    return make_bridge(settings).start("--embedded-kafka")


def wait_gaps(one, count):
    """All its gaps, which are over and have got their bounds, or never will."""
    wait_for("the gaps to be settled", lambda: len(one.gaps()) == count and all(gap.end for gap in one.gaps())
             and one.stderr().count("event=gap_bound") >= count)
    return one.gaps()


def away(one, proxy, publish):
    """Publishes while the bridge is cut off; returns when it is back and its gap has got its bound."""
    count = len(one.gaps())
    proxy.refuse()
    wait_for("the loss to be seen", lambda: not one.source()["connected"])
    publish()
    proxy.go_on()
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])
    return wait_gaps(one, count + 1)[-1]


def test_bounds_over_ends_of_the_bridge(one, publisher, redis):
    """Killed, and stopped as planned: one gap each, with just what was published meanwhile."""
    client = redis.client()
    publisher.publish(*CHANNELS, count=20)
    one.wait_totals(received=40, pending=0)
    one.kill()
    publisher.publish("a", count=7)
    client.publish("of no concern", "counted all the same")
    one.start("--embedded-kafka")
    killed, = wait_gaps(one, 1)
    assert killed.reason == "restart" and killed.bound == 8
    publisher.publish(*CHANNELS, count=5)
    one.wait_totals(received=10, pending=0)
    assert one.terminate() == 0
    publisher.publish("b", count=4)
    one.start("--embedded-kafka")
    stopped = wait_gaps(one, 2)[-1]
    assert stopped.reason == "restart" and stopped.bound == 4
    # It begins a round trip before the end: on a busy machine that is before the other gap was over.
    assert killed.begin < stopped.begin <= stopped.end and killed.end < stopped.end
    client.close()


def test_bounds_among_canaries(make_bridge, proxy, publisher):
    """Canaries are published, counted and received like any message, so what is missing is told as before: but for one
    or two of them that were on their way."""
    one = make_bridge({"redis": {"legacy": {"url": f"redis://{proxy.address}", "watch": "1s"}},
                       "routes": {"all": route("t", channels=CHANNELS, envelope="raw", key="legacy")},
                       "canary": {"topic": "canaries", "interval": "100ms"}}).start("--embedded-kafka")
    for count in (6, 300):
        before = one.source()["canary_acknowledged_total"]
        wait_for("canaries", lambda: one.source()["canary_acknowledged_total"] >= before + 3)
        lost = away(one, proxy, lambda: publisher.publish("a", count=count))
        assert lost.reason == "connection_lost" and count <= lost.bound < count + 4, lost
    one.drained()


def test_bounds_of_lost_connections(one, proxy, publisher, redis, make_redis):
    other = make_redis()
    client = redis.client()
    publisher.publish(*CHANNELS, count=20)
    one.wait_totals(received=40, pending=0)
    lost = away(one, proxy, lambda: publisher.publish("a", count=6))
    assert (lost.reason, lost.bound) == ("connection_lost", 6)

    def reset():
        """Overtaken by what is published behind it: the counts alone would tell of 154 messages."""
        publisher.publish("a", count=100)
        client.config_resetstat()
        publisher.publish("a", count=200)
    lost = away(one, proxy, reset)
    assert (lost.reason, lost.bound) == ("connection_lost", None)

    def restart():
        redis.stop()
        redis.start()
        publisher.publish("a", count=300)
    lost = away(one, proxy, restart)
    assert (lost.reason, lost.bound) == ("redis_restart", None)

    def in_each_way():
        """SPUBLISH is counted apart, and comes to nobody who subscribed as we do."""
        publisher.publish("b", count=3)
        client.pipeline(transaction=True).publish("a", "in MULTI").publish("b", "in MULTI").execute()
        client.eval("redis.call('publish', 'a', 'in a script') redis.pcall('publish', 'b', 'in a script')", 0)
        client.function_load("#!lua name=l\n"
                             "redis.register_function('f', function() redis.call('publish', 'a', '') end)")
        client.fcall("f", 0)
        client.execute_command("SPUBLISH", "a", "of a shard")
    lost = away(one, proxy, in_each_way)
    assert (lost.reason, lost.bound) == ("connection_lost", 8), "counted again since then, in whichever way"
    client.close()
    publisher.publish("a", count=2)
    one.wait_totals(received=42)

    def move():
        proxy.target = ("127.0.0.1", other.port)
    lost = away(one, proxy, move)
    assert lost.bound is None and lost.reason in ("redis_restart", "another_node"), "as long as the other has run"
    one.drained()
    assert_told(one, read_topic(one.stats()["kafka"]["bootstrap_servers"], "t"))


def test_what_is_left_to_tell(make_bridge, redis):
    """Kafka is away: what tells of a gap waits in the journal, which shows it; the end says so,
    the next start sends it."""
    settings = {"redis": {"legacy": {"url": redis.url(), "gap_topic": "gaps"}}, "shutdown_timeout": "200ms",
                "routes": {"all": route("t", channels=CHANNELS)}}
    one = make_bridge(settings, kafka="127.0.0.1:1").start(wait="answers")
    wait_for("Redis", lambda: one.source()["subscribed"] == 2)
    assert one.terminate() == 3
    assert "1 records are left" in one.stderr().splitlines()[-1]
    code, out, _ = one.rkbctl("journal", "dump", one.journal)
    told, = [record for record in map(json.loads, out.splitlines()) if record["kind"] == "message"]
    assert (code, told["route"], told["topic"], told["key"]) == (0, "(gaps)", "gaps", "legacy")
    one.rewrite({"kafka": None})
    one.start("--embedded-kafka")
    wait_for("all to be told", lambda: one.stats()["gaps"]["notices_pending"] == 0 and one.gaps()[0].end)
    records = read_topic(one.stats()["kafka"]["bootstrap_servers"], "gaps")
    assert [record.header("rkb-gap") for record in records] == [b"opened", b"closed"]
    assert {json.loads(record.value)["id"] for record in records} == {one.gaps()[0].id}


def assert_told(one, records):
    """
    The topic has each gap as it opened and as it closed, in its place among the records: 40, four gaps, 2, one more.
    """
    told = [record.header("rkb-gap") for record in records]
    assert told == [None] * 40 + [b"opened", b"closed"] * 4 + [None] * 2 + [b"opened", b"closed"]
    with one.control() as control:
        ledger = control.ask_json("gaps json")["gaps"]
    assert [json.loads(record.value) for record, state in zip(records, told) if state == b"closed"] == ledger
    opened = [json.loads(record.value) for record, state in zip(records, told) if state == b"opened"]
    assert [(gap["id"], gap["to"], gap["bound"]) for gap in opened] == [(gap["id"], None, None) for gap in ledger]
    assert {record.key for record in records} == {b"legacy"}
    assert one.totals()["delivered"] == 42, "gaps are in no books"
    before, after = ledger[0]["position_before"], ledger[0]["position_after"]
    assert before.split(":")[0] != after.split(":")[0]
    assert after.split(":")[0] != ledger[1]["position_after"].split(":")[0]
