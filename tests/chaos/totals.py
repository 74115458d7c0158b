#!/usr/bin/env python3
"""Adds runs of the campaign to the table of totals in doc/reliability.md.

    totals.py [--document FILE] RESULT.jsonl ...

RESULT.jsonl is what run.py --totals wrote: a line of JSON for each run. The table stands between two markers and is its
own memory: what is there grows by what the runs add. So each file is to be added once.
"""

import argparse
import json
import pathlib
import re
import sys

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "doc" / "reliability.md"
BEGIN, END = "<!-- totals -->", "<!-- /totals -->"
ROWS = ["minutes", "runs", "runs under sanitizers", "runs with findings", "seeds", "messages published",
        "records in Kafka", "missing, all in gaps", "of these given to a dying or unread connection, or dropped",
        "missing in no gap", "duplicates", "lives of the bridge", "gaps",
        "of these with a known bound", "faults"]


def ranges_of(numbers):
    """{1, 2, 3, 7} as "1-3 7"."""
    words, numbers = [], sorted(numbers)
    while numbers:
        last = 0
        while last + 1 < len(numbers) and numbers[last + 1] == numbers[last] + 1:
            last += 1
        words.append(str(numbers[0]) if last == 0 else f"{numbers[0]}-{numbers[last]}")
        numbers = numbers[last + 1:]
    return " ".join(words)


def numbers_of(text):
    """The way back."""
    made = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        made |= set(range(int(first), int(last or first) + 1))
    return made


def add(table, run):
    """One run to the table, a dictionary of numbers, `seeds` a set."""
    verdict = run.get("verdict") or {"figures": {}, "counts": {}}
    figures, counts = verdict["figures"], verdict["counts"]
    away = counts.get("lost", 0) + counts.get("untold", 0)
    amounts = [run["minutes"], 1, bool(run["sanitizer"]), not run["ok"], None, run["published"],
               figures.get("records", run.get("records", 0)), figures.get("missing", 0) - away,
               figures.get("missing_with_receiver", 0) - counts.get("lost", 0), away, figures.get("duplicates", 0),
               run["lives"], run["gaps"], figures.get("bounds_known", 0), run["faults"]]
    table["seeds"] = table.get("seeds", set()) | {run["seed"]}
    for name, amount in zip(ROWS, amounts):
        if amount is not None:
            table[name] = table.get(name, 0) + amount
    for fault, count in run["by_fault"].items():
        name = f"fault: {fault}"
        table[name] = table.get(name, 0) + count


def parse(text):
    table = {}
    for name, value in re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text, re.M):
        if name == "seeds":
            table[name] = numbers_of(value)
        elif name != "what":
            table[name] = float(value.replace(",", ""))
    return table


def compose(table):
    lines = ["| what | total |", "|---|---|"]
    for name in ROWS + sorted(name for name in table if name.startswith("fault: ")):
        lines.append(f"| {name} | {_shown(table.get(name))} |")
    return "\n".join(lines)


def _shown(value):
    if isinstance(value, set):
        return ranges_of(value)
    return f"{round(value, 2):,}" if value and value % 1 else f"{int(value or 0):,}"


def grow(text, runs):
    """The document with the runs added to its table."""
    before, rest = text.split(BEGIN + "\n")
    table_text, after = rest.split(END)
    table = parse(table_text)
    for run in runs:
        add(table, run)
    return f"{before}{BEGIN}\n{compose(table)}\n{END}{after}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=pathlib.Path)
    parser.add_argument("--document", type=pathlib.Path, default=DOCUMENT)
    options = parser.parse_args()
    runs = [json.loads(line) for path in options.results for line in path.read_text().splitlines()]
    options.document.write_text(grow(options.document.read_text(), runs))
    print(f"{len(runs)} runs added to {options.document}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
