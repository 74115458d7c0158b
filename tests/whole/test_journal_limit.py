"""The journal at its limit: the newest are dropped, counted, in a gap; it goes on by itself when there is room."""

import pytest

from bridge import route
from delivery import assert_bounds, assert_delivered, decode_raw, missing
from waiting import wait_for

CHANNELS = ["a", "b", "c"]
SMALL = {"max_size": "1MiB", "ring_size": "256KiB"}


def fill(one, publisher):
    """Publishes until it drops, and some more; returns the stats after that."""
    def dropping():
        publisher.publish(*CHANNELS, count=20)
        return one.totals()["dropped"] > 0
    wait_for("the journal to be full", dropping)
    publisher.publish(*CHANNELS, count=50)
    one.wait_totals(received=len(publisher.sent))
    return wait_for("the journal's figures", lambda: one.stats()["journal"]["full"] and one.stats())


def emptied(one):
    """Waits till nothing is pending, the gap has ended and the segments are gone."""
    one.drained()
    wait_for("the gap's end", lambda: all(gap.end for gap in one.gaps()))
    wait_for("the segments to go", lambda: not one.stats()["journal"]["full"]
             and one.stats()["journal"]["segments"] <= 2)


@pytest.mark.parametrize("sync", ["1s", "3s", "always", "none"])
def test_full_and_on(sync, proxied_bridge, kafka_proxy, redis, make_publisher, topic, read):
    publisher = make_publisher(redis, pad=900)
    kafka_proxy.refuse()
    one = proxied_bridge({"all": route(topic, channels=CHANNELS, envelope="raw")},
                         journal={**SMALL, "sync": sync}).start()
    stats = fill(one, publisher)
    totals = stats["totals"]
    assert totals["dropped"] == stats["dropped_by_reason"]["journal_full"] >= 150
    assert totals["received"] == totals["dropped"] + totals["pending"] and totals["delivered"] == 0
    assert stats["journal"]["bytes"] <= 1024 * 1024
    assert not stats["ready"], "what takes nothing any more is not ready"
    assert stats["sources"]["legacy"]["connected"]
    with one.control() as control:
        assert control.ask_text("status").startswith("verdict: BAD the journal is full")
    gap, = one.gaps()
    assert gap.reason == "journal_full" and gap.end is None

    kafka_proxy.go_on()
    emptied(one)
    before = len(publisher.sent)
    publisher.publish(*CHANNELS, count=40)
    stats = one.wait_totals(received=before + 120, pending=0)
    totals = stats["totals"]
    assert totals["received"] == len(publisher.sent) == totals["delivered"] + totals["dropped"]
    seen = [decode_raw(record) for record in read(topic)]
    lost = missing(publisher.sent, seen)
    assert len(lost) == totals["dropped"] and missing(publisher.sent[before:], seen) == []
    assert_delivered(publisher.sent, seen, gaps=one.spans(), slack=0.5)
    gap, = one.gaps()
    assert gap.reason == "journal_full" and gap.bound == len(lost)


def test_killed_while_full(proxied_bridge, kafka_proxy, redis, make_publisher, topic, read):
    publisher = make_publisher(redis, pad=900)
    kafka_proxy.refuse()
    one = proxied_bridge({"all": route(topic, channels=CHANNELS, envelope="raw")}, journal=SMALL).start()
    fill(one, publisher)
    kept = one.totals()["pending"]
    one.kill()
    one.start()
    assert one.totals()["recovered"] == kept
    kafka_proxy.go_on()
    emptied(one)
    publisher.publish(*CHANNELS, count=40)
    stats = one.wait_totals(received=120, pending=0)
    assert stats["totals"]["delivered"] == kept + 120
    seen = [decode_raw(record) for record in read(topic)]
    assert_delivered(publisher.sent, seen, gaps=one.spans(), slack=0.5)
    assert all(gap.end is not None for gap in one.gaps())
    assert_bounds(publisher.sent, seen, one.gaps())
