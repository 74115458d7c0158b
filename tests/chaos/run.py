#!/usr/bin/env python3
"""One run of the fault campaign: a seed makes a plan of faults; bridge, Redis and Kafka live through it; the checker
compares afterwards.

    run.py --build DIR --seed N --minutes M [--rate R] [--keep DIR] [--totals FILE] [--plan]

The run directory (see README.md) is kept where --keep says, else only if something is wrong. The last line says how it
went; with
--totals FILE the same as a line of JSON is added there. Exit code: 0 all well, 1 something is wrong, 2 the run could
not be made.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "whole"), str(HERE.parent / "kafka")]

import faults           # noqa: E402
import harvest          # noqa: E402
import plan as plans    # noqa: E402
import world as worlds  # noqa: E402
from life import now_us  # noqa: E402

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
RATE, SANITIZED_RATE = 600, 60          # messages a second, of all publishers
QUIET, SANITIZED_QUIET = 60, 120        # seconds in which all must be quiet after the last fault


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="See tests/chaos/README.md.")
    parser.add_argument("--build", type=pathlib.Path, required=True, help="the directory with rkbridge")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--rate", type=int, help=f"messages a second ({RATE}; with sanitizers {SANITIZED_RATE})")
    parser.add_argument("--keep", type=pathlib.Path, help="write the run directory here, and keep it")
    parser.add_argument("--totals", type=pathlib.Path, help="add a line of JSON about this run to this file")
    parser.add_argument("--sanitizers", action="store_true",
                        help="the build has sanitizers (found out by itself otherwise)")
    parser.add_argument("--faults", help="these faults in the place of the seed's: AT:LASTS:FAULT:ON, ... in seconds")
    parser.add_argument("--plan", action="store_true", help="only print which faults the seed makes")
    return parser.parse_args(arguments)


def sanitized(program):
    data = program.read_bytes()
    return b"__asan_init" in data or b"__tsan_init" in data


def plan_of(options):
    return plans.given(options.faults) if options.faults else plans.schedule(options.seed, options.minutes)


class Run:
    def __init__(self, options):
        self.options = options
        self.sanitizer = options.sanitizers or sanitized(options.build / "rkbridge")
        self.rate = options.rate or (SANITIZED_RATE if self.sanitizer else RATE)
        self.plan = plan_of(options)
        self.settings = plans.settings(options.seed)
        self.directory = options.keep or pathlib.Path(tempfile.mkdtemp(prefix=f"rkb-chaos-{options.seed}-", dir="/tmp"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.world = worlds.World(options.build, self.directory, options.seed, self.settings)
        self.runner = None
        self.failures = []
        self.result = {}

    def make(self):
        """The run itself, up to a written run directory."""
        started = now_us()
        try:
            self.world.open()
            self._faults()
            self._quiet()
            self._end(started)
        finally:
            for number in INTERRUPTS:       # a second one would leave something behind
                signal.signal(number, signal.SIG_IGN)
            if self.runner:
                self.runner.stop()
            self.world.close()
        self.failures += self.world.bridge.failures + self.runner.failures

    def _faults(self):
        self._wait("the bridge to be ready", 30, lambda stats: stats["ready"])
        self.world.start_publishers(self.rate)
        self.runner = faults.Runner(self.world, self.plan, self.directory / "faults.jsonl")
        self.runner.run(self.options.minutes * 60)
        self.world.stop_publishers()

    def _wait(self, what, seconds, condition):
        """Whether the bridge's figures came to be so; if not, that is a failure, with words."""
        deadline, stats = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            self.world.bridge.look()
            stats = self.world.bridge.sampler.sample() or stats
            if stats and condition(stats):
                return True
            time.sleep(0.1)
        self.failures.append(f"waited {seconds} s in vain for {what}; {_short(stats)}")
        return False

    def _quiet(self):
        seconds = SANITIZED_QUIET if self.sanitizer else QUIET
        began = time.monotonic()
        self._wait("the bridge to be ready and to have delivered all", seconds,
                   lambda stats: stats["ready"] and not stats["totals"]["pending"])
        self._wait("all gaps to be closed", 15, lambda _: all(gap["to"] for gap in self.world.bridge.gaps()["gaps"]))
        received = self.world.bridge.sampler.last and self.world.bridge.sampler.last["totals"]["received"]
        time.sleep(0.5)
        last = self.world.bridge.sampler.sample()
        if not last or last["totals"]["received"] != received or last["totals"]["pending"]:
            self.failures.append(f"not quiet after all was delivered: {_short(last)}")
        self.result["quiet_after_s"] = round(time.monotonic() - began, 1)

    def _end(self, started):
        bridge = self.world.bridge
        self.world.write("gaps.json", bridge.gaps() if bridge.stats() else {"gaps": []})
        last = bridge.sampler.sample()
        code = bridge.end("end", signal.SIGTERM)
        pending = last["totals"]["pending"] if last else None
        self.world.write("leftover.json", {"pending": pending, "code": code})
        if code != 0:
            self.failures.append(f"the last life ended with {code}")
        counts = harvest.write(self.world, self.directory / "kafka.jsonl", self.world.gap_topic)
        self.result.update(counts)
        self.world.write("run.json", {
            "seed": self.options.seed, "minutes": self.options.minutes, "rate": self.rate,
            "build": str(self.options.build),
            "kafka": "real", "channels": worlds.CHANNELS, "patterns": worlds.PATTERNS,
            "topics": {name: {"partitions": parts, "dead": name in worlds.DEAD}
                       for name, parts in worlds.TOPICS.items()},
            "gap_topic": self.world.gap_topic, "started_us": started, "ended_us": now_us(), "sanitizer": self.sanitizer,
            "settings": self.settings})

    def check(self):
        """The checker's verdict, by a process of its own."""
        done = subprocess.run([sys.executable, str(HERE / "check.py"), str(self.directory)], capture_output=True,
                              text=True, timeout=600)
        print(done.stdout + done.stderr, end="", flush=True)
        if done.returncode != 0:
            self.failures.append("the checker found faults")
        path = self.directory / "verdict.json"
        self.result["verdict"] = json.loads(path.read_text()) if path.exists() else None

    def say(self):
        """The line at the end, the line of totals, and what is kept."""
        for line in self.failures:
            print(f"FAILED: {line}")
        totals = self._totals()
        if self.options.totals:
            with self.options.totals.open("a") as file:
                file.write(json.dumps(totals) + "\n")
        good = not self.failures
        if good and not self.options.keep:
            shutil.rmtree(self.directory)
        else:
            print(f"run directory: {self.directory}")
        print(f"seed {self.options.seed}: {'ok' if good else 'FAILED'}: {totals['minutes']:g} minutes, "
              f"{totals['faults']} faults, {totals['published']} published, {totals['records']} records, "
              f"{totals['lives']} lives, {totals['gaps']} gaps", flush=True)
        return 0 if good else 1

    def _totals(self):
        gaps = json.loads((self.directory / "gaps.json").read_text())["gaps"]
        return {"seed": self.options.seed, "minutes": self.options.minutes, "rate": self.rate,
                "sanitizer": self.sanitizer,
                "ok": not self.failures, "failures": self.failures, "faults": sum(self.runner.counts.values()),
                "by_fault": self.runner.counts, "published": _lines(self.directory / "published.jsonl"),
                "lives": self.world.bridge.life,
                "gaps": len(gaps), "by_reason": _counted(gap["reason"] for gap in gaps), **self.result}


def _short(stats):
    if not stats:
        return "it does not answer"
    return f"totals {stats['totals']}, kafka {stats['kafka']}, journal {stats['journal']}"


def _lines(path):
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _counted(words):
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts


def interrupted(number, _):
    raise KeyboardInterrupt(signal.Signals(number).name)


def main():
    options = options_of(None)
    if options.plan:
        print(plans.settings(options.seed))
        for one in plan_of(options):
            print(f"{one.at:8.3f} s  {one.lasts:6.3f} s  {one.on}: {one.fault}")
        return 0
    for number in INTERRUPTS:
        signal.signal(number, interrupted)
    if not os.access(options.build / "rkbridge", os.X_OK):
        print(f"{options.build} has no rkbridge: build it first", file=sys.stderr)
        return 2
    run = Run(options)
    try:
        run.make()
    except KeyboardInterrupt as word:
        print(f"ended by {word or 'SIGINT'}; what there was is in {run.directory}", file=sys.stderr)
        return 2
    except (OSError, RuntimeError, AssertionError) as error:
        print(f"seed {options.seed} could not be run: {error}; what there is is in {run.directory}", file=sys.stderr)
        return 2
    run.check()
    return run.say()


if __name__ == "__main__":
    sys.exit(main())
