"""Little memory, whatever the outage: in a memory cgroup as a container has it, of the size that the manual names."""

import os
import pathlib
import threading

import pytest

import bridge as bridges
from bridge import route
from delivery import assert_delivered, decode_raw
from memory_group import MemoryGroup, NoGroups
from waiting import wait_for

MIB = 1 << 20
LIMIT = 128 * MIB
CHANNELS = ["a", "b", "c", "d"]
# The defaults; the tests' own are smaller.
SIZES = {"ring_size": "32MiB", "segment_size": "64MiB", "max_size": "1GiB"}


def is_plain(build):
    """Without sanitizers, which take many times the memory."""
    program = pathlib.Path(build) / "rkbridge"
    return program.exists() and b"__asan_init" not in program.read_bytes()


@pytest.fixture
def plain_build(monkeypatch):
    top = pathlib.Path(__file__).resolve().parents[2]
    for build in (os.environ.get("RKB_PLAIN_BUILD"), bridges.BUILD, top / "build" / "clang"):
        if build and is_plain(build):
            monkeypatch.setattr(bridges, "BUILD", pathlib.Path(build))
            return
    pytest.skip("NOT RUN: no build without sanitizers; RKB_PLAIN_BUILD may name one")


@pytest.fixture
def group():
    try:
        made = MemoryGroup(LIMIT)
    except NoGroups as error:
        pytest.skip(f"NOT RUN: {error}")
    yield made
    made.close()


class Watch:
    """The most anonymous memory of a process, looked at every 20 ms."""

    def __init__(self, pid):
        self.most = 0
        self._pid = pid
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end.wait(0.02):
            try:
                status = pathlib.Path(f"/proc/{self._pid}/status").read_text()
            except OSError:
                return
            if "RssAnon" in status:
                self.most = max(self.most, int(status.split("RssAnon:")[1].split()[0]) * 1024)

    def stop(self):
        self._end.set()
        self._thread.join()


def publish_and_wait(publisher, one, megabytes):
    before = len(publisher.sent)
    while (len(publisher.sent) - before) * len(publisher.pad) < megabytes * MIB:
        publisher.publish(*CHANNELS, count=50)
    one.wait_totals(received=len(publisher.sent))


def test_an_outage_longer_than_the_memory(group, plain_build, proxied_bridge, kafka_proxy, make_publisher, redis,
                                          make_topic, read, tmp_path):
    if os.statvfs(tmp_path).f_fsid == os.statvfs("/dev/shm").f_fsid:
        pytest.skip(f"NOT RUN: {tmp_path} is not on a disk")
    topic = make_topic("memory", partitions=2)
    publisher = make_publisher(redis, pad=4000)
    one = proxied_bridge({"all": route(topic, channels=CHANNELS, envelope="raw")}, journal=SIZES)
    one.start(preexec_fn=group.enter)
    watch = Watch(one.process.pid)

    # Kafka is there: what is shipped and synced goes back to the kernel while its segment is being filled.
    publish_and_wait(publisher, one, 30)
    one.drained()
    wait_for("the pages to be given back", lambda: group.page_cache() < 16 * MIB, 10)

    # It is away, for longer than the memory would last.
    kafka_proxy.refuse()
    publish_and_wait(publisher, one, 110)
    assert one.stats()["journal"]["bytes"] > LIMIT
    kafka_proxy.go_on()
    stats = one.drained(120)
    watch.stop()
    assert group.killed() == 0
    assert 0 < watch.most < 64 * MIB, f"RssAnon was {watch.most // MIB} MiB"
    assert stats["totals"]["dropped"] == 0 and one.gaps() == []
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(topic)])
