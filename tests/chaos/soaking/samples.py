"""What is looked at each second of a soak: the books and the journal by `stats json`, memory, descriptors, threads and
CPU time by /proc. Each sample is a line of samples.jsonl at once; only those of the latest window stay in memory.
"""

import json
import os
import pathlib
import re
import statistics
import threading
import time

import books

INTERVAL = 1.0
MOST_PROBLEMS = 20


def now_us():
    return time.time_ns() // 1000


def process(pid):
    """KiB of anonymous, shared and file memory, descriptors, threads, seconds of CPU time."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    lines = re.findall(r"^(RssAnon|RssShmem|RssFile|Threads):\s+(\d+)", status, re.M)
    found = {name: int(value) for name, value in lines}
    return {"anon_kib": found["RssAnon"], "shared_kib": found["RssShmem"], "file_kib": found["RssFile"],
            "threads": found["Threads"], "fds": len(os.listdir(f"/proc/{pid}/fd")),
            "cpu_seconds": round(time.clock_gettime((~pid << 3) | 2), 3)}


def figures(stats):
    source = stats["sources"]["legacy"]
    return {**stats["totals"], "journal_bytes": stats["journal"]["bytes"], "segments": stats["journal"]["segments"],
            "oldest_pending_seconds": stats["journal"]["oldest_pending_seconds"],
            "rebuilds": stats["kafka"]["rebuilds_total"], "connections": source["connections_total"],
            "gaps": source["gaps_total"], "p50_seconds": stats["latency"]["p50_seconds"],
            "p99_seconds": stats["latency"]["p99_seconds"]}


class Sampler(threading.Thread):
    def __init__(self, bridge, path):
        super().__init__(daemon=True)
        self.bridge = bridge
        self.first = self.last = None
        self.count = self.unanswered = 0
        self.recent = []                # the samples of the window that is open
        self.keep_seconds = 60
        self.most = {}                  # of each figure the most there was
        self.problems = []              # books that did not balance
        self._file = path.open("w")
        self._end = threading.Event()
        self._lock = threading.Lock()

    def run(self):
        while not self._end.wait(INTERVAL):
            self.take()

    def stop(self):
        self._end.set()
        if self.is_alive():
            self.join(30)
        self._file.close()

    def take(self):
        """One sample; None where the bridge does not answer."""
        with self._lock:
            stats = self.bridge.stats()
            try:
                sample = {"at_us": now_us(), **process(self.bridge.pid), **(figures(stats) if stats else {})}
            except OSError:             # it has ended
                return None
            self._file.write(json.dumps(sample) + "\n")
            self._file.flush()
            if not stats:
                self.unanswered += 1
                return None
            self._note(sample, stats)
            return sample

    def _note(self, sample, stats):
        self.count += 1
        self.first, self.last = self.first or sample, sample
        self.recent.append(sample)
        while sample["at_us"] - self.recent[0]["at_us"] > self.keep_seconds * 1e6:
            self.recent.pop(0)
        for name in ("anon_kib", "fds", "threads", "pending", "journal_bytes", "oldest_pending_seconds"):
            self.most[name] = max(self.most.get(name, 0), sample[name])
        if len(self.problems) < MOST_PROBLEMS:
            self.problems += [f"{sample['at_us']}: {line}" for line in books.problems(stats)]

    def window(self):
        """The samples of the last keep_seconds, as one: their medians."""
        with self._lock:
            return {"samples": len(self.recent), "at_us": now_us(),
                    **{name: round(statistics.median(sample[name] for sample in self.recent))
                       for name in ("anon_kib", "shared_kib", "fds", "threads", "pending", "journal_bytes")},
                    **{name: self.recent[-1][name] for name in
                       ("delivered", "received", "rebuilds", "connections", "gaps", "cpu_seconds")}}
