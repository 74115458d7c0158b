"""Ways to a Redis: passwords, ACL users, unix sockets, IPv6."""

import pytest

from bridge import route
from delivery import assert_delivered, decode_event
from redis_server import has_ipv6
from waiting import wait_for

SECRET = "s3cret-and-long"
# What rkbridge needs, and no more: the literal pattern too, since PSUBSCRIBE is checked that way.
ACL = [f"bridge on >{SECRET} resetchannels &user_created &user.* resetkeys -@all "
       "+subscribe +psubscribe +unsubscribe +punsubscribe +ping +auth +client|setname"]


@pytest.fixture
def arrive(make_publisher, read):
    """Publishes to a bridge that is ready, and checks that all arrives and that the secret was never said."""
    def check(one, server, topic, channels=("user_created", "user.seen")):
        publisher = make_publisher(server)
        assert publisher.publish(*channels, count=20) == 20 * len(channels)
        one.wait_totals(received=20 * len(channels), pending=0)
        assert_delivered(publisher.sent, [decode_event()(record) for record in read(topic)], once=True)
        with one.control() as control:
            said = control.ask_text("status") + control.ask_text("stats json") + control.ask_text("routes")
        assert SECRET not in said + one.stderr()
    return check


@pytest.fixture
def with_source(make_bridge, kafka, topic):
    """A bridge with this source, not started."""
    def make(source, environment=None):
        return make_bridge({"redis": {"legacy": source},
                            "routes": {"all": route(topic, channels=["user_created"], patterns=["user.*"])}},
                           kafka=kafka.bootstrap, environment=environment)
    return make


def test_password_in_the_config(make_redis, with_source, arrive, topic):
    server = make_redis(password=SECRET)
    arrive(with_source({"url": server.url(), "password": SECRET}).start(), server, topic)


def test_password_from_the_environment(make_redis, with_source, arrive, topic):
    server = make_redis(password=SECRET)
    arrive(with_source({"url": server.url(), "password": "${RKB_TEST_SECRET}"}, {"RKB_TEST_SECRET": SECRET}).start(),
           server, topic)


def test_acl_user_with_a_password_file(make_redis, with_source, arrive, topic, tmp_path):
    server = make_redis(users=ACL)
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    arrive(with_source({"url": server.url("bridge"), "password_file": str(secret)}).start(), server, topic)
    assert {client["user"] for client in server.bridge_clients()} == {"bridge"}


def test_acl_user_as_a_setting(make_redis, with_source, arrive, topic):
    server = make_redis(users=ACL)
    arrive(with_source({"url": server.url(), "user": "bridge", "password": SECRET}).start(), server, topic)
    assert {client["user"] for client in server.bridge_clients()} == {"bridge"}


def test_wrong_password_corrected_in_the_file(make_redis, with_source, arrive, topic, tmp_path):
    """The file is read again at each reconnect: no restart is needed."""
    server = make_redis(users=ACL)
    secret = tmp_path / "secret"
    secret.write_text("not-that-one")
    one = with_source({"url": server.url("bridge"), "password_file": str(secret)}).start(wait="answers")
    wait_for("the refusal to be said", lambda: "WRONGPASS" in one.source()["error"])
    assert not one.source()["connected"] and not one.stats()["ready"]
    assert "not-that-one" not in one.stderr()
    secret.write_text(SECRET)
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])
    arrive(one, server, topic)


def test_what_redis_refuses_is_said_with_what_to_do(make_redis, with_source):
    """In Redis's own words, and mended in Redis, without a restart."""
    server = make_redis(password=SECRET)
    with server.client() as client:
        client.ping()
        client.config_set("maxclients", 1)
        one = with_source({"url": server.url(), "reconnect_max": "100ms", "watch": "none"}).start(wait="answers")
        wait_for("too many clients to be said", lambda: "raise maxclients" in one.source()["error"])
        client.config_set("maxclients", 100)
        wait_for("the missing password to be said", lambda: "give this source a password" in one.source()["error"])
        client.config_set("requirepass", "")
        wait_for("the bridge to be ready", lambda: one.stats()["ready"])


def test_unix_socket(make_redis, with_source, arrive, topic):
    server = make_redis(users=ACL)
    arrive(with_source({"url": server.unix_url("bridge"), "password": SECRET}).start(), server, topic)


@pytest.mark.skipif(not has_ipv6(), reason="NOT RUN: no IPv6 on this machine")
def test_ipv6(make_redis, with_source, arrive, topic):
    server = make_redis()
    arrive(with_source({"url": server.url(host="[::1]")}).start(), server, topic)
    assert all(client["addr"].startswith("[::1]") for client in server.bridge_clients())


def test_a_host_by_its_name(make_redis, with_source, arrive, topic):
    server = make_redis()
    arrive(with_source({"url": server.url(host="localhost")}).start(), server, topic)


def test_the_name_in_client_list(make_redis, with_source):
    server = make_redis()
    with_source({"url": server.url()}).start()
    assert {":".join(client["name"].split(":")[:2]) for client in server.bridge_clients()} == {"rkbridge:test"}
