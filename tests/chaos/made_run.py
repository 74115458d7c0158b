"""Run directories made by hand, for the checker's own tests: one that is clean, and what is changed in it.

Three channels, two publishers, 40 s: a first life of 20 s that is killed, a second to the end; Redis was gone from 10.0
to 10.5 s, and what was published between 20.0 and 20.4 s had nobody to be given to.
"""

import copy
import json

START = 1_700_000_000_000_000
US = 1_000_000
LOG = """\
2026-01-01T00:00:00.000Z info rkbridge: started event=started
2026-01-01T00:00:10.000Z warn source[legacy]: connection lost, retry in 20 ms event=connection_lost
2026-01-01T00:00:20.000Z warn journal: torn2026-01-01T00:00:20.400Z info rkbridge: started event=started
"""


def at(seconds):
    return START + round(seconds * US)


def time(seconds):
    """As the ledger writes it; runs by hand are within one minute."""
    return f"2023-11-14T22:13:{20 + seconds:06.3f}Z"


def gap(number, begin, end, reason, bound=None):
    return {"id": number, "source": "legacy", "from": time(begin), "to": None if end is None else time(end),
            "reason": reason, "bound": bound}


def totals(**figures):
    names = ("received", "recovered", "delivered", "covered", "dead_lettered", "filtered", "echoed", "dropped",
             "pending")
    return {**dict.fromkeys(names, 0), **figures}


def stats(connections=1, **figures):
    books = totals(**figures)
    return {"totals": books, "routes": {"one": dict(books)}, "dropped_by_reason": {"journal_full": books["dropped"]},
            "sources": {"legacy": {"connections_total": connections}}, "kafka": {"errors_total": {"timeout": 0}}}


class MadeRun:
    """Its members are the files; change them, then write()."""

    def __init__(self):
        self.run = {"gap_topic": None, "started_us": START, "ended_us": at(40), "sanitizer": False}
        self.published, self.kafka = [], []
        self.faults = [{"at_us": at(10), "until_us": at(10.5), "fault": "kill", "on": "redis", "detail": None},
                       {"at_us": at(20), "until_us": at(20.3), "fault": "kill", "on": "bridge", "detail": None}]
        self.gaps = [gap(5, 9.99, 10.6, "connection_lost"), gap(9, 19.99, 20.4, "restart", 40)]
        self.lives = [{"life": 1, "pid": 1, "started_us": START, "ended_us": at(20), "how": "kill", "code": -9},
                      {"life": 2, "pid": 2, "started_us": at(20.3), "ended_us": at(40), "how": "end", "code": 0}]
        self.leftover = {"pending": 0, "code": 0}
        self.log = LOG
        self._publish()
        got = len([row for row in self.kafka if row["offset"] >= 0])
        first = sum(row["sent_us"] < at(19) for row in self.published) - 15
        self.books = [self.sample(1, 1, received=10, delivered=9, pending=1),
                      self.sample(19, 1, received=first, delivered=first - 5, pending=5),
                      self.sample(21, 2, received=0, recovered=8, delivered=0, pending=8),
                      self.sample(39, 2, received=got - first - 3, recovered=8, delivered=got - first + 5)]
        self.process = [{"at_us": at(second / 2), "life": 1 if second < 40 else 2, "anon_bytes": 9 << 20, "fds": 30,
                         "threads": 8}
                        for second in range(80)]

    def _publish(self):
        """10 a second and channel; what came within a gap is missing."""
        for number in range(400):
            moment = number / 10 + 0.01
            for c in ("a", "b", "c"):
                away = 9.999 < moment < 10.5 or 19.999 < moment < 20.4
                p, n = number % 2 + 1, number // 2 + 1
                self.published.append({"p": p, "n": n, "c": c, "sent_us": at(moment),
                                       "answered_us": at(moment + 0.0005),
                                       "receivers": 0 if away else 1, "error": None})
                if not away:
                    self.kafka.append(self.record(p, n, c, len(self.kafka)))

    @staticmethod
    def record(p, n, c, offset, **more):
        return {"topic": "t", "partition": 0, "offset": offset, "key": c, "id": f"uuid-{p}-{n}-{c}", "p": p, "n": n,
                "c": c,
                "dead": False, "gap": None, "digest": f"{p}{n}{c}", **more}

    @staticmethod
    def sample(second, life, **figures):
        return {"at_us": at(second), "life": life, "stats": stats(**figures)}

    def drop(self, c, begin, end):
        """Takes what was published on a channel in that time out of Kafka; returns how many."""
        gone = {(row["p"], row["n"], row["c"]) for row in self.published if row["c"] == c
                and at(begin) <= row["sent_us"] < at(end)}
        before = len(self.kafka)
        self.kafka = [row for row in self.kafka if (row["p"], row["n"], row["c"]) not in gone]
        return before - len(self.kafka)

    def again(self, index, **changes):
        """One more record at the end, as the one at index but for the changes."""
        row = copy.deepcopy(self.kafka[index])
        self.kafka.append({**row, "offset": len(self.kafka), **changes})

    def write(self, directory):
        for name in ("published", "kafka", "books", "lives", "process", "faults"):
            (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in getattr(self, name)))
        for name, document in (("run", self.run), ("gaps", {"gaps": self.gaps}), ("leftover", self.leftover)):
            (directory / f"{name}.json").write_text(json.dumps(document))
        (directory / "bridge.log").write_text(self.log)
