"""What Redis's ACL refuses: the others run, the missing rule is named so that redis-cli takes it,
and what is allowed comes in."""

import re
import subprocess
import urllib.error
import urllib.request

import pytest

from bridge import route
from broker import free_port
from waiting import wait_for

SECRET = "s3cret-and-long"
COMMANDS = "+subscribe +psubscribe +unsubscribe +punsubscribe +ping +auth +client|setname"


@pytest.fixture
def with_acl(make_bridge, make_redis, kafka, topic):
    """A bridge whose user has these rights, and its Redis."""
    def make(rights, channels=(), patterns=(), wait="answers", **more):
        server = make_redis(users=[f"bridge on >{SECRET} resetchannels resetkeys -@all {rights}"])
        source = {"url": server.url("bridge"), "password": SECRET, "retry_refused": "200ms", "watch": "none"}
        routes = {f"c{i}": route(topic, channels=[name]) for i, name in enumerate(channels)}
        routes |= {f"p{i}": route(topic, patterns=[name]) for i, name in enumerate(patterns)}
        settings = {"redis": {"legacy": source}, "routes": routes, **more}
        return make_bridge(settings, kafka=kafka.bootstrap).start(wait=wait), server
    return make


def rules_in(one):
    """What the log says that is missing, each once."""
    lines = [line for line in one.stderr().splitlines() if "event=subscription_refused" in line]
    return sorted({re.search(r"missing: (.*?) event=", line).group(1) for line in lines})


def paste(server, rules):
    for rule in rules:
        done = subprocess.run(["redis-cli", "-p", str(server.port)], input=rule + "\n", capture_output=True, timeout=20,
                              text=True)
        assert done.stdout.strip() == "OK", (rule, done.stdout)


def test_one_refused_route_leaves_the_others_running(with_acl, make_publisher):
    one, server = with_acl(f"&orders {COMMANDS}", channels=["orders", "users"], patterns=["user.*"])
    wait_for("the refusals", lambda: one.source()["refused"] == 2)
    publisher = make_publisher(server)
    assert publisher.publish("orders", count=5) == 5
    one.wait_totals(received=5, pending=0)
    assert not one.stats()["ready"]
    code, said, _ = one.rkbctl("status")
    verdict = said.splitlines()[0]
    assert code == 2 and verdict.startswith("verdict: BAD ")
    assert verdict.endswith("; next: doc/runbook.md#subscription_refused")
    assert "route c1 of source legacy gets nothing from channel users" in verdict
    assert "ACL SETUSER bridge &user.*" in said
    assert rules_in(one) == ["ACL SETUSER bridge &user.*", "ACL SETUSER bridge &users"]
    gap, = one.gaps()
    assert gap.reason == "refused" and gap.end is None
    paste(server, rules_in(one))
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])
    gap, = one.gaps()
    assert gap.end is not None
    assert publisher.publish("users", "user.seen", "orders", count=5) == 15
    one.wait_totals(received=20, pending=0)
    assert one.source()["connections_total"] == 1


def test_a_missing_command_and_odd_names(with_acl, make_publisher):
    """Redis 7 wants the right to the command first; then each rule, with its quotes, is taken as it stands."""
    one, server = with_acl("+subscribe +unsubscribe +punsubscribe +ping +auth", channels=['say "hi"', "a[b]*\\c"],
                           patterns=["p\xe4[x]'*"])
    wait_for("the refusals", lambda: one.source()["refused"] == 3)
    assert "ACL SETUSER bridge +psubscribe" in rules_in(one)
    paste(server, rules_in(one))
    wait_for("the pattern's own refusal", lambda: any("&p" in rule for rule in rules_in(one)))
    paste(server, rules_in(one))
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])
    assert make_publisher(server).publish('say "hi"', "a[b]*\\c", "p\xe4x'!".encode()) == 3
    one.wait_totals(received=3, pending=0)


def test_rights_cut_down_while_connected(with_acl, make_publisher):
    """Redis cuts the connection then. What may have been missed lies in gaps, without a hole between them."""
    one, server = with_acl(f"&orders &users {COMMANDS}", channels=["orders", "users"], wait="ready")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "bridge", "resetchannels", "&orders")
    wait_for("the refusal", lambda: one.source()["refused"] == 1)
    lost, refused = wait_for("both gaps", lambda: (gaps := one.gaps()) and len(gaps) == 2 and gaps)
    assert (lost.reason, refused.reason) == ("connection_lost", "refused")
    wait_for("the others", lambda: one.gaps()[0].end is not None)
    lost, refused = one.gaps()
    assert refused.begin <= lost.end and refused.end is None
    assert make_publisher(server).publish("orders", count=3) == 3
    one.wait_totals(received=3, pending=0)


def test_strict_ends_at_the_start(with_acl):
    one, _ = with_acl(f"&orders {COMMANDS}", channels=["orders", "users"], wait=None, start="strict")
    assert one.ended() == 69
    assert "start is strict" in one.stderr() and rules_in(one) == ["ACL SETUSER bridge &users"]


def test_readyz_while_one_is_refused(with_acl):
    port = free_port()
    one, server = with_acl(f"&orders {COMMANDS}", channels=["orders", "users"], http={"listen": f"127.0.0.1:{port}"})
    wait_for("the refusal", lambda: one.source()["refused"] == 1)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=20)
    assert refused.value.code == 503
    paste(server, rules_in(one))
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=20).status == 200
