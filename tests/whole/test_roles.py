"""A Redis that changes its role, a replica that loses its master, a Redis that loads, an ACL that takes rights away."""

import pytest

from bridge import route
from delivery import assert_bounds, assert_delivered, decode_raw
from publisher import Load
from waiting import wait_for

SECRET = "s3cret-and-long"
RIGHTS = ("+subscribe +psubscribe +unsubscribe +punsubscribe +ping +client|setname +client|id +client|list +config|get "
          "+info")
QUICK = {"heartbeat": "200ms", "heartbeat_timeout": "2s", "reconnect_max": "100ms", "watch": "100ms",
         "retry_refused": "200ms"}
SLACK = 0.2
# A replica is filled at once, by a master that remembers next to nothing of what it sent.
FILLED_AT_ONCE = ["repl-diskless-sync-delay 0", "repl-backlog-size 16kb"]


@pytest.fixture
def make(make_bridge, kafka, topic):
    """A bridge on this Redis, started; more: settings of its source."""
    def make(server, wait="ready", **source):
        settings = {"redis": {"legacy": {"url": server.url(), **QUICK, **source}},
                    "routes": {"all": route(topic, channels=["a", "local"], envelope="raw")}}
        return make_bridge(settings, kafka=kafka.bootstrap).start(wait=wait)
    return make


def replicate(server, host="no", port="one"):
    with server.client() as client:
        client.execute_command("REPLICAOF", host, port)


def link(server):
    with server.client() as client:
        return client.info("replication").get("master_link_status")


def within(gaps, sent):
    """Times of gaps are whole milliseconds."""
    return any(gap.begin <= sent.after and sent.before <= gap.end + 0.001 for gap in gaps)


def settled(one):
    """Its gaps, each over, and with its bound where it gets one."""
    wait_for("the gaps to be over", lambda: all(gap.end for gap in one.gaps()))
    return one.gaps()


@pytest.fixture
def read_channel(read, topic):
    return lambda channel: [seen for seen in map(decode_raw, read(topic)) if seen.channel == channel]


@pytest.fixture
def arrives(read_channel):
    """What is published now arrives, and what was missing before lies in gaps; returns what never came."""
    def check(one, publisher):
        start = len(publisher.sent)
        publisher.publish("a", count=20)
        last = publisher.sent[-1]
        seen = wait_for("the last message", lambda: (seen := read_channel(b"a"))
                        and any(each.n == last.n for each in seen) and seen, interval=0.2)
        arrived = {each.n for each in seen}
        assert all(sent.n in arrived for sent in publisher.sent[start:])
        assert_delivered(publisher.sent, seen, gaps=one.spans(), slack=SLACK)
        assert_bounds(publisher.sent, seen, settled(one))
        return [sent for sent in publisher.sent if sent.n not in arrived]
    return check


def test_a_replica_loses_its_master(make_redis, make_proxy, make_publisher, make, arrives):
    """Mended with what the master remembers nothing is lost; filled anew, what came meanwhile is. A gap says when."""
    master, replica = make_redis(settings=FILLED_AT_ONCE), make_redis(settings=FILLED_AT_ONCE)
    proxy = make_proxy(("127.0.0.1", master.port))
    replicate(replica, "127.0.0.1", proxy.port)
    wait_for("the link", lambda: link(replica) == "up")
    one = make(replica)
    publisher, at_replica = make_publisher(master), make_publisher(replica)
    publisher.publish("a", count=10)
    one.wait_totals(received=10)
    wait_for("the role", lambda: one.source()["role"] == "replica")
    assert one.source()["master"] == proxy.address and one.source()["master_link"]
    for round, pad in enumerate([0, 1000]):
        proxy.refuse()
        publisher.pad = "x" * pad
        publisher.publish("a", count=100)       # before it is seen that the link is down
        wait_for("the link to be down", lambda: one.source()["master_link"] is False)
        assert not one.stats()["ready"] and one.source()["connected"] and one.gaps()[-1].end is None
        with one.control() as control:
            said = control.ask_text("status")
        assert f"source legacy is a replica whose link to its master {proxy.address} is down" in said
        received = one.totals()["received"]
        assert at_replica.publish("local") == 1             # what is published there still comes
        one.wait_totals(received=received + 1)
        proxy.go_on()
        wait_for("the bridge to be ready", lambda: one.stats()["ready"])
        assert [gap.reason for gap in one.gaps()] == ["replica_link_down"] * (round + 1) and one.gaps()[-1].end
    lost = arrives(one, publisher)
    gap = one.gaps()[-1]
    assert len(lost) == 100 and all(within([gap], sent) for sent in lost)
    assert [gap.bound for gap in one.gaps()] == [None, None], "what its master did not send it, it has not counted"
    assert one.source()["connections_total"] == 1
    assert one.stderr().count("event=replica_link_down") == one.stderr().count("event=replica_link_up") == 2


def test_a_role_that_changes(make_redis, make_publisher, make, arrives, read_channel):
    """Demoted: others publish at the new master. Promoted: it lacks what that had not sent. Each ends the stream."""
    old, new = make_redis(settings=FILLED_AT_ONCE), make_redis(settings=FILLED_AT_ONCE)
    one = make(old)
    wait_for("the role", lambda: one.source()["role"] == "master")
    publisher, elsewhere = make_publisher(old), make_publisher(new)
    elsewhere.publish("other")
    with Load(publisher, ["a"], 200):
        one.wait_totals(received=20)
        for times, (host, port, role) in enumerate([("127.0.0.1", new.port, "replica"), ("no", "one", "master")]):
            replicate(old, host, port)
            if role == "replica":
                elsewhere.publish("local", count=50)        # before the two have a link
            wait_for("a new connection", lambda: one.source()["connections_total"] == times + 2)
            wait_for("the bridge to be ready", lambda: one.source()["role"] == role and one.stats()["ready"])
            assert "event=role_changed" in one.stderr()
    lost = arrives(one, publisher)
    reasons = [gap.reason for gap in one.gaps()]
    assert reasons.count("role_changed") == 2 and set(reasons) <= {"role_changed", "replica_link_down"}
    assert all(gap.bound is None for gap in one.gaps()), "what was published elsewhere, nobody has counted"
    arrived = {seen.n for seen in read_channel(b"local")}
    lost += [sent for sent in elsewhere.sent if sent.channel == b"local" and sent.n not in arrived]
    assert all(within(one.gaps(), sent) for sent in lost)
    assert one.stderr().count("event=role_changed") == 2


def test_a_redis_that_loads(make_redis, make_publisher, make, arrives):
    """It takes subscriptions and gives messages: ready, and only its PING is answered otherwise."""
    server = make_redis(settings=["enable-debug-command yes", "loading-process-events-interval-bytes 1024"])
    with server.client() as client:
        client.execute_command("DEBUG", "POPULATE", 10000, "key", 10)
        client.save()
    server.stop()
    server.settings.append("key-load-delay 150")        # microseconds a key
    server.start(wait=False)
    one = make(server)
    wait_for("the loading", lambda: "event=heartbeat_refused" in one.stderr())
    assert "Redis refused PING: LOADING" in one.stderr() and one.source()["role"] == "master"
    publisher = make_publisher(server)
    assert publisher.publish("a", count=20) == 20
    one.wait_totals(received=20)
    wait_for("the end of the loading", lambda: "event=heartbeat_answered" in one.stderr())
    assert arrives(one, publisher) == [] and one.gaps() == [] and one.source()["connections_total"] == 1


def test_rights_taken_away_while_connected(make_redis, make_publisher, make, arrives):
    """Redis leaves a connection alone that lost the right to PING, INFO or subscribe; the next one meets the no."""
    server = make_redis(users=[f"bridge on >{SECRET} resetchannels &a &local resetkeys -@all {RIGHTS}"])
    one = make(server, url=server.url("bridge"), password=SECRET)
    publisher = make_publisher(server)
    wait_for("the role", lambda: one.source()["role"] == "master")

    def setuser(*rules):
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "bridge", *rules)

    setuser("-@all")
    for said in ("heartbeat_refused", "ACL SETUSER bridge +ping", "watch_refused", "ACL SETUSER bridge +info"):
        wait_for(said, lambda: said in one.stderr())
    assert publisher.publish("a", count=10) == 10
    one.wait_totals(received=10)
    assert one.stats()["ready"] and one.gaps() == [] and one.source()["role"] is None
    server.kill_bridge_clients()
    wait_for("the refusal", lambda: one.source()["refused"] == 2)
    assert not one.stats()["ready"] and "ACL SETUSER bridge +subscribe" in one.stderr()
    publisher.publish("a", count=10)
    setuser(*RIGHTS.split())
    wait_for("the bridge to be ready", lambda: one.stats()["ready"] and one.source()["role"] == "master")
    for said in ("event=heartbeat_answered", "event=watch_allowed"):
        wait_for(said, lambda: said in one.stderr())
    assert [gap.reason for gap in one.gaps()] == ["connection_lost", "refused"] and all(gap.end for gap in one.gaps())
    lost = arrives(one, publisher)
    assert len(lost) == 10 and all(within(one.gaps(), sent) for sent in lost)


def test_a_user_taken_away_while_connected(make_redis, make_publisher, make, arrives):
    server = make_redis(users=[f"bridge on >{SECRET} resetchannels &a &local resetkeys -@all {RIGHTS}"])
    one = make(server, url=server.url("bridge"), password=SECRET)
    publisher = make_publisher(server)
    with server.client() as client:
        client.execute_command("ACL", "DELUSER", "bridge")
        wait_for("the refusal", lambda: "WRONGPASS" in one.source()["error"])
        assert not one.stats()["ready"] and one.gaps()[-1].end is None
        publisher.publish("a", count=10)
        client.execute_command("ACL", "SETUSER", "bridge", "on", ">" + SECRET, "&a", "&local", *RIGHTS.split())
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])
    gap, = one.gaps()
    lost = arrives(one, publisher)
    assert gap.reason == "connection_lost" and len(lost) == 10 and all(within([gap], sent) for sent in lost)
    assert SECRET not in one.stderr()
