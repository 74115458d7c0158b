"""Canaries: a message of our own goes the whole way, and /readyz says so; what stops it says no; nobody else has it."""

import json
import re
import subprocess
import urllib.error
import urllib.request

from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient,
                                   ResourcePatternType, ResourceType)

from bridge import route
from broker import free_port
from waiting import wait_for

RIGHTS = ("+subscribe +psubscribe +unsubscribe +punsubscribe +ping +auth +client|setname +client|id +client|list "
          "+config|get +info")
FIGURES = re.compile(r'rkbridge_source_canary_(\w+?)(?:_total|)\{source="legacy"\} ([0-9.]+)')


def ready(port):
    """What /readyz says: "" for yes, else the reasons."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=20)
    except urllib.error.HTTPError as error:
        return error.read().decode()
    return ""


def figures(port):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20).read().decode()
    return {name: float(value) for name, value in FIGURES.findall(text)}


class Denied:
    """Nobody may write to the topic."""

    def __init__(self, kafka, topic):
        self.admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
        self.rule = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.WRITE,
                     AclPermissionType.DENY)

    def __enter__(self):
        for future in self.admin.create_acls([AclBinding(*self.rule)]).values():
            future.result(20)

    def __exit__(self, *_):
        for future in self.admin.delete_acls([AclBindingFilter(*self.rule)]).values():
            future.result(20)


def test_flow_is_proven(make_bridge, make_redis, make_publisher, kafka, make_topic, read):
    """A user's pattern takes all there is beside it; rights and the topic go away and come back while it runs."""
    server = make_redis(users=["bridge on >secret allchannels resetkeys -@all " + RIGHTS + " +publish"])
    topic, canaries, port = make_topic("all"), make_topic("canaries"), free_port()
    source = {"url": server.url("bridge"), "password": "secret", "retry_refused": "200ms", "watch": "300ms"}
    one = make_bridge({"redis": {"legacy": source}, "http": {"listen": f"127.0.0.1:{port}"},
                       "canary": {"topic": canaries, "interval": "100ms", "late_after": "2s"},
                       "routes": {"all": route(topic, patterns=["*"], envelope="raw")}}, kafka=kafka.bootstrap).start()
    assert make_publisher(server).publish("a.user", count=20) == 20
    first = figures(port)
    assert first["acknowledged"] >= 1 and first["last_success_timestamp_seconds"] > 1.7e9
    wait_for("more of them", lambda: figures(port)["acknowledged"] >= first["acknowledged"] + 3)

    def acl(*rules):
        command = ["redis-cli", "-p", str(server.port), "ACL", "SETUSER", "bridge", *rules]
        subprocess.run(command, check=True, capture_output=True)

    acl("-publish")
    wait_for("the refusal", lambda: "ACL SETUSER bridge +publish &rkbridge:canary:test:legacy" in ready(port))
    assert "event=canary_refused" in one.stderr() and one.rkbctl("status")[1].count("#canary_refused") == 1
    acl("+publish")
    wait_for("readiness, with the right", lambda: ready(port) == "")

    with Denied(kafka, canaries):
        wait_for("the topic to be missed", lambda: "Kafka has acknowledged no canary for" in ready(port))
        assert "canaries of source legacy:" in ready(port) and "#canary_late" in one.rkbctl("status")[1]
    wait_for("readiness, with the topic", lambda: ready(port) == "", 30)

    one.rewrite({"canary": None})
    code, said, error = one.rkbctl("reload")
    assert code == 0 and "canary.topic" in said and "routes.canary.legacy: gone" in said, said + error
    assert ready(port) == "" and "acknowledged" not in figures(port)
    one.drained()
    assert one.terminate() == 0
    assert [record.key for record in read(topic)] == [b"a.user"] * 20
    came = [json.loads(record.value) for record in read(canaries)]
    assert {one["source"] for one in came} == {"legacy"} and len({one["token"] for one in came}) == 1
    numbers = [one["number"] for one in came]
    assert numbers == sorted(set(numbers)) and len(numbers) > 5
