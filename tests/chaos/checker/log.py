"""The log of all lives: every warning and error is of a kind that the troubleshooting list names; nothing else is on
standard error.

The list is doc/events.md. A line without an event may be one of PLAIN.
"""

import collections
import pathlib
import re

LIST = pathlib.Path(__file__).resolve().parents[3] / "doc" / "events.md"
LINE = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (error|warn|info|debug) ([^ ]+): (.*?)"
                  r"(?: event=([a-z_]+))?$")
BEGIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:error|warn|info|debug) ")
SANITIZER = re.compile(r"AddressSanitizer|UndefinedBehavior|ThreadSanitizer|LeakSanitizer|runtime error:")
PLAIN = ()


def listed(text):
    """The words in the first column of its tables."""
    words = set()
    for row in re.findall(r"^\| (`[a-z_`, ]+`) \|", text, re.M):
        words.update(re.findall(r"`([a-z_]+)`", row))
    return words


def check(run, found, events=None):
    events = events or listed(LIST.read_text())
    said = collections.Counter()
    for number, line in enumerate(run.log().splitlines(), 1):
        _line(number, _whole(line), events, said, found)
    found.figures.update({"log_lines": sum(said.values()), "events": dict(said)})


def _whole(line):
    """A process that is killed as it writes leaves a piece of a line; the next one's first follows on it."""
    begins = [match.start() for match in BEGIN.finditer(line)]
    return line[begins[-1]:] if begins else line


def _line(number, line, events, said, found):
    if not line.strip():
        return
    match = LINE.match(line)
    if SANITIZER.search(line):
        found.add("sanitizer", f"bridge.log line {number}", line[:300])
    elif not match:
        found.add("log-foreign", f"bridge.log line {number}", line[:300])
    else:
        _, level, _, text, event = match.groups()
        said[event or "none"] += 1
        if level in ("error", "warn") and event not in events and not any(re.search(plain, text) for plain in PLAIN):
            found.add("log-unlisted", f"event {event}, line {number}", line[:300])
