"""The books: they balance in every sample, never go back within a life, and over all lives account for what Kafka
holds.

A life that is killed takes its last figures with it: what is known of it is its last sample. What it had received by
then is in Kafka at the end, or was dropped or filtered by then; so over all lives

    received - dropped - filtered - echoed, as last sampled  <=  different messages in Kafka, dead letters and their
file included
"""

import collections

SIDES = ("received", "recovered")
ENDS = ("delivered", "covered", "dead_lettered", "filtered", "echoed", "dropped", "pending")
NAMES = SIDES + ENDS
LOSING = ("damage", "not_durable")      # gaps whose bound says how much of what was read may be lost


def check(run, found):
    lives = collections.defaultdict(list)
    for row in run.books:
        for line in problems(row["stats"]):
            found.add("books-off", line, f"life {row['life']} at {row['at_us']}")
        lives[row["life"]].append(row)
    for life, rows in lives.items():
        _forward(life, rows, found)
    found.figures.update({"samples": len(run.books), "lives": len(run.lives)})
    last = {life: rows[-1]["stats"]["totals"] for life, rows in lives.items()}
    _over_lives(run, last, found)
    _ends(run, last, found)


def problems(stats):
    """What is wrong with the books of one sample, one line each."""
    wrong = []
    for name, books in [("totals", stats["totals"])] + [("route " + key, one) for key, one in stats["routes"].items()]:
        off = sum(books[side] for side in SIDES) - sum(books[end] for end in ENDS)
        if off:
            wrong.append(f"{name} off by {off}: {books}")
        if min(books[field] for field in NAMES) < 0:
            wrong.append(f"{name} below zero: {books}")
    for field in NAMES:
        total = sum(route[field] for route in stats["routes"].values())
        if total != stats["totals"][field]:
            wrong.append(f"{field}: the routes have {total}, totals {stats['totals'][field]}")
    reasons = sum(stats["dropped_by_reason"].values())
    if reasons != stats["totals"]["dropped"]:
        wrong.append(f"dropped: the reasons have {reasons}, totals {stats['totals']['dropped']}")
    return wrong


def _counters(value, path=""):
    """Every figure that only grows: those of the books but pending, the drop reasons, and whatever ends with _total."""
    for name, inner in value.items():
        here = f"{path}.{name}" if path else name
        if isinstance(inner, dict):
            yield from _counters(inner, here)
        elif isinstance(inner, (int, float)) and not isinstance(inner, bool):
            counts = name in NAMES and name != "pending" or name.endswith("_total")
            if counts or path.endswith(("dropped_by_reason", "_total")):
                yield here, inner


def _forward(life, rows, found):
    last = {}
    for row in rows:
        now = dict(_counters(row["stats"]))
        for name, value in now.items():
            if value < last.get(name, value):
                found.add("counter-back", f"{name} of life {life}", f"{last[name]}, then {value} at {row['at_us']}")
        last = now


def _over_lives(run, last, found):
    total = collections.Counter()
    for totals in last.values():
        total.update(totals)
    different = len(run.seen.uuids)
    filed = run.leftover.get("dead_letter_file") or 0
    excused = sum(gap.bound or 0 for gap in run.gaps if gap.reason in LOSING)
    kept = total["received"] - total["dropped"] - total["filtered"] - total["echoed"]
    if kept > different + filed + excused:
        found.add("vanished", f"{kept - different - filed} messages",
                  f"{kept} were received and not dropped or filtered, Kafka holds {different} different ones, "
                  f"the dead letters' file {filed}")
    if total["received"] > len(run.published):
        found.add("received-too-many", f"{total['received']} received", f"{len(run.published)} were published")
    delivered, records = total["delivered"], run.seen.records - run.seen.dead
    if delivered > records:
        found.add("delivered-not-there", f"{delivered} delivered", f"Kafka holds {records} records")
    found.figures.update({"received": total["received"], "dropped": total["dropped"],
                          "pending": run.leftover.get("pending")})


def _ends(run, last, found):
    """From life to life, where one ended by itself and its last sample is its last word; and the very end."""
    if run.leftover.get("pending") != 0:
        found.add("leftover", f"{run.leftover.get('pending')} messages", "pending at the very end")
    if last and last[max(last)]["pending"] != 0:
        found.add("leftover", f"{last[max(last)]['pending']} messages", "pending in the last sample")
    for life in run.lives:
        following = last.get(life["life"] + 1)
        if life["how"] == "term" and life["code"] == 3 and following and following["recovered"] == 0:
            found.add("recovered", f"life {life['life'] + 1} recovered nothing",
                      f"life {life['life']} ended with 3: records left")
