"""Another config while messages come: nothing missing, nothing twice, each message by a config that was in force when
it was published, and no subscription touched that stays.

200 reloads under load; more, by hand: RKB_RELOADS=5000 RKB_RELOAD_RATE=3000 (the embedded Kafka keeps 5 MiB of a
partition).
"""

import dataclasses
import os
import pathlib
import random
import re
import signal
import threading
import time

from bridge import route
from consumer import read_topic
from control import ControlError
from delivery import assert_delivered, decode_raw, missing
from publisher import Flow
from waiting import wait_for

RELOADS = int(os.environ.get("RKB_RELOADS", "200"))
RATE = int(os.environ.get("RKB_RELOAD_RATE", "1500"))
KEPT = 600              # bytes at the most that the embedded Kafka keeps of a message, in the same process
CHANNELS = [b"stay", b"stay.pattern", b"moves", b"swapped.1", b"swapped.2", b"both.pattern", b"order.z", b"comes"]
TOPICS = ["stay", "moves-0", "moves-1", "moves-2", "swap-a", "swap-b", "by-pattern", "by-name", "first", "second",
          "comes"]


def raw(topic, **more):
    return route(topic, envelope="raw", **more)


def routes_of(choice):
    """The routes, and where a message of each channel belongs by them."""
    one, other = ("swapped.1", "swapped.2") if choice["swap"] else ("swapped.2", "swapped.1")
    moves = f"moves-{choice['moves']}"
    routes = {"stay": raw("stay", channels=["stay"], patterns=["stay.*"]), "moves": raw(moves, channels=["moves"]),
              "a": raw("swap-a", channels=[one]), "b": raw("swap-b", channels=[other])}
    right = {b"stay": "stay", b"stay.pattern": "stay", b"moves": moves, one.encode(): "swap-a",
             other.encode(): "swap-b"}
    routes["pattern"] = raw("by-pattern",
                            patterns=["both.*"] if choice["pattern"] or not choice["name"] else ["other.*"])
    if choice["name"]:
        routes["name"] = raw("by-name", channels=["both.pattern"])
    right[b"both.pattern"] = "by-name" if choice["name"] else "by-pattern"
    names = ["first", "second"] if choice["order"] else ["second", "first"]
    for name in names:
        routes[name] = raw(name, patterns=["order.*" if name == "first" else "*.z"])
    right[b"order.z"] = names[0]
    if choice["comes"]:
        routes["comes"] = raw("comes", channels=["comes"])
        right[b"comes"] = "comes"
    return routes, right


class Spans:
    """What was right when: a config may be in force from when it was asked for until the next one is."""

    def __init__(self, right):
        self.spans = [[time.time(), float("inf"), right]]

    def add(self, asked, answered, right):
        self.spans[-1][1] = answered
        self.spans.append([asked, float("inf"), right])

    def at(self, sent):
        return [right.get(sent.channel) for begin, end, right in self.spans if begin <= sent.after
                and sent.before <= end]


class Commands:
    """The subscriptions that Redis is asked for and rid of, as MONITOR tells them."""

    def __init__(self, redis):
        self.client = redis.client()
        self.seen = []
        self.monitor = self.client.monitor()
        self.monitor.__enter__()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        for command in self.monitor.listen():
            words = command["command"].split()
            if words[0].upper().endswith("SUBSCRIBE"):
                self.seen += [(words[0].upper(), name) for name in words[1:]]
            if words[0].upper() == "SET":
                return

    def end(self, redis):
        redis.client().set("end", "1")
        self.thread.join(20)
        assert not self.thread.is_alive(), "MONITOR does not end"
        self.client.close()
        return self.seen


def memory(process):
    """Its resident memory in MiB."""
    pages = int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def test_200_reloads_under_load(make_bridge, redis, publisher):
    chance = random.Random(7)
    choice = {"moves": 0, "swap": 0, "pattern": 1, "name": 0, "order": 0, "comes": 1}
    routes, right = routes_of(choice)
    one = make_bridge({"routes": routes}, redis=redis).start("--embedded-kafka")
    commands, spans = Commands(redis), Spans(right)
    with Flow(publisher, CHANNELS, RATE) as load, one.control() as control:
        wait_for("messages", lambda: load.published() > 100)
        for i in range(RELOADS):
            changed = chance.sample(sorted(choice), chance.randint(1, 3))
            choice |= {name: chance.randrange(3 if name == "moves" else 2) for name in changed}
            routes, right = routes_of(choice)
            one.config["routes"] = routes
            one.rewrite({})
            asked = time.time()
            control.ask("reload")
            spans.add(asked, time.time(), right)
            if i == RELOADS // 4:
                first, published = memory(one.process), load.published()
        last, later = memory(one.process), load.published() - published
    print(f"{RELOADS} reloads, {len(publisher.sent)} messages; memory {first:.1f} MiB after a quarter, "
          f"{last:.1f} MiB at the end")
    assert RELOADS < 1000 or last < first + 4 + later * KEPT / 2**20
    stats = one.drained()
    asked = commands.end(redis)
    seen = {topic: [decode_raw(record) for record in read_topic(stats["kafka"]["bootstrap_servers"], topic)]
            for topic in TOPICS}
    right_at = {(sent.channel, sent.n): spans.at(sent) for sent in publisher.sent}
    always = [sent for sent in publisher.sent if all(spans.at(sent))]
    assert [sent for sent in always if not sent.receivers] == [], "for a moment nobody was subscribed"
    assert missing(always, sum(seen.values(), [])) == []
    numbers = [(one.channel, one.n) for several in seen.values() for one in several]
    assert len(numbers) == len(set(numbers)), "twice"
    maybe = [dataclasses.replace(sent, receivers=None) for sent in publisher.sent]
    for topic, several in seen.items():
        assert_delivered(maybe, several, once=True)
        wrong = [(one.channel, one.n) for one in several if topic not in right_at[one.channel, one.n]]
        assert wrong == [], f"{topic} was not right then: {wrong[:5]}"
    assert {name for _, name in asked} & {"stay", "stay.*", "moves", "swapped.1", "swapped.2", "order.*",
                                          "*.z"} == set()
    changing = {"both.*", "other.*", "both.pattern", "comes"}
    assert {name for _, name in asked} <= changing and (RELOADS < 100 or {name for _, name in asked} == changing)
    assert one.source()["connections_total"] == 1 and one.gaps() == []
    assert stats["totals"]["received"] == len(numbers) == stats["totals"]["delivered"]


def test_what_waits_goes_where_it_was_meant_to_go(proxied_bridge, kafka_proxy, publisher, make_topic, read):
    """Kafka is away, the route gets another topic, and rkbridge is killed before Kafka is back."""
    old, new, letters = make_topic("old"), make_topic("new"), make_topic("letters")
    one = proxied_bridge({"users": route(old, channels=["users"], payload="json", dead_letter=letters,
                                         envelope="raw")}).start()
    publisher.publish("users", count=5)
    one.drained()
    kafka_proxy.refuse()
    publisher.publish("users", count=20)
    one.wait_totals(received=25)
    one.rewrite({"routes": {"users": {"topic": new}}})
    one.process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: "event=reloaded" in one.stderr())
    publisher.publish("users", count=30)
    one.wait_totals(received=55)
    one.kill()
    kafka_proxy.go_on()
    one.start()
    one.drained()
    assert {seen.n for seen in map(decode_raw, read(old))} == set(range(25))
    assert [seen.n for seen in map(decode_raw, read(new))] == list(range(25, 55))


def test_all_or_nothing(make_bridge, redis, publisher):
    """Mistakes, each with its place, and what needs a restart: nothing changes, whatever else the file has."""
    one = make_bridge({"routes": {"users": raw("users", channels=["users"])}}, redis=redis).start("--embedded-kafka")
    good = one.config
    with one.control() as control:
        for more, words in ({"routes": {"users": {"topic": "other", "envlope": "raw"},
                                        "more": {"topic": "x", "channels": ["x"]}}},
                            ["routes.users.envlope: unknown setting", "routes.more.source: required"]), \
                           ({"routes": {"users": {"topic": "other"}}, "journal": {"sync": "5s"},
                             "log": {"level": "debug"}},
                            ["journal.sync: needs a restart"]):
            one.config = good
            one.rewrite(more)
            control.send("reload")
            lines, error = [], None
            while error is None:
                line = control.answers.readline().decode()
                lines, error = (lines, line) if line.startswith("ERROR ") else (lines + [line], None)
            assert error.startswith("ERROR refused ")
            assert len(lines) == len(words) and all(word in "".join(lines) for word in words), lines
            wait_for("its line in the log", lambda: f"was not taken: {len(words)} " in one.stderr())
            assert "event=reloaded" not in one.stderr()
        code, out, _ = one.rkbctl("status")
        assert code == 1 and "is not what the config file says, its last reload was refused: journal.sync: " in out
        assert one.stats()["config"]["why"] == "journal.sync: needs a restart"
        one.config = good
        one.rewrite({"log": {"level": "debug"}, "control": {"admins": ["daemon"]}, "kafka": {"watchdog": "5m"}})
        assert control.ask("reload") == [b"kafka.watchdog, control.admins, log.level"]
        assert not one.stats()["config"]["refused"] and "reload" not in one.rkbctl("status")[1]
    publisher.publish("users", count=3)
    stats = one.drained()
    assert [decode_raw(record).n for record in read_topic(stats["kafka"]["bootstrap_servers"], "users")] == [0, 1, 2]
    one.process.send_signal(signal.SIGHUP)          # and ends while it reads


def test_a_hangup_while_it_starts(make_bridge, redis):
    """It waits until there is who takes it. The config is a FIFO, so that rkbridge stands where it reads it."""
    one = make_bridge({"routes": {"users": raw("users", channels=["users"])}}, redis=redis)
    text, aside = one.config_path.read_text(), one.config_path.with_suffix(".aside")
    one.config_path.rename(aside)
    os.mkfifo(one.config_path)
    one.start("--embedded-kafka", wait=None)
    status = pathlib.Path(f"/proc/{one.process.pid}/status")
    wait_for("hangups held back", lambda: int(re.search(r"SigBlk:\s*(\w+)", status.read_text())[1], 16) & 1)
    one.process.send_signal(signal.SIGHUP)

    def write():
        try:
            fifo = os.open(one.config_path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:                                 # nobody reads it
            return False
        with open(fifo, "w", encoding="utf-8") as file:
            file.write(text)
        return True
    wait_for("rkbridge to read its config", write)
    aside.rename(one.config_path)
    wait_for("the reload", lambda: "event=reloaded" in one.stderr())
    one.drained()
