"""The bridge of a run, over all its lives: config, process, what it says, and what is written down of it.

lives.jsonl has a line for each process; every 250 ms books.jsonl gets its figures (stats json) and process.jsonl its
memory, descriptors and threads. A process that ends without having been told to is started again, and is a failure of
the run.
"""

import json
import pathlib
import re
import signal
import subprocess
import threading
import time

import yaml

from control import Control, ControlError

INTERVAL = 0.25


def now_us():
    return time.time_ns() // 1000


class Bridge:
    def __init__(self, program, directory, config):
        self.program = program
        self.directory = pathlib.Path(directory)
        self.socket = config["control"]["socket"]
        self.config = self.directory / "rkbridge.yaml"
        self.config.write_text(yaml.safe_dump(config, sort_keys=False))
        self.failures = []
        self.process = None
        self.life = 0
        self.started_us = 0
        self.sampler = Sampler(self)
        self._told = None           # how the process was told to end; None: not at all

    def start(self):
        self.started_us = now_us()
        with (self.directory / "bridge.log").open("ab") as log:
            process = subprocess.Popen([str(self.program), "-c", str(self.config)], stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
        self.life += 1              # in this order: look() and sample() read along
        self.process = process
        self._told = None

    def running(self):
        return self.process is not None and self.process.poll() is None

    def end(self, how, number, timeout=60):
        """how: "kill", "term" or "end" (a term after which no life follows); returns the exit code."""
        if not self.running():
            return None
        self._told = how
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.failures.append(f"life {self.life} did not end within {timeout} s after signal {number}")
            self.process.kill()
            code = self.process.wait()
        if how != "kill" and code not in (0, 3):
            self.failures.append(f"life {self.life} ended with {code} on SIGTERM")
        self._write_life(how, code)
        return code

    def look(self):
        """What ended by itself is started again."""
        if self._told is None and self.process and not self.running():
            self.failures.append(f"life {self.life} ended by itself with {self.process.returncode}: see bridge.log")
            self._write_life("exit", self.process.returncode)
            self.start()

    def _write_life(self, how, code):
        line = {"life": self.life, "pid": self.process.pid, "started_us": self.started_us, "ended_us": now_us(),
                "how": how, "code": code}
        with (self.directory / "lives.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def stats(self):
        """None where it does not answer."""
        try:
            with Control(self.socket, timeout=3) as control:
                return control.stats()
        except (OSError, ValueError, ControlError, AssertionError):
            return None

    def gaps(self):
        with Control(self.socket) as control:
            return control.ask_json("gaps json")


class Sampler(threading.Thread):
    def __init__(self, bridge):
        super().__init__(daemon=True)
        self.bridge = bridge
        self.last = None
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._books = (bridge.directory / "books.jsonl").open("w")
        self._process = (bridge.directory / "process.jsonl").open("w")

    def run(self):
        while not self._end.wait(INTERVAL):
            self.sample()

    def stop(self):
        self._end.set()
        if self.is_alive():
            self.join(30)
        self._books.close()
        self._process.close()

    def sample(self):
        """Takes one now; returns the figures, None if there were none."""
        with self._lock:
            life, process = self.bridge.life, self.bridge.process
            stats = self.bridge.stats()
            if life != self.bridge.life or process is None:     # whose answer it was is not sure
                return None
            if stats:
                self.last = stats
                self._books.write(json.dumps({"at_us": now_us(), "life": life, "stats": stats}) + "\n")
            self._sample_process(life, process.pid)
            return stats

    def _sample_process(self, life, pid):
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            fds = len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:
            return
        figures = dict(re.findall(r"^(RssAnon|Threads):\s+(\d+)", status, re.M))
        if len(figures) == 2:       # else it is ending
            self._process.write(json.dumps({"at_us": now_us(), "life": life,
                                            "anon_bytes": int(figures["RssAnon"]) * 1024,
                                            "fds": fds, "threads": int(figures["Threads"])}) + "\n")
