"""What is wrong, each with a code, what it is about and the evidence; and the figures of the run."""

import collections

CODES = {
    "incomplete": "a file of the run directory lacks or cannot be read",
    "lost": "a message that Redis gave to somebody is not in Kafka, and was published in no gap",
    "untold": "a message that Redis had nobody to give to was published in no gap",
    "vanished": "the bridge received more messages than Kafka and its drops account for",
    "never-published": "Kafka holds a message that nobody published",
    "bad-record": "a record does not hold what was published",
    "two-uuids": "one message under two UUIDs",
    "shared-uuid": "one UUID for two messages",
    "other-bytes": "sent again under its UUID with other bytes",
    "dead-and-delivered": "one message is delivered and a dead letter",
    "out-of-order": "by first occurrence a channel's messages are not in the order they were published",
    "delivered-not-there": "the bridge says it delivered more than Kafka holds",
    "received-too-many": "the bridge says it received more than was published",
    "books-off": "the books do not balance",
    "counter-back": "a counter went back within a life",
    "recovered": "a life that ended clean and drained left something to recover, or left something and nothing was "
                 "recovered",
    "leftover": "something was still pending at the very end",
    "gap-open": "a gap is still open at the end",
    "gap-backwards": "a gap ends before it begins",
    "gap-bound": "more messages are missing than a gap's bound says",
    "gap-bound-reset": "a gap claims a bound although Redis began to count anew in it",
    "gap-topic": "the topic of gaps says something else than the ledger",
    "gap-without-cause": "a gap with no fault near it",
    "gaps-everywhere": "gaps cover much of the time in which nothing was wrong",
    "memory": "anonymous memory grew",
    "descriptors": "open files grew",
    "threads": "threads grew",
    "log-unlisted": "a line of the log of a kind that the troubleshooting list does not name",
    "log-foreign": "a line of standard error that is not the bridge's own",
    "sanitizer": "a sanitizer's report",
    "life-ended": "the bridge ended by itself, or otherwise than it was told to",
}
SHOWN = 8           # of one code; the others are counted


class Findings:
    def __init__(self):
        self.counts = collections.Counter()
        self.shown = []
        self.figures = {}

    def add(self, code, about, evidence=""):
        assert code in CODES, code
        self.counts[code] += 1
        if self.counts[code] <= SHOWN:
            self.shown.append({"code": code, "about": about, "evidence": evidence})

    def lines(self):
        """For people: each finding, then what was not shown, then the figures."""
        for one in self.shown:
            yield f"{one['code']}: {one['about']}" + (f" ({one['evidence']})" if one["evidence"] else "")
        for code, count in self.counts.items():
            yield f"{count} times {code}: {CODES[code]}"
        yield ", ".join(f"{name} {value}" for name, value in self.figures.items()
                        if not isinstance(value, (dict, list)))

    def document(self):
        return {"ok": not self.counts, "counts": dict(self.counts), "findings": self.shown, "figures": self.figures}
