"""Does the bench notice? A checker that cannot fail is worth nothing.

The sink is fed records by a file, right ones and wrong ones, and must count what is wrong; so must the report.
"""

import functools
import json
import os
import pathlib
import subprocess
import tempfile

import rows
import tables
from programs import Failed

COUNT, CHANNELS = 40, 4
CLEAN = {"distinct": COUNT, "missing": 0, "twice": 0, "disordered": 0, "strange": 0}


def long_record(number):
    channel = number % CHANNELS
    return (f'bench.{channel}\t{{"name":"bench.{channel}","data":{{"id":"01a2052e-714e-7000-8002-0d1e3722e34a",'
            f'"payload":{{"number":{number},"channel":{channel},"at":1,"text":"10 200 3000"}}}}}}')


def short_record(number):
    channel = number % CHANNELS
    return (f'bench.{channel}\t{{"name":"bench.{channel}","data":{{"id":"01234567-1234-7123-8123-123456789012",'
            f'"payload":{10000000 + number}000000000001}}}}')


def swapped(records, first, second):
    changed = list(records)
    changed[first], changed[second] = changed[second], changed[first]
    return changed


def streams(record):
    """What a stream can be, and what the sink must count in it. Of the same channel are every fourth."""
    whole = [record(number) for number in range(COUNT)]
    return (("a whole stream", whole, {}),
            ("a hole", whole[:17] + whole[18:], {"distinct": COUNT - 1, "missing": 1}),
            ("the last one missing", whole[:-1], {"distinct": COUNT - 1, "missing": 1}),
            ("one twice", [*whole, whole[3]], {"twice": 1}),
            ("one three times", [*whole, whole[3], whole[3]], {"twice": 2}),
            ("two of a channel swapped", swapped(whole, 8, 12), {"disordered": 1}),
            ("two of two channels swapped", swapped(whole, 8, 9), {}),
            ("a second copy out of order", [*whole[:20], whole[4], *whole[20:]], {"twice": 1}),
            ("one under another channel's key", [*whole[:8], whole[8].replace("bench.0", "bench.9", 1), *whole[9:]],
             None),
            ("one that is none of ours", [*whole, "bench.1\t{}"], {"strange": 1}),
            ("one above the count", [*whole, record(COUNT)], {"strange": 1}))


def check_sink(sink):
    for shape, record in (("long", long_record), ("short", short_record)):
        for name, records, expected in streams(record):
            if expected is None:        # the short shape has its channel from the key alone
                expected = {"strange": 1, "missing": 1, "distinct": COUNT - 1} if shape == "long" else {}
            yield f"sink, {shape} shape, {name}", functools.partial(sink_counts, sink, records, {**CLEAN, **expected})


def sink_counts(sink, records, expected):
    with tempfile.NamedTemporaryFile("w", suffix=".records") as file:
        file.write("".join(record + "\n" for record in records))
        file.flush()
        done = subprocess.run([sink, "-f", file.name, "-n", str(COUNT)], capture_output=True, text=True, timeout=30,
                              check=True)
    lines = done.stdout.splitlines()
    found = {name: value for name, value in json.loads(lines[-1]).items() if name in expected}
    assert found == expected, f"counted {found}, should be {expected}"
    assert ("all" in lines) == (found["missing"] == 0), "`all` must be said when none is missing, and only then"


# ---- the report ----

GOOD = {"row": "burst", "carrier": "rkbridge", "round": 1, "busy_before": 0.0, "others": 0.0, "stolen": 0.0,
        "missing": 0, "twice": 0, "disordered": 0, "dropped": 0, "balance": 0, "cuts": 0, "connections": 1, "cpu": 2.0,
        "p50": 5.0, "p99": 9.0, "omem": 0, "who": "nobody"}


def run_of(**figures):
    return {**GOOD, **figures}


def promises_are_judged():
    assert tables.broken(GOOD) == []
    for figure in ("missing", "twice", "disordered", "dropped", "balance", "cuts"):
        assert tables.broken(run_of(**{figure: 1})), f"{figure} is not noticed"
    assert tables.broken(run_of(connections=2)), "a second connection is not noticed"


def ratios_are_of_one_round():
    runs = [run_of(cpu=2.0), run_of(cpu=3.0, round=2),
            run_of(carrier="floor", cpu=1.0), run_of(carrier="floor", cpu=3.0, round=2)]
    assert tables.pairs(runs, "burst") == ([2.0, 1.0], 0)
    runs[0]["missing"] = 5
    assert tables.pairs(runs, "burst") == ([1.0], 1), "who loses messages, saves: that pair must not count"


def whole_runs_are_counted():
    runs = [run_of(round=number) for number in range(1, 11)]
    assert "10 of 10 runs: met" in tables.whole_verdict(runs, "burst")[0]
    runs[0]["missing"] = 1
    assert "9 of 10 runs: met" in tables.whole_verdict(runs, "burst")[0]
    runs[1] = {"row": "burst", "carrier": "rkbridge", "round": 2, "busy_before": 0.0, "failed": "did not end"}
    assert "8 of 10 runs: NOT met" in tables.whole_verdict(runs, "burst")[0]
    said = tables.remarks(runs, 0.3)
    assert len(said) == 2 and "1 missing" in said[0] and "nobody" in said[0] and "did not end" in said[1]


def disturbances_are_said():
    assert tables.disturbed(GOOD, 0.3) == []
    for figure in ("busy_before", "others", "stolen"):
        assert tables.disturbed(run_of(**{figure: 0.4}), 0.3), f"{figure} is not noticed"
    assert tables.disturbed(run_of(carrier="floor", cuts=1), 0.3), "a floor that was cut off is not noticed"


def catching_up_is_found():
    steady, silent, backlog = [[2000, 8]] * 20, [[0, 0]] * 30, [[20000, 3000], [25000, 1500], [21000, 1100]]
    assert rows.catching_up([*steady, *silent, *backlog, *steady]) == (220000.0, 0.3)
    assert rows.catching_up([*steady, *silent, *backlog]) is None, "it never caught up"
    assert rows.catching_up(steady) is None, "there was nothing to catch up with"
    assert rows.catching_up([]) is None


REPORT = (promises_are_judged, ratios_are_of_one_round, whole_runs_are_counted, disturbances_are_said,
          catching_up_is_found)


def run(build):
    sink = pathlib.Path(build) / "tests/bench/sink"
    if not os.access(sink, os.X_OK):
        raise Failed(f"{sink} is not built")
    checks = [*check_sink(sink), *((check.__name__.replace("_", " "), check) for check in REPORT)]
    failed = 0
    for name, check in checks:
        try:
            check()
        except (AssertionError, OSError, ValueError, subprocess.SubprocessError) as problem:
            failed += 1
            print(f"FAILED {name}: {problem or type(problem).__name__}")
    print(f"self-test: {len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0
