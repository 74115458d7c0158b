"""Message by message and UUID by UUID: published, given to somebody, in Kafka, or missing; and in what order.

A message is (publisher, number, channel). One that Redis answered was published at some moment between sent_us and
answered_us. One without an answer may be there or not, and may have been published at any time since.
"""

import collections

from .rundir import Spans, clock

# Gaps that say something else than that messages were missed.
NO_LOSS = ("not_durable",)


def check(run, found):
    sent = {(row["p"], row["n"], row["c"]): row for row in run.published}
    seen = Seen(run.kafka, sent, found)
    _order(seen, sent, found)
    missing = missing_of(run, seen.uuids)
    _missing(run, missing, found)
    _figures(run, seen, missing, found)
    run.missing, run.seen = missing, seen


class Seen:
    """What Kafka holds, and what is wrong with it in itself."""

    def __init__(self, rows, sent, found):
        self.uuids = {}                         # message: its UUID
        self.first = collections.defaultdict(list)   # (topic, partition): messages by first occurrence
        self.records = self.duplicates = self.dead = 0
        self._message_of, self._digest_of, self._dead_of = {}, {}, {}
        for row in rows:
            if row.get("bad"):
                found.add("bad-record", _place(row), row["bad"])
            elif row.get("gap") is None:
                self._take(row, sent, found)

    def _take(self, row, sent, found):
        message, uuid = (row["p"], row["n"], row["c"]), row["id"]
        self.records += 1
        if message not in sent:
            found.add("never-published", _name(message), _place(row))
            return
        again = self._message_of.get(uuid) == message
        if not again and uuid in self._message_of:
            found.add("shared-uuid", uuid, f"{_name(self._message_of[uuid])} and {_name(message)} at {_place(row)}")
        self._message_of.setdefault(uuid, message)
        known = message in self.uuids
        if self.uuids.setdefault(message, uuid) != uuid:
            found.add("two-uuids", _name(message), f"{self.uuids[message]} and {uuid} at {_place(row)}")
        dead = bool(row["dead"])
        if self._dead_of.setdefault(message, dead) != dead:
            found.add("dead-and-delivered", _name(message), _place(row))
        self.dead += dead
        self.duplicates += again
        digest = row.get("digest")
        if digest is not None and self._digest_of.setdefault((message, uuid, row["topic"]), digest) != digest:
            found.add("other-bytes", _name(message), f"{uuid} at {_place(row)}")
        if not known:
            self.first[row["topic"], row["partition"]].append((message, row["offset"]))


def _order(seen, sent, found):
    """By first occurrence within a partition: a publisher's numbers on a channel ascend,
    and what was answered before another was sent comes first."""
    for (topic, partition), messages in seen.first.items():
        last, latest = {}, {}
        for message, offset in messages:
            p, n, c = message
            row, place = sent[message], f"{topic} {partition} offset {offset}"
            if row["answered_us"] is not None:
                before = last.get((p, c), 0)
                if n < before:
                    found.add("out-of-order", _name(message), f"after {before} at {place}")
                last[p, c] = max(n, before)
                other, when = latest.get(c, (None, 0))
                if when > row["answered_us"]:
                    found.add("out-of-order", _name(message),
                              f"after {_name(other)}, which was sent when this one was answered; {place}")
            if row["sent_us"] > latest.get(c, (None, 0))[1]:
                latest[c] = message, row["sent_us"]


def missing_of(run, arrived):
    """Rows of what was published for certain and is not in Kafka."""
    return [row for row in run.published if row["receivers"] is not None
            and (row["p"], row["n"], row["c"]) not in arrived]


def gap_spans(run):
    """The time in which messages may be missing."""
    return Spans((gap.begin, gap.end or run.ended) for gap in run.gaps if gap.reason not in NO_LOSS)


def _missing(run, missing, found):
    spans = gap_spans(run)
    for row in missing:
        if not spans.touch(row["sent_us"], row["answered_us"]):
            found.add("lost" if row["receivers"] else "untold", _name((row["p"], row["n"], row["c"])),
                      f"published {clock(row['sent_us'])} to {clock(row['answered_us'])}, "
                      f"{row['receivers']} receivers, {_distance(run, row)}; "
                      f"{run.faults_near(row['sent_us'] - 3_000_000, row['answered_us'] + 1_000_000)}")


def _distance(run, row):
    """How far the nearest gaps are, in words."""
    after = [gap for gap in run.gaps if gap.begin > row["answered_us"]]
    before = [gap for gap in run.gaps if (gap.end or run.ended) < row["sent_us"]]
    words = []
    if before:
        gap = max(before, key=lambda one: one.end or run.ended)
        words.append(f"{(row['sent_us'] - (gap.end or run.ended)) / 1000:.1f} ms after the {gap}")
    if after:
        gap = min(after, key=lambda one: one.begin)
        words.append(f"{(gap.begin - row['answered_us']) / 1000:.1f} ms before the {gap}")
    return "; ".join(words) or "no gap at all"


def _figures(run, seen, missing, found):
    found.figures.update({
        "published": sum(row["receivers"] is not None for row in run.published),
        "unanswered": sum(row["receivers"] is None for row in run.published),
        "records": seen.records, "delivered": len(seen.uuids), "dead": seen.dead, "duplicates": seen.duplicates,
        "missing": len(missing), "missing_with_receiver": sum(bool(row["receivers"]) for row in missing),
    })


def _name(message):
    p, n, c = message
    return f"{p}/{n} on {c}"


def _place(row):
    return f"{row['topic']} {row['partition']} offset {row['offset']}"
