"""What a soak runs: Redis, Kafka, rkbridge, a publisher and a tally; close() leaves nothing of it behind.

    publisher --> Redis --> rkbridge --> Kafka --> tally

Each is a child that dies with us, however we end. Needs nothing but Python itself.
"""

import os
import pathlib
import shutil
import signal
import tempfile

import programs
from control import Control, ControlError
from programs import Failed, Program

TOPIC, PARTITIONS, CHANNELS = "soak", 4, 16
PROGRAMS = {"rkbridge": "rkbridge", "publisher": "tests/chaos/soaking/publisher", "tally": "tests/chaos/soaking/tally"}
# What Kafka keeps of a partition, so that its disk does not fill: a minute and more at 20,000 messages a second.
KAFKA = {"log.retention.bytes": 256 << 20, "log.segment.bytes": 32 << 20, "log.retention.check.interval.ms": 5000,
         "log.segment.delete.delay.ms": 1000}


class Redis(programs.Redis):
    """One that can be started again, on its port."""

    def __init__(self, directory):
        self.directory = directory
        super().__init__(directory)

    def restart(self):
        self.end()
        Program.__init__(self, "redis", ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "",
                                         "--appendonly", "no", "--dir", self.directory], self.directory)
        self.wait_for(self._answers, 20, "answering")


class Bridge(Program):
    def __init__(self, program, world):
        self.socket = world.work / "control.sock"
        self.journal = world.work / "journal"
        config = world.directory / "rkbridge.yaml"
        config.write_text(
            "instance: soak\n"
            f"redis: {{legacy: {{url: 'redis://127.0.0.1:{world.redis.port}'}}}}\n"
            f"kafka: {{properties: {{bootstrap.servers: '{world.kafka.bootstrap}', compression.type: lz4}}}}\n"
            f"journal: {{directory: '{self.journal}', ring_directory: '{world.rings}'}}\n"
            f"control: {{socket: '{self.socket}'}}\n"
            f"routes: {{soak: {{source: legacy, patterns: ['{programs.PREFIX}.*'], topic: {TOPIC},\n"
            "                envelope: event, payload_name: payload}}\n")
        super().__init__("rkbridge", [program, "-c", config], world.directory)
        self.wait_for(lambda: (self.stats() or {}).get("ready"), 30, "ready")

    def ask(self, command):
        """None where it does not answer."""
        try:
            with Control(self.socket, timeout=10) as control:
                return control.ask_json(command)
        except (OSError, ValueError, ControlError, AssertionError):
            return None

    def stats(self):
        return self.ask("stats json")


class World:
    def __init__(self, build, directory, rate, size):
        self.build, self.directory, self.rate, self.size = build, directory, rate, size
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="rkb-soak-", dir="/tmp"))
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.work
        self.rings = pathlib.Path(tempfile.mkdtemp(prefix="rkb-soak-", dir=shm))
        self.fates, self.holes = directory / "published.txt", directory / "holes.txt"
        self.redis = self.kafka = self.bridge = self.publisher = self.tally = None

    def program(self, name):
        for place in (self.build / PROGRAMS[name], self.build / "src" / name):
            if os.access(place, os.X_OK):
                return place
        raise Failed(f"{self.build / PROGRAMS[name]} is not built")

    def open(self):
        """All but the publisher."""
        found = {name: self.program(name) for name in PROGRAMS}     # before anything is started
        self.kafka = programs.Kafka(self.work / "kafka", settings=KAFKA)
        self.kafka.start()
        self.redis = Redis(self.work)
        self.tally = Program("tally", [found["tally"], "-b", self.kafka.bootstrap, "-t", TOPIC, "-p", PARTITIONS,
                                       "-c", CHANNELS, "-f", self.holes], self.directory)
        self.tally.wait_for(lambda: self.tally.said("ready"), 60, "ready")
        self.bridge = Bridge(found["rkbridge"], self)

    def publish(self):
        self.publisher = Program("publisher", [self.program("publisher"), "-p", self.redis.port, "-c", CHANNELS,
                                               "-s", self.size, "-r", self.rate, "-f", self.fates], self.directory)

    def look(self):
        """Fails where one that is to run has ended."""
        for one in (self.bridge, self.publisher, self.tally):
            if one and not one.running():
                one.fail(f"ended with {one.child.returncode} in the middle of the run")

    def restart_redis(self):
        self.redis.restart()

    def restart_kafka(self):
        self.kafka.stop()
        self.kafka.start()

    def close(self):
        """In any case, all of it, whatever of it there is."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for one in (self.publisher, self.bridge, self.tally, self.redis, self.kafka):
            if one:
                one.kill()
        shutil.rmtree(self.rings, ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)
