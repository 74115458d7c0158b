"""A message that several of our subscriptions match is delivered once, by the route that the config puts first."""

import json
import threading

import redis as redis_py

from bridge import route
from delivery import assert_delivered, decode_event, decode_raw
from waiting import wait_for


def test_exact_wins_over_patterns_and_is_delivered_once(bridge, publisher, make_topic, read):
    wide, exact, narrow = make_topic("wide"), make_topic("exact"), make_topic("narrow")
    one = bridge({"wide": route(wide, patterns=["*"]), "exact": route(exact, channels=["news.sport"]),
                  "narrow": route(narrow, patterns=["news.*", "news.s*"])})
    assert publisher.publish("news.sport", "news.art", "other", count=100) == 300
    stats = one.wait_totals(received=300, pending=0)
    assert_delivered([sent for sent in publisher.sent if sent.channel == b"news.sport"],
                     [decode_event()(record) for record in read(exact)], once=True)
    assert_delivered([sent for sent in publisher.sent if sent.channel != b"news.sport"],
                     [decode_event()(record) for record in read(wide)], once=True)
    assert read(narrow) == []
    assert stats["totals"]["received"] == 300
    # news.sport: 4 copies, news.art: 2, other: 1; all but one of each lose
    assert stats["sources"]["legacy"]["overlaps_total"] == 100 * (3 + 1)


def test_among_patterns_the_order_of_the_config_decides(make_bridge, redis, kafka, publisher, make_topic, read):
    """Whatever order Redis sends the copies in: that of a hash table, which other clients' patterns change."""
    patterns = ["a.*", "a.b*", "*.b.*", "a*c", "?.b.c", "*"]
    orders = [patterns, patterns[::-1], patterns[3:] + patterns[:3]]
    with redis.client() as client:
        other = client.pubsub()
        for number, order in enumerate(orders):
            topics = [make_topic(f"order{number}") for _ in order]
            one = make_bridge({"routes": {f"r{i}": route(topic, patterns=[pattern])
                                          for i, (topic, pattern) in enumerate(zip(topics, order))}},
                              redis=redis, kafka=kafka.bootstrap).start()
            other.psubscribe(*[f"foreign:{number}:{i}:*" for i in range(100)])
            publisher.publish("a.b.c", count=50)
            stats = one.wait_totals(received=50, pending=0)
            sent = publisher.sent[-50:]
            assert_delivered(sent, [decode_event()(record) for record in read(topics[0])], once=True)
            assert [stats["routes"][f"r{i}"]["received"] for i in range(len(order))] == [50, 0, 0, 0, 0, 0]
            one.finish()
        other.close()


PATTERNS = ["", "*", "**", "?", "??", "a", "a*", "*a", "*a*", "a?c", "a*c", "*?*", "h[ae]llo", "h[^e]llo", "h[a-b]llo",
            "h[b-a]llo", "h\\*llo", "h\\?llo", "h\\llo", "[]", "[a", "[^", "[^]", "[^a]", "[a-", "[a-c", "[]]", "[]a]",
            "[\\]]", "[a\\]b]", "[a-\\]]", "[\\a-c]", "[^\\^]", "[*]", "[?]", "[-a]", "[a-]", "\\", "a\\", "\\\\",
            "\\a", "[[]", "[^-]", "*[a-c]*[x-z]", "a**b", "*\\*", "é*", "?é"]
CHANNELS = [b"", b"a", b"b", b"c", b"z", b"ab", b"abc", b"ac", b"hello", b"hallo", b"hbllo", b"h*llo", b"h?llo",
            b"hllo", b"[", b"]", b"[a", b"[]", b"^", b"-", b"*", b"?", b"\\", b"a\\", b"\\a", b"axz", b"a-x", b"aab",
            b"\xff", b"a\x00c", b"\x00", "é".encode(), "aé".encode()]


def test_globs_are_redis_s(bridge, redis, topic, read):
    """Each pattern stands before a `*` in a group of its own, so that a wrong answer of ours to any (pattern,
    channel) shows."""
    subscriptions = [f"{number}:{tail}" for number, pattern in enumerate(PATTERNS) for tail in (pattern, "*")]
    order = list(dict.fromkeys(subscriptions))      # the pattern `*` is its group's `*`
    one = bridge({"all": route(topic, patterns=order, envelope="raw")})
    expected = {}
    with redis.client() as client:
        oracle = _Oracle(client, order)
        for number in range(len(PATTERNS)):
            for tail in CHANNELS:
                channel = f"{number}:".encode() + tail
                client.publish(channel, channel)
        client.publish("the end", "")
        total = len(PATTERNS) * len(CHANNELS)
        one.wait_totals(received=total, pending=0)
        expected = oracle.winners()
    assert len(expected) == total
    winners = {record.header("rkb-channel"): record.header("rkb-pattern") for record in read(topic)}
    wrong = {channel: (winners.get(channel), pattern) for channel, pattern in expected.items()
             if winners.get(channel) != pattern}
    assert wrong == {}, f"{len(wrong)} of {total}; channel: (our winner, Redis's)"
    assert one.totals()["received"] == total


class _Oracle:
    """A client that subscribes to the same patterns: the first of them, by our order,
    that Redis sends a channel for wins."""

    def __init__(self, client, patterns):
        self.order = {pattern.encode(): place for place, pattern in enumerate(patterns)}
        self.matches = {}
        self.confirmed = 0
        self.ended = False
        self.pubsub = client.pubsub()
        self.pubsub.psubscribe("the end", *patterns)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        wait_for("the oracle's subscriptions", lambda: self.confirmed == len(patterns) + 1)

    def _listen(self):
        try:
            for message in self.pubsub.listen():
                if message["type"] == "psubscribe":
                    self.confirmed += 1
                elif message["channel"] == b"the end":
                    self.ended = True
                else:
                    self.matches.setdefault(message["channel"], []).append(message["pattern"])
        except (redis_py.ConnectionError, ValueError, OSError, AttributeError):
            return

    def winners(self):
        wait_for("all that was published at the oracle", lambda: self.ended)
        return {channel: min(patterns, key=self.order.get) for channel, patterns in self.matches.items()}


def test_two_routes_may_share_a_topic(bridge, publisher, topic, read):
    one = bridge({"exact": route(topic, channels=["x.1"], envelope="raw"),
                  "rest": route(topic, patterns=["x.*"], envelope="raw")})
    publisher.publish("x.1", "x.2", count=100)
    stats = one.wait_totals(received=200, pending=0)
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(topic)], once=True)
    assert json.dumps([stats["routes"][name]["delivered"] for name in ("exact", "rest")]) == "[100, 100]"
