"""rkbridge --embedded-kafka: a Kafka inside the process, for clients built on librdkafka."""

import json
import shutil
import subprocess

import pytest

from bridge import route
from consumer import read_topic
from delivery import assert_delivered, decode_event


@pytest.fixture
def one(make_bridge, redis):
    return make_bridge({"routes": {"users": route("user_activity", channels=["user_created"], payload_name="user")}},
                       redis=redis).start("--embedded-kafka")


def test_confluent_kafka_reads_it(one, publisher):
    publisher.publish("user_created", count=200)
    stats = one.wait_totals(received=200, pending=0)
    bootstrap = stats["kafka"]["bootstrap_servers"]
    assert bootstrap.startswith("127.0.0.1:")
    records = read_topic(bootstrap, "user_activity")
    assert_delivered(publisher.sent, [decode_event("user")(record) for record in records], once=True)
    assert one.terminate() == 0


@pytest.mark.skipif(not shutil.which("kcat"), reason="NOT RUN: kcat is not installed")
def test_kcat_reads_it(one, publisher):
    publisher.publish("user_created", count=20)
    stats = one.wait_totals(received=20, pending=0)
    done = subprocess.run(["kcat", "-b", stats["kafka"]["bootstrap_servers"], "-C", "-t", "user_activity", "-e", "-q"],
                          capture_output=True, timeout=60, check=True)
    values = [json.loads(line) for line in done.stdout.splitlines()]
    assert [value["data"]["user"]["n"] for value in values] == list(range(20))
