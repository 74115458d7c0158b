"""Disks that are full, that fail, that turn read-only, that stand still: nothing promised is lost,
and the loop never waits."""

import signal
import time

import pytest

from bridge import BUILD, route
from delivery import assert_delivered, decode_raw, missing
from disk import Mounts
from publisher import Flow
from waiting import wait_for

CHANNELS = ["a", "b", "c"]
SANITIZED = b"__asan_init" in (BUILD / "rkbridge").read_bytes()


@pytest.fixture
def mounts():
    made = Mounts()
    yield made
    made.close()


@pytest.fixture
def on_disk(mounts, make_bridge, redis, kafka, kafka_proxy, topic):
    """A bridge whose journal is in this directory; not started. `proxied`: Kafka through kafka_proxy."""
    def make(directory, proxied=False, **journal):
        settings = {"routes": {"all": route(topic, channels=CHANNELS, envelope="raw")},
                    "journal": {"directory": str(directory / "journal"), **journal}}
        return make_bridge(settings, redis=redis, kafka=kafka_proxy.address if proxied else kafka.bootstrap)
    return make


def seen(read, topic):
    return [decode_raw(record) for record in read(topic)]


@pytest.mark.parametrize("limit, size, settings", [
    ("disk", "4m", {"min_free": "0"}),
    ("journal.min_free", "16m", {"min_free": "75%"}),
])
def test_full_and_room_again(limit, size, settings, on_disk, mounts, redis, make_publisher, kafka_proxy, topic, read):
    publisher = make_publisher(redis, pad=900)
    kafka_proxy.refuse()
    one = on_disk(mounts.tmpfs("small", size), proxied=True, segment_size="512KiB", ring_size="256KiB",
                  **settings).start()

    def dropping():
        publisher.publish(*CHANNELS, count=20)
        return one.totals()["dropped"] > 0
    wait_for("the disk to be full", dropping)
    stats = wait_for("the journal's figures", lambda: one.stats()["journal"]["full"] and one.stats())
    assert stats["journal"]["limit"] == limit and stats["journal"]["durable"]
    assert stats["journal"]["bytes"] >= 2.5 * 1024 * 1024
    with one.control() as control:
        assert control.ask_text("status").startswith(f"verdict: BAD the journal is full ({limit})")
    assert stats["dropped_by_reason"]["journal_full"] == stats["totals"]["dropped"]

    kafka_proxy.go_on()
    one.drained()
    wait_for("room again", lambda: not one.stats()["journal"]["full"] and all(gap.end for gap in one.gaps()))
    before = len(publisher.sent)
    publisher.publish(*CHANNELS, count=40)
    totals = one.wait_totals(received=before + 120, pending=0)["totals"]
    arrived = seen(read, topic)
    assert len(missing(publisher.sent, arrived)) == totals["dropped"]
    assert missing(publisher.sent[before:], arrived) == []
    assert_delivered(publisher.sent, arrived, gaps=one.spans(), slack=0.5)
    assert [gap.reason for gap in one.gaps()] == ["journal_full"]


class Backing:
    """An ext4 whose room is a tmpfs's: when that is full, what is written to the disk fails when it is synced."""

    def __init__(self, mounts):
        below = mounts.tmpfs("below", "64m")
        self.filler = below / "filler"
        self.place = mounts.ext4("disk", below / "image", 256 << 20, "-O", "^has_journal")

    def break_down(self):
        with open(self.filler, "wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass

    def mend(self):
        self.filler.unlink()


def not_durable(one):
    return wait_for("the disk's failure to be noticed",
                    lambda: not (stats := one.stats())["journal"]["durable"] and stats)


def test_a_sync_that_fails_and_then_does_not(on_disk, mounts, publisher, topic, read):
    backing = Backing(mounts)
    one = on_disk(backing.place, sync="50ms", segment_size="1MiB").start()
    publisher.publish(*CHANNELS, count=100)
    one.wait_totals(received=300, pending=0)
    backing.break_down()
    with Flow(publisher, CHANNELS, 600):
        not_durable(one)
        wait_for("segments in memory", lambda: one.stats()["journal"]["memory_bytes"] > 0)
        with one.control() as control:
            said = control.ask_text("status")
        assert said.startswith("verdict: BAD the disk fails, what is read now is not durable: ")
        gap, = [gap for gap in one.gaps() if gap.end is None]
        assert gap.reason == "not_durable"
        backing.mend()
        wait_for("the disk to be used again", lambda: one.stats()["journal"]["durable"], timeout=30)
        wait_for("the gap's end", lambda: all(gap.end for gap in one.gaps()))
    one.wait_totals(received=len(publisher.sent), pending=0)
    wait_for("memory to be freed", lambda: one.stats()["journal"]["memory_bytes"] == 0)
    assert_delivered(publisher.sent, seen(read, topic), once=True)
    assert {gap.reason for gap in one.gaps()} == {"not_durable"}
    assert one.terminate() == 0
    assert list(one.ring_directory.iterdir()) == []


def test_killed_while_the_disk_fails(on_disk, mounts, publisher, kafka_proxy, topic, read):
    backing = Backing(mounts)
    one = on_disk(backing.place, proxied=True, sync="50ms", segment_size="1MiB").start()
    publisher.publish(*CHANNELS, count=100)
    one.wait_totals(received=300, pending=0)
    backing.break_down()
    kafka_proxy.refuse()
    with Flow(publisher, CHANNELS, 600):
        not_durable(one)
        wait_for("segments in memory", lambda: one.stats()["journal"]["memory_bytes"] > 0)
        head = one.stats()["journal"]["head"]
        time.sleep(0.3)
    one.wait_totals(received=len(publisher.sent))
    one.kill()
    backing.mend()
    kafka_proxy.go_on()
    one.start()
    assert one.stats()["journal"]["head"] > head
    one.drained()
    publisher.publish(*CHANNELS, count=10)
    one.wait_totals(received=30, pending=0)
    assert_delivered(publisher.sent, seen(read, topic))
    assert {gap.reason for gap in one.gaps()} == {"not_durable", "restart"}
    assert all(gap.end for gap in one.gaps())


def test_exit(on_disk, mounts, publisher, topic, read):
    backing = Backing(mounts)
    one = on_disk(backing.place, sync="50ms", segment_size="1MiB", on_disk_error="exit").start()
    publisher.publish(*CHANNELS, count=100)
    one.wait_totals(received=300, pending=0)
    backing.break_down()
    with Flow(publisher, CHANNELS, 600):
        assert one.ended() == 70
    assert "event=promise_broken" in one.stderr()
    backing.mend()
    one.start()
    publisher.publish(*CHANNELS, count=10)
    one.wait_totals(received=30, pending=0)
    assert_delivered(publisher.sent, seen(read, topic), gaps=one.spans(), slack=0.5)


class Remounted:
    """An ext4 that the kernel takes for damaged: read-only (EROFS), and what was not synced is gone,
    until it is repaired."""
    options = "loop,errors=remount-ro"

    def __init__(self, mounts):
        self.mounts = mounts
        self.image = mounts.top / "image"
        self.place = mounts.ext4("disk", self.image, 64 << 20, mount=self.options)

    def break_down(self):
        self.mounts.turn_read_only(self.place)

    def mend(self):
        self.mounts.repair(self.place, self.image, self.options)


def said_by_the_kernel(words):
    """A sync that was under way when it was mounted read-only gets an I/O error."""
    return "Read-only file system" in words or "Input/output error" in words


def test_read_only(on_disk, mounts, publisher, kafka_proxy, topic, read):
    """It goes on without the disk, with Kafka and without it, ends, and the next start on the repaired disk finds the
    rest."""
    disk = Remounted(mounts)
    one = on_disk(disk.place, proxied=True, sync="50ms", segment_size="1MiB").start()
    publisher.publish(*CHANNELS, count=100)
    one.wait_totals(received=300, pending=0)
    with Flow(publisher, CHANNELS, 600) as flow:
        disk.break_down()
        stats = not_durable(one)
        assert said_by_the_kernel(stats["journal"]["disk_error"]), stats["journal"]
        before = flow.published()
        wait_for("some more", lambda: flow.published() > before + 300)
    one.wait_totals(received=len(publisher.sent), pending=0)
    assert_delivered(publisher.sent, seen(read, topic), once=True)
    gap, = one.gaps()
    assert gap.reason == "not_durable" and gap.end is None
    kafka_proxy.refuse()
    publisher.publish(*CHANNELS, count=100)
    one.wait_totals(received=len(publisher.sent), pending=300)
    one.kill()
    disk.mend()
    kafka_proxy.go_on()
    one.start()
    publisher.publish(*CHANNELS, count=10)
    one.wait_totals(received=30, pending=0)
    assert one.stats()["journal"]["durable"]
    assert_delivered(publisher.sent, seen(read, topic))
    assert {gap.reason for gap in one.gaps()} == {"not_durable", "restart"} and all(gap.end for gap in one.gaps())
    assert one.stderr().count("event=not_durable") == 1


def test_read_only_exit(on_disk, mounts, publisher, kafka_proxy, topic, read):
    """And the machine restarts before the repair: the ring is gone, only what was synced is left, and all of that."""
    disk = Remounted(mounts)
    one = on_disk(disk.place, proxied=True, sync="50ms", segment_size="1MiB", on_disk_error="exit")
    kafka_proxy.refuse()
    one.start()
    publisher.publish(*CHANNELS, count=100)
    one.wait_totals(received=300, pending=300)
    wait_for("them to be synced", lambda: one.stats()["journal"]["synced"] > 300)       # a mark was before them
    with Flow(publisher, CHANNELS, 600):
        disk.break_down()
        assert one.ended() == 70
    last = one.stderr().splitlines()[-1]
    assert said_by_the_kernel(last) and last.endswith("event=promise_broken"), last
    for left in one.ring_directory.iterdir():
        left.unlink()
    disk.mend()
    kafka_proxy.go_on()
    one.start()
    publisher.publish(*CHANNELS, count=10)
    one.wait_totals(received=30, pending=0)
    arrived = seen(read, topic)
    assert missing(publisher.sent[:300], arrived) == []
    assert_delivered(publisher.sent, arrived, gaps=one.spans(), slack=0.5)


def test_a_page_that_cannot_be_read(on_disk, tmp_path, publisher, topic, read):
    """What the kernel does then, sent by hand: one clear line, 70, and nothing lost."""
    one = on_disk(tmp_path).start()
    publisher.publish(*CHANNELS, count=200)
    assert one.terminate(number=signal.SIGBUS) == 70
    last = one.stderr().splitlines()[-1]
    assert "cannot be read: an I/O error, or its file was cut" in last and last.endswith("event=promise_broken")
    one.start()
    publisher.publish(*CHANNELS, count=10)
    one.wait_totals(received=30, pending=0)
    assert_delivered(publisher.sent, seen(read, topic), gaps=one.spans(), slack=0.5)


def test_frozen(on_disk, mounts, redis, make_publisher, topic, read, service_manager):
    """Five seconds at 20,000 a second (2,000 under sanitizers), with the default ring and Redis's default limits. The
    watchdog of a service manager hears nothing of it."""
    publisher = make_publisher(redis, pad=150)
    place = mounts.ext4("disk", mounts.top / "image", 512 << 20)
    one = on_disk(place, ring_size="32MiB", segment_size="64MiB")
    one.environment.update(service_manager.environment(watchdog=1))
    one.start()
    rate = 2000 if SANITIZED else 20000
    with Flow(publisher, CHANNELS, rate) as flow:
        wait_for("the load", lambda: flow.published() > rate / 2)
        begin, before = time.monotonic(), flow.published()
        mounts.freeze(place)
        worst = most = buffered = 0
        while time.monotonic() - begin < 5:
            asked = time.monotonic()
            assert one.stats()["sources"]["legacy"]["connected"]
            worst = max(worst, time.monotonic() - asked)
            most = max(most, one.stats()["journal"]["ring_bytes"])
            buffered = max(buffered, max(int(client["omem"]) for client in redis.bridge_clients()))
            time.sleep(0.02)
        during = flow.published() - before
        pings = [when for when in service_manager.times("WATCHDOG=1") if when > begin]
        mounts.thaw(place)
        wait_for("some more", lambda: flow.published() > before + during + rate / 2)
    print(f"{during} messages in 5 s; the slowest answer took {worst * 1000:.0f} ms, "
          f"the ring held up to {most >> 20} MiB, Redis up to {buffered >> 20} MiB for us")
    assert during > 0.8 * 5 * rate
    assert worst < 1 and most > during * 100       # it did stand still, and the loop did not
    assert len(pings) >= 8                          # ten, in time; a period without one would be a kill
    stats = one.wait_totals(received=len(publisher.sent), pending=0, timeout=60)
    assert stats["totals"]["dropped"] == 0 and stats["sources"]["legacy"]["connections_total"] == 1
    assert one.gaps() == []
    assert_delivered(publisher.sent, seen(read, topic), once=True)
