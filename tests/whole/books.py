"""The books: received + recovered is the sum of all that can become of a message, per route and in total,
at any moment."""

import threading
import time

from control import Control

SIDES = ("received", "recovered")
ENDS = ("delivered", "covered", "dead_lettered", "filtered", "echoed", "dropped", "pending")
NAMES = SIDES + ENDS


def imbalance(books):
    return sum(books[name] for name in SIDES) - sum(books[name] for name in ENDS)


def problems(stats):
    """What is wrong with the books in one answer of `stats json`, one line each; empty when they balance."""
    found = []
    for name, books in [("totals", stats["totals"])] + [("route " + key, route)
                                                        for key, route in stats["routes"].items()]:
        missing = [field for field in NAMES if field not in books]
        if missing:
            found.append(f"{name}: no {', '.join(missing)}")
        elif imbalance(books) != 0:
            found.append(f"{name}: off by {imbalance(books)}: {books}")
        elif any(books[field] < 0 for field in NAMES):
            found.append(f"{name}: a figure below zero: {books}")
    if not found:
        for field in NAMES:
            total = sum(route[field] for route in stats["routes"].values())
            if total != stats["totals"][field]:
                found.append(f"{field}: the routes say {total}, totals {stats['totals'][field]}")
    reasons = sum(stats["dropped_by_reason"].values())
    if reasons != stats["totals"]["dropped"]:
        found.append(f"dropped: the reasons say {reasons}, totals {stats['totals']['dropped']}")
    return found


def assert_balanced(stats):
    assert problems(stats) == [], "the books do not balance: " + "; ".join(problems(stats))


class Sampler:
    """Reads the books every few moments while a scenario runs, over restarts of the bridge,
    and remembers what was wrong."""

    def __init__(self, socket_path, interval=0.08):
        self.socket_path = socket_path
        self.interval = interval
        self.samples = 0
        self.last = None            # the last answer of the process that runs now
        self.problems = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self._end.set()
        self._thread.join(30)

    def _run(self):
        while not self._end.is_set():
            try:
                with Control(self.socket_path) as control:
                    while not self._end.is_set():
                        self._take(control.stats())
                        self._end.wait(self.interval)
            except (OSError, ValueError):       # no bridge there, or killed while it answered
                self._end.wait(self.interval)

    def _take(self, stats):
        self.samples += 1
        self.last = stats
        if len(self.problems) < 10:
            self.problems += [f"{time.time():.3f}: {line}" for line in problems(stats)]
