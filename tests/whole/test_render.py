"""rkbctl render says beforehand what the bridge makes of a message: topic, key, headers, value, byte for byte;
or the dead letter."""

import base64
import collections
import json
import re
import subprocess

import pytest

import bridge as bridges
from bridge import route
from consumer import read_topic

PAYLOADS = [b'{"code": "A-1", "count": 3, "user": {"name": "J\xc3\xb6rg \\"x\\""}}', b'{"count": -1, "code": null}',
            b'{"test": 1}', b"[1.0, 1e400]", b"plain \x00 text\n", b'"\\ud800"', b"\xff\x00binary", b"",
            b' {"id": 1, "code": "X", "time":2}', b'{"count": 12345678901234567890, "count": 2, "code": {"a": [1]}}']
CHANNELS = [b"stock.berlin", b"stock.a.b", b"user_created", b"needy", b'odd"\\\xe9', b"raw.\xc3\xa9", b"merged",
            b"flat.a b", b"flat." + b"x" * 250, b"cloud"]

ROUTES = {
    "users": route("users", channels=["user_created"], payload_name="user", rkb_headers="yes"),
    "stock": route("stock", patterns=["stock.*"],
                   value='{"place": "{{1}}", "p": ["{{payload}}", "{{payload_text}}", "{{payload_base64}}"], "n": '
                   '"{{payload:/user/name}}", "in": "<{{payload:/user/name}}{{payload:/code}}>", '
                   '"kind": "{{encoding}}", "ms": "{{time_ms}}"}',
                   key="{{payload:/code}}", rkb_headers="yes", headers={"where": "{{1}}", "code": "{{payload:/code}}"},
                   dead_letter="letters", expect=[{"at": "/count", "type": "integer", "min": 0, "optional": "yes"}],
                   filter=[{"at": "/test", "exists": "no"}]),
    "two": route("two", patterns=["stock.*.*"], rkb_headers="yes", key="{{2}}/{{1}}"),
    "needy": route("needy", channels=["needy"], key="none", payload="json", missing="drop",
                   headers={"code": "{{payload:/code}}"}, rkb_headers="yes", dead_letter="letters"),
    "odd": route("odd", patterns=["odd*"], name="{{pattern}}:{{route}}", rkb_headers="yes", require="json",
                 dead_letter="letters"),
    "merged": route("merged", channels=["merged"], envelope="merge", when_taken="overwrite", rkb_headers="yes",
                    key="{{payload:/code}}"),
    "flat": route("named.{{1}}", patterns=["flat.*"], envelope="flat", name="{{1}}", rkb_headers="yes",
                  dead_letter="letters"),
    "cloud": route("cloud", channels=["cloud"], envelope="cloudevents-json", rkb_headers="yes"),
    "raw": route("raw", patterns=["raw.?*"], envelope="raw"),
}


EXIT_CODES = {"record": 0, "dead_letter": 4, "filtered": 5, "dropped": 6}
UUID, TIME = "01890a5d-ac96-774b-bcce-b302099a8057", "2026-11-22T20:51:07.123Z"
PLACE = re.compile(rb"[0-9a-f]{32}:[0-9]+")


def render(one, channel, payload):
    """What rkbctl render says: (exit code, the object)."""
    done = subprocess.run([bridges.BUILD / "rkbctl", "render", "-c", one.config_path, "--json", "--uuid", UUID,
                           "--time", TIME, channel],
                          input=payload, capture_output=True, timeout=20)
    assert not bridges.REPORT.search(done.stderr.decode(errors="replace")), done.stderr
    return done.returncode, json.loads(done.stdout)


def of(said, member):
    """Its bytes."""
    coded = said.get(f"{member}_base64")
    text = said.get(member)
    return base64.b64decode(coded) if coded is not None else None if text is None else text.encode()


def masked(record, bytes_):
    """What differs from message to message as render has it."""
    time = record.header("rkb-time").decode()
    for found, ours in ((record.header("rkb-id").decode(), UUID), (time, TIME),
                        (milliseconds(time), milliseconds(TIME))):
        bytes_ = bytes_.replace(found.encode(), ours.encode())
    return PLACE.sub(b"PLACE", bytes_)


def milliseconds(time):
    return str(round(bridges.parse_time(time) * 1000))


@pytest.fixture
def one(make_bridge, redis):
    return make_bridge({"routes": ROUTES}, redis=redis).start("--embedded-kafka")


def check_record(record, said):
    assert (said["becomes"], said["topic"], of(said, "key")) == ("record", record.topic, record.key)
    assert PLACE.sub(b"PLACE", of(said, "value")) == masked(record, record.value)
    headers = [(of(header, "name").decode(), PLACE.sub(b"PLACE", of(header, "value"))) for header in said["headers"]]
    assert headers == [(name, masked(record, value)) for name, value in record.headers]


def check_letter(letter, said, payload):
    assert (said["becomes"], said["topic"]) == ("dead_letter", letter.topic)
    assert said["code"].encode() == letter.header("rkb-error-code")
    assert said["reason"].encode() == letter.header("rkb-error")
    assert letter.value == payload


def test_render_says_what_the_bridge_does(one, redis):
    # Of each channel every other payload: each that needs its route's rules is in one half of them or the other.
    published = [(channel, payload) for i, channel in enumerate(CHANNELS) for j, payload in enumerate(PAYLOADS)
                 if (i + j) % 2 == 0]
    with redis.client() as client:
        for channel, payload in published:
            client.publish(channel, payload)
    stats = one.wait_totals(received=len(published), pending=0)
    bootstrap = stats["kafka"]["bootstrap_servers"]
    rest = collections.defaultdict(list)        # what was rendered, by channel and what it becomes
    for channel, payload in published:
        code, said = render(one, channel, payload)
        assert code == EXIT_CODES[said["becomes"]]
        rest[channel, said["becomes"]].append((said, payload))
    count = {becomes: sum(len(messages) for (_, what), messages in rest.items() if what == becomes)
             for becomes in EXIT_CODES}
    assert min(count.values()) > 0, count
    totals = stats["totals"]
    assert count == {"record": totals["delivered"], "dead_letter": totals["dead_lettered"],
                     "filtered": totals["filtered"],
                     "dropped": totals["dropped"]}
    for topic in {route["topic"].replace("{{1}}", "a_b") for route in ROUTES.values()}:
        for record in sorted(read_topic(bootstrap, topic), key=lambda record: record.header("rkb-id")):
            check_record(record, rest[record.header("rkb-channel"), "record"].pop(0)[0])
    for letter in sorted(read_topic(bootstrap, "letters"), key=lambda letter: letter.header("rkb-id")):
        check_letter(letter, *rest[letter.header("rkb-channel"), "dead_letter"].pop(0))
    assert not any(messages for (_, becomes), messages in rest.items() if becomes in ("record", "dead_letter"))
