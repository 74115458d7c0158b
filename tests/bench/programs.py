"""The programs of a run: each started here, in a session of its own, and ended here by its process id."""

import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "kafka"))
import broker  # noqa: E402

PREFIX, PAYLOAD_NAME = "bench", "payload"
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"]     # becomes the program; whatever ends us ends it too


class Failed(Exception):
    """This run came to nothing; the text says why."""


def tail(path, lines=12):
    return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])


class Program:
    """A child with its output in files."""

    def __init__(self, name, arguments, directory):
        self.name = name
        self.out_path, self.log_path = directory / f"{name}.out", directory / f"{name}.log"
        with self.out_path.open("wb") as out, self.log_path.open("wb") as log:
            self.child = subprocess.Popen([*DIES_WITH_US, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=log, start_new_session=True)
        self.pid = self.child.pid

    def running(self):
        return self.child.poll() is None

    def fail(self, what):
        raise Failed(f"{self.name} {what}\n{tail(self.out_path)}\n{tail(self.log_path)}".rstrip())

    def wait_for(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.running():
                self.fail(f"ended with {self.child.returncode} before it was {what}")
            if time.monotonic() > deadline:
                self.fail(f"was not {what} within {seconds:.0f} s")
            time.sleep(0.02)

    def said(self, word):
        return word + "\n" in self.out_path.read_text(errors="replace")

    def wait(self, seconds):
        try:
            code = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self.fail(f"did not end within {seconds:.0f} s")
        if code != 0:
            self.fail(f"ended with {code}")

    def end(self, seconds=60):
        if self.running():
            self.child.send_signal(signal.SIGTERM)
        self.wait(seconds)

    def kill(self):
        if self.running():
            self.child.kill()
            self.child.wait()

    def result(self):
        return json.loads(self.out_path.read_text().splitlines()[-1])


class Kafka(broker.Broker):
    """The broker of the tests; it does not outlive us either, and a Ctrl-C is ours to act upon."""

    def _java(self, main, *arguments):
        return ["setsid", *DIES_WITH_US, *super()._java(main, *arguments)]

    @property
    def pid(self):
        return self.process.pid


class Redis(Program):
    """Its defaults but for: loopback, a port of its own, nothing written to disk."""

    def __init__(self, directory):
        self.port = broker.free_port()
        super().__init__("redis", ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "",
                                   "--appendonly", "no", "--dir", directory], directory)
        self.wait_for(self._answers, 20, "answering")

    def _answers(self):
        try:
            return self.ask("PING") == "+PONG"
        except OSError:
            return False

    def ask(self, command, timeout=2):
        """A reply's first line; of a bulk, its text."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(command.encode() + b"\r\n")
            reply = connection.makefile("rb")
            line = reply.readline().decode().rstrip()
            return reply.read(int(line[1:])).decode() if line.startswith("$") else line

    def omem(self):
        """Bytes that wait in the fullest output buffer of a subscriber."""
        return max((int(size) for size in re.findall(r" omem=(\d+)", self.ask("CLIENT LIST TYPE pubsub"))), default=0)

    def cuts(self):
        """How often it closed a connection whose output buffer was over the limit."""
        return self.out_path.read_text(errors="replace").count("overcoming of output buffer limits")


# Of a message as bench.h has it.
SCHEMA_FILE = "message.schema.json"
SCHEMA = {"type": "object", "required": ["number", "channel", "at", "text"], "additionalProperties": False,
          "properties": {"number": {"type": "integer", "minimum": 0},
                         "channel": {"type": "integer", "minimum": 0, "maximum": 16384},
                         "at": {"type": "integer", "minimum": 0},
                         "text": {"type": "string", "minLength": 1, "maxLength": 200}}}


class Floor(Program):
    """queue: records librdkafka's queue may hold; "" for a whole burst."""

    def __init__(self, bench, shape, redis, topic, directory, queue=""):
        pattern = ["-P"] if shape.patterns else []
        super().__init__("floor", [
            bench.program("tests/bench/floor"), "-u", *pattern, "-p", redis.port, "-b", bench.kafka.bootstrap,
            "-t", topic, "-c", shape.channels, "-x", PREFIX, "-k", PAYLOAD_NAME, "-z", shape.compression,
            *(["-q", queue] if queue else [])], directory)
        self.wait_for(lambda: self.said("ready"), 20, "ready")

    def settle(self):
        pass

    def facts(self):
        return {"connections": self.result()["connections"]}


class SmallFloor(Floor):
    """The floor with as large a queue as librdkafka has by itself: it keeps no outage in memory."""

    def __init__(self, bench, shape, redis, topic, directory):
        super().__init__(bench, shape, redis, topic, directory, queue="100000")


class Bridge(Program):
    def __init__(self, bench, shape, redis, topic, directory):
        self.socket_path, self.last = directory / "control.sock", {}
        self.http_port = broker.free_port()
        config = directory / "rkbridge.yaml"
        config.write_text(
            "instance: bench\n"
            f"redis: {{bench: {{url: 'redis://127.0.0.1:{redis.port}'}}}}\n"
            f"kafka: {{properties: {{bootstrap.servers: '{bench.kafka.bootstrap}', "
            f"compression.type: {shape.compression}}}}}\n"
            f"journal: {{directory: {directory / 'journal'}, ring_directory: {bench.rings}, max_size: 4GiB, "
            f"sync: {shape.sync}}}\n"
            f"control: {{socket: {self.socket_path}}}\n"
            f"http: {{listen: '127.0.0.1:{self.http_port}'}}\n"
            f"metrics: {{routes: {shape.routes}}}\n"
            f"routes:\n{self._routes(shape, topic)}")
        (directory / SCHEMA_FILE).write_text(json.dumps(SCHEMA))
        under = bench.profile.under(directory) if bench.profile else []
        super().__init__("rkbridge", [*under, bench.program("rkbridge"), "-c", config], directory)
        self.wait_for(lambda: self.stats().get("ready"), 120 if under else 30, "ready")

    @classmethod
    def _routes(cls, shape, topic):
        """One for all, or one for each channel."""
        if shape.routes == 1:
            return f"  bench: {{source: bench, {cls._subscriptions(shape)}, topic: {topic}, {shape.route}}}\n"
        return "".join(f"  r{n}: {{source: bench, channels: [{PREFIX}.{n}], topic: {topic}, {shape.route}}}\n"
                       for n in range(shape.routes))

    @staticmethod
    def _subscriptions(shape):
        if shape.patterns:
            return f"patterns: [{', '.join(repr(pattern) for pattern in shape.patterns)}]"
        return f"channels: [{', '.join(f'{PREFIX}.{n}' for n in range(shape.channels))}]"

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
        """Waits till nothing is pending."""
        deadline = time.monotonic() + 30
        while (books := self.stats().get("totals", {})).get("pending") != 0:
            if not self.running():
                self.fail(f"ended with {self.child.returncode} before nothing was pending")
            if time.monotonic() > deadline:
                self.fail(f"has {books['pending']:,} records pending still" if books else "does not answer any more")
            time.sleep(0.05)

    def facts(self):
        books, source = self.last["totals"], self.last["sources"]["bench"]
        balance = books["received"] + books["recovered"] - sum(books[name] for name in (
            "delivered", "covered", "dead_lettered", "filtered", "echoed", "dropped", "pending"))
        return {"connections": source["connections_total"], "balance": balance, "dropped": books["dropped"]}


class Clients(Program):
    """Clients of a bridge that behave badly, by their kind (clients.py)."""

    def __init__(self, kind, bridge, directory):
        super().__init__("clients", [sys.executable, pathlib.Path(__file__).with_name("clients.py"), kind,
                                     bridge.http_port, bridge.socket_path], directory)
        self.wait_for(lambda: self.said("ready"), 20, "ready")


CARRIERS = {"floor": Floor, "floor, small queue": SmallFloor, "rkbridge": Bridge}
