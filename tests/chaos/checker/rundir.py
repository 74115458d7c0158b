"""A run directory, read: each file into plain rows, times in microseconds since 1970."""

import bisect
import dataclasses
import datetime
import json
import pathlib

US = 1_000_000
NEEDED = {              # of each row of a file
    "published.jsonl": ("p", "n", "c", "sent_us", "answered_us", "receivers"),
    "kafka.jsonl": ("topic", "partition", "offset", "id", "p", "n", "c", "dead"),
    "books.jsonl": ("at_us", "life", "stats"),
    "lives.jsonl": ("life", "how", "code"),
    "process.jsonl": ("at_us", "life", "anon_bytes", "fds", "threads"),
    "faults.jsonl": ("at_us", "until_us", "fault", "on"),
}


@dataclasses.dataclass(frozen=True)
class Gap:
    id: int
    source: str
    reason: str
    begin: int          # microseconds
    end: int | None     # None: open
    bound: int | None

    def __str__(self):
        return (f"gap {self.id} {self.reason} of {self.source}, {clock(self.begin)} to {clock(self.end)}, "
                f"bound {self.bound}")


class Spans:
    """Spans of time, merged: does one of them touch another?"""

    def __init__(self, pairs):
        self.merged = []
        for begin, end in sorted(pairs):
            if self.merged and begin <= self.merged[-1][1]:
                self.merged[-1][1] = max(self.merged[-1][1], end)
            else:
                self.merged.append([begin, end])
        self._begins = [begin for begin, _ in self.merged]

    def touch(self, begin, end):
        at = bisect.bisect_right(self._begins, end) - 1
        return at >= 0 and self.merged[at][1] >= begin

    def total(self):
        return sum(end - begin for begin, end in self.merged)

    def without(self, other):
        """What of these lies in none of the others."""
        left = []
        for begin, end in self.merged:
            for cut_begin, cut_end in other.merged:
                if cut_end <= begin or cut_begin >= end:
                    continue
                if cut_begin > begin:
                    left.append((begin, cut_begin))
                begin = cut_end
                if begin >= end:
                    break
            if begin < end:
                left.append((begin, end))
        return Spans(left)


def clock(us):
    """A time for people, to the millisecond."""
    if us is None:
        return "open"
    return datetime.datetime.fromtimestamp(us / US, datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3]


def parse_time(text):
    """RFC 3339 with milliseconds."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(moment.timestamp()) * US + moment.microsecond


def parse_gap(row):
    """An end is written rounded to milliseconds: it may be as much later."""
    end = row["to"]
    return Gap(row["id"], row["source"], row["reason"], parse_time(row["from"]),
               None if end is None else parse_time(end) + 999, row["bound"])


class RunDirectory:
    def __init__(self, path, found):
        self.path = pathlib.Path(path)
        self.found = found
        self.run = self._document("run.json") or {}
        self.published = self._rows("published.jsonl")
        self.kafka = self._rows("kafka.jsonl")
        self.books = self._rows("books.jsonl")
        self.lives = self._rows("lives.jsonl")
        self.process = self._rows("process.jsonl")
        self.faults = sorted(self._rows("faults.jsonl"), key=lambda row: row["at_us"])
        self.leftover = self._document("leftover.json") or {}
        self.gaps = self._gaps(self._document("gaps.json"))
        self.ended = self.run.get("ended_us") or max([row["at_us"] for row in self.books], default=0)
        self.started = self.run.get("started_us") or min([row["at_us"] for row in self.books], default=0)

    def _text(self, name):
        try:
            return (self.path / name).read_text(errors="replace")
        except OSError as error:
            self.found.add("incomplete", name, str(error))
            return ""

    def log(self):
        return self._text("bridge.log")

    def _document(self, name):
        text = self._text(name)
        try:
            return json.loads(text) if text else None
        except ValueError as error:
            self.found.add("incomplete", name, str(error))
            return None

    def _rows(self, name):
        rows = []
        for number, line in enumerate(self._text(name).splitlines(), 1):
            try:
                row = json.loads(line)
                lacking = [member for member in NEEDED[name] if member not in row] if "bad" not in row else []
                if lacking:
                    raise ValueError(f"no {', '.join(lacking)}")
                rows.append(row)
            except (ValueError, TypeError) as error:
                self.found.add("incomplete", f"{name} line {number}", str(error))
        return rows

    def _gaps(self, answer):
        """`gaps json` answers an object with the list, or the list."""
        rows = answer.get("gaps", []) if isinstance(answer, dict) else answer or []
        try:
            return [parse_gap(row) for row in rows]
        except (KeyError, ValueError, TypeError) as error:
            self.found.add("incomplete", "gaps.json", repr(error))
            return []

    def faults_near(self, begin, end):
        """For evidence: the faults that overlap a span, in words."""
        near = [f"{row['fault']} of {row['on']} {clock(row['at_us'])} to {clock(row['until_us'])}"
                for row in self.faults if row["at_us"] <= end and row["until_us"] >= begin]
        return ", ".join(near) or "no fault then"
