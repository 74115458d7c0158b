"""What a soak must show, from what its programs wrote down. Each finding is a sentence; none means that all is well.

Missing is what was published and is not in Kafka. All of it must have been under way (from before it was sent until its
answer, to the 20 ms that the publisher sums up) while a gap was open, and of what was published wholly inside a gap no
more may be missing than its bound says.
"""

import bisect
import collections
import datetime
import json

EXCUSES_NOTHING = ("not_durable",)
SLACK_US = 1000             # gaps are told in whole milliseconds
FATES = {"h": "heard", "u": "unheard", "x": "unanswered"}


def parse_time(text):
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1e6)


class Gap:
    def __init__(self, told):
        self.id, self.reason, self.bound = told["id"], told["reason"], told["bound"]
        self.begin = parse_time(told["from"]) - SLACK_US
        self.end = parse_time(told["to"]) + SLACK_US if told["to"] else None
        self.missing = self.inside = 0

    def touches(self, sent, answered):
        return self.begin <= answered and (self.end is None or sent <= self.end)

    def holds(self, sent, answered):
        return self.begin <= sent and (self.end is None or answered <= self.end)


class Holes:
    """The missing numbers: of each channel ranges in steps of the number of channels."""

    def __init__(self, path, channels, published):
        self.channels = channels
        ranges, ends = [], 0
        for line in path.read_text().splitlines():
            channel, first, last = line.split()
            if last == "end":           # all from here on is missing too
                ends += 1
                last_number = published - 1 - (published - 1 - int(channel)) % channels
                if published > int(channel) and int(first) <= last_number:
                    ranges.append((int(first), last_number))
            else:
                ranges.append((int(first), int(last)))
        if ends != channels:
            raise ValueError(f"{path} is not whole")
        self.count = sum((last - first) // channels + 1 for first, last in ranges)
        self.clusters = self._clusters(sorted(ranges))
        self.starts = [cluster[0] for cluster in self.clusters]

    @staticmethod
    def _clusters(ranges):
        """(first, last, ranges): those that overlap together, so that few are looked at for a number."""
        clusters = []
        for one in ranges:
            if clusters and one[0] <= clusters[-1][1]:
                clusters[-1][1] = max(clusters[-1][1], one[1])
                clusters[-1][2].append(one)
            else:
                clusters.append([one[0], one[1], [one]])
        return clusters

    def among(self, first, last):
        """How many of these numbers are missing."""
        at = max(bisect.bisect_right(self.starts, first) - 1, 0)
        count = 0
        while at < len(self.clusters) and self.clusters[at][0] <= last:
            count += sum(self._common(one, first, last) for one in self.clusters[at][2])
            at += 1
        return count

    def _common(self, one, first, last):
        low = one[0] + max(0, -(-(first - one[0]) // self.channels)) * self.channels
        high = min(one[1], last)
        return (high - low) // self.channels + 1 if low <= high else 0


def judge_missing(fates, holes, gaps):
    """What is missing, by fate and by gap; what of it lies in none."""
    told = [Gap(gap) for gap in gaps if gap["reason"] not in EXCUSES_NOTHING]
    missing, outside, examples = collections.Counter(), 0, []
    with fates.open() as lines:
        for line in lines:
            first, last, fate, sent, answered = line.split()
            count = holes.among(int(first), int(last))
            if not count:
                continue
            missing[FATES[fate]] += count
            touched = [gap for gap in told if gap.touches(int(sent), int(answered))]
            for gap in touched:
                gap.missing += count
                gap.inside += count if gap.holds(int(sent), int(answered)) else 0
            if not touched:
                outside += count
                examples = examples[:2] + [f"{count} of {first} to {last} ({FATES[fate]}, sent at {sent}, "
                                           f"answered at {answered})"]
    findings = [f"{outside} messages are missing outside of any gap: {'; '.join(examples)}"] if outside else []
    findings += [f"gap {gap.id} ({gap.reason}) is still open" for gap in told if gap.end is None]
    findings += [f"gap {gap.id} ({gap.reason}) says at most {gap.bound} messages, and {gap.inside} are missing in it"
                 for gap in told if gap.bound is not None and gap.inside > gap.bound]
    if sum(missing.values()) != holes.count:
        findings.append(f"{holes.count} messages are missing, and {sum(missing.values())} of them were published")
    by_reason = collections.Counter(gap.reason for gap in told)
    longest = max(((gap.end - gap.begin) / 1e6 for gap in told if gap.end), default=0)
    return findings, {"missing": holes.count, **{f"missing_{name}": missing[name] for name in FATES.values()},
                      "outside": outside, "gaps": len(told), "gap_reasons": dict(by_reason),
                      "gap_longest_seconds": round(longest, 3),
                      "gaps_with_bound": sum(gap.bound is not None for gap in told)}


def judge_tally(tally, published, books):
    """Kafka's side against the books: nothing that was received is missing, nothing is there that was not published."""
    findings = []
    for name, words in (("other_uuid", "records came again under another UUID"), ("late", "messages came out of order"),
                        ("strange", "records are no message of the publisher"),
                        ("jumped", "records were deleted by Kafka before they were read: these are not judged")):
        if tally[name]:
            findings.append(f"{tally[name]} {words}")
    if books["received"] != tally["distinct"] + books["dropped"] + books["dead_lettered"]:
        findings.append(f"{books['received']} messages were received, {books['dropped']} dropped, "
                        f"{books['dead_lettered']} set aside, and {tally['distinct']} different ones are in Kafka")
    if books["delivered"] > tally["records"]:
        findings.append(f"{books['delivered']} records count as delivered, and only {tally['records']} are in Kafka")
    if tally["distinct"] > published:
        findings.append(f"{tally['distinct']} different messages are in Kafka, and {published} were published")
    return findings


def judge_windows(windows, tolerance):
    """The first window against the last: memory within so many per cent, at most two descriptors and threads more."""
    if len(windows) < 2:
        return ["memory: not judged, since there were not two whole periods"], {}
    first, last = windows[0], windows[-1]
    change = 100 * (last["anon_kib"] - first["anon_kib"]) / first["anon_kib"]
    findings = [f"anonymous memory went from {first['anon_kib']} to {last['anon_kib']} KiB, {change:+.1f} %"] if (
        abs(change) > tolerance) else []
    findings += [f"{name} went from {first[name]} to {last[name]}" for name in ("fds", "threads")
                 if last[name] > first[name] + 2]
    return findings, {"anon_first_kib": first["anon_kib"], "anon_last_kib": last["anon_kib"],
                      "anon_change_percent": round(change, 2)}


def last_line(path):
    """The last whole line of JSON, without reading a day's worth of them."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))
        lines = file.read().splitlines()
    return json.loads([line for line in lines if line.startswith(b"{") and line.endswith(b"}")][-1])
