"""Message by message: was what Redis gave to the bridge delivered, under one UUID each, in order, and only that?

    Sent (publisher)  --\\
                          check() --> problems, one line each
    Record --decode--> Seen --/

decode is one of the functions below: what an envelope says about the message in it.
"""

import collections
import dataclasses
import json
import re

UUID7 = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


@dataclasses.dataclass(frozen=True)
class Seen:
    uuid: str
    channel: bytes
    n: int
    document: object        # the payload, parsed
    record: object


def decode_event(payload_name="payload"):
    """A decoder for the preset `event`."""
    def decode(record):
        value = json.loads(record.value)
        is_event = list(value) == ["name", "data"] and list(value["data"]) == ["id", payload_name]
        assert is_event, f"not an event: {record.value!r}"
        document = value["data"][payload_name]
        return Seen(value["data"]["id"], value["name"].encode(), document["n"], document, record)
    return decode


def decode_raw(record):
    """For the preset `raw`."""
    document = json.loads(record.value)
    return Seen(record.header("rkb-id").decode(), record.header("rkb-channel"), document["n"], document, record)


def check(sent, seen, gaps=(), slack=0.0, once=False):
    """What is wrong, one line each.

    sent: Sent that ought to arrive; those without a known number of receivers may. gaps: (from, to) in seconds since
    1970; a message may be missing if it was published inside one. slack: seconds a gap may begin after the message was
    published (it lay between Redis and the bridge). once: nothing may come twice, not even under its own UUID.
    """
    return (_unknown(sent, seen) + _identities(seen) + _order(seen) + _missing(sent, seen, gaps, slack)
            + (_repeats(seen) if once else []))


def _unknown(sent, seen):
    found = []
    documents = {(one.channel, one.n): json.loads(one.payload) for one in sent}
    for one in seen:
        known = documents.get((one.channel, one.n))
        if known is None:
            found.append(f"never published: {one.channel!r} {one.n} ({one.uuid})")
        elif known != one.document:
            found.append(f"payload changed: {one.channel!r} {one.n} ({one.uuid})")
        if not UUID7.match(one.uuid):
            found.append(f"not a UUID of version 7: {one.uuid!r} of {one.channel!r} {one.n}")
    return found


def _identities(seen):
    found = []
    message_of, uuid_of, bytes_of = {}, {}, {}
    for one in seen:
        message = (one.channel, one.n)
        if message_of.setdefault(one.uuid, message) != message:
            found.append(f"one UUID for two messages: {one.uuid}: {message_of[one.uuid]} and {message}")
        elif bytes_of.setdefault(one.uuid, one.record.bytes()) != one.record.bytes():
            found.append(f"sent again with other bytes: {one.uuid} {message}")
        if uuid_of.setdefault(message, one.uuid) != one.uuid:
            found.append(f"one message under two UUIDs: {message}: {uuid_of[message]} and {one.uuid}")
    return found


def _order(seen):
    """By the first occurrence of each UUID, a channel's messages come in the order they were published."""
    found, last, known = [], {}, set()
    for one in seen:
        if one.uuid in known:
            continue
        known.add(one.uuid)
        if one.n < last.get(one.channel, -1):
            found.append(f"out of order: {one.channel!r} {one.n} after {last[one.channel]}")
        last[one.channel] = max(one.n, last.get(one.channel, -1))
    return found


def missing(sent, seen):
    """The messages that had a receiver and did not arrive."""
    arrived = {(one.channel, one.n) for one in seen}
    return [one for one in sent if one.receivers and (one.channel, one.n) not in arrived]


def _missing(sent, seen, gaps, slack):
    return [f"missing: {one.channel!r} {one.n}, published {one.before:.3f} to {one.after:.3f}, in no gap"
            for one in missing(sent, seen)
            if not any(begin - slack <= one.after and one.before <= end for begin, end in gaps)]


def assert_bounds(sent, seen, gaps):
    """Gaps with a bound: not more is missing than it says, in each one alone, and where all have one, in all of them
    together.

    Here a message is missing also where nobody was there to get it. gaps: of the bridge, with begin, end, bound.
    """
    arrived = {(one.channel, one.n) for one in seen}
    absent = [one for one in sent if one.receivers is not None and (one.channel, one.n) not in arrived]
    for gap in gaps:
        def touches(one, other):
            return other.begin <= one.after and (other.end is None or one.before <= other.end + 0.001)
        alone = [one for one in absent if gap.begin <= one.before and gap.end is not None and one.after <= gap.end
                 and not any(touches(one, other) for other in gaps if other.id != gap.id)]
        assert gap.bound is None or len(alone) <= gap.bound, f"{len(alone)} are missing in {gap}"
    if gaps and all(gap.bound is not None for gap in gaps):
        assert len(absent) <= sum(gap.bound for gap in gaps), f"{len(absent)} are missing, in {gaps}"
    return len(absent)


def _repeats(seen):
    counts = collections.Counter((one.channel, one.n) for one in seen)
    return [f"came {count} times: {channel!r} {n}" for (channel, n), count in counts.items() if count > 1]


def assert_delivered(*arguments, **more):
    found = check(*arguments, **more)
    assert found == [], f"{len(found)} problems: " + "; ".join(found[:8])
