"""The world of a run: Redis, Kafka, a proxy before each, a small disk, the bridge and the publishers; close() leaves
nothing behind.

    publishers --> Redis <-- proxy <-- BRIDGE --> proxy --> Kafka
                                         |
                                      journal, on a tmpfs of its own with a filler beside it
"""

import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import sys
import tempfile

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

import broker
import payload
from disk import Mounts
from life import Bridge
from proxy import Proxy
from redis_server import RedisServer

HERE = pathlib.Path(__file__).resolve().parent
TOPICS = {              # name: its partitions
    "chaos-orders": 3,
    "chaos-items-a": 1,
    "chaos-items-audit": 1,
    "chaos-rest": 2,
    "chaos-strict": 1,
    "chaos-notes": 1,
    "chaos-dead": 1,
}
CHANNELS = ["orders.created", "orders.paid", "orders.audit", "items.a", "items.audit", "stock.audit", "strict", "notes"]
PATTERNS = ["items.*", "orders.*", "*.audit"]
ROUTES = {
    "orders": {"channels": ["orders.created", "orders.paid"], "topic": "chaos-orders", "key": "{{payload:/p}}"},
    "items": {"patterns": ["items.*"], "topic": "chaos-items-{{1}}", "envelope": "raw", "rkb_headers": "yes"},
    "rest": {"patterns": ["orders.*", "*.audit"], "topic": "chaos-rest", "envelope": "flat",
             "dead_letter": "chaos-dead"},
    "strict": {"channels": ["strict"], "topic": "chaos-strict", "require": "object", "dead_letter": "chaos-dead"},
    "notes": {"channels": ["notes"], "topic": "chaos-notes", "key": "none"},
}
DEAD = ["chaos-dead"]
GAP_TOPIC = "chaos-gaps"
ALLOWED = ["&orders.*", "&items.*"]     # what the narrowed ACL leaves


def gap_setting(program):
    """Where the config says which topic gaps go to, as a list of names; None for a build that has no such setting."""
    done = subprocess.run([str(program), "--help-config"], capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"^(\S*\bgap_topic)$", done.stdout, re.M)
    return found and found.group(1).replace("*", "legacy").split(".")


class World:
    def __init__(self, build, directory, seed, settings):
        self.build = pathlib.Path(build)
        self.directory = pathlib.Path(directory)
        self.seed = seed
        self.settings = settings
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="rkb-chaos-", dir="/tmp"))
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.work
        self.ring = pathlib.Path(tempfile.mkdtemp(prefix="rkb-chaos-", dir=shm))
        self.password = secrets.token_hex(8)
        self.mounts = self.redis = self.kafka = self.redis_link = self.kafka_link = self.bridge = self.publishers = None
        self.disk = None        # the journal's own file system; None: this machine does not let us mount one
        self.closing = False
        self.topics, self.dead = TOPICS, DEAD
        self.gap_setting = gap_setting(self.build / "rkbridge")
        self.gap_topic = GAP_TOPIC if self.gap_setting else None

    def open(self):
        self.kafka = broker.Broker(self.work / "kafka").start()
        self._make_topics()
        self.redis = RedisServer(self.work / "redis", users=[f"bridge on >{self.password} ~* &* +@all"],
                                 settings=["enable-debug-command local"]).start()
        self.kafka_link = Proxy(("127.0.0.1", self.kafka.inner_port), self.kafka.outer_port)
        self.redis_link = Proxy(("127.0.0.1", self.redis.port))
        self._mount()
        self.bridge = Bridge(self.build / "rkbridge", self.directory, self._config())
        self.bridge.start()
        self.bridge.sampler.start()

    def _mount(self):
        self.mounts = Mounts()
        try:
            self.disk = self.mounts.tmpfs("journal", self.settings["disk"])
        except pytest.skip.Exception:
            self.disk = None

    def _make_topics(self):
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap, "log_level": 0})
        names = dict(TOPICS, **({self.gap_topic: 1} if self.gap_topic else {}))
        for future in admin.create_topics([NewTopic(name, parts, 1) for name, parts in names.items()],
                                          operation_timeout=20).values():
            future.result(30)

    def _config(self):
        config = self._plain_config()
        if self.gap_setting:
            *sections, name = self.gap_setting
            place = config
            for section in sections:
                place = place.setdefault(section, {})
            place[name] = self.gap_topic
        return config

    def _plain_config(self):
        return {
            "instance": "chaos",
            "shutdown_timeout": "3s",
            "redis": {"legacy": {
                "url": f"redis://bridge@{self.redis_link.address}", "password": self.password,
                "connect_timeout": "1500ms",
                "heartbeat": self.settings["heartbeat"], "heartbeat_timeout": "1200ms", "reconnect_max": "500ms",
                "healthy_after": "3s",
                "retry_refused": "500ms", "max_message_size": payload.LIMIT, "watch": self.settings["watch"]}},
            "kafka": {"watchdog": "8s", "properties": {
                "bootstrap.servers": self.kafka_link.address, "socket.timeout.ms": "3000", "request.timeout.ms": "2000",
                "reconnect.backoff.max.ms": "500", "socket.connection.setup.timeout.ms": "2000"}},
            "journal": {
                "directory": str((self.disk or self.work) / "journal"), "ring_directory": str(self.ring),
                "ring_size": "512KiB",
                "segment_size": "256KiB", "max_size": self.settings["max_size"], "min_free": "0",
                "sync": self.settings["sync"]},
            "control": {"socket": str(self.work / "control.sock")},
            "routes": {name: {"source": "legacy", **route} for name, route in ROUTES.items()},
        }

    def start_publishers(self, rate, count=4):
        command = [sys.executable, HERE / "publishers.py", self.redis.port, self.seed, rate,
                   self.directory / "published.jsonl", count]
        self.publishers = subprocess.Popen([str(one) for one in command + CHANNELS], stdin=subprocess.PIPE)

    def stop_publishers(self):
        if self.publishers:
            self.publishers.stdin.close()
            self.publishers.wait(90)
            self.publishers = None

    def bridge_command(self, *words):
        with self.redis.client() as client:
            return client.execute_command(*words)

    def write(self, name, document):
        (self.directory / name).write_text(json.dumps(document) + "\n")

    def close(self):
        """In any case, all of it, whatever of it there is."""
        self.closing = True
        for end in (self._end_publishers, self._end_bridge, self._end_servers, self._end_places):
            try:
                end()
            except Exception as error:          # the others are to be ended too
                print(f"at the end: {error!r}", file=sys.stderr)

    def _end_publishers(self):
        if self.publishers:
            self.publishers.kill()
            self.publishers.wait()

    def _end_bridge(self):
        if self.bridge:
            if self.bridge.running():
                self.bridge.end("kill", 9)
            self.bridge.sampler.stop()

    def _end_servers(self):
        for link in (self.redis_link, self.kafka_link):
            if link:
                link.close()
        if self.redis:
            self.redis.clean()
        if self.kafka:
            self.kafka.kill()

    def _end_places(self):
        if self.mounts:
            self.mounts.close()
        shutil.rmtree(self.ring, ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)
