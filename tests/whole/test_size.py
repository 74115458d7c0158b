"""Messages that are too long pass by: counted, in a gap, never held; the messages around them arrive."""

import pathlib
import re
import threading

from bridge import route
from delivery import assert_delivered, decode_raw
from waiting import wait_for

LARGE = 64 << 20
# What may grow meanwhile, sanitizers' own memory included: a message that was held would take all of LARGE.
ROOM_KIB = 16 << 10


def anonymous_kib(one):
    status = pathlib.Path(f"/proc/{one.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1))


def test_a_large_message_passes_by(make_bridge, make_redis, make_publisher, kafka, topic, read):
    server = make_redis(settings=["client-output-buffer-limit pubsub 0 0 0"])
    one = make_bridge({"redis": {"legacy": {"max_message_size": "64KiB"}},
                       "routes": {"all": route(topic, channels=["a"], patterns=["a*"], envelope="raw")}},
                      redis=server, kafka=kafka.bootstrap).start()
    publisher = make_publisher(server)
    publisher.publish("a", "ab", count=50)
    one.wait_totals(received=100, pending=0)
    before, most = anonymous_kib(one), [0]
    done = threading.Event()

    def watch():
        while not done.wait(0.01):
            most[0] = max(most[0], anonymous_kib(one))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with server.client() as client:
        for _ in range(2):                  # two copies each: only the winner's is a message
            assert client.publish("a", b"x" * LARGE) == 2
            publisher.publish("a", "ab", count=5)
    one.wait_totals(received=122, pending=0)
    done.set()
    watcher.join()
    assert most[0] - before < ROOM_KIB, f"{before} kB before, {most[0]} kB while it passed"
    stats = one.stats()
    assert stats["dropped_by_reason"]["too_large"] == 2 and stats["sources"]["legacy"]["overlaps_total"] == 62
    wait_for("the gaps to be closed", lambda: all(gap.end is not None for gap in one.gaps()))
    assert {gap.reason for gap in one.gaps()} == {"too_large"} and sum(gap.bound for gap in one.gaps()) == 2
    assert one.source()["connections_total"] == 1
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(topic)], once=True)
