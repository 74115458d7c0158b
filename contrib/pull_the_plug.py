#!/usr/bin/env python3
"""Pulls the plugs of a bridge under load, and counts what came through. Started by quickstart.sh --pull-the-plug.

One Redis, one Apache Kafka (tests/kafka/broker.py), and between them, side by side, rkbridge and the floor: the least
program that can carry messages from Redis to Kafka (tests/bench/floor.c). Each has channels and a topic of its own and
gets the same numbered messages at the same moments; both lose the same plugs:

    at 3/20 of the time    Redis closes the connections of its subscribers
    at 6/20                both are killed with -9 and started again at once
    at 9/20                Kafka is killed
    at 12/20               ... both are killed with -9 and started again, while Kafka is away
    at 15/20               ... Kafka is started again

Then all is read back from Kafka and compared, message by message. Exit code 0 only if rkbridge lost nothing but what
lies in gaps that it wrote down itself, and repeated nothing but under the same UUID, and kept the order.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests" / "kafka")]

import broker                               # noqa: E402

CHANNELS = 4
BRIDGE, FLOOR = "rkbridge", "floor"
RECORD = re.compile(rb'"id":"([0-9a-f-]{36})".*?"number":(\d+)')
# What we start ends with us, also if nobody asks us to.
WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"]


def fail(text):
    sys.exit(f"\npull-the-plug: {text}")


def wait_for(what, condition, timeout):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            fail(f"waited {timeout} s in vain for {what}")
        time.sleep(0.05)


class Program:
    """Something we run; its output goes to a file of its name."""

    def __init__(self, directory, name, *command):
        self.name, self.command, self.log = name, list(map(str, command)), directory / f"{name}.log"
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(WITH_US + self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)

    def alive(self):
        if self.process.poll() is not None:
            fail(f"{self.name} ended with {self.process.returncode}:\n{self.text()[-1500:]}")
        return True

    def text(self):
        return self.log.read_text(errors="replace")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def stop(self, timeout):
        """Asks it to end; its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            fail(f"{self.name} did not end within {timeout} s")


class Redis:
    """A redis-server of our own and one connection to it."""

    def __init__(self, directory):
        self.port = broker.free_port()
        self.program = Program(directory, "redis", "redis-server", "--port", self.port, "--bind", "127.0.0.1",
                               "--dir", directory, "--save", "", "--appendonly", "no")
        self.program.start()
        wait_for("redis-server", lambda: self.program.alive() and self._answers(), 20)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _answers(self):
        try:
            return self.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def ask(self, line):
        with self.connect() as connection:
            connection.sendall(line.encode() + b"\r\n")
            return connection.makefile("rb").readline()


class Publisher:
    """Publishes message after message to each program's channels, at a rate, and keeps what Redis said to each."""

    def __init__(self, redis, rate, seconds):
        self.count, self.rate = int(rate * seconds), rate
        self.sent = [0.0] * self.count                                          # when, seconds since 1970
        self.answered = [0.0] * self.count
        self.heard = {name: bytearray(self.count) for name in (BRIDGE, FLOOR)}  # how many subscribers Redis gave it to
        self.connection = redis.connect()
        self.problem = None
        self.threads = [threading.Thread(target=self._work, args=[work], daemon=True)
                        for work in (self._send, self._take)]

    def start(self):
        self.begin = time.time()
        for thread in self.threads:
            thread.start()

    def ended(self):
        if self.problem:
            fail(f"the publisher failed: {self.problem}")
        return not any(thread.is_alive() for thread in self.threads)

    def _work(self, work):
        try:
            work()
        except (OSError, ValueError) as error:
            self.problem = error

    def elapsed(self):
        return time.time() - self.begin

    @staticmethod
    def _command(name, number):
        channel = f"{name}.{number % CHANNELS}"
        payload = f'{{"number":{number},"text":"{"to be carried " * 10}"}}'
        return f"*3\r\n$7\r\nPUBLISH\r\n${len(channel)}\r\n{channel}\r\n${len(payload)}\r\n{payload}\r\n"

    def _send(self):
        number = 0
        while number < self.count:
            due = min(self.count, int(self.elapsed() * self.rate))
            now, batch = time.time(), []
            for number in range(number, due):
                self.sent[number] = now
                batch += [self._command(BRIDGE, number), self._command(FLOOR, number)]
            self.connection.sendall("".join(batch).encode())
            number = due
            time.sleep(0.002)

    def _take(self):
        replies = self.connection.makefile("rb")
        for number in range(self.count):
            for name in (BRIDGE, FLOOR):
                reply = replies.readline()
                if not reply.startswith(b":"):
                    raise ValueError(f"the reply to PUBLISH was {reply!r}")
                self.heard[name][number] = int(reply[1:])
            self.answered[number] = time.time()


class Bridge:
    def __init__(self, directory, build, redis, kafka, ring):
        self.socket, self.build = directory / "control.sock", build
        config = directory / "rkbridge.yaml"
        config.write_text(json.dumps({       # JSON is YAML
            "instance": "plug",
            "redis": {"demo": {"url": f"redis://127.0.0.1:{redis.port}"}},
            "kafka": {"properties": {"bootstrap.servers": kafka.bootstrap, "compression.type": "lz4"}},
            "journal": {"directory": str(directory / "journal"), "ring_directory": ring, "max_size": "256MiB"},
            "control": {"socket": str(self.socket)},
            "routes": {"plug": {"source": "demo", "channels": [f"{BRIDGE}.{number}" for number in range(CHANNELS)],
                                "topic": BRIDGE}},
        }))
        self.program = Program(directory, BRIDGE, build / "rkbridge", "-c", config)

    def ask(self, *words):
        """What rkbctl says, or None while nobody answers."""
        done = subprocess.run([self.build / "rkbctl", "-s", self.socket, *words, "json"], capture_output=True,
                              timeout=30, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def ready(self):
        stats = self.program.alive() and self.ask("stats")
        return stats and stats["ready"]

    def drained(self):
        stats = self.ready() and self.ask("stats")
        return stats and stats["totals"]["pending"] == 0 and stats["kafka"]["connected"]


def read_topic(kafka, topic):
    """(number, UUID) of each record, in order."""
    done = subprocess.run(["kcat", "-C", "-b", kafka.bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-f",
                           "%s\\n"],
                          capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        fail(f"kcat could not read {topic}: {done.stderr.decode(errors='replace')}")
    found = [RECORD.search(line) for line in done.stdout.splitlines()]
    return [(int(match[2]), match[1]) for match in found if match]


class Account:
    """What became of one program's messages."""

    def __init__(self, publisher, name, records, gaps):
        uuid_of, highest = {}, [-1] * CHANNELS
        self.twice = self.disordered = self.strange = 0
        for number, uuid in records:
            if number in uuid_of:
                self.twice += 1
                self.strange += uuid_of[number] != uuid
                continue
            uuid_of[number] = uuid
            self.disordered += number < highest[number % CHANNELS]
            highest[number % CHANNELS] = max(number, highest[number % CHANNELS])
        self.strange += len(uuid_of) - len(set(uuid_of.values()))
        self.arrived = len(uuid_of)
        self.missing = [number for number in range(publisher.count) if number not in uuid_of]
        self.unheard = sum(publisher.heard[name][number] == 0 for number in self.missing)
        self.known = sum(any(publisher.sent[number] <= end and publisher.answered[number] >= begin
                             for begin, end in gaps)
                         for number in self.missing)
        self.unknown = len(self.missing) - self.known


def parse_time(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def pull(publisher, redis, kafka, bridge, floor, seconds):
    """The plugs, each at its time; returns when they were pulled, seconds since 1970."""
    def cut():
        redis.ask("CLIENT KILL TYPE pubsub")

    def kill():
        for program in (bridge.program, floor):
            program.kill()
        for program in (bridge.program, floor):
            program.start()

    plugs = [(3, "Redis closes the connections of its subscribers", cut),
             (6, "both killed with -9, and started again", kill),
             (9, "Kafka killed", kafka.kill), (12, "both killed with -9, and started again", kill),
             (15, "Kafka started again", kafka.start)]
    pulled = []
    for part, what, act in plugs:
        while publisher.elapsed() < part * seconds / 20:
            time.sleep(0.01)
        pulled.append(time.time())
        print(f"{publisher.elapsed():6.1f} s  {what}", flush=True)
        act()
    return pulled


def row(text, *figures):
    print(f"{text:<58}" + "".join(f"{figure:>12,}" if isinstance(figure, int) else f"{figure:>12}"
                                  for figure in figures))


def report(publisher, accounts, pulled):
    def missing(account, begin, end):
        return sum(begin <= publisher.sent[number] < end for number in account.missing)

    bridge, floor = accounts[BRIDGE], accounts[FLOOR]
    spans = [("  when Redis closed the connections", 0, pulled[1]), ("  when both were killed", pulled[1], pulled[2]),
             ("  when Kafka was away, and both were killed", pulled[2], float("inf"))]
    print()
    row("", BRIDGE, FLOOR)
    row("published", publisher.count, publisher.count)
    row("arrived in Kafka", bridge.arrived, floor.arrived)
    row("missing", len(bridge.missing), len(floor.missing))
    for text, begin, end in spans:
        row(text, missing(bridge, begin, end), missing(floor, begin, end))
    row("  of them: Redis had nobody to give it to", bridge.unheard, floor.unheard)
    row("  of them: nothing tells that they are missing", bridge.unknown, floor.unknown)
    row("twice, under the same UUID", bridge.twice, floor.twice)
    row("out of order", bridge.disordered, floor.disordered)


def report_books(publisher, stats, gaps):
    totals = stats["totals"]
    more = "".join(f" + {name} {totals[name]:,}"
                   for name in ("covered", "dead_lettered", "filtered", "echoed", "dropped")
                   if totals[name])
    print(f"\nrkbridge's books since its last start: received {totals['received']:,} "
          f"+ recovered {totals['recovered']:,} = delivered {totals['delivered']:,}{more} "
          f"+ pending {totals['pending']:,}")
    print("and its gaps, in which messages may be missing:")
    for gap in gaps:
        begin, end = (parse_time(gap[name]) - publisher.begin for name in ("from", "to"))
        print(f"{begin:8.2f} s to {end:5.2f} s  {gap['reason']}")


def run(arguments, directory, ring, to_end):
    print("Starting a Redis, a Kafka, rkbridge and the floor (the least program that carries messages from Redis to "
          "Kafka).")
    redis = Redis(directory)
    to_end.append(redis.program)
    try:
        broker.jars()
    except OSError as error:
        fail(f"Apache Kafka could not be had from Maven Central: {error}")
    except subprocess.CalledProcessError:
        fail("Apache Kafka could not be had from Maven Central; mvn says above why")
    kafka = broker.Broker(directory / "kafka", settings={"auto.create.topics.enable": "true"}, prefix=WITH_US)
    to_end.append(kafka)
    kafka.start()
    bridge = Bridge(directory, arguments.build, redis, kafka, ring)
    floor = Program(directory, FLOOR, arguments.build / "tests/bench/floor", "-u", "-p", redis.port, "-b",
                    kafka.bootstrap, "-t", FLOOR, "-x", FLOOR, "-c", CHANNELS)
    to_end += [bridge.program, floor]
    bridge.program.start()
    floor.start()
    wait_for("rkbridge", bridge.ready, 30)
    wait_for("the floor", lambda: floor.alive() and "ready" in floor.text(), 30)

    publisher = Publisher(redis, arguments.rate, arguments.seconds)
    print(f"{arguments.rate:,} messages a second to each, for {arguments.seconds} s. Now the plugs:", flush=True)
    publisher.start()
    pulled = pull(publisher, redis, kafka, bridge, floor, arguments.seconds)
    wait_for("the publisher", publisher.ended, arguments.seconds + 30)
    wait_for("rkbridge to deliver what waits", bridge.drained, 60)
    stats, gaps = bridge.ask("stats"), bridge.ask("gaps")["gaps"]
    codes = bridge.program.stop(60), floor.stop(60)
    spans = [(parse_time(gap["from"]), parse_time(gap["to"]) + 0.001) for gap in gaps]
    accounts = {name: Account(publisher, name, read_topic(kafka, name), spans if name == BRIDGE else [])
                for name in (BRIDGE, FLOOR)}
    report(publisher, accounts, pulled)
    report_books(publisher, stats, gaps)
    return verdict(accounts[BRIDGE], codes[0])


def verdict(bridge, code):
    wrong = [text for text, figure in ((f"{bridge.unknown} messages are missing outside of its gaps", bridge.unknown),
                                       (f"{bridge.disordered} messages are out of order", bridge.disordered),
                                       (f"{bridge.strange} messages do not have one UUID of their own", bridge.strange),
                                       (f"it ended with {code}", code)) if figure]
    if wrong:
        fail("rkbridge broke its promise: " + "; ".join(wrong))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True,
                        help="where rkbridge, rkbctl and tests/bench/floor are")
    parser.add_argument("--seconds", type=int, default=20, help="how long messages are published (default 20)")
    parser.add_argument("--rate", type=int, default=2000, help="messages a second to each (default 2000)")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rkbridge-plug."))
    ring = tempfile.mkdtemp(prefix="rkbridge-plug.", dir="/dev/shm") if os.access("/dev/shm", os.W_OK) else "none"
    to_end = []
    try:
        return run(arguments, directory, ring, to_end)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for one in reversed(to_end):
            one.kill()
        shutil.rmtree(directory, ignore_errors=True)
        if ring != "none":
            shutil.rmtree(ring, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
