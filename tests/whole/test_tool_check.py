"""rkbctl check --connect with a real Redis and Kafka: what is wrong is found, the rights it lists are enough, and a
bridge that runs is not disturbed. (What it says of Kafka's rights is in test_topics.py, where a Kafka asks for
them.)"""

import json
import os
import re
import subprocess
import time

import pytest

from bridge import route
from broker import free_port
from certificates import Certificates
from publisher import Load
from waiting import wait_for

SECRET = "s3cret-and-long"
NAMES = {"channels": ["users", "a b", 'say "hi"', "star*\\"], "patterns": ["user.*", "p[x]?\\*"]}


@pytest.fixture
def other_disk(tmp_path):
    """What makes Redis's dir another disk than the journal's."""
    assert tmp_path.stat().st_dev != os.stat("/dev/shm").st_dev, "tests run on /dev/shm: there is no other disk"
    return ["dir /dev/shm"]


def checked(one, *arguments):
    """Its exit code, and the findings."""
    code, out, err = one.rkbctl("check", "-c", one.config_path, "--connect", "--json", *arguments)
    assert SECRET not in out + err
    return code, json.loads(out)["findings"]


def bad(findings, grade="BAD"):
    return [(finding["setting"], finding["text"]) for finding in findings if finding["grade"] == grade]


def all_fine(code, findings):
    """Nothing is wrong, but perhaps with the disk that the tests lie on: where it is, and how busy."""
    wrong = [finding for finding in findings if finding["grade"] != "OK" and finding["setting"] != "journal.directory"]
    assert wrong == [] and code < 2, wrong


def test_the_listed_rights_are_enough_and_nobody_is_disturbed(make_bridge, make_redis, kafka, topic, other_disk,
                                                              make_publisher):
    """Enough is: in the ACL's own log stands nothing, after all that a bridge does in its life."""
    server = make_redis(settings=other_disk)
    source = {"url": server.url("fresh"), "password": SECRET, "max_message_size": "500KiB", "watch": "500ms"}
    settings = {"redis": {"legacy": source}, "routes": {"all": route(topic, **NAMES)}}
    one, other = (make_bridge({**settings, "instance": name}, kafka=kafka.bootstrap) for name in ("test", "other"))
    code, findings = checked(one)
    assert code == 2 and "WRONGPASS" in bad(findings)[0][1]
    code, out, _ = one.rkbctl("check", "-c", one.config_path, "--json")
    assert code == 0
    for rule in json.loads(out)["redis_rights"]:
        done = subprocess.run(["redis-cli", "-p", str(server.port)],
                              input=rule.replace(">PASSWORD", f">{SECRET}") + "\n", capture_output=True, timeout=20,
                              text=True)
        assert done.stdout.strip() == "OK", (rule, done.stdout)
    with server.client() as client:
        client.execute_command("ACL", "LOG", "RESET")
    all_fine(*checked(one))
    one.start()
    publisher = make_publisher(server)
    with Load(publisher, ["users", "user.seen", "a b"], 300):
        for _ in range(3):
            code, findings = checked(one)
            all_fine(code, findings)
            assert any("this instance, test, is subscribed there" in text for _, text in bad(findings, "OK")), findings
    one.wait_totals(received=len(publisher.sent), pending=0)
    assert one.totals()["received"] == len(publisher.sent)
    source = one.source()
    assert source["connections_total"] == 1 and source["gaps_total"] == 0
    for event in ("watch_refused", "heartbeat_refused", "subscription_refused", "another_bridge"):
        assert f"event={event}" not in one.stderr()
    server.kill_bridge_clients()
    wait_for("the gap and its bound", lambda: one.stats()["ready"] and one.gaps()[-1].bound is not None)
    other.start(wait="answers")
    wait_for("the other to wait", lambda: other.source()["held"])
    one.rewrite({"routes": {"all": {"channels": NAMES["channels"][:2], "patterns": None}}})
    assert one.rkbctl("reload")[0] == 0
    assert one.terminate() == 0
    wait_for("the other to take over", lambda: other.stats()["ready"])
    with server.client() as client:
        assert client.execute_command("ACL", "LOG") == []


def test_what_is_wrong_is_found(make_bridge, make_redis, kafka, make_topic):
    """Each with its place in the file: a topic that is missing, one that takes too little, another bridge,
    Redis's disk."""
    server = make_redis()
    small = make_topic(config={"max.message.bytes": "2000"})
    other = make_bridge({"instance": "other", "routes": {"a": route(small, channels=["a"])}}, redis=server,
                        kafka=kafka.bootstrap).start()
    one = make_bridge({"routes": {"a": route("not.there", channels=["a"]), "b": route(small, channels=["b"])}},
                      redis=server, kafka=kafka.bootstrap)
    code, findings = checked(one)
    found = dict(bad(findings))
    assert code == 2 and "Kafka has no topic not.there" in found["routes.a.topic"]
    assert "instance other" in found["redis.legacy.allow_parallel"]
    warned = dict(bad(findings, "WARN"))
    assert "takes records up to 2 KiB (max.message.bytes)" in warned["routes.b.topic"]
    assert "on one file system with the dir of Redis legacy" in warned["journal.directory"]
    lines = one.config_path.read_text().splitlines()
    where = {finding["setting"]: lines[finding["line"] - 1] for finding in findings if finding["line"]}
    assert "not.there" in where["routes.a.topic"] and small in where["routes.b.topic"]
    assert other.source()["connections_total"] == 1
    advised = re.search(r"max_message_size: (\d+B) of", next(one["change"] for one in findings if one["text"] ==
                                                             warned["routes.b.topic"])).group(1)
    for size, fits in ((f"{int(advised[:-1]) + 1}B", False), (advised, True)):
        one.rewrite({"redis": {"legacy": {"max_message_size": size}}})
        assert ("routes.b.topic" not in dict(bad(checked(one)[1], "WARN"))) is fits, size


def test_a_compacted_topic_wants_keys(make_bridge, redis, kafka, make_topic):
    compacted = make_topic(config={"cleanup.policy": "compact"})
    one = make_bridge({"routes": {"a": route(compacted, channels=["a"], key="none")}},
                      redis=redis, kafka=kafka.bootstrap)
    code, findings = checked(one)
    assert code == 2 and "Kafka takes no record without a key there" in dict(bad(findings))["routes.a.topic"]
    one.start()
    wait_for("the bridge to say so", lambda: "event=topic_compacted" in one.stderr())


def test_silent_servers_end_in_words(make_bridge, redis, kafka_proxy, make_proxy, kafka):
    proxy = make_proxy(("127.0.0.1", redis.port))
    one = make_bridge({"redis": {"legacy": {"url": f"redis://{proxy.address}", "connect_timeout": "1s"}},
                       "routes": {"a": route("t", channels=["a"])}}, kafka=kafka_proxy.address)
    proxy.stall()
    kafka_proxy.refuse()
    before = time.monotonic()
    code, findings = checked(one)
    assert code == 2 and time.monotonic() - before < 20
    found = dict(bad(findings))
    assert "did not come within 1 s" in found["redis.legacy.url"]
    assert "no answer of use from Kafka" in found["kafka.properties.bootstrap.servers"]
    kafka_proxy.go_on()
    proxy.go_on()
    code, findings = checked(one)
    assert "redis.legacy.url" not in dict(bad(findings))
    wait_for("no client that is left", lambda: not any("rkbctl" in client["name"]
                                                       for client in redis.client().client_list()))


def test_tls(make_bridge, make_redis, kafka, topic, tmp_path):
    """By the source's own tls_ settings, as the bridge."""
    made = Certificates(tmp_path / "certificates")
    made.ca("ca")
    made.make("server", "ca")
    port = free_port()
    make_redis(settings=[f"tls-port {port}", f"tls-cert-file {made.crt('server')}",
                         f"tls-key-file {made.key('server')}", f"tls-ca-cert-file {made.crt('ca')}",
                         "tls-auth-clients no"])
    one = make_bridge({"redis": {"legacy": {"url": f"rediss://127.0.0.1:{port}"}},
                       "routes": {"a": route(topic, channels=["a"])}},
                      kafka=kafka.bootstrap)
    _, findings = checked(one)
    assert "certificate" in dict(bad(findings))["redis.legacy.url"]
    one.rewrite({"redis": {"legacy": {"tls_ca_file": str(made.crt("ca"))}}})
    _, findings = checked(one)
    assert bad(findings) == []
