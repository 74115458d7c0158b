"""What a run costs, read from /proc: CPU time, context switches, memory, and who waited for a core.

A moment is a reading of all counters; two of them make a span. CPU time is that of the process's own clock, all its
threads, in nanoseconds, so that a short span counts as exactly as a long one.
"""

import pathlib
import re
import threading
import time

TICKS = 100                     # of /proc/stat, a second


def cpu_seconds(pid):
    """User and system time of a running process; 0 of one that is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def user_and_system(pid):
    """Their shares, in ticks."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def threads(pid):
    """Per thread: its name, the seconds it ran and the seconds it waited for a core, its context switches."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            ran, waited, _ = map(int, (task / "schedstat").read_text().split())
            switches = sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", (task / "status").read_text())))
            found[task.name] = ((task / "comm").read_text().strip(), ran / 1e9, waited / 1e9, switches)
        except OSError:         # it ended just now
            continue
    return found


def machine_cores():
    """Core seconds since the start of the machine: busy, stolen by another machine."""
    fields = [int(field) / TICKS for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return user + nice + system + irq + softirq, steal


class Moment:
    """carried: the program that is measured, or None; others: all else of this run, (name, process id)."""

    def __init__(self, carried, others):
        self.time = time.monotonic()
        self.carried = threads(carried.pid) if carried else {}
        self.shares = user_and_system(carried.pid) if carried else (0, 0)
        known = [*([(carried.name, carried.pid)] if carried else []), *others]
        self.cpu = {key: cpu_seconds(key[1]) for key in known}
        self.own = time.process_time()
        self.busy, self.stolen = machine_cores()


class Span:
    """From one moment to another. ended: CPU seconds of programs that began and ended in between, by name."""

    def __init__(self, begin, end, **ended):
        self.seconds = end.time - begin.time
        self.cpu = dict(ended)
        for key, seconds in end.cpu.items():
            self.cpu[key[0]] = max(seconds - begin.cpu.get(key, 0.0), 0.0)
        user, system = (after - before for after, before in zip(end.shares, begin.shares))
        self.user_share = user / (user + system) if user + system else 0.0
        nothing = ("", 0.0, 0.0, 0)
        self.threads = []
        for task, (name, ran, waited, switches) in end.carried.items():
            _, ran_before, waited_before, switches_before = begin.carried.get(task, nothing)
            self.threads.append((name, ran - ran_before, waited - waited_before, switches - switches_before))
        self.switches = sum(thread[3] for thread in self.threads)
        self.busy = end.busy - begin.busy
        self.stolen = end.stolen - begin.stolen
        self.others = max(self.busy - sum(self.cpu.values()) - (end.own - begin.own), 0.0)

    def starved(self):
        """The thread that waited longest for a core: did it starve?"""
        if not self.threads:
            return "nobody was watched"
        name, ran, waited, _ = max(self.threads, key=lambda thread: thread[2])
        if waited > self.seconds / 4:
            return f"{name} STARVED, it waited for a core for {100 * waited / self.seconds:.0f} % of the time"
        name, ran, _, _ = max(self.threads, key=lambda thread: thread[1])
        if ran > 0.9 * self.seconds:
            return f"{name} was at its limit, it ran {100 * ran / self.seconds:.0f} % of the time"
        return "no thread starved"

    def words(self, cores):
        """Who used the cores, and which of the carrier's threads waited for one."""
        used = ", ".join(f"{name} {seconds / self.seconds:.2f}" for name, seconds in self.cpu.items())
        waited = ", ".join(f"{name} ran {ran:.2f} s and waited {wait:.2f} s"
                           for name, ran, wait, _ in sorted(self.threads, key=lambda thread: -thread[2])[:3])
        busy = 100 * self.busy / self.seconds / cores
        return (f"{self.starved()}; in {self.seconds:.1f} s the {cores} cores were {busy:.0f} % busy ({used}, "
                f"all others {self.others / self.seconds:.2f} cores, stolen {self.stolen / self.seconds:.2f}); "
                f"threads: {waited}")

    def raw(self):
        return {"seconds": self.seconds, "cpu": self.cpu, "threads": self.threads, "busy": self.busy,
                "others": self.others, "stolen": self.stolen, "switches": self.switches}


class Watch(threading.Thread):
    """Looks ten times a second: the most memory a process held, the most that waited for it in Redis."""

    def __init__(self, carried, redis):
        super().__init__(daemon=True)
        self.path, self.redis, self.done = f"/proc/{carried.pid}/status", redis, threading.Event()
        self.anonymous = self.shared = self.file = self.omem = 0
        self.start()

    def run(self):
        while not self.done.wait(0.1):
            try:
                text = pathlib.Path(self.path).read_text()
                self.omem = max(self.omem, self.redis.omem())
            except (OSError, ValueError):
                continue
            found = {name: int(kib) for name, kib in re.findall(r"^(RssAnon|RssShmem|RssFile):\s+(\d+) kB", text, re.M)}
            self.anonymous = max(self.anonymous, found.get("RssAnon", 0))
            self.shared = max(self.shared, found.get("RssShmem", 0))
            self.file = max(self.file, found.get("RssFile", 0))

    def stop(self):
        self.done.set()
        self.join(10)


def busy_cores(seconds=0.5):
    """How many cores the whole machine keeps busy right now."""
    before = machine_cores()[0]
    time.sleep(seconds)
    return (machine_cores()[0] - before) / seconds


def wait_for_quiet(limit, seconds=15):
    """Waits, not for ever, until little runs; returns how many cores are busy then."""
    deadline = time.monotonic() + seconds
    while (busy := busy_cores()) > limit and time.monotonic() < deadline:
        pass
    return busy
