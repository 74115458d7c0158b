"""What Kafka holds after a run, record by record (kafka.jsonl): whose it is, and whether it is what was published."""

import base64
import hashlib
import json

import consumer
import payload


def write(world, path, extra):
    """Every record of every topic; returns how many, and how many of them are not what they should be. `extra`:
    the topic of gaps."""
    counts = {"records": 0, "bad": 0}
    with path.open("w") as file:
        for topic in list(world.topics) + ([extra] if extra else []):
            for record in consumer.read_topic(world.kafka.bootstrap, topic, timeout=120):
                line = _line(record, world.seed, topic in world.dead, topic == extra)
                counts["records"] += 1
                counts["bad"] += "bad" in line
                file.write(json.dumps(line) + "\n")
    return counts


def _line(record, seed, dead, gap):
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    try:
        key = None if record.key is None else record.key.decode()
        line = {**place, "key": key, "id": None, "p": None, "n": None, "c": None, "dead": dead, "gap": None,
                "digest": _digest(record)}
        if gap:
            return {**line, "gap": json.loads(record.value)}
        uuid, data = _as_it_came(record) if dead or record.header("rkb-id") else _from_document(record)
        p, n, c = payload.identity(data)
        if payload.make(seed, p, n, c)[1] != data:
            raise ValueError(f"not the payload of {p}/{n} on {c}")
        return {**line, "id": uuid, "p": p, "n": n, "c": c}
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        return {"bad": f"{type(error).__name__}: {error}"[:200], **place}


def _digest(record):
    """Of all that must be the same when it is sent again."""
    return hashlib.blake2b(repr(record.bytes()).encode(), digest_size=8).hexdigest()


def _as_it_came(record):
    """Preset raw, and dead letters: the payload is the value."""
    return record.header("rkb-id").decode(), record.value


def _from_document(record):
    """Presets event and flat. JSON stands there byte for byte, text as a string, other bytes as base64."""
    document = json.loads(record.value)
    event = "data" in document
    held = document["data"] if event else document
    message = held["payload"]
    if isinstance(message, dict):
        data = _original(record.value, event)
    elif message[:1] == "{":
        data = message.encode()
    else:
        data = base64.b64decode(message, validate=True)
    name = document["name"]
    if payload.identity(data)[2] != name:
        raise ValueError(f"of channel {payload.identity(data)[2]}, but named {name}")
    return held["id"], data


def _original(value, event):
    """The text of the payload in the document, which ends with it."""
    begin = value.index(b'"payload"') + len(b'"payload"')
    begin = value.index(b"{", begin)
    end = value.rindex(b"}")
    return value[begin:value.rindex(b"}", 0, end) if event else end].rstrip()
