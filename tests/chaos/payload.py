"""What the message (publisher, number, channel) of a seed holds: publishers make it, and what came out of Kafka is
compared with it.

Most are JSON objects of 40 to 400 bytes; some are large, some too large, some are followed by text or by bytes that are
no text.
"""

import json
import random

LIMIT = 16384           # max_message_size
FORMS = {"json": b"", "text": b" and some words, \xc3\xa9\xe2\x82\xac", "bytes": b"\x00\xff\xfe"}
_decoder = json.JSONDecoder()


def make(seed, publisher, number, channel):
    """(form, bytes)"""
    draw = random.Random(f"{seed}/{publisher}/{number}/{channel}")
    kind = draw.random()
    if kind < 0.0003:
        size = draw.randint(LIMIT, LIMIT + 4000)
    elif kind < 0.01:
        size = draw.randint(4000, LIMIT - 400)
    else:
        size = draw.randint(0, 360)
    form = draw.choices(["json", "text", "bytes"], [96, 2, 2])[0]
    pad = "%x" % draw.getrandbits(4 * size) if size else ""
    document = {"p": publisher, "n": number, "c": channel, "x": pad}
    return form, json.dumps(document, separators=(",", ":")).encode() + FORMS[form]


def identity(data):
    """(publisher, number, channel) of a payload as it was published, whatever its form; ValueError if it is none."""
    document, _ = _decoder.raw_decode(data.decode("latin-1"))
    return document["p"], document["n"], document["c"]
