"""What each fault of a plan does: begin(world) and end(world); what comes between is waiting.

An entry of BY_NAME makes one from the world and the fault's length; its steps are run by Runner, each fault in a thread
of its own.
"""

import errno
import json
import os
import signal
import threading
import time

import redis

from life import now_us
import world as worlds

STEP = 1 << 16


class Fault:
    """begin and end may take long (a Kafka that starts); detail: what there is to say of it afterwards."""

    def __init__(self, world, lasts):
        self.world = world
        self.lasts = lasts
        self.detail = None

    def begin(self):
        raise NotImplementedError

    def end(self):
        pass


class EndBridge(Fault):
    how, number = "kill", signal.SIGKILL

    def begin(self):
        self.world.bridge.sampler.sample()
        self.detail = f"code {self.world.bridge.end(self.how, self.number)}"

    def end(self):
        self.world.bridge.start()


class RestartBridge(EndBridge):
    how, number = "term", signal.SIGTERM


def freeze(process_of):
    class Freeze(Fault):
        def begin(self):
            process_of(self.world).send_signal(signal.SIGSTOP)

        def end(self):
            process_of(self.world).send_signal(signal.SIGCONT)
    return Freeze


def end_server(server_of, way):
    class End(Fault):
        def begin(self):
            getattr(server_of(self.world), way)()

        def end(self):
            server_of(self.world).start()
    return End


class Command(Fault):
    """A command for Redis, which then does the rest by itself."""

    def words(self):
        raise NotImplementedError

    def begin(self):
        self.detail = str(self.world.bridge_command(*self.words()))


class Sleep(Command):
    def words(self):
        return "DEBUG", "SLEEP", f"{self.lasts:.3f}"    # its answer comes afterwards

    def begin(self):
        super().begin()
        self.lasts = 0


class ClientPause(Command):
    def words(self):
        return "CLIENT", "PAUSE", int(self.lasts * 1000), "ALL"


class ResetStat(Command):
    def words(self):
        return "CONFIG", "RESETSTAT"


class ClientKill(Fault):
    def begin(self):
        self.detail = f"{self.world.redis.kill_bridge_clients()} connections"


class NarrowAcl(Fault):
    def begin(self):
        self.world.bridge_command("ACL", "SETUSER", "bridge", "resetchannels", *worlds.ALLOWED)

    def end(self):
        self.world.bridge_command("ACL", "SETUSER", "bridge", "allchannels")


class SlowReader(Fault):
    """The link stands still and Redis holds little for us: it cuts us off."""

    def begin(self):
        self.world.bridge_command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 256kb 64kb 1")
        self.world.redis_link.stall()

    def end(self):
        self.world.redis_link.go_on()
        self.world.bridge_command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60")


def link(name, way, *arguments):
    class Link(Fault):
        def begin(self):
            self.detail = getattr(getattr(self.world, name), way)(*arguments)

        def end(self):
            getattr(self.world, name).go_on()
    return Link


class FullDisk(Fault):
    """A file beside the journal takes all room there is, and what the journal gives back while it lasts."""

    def begin(self):
        if self.world.disk is None:
            self.detail = "NOT RUN: no file system can be mounted here"
            return
        with open(self.world.disk / "filler", "wb", buffering=0) as file:
            until = time.monotonic() + self.lasts
            while time.monotonic() < until and not self.world.closing:
                try:
                    file.write(b"x" * STEP)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    time.sleep(0.02)
            self.detail = f"{os.fstat(file.fileno()).st_size} bytes"
        self.lasts = 0

    def end(self):
        if self.world.disk:
            (self.world.disk / "filler").unlink()


BY_NAME = {
    ("kill", "bridge"): EndBridge,
    ("restart", "bridge"): RestartBridge,
    ("freeze", "bridge"): freeze(lambda world: world.bridge.process),
    ("freeze_long", "bridge"): freeze(lambda world: world.bridge.process),
    ("kill", "redis"): end_server(lambda world: world.redis, "kill"),
    ("restart", "redis"): end_server(lambda world: world.redis, "stop"),
    ("freeze", "redis"): freeze(lambda world: world.redis.process),
    ("sleep", "redis"): Sleep,
    ("client_kill", "redis"): ClientKill,
    ("client_pause", "redis"): ClientPause,
    ("resetstat", "redis"): ResetStat,
    ("acl", "redis"): NarrowAcl,
    ("slow_reader", "redis_link"): SlowReader,
    ("kill", "kafka"): end_server(lambda world: world.kafka, "kill"),
    ("restart", "kafka"): end_server(lambda world: world.kafka, "stop"),
    ("freeze", "kafka"): freeze(lambda world: world.kafka.process),
    ("full", "disk"): FullDisk,
}
for _name in ("redis_link", "kafka_link"):
    # The bridge is the client of both links: what it sends comes from the near side.
    BY_NAME.update({
        ("cut", _name): link(_name, "cut"),
        ("refuse", _name): link(_name, "refuse"),
        ("stall", _name): link(_name, "stall"),
        ("slow", _name): link(_name, "slow", 0.05),
        ("split", _name): link(_name, "split", 1),
        ("half_open_ours", _name): link(_name, "half_open", "near"),
        ("half_open_theirs", _name): link(_name, "half_open", "far"),
        ("half_open", _name): link(_name, "half_open", "near", "far"),
    })


class Runner:
    """Does the faults of a plan at their times, and writes each down when it is over.
    Those on one thing follow each other."""

    def __init__(self, world, plan, path):
        self.world = world
        self.plan = plan
        self.path = path
        path.touch()
        self.failures = []
        self.counts = {}
        self._threads = []
        self._locks = {one.on: threading.Lock() for one in plan}
        self._end = threading.Event()

    def run(self, until):
        """Until all are over and `until` seconds have passed."""
        began = time.monotonic()
        for one in self.plan:
            self._wait(began + one.at)
            self._threads.append(threading.Thread(target=self._do, args=(one,), daemon=True))
            self._threads[-1].start()
        self._wait(began + until)
        self._join(150)

    def stop(self):
        """Before its time: no fault begins any more, and none is ended that closing the world ends anyway."""
        self._end.set()
        self.world.closing = True
        self._join(30)

    def _join(self, seconds):
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self.failures.append(f"a fault did not end within {seconds} s")

    def _wait(self, until):
        while not self._end.is_set() and time.monotonic() < until:
            self.world.bridge.look()
            self._end.wait(min(0.2, max(0.0, until - time.monotonic())))

    def _do(self, one):
        fault = BY_NAME[one.fault, one.on](self.world, one.lasts)
        with self._locks[one.on]:
            if self._end.is_set():
                return
            began = now_us()
            try:
                self._steps(fault)
            except (OSError, RuntimeError, AssertionError, redis.RedisError) as error:
                self.failures.append(f"fault {one.fault} of {one.on}: {error!r}")
            self._write({"at_us": began, "until_us": now_us(), "fault": one.fault, "on": one.on,
                         "detail": fault.detail})

    def _steps(self, fault):
        fault.begin()
        try:
            self._end.wait(fault.lasts)
        finally:
            if not self.world.closing:
                fault.end()

    def _write(self, line):
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        name = f"{line['on']}: {line['fault']}"
        self.counts[name] = self.counts.get(name, 0) + 1
