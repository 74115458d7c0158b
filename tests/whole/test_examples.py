"""The stories of contrib/examples, as their READMEs tell them: their configs, publishers and consumers as they
stand."""

import json
import os
import pathlib
import re
import runpy
import signal
import sqlite3
import subprocess
import sys

import pytest
from confluent_kafka.admin import AdminClient

import java
from bridge import BUILD, route
from consumer import QUIET
from delivery import UUID7
from waiting import wait_for

TOP = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = TOP / "contrib" / "examples"
ENVELOPES = ["event", "flat", "merge", "raw", "cloudevents", "cloudevents-json"]
QUOTED = re.compile(r"^<!-- (contrib/examples/\S+) -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SANITIZED = b"__asan_init" in (BUILD / "rkbridge").read_bytes()


class Story:
    """One example: its programs run in a directory of their own, with the servers' addresses in the environment."""

    def __init__(self, name, directory, environment):
        self.source = EXAMPLES / name
        self.config = (self.source / "rkbridge.yaml").read_text()
        self.directory = directory
        self.environment = environment
        self.running = []

    def start(self, program, *arguments):
        with (self.directory / "output").open("ab") as output:
            self.running.append(subprocess.Popen([sys.executable, str(self.source / program), *map(str, arguments)],
                                                 stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                                 cwd=self.directory, env={**os.environ, **self.environment}))
        return self.running[-1]

    def run(self, program, *arguments, timeout=60):
        assert self.start(program, *arguments).wait(timeout) == 0, (self.directory / "output").read_text()

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (self.directory / "output").read_text()

    def rows(self, database, query):
        path = self.directory / (database + ".db")
        if not path.exists():
            return []
        with sqlite3.connect(path, timeout=20) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:        # the tables are not there yet
                return []

    def clean(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait(20)


@pytest.fixture
def story(make_bridge, redis, kafka, tmp_path):
    """Starts the bridge of an example with its own config; gives its Story, in which `bridge` is that bridge."""
    stories, topics = [], []

    def make(name, *creates):
        topics.extend(creates)
        environment = {"REDIS": redis.url(), "KAFKA": kafka.bootstrap}
        one = make_bridge({}, environment=environment)
        one.environment["DIR"] = str(one.short)
        stories.append(Story(name, tmp_path, environment))
        one.write_config(stories[-1].config)
        stories[-1].bridge = one.start()
        return stories[-1]

    yield make
    for one in stories:
        one.clean()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, **QUIET})
    for future in admin.delete_topics(topics, operation_timeout=20).values():
        future.result(30)


def test_user_created(story):
    this = story("user_created", "user_activity")

    def users(service):
        return this.rows(service, "SELECT id, email FROM users ORDER BY id")

    def created(first, last):
        return [(number, f"user{number}@example.com") for number in range(first, last + 1)]

    accounts = this.start("consumer.py", "accounts")
    this.run("publish.py", 1, 3)
    wait_for("the first users", lambda: users("accounts") == created(1, 3))
    this.stop(accounts)
    this.run("publish.py", 4, 60)               # while the service is down
    this.bridge.wait_totals(received=63, pending=0)
    this.start("consumer.py", "accounts")
    this.start("consumer.py", "newsletter")     # a new service: all users from the first on
    for service in ("accounts", "newsletter"):
        wait_for(f"all users in {service}", lambda name=service: users(name) == created(1, 63))

    # The same service, which Kafka does not know any more: it reads all once again, then what is new, and no user is
    # there twice.
    for process in this.running[-2:]:
        this.stop(process)
    (this.directory / "again.db").symlink_to("accounts.db")
    this.run("publish.py", 64, 20)
    this.start("consumer.py", "again")
    wait_for("the users that are new", lambda: set(created(64, 83)) <= set(users("accounts")))
    assert users("accounts") == created(1, 83) and users("newsletter") == created(1, 63)


def test_inventory(story, read):
    """200,000 updates, and a tenth of that under sanitizers."""
    count = 20000 if SANITIZED else 200000
    this = story("inventory", "product_inventory", "product_inventory.dead")
    update = runpy.run_path(str(this.source / "publish.py"))["update"]
    wanted = [update(number) for number in range(count)]
    new_codes = [one for one in wanted if one["product_code"].startswith("WXYZ-")]
    negative = [one for one in wanted if one["inventory_count"] < 0]
    good = [one for one in wanted if one["inventory_count"] >= 0 and not one["product_code"].startswith("WXYZ-")]

    this.start("consumer.py", "shop")
    this.run("publish.py", count)
    stats = this.bridge.wait_totals(received=count, pending=0)
    assert stats["totals"]["delivered"] == len(good)
    assert stats["totals"]["dead_lettered"] == len(new_codes) + len(negative)
    assert per_product(read("product_inventory")) == by_product(good)
    dead = [(json.loads(record.value), record.header("rkb-error-code"), record.header("rkb-error").decode())
            for record in read("product_inventory.dead")]
    refused = sorted(new_codes + negative, key=lambda one: one["update"])
    assert [one for one, code, _ in dead if code == b"expect"] == refused
    for one, _, reason in dead:
        assert ("/inventory_count" if one in negative else "/product_code") in reason

    code, listed, error = this.bridge.rkbctl("dead", "list", "--json", "-c", this.bridge.config_path)
    assert code == 0 and len(listed.splitlines()) == len(dead), error

    this.bridge.terminate()
    this.bridge.write_config(this.config.replace("{3}", "{3,4}"))
    this.bridge.start()
    code, _, error = this.bridge.rkbctl("dead", "retry", "-c", this.bridge.config_path, "--route", "inventory")
    assert code == 0, error
    this.bridge.wait_totals(delivered=len(new_codes), dead_lettered=len(negative), pending=0)
    assert per_product(read("product_inventory")) == by_product(good + new_codes)
    ids = {record.header("rkb-id") for record in read("product_inventory.dead")
           if json.loads(record.value) in new_codes}
    assert ids == {json.loads(record.value)["id"].encode() for record in read("product_inventory")
                   if record.key.startswith(b"WXYZ-")}

    expected = {code: (updates[-1]["inventory_count"], len(updates))
                for code, updates in by_product(good + new_codes).items()}
    query = "SELECT product_code, inventory_count, updates FROM inventory"
    wait_for("the shop's inventory",
             lambda: expected == {code: tuple(rest) for code, *rest in this.rows("shop", query)})


def by_product(updates):
    found = {}
    for one in updates:
        found.setdefault(one["product_code"], []).append(one)
    return found


def per_product(records):
    """What the records carried, in their order, each id counted once."""
    names, seen, found = ("product_code", "inventory_count", "update"), set(), []
    for record in records:
        document = json.loads(record.value)
        if document["id"] not in seen:
            seen.add(document["id"])
            found.append({name: document[name] for name in names})
        assert record.key == document["product_code"].encode()
    return by_product(found)


@pytest.mark.parametrize("more", [{}, {"id": 7, "channel": "by sea"}], ids=["free names", "taken names"])
def test_every_envelope_is_read_in_python_and_java(more, bridge, redis, kafka, make_topic, read):
    """By what contrib/examples/read says of it."""
    payload = {"email": "h\u00e9@example.com", "share": 0.5, **more}
    topics = {envelope: make_topic(envelope) for envelope in ENVELOPES}
    one = bridge({envelope: route(topic, channels=["from." + envelope], envelope=envelope, rkb_headers="no")
                  for envelope, topic in topics.items()})
    with redis.client() as client:
        for envelope in topics:
            client.publish("from." + envelope, json.dumps(payload))
    one.wait_totals(received=len(topics), pending=0)
    readers = runpy.run_path(str(EXAMPLES / "read" / "records.py"))
    printed = java.run(EXAMPLES / "read" / "Records.java", kafka.bootstrap,
                       *[f"{name}={topic}" for name, topic in topics.items()])
    for (envelope, topic), line in zip(topics.items(), printed.splitlines(), strict=True):
        [record] = read(topic)
        headers = [dict(record.headers)] if envelope in ("merge", "raw", "cloudevents") else []
        key = [record.key] if envelope == "raw" else []
        uuid, name, seen = readers[envelope.replace("-", "_")](*key, record.value, *headers)
        assert line.split("\t")[:3] == [envelope, uuid, name] and UUID7.match(uuid)
        assert name == (payload.get("channel", "from.merge") if envelope == "merge" else "from." + envelope)
        shown = line.split("\t")[3]
        is_bytes = envelope in ("raw", "cloudevents")
        for document in (json.loads(seen) if is_bytes else seen,
                         json.loads(bytes.fromhex(shown) if is_bytes else shown)):
            assert {key: document[key] for key in payload} == payload and (envelope == "merge" or document == payload)


@pytest.mark.parametrize("path", ["user_created/UserCreatedConsumer.java", "inventory/InventoryConsumer.java"])
def test_java_consumers_compile(path):
    with pytest.raises(AssertionError, match="usage: [A-Za-z]+Consumer BOOTSTRAP GROUP JDBC_URL"):
        java.run(EXAMPLES / path)


def test_what_a_document_quotes_stands_in_the_example():
    text = (TOP / "doc" / "consumers.md").read_text()
    quoted = QUOTED.findall(text)
    assert len(quoted) == len(re.findall("^```(?:python|ruby|java)$", text, re.MULTILINE)) >= 9
    for path, lines in quoted:
        assert "\n" + lines in "\n" + (TOP / path).read_text(), f"doc/consumers.md quotes {path} wrongly: {lines}"


# What doc/consumers.md shows, in its order: the route's envelope, what was published, where.
SHOWN = [("event", "user_created"), ("flat", "user_created"), ("merge", "product_inventory_updates"),
         ("merge", "user_created"),
         ("raw", "user_created"), ("cloudevents-json", "user_created")]
PUBLISHED = {"user_created": '{"id": 42, "email": "ada@example.com"}',
             "product_inventory_updates": '{"product_code": "ABC-17", "inventory_count": 5}'}


def test_the_records_that_a_document_shows_are_real(make_bridge):
    one = make_bridge({}, kafka="127.0.0.1:9092")
    shown = re.findall(r"^```json\n(.*)\n```$", (TOP / "doc" / "consumers.md").read_text(), re.MULTILINE)
    for (envelope, channel), record in zip(SHOWN, shown, strict=True):
        name = "user" if envelope in ("event", "flat") else None
        one.rewrite({"redis": {"legacy": {"url": "redis://127.0.0.1:6379"}},
                     "routes": {"users": route("t", channels=[channel], envelope=envelope, payload_name=name)}})
        command = ["render", "-c", one.config_path, "--value", "--uuid", "019aae5c-1a2b-7000-8000-5f0c9d3e7a11",
                   "--time", "2026-11-23T06:30:00.123Z", "--payload", PUBLISHED[channel], channel]
        assert one.rkbctl(*command) == (0, record, "")
