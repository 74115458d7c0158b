"""From runs to a report: medians, ratios within one round, what was wanted, and which runs were disturbed."""

import ctypes
import datetime
import os
import pathlib
import platform
import re
import statistics
import subprocess

from programs import broker
from rows import ROWS

KINDS = {row.name: row.kind for row in ROWS}
PROMISES = ("missing", "twice", "disordered", "dropped", "balance", "cuts")

# heading, format, figure; sums of what must not happen, medians of all else
STREAM = (("CPU us/message", "{:.2f}", "cpu"), ("of it user", "{:.0%}", "user_share"),
          ("published/s", "{:,.0f}", "published_rate"), ("arrived/s", "{:,.0f}", "rate"), ("p50 ms", "{:.1f}", "p50"),
          ("p99 ms", "{:.1f}", "p99"),
          ("missing", "{:,}", "missing"), ("twice", "{:,}", "twice"), ("disordered", "{:,}", "disordered"),
          ("cut off", "{:,}", "cuts"), ("anon MiB", "{:.1f}", "anonymous"), ("shmem MiB", "{:.1f}", "shared"))
IDLE = (("% of a core", "{:.3f}", "core_percent"), ("switches/s", "{:.0f}", "switches_rate"),
        ("Redis, % of a core", "{:.3f}", "redis_percent"), ("anon MiB", "{:.1f}", "anonymous"),
        ("shmem MiB", "{:.1f}", "shared"))
OUTAGE = (("down s", "{:.0f}", "down_seconds"), ("missing", "{:,}", "missing"), ("twice", "{:,}", "twice"),
          ("disordered", "{:,}", "disordered"), ("cut off", "{:,}", "cuts"), 
          ("catching up/s", "{:,.0f}", "catching_up"), ("took s", "{:.1f}", "catching_up_seconds"),
          ("CPU us/message", "{:.2f}", "cpu"), ("anon MiB", "{:.1f}", "anonymous"), ("shmem MiB", "{:.1f}", "shared"),
          ("file MiB", "{:.1f}", "file"))
REDIS = (("PUBLISH/s", "{:,.0f}", "published_rate"), ("Redis us/PUBLISH", "{:.2f}", "redis_cpu"),
         ("missing", "{:,}", "missing"), ("cut off", "{:,}", "cuts"))
SCRAPE = (("CPU us/message", "{:.2f}", "cpu"), ("scraped us/message", "{:.2f}", "scraped_cpu"),
          ("more %", "{:+.1f}", "more_percent"), ("bytes a scrape", "{:,}", "scrape_bytes"),
          ("p99 ms", "{:.1f}", "p99"))
CLIENTS = STREAM[:1] + STREAM[4:10]
ENVELOPES = STREAM[:3] + STREAM[4:5] + STREAM[7:10]
TABLES = (("Messages", ("burst", "paced"), STREAM), ("Nothing to do", ("idle",), IDLE),
          ("Envelopes, keys, checks", ("envelopes",), ENVELOPES),
          ("Metrics", ("scrape",), SCRAPE), ("Clients that behave badly", ("clients",), CLIENTS),
          ("Kafka stopped", ("outage",), OUTAGE), ("Load on Redis", ("redis",), REDIS))
SUMMED = ("missing", "twice", "disordered", "cuts")


def of(runs, row, carrier, failed=False):
    return [run for run in runs if (run["row"], run["carrier"], "failed" in run) == (row, carrier, failed)]


def middle(runs, figure):
    """The median, or the sum of what must not happen; None where no run has it."""
    values = [run[figure] for run in runs if run.get(figure) is not None]
    if not values:
        return None
    return sum(values) if figure in SUMMED else statistics.median(values)


def pairs(runs, row, figure="cpu", combine=lambda ours, floor: ours / floor):
    """
    rkbridge's figure by the floor's, round by round, and how many rounds do not count: who loses messages, saves.
    """
    floors = {run["round"]: run for run in of(runs, row, "floor")}
    both = [(run, floors[run["round"]]) for run in of(runs, row, "rkbridge") if run["round"] in floors]
    good = [(ours, floor) for ours, floor in both if ours["missing"] == floor["missing"] == 0 and floor.get(figure)]
    return [combine(ours[figure], floor[figure]) for ours, floor in good], len(both) - len(good)


def broken(run):
    """What rkbridge promised and did not keep in this run."""
    if run["carrier"].startswith(("floor", "nobody")) or "failed" in run:
        return []
    wrong = [f"{run[name]:,} {name}" for name in PROMISES if run.get(name)]
    if run.get("connections", 1) != 1:
        wrong.append(f"{run['connections']} connections")
    return wrong


def disturbed(run, limit):
    """Why the figures of a run are not the machine's best: by others' doing, not the carrier's."""
    why = []
    if run["busy_before"] > limit:
        why.append(f"{run['busy_before']:.2f} cores were busy before it")
    if run.get("others", 0) > limit:
        why.append(f"others used {run['others']:.2f} cores meanwhile")
    if run.get("stolen", 0) > 0.05:
        why.append(f"{run['stolen']:.2f} cores were stolen meanwhile")
    if run["carrier"].startswith("floor") and KINDS[run["row"]] == "burst" and run.get("cuts"):
        why.append("Redis cut the floor off")
    return why


def plain_table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines)


def markdown_table(lines, texts):
    """The first columns, as many as texts, are words, the others figures."""
    bars = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([bars[0], "|" + "|".join(" --- " if i < texts else " ---: " for i in range(len(lines[0]))) + "|",
                      *bars[1:]])


def cells(runs, columns):
    figures = [(form, middle(runs, figure)) for _, form, figure in columns]
    return ["" if value is None else form.format(value) for form, value in figures]


def ratio_cell(runs, row, carrier):
    values = pairs(runs, row)[0] if carrier == "rkbridge" else []
    return f"{statistics.median(values):.2f}" if values else ""


def by_event(runs, carrier):
    """CPU per message by that of the envelope event, round by round."""
    event = {run["round"]: run["cpu"] for run in of(runs, "envelopes", "event")}
    return [run["cpu"] / event[run["round"]] for run in of(runs, "envelopes", carrier) if run["round"] in event]


def by_event_cell(runs, _, carrier):
    values = by_event(runs, carrier)
    return f"{statistics.median(values):.2f}" if values else ""


def by_alone(runs, carrier):
    """p99 by that of rkbridge without such clients, round by round."""
    alone = {run["round"]: run["p99"] for run in of(runs, "clients", "alone")}
    return [run["p99"] / alone[run["round"]] for run in of(runs, "clients", carrier) if run["round"] in alone]


def by_alone_cell(runs, _, carrier):
    values = by_alone(runs, carrier)
    return f"{statistics.median(values):.2f}" if values else ""


def more_than_nobody(runs, row, carrier):
    """What a PUBLISH costs Redis more than with nobody subscribed, round by round."""
    nobody = {run["round"]: run["redis_cpu"] for run in of(runs, row, "nobody")}
    values = [run["redis_cpu"] - nobody[run["round"]] for run in of(runs, row, carrier) if run["round"] in nobody]
    return f"{statistics.median(values):+.2f}" if values and carrier != "nobody" else ""


COMPARED = {STREAM: ("CPU by the floor's", ratio_cell), OUTAGE: ("CPU by the floor's", ratio_cell),
            ENVELOPES: ("CPU by event's", by_event_cell), CLIENTS: ("p99 by alone", by_alone_cell),
            REDIS: ("us more than for nobody", more_than_nobody)}


def lines_of(runs, rows, columns, limit):
    """A table: one line for each row and carrier."""
    compared, compare = COMPARED.get(columns, (None, None))
    lines = [["row", "carrier", *([compared] if compared else []), *(name for name, _, _ in columns), "runs",
              "disturbed"]]
    for row in rows:
        for carrier in row.carriers:
            mine, none = of(runs, row.name, carrier), of(runs, row.name, carrier, failed=True)
            if mine or none:
                count = f"{len(mine)}" + (f" of {len(mine) + len(none)}" if none else "")
                lines.append([row.name, carrier, *([compare(runs, row.name, carrier)] if compared else []),
                              *cells(mine, columns), count, f"{sum(bool(disturbed(run, limit)) for run in mine)}"])
    return lines


# ---- what was wanted ----

def verdict(words, value, met, form="{:.2f}"):
    return f"{words}: {form.format(value)}, {'met' if met else 'NOT met'}"


def ratio_verdict(runs, row, most):
    values, left_out = pairs(runs, row)
    if not values:
        return [f"{row}: no pair in which neither lost messages; {left_out} left out"] if left_out else []
    words = f"{row}: CPU by the floor's, at most {most} (pairs {', '.join(f'{value:.2f}' for value in values)}"
    words += f"; {left_out} left out, where one of the two lost messages)" if left_out else ")"
    return [verdict(words, statistics.median(values), statistics.median(values) <= most)]


def latency_verdicts(runs):
    wanted = (("paced: p50 less the floor's, at most 1 ms", "p50", lambda ours, floor: ours - floor, 1),
              ("paced: p99 by the floor's, at most 1.5", "p99", lambda ours, floor: ours / floor, 1.5))
    said = []
    for words, figure, combine, most in wanted:
        values, _ = pairs(runs, "paced", figure, combine)
        if values:
            said.append(verdict(words, statistics.median(values), statistics.median(values) <= most))
    return said


def whole_verdict(runs, row):
    mine = of(runs, row, "rkbridge") + of(runs, row, "rkbridge", failed=True)
    if not mine:
        return []
    good = sum("failed" not in run and not broken(run) for run in mine)
    return [f"{row}: nothing missing, twice or out of order, and never cut off, in {good} of {len(mine)} runs: "
            f"{'met' if good >= 0.9 * len(mine) else 'NOT met'}"]


def idle_verdicts(runs):
    percent, switches = (middle(of(runs, "idle", "rkbridge"), figure) for figure in ("core_percent", "switches_rate"))
    if percent is None:
        return []
    return [verdict("idle: % of a core, under 0.2", percent, percent < 0.2, "{:.3f}"),
            verdict("idle: context switches a second, under 50", switches, switches < 50, "{:.0f}")]


def outage_verdicts(runs, row):
    mine = of(runs, row, "rkbridge")
    said = whole_verdict(runs, row)
    rate = middle(mine, "catching_up")
    if rate is not None:
        said.append(verdict(f"{row}: catching up, at least 200,000 records a second", rate, rate >= 200000, "{:,.0f}"))
    unseen = sum(run["catching_up"] is None for run in mine)
    if unseen:
        said.append(f"{row}: in {unseen} runs rkbridge had not caught up at the end, or had nothing to catch up with")
    return said


def envelope_verdicts(runs):
    wanted = (("raw", 0.9, 1.1), ("event, pointer key", 0, 1.4), ("event, two expect", 0, 1.5),
              ("event, schema", 0, 2.5))
    said = []
    for carrier, least, most in wanted:
        values = by_event(runs, carrier)
        if values:
            value, bounds = statistics.median(values), f"{least} to {most}" if least else f"at most {most}"
            said.append(verdict(f"envelopes: {carrier}: CPU by event's, {bounds} (rounds "
                                f"{', '.join(f'{one:.2f}' for one in values)})", value, least <= value <= most))
    return said


def control_verdicts(runs):
    """What looking at it costs, and what those do to it who look too hard."""
    said = []
    more = middle(of(runs, "scrape", "rkbridge"), "more_percent")
    if more is not None:
        said.append(verdict("scrape: CPU per message, at most 2 % more with a scrape each second", more, more <= 2,
                            "{:+.1f} %"))
    for carrier, most in (("silent", 1.1), ("greedy", 1.2), ("slow", 1.2), ("hostile", 1.2)):
        values = by_alone(runs, carrier)
        if values:
            value = statistics.median(values)
            said.append(verdict(f"clients: {carrier}: p99 by that without them, at most {most} (rounds "
                                f"{', '.join(f'{one:.2f}' for one in values)})", value, value <= most))
    return said


def verdicts(runs):
    said = [*whole_verdict(runs, "burst"), *ratio_verdict(runs, "burst", 1.15), *ratio_verdict(runs, "paced", 1.3),
            *latency_verdicts(runs), *ratio_verdict(runs, "slow", 1.5), *idle_verdicts(runs),
            *outage_verdicts(runs, "outage-20"), *outage_verdicts(runs, "outage-120"), *envelope_verdicts(runs),
            *control_verdicts(runs)]
    for row in ROWS:
        if row.kind in ("burst", "paced", "envelopes", "redis", "scrape", "clients") and row.name != "burst":
            wrong = [run for run in runs if run["row"] == row.name and broken(run)]
            said += [f"{row.name}: {len(wrong)} runs of rkbridge broke a promise"] if wrong else []
    return said


# ---- all of it ----

def name_of(run):
    return f"{run['row']}, {run['carrier']}, round {run['round']}"


def remarks(runs, limit):
    """Each run that failed, broke a promise or was disturbed, and for a burst that lost something: who starved."""
    said = []
    for run in runs:
        if "failed" in run:
            said.append(f"{name_of(run)}: came to nothing: {run['failed'].splitlines()[0]}")
            continue
        why = [*broken(run), *disturbed(run, limit)]
        lost = run.get("cuts") or run.get("missing")
        if lost:
            why.append(f"{run.get('missing', 0):,} missing; at most {run.get('omem', 0) / 2**20:.1f} MiB were seen to "
                       f"wait in Redis; while it was published, {run['who']}")
        if why:
            said.append(f"{name_of(run)}: {'; '.join(dict.fromkeys(why))}")
    return said


def file_system(path):
    """The type of the file system a path is on."""
    mounts = [line.split()[1:3] for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    fitting = [(len(point), kind) for point, kind in mounts if pathlib.Path(point) in [path, *path.parents]]
    return max(fitting)[1]


def machine(directory):
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = int(re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M).group(1))
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    redis = re.search(r"v=(\S+)", redis).group(1)
    library = ctypes.CDLL("librdkafka.so.1")
    library.rd_kafka_version_str.restype = ctypes.c_char_p
    return (f"{cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, {memory / 2**20:.0f} GiB, "
            f"Linux {platform.release()}, journal and Kafka on {file_system(directory)}; redis {redis}, "
            f"Kafka {broker.version()} (one node), librdkafka {library.rd_kafka_version_str().decode()}")


def setting(bench, runs):
    options = bench.options
    rounds = max((run["round"] for run in runs), default=0)
    outage = f", outages of only {options.outage} s" if options.outage else ""
    return (f"{rounds} {'rounds' if rounds != 1 else 'round'}, floor and rkbridge in turn; 200-byte JSON, 16 channels, "
            f"lz4, `sync: 1s` where the row says nothing else; bursts of {options.count:,} messages, steady streams of "
            f"{options.seconds} s, idle for {options.idle} s{outage}. Medians; missing, twice, disordered, cut off are "
            f"sums; a ratio is the median of the rounds' own. The load was {bench.load:.2f} before. A run is called "
            f"disturbed when others kept more than {options.quiet} cores busy before it or during it.")


def report(bench, runs):
    """All that is said at the end: for the screen, and as Markdown."""
    limit = bench.options.quiet
    date = datetime.date.today()
    screen = ["", bench.machine, setting(bench, runs)]
    mark = [f"## {date.day} {date:%B %Y}", bench.machine + ".", setting(bench, runs)]
    for title, kinds, columns in TABLES:
        lines = lines_of(runs, [row for row in ROWS if row.kind in kinds], columns, limit)
        if len(lines) > 1:
            screen += ["", title, plain_table(lines)]
            mark += [f"### {title}", markdown_table(lines, 2)]
    about = [f"{row.name}: {row.about}" for row in ROWS if any(run["row"] == row.name for run in runs)]
    for title, said in (("The rows", about), ("What was wanted", verdicts(runs)), ("Remarks", remarks(runs, limit))):
        if said:
            screen += ["", title, *(f"  {line}" for line in said)]
            mark += [f"### {title}", "\n".join(f"* {line}" for line in said)]
    return "\n".join(screen), "\n\n".join(mark) + "\n"
