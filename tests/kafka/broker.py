#!/usr/bin/env python3
"""A real Apache Kafka, one node (broker and controller in one), for tests; a second node for what needs one.

    jars()            copies Kafka from Maven Central into a cache, once per version, and names the class path
    Broker            formats its storage, starts, stops and kills the node; its ports stay the same over a restart

All listens on 127.0.0.1. Besides the plain listener there is one that names another port in its metadata: what stands
on that port (a fault proxy) stands between the broker and a client; and one that wants a login (SASL PLAIN or SCRAM).
By hand:

    python3 tests/kafka/broker.py DIRECTORY      prints its address, runs till Ctrl-C
"""

import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
JVM = ["-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
       "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
       "-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=info"]      # who is denied what


def version():
    """The Kafka version that pom.xml asks for."""
    return re.search(r"<kafka\.version>([^<]+)<", (HERE / "pom.xml").read_text()).group(1)


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "rkbridge" / ("kafka-" + version())


def jars():
    """The directory with Kafka's jars, filled by Maven if it is not there yet; whole or not there at all."""
    target = cache_directory()
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = pathlib.Path(tempfile.mkdtemp(prefix=target.name + ".", dir=target.parent))
    try:
        subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
                        "-DincludeScope=runtime", "-DoutputDirectory=" + str(fresh)], check=True)
        fresh.rename(target)
    except OSError:
        if not target.is_dir():     # else another run was faster
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def free_port():
    """A port nobody listens on, below the range that outgoing connections take theirs from."""
    for _ in range(200):
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port found")


class Broker:
    """settings: laid over ours; prefix: what stands before the java command of the node; first: the node whose cluster
    this one joins, as its second, a broker only."""

    def __init__(self, directory, settings=None, prefix=(), first=None):
        self.prefix = list(prefix)
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port, self.inner_port, self.outer_port, self.login_port, self.controller_port = _distinct_ports(5)
        self.login_user, self.login_password = "bridge", secrets.token_hex(12)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.log_path = self.directory / "kafka.log"
        self.properties = self.directory / "server.properties"
        self.process = None
        joined = self._as_second(first) if first else {}
        self.properties.write_text(self._settings({**joined, **(settings or {})}))

    def _as_second(self, first):
        return {
            "process.roles": "broker",
            "node.id": 2,
            "controller.quorum.voters": f"1@127.0.0.1:{first.controller_port}",
            "listeners": self._listeners(self.inner_port),
        }

    def _listeners(self, proxied):
        return f"PLAIN://127.0.0.1:{self.port},PROXIED://127.0.0.1:{proxied},LOGIN://127.0.0.1:{self.login_port}"

    def _settings(self, more):
        controller = f"127.0.0.1:{self.controller_port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "listeners": self._listeners(self.inner_port) + f",CONTROLLER://{controller}",
            "advertised.listeners": self._listeners(self.outer_port),
            "listener.security.protocol.map":
                "PLAIN:PLAINTEXT,PROXIED:PLAINTEXT,LOGIN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listener.name.login.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "listener.name.login.scram-sha-256.sasl.jaas.config":
                "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.login.plain.sasl.jaas.config":
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'user_{self.login_user}="{self.login_password}";',
            "inter.broker.listener.name": "PLAIN",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.directory / "data",
            "num.network.threads": 2,
            "num.io.threads": 2,
            "num.partitions": 1,
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "message.max.bytes": 4 * 1024 * 1024,
            "log.segment.bytes": 32 * 1024 * 1024,
            # Everybody may do all that no rule denies: a test takes a right away by such a rule.
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 2500,      # how long a killed node's return waits for its old session
            **more,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _java(self, main, *arguments):
        return ["java", *JVM, "-cp", str(jars() / "*"), main, *arguments]

    def _format(self):
        done = subprocess.run(self._java("kafka.tools.StorageTool", "format", "--ignore-formatted",
                                         "--cluster-id", "rkbridgeTestsAAAAAAAAA", "--config", str(self.properties)),
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError("Kafka's storage could not be formatted: " + done.stdout + done.stderr)

    def start(self, timeout=90):
        """Starts the node and waits till it answers. On a broker that runs: nothing."""
        if self.running():
            return self
        if not (self.directory / "data").exists():
            self._format()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.prefix + self._java("kafka.Kafka", str(self.properties)),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        deadline = time.monotonic() + timeout
        while not _answers(self.port):
            if self.process.poll() is not None:
                raise RuntimeError(f"Kafka ended with {self.process.returncode}; see {self.log_path}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Kafka did not answer within {timeout} s; see {self.log_path}")
            time.sleep(0.1)
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout=30):
        """Ends it in order; by force after the timeout."""
        if not self.running():
            return
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        if self.running():
            self.process.kill()
            self.process.wait()


def _distinct_ports(count):
    ports = set()
    while len(ports) < count:
        ports.add(free_port())
    return list(ports)


def _answers(port):
    """Whether a Kafka on that port answers ApiVersions (key 18, version 0, correlation 1, no client id)."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            return len(connection.recv(10)) >= 4
    except OSError:
        return False


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: broker.py DIRECTORY")
    broker = Broker(sys.argv[1])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        broker.start()
        print(broker.bootstrap, flush=True)
        broker.process.wait()
    finally:
        broker.stop()


if __name__ == "__main__":
    main()
