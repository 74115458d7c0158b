"""The checkers themselves: a checker that cannot fail is worth nothing."""

import contextlib
import dataclasses
import json
import socket
import threading
import time

import pytest

import books
import delivery
from books import Sampler
from bridge import Gap, merged, parse_time
from consumer import Record
from delivery import Seen
from proxy import Proxy
from publisher import Sent
from waiting import wait_for


def sent(n, channel=b"c", receivers=1, before=None):
    before = float(n) if before is None else before
    return Sent(channel, n, json.dumps({"n": n}).encode(), before, before + 0.5, receivers)


def uuid(n):
    return f"01890000-0000-7000-8000-{n:012x}"


def seen(n, channel=b"c", number=None, value=b"v", document=None):
    record = Record("t", 0, 0, channel, value, ())
    return Seen(uuid(n if number is None else number), channel, n, document or {"n": n}, record)


ALL = [sent(n) for n in range(5)]
GOOD = [seen(n) for n in range(5)]


def only(problems, word):
    assert problems and all(word in problem for problem in problems), problems


def test_a_good_delivery_has_no_problems():
    assert delivery.check(ALL, GOOD, once=True) == []


def test_a_lost_message_is_found():
    only(delivery.check(ALL, GOOD[:2] + GOOD[3:]), "missing: b'c' 2")
    only(delivery.check(ALL, GOOD[:4]), "missing: b'c' 4")


def test_a_message_nobody_got_need_not_arrive_but_may():
    maybe = ALL[:2] + [sent(2, receivers=0), sent(3, receivers=None)] + ALL[4:]
    assert delivery.check(maybe, GOOD[:2] + GOOD[4:]) == []
    assert delivery.check(maybe, GOOD) == []


def test_a_lost_message_inside_a_gap_is_excused_one_outside_is_not():
    lost = GOOD[:2] + GOOD[3:]                  # 2 was published from 2.0 to 2.5
    for begin, end in [(1, 3), (2.2, 2.3), (2.5, 9), (0, 2)]:
        assert delivery.check(ALL, lost, gaps=[(begin, end)]) == []
    for begin, end in [(2.6, 9), (0, 1.9)]:
        only(delivery.check(ALL, lost, gaps=[(begin, end)]), "missing")
    assert delivery.check(ALL, lost, gaps=[(2.6, 9)], slack=0.2) == []


def test_a_repeat_under_its_own_uuid_is_allowed_unless_once():
    again = GOOD[:3] + GOOD[1:]
    assert delivery.check(ALL, again) == []
    only(delivery.check(ALL, again, once=True), "came 2 times")


def test_a_repeat_under_another_uuid_is_found():
    only(delivery.check(ALL, GOOD + [seen(4, number=99)]), "under two UUIDs")


def test_one_uuid_for_two_messages_is_found():
    only(delivery.check(ALL, GOOD[:4] + [seen(4, number=3)]), "one UUID for two messages")


def test_a_repeat_with_other_bytes_is_found():
    for changed in (seen(4, value=b"w"), dataclasses.replace(seen(4), record=Record("t", 0, 9, b"k", b"v", ())),
                    dataclasses.replace(seen(4), record=Record("t", 0, 9, b"c", b"v", (("h", b""),)))):
        only(delivery.check(ALL, GOOD + [changed]), "other bytes")


def test_disorder_is_found_in_a_channel_and_not_between_channels():
    only(delivery.check(ALL, [GOOD[0], GOOD[2], GOOD[1], *GOOD[3:]]), "out of order: b'c' 1 after 2")
    two = [sent(0, b"a"), sent(0, b"b"), sent(1, b"a"), sent(1, b"b")]
    arrived = [seen(0, b"b", 10), seen(1, b"b", 11), seen(0, b"a", 12), seen(1, b"a", 13)]
    assert delivery.check(two, arrived) == []


def test_a_message_nobody_published_and_a_changed_one_are_found():
    only(delivery.check(ALL, GOOD + [seen(7)]), "never published")
    only(delivery.check(ALL, GOOD[:4] + [seen(4, document={"n": 4, "x": 1})]), "payload changed")


def test_a_uuid_of_another_version_is_found():
    other = dataclasses.replace(GOOD[4], uuid="01890000-0000-4000-8000-000000000004")
    only(delivery.check(ALL, GOOD[:4] + [other]), "not a UUID of version 7")


def stats(**changes):
    route = dict.fromkeys(books.NAMES, 0) | {"received": 3, "recovered": 2, "delivered": 4, "pending": 1} | changes
    return {"totals": dict(route), "routes": {"r": route}, "dropped_by_reason": {"journal_full": route["dropped"]}}


def test_books_that_balance():
    assert books.problems(stats()) == []
    books.assert_balanced(stats())


@pytest.mark.parametrize("name", books.NAMES)
def test_each_figure_counts(name):
    assert books.problems(stats(**{name: stats()["totals"][name] + 1})) != []


def test_totals_and_reasons_must_be_the_sums():
    wrong = stats()
    wrong["routes"]["other"] = dict.fromkeys(books.NAMES, 0) | {"received": 1, "delivered": 1}
    only(books.problems(wrong), "the routes say")
    wrong = stats()
    wrong["dropped_by_reason"]["journal_full"] = 1
    only(books.problems(wrong), "the reasons say")
    wrong = stats(received=-1, delivered=0)
    only(books.problems(wrong), "below zero")
    wrong = stats()
    del wrong["routes"]["r"]["covered"]
    only(books.problems(wrong), "no covered")
    with pytest.raises(AssertionError, match="do not balance"):
        books.assert_balanced(wrong)


def test_the_sampler_remembers_one_bad_moment(tmp_path):
    """A control socket that answers well, badly once, and well again."""
    path = tmp_path / "s"
    answers = [stats(), stats(), stats(pending=7), stats(), stats()]
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve():
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as lines:
            for answer in answers:
                assert lines.readline() == b"stats json\n"
                connection.sendall(json.dumps(answer).encode() + b"\nOK\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    sampler = Sampler(path, interval=0.01).start()
    wait_for("all samples", lambda: sampler.samples == len(answers))
    sampler.stop()
    server.close()
    assert len(sampler.problems) == 2       # totals and the route
    assert sampler.last == answers[-1]


def test_a_gap_s_span():
    gap = Gap(1, "s", "restart", parse_time("2026-11-22T20:51:07.123Z"), parse_time("2026-11-22T20:51:08.000Z"), None)
    assert gap.span()[1] - gap.span()[0] == pytest.approx(0.878)
    assert dataclasses.replace(gap, end=None).span()[1] > time.time()


def test_merged_settings():
    base = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert merged(base, {"a": {"b": None, "e": 3}, "d": [2]}) == {"a": {"c": 2, "e": 3}, "d": [2]}
    assert base == {"a": {"b": 1, "c": 2}, "d": [1]}


@pytest.fixture
def echo():
    """A server that sends back what it gets; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def one(connection):
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(1000):
                connection.sendall(data)

    def serve():
        while True:
            try:
                threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def connect(proxy):
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    connection.settimeout(5)
    return connection


def test_the_proxy_passes_and_cuts(echo):
    proxy = Proxy(("127.0.0.1", echo))
    with connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        assert proxy.cut() == 2
        try:
            assert client.recv(100) == b""
        except ConnectionError:
            pass
    with connect(proxy) as client:
        client.sendall(b"again")
        assert client.recv(100) == b"again"
    assert proxy.accepted == 2
    proxy.close()


def test_the_proxy_stalls_and_goes_on(echo):
    proxy = Proxy(("127.0.0.1", echo))
    with connect(proxy) as client:
        proxy.stall()
        client.sendall(b"later")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(100)
        proxy.go_on()
        client.settimeout(5)
        assert client.recv(100) == b"later"
    proxy.close()


def test_the_proxy_refuses_and_comes_back(echo):
    proxy = Proxy(("127.0.0.1", echo))
    for _ in range(5):
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        proxy.go_on()
        with connect(proxy) as client:
            client.sendall(b"x")
            assert client.recv(100) == b"x"
    proxy.close()


def test_waiting_fails_with_what_it_waited_for():
    with pytest.raises(AssertionError, match="in vain for the moon; last answer: 0"):
        wait_for("the moon", lambda: 0, timeout=0.05)
    assert wait_for("it", iter([0, 0, 3]).__next__) == 3
