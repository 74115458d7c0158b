"""rkbctl render says beforehand what the bridge makes of a message: topic, key, headers, value, byte for byte; or the dead letter."""

import base64
import json
import re
import subprocess

import pytest

import bridge as bridges
from bridge import route
from consumer import read_topic

PAYLOADS = [b'{"code": "A-1", "count": 3, "user": {"name": "J\xc3\xb6rg \\"x\\""}}', b'{"count": -1, "code": null}', b'{"test": 1}', b"[1.0, 1e400]",
            b"plain \x00 text\n", b'"\\ud800"', b"\xff\x00binary", b"", b'{"count": 12345678901234567890, "count": 2, "code": {"a": [1]}}']
CHANNELS = [b"stock.berlin", b"stock.a.b", b"user_created", b"needy", b'odd"\\\xe9', b"raw.\xc3\xa9"]

ROUTES = {
    "users": route("users", channels=["user_created"], payload_name="user", rkb_headers="yes"),
    "stock": route("stock", patterns=["stock.*"], value='{"place": "{{1}}", "p": ["{{payload}}", "{{payload_text}}", "{{payload_base64}}"], "n": '
                   '"{{payload:/user/name}}", "in": "<{{payload:/user/name}}{{payload:/code}}>", "kind": "{{encoding}}", "ms": "{{time_ms}}"}',
                   key="{{payload:/code}}", rkb_headers="yes", headers={"where": "{{1}}", "code": "{{payload:/code}}"}, dead_letter="letters",
                   expect=[{"at": "/count", "type": "integer", "min": 0, "optional": "yes"}], filter=[{"at": "/test", "exists": "no"}]),
    "two": route("two", patterns=["stock.*.*"], rkb_headers="yes", key="{{2}}/{{1}}"),
    "needy": route("needy", channels=["needy"], key="none", payload="json", missing="drop", headers={"code": "{{payload:/code}}"}, rkb_headers="yes",
                   dead_letter="letters"),
    "odd": route("odd", patterns=["odd*"], name="{{pattern}}:{{route}}", rkb_headers="yes", require="json", dead_letter="letters"),
    "raw": route("raw", patterns=["raw.?*"], envelope="raw"),
}


def render(one, channel, payload, *arguments):
    """What rkbctl render says; (exit code, the object, or None)."""
    done = subprocess.run([bridges.BUILD / "rkbctl", "render", "-c", one.config_path, "--json", *arguments, channel], input=payload,
                          capture_output=True, timeout=20)
    assert not bridges.REPORT.search(done.stderr.decode(errors="replace")), done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def of(said, member):
    """Its bytes."""
    coded = said.get(f"{member}_base64")
    text = said.get(member)
    return base64.b64decode(coded) if coded is not None else None if text is None else text.encode()


def unplaced(name, value):
    """A header's value; the position only by its form."""
    return re.sub(rb"^[0-9a-f]{32}:[0-9]+$", b"PLACE", value) if name == "rkb-position" else value


@pytest.fixture
def one(make_bridge, redis):
    return make_bridge({"routes": ROUTES}, redis=redis).start("--embedded-kafka")


def check_record(one, record, payload):
    uuid, time = record.header("rkb-id").decode(), record.header("rkb-time").decode()
    code, said = render(one, record.header("rkb-channel"), payload, "--uuid", uuid, "--time", time)
    assert (code, said["becomes"], said["topic"]) == (0, "record", record.topic)
    assert (of(said, "key"), of(said, "value")) == (record.key, record.value)
    headers = [(of(header, "name").decode(), of(header, "value")) for header in said["headers"]]
    assert [(name, unplaced(name, value)) for name, value in headers] == [(name, unplaced(name, value)) for name, value in record.headers]


def check_letter(one, letter, payload):
    code, said = render(one, letter.header("rkb-channel"), payload)
    assert (code, said["becomes"], said["topic"]) == (4, "dead_letter", letter.topic)
    assert said["code"].encode() == letter.header("rkb-error-code") and said["reason"].encode() == letter.header("rkb-error")
    assert letter.value == payload


def test_render_says_what_the_bridge_does(one, redis):
    published = [(channel, payload) for channel in CHANNELS for payload in PAYLOADS]
    with redis.client() as client:
        for channel, payload in published:
            client.publish(channel, payload)
    stats = one.wait_totals(received=len(published), pending=0)
    bootstrap = stats["kafka"]["bootstrap_servers"]
    # What did not become a record, or a dead letter, as render says, is not there to be read.
    rest = {}
    for channel, payload in published:
        code, said = render(one, channel, payload)
        rest.setdefault((channel, said["becomes"]), []).append(payload)
    count = {becomes: sum(len(payloads) for (_, what), payloads in rest.items() if what == becomes)
             for becomes in ("record", "dead_letter", "filtered", "dropped")}
    assert min(count.values()) > 0, count
    totals = stats["totals"]
    assert count == {"record": totals["delivered"], "dead_letter": totals["dead_lettered"], "filtered": totals["filtered"],
                     "dropped": totals["dropped"]}
    for topic in {route["topic"] for route in ROUTES.values()}:
        for record in sorted(read_topic(bootstrap, topic), key=lambda record: record.header("rkb-id")):
            check_record(one, record, rest[record.header("rkb-channel"), "record"].pop(0))
    for letter in sorted(read_topic(bootstrap, "letters"), key=lambda letter: letter.header("rkb-id")):
        check_letter(one, letter, rest[letter.header("rkb-channel"), "dead_letter"].pop(0))
    assert not any(payloads for (_, becomes), payloads in rest.items() if becomes in ("record", "dead_letter"))
