"""The table of totals grows by what is added, and by nothing else."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import totals  # noqa: E402

RUN = {"seed": 7, "minutes": 1.5, "sanitizer": True, "ok": False, "faults": 3,
       "by_fault": {"redis: kill": 2, "disk: full": 1}, "published": 1000,
       "lives": 2, "gaps": 4, "records": 900, "verdict": {"counts": {"lost": 2}, "figures": {
           "records": 900, "missing": 103, "missing_with_receiver": 60, "duplicates": 3, "bounds_known": 1}}}
EMPTY = f"before\n{totals.BEGIN}\n| what | total |\n|---|---|\n{totals.END}\nafter\n"


def test_it_grows():
    once = totals.grow(EMPTY, [RUN])
    assert once.startswith("before\n") and once.endswith("\nafter\n")
    for row in ("| minutes | 1.5 |", "| runs with findings | 1 |", "| seeds | 7 |", "| missing, all in gaps | 101 |",
                "| missing in no gap | 2 |", "| fault: redis: kill | 2 |"):
        assert row in once, once
    twice = totals.grow(once, [{**RUN, "seed": 8, "ok": True, "sanitizer": False}])
    assert twice == totals.grow(EMPTY, [RUN, {**RUN, "seed": 8, "ok": True, "sanitizer": False}])
    for row in ("| minutes | 3 |", "| runs | 2 |", "| seeds | 7-8 |", "| messages published | 2,000 |",
                "| runs under sanitizers | 1 |"):
        assert row in twice, twice


def test_a_run_without_a_verdict_counts_as_one():
    made = totals.grow(EMPTY, [{**RUN, "verdict": None}])
    assert "| runs | 1 |" in made and "| records in Kafka | 900 |" in made


def test_seeds_are_shown_short():
    assert totals.ranges_of({1, 2, 3, 7, 9, 10}) == "1-3 7 9-10"
    assert totals.numbers_of("1-3 7 9-10") == {1, 2, 3, 7, 9, 10}


def test_the_document_has_the_table():
    text = totals.DOCUMENT.read_text()
    assert totals.grow(text, []) .count(totals.BEGIN) == 1
