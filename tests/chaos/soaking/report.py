"""What a soak says to people: a line for each period, a table in the end, which fits into a document as it is."""


def mib(kib):
    return f"{kib / 1024:.1f} MiB"


def window_line(number, windows):
    first, last = windows[0], windows[-1]
    change = 100 * (last["anon_kib"] - first["anon_kib"]) / first["anon_kib"]
    return (f"soak: period {number}: anonymous memory {mib(last['anon_kib'])} ({change:+.1f} %), {last['fds']} descriptors, "
            f"{last['threads']} threads, {last['received']} received, {last['delivered']} delivered, {last['pending']} pending, "
            f"{last['connections']} connections, {last['rebuilds']} rebuilds")


def seconds_away(faults, name):
    spans = [(fault["until_us"] - fault["at_us"]) / 1e6 for fault in faults if fault["on"] == name]
    return f"{len(spans)}, away for {min(spans):.1f} to {max(spans):.1f} s" if spans else "0"


def rows(facts, windows, faults):
    yield "messages published", f"{facts['published']:,} in {facts['stream_seconds']:,.0f} s, {facts['rate_reached']:,} a second"
    yield "restarts of Redis", seconds_away(faults, "redis")
    yield "restarts of Kafka", seconds_away(faults, "kafka")
    yield "received and delivered", f"{facts['received']:,} and {facts['delivered']:,}; dropped {facts['dropped']:,}"
    yield "different messages in Kafka", f"{facts['distinct']:,}"
    yield "again, under the same UUID", f"{facts['again']:,} (under another UUID {facts['other_uuid']:,}, unjudged {facts['unjudged']:,})"
    yield "out of order", f"{facts['late']:,}"
    yield "not in Kafka", (f"{facts['missing']:,}, outside of gaps {facts['outside']:,} (heard by Redis's count "
                           f"{facts['missing_heard']:,}, by nobody {facts['missing_unheard']:,}, unanswered {facts['missing_unanswered']:,})")
    yield "gaps", f"{facts['gaps']:,}, the longest {facts['gap_longest_seconds']:.1f} s; with a bound {facts['gaps_with_bound']:,}"
    yield "samples in which the books balanced", f"{facts['samples']:,}"
    if len(windows) > 1:
        first, last = windows[0], windows[-1]
        yield "anonymous memory after the first period, at the end", (
            f"{mib(first['anon_kib'])}, {mib(last['anon_kib'])} ({facts['anon_change_percent']:+.1f} %); most {mib(facts['most']['anon_kib'])}")
        yield "descriptors, threads", (f"{first['fds']} and {first['threads']}, at the end {last['fds']} and {last['threads']}; "
                                       f"most {facts['most']['fds']} and {facts['most']['threads']}")
    yield "producers made anew, connections to Redis", f"{facts['rebuilds']}, {facts['connections']}"
    yield "journal", (f"idle {facts['journal_idle_bytes']:,} bytes, at the most {facts['most']['journal_bytes']:,}, "
                      f"at the end {facts['journal_end_bytes']:,}")
    yield "CPU time of rkbridge", f"{facts['cpu_seconds']:,.0f} s, {1e6 * facts['cpu_seconds'] / max(facts['received'], 1):.1f} µs a message"


def summary(facts, windows, faults):
    return "\n".join(["| what | seen |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows(facts, windows, faults))])
