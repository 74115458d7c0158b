"""The rows: what is published in each, through whom, and how it is measured.

A row is measured once in every round with each of its carriers in turn, the floor first in one round and the bridge
first in the next. Each measurement has a redis-server of its own and a topic of its own, of four partitions.
"""

import dataclasses
import http.client
import shutil
import statistics
import subprocess
import threading
import time

from programs import CARRIERS, Clients, PAYLOAD_NAME, PREFIX, SCHEMA_FILE, Failed, Program, Redis
from watch import Moment, Span, Watch, cpu_seconds, wait_for_quiet

PAIR = ("floor", "rkbridge")
BEFORE_OUTAGE, AFTER_OUTAGE = 10, 30        # seconds of the stream
WARM = 1000                                 # messages before what is measured, so that all connections stand


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a carrier is set up for. Without patterns it subscribes to each channel."""
    size: int = 200
    channels: int = 16
    patterns: tuple = ()
    sync: str = "1s"
    compression: str = "lz4"
    routes: int = 1                             # of rkbridge; more: one for each channel
    route: str = f"envelope: event, payload_name: {PAYLOAD_NAME}"   # of rkbridge's config, but for where from and to


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    kind: str                       # burst, paced, idle, outage, redis, scrape, clients
    about: str
    shape: Shape = Shape()
    rate: int = 0                   # messages a second; 0: as fast as Redis takes them
    share: float = 1.0              # of --count, in bursts
    outage: int = 0                 # seconds
    limited: bool = True            # Redis has its default output buffer limits; False: none
    carriers: tuple = PAIR


def patterns(count, matching):
    """So many patterns, of which one or none matches what is published."""
    return (*(f"other.{n}.*" for n in range(count - matching)), *([f"{PREFIX}.*"] if matching else []))


REDIS_LOADS = {             # name: carrier, shape
    "nobody": (None, Shape()),
    "floor, 16 channels": ("floor", Shape()),
    "rkbridge, 16 channels": ("rkbridge", Shape()),
    **{f"rkbridge, {count:,} pattern{'s' if count > 1 else ''}, {'one' if matching else 'none'} matches":
       ("rkbridge", Shape(patterns=patterns(count, matching))) for count in (1, 100, 1000) for matching in (0, 1)}}

EVENT = Shape().route
ENVELOPES = {               # name: rkbridge's route; each is compared with event
    "event": EVENT,
    "raw": "envelope: raw",
    "flat": f"envelope: flat, payload_name: {PAYLOAD_NAME}",
    "merge": f"envelope: merge, payload_name: {PAYLOAD_NAME}",
    "cloudevents": "envelope: cloudevents",
    "event, pointer key": f"{EVENT}, key: '{PREFIX}.{{{{payload:/channel}}}}'",
    "event, two expect": f"{EVENT}, expect: [{{at: /number, type: integer, min: 0}}, "
                         "{at: /text, pattern: '^[A-Za-z0-9 ]{3}'}]",
    "event, schema": f"{EVENT}, schema: {SCHEMA_FILE}",
}

CLIENTS = ("alone", "silent", "greedy", "slow", "hostile")      # who asks rkbridge meanwhile: see clients.py

ROWS = [
    Row("burst", "burst", "as fast as Redis publishes"),
    Row("burst-open", "burst",
        "as fast as Redis publishes, Redis without output buffer limits, so that none is cut off", limited=False),
    Row("paced", "paced", "20,000 a second", rate=20000),
    Row("slow", "paced", "1,000 a second", rate=1000),
    Row("idle", "idle", "one source, nothing published"),
    Row("outage-20", "outage", "20,000 a second, Kafka stopped for 20 s", rate=20000, outage=20,
        carriers=tuple(CARRIERS)),
    Row("outage-120", "outage", "20,000 a second, Kafka stopped for 120 s", rate=20000, outage=120,
        carriers=tuple(CARRIERS)),
    Row("bytes-20", "burst", "20-byte payloads, as fast as Redis publishes", Shape(size=20)),
    Row("bytes-10k", "burst", "10 KiB payloads, 5,000 a second", Shape(size=10240), rate=5000, share=0.1),
    Row("channels-1", "burst", "1 channel", Shape(channels=1)),
    Row("channels-10000", "burst", "10,000 channels, each subscribed to", Shape(channels=10000)),
    Row("pattern-10000", "burst", "10,000 channels, by one pattern", Shape(channels=10000, patterns=patterns(1, 1))),
    Row("sync-none", "burst", "`sync: none`", Shape(sync="none")),
    Row("sync-always", "burst", "`sync: always`", Shape(sync="always")),
    Row("zip-none", "burst", "no compression", Shape(compression="none")),
    Row("zip-zstd", "burst", "zstd", Shape(compression="zstd")),
    Row("envelopes", "envelopes", "as fast as Redis publishes, Redis without output buffer limits; rkbridge alone",
        limited=False, share=0.5, carriers=tuple(ENVELOPES)),
    Row("scrape", "scrape", "20,000 a second through 1,000 routes, with /metrics read each second and without, in turn",
        Shape(channels=1000, routes=1000), rate=20000, carriers=("rkbridge",)),
    Row("clients", "clients", "20,000 a second, while clients of HTTP and control socket behave badly", rate=20000,
        carriers=CLIENTS),
    Row("redis-load", "redis", "what PUBLISH costs Redis", carriers=tuple(REDIS_LOADS)),
]
GROUPS = {"all": [row.name for row in ROWS], "outages": ["outage-20", "outage-120"],
          "shapes": [row.name for row in ROWS if row.shape != Shape() and row.kind == "burst"],
          "main": ["burst", "burst-open", "paced", "slow", "idle"]}


class Run:
    """One measurement; a context, at whose end all its programs have ended."""

    def __init__(self, bench, row, carrier):
        bench.runs += 1
        self.bench, self.row, self.carrier, self.options = bench, row, carrier, bench.options
        self.topic = f"{bench.runs:03}-{row.name}"
        self.directory = bench.directory / self.topic
        self.started, self.redis, self.carried, self.watch = [], None, None, None

    def __enter__(self):
        self.directory.mkdir()
        self.redis = self.add(Redis(self.directory))
        if not self.row.limited:
            self.redis.ask('CONFIG SET client-output-buffer-limit "pubsub 0 0 0"')
        return self

    def __exit__(self, *_):
        if self.watch:
            self.watch.stop()
        for program in reversed(self.started):
            program.kill()
        shutil.rmtree(self.directory / "journal", ignore_errors=True)

    def add(self, program):
        self.started.append(program)
        return program

    def start_sink(self, count, idle=20, warm=0, extra=()):
        sink = self.add(Program("sink", [
            self.bench.program("tests/bench/sink"), "-b", self.bench.kafka.bootstrap, "-t", self.topic, "-n", count,
            "-p", 4, "-i", idle, "-d", warm, *extra], self.directory))
        sink.wait_for(lambda: sink.said("ready"), 60, "ready")
        return sink

    def start_carrier(self, name, shape):
        name, shape = self.as_envelope(name, shape)
        self.carried = self.add(CARRIERS[name](self.bench, shape, self.redis, self.topic, self.directory))
        self.watch = Watch(self.carried, self.redis)

    @staticmethod
    def as_envelope(name, shape):
        """An envelope's carrier is rkbridge with another route; beside clients it is rkbridge as it is."""
        if name in CLIENTS:
            return "rkbridge", shape
        return (name, shape) if name in CARRIERS else ("rkbridge", dataclasses.replace(shape, route=ENVELOPES[name]))

    def start_publisher(self, count, shape, rate=0, first=0):
        return self.add(Program("publisher", [
            self.bench.program("tests/bench/publisher"), "-p", self.redis.port, "-o", first, "-n", count,
            "-c", shape.channels, "-x", PREFIX, "-s", shape.size, "-r", rate], self.directory))

    def warm_up(self, sink, shape):
        self.start_publisher(WARM, shape).wait(60)
        sink.wait_for(lambda: sink.said("warm"), 60, "reading")
        self.carried.settle()

    def moment(self, *programs):
        """programs: further ones of this run that are running."""
        return Moment(self.carried, [("redis", self.redis.pid), ("kafka", self.bench.kafka.pid),
                                     *((program.name, program.pid) for program in programs)])

    def cost(self, span):
        """CPU and memory of the carrier, and what the machine did meanwhile."""
        return {"cpu_seconds": span.cpu[self.carried.name], "user_share": span.user_share,
                "redis_seconds": span.cpu["redis"], "switches": span.switches, "span_seconds": span.seconds,
                "others": span.others / span.seconds, "stolen": span.stolen / span.seconds,
                "anonymous": self.watch.anonymous / 1024, "shared": self.watch.shared / 1024,
                "file": self.watch.file / 1024, "omem": self.watch.omem, "cuts": self.redis.cuts()}


def arrived(result):
    """What the sink saw, by the words of the report."""
    return {"measured": result["measured"], "missing": result["missing"], "twice": result["twice"],
            "disordered": result["disordered"] + result["strange"], "p50": result["p50_ms"], "p99": result["p99_ms"],
            "longest": result["max_ms"], "rate": result["measured"] / max(result["seconds"], 0.001)}


def published(result):
    return {"published_rate": result["published"] / result["seconds"], "unheard": result["unheard"],
            "late_ms": result["late_ms"]}


def per_message(seconds, count):
    """In microseconds."""
    return seconds * 1e6 / max(count, 1)


def carry(run, count, rate, limit, meanwhile=None, **sink_options):
    """
    Publishes so many messages through the carrier and waits till all have come, or nothing comes any more. Returns the
    figures of both ends and of the carrier.
    """
    shape = run.row.shape
    sink = run.start_sink(WARM + count, warm=WARM, **sink_options)
    run.start_carrier(run.carrier, shape)
    run.warm_up(sink, shape)
    profile = run.bench.profile.start(run.carried, run.directory) if run.bench.profile else None
    begin = run.moment(sink)
    publisher = run.start_publisher(count, shape, rate, first=WARM)
    more = meanwhile(publisher) if meanwhile else {}
    publisher.wait(limit)
    middle = run.moment(sink)
    sink.wait_for(lambda: sink.said("all") or not sink.running(), limit, "at its end")
    run.carried.settle()
    end = run.moment(sink)
    if profile:
        profile.stop()
    sink.wait(60)
    sent, got = publisher.result(), sink.result()
    publishing, whole = (Span(begin, moment, publisher=sent["cpu"]) for moment in (middle, end))
    run.watch.stop()
    run.carried.end()
    if profile:
        profile.report(got["measured"])
    figures = {**run.cost(whole), **arrived(got), **published(sent), **run.carried.facts(), **more,
               "who": publishing.words(run.bench.cores), "publishing": publishing.raw(), "whole": whole.raw()}
    figures["cpu"] = per_message(figures["cpu_seconds"], got["measured"])
    figures["redis_cpu"] = per_message(publishing.cpu["redis"], sent["published"])
    return figures, got


def measure_burst(run):
    count = max(int(run.options.count * run.row.share), 1000)
    return carry(run, count, run.row.rate, limit=count / 5000 + 120)[0]


def measure_paced(run):
    rate, seconds = run.row.rate, run.options.seconds
    return carry(run, rate * seconds, rate, limit=seconds + 120)[0]


class Scraper(threading.Thread):
    """Reads /metrics each second while `wanted` is set."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.wanted, self.done = port, threading.Event(), threading.Event()
        self.count = self.size = 0
        self.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.done.is_set():
            if self.wanted.is_set():
                connection.request("GET", "/metrics")
                self.size = len(connection.getresponse().read())
                self.count += 1
            self.done.wait(1)

    def stop(self):
        self.done.set()
        self.join(30)
        return {"scrapes": self.count, "scrape_bytes": self.size}


def windows(run, publisher, seconds=3):
    """CPU seconds a second of the stream's windows, without scrapes and with them, in pairs; now the one, now the other
    comes first."""
    scraper, pairs = Scraper(run.carried.http_port), []
    time.sleep(3)
    for number in range(max(run.options.seconds * 4 // (2 * seconds), 1)):
        pair = [0, 0]
        for wanted in ((False, True), (True, False))[number % 2]:
            (scraper.wanted.set if wanted else scraper.wanted.clear)()
            begin, before = time.monotonic(), cpu_seconds(run.carried.pid)
            time.sleep(seconds)
            pair[wanted] = (cpu_seconds(run.carried.pid) - before) / (time.monotonic() - begin)
        pairs.append(pair)
    return {"pairs": pairs, "stream_went_on": publisher.running(), **scraper.stop()}


def measure_scrape(run):
    rate, seconds = run.row.rate, run.options.seconds * 4 + 10
    figures = carry(run, rate * seconds, rate, limit=seconds + 120,
                    meanwhile=lambda publisher: windows(run, publisher))[0]
    without, scraped = zip(*figures["pairs"])
    return {**figures, "cpu": per_message(statistics.median(without), rate),
            "scraped_cpu": per_message(statistics.median(scraped), rate),
            "more_percent": 100 * statistics.median(b / a - 1 for a, b in figures["pairs"])}


def measure_clients(run):
    """They are there for as long as something is published."""
    rate, seconds = run.row.rate, run.options.seconds

    def beside(publisher):
        clients = run.add(Clients(run.carrier, run.carried, run.directory)) if run.carrier != "alone" else None
        publisher.wait(seconds + 120)
        if clients:
            clients.kill()
        return {}

    return carry(run, rate * seconds, rate, limit=seconds + 120, meanwhile=beside)[0]


def measure_idle(run):
    """After some messages have gone through, so that all connections stand."""
    sink = run.start_sink(WARM, warm=WARM)
    run.start_carrier(run.carrier, run.row.shape)
    run.warm_up(sink, run.row.shape)
    sink.wait(60)
    time.sleep(min(3, run.options.idle))
    begin = run.moment()
    time.sleep(run.options.idle)
    span = Span(begin, run.moment())
    run.watch.stop()
    run.carried.end()
    figures = {**run.cost(span), **run.carried.facts(), "missing": sink.result()["missing"],
               "who": span.words(run.bench.cores)}
    figures["core_percent"] = 100 * figures["cpu_seconds"] / span.seconds
    figures["redis_percent"] = 100 * figures["redis_seconds"] / span.seconds
    figures["switches_rate"] = span.switches / span.seconds
    return figures


def catching_up(tenths, late_ms=1000):
    """
    From the sink's arrivals: how many records a second came from the first one after the longest silence until none was
    later than a second any more, and how long that took. None where that moment never came.
    """
    silence, longest, start = 0, 0, None
    for place, (count, _) in enumerate(tenths):
        silence = 0 if count else silence + 1
        if silence > longest:
            longest, start = silence, place + 1
    if start is None or start >= len(tenths):
        return None
    end = next((place for place in range(start, len(tenths)) if tenths[place][0] and tenths[place][1] <= late_ms), None)
    if end is None or end == start:
        return None
    return sum(count for count, _ in tenths[start:end]) / ((end - start) / 10), (end - start) / 10


def measure_outage(run):
    outage = run.options.outage or run.row.outage
    before, after = min(BEFORE_OUTAGE, run.options.seconds), min(AFTER_OUTAGE, 2 * run.options.seconds)
    rate, kafka = run.row.rate, run.bench.kafka

    def stop_and_start(publisher):
        time.sleep(before)
        begin = time.monotonic()
        kafka.stop()
        time.sleep(max(begin + outage - time.monotonic(), 0))
        kafka.start()
        return {"down_seconds": time.monotonic() - begin, "stream_went_on": publisher.running()}

    seconds = before + outage + after
    figures, got = carry(run, rate * seconds, rate, limit=seconds + 240, meanwhile=stop_and_start, idle=outage + 90,
                         extra=("-a",))
    caught_up = catching_up(got["arrivals"])
    figures["catching_up"], figures["catching_up_seconds"] = caught_up or (None, None)
    return {**figures, "arrivals": got["arrivals"]}


def measure_redis(run):
    """How fast one client can publish, and what a PUBLISH costs Redis. What is subscribed to has to arrive."""
    carrier, shape = REDIS_LOADS[run.carrier]
    count = run.options.count
    matches = carrier is not None and not (shape.patterns and f"{PREFIX}.*" not in shape.patterns)
    sink = run.start_sink(count) if carrier else None
    if carrier:
        run.start_carrier(carrier, shape)
    begin = run.moment()
    publisher = run.start_publisher(count, shape)
    publisher.wait(count / 5000 + 120)
    sent = publisher.result()
    span = Span(begin, run.moment(), publisher=sent["cpu"])
    figures = {**published(sent), "redis_cpu": per_message(span.cpu["redis"], sent["published"]),
               "cuts": run.redis.cuts(), "who": span.words(run.bench.cores), "publishing": span.raw(),
               "others": span.others / span.seconds, "stolen": span.stolen / span.seconds,
               "missing": 0, "twice": 0, "disordered": 0}
    if matches:
        sink.wait(count / 5000 + 120)
        figures.update(arrived(sink.result()))
    if carrier:
        run.carried.settle()
        run.watch.stop()
        run.carried.end()
        figures.update(run.carried.facts())
    return figures


MEASURES = {"burst": measure_burst, "envelopes": measure_burst, "paced": measure_paced, "idle": measure_idle,
            "outage": measure_outage,
            "redis": measure_redis, "scrape": measure_scrape, "clients": measure_clients}


def measure(bench, row, carrier):
    """One row by one carrier, once. A run that comes to nothing says so in `failed` and does not end the others."""
    figures = {"row": row.name, "carrier": carrier, "busy_before": wait_for_quiet(bench.options.quiet)}
    try:
        bench.kafka.start()         # a run that failed may have left it stopped
        with Run(bench, row, carrier) as run:
            figures.update(MEASURES[row.kind](run))
    except (Failed, OSError, RuntimeError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        figures["failed"] = f"{problem}" if isinstance(problem, Failed) else f"{type(problem).__name__}: {problem}"
    return figures
