"""What Kafka refuses for good goes to the route's topic for dead letters, as it arrived; where that does not take it,
to the file."""

import base64
import itertools
import json
import random

import pytest

from bridge import route
from delivery import assert_delivered, decode_raw
from test_refusals import set_limit
from waiting import wait_for

LIMIT = 50000


def large(number):
    """A payload over the limit that compression does not make smaller, with bytes that are no text."""
    return b"%d:" % number + random.Random(number).randbytes(LIMIT + 10000)


@pytest.fixture
def routes(make_topic, kafka):
    """`small` takes little and has a topic for dead letters, `plain` takes as little and has none."""
    made = {"small": make_topic(), "plain": make_topic(), "letters": make_topic("letters")}
    for name in ("small", "plain"):
        set_limit(kafka, made[name], LIMIT)
    return made


def settings(topics, letters=None):
    return {"small": route(topics["small"], patterns=["s*"], envelope="raw", dead_letter=letters or topics["letters"]),
            "plain": route(topics["plain"], channels=["p"], envelope="raw")}


def filed(made):
    """The letters in the file, as rkbctl shows them."""
    code, out, err = made.rkbctl("journal", "dump", str(made.journal))
    assert code == 0, err
    return [one for one in map(json.loads, out.splitlines()) if one["kind"] == "dead_letter"]


def headers_of(letter):
    return {header["name"]: header.get("value") for header in letter["headers"]}


def check_letter(record, topic, payload):
    assert record.key == b"s1" and record.value == payload
    said = {name: record.header(f"rkb-{name}").decode()
            for name in ("error-code", "error", "route", "source", "channel", "pattern", "topic")}
    assert "too large" in said.pop("error").lower()
    assert said == {"error-code": "MSG_SIZE_TOO_LARGE", "route": "small", "source": "legacy", "channel": "s1",
                    "pattern": "s*",
                    "topic": topic}
    assert record.header("rkb-form") is None and len(record.header("rkb-id")) == 36
    assert record.header("rkb-position") and record.header("rkb-time") <= record.header("rkb-error-time")


def test_too_large_for_its_topic(routes, bridge, publisher, redis, read):
    """One in fifty is too large: in the topic for dead letters, in their order, the others delivered in theirs; the
    route without such a topic has them in the file, with the same headers."""
    made = bridge(settings(routes))
    client = redis.client()
    for number in range(6):
        publisher.publish("s1", "p", count=50)
        client.publish("s1", large(number))
        client.publish("p", large(100 + number))
    made.wait_totals(60, received=612, pending=0)
    books = made.stats()["routes"]
    assert books["small"]["dead_lettered"] == books["plain"]["dead_lettered"] == 6
    assert books["small"]["delivered"] == books["plain"]["delivered"] == 300
    assert_delivered(publisher.sent, [decode_raw(record) for topic in ("small", "plain")
                                      for record in read(routes[topic])])
    letters = read(routes["letters"])
    assert [record.value for record in letters] == [large(number) for number in range(6)]
    for number, record in enumerate(letters):
        check_letter(record, routes["small"], large(number))
    in_file = filed(made)
    assert [headers_of(one)["rkb-topic"] for one in in_file] == [routes["plain"]] * 6
    assert set(headers_of(in_file[0])) == {name for name, _ in letters[0].headers} - {"rkb-pattern"}


def test_a_missing_topic(routes, bridge, publisher, redis, read):
    """The topic for dead letters is missing and nobody makes it: the file, without delay, and the line goes on."""
    made = bridge(settings(routes, letters=f"missing.{random.randrange(10**9)}"))
    wait_for("the missing topic to be told", lambda: "event=topic_missing" in made.stderr())
    for number in range(3):
        redis.client().publish("s1", large(number))
        publisher.publish("s1", count=50)
    made.wait_totals(20, received=153, pending=0)
    assert made.stats()["routes"]["small"]["dead_lettered"] == 3
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(routes["small"])])
    assert [headers_of(one)["rkb-error-code"] for one in filed(made)] == ["MSG_SIZE_TOO_LARGE"] * 3


def test_a_kill_in_between(routes, bridge, publisher, redis, read):
    """Killed while letters and records go: each comes at least once, under one UUID,
    and the books of both lives balance."""
    made = bridge(settings(routes))
    client = redis.client()
    for number in range(40):
        publisher.publish("s1", count=20)
        client.publish("s1", large(number))
    wait_for("some letters", lambda: made.totals()["dead_lettered"] >= 3)
    made.kill()
    made.start()
    made.drained(60)
    letters = read(routes["letters"])
    firsts = list(dict.fromkeys(record.value for record in letters))
    assert firsts == [large(number) for number in range(40)]
    assert len({(record.value, record.header("rkb-id")) for record in letters}) == 40
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(routes["small"])])


def test_what_fails_a_check(routes, make_topic, bridge, publisher, redis, read):
    """To the topic as it arrived, or to the file; over a kill too. The good ones go on, in order."""
    checked = {name: route(make_topic(), channels=[name[0]], envelope="raw", require="object", **more)
               for name, more in {"told": {"dead_letter": routes["letters"]}, "filed": {}}.items()}
    made = bridge(checked)
    client = redis.client()
    bad = [b"\xff\x00no JSON %d" % number for number in range(30)]
    for payload in bad:
        publisher.publish("t", "f", count=5)
        client.publish("t", payload)
        client.publish("f", payload)
    made.wait_totals(received=360)
    made.kill()
    made.start()
    made.drained(60)
    letters = read(routes["letters"])
    assert list(dict.fromkeys(record.value for record in letters)) == bad
    assert all(record.key == b"t" for record in letters)
    said = {name: letters[0].header(f"rkb-{name}")
            for name in ("error-code", "route", "source", "channel", "pattern", "topic", "form")}
    assert said == {"error-code": b"require", "route": b"told", "source": b"legacy", "channel": b"t", "pattern": None,
                    "topic": None, "form": None}
    in_file = filed(made)
    assert [base64.b64decode(one["value_base64"]) for one in in_file] == bad
    assert {(one["code"], one["route"], one["key"]) for one in in_file} == {("require", "filed", "f")}
    assert_delivered(publisher.sent, [decode_raw(record) for one in checked.values() for record in read(one["topic"])])


def test_rkbctl_dead(routes, bridge, redis):
    """list and show read both, the topic and the file, while the bridge runs; a letter is found by its id and by its
    place."""
    made = bridge(settings(routes))
    for channel in ("s1", "p"):
        redis.client().publish(channel, large(7))
    made.wait_totals(20, received=2, pending=0)
    code, out, err = made.rkbctl("dead", "list", "--json", "-c", str(made.config_path))
    assert code == 0 and err == "", err
    letters = [json.loads(line) for line in out.splitlines()]
    assert [one["place"].rsplit("/", 1)[0] for one in letters] == ["file", routes["letters"] + "/0"]
    assert {one["code"] for one in letters} == {"MSG_SIZE_TOO_LARGE"} and "value" not in letters[0]
    code, out, _ = made.rkbctl("dead", "list", "--route", "small", "-c", str(made.config_path))
    assert code == 0 and len(out.splitlines()) == 2 and letters[1]["id"] in out
    for one, by in itertools.product(letters, ("id", "place")):
        code, out, err = made.rkbctl("dead", "show", "--json", "-c", str(made.config_path), one[by])
        shown = json.loads(out)
        assert code == 0 and shown["place"] == one["place"] and base64.b64decode(shown["value_base64"]) == large(7)
    code, out, err = made.rkbctl("dead", "show", "-c", str(made.config_path), "nothing")
    assert code == 1 and out == "" and "no dead letter" in err


def retry(made, *words):
    """(exit code, what it said) of `rkbctl dead retry`."""
    code, out, err = made.rkbctl("dead", "retry", "-c", str(made.config_path), *words)
    return code, out + err


def waiting(made, *words):
    code, out, err = made.rkbctl("dead", "list", "--json", "-c", str(made.config_path), *words)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_sent_again(routes, make_topic, kafka, bridge, publisher, redis, read):
    """From the topic and from the file, for checks and for Kafka: with the rule as it was they fail again and are new
    letters; once it is mended they arrive under the same UUIDs, with the same times; and then none waits."""
    def config(require):
        return {"told": route(make_names["told"], channels=["t"], envelope="event", require=require,
                              dead_letter=routes["letters"]),
                "filed": route(make_names["filed"], channels=["f"], envelope="raw", require=require),
                "large": route(routes["small"], patterns=["s*"], envelope="event", key="none",
                               dead_letter=routes["letters"]),
                "own": route(routes["plain"], channels=["o"], value='{"value": "{{payload}}"}')}

    make_names = {name: make_topic() for name in ("told", "filed")}
    made = bridge(config("object"))
    client = redis.client()
    bad = [b'["bad", 1.0, %d]' % number for number in range(20)]
    for payload in bad:
        publisher.publish("t", "f", count=2)
        client.publish("t", payload)
        client.publish("f", payload)
    client.publish("s9", large(1))
    client.publish("o", large(2))
    made.wait_totals(20, received=122, pending=0)
    letters = waiting(made)
    assert len(letters) == 42 and {one["channel"] for one in letters} == {"t", "f", "s9", "o"}

    code, said = retry(made, "--dry-run", "--all")
    assert code == 1 and said.count(": would go to route ") == 41 and "would send 41; 1 cannot be sent" in said
    code, said = retry(made, "--route", "told")
    assert code == 0 and said == "sent 20; 20 of them failed again and are new dead letters\n"
    made.wait_totals(20, received=142, dead_lettered=62, pending=0)
    again = waiting(made)
    assert len(again) == 42 and len(waiting(made, "--all")) == 62
    assert {one["id"] for one in again} == {one["id"] for one in letters}
    told = [{one["place"] for one in some if one["route"] == "told"} for some in (letters, again)]
    assert len(told[0]) == len(told[1]) == 20 and not told[0] & told[1]

    made.terminate()
    made.rewrite({"routes": {name: {"require": "json"} for name in ("told", "filed")}})
    made.start()
    set_limit(kafka, routes["small"], 10 * LIMIT)
    code, said = retry(made, "--all")
    assert code == 1 and said.splitlines()[-1] == "sent 41; 20 were sent before; 1 cannot be sent"
    assert "value of its own" in said
    made.wait_totals(20, received=41, delivered=41, pending=0)
    ids = {(one["channel"], one["id"]) for one in again if one["channel"] != "o"}
    # Some came twice, around a refusal.
    arrived = {name: list({record.value: record for record in read(topic)}.values())
               for name, topic in (("t", make_names["told"]), ("f", make_names["filed"]), ("s9", routes["small"]))}
    events = {name: [json.loads(record.value) for record in arrived[name]] for name in ("t", "s9")}
    assert [one["data"]["payload"] for one in events["t"]][40:] == [json.loads(payload) for payload in bad]
    assert {("t", one["data"]["id"]) for one in events["t"][40:]} == {one for one in ids if one[0] == "t"}
    assert [record.value for record in arrived["f"]][40:] == bad
    filed = {("f", record.header("rkb-id").decode()) for record in arrived["f"][40:]}
    assert filed == {one for one in ids if one[0] == "f"}
    assert [(one["name"], one["data"]["id"]) for one in events["s9"]] == [one for one in ids if one[0] == "s9"]
    assert base64.b64decode(events["s9"][0]["data"]["payload"]) == large(1)
    times = {one["id"]: one["time"] for one in letters}
    assert all(record.header("rkb-time").decode() == times[record.header("rkb-id").decode()]
               for record in arrived["f"][40:])

    code, said = retry(made, "--all")
    assert code == 1 and said.splitlines()[-1] == "sent 0; 61 were sent before; 1 cannot be sent"
    assert [one["channel"] for one in waiting(made)] == ["o"]
    code, said = retry(made, letters[0]["place"])
    assert code == 0 and said == "nothing to do: no dead letter waits among these; 1 were sent before\n"
    assert retry(made, "nothing")[0] == 1
