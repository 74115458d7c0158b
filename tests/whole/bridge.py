"""An rkbridge under test: its config, its process, its control socket, its books."""

import copy
import dataclasses
import datetime
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import yaml

import books
from control import Control
from waiting import wait_for

BUILD = pathlib.Path(os.environ.get("RKB_BUILD") or pathlib.Path(__file__).resolve().parents[2])
REPORT = re.compile(r"(Address|Leak|Thread|Memory)Sanitizer|runtime error:|Assertion .* failed")


@dataclasses.dataclass(frozen=True)
class Gap:
    id: int
    source: str
    reason: str
    begin: float            # seconds since 1970
    end: float | None       # None: still open
    bound: int | None

    def span(self):
        """As delivery.check wants it; what is open lasts until now. Times are given in whole milliseconds."""
        return self.begin, float("inf") if self.end is None else self.end + 0.001


def parse_time(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def merged(base, more):
    """base with the nested settings of more laid over it; None takes a setting out."""
    result = copy.deepcopy(base)
    for name, value in more.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def route(topic, **more):
    """A route of source `legacy`; more: channels, patterns, envelope, ... With `raw` all that is known is in
    headers."""
    headers = {"rkb_headers": "yes"} if more.get("envelope") == "raw" else {}
    return {"source": "legacy", "topic": topic, **headers, **more}


class Bridge:
    """`settings` are laid over defaults that suit a test. Nothing runs before start()."""

    def __init__(self, directory, settings, environment=None):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.short = pathlib.Path(tempfile.mkdtemp(prefix="rkb-", dir="/tmp"))   # a unix socket's path is short
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.short
        self.ring_directory = pathlib.Path(tempfile.mkdtemp(prefix="rkb-test-", dir=shm))
        self.socket = self.short / "control.sock"
        self.journal = self.directory / "journal"
        self.stderr_path = self.directory / "stderr"
        self.environment = dict(environment or {})
        self.process = None
        self.exit_codes = []
        self.config = merged({
            "instance": "test",
            "shutdown_timeout": "20s",
            "redis": {"legacy": {"reconnect_max": "300ms", "heartbeat": "1s", "heartbeat_timeout": "5s"}},
            "journal": {"directory": str(self.journal), "ring_directory": str(self.ring_directory),
                        "segment_size": "4MiB",
                        "max_size": "256MiB", "min_free": "0", "ring_size": "4MiB"},
            "control": {"socket": str(self.socket)},
        }, settings)
        self.config_path = self.write_config(yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True))
        self.sampler = books.Sampler(self.socket).start()

    def write_config(self, text):
        path = self.directory / "rkbridge.yaml"
        path.write_text(text)
        return path

    def rewrite(self, more):
        """Lays `more` over the config, for the next start."""
        self.config = merged(self.config, more)
        self.write_config(yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True))

    # the process

    def start(self, *arguments, wait="ready", timeout=30, **more):
        """wait: "ready", "answers" (only the control socket), or None. more: for Popen, as stderr=, in place of what is
        done here."""
        with self.stderr_path.open("ab") as stderr:
            ways = {"stderr": stderr, "stdout": stderr, "stdin": subprocess.DEVNULL, **more}
            self.process = subprocess.Popen([str(BUILD / "rkbridge"), "-c", str(self.config_path), *arguments],
                                            env={**os.environ, **self.environment}, **ways)
        if wait:
            wait_for(f"the bridge to be there ({wait})", lambda: self._is_up(wait), timeout)
        return self

    def _is_up(self, wait):
        assert self.process.poll() is None, f"rkbridge ended with {self.process.returncode}:\n{self.stderr()[-3000:]}"
        try:
            stats = self.stats()
        except OSError:
            return False
        return stats["ready"] if wait == "ready" else True

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9; returns the books of the last sample before it."""
        last = self.sampler.last
        self.process.send_signal(signal.SIGKILL)
        self._reap(20)
        return last

    def terminate(self, timeout=60, number=signal.SIGTERM):
        """Ends it in order, and returns the exit code."""
        self.process.send_signal(number)
        return self._reap(timeout)

    def _reap(self, timeout):
        self.exit_codes.append(self.process.wait(timeout))
        return self.exit_codes[-1]

    def ended(self, timeout=30):
        """Waits till it ends by itself, and returns the exit code."""
        return self._reap(timeout)

    def run(self, *arguments, timeout=60):
        """Runs it to its end beside whatever runs already; returns exit code, standard output, standard error."""
        done = subprocess.run([str(BUILD / "rkbridge"), *arguments], capture_output=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, env={**os.environ, **self.environment}, text=True,
                              errors="backslashreplace")
        assert not REPORT.search(done.stderr), done.stderr
        return done.returncode, done.stdout, done.stderr

    def rkbctl(self, *arguments, timeout=60):
        """rkbctl, on this bridge's socket unless the arguments begin with one; as run()."""
        where = [] if arguments[:1] == ("-s",) else ["-s", str(self.socket)]
        done = subprocess.run([str(BUILD / "rkbctl"), *where, *map(str, arguments)], capture_output=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, env={**os.environ, **self.environment},
                              text=True, errors="backslashreplace")
        assert not REPORT.search(done.stderr), done.stderr
        return done.returncode, done.stdout, done.stderr

    def stderr(self):
        return self.stderr_path.read_text(errors="backslashreplace") if self.stderr_path.exists() else ""

    # what it says

    def control(self):
        return Control(self.socket)

    def stats(self):
        with self.control() as control:
            return control.stats()

    def totals(self):
        return self.stats()["totals"]

    def gaps(self):
        """All gaps it knows of, the oldest first."""
        with self.control() as control:
            answer = control.ask_json("gaps json")["gaps"]
        return [Gap(one["id"], one["source"], one["reason"], parse_time(one["from"]),
                    one["to"] and parse_time(one["to"]), one["bound"]) for one in answer]

    def wait_totals(self, timeout=30, **figures):
        """Waits till these totals are reached (pending: exactly, the others: at least); returns the stats."""
        def reached():
            stats = self.stats()
            totals = stats["totals"]
            done = all(totals[name] == figure if name == "pending" else totals[name] >= figure
                       for name, figure in figures.items())
            return stats if done else None
        try:
            return wait_for(f"totals {figures}", reached, timeout)
        except AssertionError as error:
            stats = self.stats()
            raise AssertionError(f"{error}; totals {stats['totals']}, journal {stats['journal']}, "
                                 f"kafka {stats['kafka']}") from None

    def drained(self, timeout=60):
        """Waits till nothing is pending; returns the stats."""
        return self.wait_totals(timeout, pending=0)

    def source(self, name="legacy"):
        return self.stats()["sources"][name]

    def spans(self):
        """The gaps as delivery.check wants them."""
        return [gap.span() for gap in self.gaps()]

    # the end of every scenario

    def finish(self):
        """Ends it and checks what always holds: the books, in every sample too, no sanitizer's report,
        a known exit code."""
        found = []
        try:
            if self.running():
                found += books.problems(self.stats())
                code = self.terminate()
                if code not in (0, 3):
                    found.append(f"exit code {code} on SIGTERM")
        finally:
            self.sampler.stop()
            if self.running():
                self.kill()
            self._remove()
        found += self.sampler.problems
        if REPORT.search(self.stderr()):
            found.append("a sanitizer's report on standard error")
        if found:
            print(f"--- standard error of {self.directory.name}:\n{self.stderr()[-8000:]}")
        assert found == [], "; ".join(found)

    def _remove(self):
        shutil.rmtree(self.short, ignore_errors=True)
        shutil.rmtree(self.ring_directory, ignore_errors=True)
