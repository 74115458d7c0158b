"""A real redis-server in a private directory, on a port that it keeps over a restart."""

import os
import socket
import subprocess

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from broker import free_port
from waiting import wait_for


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


class RedisServer:
    """`users` are lines of an ACL file without the word `user`; the default user stays, for the test itself, unless
    `password` closes it to those who do not know it."""

    def __init__(self, directory, users=(), password=None, settings=()):
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        # A unix socket's path is short; pytest's directories need not be.
        self.socket_path = f"/tmp/rkb-redis-{os.getpid()}-{self.port}.sock"
        self.password = password
        self.settings = list(settings)
        self.users = list(users)
        self.process = None

    def url(self, user=None, host="127.0.0.1"):
        return f"redis://{user + '@' if user else ''}{host}:{self.port}"

    def unix_url(self, user=None):
        return f"unix://{user + '@' if user else ''}{self.socket_path}"

    def _write_config(self):
        lines = ["bind 127.0.0.1" + (" ::1" if has_ipv6() else ""), f"port {self.port}",
                 f"unixsocket {self.socket_path}", 'save ""', "appendonly no", f"dir {self.directory}", "daemonize no"]
        if self.password:
            lines.append(f"requirepass {self.password}")
        lines += ["user " + user for user in self.users]
        path = self.directory / "redis.conf"
        path.write_text("\n".join(lines + self.settings) + "\n")
        return path

    def start(self, wait=True):
        with (self.directory / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(["redis-server", str(self._write_config())], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        if wait:
            wait_for("redis-server to answer", self._answers)
        return self

    def _answers(self):
        assert self.process.poll() is None, f"redis-server ended: see {self.directory}/redis.log"
        try:
            with self.client() as client:
                return client.ping()
        except redis.ConnectionError:
            return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)

    def clean(self):
        self.kill()
        if os.path.exists(self.socket_path):
            os.unlink(self.socket_path)

    def client(self, **more):
        """One that never tries again by itself: a message is published once or not at all."""
        return redis.Redis(host="127.0.0.1", port=self.port, password=self.password, retry=Retry(NoBackoff(), 0),
                           socket_timeout=20, **more)

    def bridge_clients(self):
        """The connections of every bridge, as CLIENT LIST tells them."""
        with self.client() as client:
            return [one for one in client.client_list() if one["name"].startswith("rkbridge:")]

    def kill_bridge_clients(self):
        """CLIENT KILL for each of them; returns how many."""
        found = self.bridge_clients()
        with self.client() as client:
            for one in found:
                client.client_kill_filter(_id=one["id"])
        return len(found)
