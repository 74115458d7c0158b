"""Generated payloads, valid, broken and random, 1 byte to 8 MiB: each record is read back by a strict parser, and holds
its payload byte for byte. The seed is RKB_PAYLOAD_SEED, else always the same."""

import base64
import os
import random

import payloads
from bridge import route
from payloads import parse

SEED = int(os.environ.get("RKB_PAYLOAD_SEED", "5"))
COUNT = int(os.environ.get("RKB_PAYLOAD_COUNT", "700"))
OWN = ('{"kind": "{{encoding}}", "text": "{{payload_text}}", "base64": "{{payload_base64}}", "in": "<{{payload}}>", '
       '"is": "{{payload}}"}')


def as_json(payload, kind):
    """What a payload parses to where a value holds it."""
    if kind == "json":
        return parse(payload)
    return payload.decode() if kind == "text" else base64.b64encode(payload).decode()


def check_own(record, payload, kind):
    members = dict(parse(record.value)[1])
    text = payload.decode() if kind != "base64" else base64.b64encode(payload).decode()
    assert members == {"kind": kind, "text": text, "base64": base64.b64encode(payload).decode(), "in": f"<{text}>",
                       "is": as_json(payload, kind)}
    if kind == "json":
        assert record.value.endswith(b',"is":' + payload + b"}")


def check_member(name, closing):
    """The payload is the last member, and stands as it came before so many closing braces."""
    def check(record, payload, kind):
        found = parse(record.value)
        for step in name.split("."):
            found = dict(found[1])[step]
        assert found == as_json(payload, kind)
        assert record.header("rkb-encoding") == (None if kind == "json" else kind.encode())
        if kind == "json":
            assert record.value.endswith(b'":' + payload + b"}" * closing)
    return check


def check_bytes(record, payload, kind):
    assert record.value == payload


ENVELOPES = {
    "own": ({"value": OWN}, check_own),
    "event": ({"envelope": "event"}, check_member("data.payload", 2)),
    "flat": ({"envelope": "flat"}, check_member("payload", 1)),
    "raw": ({"envelope": "raw"}, check_bytes),
    "cloudevents": ({"envelope": "cloudevents"}, check_bytes),
}


def publish_all(client, channel, made):
    with client.pipeline(transaction=False) as pipeline:
        for payload in made:
            pipeline.publish(channel, payload)
        assert set(pipeline.execute()) == {1}


def test_each_record_holds_its_payload(bridge, redis, make_topic, read):
    made = payloads.generate(SEED, COUNT)
    kinds = [payloads.kind(payload) for payload in made]
    assert min(kinds.count(kind) for kind in ("json", "text", "base64")) > 20
    topics = {name: make_topic(name) for name in ENVELOPES}
    one = bridge({name: route(topics[name], channels=[name], **more) for name, (more, _) in ENVELOPES.items()})
    with redis.client() as client:
        for name in ENVELOPES:
            publish_all(client, name, made)
    one.wait_totals(received=len(made) * len(ENVELOPES), pending=0)
    for name, (_, check) in ENVELOPES.items():
        for number, (record, payload, kind) in enumerate(zip(read(topics[name]), made, kinds, strict=True)):
            try:
                check(record, payload, kind)
            except (AssertionError, ValueError, KeyError) as error:
                raise AssertionError(f"{name}, payload {number} of seed {SEED}, {kind}: {payload[:200]!r}: "
                                     f"{record.value[:400]!r}") from error


def test_a_fixed_kind_and_a_depth(bridge, redis, make_topic, read):
    """payload: json or text; what does not fit is a dead letter with the payload as it came;
    max_depth is where JSON ends."""
    made = payloads.generate(SEED + 1, 300) + [payloads.nested(7), payloads.nested(8), payloads.nested(9)]
    fits = {"json": lambda payload: payloads.kind(payload, 8) == "json",
            "text": lambda payload: payloads.kind(payload, 8) != "base64"}
    topics = {name: make_topic(name) for name in ("json", "text", "dead-json", "dead-text")}
    one = bridge({name: route(topics[name], channels=[name], payload=name, max_depth=8, envelope="raw",
                              dead_letter=topics[f"dead-{name}"])
                  for name in fits})
    with redis.client() as client:
        for name in fits:
            publish_all(client, name, made)
    one.wait_totals(received=2 * len(made), pending=0)
    for name, good in fits.items():
        assert [record.value for record in read(topics[name])] == [payload for payload in made if good(payload)]
        letters = read(topics[f"dead-{name}"])
        assert [letter.value for letter in letters] == [payload for payload in made if not good(payload)]
        assert {letter.header("rkb-error-code") for letter in letters} == {b"payload"}


MIB = 1024 * 1024


def test_up_to_8_mib(bridge, redis, make_topic, read):
    """A payload of max_message_size is taken; one byte more is dropped, and said."""
    topics = {name: make_topic(name, config={"max.message.bytes": 13 * MIB}) for name in ("raw", "event")}
    one = bridge({name: route(topics[name], channels=[name], envelope=name) for name in topics},
                 journal={"ring_size": "32MiB", "segment_size": "64MiB", "max_size": "1GiB"},
                 kafka={"properties": {"message.max.bytes": 13 * MIB}})
    chance = random.Random(SEED)
    large = [chance.randbytes(8 * MIB), b'["' + b"\\u0000" * MIB + b'"]', b"x", chance.randbytes(8 * MIB + 1)]
    with redis.client() as client:
        publish_all(client, "raw", large)
        publish_all(client, "event", large[1:])
    stats = one.wait_totals(received=7, pending=0)
    assert stats["dropped_by_reason"]["too_large"] == 2 == stats["totals"]["dropped"]
    assert [record.value for record in read(topics["raw"])] == large[:3]
    for record, payload, kind in zip(read(topics["event"]), large[1:3], ("json", "text"), strict=True):
        check_member("data.payload", 2)(record, payload, kind)
