"""The ledger of gaps: closed, bounds that hold, each with a cause, the same in the topic of gaps;
and not everywhere."""

from .messages import gap_spans
from .rundir import US, Spans, clock, parse_gap

# Bounds taken from what Redis counts; the others are counted by the bridge itself.
COUNTED_BY_REDIS = ("connection_lost", "restart", "output_buffer", "refused", "another_bridge")
COUNTS_ANEW = (("kill", "redis"), ("restart", "redis"), ("resetstat", "redis"))
# What may cause a gap, by its reason; and how long before the gap's begin the fault may have ended (a journal fills
# slowly, a half-open connection is noticed late).
CAUSES = {
    "journal_full": ({"kafka", "kafka_link", "disk", "bridge"}, 60 * US),
    "not_durable": ({"disk", "bridge"}, 10 * US),
    "damage": ({"disk", "bridge"}, 60 * US),
    "restart": ({"bridge"}, 5 * US),
}
ANY_CAUSE = ({"redis", "redis_link", "bridge"}, 15 * US)
BY_MESSAGE = ("too_large", "no_memory")     # the message itself is the cause
TAIL = 15 * US                              # what a fault may still cost after its end
MOST = 0.2                                  # of the time without faults that gaps may cover


def check(run, found):
    for gap in run.gaps:
        if gap.end is None:
            found.add("gap-open", str(gap))
        elif gap.end < gap.begin:
            found.add("gap-backwards", str(gap))
    whole = [gap for gap in run.gaps if gap.end is not None and gap.end >= gap.begin]
    _bounds(run, whole, found)
    _clusters(run, whole, found)
    _resets(run, whole, found)
    _causes(run, found)
    _share(run, found)
    _topic(run, found)


def _inside(row, begin, end):
    return begin <= row["sent_us"] and row["answered_us"] <= end


def _bounds(run, gaps, found):
    """What lies in one gap alone counts against its bound."""
    known = [gap for gap in gaps if gap.bound is not None]
    for gap in known:
        others = Spans((one.begin, one.end) for one in gaps if one.id != gap.id)
        missing = sum(_inside(row, gap.begin, gap.end) and not others.touch(row["sent_us"], row["answered_us"])
                      for row in run.missing)
        if missing > gap.bound:
            found.add("gap-bound", str(gap),
                      f"{missing} are missing in it alone; {run.faults_near(gap.begin, gap.end)}")
    found.figures.update({"gaps": len(run.gaps), "bounds_known": len(known)})


def _clusters(run, gaps, found):
    """Gaps that overlap share what is missing: together their bounds have to hold."""
    for begin, end in Spans((gap.begin, gap.end) for gap in gaps).merged:
        cluster = [gap for gap in gaps if begin <= gap.begin and gap.end <= end]
        if len(cluster) < 2 or any(gap.bound is None for gap in cluster):
            continue
        missing = sum(_inside(row, begin, end) for row in run.missing)
        bound = sum(gap.bound for gap in cluster)
        if missing > bound:
            found.add("gap-bound", "; ".join(map(str, cluster)),
                      f"{missing} are missing in them, their bounds are {bound} together")


def _resets(run, gaps, found):
    """The middle of a fault that makes Redis count anew: it is down then, so a gap over it spans two counts."""
    for fault in run.faults:
        if (fault["fault"], fault["on"]) not in COUNTS_ANEW:
            continue
        middle = (fault["at_us"] + fault["until_us"]) // 2
        for gap in gaps:
            over_it = gap.begin < fault["at_us"] and middle < gap.end
            if gap.reason in COUNTED_BY_REDIS and gap.bound is not None and over_it:
                found.add("gap-bound-reset", str(gap), f"{fault['fault']} of redis at {clock(fault['at_us'])}")


def _has_cause(run, gap):
    things, before = CAUSES.get(gap.reason, ANY_CAUSE)
    end = gap.end or run.ended
    if any(row["on"] in things and row["at_us"] <= end and row["until_us"] >= gap.begin - before for row in run.faults):
        return True
    # The end of a life and the begin of the next are a cause of their own.
    moments = [row[name] for row in run.lives for name in ("started_us", "ended_us") if row.get(name)]
    return "bridge" in things and any(gap.begin - before <= moment <= end for moment in moments)


def _causes(run, found):
    for gap in run.gaps:
        end = gap.end or run.ended
        if gap.reason in BY_MESSAGE:
            good = any(row["sent_us"] <= end and row["answered_us"] >= gap.begin - TAIL for row in run.missing)
        else:
            good = _has_cause(run, gap)
        if not good:
            found.add("gap-without-cause", str(gap))


def _share(run, found):
    length = run.ended - run.started
    if length <= 0:
        return
    gaps = gap_spans(run)
    begins = [row["started_us"] for row in run.lives if row.get("started_us")]
    bad = Spans([(row["at_us"], row["until_us"] + TAIL) for row in run.faults]
                + [(begin - TAIL, begin + TAIL) for begin in begins])
    quiet = Spans([(run.started, run.ended)]).without(bad)
    uncaused = gaps.without(bad)
    share = uncaused.total() / quiet.total() if quiet.total() else 0.0
    found.figures.update({"in_gaps": f"{100 * gaps.total() / length:.1f} %",
                          "in_gaps_without_faults": f"{100 * share:.1f} %"})
    if share > MOST and uncaused.total() > 2 * US:
        found.add("gaps-everywhere",
                  f"{100 * share:.0f} % of the {quiet.total() / US:.0f} s without faults are in gaps")


def _topic(run, found):
    """The topic of gaps says what the ledger says, in its order; each state once or again,
    its latest being the ledger's."""
    if not run.run.get("gap_topic"):
        return
    said = {}
    for row in run.kafka:
        if row.get("gap"):
            gap = parse_gap(row["gap"])
            if said and gap.id not in said and gap.id < max(said):
                found.add("gap-topic", str(gap), f"comes after gap {max(said)}")
            earlier = said.get(gap.id)
            # Sent again, an open state may follow its closed one.
            if earlier is None or earlier.end is None or gap.end is not None:
                said[gap.id] = gap
    for gap in run.gaps:
        other = said.pop(gap.id, None)
        if other is None:
            found.add("gap-topic", str(gap), "is not in the topic of gaps")
        elif other != gap:
            found.add("gap-topic", str(gap), f"the topic has: {other}")
    last = max((gap.id for gap in run.gaps), default=0)
    for gap in said.values():
        # The ledger was asked before the last life ended, and that end opens one.
        if gap.reason == "restart" and gap.end is None and gap.id > last:
            continue
        found.add("gap-topic", str(gap), "is in the topic of gaps, not in the ledger")
