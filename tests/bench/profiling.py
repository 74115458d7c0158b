"""Where the time of a burst goes, thread by thread.

    perf        samples of the process's CPU clock, with the callers; nanoseconds per message
    callgrind   instructions per message, where a machine does not let perf work; a tenth of the messages

Both want a build with symbols and frame pointers: CFLAGS="-O2 -g -fno-omit-frame-pointer". Whatever they start is
bounded in time, and their data goes with the run's directory.
"""

import collections
import re
import signal
import subprocess
import time

import rows
from programs import Failed, Program

TOP = 25
SAMPLES_PER_SECOND = 9973           # no divisor of what else happens at regular times
RECORD_SECONDS, READ_SECONDS = 300, 240
SHORTEN = re.compile(r"\.(constprop|part|isra|cold)\.?\d*|@@?[A-Z0-9_.]+$")


def output_of(arguments, directory):
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=READ_SECONDS, cwd=directory)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Failed(f"{arguments[0]}: {problem}") from problem
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, arguments[:2]))} ended with {done.returncode}\n{done.stderr[-1000:]}")
    return done.stdout


def print_thread(name, unit, total, alone, within):
    print(f"\n{name}: {total:,.0f} {unit} per message\n{unit + ' alone':>12} {'with callees':>12}  function")
    for function, cost in alone.most_common(TOP):
        both = f"{within[function]:,.0f}" if within else ""
        print(f"{cost:12,.1f} {both:>12}  {function}", flush=True)


def name_of(line):
    """Of a line `address function (file)`; where a file has no symbols, the file."""
    found = re.match(r"\s*[0-9a-f]+ (.*) \((.*)\)$", line)
    if not found:
        return "unknown"
    return SHORTEN.sub("", found[1]) if found[1] != "[unknown]" else f"something in {found[2].rpartition('/')[2]}"


class Perf:
    def under(self, _directory):
        return []

    def start(self, carried, directory):
        self.directory, self.data = directory, directory / "perf.data"
        self.child = Program("perf", [
            "timeout", "-k", 5, RECORD_SECONDS, "perf", "record", "-q", "-e", "cpu-clock", "-F", SAMPLES_PER_SECOND,
            "--call-graph", "fp", "-p", carried.pid, "-o", self.data], directory)
        self.child.wait_for(lambda: self.data.exists() and self.data.stat().st_size > 0, 20, "recording")
        time.sleep(0.5)
        return self

    def stop(self):
        """Perf ends by a signal, and says so by its code."""
        self.child.child.send_signal(signal.SIGINT)
        try:
            self.child.child.wait(60)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.fail("did not end within 60 s")

    def samples(self):
        """For each sample: its thread, its nanoseconds, its functions from the innermost out."""
        text = output_of(["perf", "script", "--no-inline", "-F", "comm,tid,period,ip,sym,dso", "-i", self.data],
                         self.directory)
        for block in text.split("\n\n"):
            lines = block.strip().split("\n")
            head = re.match(r"\s*(.*?)\s+(\d+)\s+(\d+)", lines[0])
            if head:
                yield f"{head[1]} ({head[2]})", int(head[3]), [name_of(line) for line in lines[1:]] or ["unknown"]

    def report(self, messages):
        total, alone, within = collections.Counter(), {}, {}
        for thread, period, functions in self.samples():
            cost = period / messages
            total[thread] += cost
            alone.setdefault(thread, collections.Counter())[functions[0]] += cost
            for function in set(functions):
                within.setdefault(thread, collections.Counter())[function] += cost
        for thread, cost in total.most_common():
            if cost >= 1:
                print_thread(thread, "ns", cost, alone[thread], within[thread])


class Callgrind:
    def under(self, directory):
        self.directory = directory
        return ["valgrind", "--tool=callgrind", "--separate-threads=yes", "--instr-atstart=no",
                f"--callgrind-out-file={directory / 'callgrind.out'}"]

    def start(self, carried, directory):
        output_of(["callgrind_control", "--instr=on", str(carried.pid)], directory)
        return self

    def stop(self):
        pass

    def report(self, messages):
        """The files are complete when the process has ended. One for each thread; the first holds only the totals."""
        for path in sorted(self.directory.glob("callgrind.out-*")):
            alone, total = collections.Counter(), 0
            text = output_of(["callgrind_annotate", "--threshold=100", "--auto=no", str(path)], self.directory)
            for line in text.splitlines():
                found = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(?:\S+:)?(.*?)(?: \[(.*)\])?$", line)
                if found and found[2] == "PROGRAM TOTALS":
                    total = int(found[1].replace(",", "")) / messages
                elif found:
                    name = SHORTEN.sub("", found[2])
                    if name.startswith("0x"):
                        name = f"something in {(found[3] or '?').rpartition('/')[2]}"
                    alone[name] += int(found[1].replace(",", "")) / messages
            if total >= 1:
                print_thread(f"thread {path.name.rpartition('-')[2]}", "instructions", total, alone, None)


def run(bench):
    """One burst; bench.options say by which means and how long."""
    bench.profile = Perf() if bench.options.profile == "perf" else Callgrind()
    if bench.options.profile == "callgrind":
        bench.options.count = max(bench.options.count // 10, 1000)
    carrier = (bench.options.carrier or ["rkbridge"])[0]
    if bench.options.profile == "callgrind" and carrier != "rkbridge":
        raise Failed("callgrind is only for rkbridge")
    row = next(row for row in rows.ROWS if row.name == "burst")
    figures = rows.measure(bench, row, carrier)
    if "failed" in figures:
        raise Failed(figures["failed"])
    print(f"\n{figures['measured']:,} messages, {figures['missing']:,} missing, CPU {figures['cpu']:.2f} us per "
          f"message in all; {figures['who']}")
    return 0
