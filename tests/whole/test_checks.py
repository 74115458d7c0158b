"""A route's checks: what keeps to them arrives, what does not is a dead letter with its reason,
what is filtered goes nowhere."""

import json

import pytest

from bridge import route
from consumer import read_topic

SCHEMA = {"properties": {"price": {"type": "number", "exclusiveMinimum": 0}}, "not": {"required": ["secret"]}}
HOSTILE = b'{"product_code": "ABC-1", "inventory_count": 1, "note": "' + b"a" * 60 + b'!"}'

# A payload, and what becomes of it: None, "filtered", or the code and reason of a dead letter.
CASES = [
    (b'{"product_code": "ABC-12", "inventory_count": 3}', None),
    (b'{"product_code": "\\u0041BC-1", "inventory_count": 1e400, "price": 0.10}', None),
    (b' {"inventory_count": -1, "inventory_count": 12345678901234567890, "product_code": "XYZ-0"} ', None),
    (b'{"product_code": "ABC-12", "inventory_count": -3}', ("expect", "/inventory_count: below min 0")),
    (b'{"product_code": "ABC-12", "inventory_count": 1.5}', ("expect", "/inventory_count: not of type integer")),
    (b'{"product_code": "abc", "inventory_count": 3}',
     ("expect", "/product_code: does not match pattern ^[A-Z]{3}-[0-9]+$")),
    (b'{"product_code": "ABC-12\\n", "inventory_count": 3}',
     ("expect", "/product_code: does not match pattern ^[A-Z]{3}-[0-9]+$")),
    (b'{"inventory_count": 3}', ("expect", "/product_code: not there")),
    (HOSTILE, ("expect", "/note: search given up, it takes too long: pattern ^(a+)+$")),
    (b'[{"product_code": "ABC-12", "inventory_count": 3}]', ("require", "not an object")),
    (b'{"product_code": "ABC-12", "inventory_count": 3', ("require", "not JSON")),
    (b"\xff\x00 no text", ("require", "not JSON")),
    (b'{"product_code": "ABC-12", "inventory_count": 3, "price": 0}', ("schema", "/price: exclusiveMinimum")),
    (b'{"product_code": "ABC-12", "inventory_count": -3, "test": null}', "filtered"),
]


@pytest.fixture
def checked(make_bridge, redis, tmp_path):
    schema = tmp_path / "inventory.schema.json"
    schema.write_text(json.dumps(SCHEMA))
    return make_bridge({"routes": {"inventory": route(
        "inventory", channels=["stock"], envelope="raw", dead_letter="letters", require="object", schema=str(schema),
        filter={"at": "/test", "exists": "no"},
        expect=[{"at": "/inventory_count", "type": "integer", "min": 0},
                {"at": "/product_code", "pattern": "^[A-Z]{3}-[0-9]+$"},
                {"at": "/note", "pattern": "^(a+)+$", "optional": "yes"}])}}, redis=redis).start("--embedded-kafka")


def test_every_check(checked, redis):
    """Each case many times, in one stream: the good ones in their order, each bad one with its own reason,
    byte for byte."""
    rounds = 20
    client = redis.client()
    for _ in range(rounds):
        pipeline = client.pipeline(transaction=False)
        for payload, _ in CASES:
            pipeline.publish("stock", payload)
        pipeline.execute()
    stats = checked.wait_totals(30, received=rounds * len(CASES), pending=0)
    good = [payload for payload, fate in CASES if fate is None] * rounds
    bad = [(payload, *fate) for payload, fate in CASES if isinstance(fate, tuple)] * rounds
    books = stats["routes"]["inventory"]
    assert (books["delivered"], books["filtered"], books["dead_lettered"]) == (len(good), rounds, len(bad))
    bootstrap = stats["kafka"]["bootstrap_servers"]
    assert [record.value for record in read_topic(bootstrap, "inventory")] == good
    letters = [(record.value, record.header("rkb-error-code").decode(), record.header("rkb-error").decode())
               for record in read_topic(bootstrap, "letters")]
    for (value, code, reason), (payload, wanted, why) in zip(letters, bad, strict=True):
        assert (value, code) == (payload, wanted) and reason.startswith(why)
    assert "ABC-12" not in checked.stderr()
    assert checked.terminate() == 0
