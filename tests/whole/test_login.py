"""Logging in to Kafka: credentials that change while rkbridge runs are taken without a restart, as soon as the file
holds them; a login that can not succeed says why."""

import re
import subprocess

from bridge import BUILD, route
from delivery import assert_delivered, decode_raw
from waiting import wait_for

CHANNELS = ["a", "b", "c"]


def test_a_password_that_changed(make_bridge, redis, kafka, publisher, topic, read, tmp_path):
    """The file holds the one of yesterday, then the one that Kafka wants."""
    old, path = "yesterday-" + kafka.login_password[::-1], tmp_path / "kafka.password"
    path.write_text(old + "\n")
    one = make_bridge({"routes": {"all": route(topic, channels=CHANNELS, envelope="raw")}, "kafka": {"properties": {
        "security.protocol": "sasl_plaintext", "sasl.mechanisms": "PLAIN", "sasl.username": kafka.login_user,
        "sasl.password_file": str(path)}}}, redis=redis, kafka=f"127.0.0.1:{kafka.login_port}").start()
    publisher.publish(*CHANNELS, count=100)
    one.wait_totals(received=300, pending=300)
    wait_for("the login to be refused", lambda: one.stats()["kafka"]["errors_total"].get("_AUTHENTICATION"))
    path.unlink()
    published = len(publisher.sent)
    wait_for("some looks at a file that is not there", lambda: (
        publisher.publish(*CHANNELS), len(publisher.sent) > published + 300)[1])
    assert one.stats()["kafka"]["rebuilds_total"] == 0, "a new producer with the same password"
    path.write_text(kafka.login_password + "\n")
    stats = one.wait_totals(received=len(publisher.sent), pending=0)
    assert stats["kafka"]["rebuilds_total"] == 1
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(topic)], once=True)
    assert one.gaps() == []
    assert not any(word in one.stderr() for word in (old, kafka.login_password))


def test_scram(make_bridge, redis, kafka, topic):
    """Nobody has credentials for SCRAM here; up to 2.6.0 it is librdkafka that can not log in, and that is said."""
    words = re.search(r"librdkafka (\d+)\.(\d+)\.(\d+)", subprocess.run(
        [BUILD / "rkbridge", "--version"], capture_output=True, text=True, check=True).stdout)
    one = make_bridge({"routes": {"all": route(topic, channels=CHANNELS)}, "kafka": {"properties": {
        "security.protocol": "sasl_plaintext", "sasl.mechanisms": "SCRAM-SHA-256", "sasl.username": kafka.login_user,
        "sasl.password": kafka.login_password}}}, redis=redis, kafka=f"127.0.0.1:{kafka.login_port}").start()
    wait_for("the login to be refused", lambda: one.stats()["kafka"]["errors_total"].get("_AUTHENTICATION"))
    old = tuple(map(int, words.groups())) < (2, 6, 1)
    wait_for("the refusal to be said", lambda: "event=kafka_error" in one.stderr())
    assert ("older than 2.6.1 can not log in by SCRAM to Kafka 4" in one.stderr()) == old
