"""What a soak says to people: a line for each period, a table in the end, which fits into a document as it is."""


def mib(kib):
    return f"{kib / 1024:.1f} MiB"


def window_line(number, windows):
    first, last = windows[0], windows[-1]
    change = 100 * (last["anon_kib"] - first["anon_kib"]) / first["anon_kib"]
    return (f"soak: period {number}: anonymous memory {mib(last['anon_kib'])} ({change:+.1f} %), "
            f"{last['fds']} descriptors, {last['threads']} threads, {last['received']} received, "
            f"{last['delivered']} delivered, {last['pending']} pending, {last['connections']} connections, "
            f"{last['rebuilds']} rebuilds")


def times_away(faults, name):
    spans = [(fault["until_us"] - fault["at_us"]) / 1e6 for fault in faults if fault["on"] == name]
    return f"{len(spans)}, away for {min(spans):.1f} to {max(spans):.1f} s" if spans else "0"


def flow_rows(facts):
    yield "published", "{published:,} messages in {stream_seconds:,.0f} s, {rate_reached:,} a second"
    yield "received, delivered, dropped", "{received:,}, {delivered:,}, {dropped:,}"
    yield "different messages in Kafka", "{distinct:,}"
    yield "again, under the same UUID", "{again:,}; under another {other_uuid:,}; too late to tell {unjudged:,}"
    yield "out of order", "{late:,}"
    yield "not in Kafka", "{missing:,}, outside of gaps {outside:,}"
    yield "of these, by Redis's answer", ("with a receiver {missing_heard:,}, without {missing_unheard:,}, "
                                          "unanswered {missing_unanswered:,}")
    yield "gaps", "{gaps:,}, the longest {gap_longest_seconds:.1f} s; with a bound {gaps_with_bound:,}"
    yield "books", "{samples:,} samples; those that did not balance are findings"


def process_rows(facts, windows):
    first, last, most = windows[0], windows[-1], facts["most"]
    yield "anonymous memory", (f"after the first period {mib(first['anon_kib'])}, at the end {mib(last['anon_kib'])} "
                               f"({facts['anon_change_percent']:+.1f} %); at the most {mib(most['anon_kib'])}")
    for name, words in (("fds", "descriptors"), ("threads", "threads")):
        yield words, f"after the first period {first[name]}, at the end {last[name]}; at the most {most[name]}"


def rest_rows(facts):
    yield "journal", (f"idle {facts['journal_idle_bytes']:,} bytes, at the most {facts['most']['journal_bytes']:,}, "
                      f"at the end {facts['journal_end_bytes']:,}")
    yield "producers made anew, connections to Redis", "{rebuilds}, {connections}"
    per_message = 1e6 * facts["cpu_seconds"] / max(facts["received"], 1)
    yield "CPU time of rkbridge", f"{facts['cpu_seconds']:,.0f} s, {per_message:.1f} µs a message"


def summary(facts, windows, faults):
    rows = [("restarts of Redis", times_away(faults, "redis")), ("restarts of Kafka", times_away(faults, "kafka")),
            *flow_rows(facts), *(process_rows(facts, windows) if len(windows) > 1 else []), *rest_rows(facts)]
    lines = [f"| {name} | {value.format(**facts)} |" for name, value in rows]
    return "\n".join(["| what | seen |", "|---|---|", *lines])
