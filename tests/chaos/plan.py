"""The schedule of a run: which fault begins when, on what, for how long, from the seed alone.

At most two faults at once, and never two on one thing. A run of two minutes or more has at least one of each of MUST.
"""

import dataclasses
import random

# fault, what it is on, how often (weight), shortest and longest duration in seconds. faults.py does them; README.md
# explains them.
FAULTS = [
    ("kill", "bridge", 4, 0.1, 2.0),
    ("restart", "bridge", 3, 0.1, 2.0),
    ("freeze", "bridge", 3, 0.2, 0.9),
    ("freeze_long", "bridge", 2, 2.5, 6.0),
    ("kill", "redis", 2, 0.1, 3.0),
    ("restart", "redis", 2, 0.1, 3.0),
    ("freeze", "redis", 3, 0.3, 5.0),
    ("sleep", "redis", 2, 0.3, 4.0),
    ("client_kill", "redis", 3, 0.0, 0.5),
    ("client_pause", "redis", 2, 0.5, 3.0),
    ("resetstat", "redis", 2, 0.0, 0.1),
    ("acl", "redis", 2, 0.5, 4.0),
    ("slow_reader", "redis_link", 2, 3.0, 6.0),
    ("cut", "redis_link", 3, 0.0, 0.5),
    ("refuse", "redis_link", 2, 0.5, 4.0),
    ("stall", "redis_link", 3, 0.3, 5.0),
    ("slow", "redis_link", 2, 1.0, 5.0),
    ("split", "redis_link", 3, 2.0, 8.0),
    ("half_open_ours", "redis_link", 2, 1.0, 6.0),
    ("half_open_theirs", "redis_link", 2, 1.0, 6.0),
    ("half_open", "redis_link", 2, 1.0, 6.0),
    ("kill", "kafka", 1, 0.1, 3.0),
    ("restart", "kafka", 1, 0.1, 3.0),
    ("freeze", "kafka", 2, 0.5, 8.0),
    ("cut", "kafka_link", 3, 0.0, 0.5),
    ("refuse", "kafka_link", 2, 0.5, 12.0),
    ("stall", "kafka_link", 3, 0.3, 8.0),
    ("slow", "kafka_link", 2, 1.0, 5.0),
    ("split", "kafka_link", 2, 2.0, 6.0),
    ("half_open_ours", "kafka_link", 1, 1.0, 6.0),
    ("half_open_theirs", "kafka_link", 2, 1.0, 6.0),
    ("half_open", "kafka_link", 1, 1.0, 6.0),
    ("full", "disk", 4, 1.0, 8.0),
]
MUST = [("kill", "bridge"), ("full", "disk"), ("stall", "kafka_link"), ("half_open", "redis_link")]
CALM = 4.0              # seconds before the first fault and after the last


@dataclasses.dataclass(frozen=True)
class Fault:
    at: float           # seconds from the begin of the run
    lasts: float
    fault: str
    on: str


def schedule(seed, minutes):
    """Faults in the order of their begin."""
    draw = random.Random(f"{seed}/plan")
    end = minutes * 60 - CALM
    wanted = list(MUST) + [draw.choice([("kill", "kafka"), ("restart", "kafka")])] if minutes >= 2 else []
    draw.shuffle(wanted)
    places = sorted(draw.uniform(CALM, end - 20) for _ in wanted)
    made, clock = [], CALM
    while clock < end:
        due = places and places[0] <= clock
        row = _row(*wanted[0]) if due else draw.choices(FAULTS, [one[2] for one in FAULTS])[0]
        lasts = draw.uniform(row[3], row[4])
        busy = [one for one in made if one.at + one.lasts + _tail(one.on) > clock]
        touched = {thing for one in busy for thing in _things(one.fault, one.on)}
        if len(busy) < 2 and not touched & _things(*row[:2]) and clock + lasts < end:
            made.append(Fault(round(clock, 3), round(lasts, 3), row[0], row[1]))
            if due:
                del wanted[0], places[0]
        clock += draw.uniform(0.2, 1.0) if draw.random() < 0.3 else draw.uniform(1.0, 5.0)
    return made


def given(text):
    """The faults of `AT:LASTS:FAULT:ON, ...`: 2:3.5:stall:kafka_link. ValueError for one that there is not."""
    made = []
    for words in text.split(","):
        at, lasts, fault, on = words.strip().split(":")
        if not any(row[:2] == (fault, on) for row in FAULTS):
            raise ValueError(f"no fault {fault} of {on}")
        made.append(Fault(float(at), float(lasts), fault, on))
    return sorted(made, key=lambda one: one.at)


def _row(fault, on):
    return next(row for row in FAULTS if row[:2] == (fault, on))


def _things(fault, on):
    """What a fault needs for itself: a slow reader is made by Redis's settings too."""
    return {on, "redis"} if fault == "slow_reader" else {on}


def _tail(on):
    """Seconds a thing needs to be back."""
    return 12.0 if on == "kafka" else 1.0


def settings(seed):
    """What else differs from seed to seed: the journal's settings and the smaller ones of the source."""
    draw = random.Random(f"{seed}/settings")
    return {
        "sync": draw.choice(["1s", "200ms", "always", "none"]),
        "max_size": draw.choice(["2MiB", "4MiB", "24MiB"]),
        "disk": "32m",
        "heartbeat": draw.choice(["300ms", "1s"]),
        "watch": draw.choice(["500ms", "2s", "5s"]),
    }
