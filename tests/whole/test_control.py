"""The control socket and rkbctl."""

import json
import os
import re
import signal
import stat
import subprocess

import pytest

import books
from bridge import BUILD, parse_time, route
from control import Control, ControlError
from waiting import wait_for

# The fields others rely on; more may come, none may go.
FIELDS = {
    "": ["version", "instance", "uptime_seconds", "ready", "totals", "dropped_by_reason", "routes", "sources",
         "journal", "kafka", "latency"],
    "totals": books.NAMES,
    "dropped_by_reason": ["journal_full", "too_large"],
    "routes.users": books.NAMES,
    "sources.legacy": ["connected", "subscribed", "connections_total", "gaps_total", "overlaps_total", "bytes_total"],
    "journal": ["bytes", "segments", "oldest_pending_seconds", "checkpoint", "head", "seconds_to_full"],
    "kafka": ["connected", "in_flight", "rebuilds_total", "errors_total"],
    "latency": ["p50_seconds", "p99_seconds", "max_seconds"],
}


@pytest.fixture
def one(bridge, publisher, topic):
    """A bridge that delivered 30 messages."""
    made = bridge({"users": route(topic, channels=["user_created"], patterns=["user.*"])})
    publisher.publish("user_created", "user.x", "user.y", count=10)
    made.wait_totals(received=30, pending=0)
    wait_for("Kafka to be seen", lambda: made.stats()["kafka"]["connected"])
    return made


def test_stats_has_every_field(one):
    stats = one.stats()
    for path, names in FIELDS.items():
        part = stats
        for name in path.split(".") if path else []:
            part = part[name]
        assert [name for name in names if name not in part] == [], path or "top"
    assert stats["ready"] is True and stats["instance"] == "test"
    source = stats["sources"]["legacy"]
    assert source["connected"] is True and source["subscribed"] == 2
    assert source["connections_total"] == 1 and source["gaps_total"] == 0 and source["bytes_total"] > 30 * 40
    assert stats["journal"]["segments"] >= 1 and stats["journal"]["head"] > stats["journal"]["checkpoint"] - 1 >= 0
    assert stats["kafka"]["connected"] is True and stats["kafka"]["in_flight"] == 0
    latency = stats["latency"]
    assert 0 < latency["p50_seconds"] <= latency["p99_seconds"] <= latency["max_seconds"] < 30
    assert 0 < stats["uptime_seconds"] < one.stats()["uptime_seconds"]


def test_the_checkpoint_follows(one):
    wait_for("the checkpoint at the head", lambda: one.stats()["journal"]["checkpoint"] > 30)


def test_the_commands(one):
    with one.control() as control:
        assert re.match(r"rkbridge \d", control.ask_text("version"))
        text = control.ask_text("help")
        assert all(re.search(rf"^{word}\b", text, re.M)
                   for word in ("help", "version", "status", "stats", "routes", "gaps"))
        assert control.ask_text("status").startswith("verdict: OK")
        assert "users" in control.ask_text("routes") and "user.*" in control.ask_text("routes")
        assert "delivered" in control.ask_text("stats")
        assert control.ask_json("gaps json") == {"gaps": []}
        row, = control.ask_json("routes json")["routes"]
        assert row["name"] == "users" and row["channels"] == ["user_created"]
        assert row["patterns"] == ["user.*"] and row["delivered"] == 30


def test_mistakes_at_the_socket_are_one_line_each(one):
    with one.control() as control:
        for line in ("nonsense", "stats xml", "help nothing", "status more words than it takes and more and more",
                     "\x00\x01", "stats \xff"):
            with pytest.raises(ControlError):
                control.ask(line)
        assert control.stats()["ready"], "the connection goes on"


def test_answers_come_in_order_and_split_commands_are_whole(one):
    with one.control() as control:
        control.send("version\nstats json\nnonsense\nversion")
        assert control.answer()[0].startswith(b"rkbridge")
        assert json.loads(control.answer()[0])["ready"]
        with pytest.raises(ControlError):
            control.answer()
        assert control.answer()[0].startswith(b"rkbridge")
        control.socket.sendall(b"ver")
        control.socket.sendall(b"sion\r\n")
        assert control.answer()[0].startswith(b"rkbridge")


def test_many_and_rude_clients_stand_in_nobody_s_way(one, publisher):
    clients = [Control(one.socket) for _ in range(20)]
    for client in clients:
        client.socket.sendall(b"stats json\n" * 50)     # and never read
    clients[0].socket.sendall(b"x" * 10000)
    publisher.publish("user_created", count=100)
    assert one.wait_totals(received=130, pending=0)["ready"]
    for client in clients:
        client.close()


def test_the_socket_s_mode(one, make_bridge, redis, kafka, topic):
    assert stat.S_IMODE(one.socket.stat().st_mode) == 0o660
    other = make_bridge({"routes": {"r": route(topic, channels=["c"])}, "control": {"socket_mode": "0600"},
                         "redis": {"legacy": {"allow_parallel": "yes"}}}, redis=redis, kafka=kafka.bootstrap).start()
    assert stat.S_IMODE(other.socket.stat().st_mode) == 0o600


def test_the_journal_s_modes(one):
    assert stat.S_IMODE(one.journal.stat().st_mode) == 0o700
    files = [path for path in one.journal.iterdir() if path.is_file()] + list(one.ring_directory.iterdir())
    assert len(files) >= 4
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in files
            if stat.S_IMODE(path.stat().st_mode) != 0o600} == {}


def test_a_stale_socket_is_replaced_and_a_file_is_not(one):
    one.kill()
    assert one.socket.exists()
    one.start()
    one.terminate()
    one.socket.write_text("mine")
    one.start(wait=None)
    assert one.ended() in (64, 69)
    assert one.socket.read_text() == "mine"


def test_gaps_are_shown(one, redis):
    redis.kill_bridge_clients()
    wait_for("the new connection", lambda: one.source()["connections_total"] == 2 and one.stats()["ready"])
    with one.control() as control:
        gap, = control.ask_json("gaps json")["gaps"]
        assert gap["reason"] == "connection_lost" and gap["source"] == "legacy" and gap["bound"] in (None, 0)
        assert parse_time(gap["from"]) <= parse_time(gap["to"])
        assert "connection_lost" in control.ask_text("gaps")
    one.terminate()
    one.start()
    assert [known.reason for known in one.gaps()] == ["connection_lost", "restart"], "gaps outlive a restart"


def test_rkbctl(one):
    for command, word in (("status", "verdict: OK"), ("stats", "delivered"), ("routes", "users"), ("gaps", ""),
                          ("version", "rkbridge")):
        code, out, err = one.rkbctl(command)
        assert code == 0 and word in out and err == "", (command, out, err)
    code, out, _ = one.rkbctl("stats", "json")
    assert code == 0 and json.loads(out)["totals"]["delivered"] == 30


def test_the_exit_code_is_the_verdict(one, redis, tmp_path):
    """0, 1 and 69 here; 2 is seen where an ACL refuses (test_acl)."""
    code, out, _ = one.rkbctl("status", "--json")
    said = json.loads(out)
    assert code == 0 and said["verdict"]["level"] == "OK" and said["books"]["balance"] == "balanced"
    watching = subprocess.Popen([str(BUILD / "rkbctl"), "-s", str(one.socket), "watch"], stdout=subprocess.PIPE,
                                text=True)
    assert watching.stdout.readline().startswith("verdict: OK all is well; since 2")
    redis.stop()
    wait_for("the loss to be seen", lambda: one.rkbctl("status")[0] == 1)
    first = one.rkbctl("status")[1].splitlines()[0]
    assert re.match(r"verdict: WARN source legacy is not connected.*; since \S+Z \(.*\); "
                    r"next: doc/runbook.md#not_subscribed$", first)
    assert json.loads(one.rkbctl("status", "--json")[1])["verdict"]["reasons"][0]["reason"] == "not_subscribed"
    lines = iter(watching.stdout.readline, "")
    then = next(line for line in lines if line.startswith("verdict: "))
    assert then.startswith("verdict: WARN source legacy is not connected")
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 0
    assert one.rkbctl("-s", tmp_path / "nobody.sock", "status")[0] == 69
    redis.start()
    wait_for("the bridge to be ready", lambda: one.stats()["ready"])


def test_rkbctl_fails_in_words(one, tmp_path):
    code, out, err = one.rkbctl("nonsense")
    assert code != 0 and out == "" and err != ""
    code, out, err = one.rkbctl("-s", tmp_path / "nobody.sock", "status")
    assert code != 0 and out == "" and "nobody.sock" in err
    for arguments in ([], ["-s"], ["--nonsense"]):
        done = subprocess.run([str(BUILD / "rkbctl"), *arguments], capture_output=True, text=True, env=os.environ)
        assert done.returncode == 64 and done.stderr != "", arguments
