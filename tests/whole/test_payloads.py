"""Not one byte of a payload changes, whatever it is."""

import base64
import json
import random

import pytest

from bridge import route

BIG = {"kafka": {"properties": {"message.max.bytes": 4000000}}}

# JSON that a parser would lose something of: each must be in the record as it was published.
ODD_JSON = [b'{"big":1e400,"neg":-1E-400}', b"12345678901234567890123", b'{"dup":1,"dup":2}', b"1.0", b"-0",
            b'{ "spaced" :\t[1 ,2] }', b'"\\u0041\\/\\ud83d\\ude00"', b"[[[[[[[[]]]]]]]]", b'{"":""}', b"true", b"null",
            b'"plain"', b"[]", b'{"k":"\xc3\xa9"}', b"0.1000000000000000055511151231257827021181583404541015625",
            b'{"b":1,"a":2}']
# Valid UTF-8 that is no JSON: a JSON string.
TEXTS = [b"", b"plain", b"NaN", b"{a:1}", b"tru", b"01", b"[1,]", b'quote " and \\ and / and \t and \x01 and \x7f',
         "h\u00e9llo \U0001f600".encode(), b"nul \x00 inside", b"'single'", b'{"a":1} trailing', b"1 2",
         b"\xef\xbb\xbf{}", "\u2028".encode(), b" "]
# No UTF-8: base64.
BINARIES = [b"\xff", bytes(range(256)), b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b'{"k":"\xff"}']


def publish_all(redis, channel, payloads):
    with redis.client() as client:
        for payload in payloads:
            assert client.publish(channel, payload) == 1


def test_raw_is_byte_for_byte(bridge, redis, topic, read):
    payloads = ODD_JSON + TEXTS + BINARIES + [bytes([byte]) for byte in range(256)]
    payloads += [b"\r\n$5\r\nhello\r\n", b"*3\r\n"]
    one = bridge({"all": route(topic, channels=["c"], envelope="raw")})
    publish_all(redis, "c", payloads)
    one.wait_totals(received=len(payloads), pending=0)
    assert [record.value for record in read(topic)] == payloads


def test_event_says_json_text_or_base64(bridge, redis, topic, read):
    one = bridge({"all": route(topic, channels=["c"], value='{"kind": "{{encoding}}", "p": "{{payload}}"}')})
    publish_all(redis, "c", ODD_JSON + TEXTS + BINARIES)
    one.wait_totals(received=len(ODD_JSON + TEXTS + BINARIES), pending=0)
    values = [record.value for record in read(topic)]
    for payload in ODD_JSON:
        assert values.pop(0) == b'{"kind":"json","p":' + payload + b"}"
    for payload in TEXTS:
        assert json.loads(values.pop(0)) == {"kind": "text", "p": payload.decode()}
    for payload in BINARIES:
        assert json.loads(values.pop(0)) == {"kind": "base64", "p": base64.b64encode(payload).decode()}
    assert values == []


@pytest.mark.parametrize("kind", ["auto", "json", "text", "base64"])
def test_payload_setting(bridge, redis, topic, read, kind):
    one = bridge({"all": route(topic, channels=["c"], payload=kind,
                               value='{"kind": "{{encoding}}", "p": "{{payload}}"}')})
    publish_all(redis, "c", [b'{"a": 1}', b"text", b"\xff"])
    expected = {"auto": ["json", "text", "base64"], "json": ["json"], "text": ["text", "text"],
                "base64": ["base64"] * 3}[kind]
    one.wait_totals(received=3, pending=0, dead_lettered=3 - len(expected))
    assert [json.loads(record.value)["kind"] for record in read(topic)] == expected


def test_the_event_preset_keeps_odd_json(bridge, redis, topic, read):
    one = bridge({"all": route(topic, channels=["user_created"], payload_name="user")})
    publish_all(redis, "user_created", ODD_JSON)
    one.wait_totals(received=len(ODD_JSON), pending=0)
    for payload, record in zip(ODD_JSON, read(topic), strict=True):
        head, _, tail = record.value.partition(b'"user":')
        assert tail.strip() == payload + b"}}" or tail == b" " + payload + b"}}"
        assert head.startswith(b'{"name":') and b"user_created" in head


def test_large_payloads(bridge, redis, topic, read):
    random.seed(3)
    sizes = [1024 * 1024, 0, 1024 * 1024 - 1, 16383, 16384, 16385, 65536, 262144 + 1, 1024 * 1024 + 1]
    payloads = [random.randbytes(size) for size in sizes]
    one = bridge({"all": route(topic, channels=["c"], envelope="raw")}, **BIG)
    publish_all(redis, "c", payloads)
    one.wait_totals(received=len(payloads), pending=0)
    assert [record.value for record in read(topic)] == payloads


def test_large_payload_as_base64_and_as_text(bridge, redis, topic, read):
    random.seed(4)
    payloads = [random.randbytes(1024 * 1024), b'"\\' * (256 * 1024)]
    one = bridge({"all": route(topic, channels=["c"])}, **BIG)
    publish_all(redis, "c", payloads)
    one.wait_totals(received=2, pending=0)
    values = [json.loads(record.value)["data"]["payload"] for record in read(topic)]
    assert base64.b64decode(values[0]) == payloads[0]
    assert values[1] == payloads[1].decode()


CHANNELS = [b"bin", b"bin\x00nul\x00", b"bin\xff\xfe", bytes(b"bin") + bytes(range(256)), b"bin\r\n", b'bin"quote\\',
            "bin\u00e9\U0001f600".encode(), b"bin" + b"x" * 5000]


def test_channels_may_be_any_bytes(bridge, redis, topic, make_topic, read):
    one = bridge({"raw": route(topic, patterns=["bin*"], envelope="raw")})
    with redis.client() as client:
        for channel in CHANNELS:
            assert client.publish(channel, channel) == 1
    one.wait_totals(received=len(CHANNELS), pending=0)
    records = read(topic)
    assert [record.value for record in records] == CHANNELS
    assert [record.key for record in records] == CHANNELS
    assert [record.header("rkb-channel") for record in records] == CHANNELS


def test_an_event_of_any_channel_is_json(bridge, redis, topic, read):
    one = bridge({"event": route(topic, patterns=["bin*"])})
    with redis.client() as client:
        for channel in CHANNELS:
            client.publish(channel, b"1")
    one.wait_totals(received=len(CHANNELS), pending=0)
    for channel, record in zip(CHANNELS, read(topic), strict=True):
        name = json.loads(record.value)["name"]
        try:
            assert name == channel.decode()
        except UnicodeDecodeError:
            assert name.startswith("bin")
        assert record.key == channel


def test_a_record_too_large_for_the_journal_is_dropped_and_said(bridge, redis, topic, read):
    one = bridge({"all": route(topic, channels=["c"], envelope="raw")}, journal={"ring_size": "256KiB"})
    payloads = [b"before", b"x" * 300000, b"after"]
    publish_all(redis, "c", payloads)
    stats = one.wait_totals(received=3, pending=0)
    assert [record.value for record in read(topic)] == [b"before", b"after"]
    assert stats["dropped_by_reason"]["too_large"] == 1 == stats["totals"]["dropped"]
    assert [gap.reason for gap in one.gaps()].count("too_large") == 1
