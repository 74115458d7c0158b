"""The processes: how each ended, and whether memory, descriptors and threads stayed flat while it lived.

What a life took at most in its first third (and at least its first 10 s) is what it may take; its last tenth is
compared with it, by the middle one of its samples, so that a burst at the end is no growth. Lives under 30 s are not
compared. A build with sanitizers keeps freed memory back, so there memory is not compared.
"""

import collections
import statistics

from .rundir import US

SHORTEST, FIRST = 30 * US, 10 * US
# figure: code, factor, and what it may grow besides
ALLOWED = {"anon_bytes": ("memory", 1.2, 8 << 20), "fds": ("descriptors", 1.0, 8), "threads": ("threads", 1.0, 4)}


def check(run, found):
    for life in run.lives:
        wrong = _end(life)
        if wrong:
            found.add("life-ended", f"life {life['life']}", wrong)
    lives = collections.defaultdict(list)
    for row in run.process:
        lives[row["life"]].append(row)
    compared = [life for life, rows in lives.items() if rows[-1]["at_us"] - rows[0]["at_us"] >= SHORTEST]
    for life in compared:
        _flat(life, lives[life], run.run.get("sanitizer"), found)
    found.figures.update({"lives_compared": len(compared),
                          "most_memory": max((row["anon_bytes"] for row in run.process), default=0)})


def _end(life):
    how, code = life["how"], life["code"]
    if how == "kill":
        return None if code in (-9, None) else f"was killed and ended with {code}"
    if how == "exit":
        return f"ended by itself with {code}"
    good = (0, 3) if how == "term" else (0,)
    return None if code in good else f"was told to end ({how}) and ended with {code}"


def _flat(life, rows, sanitizer, found):
    begin, end = rows[0]["at_us"], rows[-1]["at_us"]
    first = [row for row in rows if row["at_us"] <= begin + max(FIRST, (end - begin) // 3)]
    last = [row for row in rows if row["at_us"] >= end - (end - begin) // 10]
    for name, (code, factor, more) in ALLOWED.items():
        if name == "anon_bytes" and sanitizer:
            continue
        before, now = max(row[name] for row in first), statistics.median(row[name] for row in last)
        if now > before * factor + more:
            found.add(code, f"{name} of life {life}", f"at most {before} in the first third, {now:.0f} at the end")
