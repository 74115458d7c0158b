"""The main job: what is published in Redis arrives in Kafka, once, in order, in its envelope."""

import json
import re

from bridge import parse_time, route
from delivery import UUID7, assert_delivered, decode_event, decode_raw


def test_user_created_to_user_activity(bridge, publisher, make_topic, read):
    topic = make_topic("user_activity", partitions=3)
    one = bridge({"users": route(topic, channels=["user_created", "user_deleted"], key="{{channel}}", envelope="event",
                                 payload_name="user")})
    assert publisher.publish("user_created", "user_deleted", count=500) == 1000
    stats = one.wait_totals(received=1000, pending=0)
    records = read(topic)
    assert_delivered(publisher.sent, [decode_event("user")(record) for record in records], once=True)
    assert len(records) == 1000 == stats["totals"]["delivered"] == stats["routes"]["users"]["delivered"]
    assert {record.key for record in records} == {b"user_created", b"user_deleted"}


def test_product_inventory_updates_with_a_value_template(bridge, publisher, make_topic, read):
    topic = make_topic("inventory")
    template = """{
        "sku":  "{{payload}}",  "text": "{{payload_text}}", "base64": "{{payload_base64}}", "kind": "{{encoding}}",
        "where": ["{{source}}", "{{route}}", "{{instance}}", "{{channel}}", "{{pattern}}"],
        "when": {"time": "{{time}}", "ms": "{{time_ms}}", "both": "at {{time_ms}} in \\"{{channel}}\\""},
        "id": "{{uuid}}", "position": "{{position}}", "braces": "{{{{uuid}}", "fixed": [1, 2.50, null, true]
    }"""
    one = bridge({"inventory": route(topic, channels=["product_inventory_updates"], key="{{source}}/{{channel}}",
                                     value=template)})
    publisher.publish("product_inventory_updates", count=20)
    one.wait_totals(received=20, pending=0)
    records = read(topic)
    assert [record.key for record in records] == [b"legacy/product_inventory_updates"] * 20
    positions = []
    for sent, record in zip(publisher.sent, records, strict=True):
        value = json.loads(record.value)
        assert list(value) == ["sku", "text", "base64", "kind", "where", "when", "id", "position", "braces", "fixed"]
        assert value["sku"] == json.loads(sent.payload) == json.loads(value["text"])
        assert sent.payload in record.value
        assert value["kind"] == "json"
        assert value["where"] == ["legacy", "inventory", "test", "product_inventory_updates", None]
        assert isinstance(value["when"]["ms"], int)
        assert abs(parse_time(value["when"]["time"]) * 1000 - value["when"]["ms"]) < 1
        assert sent.before - 0.1 <= value["when"]["ms"] / 1000 <= sent.after + 10
        assert value["when"]["both"] == f'at {value["when"]["ms"]} in "product_inventory_updates"'
        assert UUID7.match(value["id"])
        assert value["braces"] == "{{uuid}}"
        assert b'"fixed":[1,2.50,null,true]' in record.value
        positions.append(value["position"])
    assert all(re.fullmatch(r"[0-9a-f]{32}:[0-9]+", position) for position in positions)
    assert len(set(positions)) == 20


def test_raw_envelope_with_its_headers(bridge, publisher, topic, read):
    one = bridge({"all": route(topic, channels=["exact"], patterns=["some.*"], envelope="raw")})
    publisher.publish("exact", "some.thing", count=5)
    one.wait_totals(received=10, pending=0)
    records = read(topic)
    assert_delivered(publisher.sent, [decode_raw(record) for record in records], once=True)
    payloads = {(sent.channel, sent.payload) for sent in publisher.sent}
    for record in records:
        channel = record.header("rkb-channel")
        assert (channel, record.value) in payloads
        assert record.key == channel
        assert record.header("rkb-pattern") == (b"some.*" if channel == b"some.thing" else None)
        assert record.header("rkb-source") == b"legacy"
        assert record.header("rkb-encoding") == b"json"
        assert re.fullmatch(rb"[0-9a-f]{32}:[0-9]+", record.header("rkb-position"))
        parse_time(record.header("rkb-time").decode())


def test_patterns(bridge, publisher, topic, read):
    one = bridge({"all": route(topic, patterns=["user.*", "order.[0-9]?", "x\\*y"])})
    assert publisher.publish("user.", "user.created", "order.42", "x*y", count=50) == 200
    assert publisher.publish("users", "order.x2", "order.421", "xzy", count=5) == 0
    one.wait_totals(received=200, pending=0)
    assert_delivered(publisher.received(), [decode_event()(record) for record in read(topic)], once=True)
    assert one.totals()["received"] == 200


def test_two_routes_to_two_topics(bridge, publisher, make_topic, read):
    first, second = make_topic("first", partitions=2), make_topic("second")
    one = bridge({"a": route(first, channels=["a1", "a2"]),
                  "b": route(second, patterns=["b*"], envelope="raw", key="")})
    publisher.publish("a1", "b1", "a2", "b2", count=100)
    stats = one.wait_totals(received=400, pending=0)
    sent = {name: [one for one in publisher.sent if one.channel.startswith(name)] for name in (b"a", b"b")}
    assert_delivered(sent[b"a"], [decode_event()(record) for record in read(first)], once=True)
    assert_delivered(sent[b"b"], [decode_raw(record) for record in read(second)], once=True)
    assert all(record.key is None for record in read(second)), "an empty key is no key"
    assert [stats["routes"][name]["delivered"] for name in "ab"] == [200, 200]


def test_two_sources(make_bridge, make_redis, make_publisher, kafka, make_topic, read):
    servers = [make_redis(), make_redis()]
    publishers = [make_publisher(server) for server in servers]
    topics = [make_topic("left"), make_topic("right")]
    one = make_bridge({"redis": {"legacy": {"url": servers[0].url()}, "other": {"url": servers[1].url()}},
                       "routes": {"left": route(topics[0], channels=["same"], envelope="raw"),
                                  "right": {**route(topics[1], channels=["same"], envelope="raw"), "source": "other"}}},
                      kafka=kafka.bootstrap).start()
    for _ in range(10):
        for publisher in publishers:
            publisher.publish("same", count=10)
    stats = one.wait_totals(received=200, pending=0)
    for publisher, topic, name in zip(publishers, topics, [b"legacy", b"other"]):
        records = read(topic)
        assert_delivered(publisher.sent, [decode_raw(record) for record in records], once=True)
        assert {record.header("rkb-source") for record in records} == {name}
    uuids = {record.header("rkb-id") for topic in topics for record in read(topic)}
    assert len(uuids) == 200, "the same bytes on two sources are two messages"
    assert {name: source["subscribed"] for name, source in stats["sources"].items()} == {"legacy": 1, "other": 1}


def test_the_same_bytes_twice_are_two_messages(bridge, redis, topic, read):
    one = bridge({"all": route(topic, channels=["c"], envelope="raw")})
    with redis.client() as client:
        for _ in range(100):
            client.publish("c", b"the same")
    one.wait_totals(received=100, pending=0)
    records = read(topic)
    assert [record.value for record in records] == [b"the same"] * 100
    assert len({record.header("rkb-id") for record in records}) == 100


def test_many_channels_in_batches(bridge, publisher, topic, read):
    """More subscriptions than go into one SUBSCRIBE."""
    channels = [f"channel:{number}:{'x' * (number % 60)}" for number in range(2500)]
    one = bridge({"all": route(topic, channels=channels, envelope="raw")})
    assert one.stats()["sources"]["legacy"]["subscribed"] == 2500
    assert publisher.publish(*channels) == 2500
    one.wait_totals(received=2500, pending=0)
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(topic)], once=True)
