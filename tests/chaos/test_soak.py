"""The soak's own judges, on what is made by hand: each thing that can be wrong is found, and what is right is not."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from soaking import judge  # noqa: E402

BUILD = pathlib.Path(os.environ.get("RKB_BUILD") or pathlib.Path(__file__).resolve().parents[2])
TALLY = BUILD / "tests/chaos/soaking/tally"
CHANNELS = 2
TALLIED = {"records": 10, "distinct": 10, "other_uuid": 0, "late": 0, "strange": 0, "jumped": 0}
BOOKS = {"received": 10, "delivered": 10, "dropped": 0, "dead_lettered": 0}


def gap(begin, end, reason="connection_lost", bound=None):
    def time(second):
        return second and f"2026-01-01T00:00:{second:06.3f}Z"
    return {"id": 1, "source": "legacy", "reason": reason, "from": time(begin), "to": time(end), "bound": bound}


def us(second):
    return judge.parse_time("2026-01-01T00:00:00Z") + round(second * 1e6)


def missing(tmp_path, gaps, holes="0 4 6\n0 20 end\n1 21 end\n"):
    """Numbers 0 to 9 at second 10, one every 10 ms with its answer 1 ms later; missing are 4 and 6."""
    lines = [f"{n} {n} h {us(10 + n / 100)} {us(10.001 + n / 100)}\n" for n in range(10)]
    (tmp_path / "fates").write_text("".join(lines))
    (tmp_path / "holes").write_text(holes)
    return judge.judge_missing(tmp_path / "fates", judge.Holes(tmp_path / "holes", CHANNELS, 10), gaps)


def test_missing_inside_a_gap(tmp_path):
    findings, facts = missing(tmp_path, [gap(10.03, 10.07, bound=2)])
    assert findings == [] and facts["missing"] == facts["missing_heard"] == 2 and facts["outside"] == 0


@pytest.mark.parametrize("gaps, holes, words", [
    ([], None, "2 messages are missing outside"),
    ([gap(10.03, 10.05)], None, "1 messages are missing outside"),
    ([gap(10.03, 10.07, reason="not_durable")], None, "2 messages are missing outside"),
    ([gap(10.03, 10.07, bound=1)], None, "says at most 1"),
    ([gap(10.03, None)], None, "still open"),
    ([gap(10.03, 10.05)], "0 10 end\n1 5 end\n", "2 messages are missing outside"),     # 5 is in it, 7 and 9 not
    ([], "0 12 14\n0 16 end\n1 11 end\n", "2 messages are missing, and 0 of them were published"),
])
def test_missing_is_found(tmp_path, gaps, holes, words):
    findings, _ = missing(tmp_path, gaps, *([holes] if holes else []))
    assert any(words in finding for finding in findings), findings


def test_a_broken_file_of_holes(tmp_path):
    with pytest.raises(ValueError):
        missing(tmp_path, [], "0 4 6\n0 20 end\n")


def test_the_books_against_kafka():
    assert judge.judge_tally(TALLIED, 10, BOOKS) == []
    for change in ({"other_uuid": 1}, {"late": 1}, {"strange": 1}, {"jumped": 1}, {"distinct": 9}):
        assert judge.judge_tally({**TALLIED, **change}, 10, BOOKS), change
    assert judge.judge_tally(TALLIED, 9, BOOKS)
    assert judge.judge_tally(TALLIED, 10, {**BOOKS, "delivered": 11})


def test_windows():
    first = {"anon_kib": 10000, "fds": 20, "threads": 7}
    assert judge.judge_windows([first, {**first, "anon_kib": 10499}], 5)[0] == []
    for change in ({"anon_kib": 10600}, {"anon_kib": 9400}, {"fds": 23}, {"threads": 10}):
        assert len(judge.judge_windows([first, {**first, **change}], 5)[0]) == 1, change
    assert judge.judge_windows([first], 5)[0]


def record(number, uuid=0, channel=None):
    channel = number % CHANNELS if channel is None else channel
    return (f'bench.{channel}\t{{"name":"x","data":{{"id":"01a2052e-714e-7000-8002-{uuid or number:012d}","payload":'
            f'{{"number":{number},"channel":{channel},"at":1,"text":"10"}}}}}}\n')


@pytest.mark.skipif(not TALLY.exists(), reason="NOT RUN: tests/chaos/soaking/tally is not built")
@pytest.mark.parametrize("records, figures, holes", [
    ([record(n) for n in range(6)], {"records": 6, "distinct": 6}, ["0 6 end", "1 7 end"]),
    ([record(n) for n in (0, 1, 3, 6)], {"distinct": 4}, ["0 2 4", "0 8 end", "1 5 end"]),
    ([record(n) for n in (0, 8, 4)], {"distinct": 3, "late": 1}, ["0 2 2", "0 6 6", "0 10 end", "1 1 end"]),
    ([record(n) for n in (0, 4, 2, 2)], {"late": 1, "again": 1, "other_uuid": 0}, ["0 6 end", "1 1 end"]),
    ([record(0), record(0, uuid=7)], {"distinct": 1, "again": 1, "other_uuid": 1}, ["0 2 end", "1 1 end"]),
    ([record(0), record(2, channel=1), "bench.0\tnothing\n"], {"distinct": 1, "strange": 2}, ["0 2 end", "1 1 end"]),
])
def test_the_tally(tmp_path, records, figures, holes):
    (tmp_path / "records").write_text("".join(records))
    command = [TALLY, "-i", tmp_path / "records", "-c", str(CHANNELS), "-f", tmp_path / "holes"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said = json.loads(done.stdout)
    assert {name: said[name] for name in figures} == figures
    assert (tmp_path / "holes").read_text().split("\n")[:-1] == holes
