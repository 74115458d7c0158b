"""Wrong use and wrong configs: refused with 64, every mistake at once, each with file, line and column."""

import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from bridge import BUILD, route
from delivery import assert_delivered, decode_raw

GOOD = """instance: test
redis:
  legacy:
    url: redis://127.0.0.1:{port}
kafka:
  properties:
    bootstrap.servers: {kafka}
journal:
  directory: {directory}/journal
  ring_directory: none
control:
  socket: {directory}/control.sock
routes:
  users:
    source: legacy
    channels: [user_created]
    topic: user_activity
    envelope: event
  products:
    source: legacy
    channels: [product_inventory_updates]
    topic: product_inventory
"""

# What of the good config becomes what, and a word of the mistake. The mark § stands where the mistake is to be shown.
MISTAKES = {
    "unknown setting": ("    url:", "    §ulr: redis://x\n    url:", "ulr"),
    "unknown setting in a route": ("    envelope: event", "    §envelop: event", "envelop"),
    "unknown at the top": ("instance: test", "instance: test\n§colour: red", "colour"),
    "repeated": ("instance: test", "instance: test\n§instance: other", "twice"),
    "wrong type": ("    topic: user_activity", "    topic: §[a, b]", "topic"),
    "wrong type of a section": ("  ring_directory: none", "  ring_directory: none\nlog: §loud", "log"),
    "not a size": ("  ring_directory: none", "  ring_directory: none\n  max_size: §12 parsecs", "max_size"),
    "out of range": ("  ring_directory: none", "  ring_directory: none\n  max_size: §1kB", "out of range"),
    "a duration without a unit": ("instance: test", "instance: test\nshutdown_timeout: §10", "shutdown_timeout"),
    "not one of the words": ("    envelope: event", "    envelope: §evnet", "event"),
    "both envelope and value": ("    envelope: event", "    envelope: event\n    value: §'{}'", "envelope"),
    "a route without a source": ("    source: legacy\n", "", "source"),
    "a source that is not there": ("    source: legacy", "    source: §legcay", "legcay"),
    "a template's unknown slot": ("    envelope: event", "    value: '{\"a\": \"{{uid}}\"}'", "uid"),
    "a template that is no JSON": ("    envelope: event", "    value: '{\"a\": }'", "JSON"),
    "a key's unclosed slot": ("    envelope: event", "    key: 'x{{channel'", "{{"),
    "one channel in two routes": ("    envelope: event",
                                  "  more:\n    source: legacy\n    channels: [other, §user_created]\n    topic: t",
                                  "user_created"),
    "one pattern twice": ("    envelope: event", "    patterns: ['a*', §'a*']", "a*"),
    "no channel and no pattern": ("    channels: [user_created]\n", "", "channels"),
    "no topic": ("    topic: user_activity\n", "", "topic"),
    "an unset variable": ("    topic: user_activity", "    topic: §${RKB_NOT_SET_ANYWHERE}", "RKB_NOT_SET_ANYWHERE"),
    "a url of another kind": ("redis://127", "§http://127", "redis://"),
    "unknown librdkafka property": ("  properties:", "  properties:\n    §queue.bufering.max.ms: 5",
                                    "queue.bufering.max.ms"),
    "librdkafka property with a wrong value": ("  properties:", "  properties:\n    §linger.ms: soon", "linger.ms"),
    "a property that breaks a rule": ("  properties:", "  properties:\n    §acks: 1", "acks"),
    "message.timeout.ms": ("  properties:", "  properties:\n    §message.timeout.ms: 300000", "message.timeout.ms"),
    "enable.idempotence": ("  properties:", "  properties:\n    §enable.idempotence: false", "enable.idempotence"),
    "exactly-once is not there yet": ("kafka:", "kafka:\n  delivery: §exactly-once", "exactly-once"),
    "a directory that cannot be": ("  directory: {directory}/journal", "  directory: §/proc/nowhere/journal",
                                   "/proc/nowhere"),
    "a path that is not absolute": ("  directory: {directory}/journal", "  directory: §journal", "directory"),
    "not YAML": ("    envelope: event", "    envelope: 'event\n", "line"),
    "a tab": ("    envelope: event", "\tenvelope: event", ""),
}


@pytest.fixture
def good(tmp_path):
    """The good config with {directory} and so on filled in, after a change; returns (path, where the mark § stood)."""
    def write(old="", new="", name="c.yaml"):
        assert old in GOOD
        text = GOOD.replace(old, new, 1) if old else GOOD
        for slot, value in (("{port}", "6379"), ("{kafka}", "127.0.0.1:9092"), ("{directory}", str(tmp_path))):
            text = text.replace(slot, value)
        place = None
        for number, line in enumerate(text.splitlines(), 1):
            if "§" in line:
                place = number, line.index("§") + 1
        path = tmp_path / name
        path.write_text(text.replace("§", ""))
        return path, place
    return write


@pytest.fixture
def rkbridge(make_bridge):
    return make_bridge({}).run


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_a_mistake(rkbridge, good, tmp_path, name, check):
    old, new, word = MISTAKES[name]
    path, place = good(old, new)
    code, out, err = rkbridge("-c", str(path), *(["--check"] if check else []))
    assert code == 64 and out == ""
    lines = [line for line in err.splitlines() if line.startswith(f"{path}:")
             and re.match(r":\d+:\d+: ", line[len(str(path)):])]
    assert len(lines) == 1, f"one mistake, one line: {err}"
    assert word in lines[0]
    if place:
        assert lines[0].startswith(f"{path}:{place[0]}:{place[1]}: "), lines[0]
    assert not (tmp_path / "journal").exists() and not (tmp_path / "control.sock").exists(), "nothing was made"


def test_all_mistakes_at_once(rkbridge, good, tmp_path):
    path, _ = good("    url: redis://127.0.0.1:{port}",
                   "    ulr: x\n    url: http://x\n    heartbeat: 1\n    heartbeat: 2s")
    text = path.read_text().replace("envelope: event", "envelope: evnet\n    key: '{{nothing}}'\n    payload: maybe")
    path.write_text(text)
    code, _, err = rkbridge("--check", "-c", str(path))
    assert code == 64
    places = [tuple(map(int, re.match(r":(\d+):(\d+): ", line[len(str(path)):]).groups()))
              for line in err.splitlines() if re.match(r":\d+:\d+: ", line[len(str(path)):])]
    assert len(places) >= 7 and places == sorted(places), err
    for word in ("ulr", "redis://", "heartbeat", "twice", "evnet", "nothing", "maybe"):
        assert word in err


def test_secrets_are_not_shown_in_mistakes(rkbridge, good):
    path, _ = good("    url: redis://127.0.0.1:{port}",
                   "    url: redis://me:hush-hush@127.0.0.1:99999\n    password: [hush-hush]")
    code, out, err = rkbridge("--check", "-c", str(path))
    assert code == 64 and "hush-hush" not in out + err


def test_check_of_a_good_config(rkbridge, good, tmp_path):
    path, _ = good()
    code, out, err = rkbridge("--check", "-c", str(path))
    assert code == 0 and err == "" and str(path) in out
    assert not (tmp_path / "journal").exists(), "--check makes nothing"


def test_a_warning_is_no_mistake(rkbridge, make_bridge, redis, good):
    """--check says it with its place and ends with 0; so does the log at the start."""
    path, place = good("    topic: user_activity", "    topic: user_activity\n    partitions: 6\n    key: §all")
    code, out, err = rkbridge("--check", "-c", str(path))
    assert code == 0 and out == f"{path}: no mistakes, 1 warning\n"
    assert err.startswith(f"{path}:{place[0]}:{place[1]}: warning: routes.users.key: 1 of the 6 partitions ")
    assert err.count("\n") == 1
    routes = {"users": route("user_activity", channels=["user_created"], partitions=6, key="all")}
    one = make_bridge({"routes": routes}, redis=redis).start("--embedded-kafka")
    assert one.stderr().count("warning: routes.users.key: 1 of the 6 partitions ") == 1
    assert one.stderr().count("event=config_warning") == 1
    assert one.terminate() == 0


def test_variables_from_the_environment(make_bridge, good, tmp_path):
    path, _ = good("    topic: user_activity", "    topic: ${RKB_TOPIC}-${RKB_NOT_SET:-rest}")
    assert make_bridge({}, environment={"RKB_TOPIC": "t"}).run("--check", "-c", str(path))[0] == 0
    assert make_bridge({}).run("--check", "-c", str(path))[0] == 64


@pytest.mark.parametrize("arguments", [[], ["-c"], ["--nonsense"], ["-c", "/nowhere/at/all.yaml"], ["-c", "/"],
                                       ["-c", "/dev/null"],
                                       ["-c", "x", "more"]], ids=str)
def test_wrong_use(rkbridge, arguments):
    code, _, err = rkbridge(*arguments)
    assert code == 64 and err != ""


def test_version(rkbridge):
    code, out, _ = rkbridge("--version")
    assert code == 0 and re.match(r"rkbridge \d+\.\d+", out)


def test_a_directory_that_may_not_be_written(good):
    """Root may write everywhere: there it is checked as another user, on a copy which that one may read and run."""
    with tempfile.TemporaryDirectory() as directory:
        closed, program = pathlib.Path(directory, "closed"), pathlib.Path(directory, "rkbridge")
        path, _ = good("  directory: {directory}/journal", f"  directory: {closed}/journal")
        config = pathlib.Path(directory, "rkbridge.yaml")
        config.write_text(path.read_text().replace(f"{path.parent}/control.sock", f"{directory}/control.sock"))
        shutil.copy(BUILD / "rkbridge", program)
        closed.mkdir(mode=0o555)
        for each in (pathlib.Path(directory), config, program):
            each.chmod(0o777)
        other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        ran = subprocess.run([program, "--check", "-c", config], stderr=subprocess.PIPE, text=True, **other)
        assert ran.returncode == 64
        assert re.search(r"rkbridge\.yaml:\d+:\d+: .*closed.*Permission denied", ran.stderr)


def test_a_second_instance_on_the_same_journal(bridge, redis, publisher, topic, tmp_path):
    """73, in words with the other's pid; the first one does not notice."""
    one = bridge({"all": route(topic, channels=["c"])})
    other = tmp_path / "other.yaml"
    other.write_text(one.config_path.read_text().replace(str(one.socket), str(tmp_path / "other.sock")))
    code, _, err = one.run("-c", str(other))
    assert code == 73
    assert str(one.process.pid) in err and str(one.journal) in err
    publisher.publish("c", count=10)
    one.wait_totals(received=10, pending=0)


def test_a_second_instance_on_the_same_socket(bridge, topic, tmp_path):
    one = bridge({"all": route(topic, channels=["c"])})
    other = tmp_path / "other.yaml"
    other.write_text(one.config_path.read_text().replace(str(one.journal), str(tmp_path / "journal-of-other")))
    code, _, err = one.run("-c", str(other))
    assert code in (69, 73) and str(one.socket) in err
    assert one.stats()["ready"]


def xxh3(data):
    """XXH3-64, by the library that rkbridge itself needs."""
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library.XXH3_64bits(data, len(data))


def test_a_journal_of_a_newer_format_is_refused_in_words(bridge, publisher, topic):
    """Format version at offset 8 of a segment (doc/journal-format.md); nothing is changed,
    so that the newer program can go on."""
    one = bridge({"all": route(topic, channels=["c"])})
    one.terminate()
    segment = sorted(one.journal.glob("*.seg"))[-1]
    data = segment.read_bytes()
    head = data[:8] + (3).to_bytes(4, "little") + data[12:56]
    changed = head + xxh3(head).to_bytes(8, "little") + data[64:]
    segment.write_bytes(changed)
    one.start(wait=None)
    assert one.ended() == 73
    assert "version 3" in one.stderr() and segment.name in one.stderr()
    assert segment.read_bytes() == changed
    segment.write_bytes(data)
    one.start()


def test_a_lost_checkpoint_costs_repeats_and_nothing_else(bridge, publisher, topic, read):
    one = bridge({"all": route(topic, channels=["c"], envelope="raw")})
    publisher.publish("c", count=50)
    one.wait_totals(received=50, pending=0)
    head = one.stats()["journal"]["head"]
    one.terminate()
    (one.journal / "checkpoint").write_bytes(b"\xff" * (one.journal / "checkpoint").stat().st_size)
    one.start()
    assert "event=journal_damaged" in one.stderr()
    assert one.stats()["journal"]["head"] >= head, "no sequence number twice"
    publisher.publish("c", count=10)
    one.wait_totals(received=10, pending=0)
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(topic)])


def test_the_binaries_are_there():
    assert (BUILD / "rkbridge").is_file() and (BUILD / "rkbctl").is_file()
