#!/usr/bin/env python3
"""Measures rkbridge against the floor: what a message costs, whether one is lost, how long it takes.

    bench.py --build DIRECTORY [--rounds 3] [--count 1000000] [--only floor|rkbridge|burst|paced ...]

Each row is measured once in every round, on a fresh private redis-server (its output buffer limits as they come) and a
fresh topic of four partitions in one real Kafka. The order of the rows turns round from round to round, so that a machine
that becomes slower or faster does not favour one. Everything is started here and ended here, by its process id.

CPU time is user and system of the whole process from its start to its end (wait4), per message that arrived; Redis, Kafka,
publisher and sink are not in it. Memory is the highest RssAnon and RssShmem (the ring, where it is on tmpfs) seen.
"""

import argparse
import ctypes
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "kafka"))
sys.dont_write_bytecode = True
import broker  # noqa: E402

RATIO_WANTED = 1.3
PACED_RATE, PACED_SECONDS = 20000, 15
PREFIX, PAYLOAD_NAME = "bench", "payload"


class Failed(Exception):
    pass


def tail(path, lines=12):
    return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds} s for nothing: {what}")
        time.sleep(0.05)


class Program:
    """A child with its output in files; what it cost is known when it has ended."""

    def __init__(self, name, arguments, directory):
        self.name = name
        self.out_path, self.log_path = directory / f"{name}.out", directory / f"{name}.log"
        with self.out_path.open("wb") as out, self.log_path.open("wb") as log:
            # setpriv becomes the program; whatever ends us ends it too
            self.child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *map(str, arguments)],
                                          stdin=subprocess.DEVNULL, stdout=out, stderr=log)
        self.usage = None

    def running(self):
        if self.child.returncode is None:
            pid, status, usage = os.wait4(self.child.pid, os.WNOHANG)
            if pid:
                self.child.returncode, self.usage = os.waitstatus_to_exitcode(status), usage
        return self.child.returncode is None

    def fail(self, what):
        raise Failed(f"{self.name} {what}\n{tail(self.out_path)}\n{tail(self.log_path)}")

    def wait_for(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.running():
                self.fail(f"ended with {self.child.returncode} before it was {what}")
            if time.monotonic() > deadline:
                self.fail(f"was not {what} within {seconds} s")
            time.sleep(0.02)

    def said_ready(self):
        return self.out_path.read_text().startswith("ready\n")

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > deadline:
                self.kill()
                self.fail(f"did not end within {seconds} s")
            time.sleep(0.02)
        if self.child.returncode != 0:
            self.fail(f"ended with {self.child.returncode}")

    def end(self, seconds=60):
        if self.running():
            self.child.send_signal(signal.SIGTERM)
        self.wait(seconds)

    def kill(self):
        if self.running():
            self.child.kill()
            while self.running():
                time.sleep(0.01)

    def result(self):
        return json.loads(self.out_path.read_text().splitlines()[-1])


class Memory(threading.Thread):
    """Watches a process: the most anonymous and shared memory it held."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.path, self.done = f"/proc/{pid}/status", threading.Event()
        self.anonymous = self.shared = 0
        self.start()

    def run(self):
        while not self.done.wait(0.05):
            try:
                text = pathlib.Path(self.path).read_text()
            except OSError:
                return
            found = {name: int(kib) for name, kib in re.findall(r"^(RssAnon|RssShmem):\s+(\d+) kB", text, re.M)}
            self.anonymous = max(self.anonymous, found.get("RssAnon", 0))
            self.shared = max(self.shared, found.get("RssShmem", 0))

    def stop(self):
        self.done.set()
        self.join()


class Redis(Program):
    """Its defaults but for: loopback, a port of its own, nothing written to disk."""

    def __init__(self, directory):
        self.port = broker.free_port()
        super().__init__("redis", ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "",
                                   "--appendonly", "no", "--dir", directory], directory)
        self.wait_for(self._answers, 20, "answering")

    def _answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def cuts(self):
        """How often it closed a connection whose output buffer was over the limit."""
        return self.out_path.read_text(errors="replace").count("overcoming of output buffer limits")


class Floor(Program):
    def __init__(self, bench, redis, topic, directory):
        super().__init__("floor", [bench.program("tests/bench/floor"), "-u", "-p", redis.port, "-b", bench.kafka.bootstrap, "-t", topic,
                                   "-c", bench.options.channels, "-x", PREFIX, "-k", PAYLOAD_NAME], directory)
        self.wait_for(self.said_ready, 20, "ready")

    def settle(self):
        pass

    def facts(self):
        return {"connections": self.result()["connections"]}


class Bridge(Program):
    def __init__(self, bench, redis, topic, directory):
        self.socket_path, self.last = directory / "control.sock", {}
        config = directory / "rkbridge.yaml"
        channels = ", ".join(f"{PREFIX}.{n}" for n in range(bench.options.channels))
        config.write_text(
            "instance: bench\n"
            f"redis: {{bench: {{url: 'redis://127.0.0.1:{redis.port}'}}}}\n"
            f"kafka: {{properties: {{bootstrap.servers: '{bench.kafka.bootstrap}', compression.type: lz4, linger.ms: 5}}}}\n"
            f"journal: {{directory: {directory / 'journal'}, ring_directory: {bench.rings}, max_size: 4GiB, sync: {bench.options.sync}}}\n"
            f"control: {{socket: {self.socket_path}}}\n"
            f"routes: {{bench: {{source: bench, channels: [{channels}], topic: {topic}, key: '{{{{channel}}}}',\n"
            f"                  envelope: event, payload_name: {PAYLOAD_NAME}}}}}\n")
        super().__init__("rkbridge", [bench.program("rkbridge"), "-c", config], directory)
        self.wait_for(lambda: self.stats().get("ready"), 30, "ready")

    def stats(self):
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self.socket_path))
                connection.sendall(b"stats json\n")
                self.last = json.loads(connection.makefile().readline())
        except (OSError, ValueError):
            return {}
        return self.last

    def settle(self):
        wait_until(lambda: self.stats().get("totals", {}).get("pending") == 0, 30, "rkbridge has records pending")

    def facts(self):
        books, source = self.last["totals"], self.last["sources"]["bench"]
        balance = books["received"] + books["recovered"] - sum(
            books[name] for name in ("delivered", "covered", "dead_lettered", "filtered", "echoed", "dropped", "pending"))
        return {"connections": source["connections_total"], "balance": balance, "dropped": books["dropped"]}


CARRIERS = {"floor": Floor, "rkbridge": Bridge}


class Bench:
    def __init__(self, options, directory, rings):
        self.options, self.directory, self.rings = options, directory, rings
        self.kafka = broker.Broker(directory / "kafka")
        self.runs = 0
        self.load = os.getloadavg()[0]

    def program(self, name):
        for place in (name, pathlib.Path("src") / name):
            if os.access(self.options.build / place, os.X_OK):
                return self.options.build / place
        raise Failed(f"{name} is not built in {self.options.build}")

    def measure(self, carrier, load, count=None):
        """One row's figures in one round."""
        self.runs += 1
        directory = self.directory / f"{self.runs:02}-{carrier}-{load}"
        directory.mkdir()
        rate = PACED_RATE if load == "paced" else 0
        count = count or (PACED_RATE * PACED_SECONDS if rate else self.options.count)
        started, topic = [], directory.name
        try:
            redis = self._add(started, Redis(directory))
            sink = self._add(started, Program("sink", [self.program("tests/bench/sink"), "-b", self.kafka.bootstrap, "-t", topic,
                                                       "-n", count, "-p", 4], directory))
            sink.wait_for(sink.said_ready, 60, "ready")
            carried = self._add(started, CARRIERS[carrier](self, redis, topic, directory))
            memory = Memory(carried.child.pid)
            publisher = self._add(started, Program("publisher", [
                self.program("tests/bench/publisher"), "-p", redis.port, "-n", count, "-c", self.options.channels, "-x", PREFIX,
                "-s", self.options.size, "-r", rate], directory))
            publisher.wait(600)
            sink.wait(600)
            carried.settle()
            memory.stop()
            carried.end()
            return self._figures(carrier, load, carried, memory, publisher.result(), sink.result(), redis.cuts())
        finally:
            for program in reversed(started):
                program.kill()
            shutil.rmtree(directory / "journal", ignore_errors=True)

    @staticmethod
    def _add(started, program):
        started.append(program)
        return program

    @staticmethod
    def _figures(carrier, load, carried, memory, published, arrived, cuts):
        million = max(arrived["distinct"], 1) / 1e6
        return {"carrier": carrier, "load": load, "user": carried.usage.ru_utime / million,
                "system": carried.usage.ru_stime / million,
                "cpu": (carried.usage.ru_utime + carried.usage.ru_stime) / million,
                "rate": arrived["distinct"] / max(arrived["seconds"], 0.001),
                "published_rate": published["published"] / published["seconds"],
                "missing": arrived["missing"], "twice": arrived["twice"], "disordered": arrived["disordered"] + arrived["strange"],
                "p50": arrived["p50_ms"], "p99": arrived["p99_ms"], "anonymous": memory.anonymous / 1024,
                "shared": memory.shared / 1024, "cuts": cuts, "unheard": published["unheard"], "late_ms": published["late_ms"],
                **carried.facts()}


COLUMNS = (  # heading, format, key
    ("carrier", "{}", "carrier"), ("load", "{}", "load"), ("CPU s/M", "{:.2f}", "cpu"), ("user", "{:.2f}", "user"),
    ("system", "{:.2f}", "system"),
    ("published/s", "{:,.0f}", "published_rate"), ("arrived/s", "{:,.0f}", "rate"), ("missing", "{:,}", "missing"),
    ("twice", "{:,}", "twice"),
    ("disordered", "{:,}", "disordered"), ("p50 ms", "{:.1f}", "p50"), ("p99 ms", "{:.1f}", "p99"), ("anon MiB", "{:.1f}", "anonymous"),
    ("shmem MiB", "{:.1f}", "shared"), ("cut off", "{}", "cuts"))
SUMMED = ("missing", "twice", "disordered", "cuts")


def cells(row):
    return [form.format(row[key]) for _, form, key in COLUMNS]


def summary(rows, carrier, load):
    """Medians over the rounds; what must not happen is summed up."""
    mine = [row for row in rows if (row["carrier"], row["load"]) == (carrier, load)]
    if not mine:
        return None
    whole = {"carrier": carrier, "load": load}
    for _, _, key in COLUMNS[2:]:
        values = [row[key] for row in mine]
        whole[key] = sum(values) if key in SUMMED else statistics.median(values)
    return whole


def ratios(rows, load):
    """CPU of rkbridge by CPU of the floor, round by round, and how many rounds do not count: who loses messages, saves."""
    by = {name: [row for row in rows if (row["carrier"], row["load"]) == (name, load)] for name in CARRIERS}
    pairs = list(zip(by["rkbridge"], by["floor"]))
    whole = [ours["cpu"] / floor["cpu"] for ours, floor in pairs if ours["missing"] == floor["missing"] == 0]
    return whole, len(pairs) - len(whole)


def ratio_words(rows, load):
    pairs, left_out = ratios(rows, load)
    if not pairs and not left_out:
        return []
    words = f"CPU of rkbridge by CPU of floor, {load}, pair by pair: {', '.join(f'{r:.2f}' for r in pairs) or 'none'}"
    if pairs:
        words += f"; median {statistics.median(pairs):.2f}"
        if load == "burst":
            words += f" ({'within' if statistics.median(pairs) <= RATIO_WANTED else 'over'} the target of {RATIO_WANTED})"
    return [words + (f"; {left_out} left out, where one of the two lost messages" if left_out else "")]


def faults(row):
    """What rkbridge promised and did not keep in this row."""
    if row["carrier"] != "rkbridge":
        return []
    wrong = [f"{row[key]:,} {key}" for key in ("missing", "twice", "disordered", "dropped", "balance") if row[key]]
    if row["cuts"] or row["connections"] != 1:
        wrong.append(f"cut off by Redis {row['cuts']} times, {row['connections']} connections")
    return wrong


def plain_table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines)


def markdown_table(lines):
    bars = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([bars[0], "|" + "|".join(" --- " if i < 2 else " ---: " for i in range(len(lines[0]))) + "|", *bars[1:]])


def file_system(path):
    """The type of the file system a path is on."""
    mounts = [line.split()[1:3] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    fitting = [(len(point), kind) for point, kind in mounts if pathlib.Path(point) in [path, *path.parents]]
    return max(fitting)[1]


def machine(bench):
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = int(re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M).group(1))
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    redis = re.search(r"v=(\S+)", redis).group(1)
    library = ctypes.CDLL("librdkafka.so.1")
    library.rd_kafka_version_str.restype = ctypes.c_char_p
    return (f"{cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, {memory / 2**20:.0f} GiB, Linux {platform.release()}, "
            f"journal and Kafka on {file_system(bench.directory)}; redis {redis}, "
            f"Kafka {broker.version()} (one node), librdkafka {library.rd_kafka_version_str().decode()}")


def report(bench, rows):
    """All that is said at the end, as Markdown and for the screen; returns it and whether a promise was broken."""
    options = bench.options
    heading = [name for name, _, _ in COLUMNS]
    whole = [row for load in ("burst", "paced") for row in (summary(rows, name, load) for name in CARRIERS) if row]
    words = [*ratio_words(rows, "burst"), *ratio_words(rows, "paced")]
    broken = [f"{row['load']}: {', '.join(faults(row))}" for row in rows if faults(row)]
    if bench.load > os.cpu_count() / 4:
        words.append(f"The machine was not idle before (load average {bench.load:.1f}): these figures are not worth keeping.")
    if any(row["carrier"] == "rkbridge" for row in rows):
        words.append("rkbridge: " + ("; ".join(broken) if broken else "nothing missing, twice or out of order; Redis never cut it off"))
    about = [machine(bench), f"{options.rounds} rounds; {options.size}-byte JSON, {options.channels} channels, lz4, sync {options.sync}; "
             f"burst: {options.count:,} messages as fast as Redis publishes; paced: {PACED_RATE:,}/s for {PACED_SECONDS} s; "
             "medians, but sums of missing, twice, disordered (with strange), cut off"]
    table = [heading, *map(cells, whole)]
    screen = "\n".join(["", *about, "", plain_table(table), "", *words])
    mark = "\n\n".join([*about, markdown_table(table), *words]) + "\n"
    return screen, mark, bool(broken)


def plan(options):
    """The rows to measure, in the order of the first round."""
    wanted = set(options.only)
    carriers = [name for name in CARRIERS if name in wanted or not wanted & set(CARRIERS)]
    loads = [load for load in ("burst", "paced") if load in wanted or not wanted & {"burst", "paced"}]
    return [(carrier, load) for load in loads for carrier in carriers]


def run(bench):
    options, rows, todo = bench.options, [], plan(bench.options)
    bench.kafka.start()
    print("Warming up", flush=True)
    bench.measure("floor", "burst", count=200000)
    print(plain_table([[name for name, _, _ in COLUMNS]]), flush=True)
    for number in range(options.rounds):
        for carrier, load in todo if number % 2 == 0 else reversed(todo):
            row = bench.measure(carrier, load)
            rows.append(row)
            print("  ".join(cells(row)), *(f"  !! {wrong}" for wrong in faults(row)), flush=True)
    screen, mark, broken = report(bench, rows)
    print(screen)
    if options.markdown:
        options.markdown.write_text(mark)
    return 1 if broken else 0


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path.cwd(), help="where the programs were built (here)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=1000000, help="messages of a burst")
    parser.add_argument("--only", action="append", default=[], choices=("floor", "rkbridge", "burst", "paced"),
                        help="leave out the others; may be repeated")
    parser.add_argument("--size", type=int, default=200, help="bytes of a payload")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--sync", default="1s", help="journal.sync")
    parser.add_argument("--directory", type=pathlib.Path, help="where to put the journal and Kafka's data (a temporary directory)")
    parser.add_argument("--markdown", type=pathlib.Path, help="write the report there too")
    return parser.parse_args()


def main():
    options = read_options()
    options.build = options.build.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (tempfile.TemporaryDirectory(prefix="rkbridge-bench.", dir=options.directory) as directory,
          tempfile.TemporaryDirectory(prefix="rkbridge-bench.", dir="/dev/shm") as rings):
        bench = Bench(options, pathlib.Path(directory).resolve(), rings)
        try:
            return run(bench)
        except Failed as problem:
            print(f"bench: {problem}", file=sys.stderr)
            return 2
        finally:
            bench.kafka.stop()


if __name__ == "__main__":
    sys.exit(main())
