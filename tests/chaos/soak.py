#!/usr/bin/env python3
"""Soaks rkbridge: a steady stream of messages for a long time, Redis and Kafka each restarted once in every period.

    soak.py --build DIRECTORY                       30 minutes at 20,000 messages a second, periods of five minutes
    soak.py --build DIRECTORY --minutes 1440        a day
    soak.py --build DIRECTORY --minutes 2 --rate 2000 --every 30

In the end it compares what was published, what Kafka holds, what the books say and what the gaps say; and the memory
at the end of the last period with that at the end of the first. What it looks at is written to its directory as it
goes. An interrupt ends the stream early, in order, and judges what there is; a second one ends all at once. No program
outlives it, however it ends.
"""

import argparse
import json
import pathlib
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench"), str(HERE.parent / "whole"), str(HERE.parent / "kafka")]
from programs import Failed  # noqa: E402
from soaking import judge, report  # noqa: E402
from soaking.samples import Sampler, now_us  # noqa: E402
from soaking.world import CHANNELS, World  # noqa: E402

WELL, FAILED, NOT_RUN = 0, 1, 2
REDIS_AT, KAFKA_AT = 0.1, 0.3        # parts of a period: when each is restarted
WINDOW = 0.4                         # what of its end is judged
IDLE_SECONDS, DRAIN_SECONDS = 3, 180
RATE_REACHED = 0.98
TALLY_SECONDS = 150                  # it gives up by itself before
JOURNAL_SLACK = 1 << 20


class Soak:
    def __init__(self, options):
        self.options = options
        self.directory = options.directory
        self.world = World(options.build, self.directory, options.rate, options.size)
        self.sampler = None
        self.interrupts = 0
        self.windows, self.faults, self.findings = [], [], []
        self.facts = {"rate": options.rate, "minutes": options.minutes, "every_seconds": options.every,
                      "size": options.size}

    # the course

    def run(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        try:
            self.world.open()
            self.sampler = Sampler(self.world.bridge, self.directory / "samples.jsonl")
            self.sampler.keep_seconds = self.options.every * WINDOW
            self._idle()
            self._stream()
            self._drain()
            self._end_programs()
            self._judge()
        finally:
            if self.sampler:
                self.sampler.stop()
            self.world.close()
            self._remember()

    def _interrupt(self, number, _):
        self.interrupts += 1
        if self.interrupts > 1:
            sys.exit(128 + number)
        print("soak: interrupted: the stream ends now; once more ends all at once", file=sys.stderr, flush=True)

    def _idle(self):
        time.sleep(IDLE_SECONDS)
        self.facts["journal_idle_bytes"] = self.sampler.take()["journal_bytes"]

    def _stream(self):
        options, started = self.options, time.monotonic()
        self.world.publish()
        self.sampler.start()
        acts = []
        for period in range(-(-int(options.minutes * 60) // options.every)):
            begin = period * options.every
            acts += [(begin + options.every * REDIS_AT, lambda: self._restart("redis", self.world.restart_redis)),
                     (begin + options.every * KAFKA_AT, lambda: self._restart("kafka", self.world.restart_kafka)),
                     (begin + options.every, self._close_period)]
        for at, act in acts:
            if at > options.minutes * 60 or not self._wait_until(started + at):
                break
            act()
        self._wait_until(started + options.minutes * 60)
        self.facts["stream_seconds"] = round(time.monotonic() - started, 1)
        self.facts["broken_off"] = self.interrupts > 0

    def _wait_until(self, moment):
        """False where it is to end before."""
        while not self.interrupts and (left := moment - time.monotonic()) > 0:
            self.world.look()
            time.sleep(min(left, 0.5))
        return not self.interrupts

    def _restart(self, name, act):
        begin = now_us()
        act()
        fault = {"at_us": begin, "until_us": now_us(), "fault": "restart", "on": name}
        self.faults.append(fault)
        with (self.directory / "faults.jsonl").open("a") as file:
            file.write(json.dumps(fault) + "\n")

    def _close_period(self):
        self.windows.append(self.sampler.window())
        print(report.window_line(len(self.windows), self.windows), flush=True)
        self._remember()

    def _drain(self):
        self.world.publisher.end(60)
        self.facts.update(self.world.publisher.result())
        begin = time.monotonic()
        while True:
            sample = self.sampler.take()
            if sample and self._is_idle(sample):
                break
            if not self.world.bridge.running() or time.monotonic() - begin > DRAIN_SECONDS:
                self.findings.append(f"{DRAIN_SECONDS} s after the end of the stream the journal is not idle: {sample}")
                break
            time.sleep(0.2)
        self.facts["drain_seconds"] = round(time.monotonic() - begin, 1)
        self.facts["journal_end_bytes"] = self.sampler.last["journal_bytes"]

    def _is_idle(self, sample):
        room = self.facts["journal_idle_bytes"] + JOURNAL_SLACK
        return sample["pending"] == 0 and sample["journal_bytes"] <= room

    def _end_programs(self):
        self.gaps = self.world.bridge.ask("gaps json")
        (self.directory / "gaps.json").write_text(json.dumps(self.gaps) + "\n")
        self.world.tally.end(TALLY_SECONDS)
        self.sampler.stop()
        self.world.bridge.end(90)

    # the verdict

    def _judge(self):
        facts, sampler, tally = self.facts, self.sampler, judge.last_line(self.world.tally.out_path)
        holes = judge.Holes(self.world.holes, CHANNELS, facts["published"])
        missing, figures = judge.judge_missing(self.world.fates, holes, self.gaps["gaps"])
        memory, change = judge.judge_windows(self.windows, self.options.tolerance)
        self.findings += sampler.problems + missing + ([] if facts["broken_off"] and not change else memory)
        self.findings += judge.judge_tally(tally, facts["published"], sampler.last)
        facts.update(figures, **change, samples=sampler.count, samples_unanswered=sampler.unanswered, most=sampler.most,
                     restarts={name: sum(fault["on"] == name for fault in self.faults) for name in ("redis", "kafka")},
                     rebuilds=sampler.last["rebuilds"], connections=sampler.last["connections"],
                     cpu_seconds=sampler.last["cpu_seconds"],
                     **{name: value for name, value in tally.items() if name != "at_us"},
                     **{name: sampler.last[name] for name in ("received", "delivered", "dropped", "dead_lettered")})
        self._judge_rate()

    def _judge_rate(self):
        away = sum(fault["until_us"] - fault["at_us"] for fault in self.faults if fault["on"] == "redis") / 1e6
        reached = self.facts["published"] / max(self.facts["stream_seconds"] - away, 1)
        self.facts["rate_reached"] = round(reached)
        if reached < RATE_REACHED * self.options.rate:
            self.findings.append(f"only {reached:.0f} messages a second were published, not {self.options.rate}: "
                                 "this machine is too busy")

    def verdict(self):
        if self.findings:
            return "FAILED"
        return "BROKEN OFF" if self.facts.get("broken_off") else "WELL"

    def _remember(self):
        document = {**self.facts, "windows": self.windows, "findings": self.findings, "directory": str(self.directory)}
        (self.directory / "result.json").write_text(json.dumps(document) + "\n")


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--build", type=pathlib.Path, default=pathlib.Path.cwd(),
        help="where the programs were built, without sanitizers (here)")
    add("--minutes", type=float, default=30)
    add("--rate", type=int, default=20000, help="messages a second")
    add("--every", type=int, default=300, help="seconds of a period, in which Redis and Kafka are restarted once each")
    add("--size", type=int, default=200, help="bytes of a payload, 128 and more")
    add("--tolerance", type=float, default=5, help="per cent by which memory may differ")
    add("--directory", type=pathlib.Path, help="where to write what is seen (a new one in /tmp)")
    options = parser.parse_args()
    if options.every < 20 or options.minutes * 60 < 2 * options.every or options.rate < 1 or options.size < 128:
        parser.error("a period is at least 20 seconds, a soak at least two of them, a payload at least 128 bytes")
    options.build = options.build.resolve()
    directory = options.directory or tempfile.mkdtemp(prefix="rkbridge-soak-", dir="/tmp")
    options.directory = pathlib.Path(directory).resolve()
    options.directory.mkdir(parents=True, exist_ok=True)
    return options


def main():
    options = read_options()
    print(f"soak: {options.minutes:g} minutes at {options.rate} messages a second; what is seen goes to "
          f"{options.directory}", flush=True)
    soak = Soak(options)
    try:
        soak.run()
    except (Failed, RuntimeError, OSError, ValueError) as problem:
        print(f"soak: could not be brought to its end: {problem}\nsoak: {options.directory} has what there is",
              file=sys.stderr)
        return NOT_RUN
    print(report.summary(soak.facts, soak.windows, soak.faults))
    for finding in soak.findings:
        print(f"soak: FOUND: {finding}")
    print("RESULT " + json.dumps({"verdict": soak.verdict(), **soak.facts}))
    print(f"soak: {soak.verdict()}")
    return {"WELL": WELL, "FAILED": FAILED, "BROKEN OFF": NOT_RUN}[soak.verdict()]


if __name__ == "__main__":
    sys.exit(main())
