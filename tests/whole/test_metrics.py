"""/metrics: as Prometheus's own tools read it, with figures that fit together, and answers until the end of a drain."""

import subprocess
import shutil

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge import route
from broker import free_port
from test_http import ask
from waiting import wait_for

BOOKS = ("delivered", "covered", "dead_lettered", "filtered", "echoed", "dropped")


@pytest.fixture
def port():
    return free_port()


def scrape(port):
    code, headers, body = ask(port, "/metrics")
    assert code == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return body


def read(text):
    """{name: {labels: value}} by the official parser; a sample that comes twice would be a mistake."""
    samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type != "unknown", family.name
        for sample in family.samples:
            of_name = samples.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in of_name, sample
            of_name[labels] = sample.value
    return samples


def one(samples, name, **labels):
    return samples[name][tuple(sorted(labels.items()))]


def check_with_promtool(text):
    """Debian's package prometheus has it."""
    assert shutil.which("promtool"), "promtool is missing: install Debian's package prometheus"
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr


def check_books(samples, prefix, labels):
    left = one(samples, f"{prefix}_received_total", **labels) + one(samples, f"{prefix}_recovered_total", **labels)
    right = sum(one(samples, f"{prefix}_{book}_total", **labels) for book in BOOKS)
    assert left == right + one(samples, f"{prefix}_pending", **labels)


def test_figures(bridge, publisher, topic, port):
    """With more routes than have metrics of their own."""
    routes = {f"r{n}": route(topic, channels=[f"c{n}"]) for n in range(5)}
    made = bridge(routes, http={"listen": f"127.0.0.1:{port}"}, metrics={"routes": 3})
    for n in range(5):
        publisher.publish(f"c{n}", count=n + 1)
    made.wait_totals(received=15, delivered=15, pending=0)
    text = scrape(port)
    check_with_promtool(text)
    samples = read(text)
    check_books(samples, "rkbridge_messages", {})
    routes_shown = {dict(labels)["route"] for labels in samples["rkbridge_route_messages_received_total"]}
    assert routes_shown == {"r0", "r1", "r2", "(other)"}
    for name in routes_shown:
        check_books(samples, "rkbridge_route_messages", {"route": name})
    for book in (*(f"{book}_total" for book in ("received", *BOOKS)), "pending"):
        parts = samples[f"rkbridge_route_messages_{book}"].values()
        assert sum(parts) == one(samples, f"rkbridge_messages_{book}")
    assert one(samples, "rkbridge_route_messages_delivered_total", route="(other)") == 9
    assert one(samples, "rkbridge_books_imbalance") == 0
    assert one(samples, "rkbridge_ready") == 1
    assert one(samples, "rkbridge_delivery_seconds_count") == 15
    assert one(samples, "rkbridge_kafka_produce_seconds_count") == 15
    assert one(samples, "rkbridge_message_size_bytes_count") == 15
    assert one(samples, "rkbridge_loop_turn_seconds_count") > 0
    assert one(samples, "rkbridge_kafka_brokers_connected") >= 1
    trips = samples["rkbridge_kafka_broker_round_trip_seconds_count"]
    assert sum(trips.values()) > 0
    assert sum(samples["rkbridge_kafka_broker_round_trip_seconds_sum"].values()) > 0
    assert one(samples, "process_resident_memory_bytes") > 1 << 20
    assert one(samples, "process_open_fds") > 5
    assert one(samples, "process_cpu_seconds_total") > 0
    wait_for("a sync", lambda: one(read(scrape(port)), "rkbridge_journal_sync_seconds_count") > 0)


def test_answers_until_the_last_acknowledgement(proxied_bridge, kafka_proxy, publisher, topic, port):
    """Kafka is away, and we are told to end: all pages answer until it has taken the rest."""
    made = proxied_bridge({"users": route(topic, channels=["c"])}, http={"listen": f"127.0.0.1:{port}"},
                          kafka={"outage_budget": "0s"}).start()
    publisher.publish("c", count=5)
    made.wait_totals(delivered=5)
    kafka_proxy.refuse()
    publisher.publish("c", count=20)
    made.wait_totals(received=25)
    wait_for("not ready without Kafka", lambda: "no broker of Kafka" in ask(port, "/readyz")[2])
    made.process.terminate()
    wait_for("a drain", lambda: "not ready: ending" in ask(port, "/readyz")[2])
    assert ask(port, "/healthz")[0] == 200
    samples = read(scrape(port))
    assert one(samples, "rkbridge_draining") == 1
    assert one(samples, "rkbridge_messages_pending") == 20
    assert ask(port, "/stats")[0] == 200
    kafka_proxy.go_on()
    assert made.ended() == 0
