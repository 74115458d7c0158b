"""The figures over HTTP: what is asked, what is refused, and that neither disturbs the bridge."""

import http.client
import json
import socket

import pytest

from bridge import route
from broker import free_port
from waiting import wait_for


@pytest.fixture
def port():
    return free_port()


def ask(port, path, method="GET", host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def served(bridge, publisher, topic, port):
    made = bridge({"users": route(topic, channels=["c"])}, http={"listen": f"127.0.0.1:{port}"})
    publisher.publish("c", count=7)
    made.wait_totals(received=7, pending=0)
    return made


def test_stats_are_those_of_the_socket(served, port):
    code, headers, body = ask(port, "/stats")
    assert code == 200 and headers["Content-Type"] == "application/json"
    over_http, by_socket = json.loads(body), served.stats()
    for part in ("totals", "routes", "dropped_by_reason", "version", "instance"):
        assert over_http[part] == by_socket[part]
    assert over_http["totals"]["delivered"] == 7


def test_health_and_readiness(served, redis, port):
    assert ask(port, "/healthz")[0] == 200
    assert ask(port, "/readyz")[0] == 200
    redis.stop()
    wait_for("not ready without Redis", lambda: ask(port, "/readyz")[0] == 503)
    assert "source legacy has 0 of 1 subscriptions confirmed" in ask(port, "/readyz")[2]
    assert ask(port, "/healthz")[0] == 200
    redis.start()
    wait_for("ready again", lambda: ask(port, "/readyz")[0] == 200)


@pytest.mark.parametrize("method, path, code", [("GET", "/", 404), ("GET", "/stats/more", 404), ("POST", "/stats", 405),
                                                ("DELETE", "/healthz", 405), ("HEAD", "/stats", 200)])
def test_what_else_is_asked(served, port, method, path, code):
    assert ask(port, path, method)[0] == code
    assert ask(port, "/healthz")[0] == 200


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"GET /stats HTTP/1.1\r\nX: " + b"y" * 20000 + b"\r\n\r\n",
                                     b"\x16\x03\x01\r\n\r\n", b"GET"])
def test_garbage_disturbs_nobody(served, publisher, port, garbage):
    with socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(garbage)
        publisher.publish("c", count=3)
        served.wait_totals(received=10, pending=0)
        assert ask(port, "/healthz")[0] == 200


def test_a_port_that_is_taken(make_bridge, kafka, redis, topic):
    """69, and the words name the setting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        made = make_bridge({"routes": {"users": route(topic, channels=["c"])}, "http": {"listen": address}},
                           redis=redis, kafka=kafka.bootstrap)
        code, _, err = made.run("-c", str(made.config_path))
        assert code == 69 and f"http.listen {address}: cannot listen" in err
