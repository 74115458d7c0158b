"""The campaign's own parts: the plan is the seed's alone, the proxy breaks what it says,
what is published is known again."""

import pathlib
import select
import socket
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "whole"), str(HERE.parent / "kafka")]

import faults           # noqa: E402
import harvest          # noqa: E402
import payload          # noqa: E402
import plan             # noqa: E402
from consumer import Record     # noqa: E402
from proxy import Proxy         # noqa: E402


@pytest.fixture
def echo():
    """A server that sends back what it gets: (its proxy, the sockets it has)."""
    taken, listener = [], socket.create_server(("127.0.0.1", 0))

    def serve(one):
        try:
            while data := one.recv(65536):
                one.sendall(data)
        except OSError:
            pass

    def accept():
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            taken.append(one)
            threading.Thread(target=serve, args=(one,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    proxy = Proxy(listener.getsockname())
    yield proxy, taken
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    proxy.close()
    for one in taken:
        one.close()


def connected(proxy):
    one = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    one.settimeout(5)
    said(one, b"hello")
    return one


def said(one, data):
    one.sendall(data)
    got = b""
    while len(got) < len(data):
        more = one.recv(65536)
        assert more
        got += more
    assert got == data


def silent(one):
    return not select.select([one], [], [], 0.2)[0]


def ended(one):
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True


def test_split_changes_no_byte(echo):
    proxy, _ = echo
    proxy.split(1)
    with connected(proxy) as one:
        said(one, bytes(range(256)) * 64)


def test_half_open_theirs(echo):
    """What we send arrives, and is swallowed on its way back; a new connection works."""
    proxy, _ = echo
    with connected(proxy) as one, connected(proxy) as other:
        assert proxy.half_open("far") == 2
        one.sendall(b"x")
        assert silent(one)
        proxy.go_on()
        for half in (one, other):
            assert ended(half)
        connected(proxy).close()


@pytest.mark.parametrize("sides", [("near",), ("near", "far")])
def test_half_open_and_closed(sides, echo):
    """The target is not told that we are gone, until all passes again."""
    proxy, taken = echo
    one = connected(proxy)
    proxy.half_open(*sides)
    one.sendall(b"x")
    assert silent(one)
    one.close()
    connected(proxy).close()
    assert silent(taken[0]) and taken[0].fileno() >= 0
    proxy.go_on()
    assert select.select([taken[0]], [], [], 5)[0] or taken[0].fileno() < 0


@pytest.mark.parametrize("seed", range(40))
def test_a_plan_is_its_seed_s(seed):
    made = plan.schedule(seed, 2)
    assert made == plan.schedule(seed, 2) != plan.schedule(seed + 1, 2)
    kinds = {(one.fault, one.on) for one in made}
    assert kinds >= set(plan.MUST) and kinds & {("kill", "kafka"), ("restart", "kafka")}
    assert kinds <= set(faults.BY_NAME)
    assert all(plan.CALM <= one.at and one.at + one.lasts <= 120 - plan.CALM for one in made)
    for one in made:
        with_it = [other for other in made if other.at <= one.at < other.at + other.lasts or other == one]
        assert len(with_it) <= 2 and len({other.on for other in with_it}) == len(with_it)


def test_every_fault_can_be_done():
    assert {row[:2] for row in plan.FAULTS} == set(faults.BY_NAME)


def record(value, **headers):
    return Record("topic", 0, 7, b"key", value, tuple((name.replace("_", "-"), text) for name, text in headers.items()))


@pytest.mark.parametrize("number", range(1, 60))
def test_what_was_published_is_known_again(number):
    data = payload.make(5, 2, number, "strict")[1]
    assert payload.identity(data) == (2, number, "strict")
    line = harvest._line(record(data, rkb_id=b"uuid"), 5, True, False)
    assert (line["p"], line["n"], line["c"], line["id"], line["offset"]) == (2, number, "strict", "uuid", 7)
    for other in (data[:-1], data.replace(b'"x":"', b'"x":"0'), payload.make(6, 2, number, "strict")[1]):
        assert "bad" in harvest._line(record(other, rkb_id=b"uuid"), 5, True, False)


def test_what_is_no_event_is_bad():
    assert "bad" in harvest._line(record(b'{"name": "strict", "data": {"id": "uuid"'), 5, False, False)
    data = payload.make(5, 2, 1, "strict")[1]
    value = b'{"name":"%s","data":{"id":"uuid","payload":%s}}'
    assert harvest._line(record(value % (b"strict", data)), 5, False, False)["n"] == 1
    assert "bad" in harvest._line(record(value % (b"other", data)), 5, False, False)
