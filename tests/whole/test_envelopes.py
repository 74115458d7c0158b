"""Every envelope, read as doc/envelopes.md tells readers to, by parsers that are not ours;
payloads by chance among them."""

import base64
import json
import random

import pytest
from cloudevents.core.bindings import kafka as binding
from cloudevents.core.formats.json import JSONFormat

from bridge import route
from consumer import read_topic
from test_payloads import BINARIES, ODD_JSON, TEXTS

TAKEN = [b'{"id":1}', b' { "i\\u0064" : 7 ,"a":[1, {"id":2}],"time":null } ',
         b'{"a":1, "id":2, "b":3,"channel":"x","id":4}', b'{"channel":[],"time":{},"id":""}\n', b'\t{ }',
         b'{"a":{"id":1}}', b'{"id":{"id":[1,2,"}"]},"z":1.50}']
KEYS = ["id", "time", "channel", "i\\u0064", "a", "user", "payload", "", "\\ud83d\\ude00", "\u00e9", "ID"]
SCALARS = ["0", "-0.0", "1e400", "98765432109876543210", "1E-2", "true", "null", '"x"', '"\\ud800"', '"\\u0000"',
           '"{\\"id\\":1}"', '"\u2028"']
OWN = ("id", "channel", "time")


def some_json(dice, depth):
    def space():
        return dice.choice(["", "", "", " ", "\n", "\t\r "])

    kind = dice.choice("oaos" if depth else "s")
    if kind == "s":
        return dice.choice(SCALARS)
    parts = [(f'"{dice.choice(KEYS)}"{space()}:{space()}' if kind == "o" else "") + some_json(dice, depth - 1)
             for _ in range(dice.randrange(4))]
    inside = ",".join(space() + part + space() for part in parts) or space()
    return "{%s}" % inside if kind == "o" else "[%s]" % inside


def some_payloads(count):
    dice = random.Random(5)
    payloads = [dice.choice(["", " ", "\n"]).encode() + some_json(dice, 3).encode()
                + dice.choice(["", " ", "\r\n"]).encode()
                for _ in range(count)]
    broken = [bytearray(payload) for payload in payloads[::4] if payload]
    for payload in broken:
        payload[dice.randrange(len(payload))] = dice.randrange(256)
    noise = [dice.randbytes(dice.randrange(30)) for _ in range(count // 8)]
    return payloads + [bytes(payload) for payload in broken] + noise


def strict(text):
    """JSON as pairs and texts: nothing is folded, rounded or made up. ValueError where it is none."""
    def refuse(word):
        raise ValueError(word)

    return json.loads(text.decode(), object_pairs_hook=lambda pairs: ("object", pairs), parse_constant=refuse,
                      parse_int=lambda digits: ("number", digits), parse_float=lambda digits: ("number", digits))


def what_is(payload):
    try:
        return "json", strict(payload)
    except ValueError:
        pass
    try:
        return "text", payload.decode()
    except ValueError:
        return "base64", base64.b64encode(payload).decode()


def is_object(payload):
    encoding, value = what_is(payload)
    return encoding == "json" and isinstance(value, tuple) and value[0] == "object"


def members(payload):
    return what_is(payload)[1][1] if is_object(payload) else []


def member(payload):
    """What the payload must look like to a parser, and its encoding."""
    encoding, value = what_is(payload)
    return value, None if encoding == "json" else encoding.encode()


def restored(record, rest):
    """The payload in a member, by the header rkb-encoding; rest: the bytes where it stands."""
    encoding = record.header("rkb-encoding")
    if encoding is None:
        return rest
    text = json.loads(rest)
    return text.encode() if encoding == b"text" else base64.b64decode(text)


def check_event(record, payload):
    value, encoding = member(payload)
    uuid = dict(dict(strict(record.value)[1])["data"][1])["id"]
    assert strict(record.value) == ("object", [("name", "event"), ("data", ("object", [("id", uuid), ("p", value)]))])
    assert record.header("rkb-encoding") == encoding
    assert restored(record, record.value.partition(b',"p":')[2][:-2]) == payload
    return uuid


def check_flat(record, payload):
    value, encoding = member(payload)
    uuid = dict(strict(record.value)[1])["id"]
    assert strict(record.value) == ("object", [("name", "flat"), ("id", uuid), ("p", value)])
    assert record.header("rkb-encoding") == encoding
    assert restored(record, record.value.partition(b',"p":')[2][:-1]) == payload
    return uuid


def without_ours(value, names):
    """The value of a merged object as it was before our members of these names stood in it."""
    head, _, rest = value.partition(b"{")
    for number, name in enumerate(names):
        start = b"," * (number > 0) + b'"' + name.encode() + b'":'
        assert rest.startswith(start)
        end = json.JSONDecoder().raw_decode(rest[len(start):].decode())[1]
        rest = rest[len(start):].decode()[end:].encode()
    return head + b"{" + (rest[1:] if names and rest.startswith(b",") else rest)


def put_back(payload, cuts):
    while cuts:
        assert cuts.startswith(b" ")
        place, size, rest = cuts[1:].split(b":", 2)
        payload = payload[:int(place)] + rest[:int(size)] + payload[int(place):]
        cuts = rest[int(size):]
    return payload


def merged_back(record):
    note = record.header("rkb-merge") or b""
    if note == b"member" or record.header("rkb-encoding"):
        return restored(record, record.value.partition(b',"p":')[2][:-1])
    word, _, rest = note.partition(b" ")
    if word == b"cut":
        return put_back(without_ours(record.value, OWN), b" " + rest)
    assert word in (b"", b"kept")
    return without_ours(record.value, [name for name in OWN if name not in rest.decode().split()])


def check_merge(channel, when_taken):
    def check(record, payload):
        value, encoding = member(payload)
        pairs = strict(record.value)[1]
        theirs = members(payload) if is_object(payload) else [("p", value)]
        taken = {name for name, _ in theirs if name in OWN}
        if when_taken == "overwrite":
            theirs, taken = [pair for pair in theirs if pair[0] not in OWN], set()
        ours = [(name, dict(pairs)[name]) for name in OWN if name not in taken]
        assert pairs == ours + theirs
        assert dict(ours).get("channel", channel) == channel
        assert record.header("rkb-encoding") == encoding
        assert merged_back(record) == payload
        return record.header("rkb-id").decode() if "id" in taken else dict(ours)["id"]

    return check


def check_raw(record, payload):
    assert record.value == payload
    assert record.header("rkb-encoding").decode() == what_is(payload)[0]
    return record.header("rkb-id").decode()


def message(record):
    return binding.KafkaMessage(dict(record.headers), record.key, record.value)


TYPES = {"json": "application/json", "text": "text/plain; charset=utf-8", "base64": "application/octet-stream"}


def check_attributes(event, name, payload):
    assert event.get_specversion() == "1.0" and event.get_source() == "/redis/legacy"
    assert event.get_type() == f"{name}.v1" and event.get_subject() == name
    assert event.get_time().tzinfo is not None
    assert event.get_datacontenttype() == TYPES[what_is(payload)[0]]


def check_cloudevents(record, payload):
    event = binding.from_binary(message(record), JSONFormat())
    check_attributes(event, "cloudevents", payload)
    assert record.value == payload
    assert event.get_data() == (None if payload == b"" else json.loads(payload) if what_is(payload)[0] == "json" else
                                payload.decode() if what_is(payload)[0] == "text" else payload)
    return event.get_id()


def check_structured(record, payload):
    event = binding.from_structured(message(record), JSONFormat())
    encoding, value = what_is(payload)
    check_attributes(event, "structured", payload)
    assert record.headers == (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
    assert event.get_data() == (json.loads(payload) if encoding == "json" else payload.decode() if encoding == "text"
                                else payload)
    last = strict(record.value)[1][-1]
    assert last == ("data_base64" if encoding == "base64" else "data", value)
    rest = record.value.partition(b',"data":')[2][:-1]
    if encoding != "base64":
        assert (rest if encoding == "json" else json.loads(rest).encode()) == payload
    return event.get_id()


ROUTES = {
    "event": ({"envelope": "event", "payload_name": "p"}, check_event),
    "flat": ({"envelope": "flat", "payload_name": "p"}, check_flat),
    "keep": ({"envelope": "merge", "payload_name": "p"}, check_merge("keep", "keep")),
    "overwrite": ({"envelope": "merge", "payload_name": "p", "when_taken": "overwrite"},
                  check_merge("overwrite", "overwrite")),
    "set_aside": ({"envelope": "merge", "payload_name": "p", "when_taken": "dead_letter", "dead_letter": "dead"},
                  check_merge("set_aside", "keep")),
    "raw": ({"envelope": "raw"}, check_raw),
    "cloudevents": ({"envelope": "cloudevents", "name": "{{channel}}.v1"}, check_cloudevents),
    "structured": ({"envelope": "cloudevents-json", "name": "{{channel}}.v1"}, check_structured),
}


def has_taken(payload):
    return any(name in OWN for name, _ in members(payload))


def cuts(payload):
    return sum(name in OWN for name, _ in members(payload))


def test_every_envelope_gives_the_payload_back(make_bridge, redis):
    payloads = ODD_JSON + TEXTS + BINARIES + TAKEN + some_payloads(200)
    assert sum(map(has_taken, payloads)) > 20 and max(map(cuts, payloads)) <= 8
    routes = {name: route(f"t.{name}", channels=[name], **settings) for name, (settings, _) in ROUTES.items()}
    one = make_bridge({"routes": routes}, redis=redis).start("--embedded-kafka")
    with redis.client() as client, client.pipeline(transaction=False) as pipeline:
        for payload in payloads:
            for name in ROUTES:
                pipeline.publish(name, payload)
        assert set(pipeline.execute()) == {1}
    set_aside = [payload for payload in payloads if has_taken(payload)]
    stats = one.wait_totals(received=len(payloads) * len(ROUTES), dead_lettered=len(set_aside), pending=0)
    bootstrap = stats["kafka"]["bootstrap_servers"]
    for name, (_, check) in ROUTES.items():
        records = read_topic(bootstrap, f"t.{name}")
        expected = [payload for payload in payloads if name != "set_aside" or not has_taken(payload)]
        uuids = [check(record, payload) for record, payload in zip(records, expected, strict=True)]
        assert len(set(uuids)) == len(uuids)
    dead = read_topic(bootstrap, "dead")
    assert [record.value for record in dead] == set_aside
    assert {record.header("rkb-error-code") for record in dead} == {b"merge"}
    assert one.terminate() == 0


@pytest.mark.parametrize("envelope", ["cloudevents", "cloudevents-json"])
def test_cloudevents_of_channels_with_any_bytes(make_bridge, redis, envelope):
    channels = [b"caf\xe9", b"a\x01b\x7f", "\u0085\ufffe".encode(), b'"\\']
    routes = {"all": route("t", patterns=["*"], envelope=envelope, key="none",
                           headers={"ce_tenant": "{{payload:/tenant}}"})}
    one = make_bridge({"routes": routes}, redis=redis).start("--embedded-kafka")
    with redis.client() as client:
        for channel in channels:
            assert client.publish(channel, b'{"tenant": "acme"}') == 1
    stats = one.wait_totals(received=len(channels), pending=0)
    read = binding.from_structured if envelope == "cloudevents-json" else binding.from_binary
    events = [read(message(record), JSONFormat()) for record in read_topic(stats["kafka"]["bootstrap_servers"], "t")]
    assert {event.get_subject() for event in events} == {"caf\ufffd", "a\ufffdb\ufffd", "\ufffd\ufffd", '"\\'}
    assert all(event.get_type() == event.get_subject() for event in events)
    assert all(event.get_data() == {"tenant": "acme"} for event in events)
    if envelope == "cloudevents":
        assert {event.get_extension("tenant") for event in events} == {"acme"}
    assert one.terminate() == 0
