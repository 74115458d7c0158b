#!/usr/bin/env python3
"""Measures rkbridge against the floor: what a message costs, whether one is lost, how long it takes.

    bench.py --build DIRECTORY                       the main rows: burst, paced, slow, idle
    bench.py --build DIRECTORY --only outages        others; --list names them all
    bench.py --build DIRECTORY --runs 10             in how many of ten bursts nothing was missing, else who starved
    bench.py --build DIRECTORY --profile perf        where the time of a burst goes, thread by thread
    bench.py --build DIRECTORY --self-test           is a lost, doubled or misplaced message noticed?

Each row is measured once in every round, by floor and bridge in turn, on a fresh private redis-server (its output
buffer limits as they come) and a fresh topic of four partitions in one real Kafka. Everything is started here and
ended here, by its process id; nothing stays, neither processes nor files.

CPU is that of the whole process, all its threads, user and system, from the first message until all have arrived and
are acknowledged; Redis, Kafka, publisher and sink are not in it. Memory is the highest RssAnon and RssShmem (the
ring, where it is on tmpfs) seen. What disturbed a run is said with the figures.
"""

import argparse
import json
import os
import pathlib
import signal
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import profiling  # noqa: E402
import selftest  # noqa: E402
import tables  # noqa: E402
from programs import Failed, Kafka  # noqa: E402
from rows import GROUPS, ROWS, Row, measure  # noqa: E402


class Bench:
    """What all runs share: the Kafka, the places for files, the options."""

    def __init__(self, options, directory, rings):
        self.options, self.directory, self.rings = options, directory, rings
        self.kafka = Kafka(directory / "kafka")
        self.cores, self.load = os.cpu_count(), os.getloadavg()[0]
        self.machine = tables.machine(directory)
        self.profile = None
        self.runs = 0

    def program(self, name):
        for place in (name, pathlib.Path("src") / name):
            if os.access(self.options.build / place, os.X_OK):
                return self.options.build / place
        raise Failed(f"{name} is not built in {self.options.build}")


def chosen_rows(options):
    names = {name for wanted in options.only for name in GROUPS.get(wanted, [wanted])}
    return [row for row in ROWS if row.name in names]


def show(run, limit):
    columns = next(columns for _, kinds, columns in tables.TABLES if tables.KINDS[run["row"]] in kinds)
    words = [f"{name} {form.format(run[figure])}" for name, form, figure in columns if run.get(figure) is not None]
    remarks = ["!! " + run["failed"]] if "failed" in run else [*("!! " + word for word in tables.broken(run)),
                                                              *tables.disturbed(run, limit)]
    print(f"{run['round']}  {run['row']}, {run['carrier']}: {', '.join([*words, *remarks])}", flush=True)


def measure_all(bench):
    options, runs = bench.options, []
    print(f"{bench.machine}\nload average {bench.load:.2f}; warming up", flush=True)
    warm = measure(bench, Row("warm-up", "burst", "", share=0.2), "floor")
    if "failed" in warm:
        raise Failed(f"warming up: {warm['failed']}")
    for number in range(1, options.rounds + 1):
        for row in chosen_rows(options):
            carriers = [carrier for carrier in row.carriers if not options.carrier or carrier in options.carrier]
            for carrier in carriers if number % 2 else reversed(carriers):
                run = {**measure(bench, row, carrier), "round": number}
                runs.append(run)
                show(run, options.quiet)
                keep(bench, runs)
    screen, mark = tables.report(bench, runs)
    print(screen)
    if options.markdown:
        options.markdown.write_text(mark)
    return 1 if any("failed" in run or tables.broken(run) for run in runs) else 0


def keep(bench, runs):
    """After each run, so that a long measurement that is broken off leaves what it has."""
    if bench.options.json:
        chosen = {name: str(value) for name, value in vars(bench.options).items()}
        lines = ",\n".join(json.dumps(run) for run in runs)
        head = json.dumps({"machine": bench.machine, "load_before": bench.load, "options": chosen})
        bench.options.json.write_text(f'{head[:-1]}, "runs": [\n{lines}\n]}}\n')


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--build", type=pathlib.Path, default=pathlib.Path.cwd(), help="where the programs were built (here)")
    add("--rounds", type=int, default=5)
    add("--only", action="append", metavar="ROW", choices=[*GROUPS, *(row.name for row in ROWS)],
        help="this row or group of rows; may be repeated (main)")
    add("--carrier", action="append", help="only this one; may be repeated")
    add("--runs", type=int, help="this many rounds of the burst, and nothing else")
    add("--list", action="store_true", help="name the rows and groups")
    add("--count", type=int, default=1000000, help="messages of a burst")
    add("--seconds", type=int, default=15, help="length of a steady stream, and most of what comes before an outage")
    add("--idle", type=int, default=30, help="seconds of idleness to measure")
    add("--outage", type=int, help="seconds without Kafka, instead of the row's own")
    add("--quiet", type=float, default=0.3, help="cores that others may keep busy; a run with more is called disturbed")
    add("--directory", type=pathlib.Path, help="where to put the journal and Kafka's data (a temporary directory)")
    add("--markdown", type=pathlib.Path, help="write the report there too")
    add("--json", type=pathlib.Path, help="write the figures of every run there")
    add("--profile", choices=("perf", "callgrind"), help="profile one burst of rkbridge; perf also of --carrier floor")
    add("--self-test", action="store_true")
    options = parser.parse_args()
    options.build = options.build.resolve()
    if options.runs:
        options.only, options.rounds = ["burst"], options.runs
    options.only = options.only or ["main"]
    return options


def with_kafka(options, work):
    """Private directories, which go with everything in them however this ends."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else options.directory
    with (tempfile.TemporaryDirectory(prefix="rkbridge-bench.", dir=options.directory) as directory,
          tempfile.TemporaryDirectory(prefix="rkbridge-bench.", dir=shared) as rings):
        bench = Bench(options, pathlib.Path(directory).resolve(), rings)
        try:
            bench.kafka.start()
            return work(bench)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            bench.kafka.stop()


def end_in_order(number, _):
    sys.exit(128 + number)


def main():
    options = read_options()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_in_order)
    if options.list:
        print("\n".join([*(f"{row.name:16} {row.about}" for row in ROWS),
                         *(f"{name:16} = {', '.join(names)}" for name, names in GROUPS.items())]))
        return 0
    try:
        if options.self_test:
            return selftest.run(options.build)
        return with_kafka(options, profiling.run if options.profile else measure_all)
    except (Failed, RuntimeError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
