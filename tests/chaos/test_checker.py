"""The checker itself: a clean run passes, and each thing that can be wrong is found, by its code and alone.

    python3 -m pytest tests/chaos/test_checker.py
"""

import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import checker  # noqa: E402
from checker import log  # noqa: E402
from checker.findings import CODES  # noqa: E402
from checker.rundir import Spans  # noqa: E402
from made_run import MadeRun, at, gap  # noqa: E402

CHECK = pathlib.Path(__file__).resolve().parent / "check.py"


@pytest.fixture
def made(tmp_path):
    run = MadeRun()
    run.directory = tmp_path
    return run


def found(run):
    run.write(run.directory)
    return checker.check(run.directory)


def codes(run):
    return set(found(run).counts)


def test_a_clean_run_passes(made):
    result = found(made)
    assert dict(result.counts) == {}, list(result.lines())
    assert result.figures["missing"] == 27 and result.figures["duplicates"] == 0 and result.figures["gaps"] == 2


def lost(run):
    run.drop("a", 30, 30.06)
    less(run, 1)


def untold(run):
    run.gaps[0]["from"] = gap(0, 10.3, 11, "")["from"]


def less(run, count):
    """The bridge did not receive them either."""
    for books in (run.books[-1]["stats"]["totals"], run.books[-1]["stats"]["routes"]["one"]):
        books["received"] -= count
        books["delivered"] -= count


def a_gap_is_left_out(run):
    del run.gaps[1]


def two_uuids(run):
    run.again(100, id="another")


def shared_uuid(run):
    run.kafka[200]["id"] = run.kafka[100]["id"]


def other_bytes(run):
    run.again(100, digest="changed")


def repeated(run):
    run.again(100)


def swapped(run):
    """Two of one publisher change places."""
    for field in ("n", "id", "digest"):
        run.kafka[300][field], run.kafka[306][field] = run.kafka[306][field], run.kafka[300][field]


def swapped_publishers(run):
    """Two of one channel but of two publishers, one of them answered well before the other was sent."""
    for field in ("p", "n", "id", "digest"):
        run.kafka[300][field], run.kafka[303][field] = run.kafka[303][field], run.kafka[300][field]


def a_counter_goes_back(run):
    run.books[1]["stats"]["sources"]["legacy"]["connections_total"] = 0


def an_error_count_goes_back(run):
    run.books[0]["stats"]["kafka"]["errors_total"]["timeout"] = 2


def off(run):
    run.books[1]["stats"]["totals"]["pending"] += 1


def a_route_is_off(run):
    run.books[1]["stats"]["routes"]["one"]["dropped"] += 1


def a_drop_without_reason(run):
    run.books[1]["stats"]["dropped_by_reason"]["journal_full"] = 1


def vanished(run):
    """Inside a gap, so none is lost by that; but the bridge had received one of them."""
    run.kafka = run.kafka[:-9]
    run.gaps.append(gap(12, 39, 39.999, "connection_lost"))
    run.faults.append({"at_us": at(39), "until_us": at(39.9), "fault": "cut", "on": "redis_link", "detail": None})


def delivered_too_much(run):
    for books in (run.books[-1]["stats"]["totals"], run.books[-1]["stats"]["routes"]["one"]):
        books["recovered"] += 10
        books["delivered"] += 10


def received_too_many(run):
    for books in (run.books[-1]["stats"]["totals"], run.books[-1]["stats"]["routes"]["one"]):
        books["received"] += 2000
        books["filtered"] += 2000


def grown(figure, by):
    def grow(run):
        for row in run.process:
            row["life"] = 1
            row[figure] += by if row["at_us"] > at(34) else 0
    return grow


def a_bound_too_small(run):
    run.gaps[1]["bound"] = 11


def bounds_of_a_cluster(run):
    run.gaps[1] = gap(9, 19.99, 20.25, "restart", 6)
    run.gaps.append(gap(10, 20.2, 20.4, "connection_lost", 5))


def a_bound_over_a_reset(run):
    run.gaps[0]["bound"] = 4000


def no_cause(run):
    run.gaps.append(gap(11, 37, 37.5, "connection_lost"))


def no_cause_in_kafka(run):
    """A stalled Kafka is no cause for a lost connection to Redis."""
    no_cause(run)
    run.faults.append({"at_us": at(36), "until_us": at(38), "fault": "stall", "on": "kafka_link", "detail": None})


def everywhere(run):
    """It began with a fault and went on for much longer."""
    run.lives = [{**run.lives[0], "started_us": at(-20)}]
    run.lives[0].update(how="end", code=0)
    run.faults.append({"at_us": at(5), "until_us": at(5.1), "fault": "cut", "on": "redis_link", "detail": None})
    run.faults = [one for one in run.faults if one["on"] == "redis_link"]
    run.gaps = [gap(5, 5, 39.9, "connection_lost")]


def in_the_topic(run, *gaps):
    run.run["gap_topic"] = "gaps"
    run.kafka += [run.record(None, None, None, number, topic="gaps", id=None, gap=one)
                  for number, one in enumerate(gaps)]


def not_in_the_topic(run):
    in_the_topic(run, run.gaps[0])


def another_in_the_topic(run):
    in_the_topic(run, run.gaps[0], {**run.gaps[1], "bound": 41})


def the_topic_out_of_order(run):
    in_the_topic(run, run.gaps[1], run.gaps[0])


def a_gap_of_the_topic_only(run):
    in_the_topic(run, *run.gaps, gap(10, 30, 31, "restart"))


def an_open_gap_of_the_topic_only(run):
    in_the_topic(run, *run.gaps, gap(10, 30, None, "connection_lost"))


def life(**changes):
    def change(run):
        run.lives[-1].update(changes)
    return change


def say(line):
    def change(run):
        run.log += line + "\n"
    return change


def change(name, index, **changes):
    def do(run):
        getattr(run, name)[index].update(changes)
    return do


def a_dead_letter(run):
    run.kafka[50]["dead"] = True
    for books in (run.books[-1]["stats"]["totals"], run.books[-1]["stats"]["routes"]["one"]):
        books["delivered"] -= 1
        books["dead_lettered"] += 1


def nothing_recovered(run):
    run.lives[0].update(how="term", code=3)
    for row in run.books[2:]:
        for one in (row["stats"]["totals"], row["stats"]["routes"]["one"]):
            one["delivered"] -= 8 - one["pending"]
            one["pending"] = one["recovered"] = 0


SERIOUS = [
    (lost, {"lost"}), (untold, {"untold"}), (a_gap_is_left_out, {"untold"}), (two_uuids, {"two-uuids"}),
    (shared_uuid, {"shared-uuid"}), (other_bytes, {"other-bytes"}), (swapped, {"out-of-order"}),
    (swapped_publishers, {"out-of-order"}), (a_counter_goes_back, {"counter-back"}),
    (an_error_count_goes_back, {"counter-back"}),
    (off, {"books-off"}), (a_route_is_off, {"books-off"}), (a_drop_without_reason, {"books-off"}),
    (vanished, {"vanished", "delivered-not-there"}),
    (delivered_too_much, {"delivered-not-there"}), (received_too_many, {"received-too-many"}),
    (grown("anon_bytes", 20 << 20), {"memory"}), (grown("fds", 9), {"descriptors"}), (grown("threads", 5), {"threads"}),
    (a_bound_too_small, {"gap-bound"}), (bounds_of_a_cluster, {"gap-bound"}),
    (a_bound_over_a_reset, {"gap-bound-reset"}),
    (no_cause, {"gap-without-cause"}), (no_cause_in_kafka, {"gap-without-cause"}), (everywhere, {"gaps-everywhere"}),
    (not_in_the_topic, {"gap-topic"}), (another_in_the_topic, {"gap-topic"}), (the_topic_out_of_order, {"gap-topic"}),
    (a_gap_of_the_topic_only, {"gap-topic"}), (an_open_gap_of_the_topic_only, {"gap-topic"}),
    (life(code=1), {"life-ended"}), (life(how="exit", code=70), {"life-ended"}),
    (life(how="term", code=-11), {"life-ended"}),
    (nothing_recovered, {"recovered"}),
    (say("2026-01-01T00:00:30.000Z warn journal: never heard of event=brand_new"), {"log-unlisted"}),
    (say("2026-01-01T00:00:30.000Z error journal: no word at all"), {"log-unlisted"}),
    (say("rkbridge: src/x.c:1: assertion failed"), {"log-foreign"}),
    (say("src/base/bytes.c:12:3: runtime error: shift exponent -1 is negative"), {"sanitizer"}),
    (change("gaps", 1, to=None), {"gap-open", "gaps-everywhere"}),
    (change("gaps", 1, **{"from": gap(0, 20.5, 21, "")["from"]}), {"gap-backwards", "untold"}),
    (a_dead_letter, set()), (lambda run: run.again(50, dead=True), {"dead-and-delivered"}),
    (lambda run: run.again(50, n=5000, id="new"), {"never-published"}),
    (lambda run: run.kafka.append({"bad": "not JSON", "topic": "t", "partition": 0, "offset": 9}), {"bad-record"}),
    (lambda run: run.leftover.update(pending=3), {"leftover"}),
    (lambda run: run.gaps[1].pop("reason"), {"incomplete", "untold"}),
]


def _name(value):
    return getattr(value, "__name__", None) if callable(value) else ",".join(sorted(value)) or "none"


@pytest.mark.parametrize("change_it, expected", SERIOUS, ids=_name)
def test_what_is_wrong_is_found(made, change_it, expected):
    change_it(made)
    result = found(made)
    assert set(result.counts) == expected, list(result.lines())


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_code_has_a_case(code):
    assert any(code in expected for _, expected in SERIOUS), f"no case shows that {code} is found"


def test_the_same_again_is_counted_and_allowed(made):
    repeated(made)
    result = found(made)
    assert not result.counts and result.figures["duplicates"] == 1


def test_a_message_without_an_answer_may_be_missing_or_not(made):
    for index in (30, 31):
        row = made.published[index]
        row.update(receivers=None, answered_us=None, error="closed")
    del made.kafka[30]
    less(made, 1)
    assert codes(made) == set()


def test_a_message_of_no_answer_may_come_late(made):
    """Redis may execute it long after its publisher gave up, and so after later ones."""
    made.published[30].update(receivers=None, answered_us=None, error="closed")
    row = made.kafka.pop(30)
    made.kafka.insert(60, row)
    assert codes(made) == set()


def test_a_message_may_be_published_at_the_edge_of_a_gap(made):
    row = next(row for row in made.published if row["receivers"] == 0)
    made.gaps[0]["from"] = gap(0, (row["sent_us"] - at(0)) / 1e6 + 0.0004, 0, "")["from"]
    assert codes(made) == set()


def test_a_gap_of_the_disk_excuses_nothing(made):
    made.gaps[1]["reason"] = "not_durable"
    made.gaps[1]["bound"] = None
    assert codes(made) == {"untold"}


def test_the_topic_of_gaps_may_repeat_itself(made):
    first, second = made.gaps
    begun = {**first, "to": None, "bound": None}
    in_the_topic(made, begun, first, second, begun, second, gap(10, 39.9, None, "restart"))
    assert codes(made) == set()


def test_a_file_that_lacks_is_said(made):
    made.write(made.directory)
    (made.directory / "lives.jsonl").unlink()
    assert set(checker.check(made.directory).counts) == {"incomplete"}


@pytest.mark.parametrize("line", ["{torn", "7", '{"p": 1}'])
def test_a_row_that_is_none_is_said(made, line):
    made.write(made.directory)
    with (made.directory / "published.jsonl").open("a") as file:
        file.write(line + "\n")
    assert set(checker.check(made.directory).counts) == {"incomplete"}


def test_memory_of_sanitized_builds_is_not_compared(made):
    grown("anon_bytes", 200 << 20)(made)
    made.run["sanitizer"] = True
    assert codes(made) == set()


def test_the_list_of_events_is_read():
    assert {"started", "stopping", "kafka_error", "journal_room"} <= log.listed(log.LIST.read_text())
    assert log.listed("| `a`, `b_c` | x |\n| no | `d` |\n") == {"a", "b_c"}


def test_spans():
    spans = Spans([(5, 7), (1, 2), (6, 9)])
    assert spans.merged == [[1, 2], [5, 9]] and spans.total() == 5
    assert spans.touch(2, 3) and spans.touch(0, 20) and not spans.touch(3, 4) and not spans.touch(10, 11)
    assert Spans([(0, 10)]).without(spans).merged == [[0, 1], [2, 5], [9, 10]]


def test_the_command_says_it_in_words_and_by_its_exit_code(made):
    made.write(made.directory)
    done = subprocess.run([sys.executable, CHECK, made.directory], capture_output=True, text=True)
    assert done.returncode == 0 and "missing 27" in done.stdout, done.stdout
    lost(made)
    made.write(made.directory)
    done = subprocess.run([sys.executable, CHECK, made.directory], capture_output=True, text=True)
    assert done.returncode == 1 and "1 times lost" in done.stdout, done.stdout
    assert subprocess.run([sys.executable, CHECK, made.directory / "none"], capture_output=True).returncode == 2
