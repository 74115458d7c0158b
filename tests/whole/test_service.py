"""What a service manager hears of rkbridge's life; linger, while an app still publishes."""

import re
import signal
import time

import pytest

from bridge import route
from delivery import assert_delivered, decode_raw
from publisher import Load
from waiting import wait_for

CHANNELS = ["a", "b"]


@pytest.fixture
def make_one(make_bridge, redis, kafka, service_manager, topic):
    def make(watchdog=None, **settings):
        settings = {"routes": {"all": route(topic, channels=CHANNELS, envelope="raw")}, **settings}
        environment = service_manager.environment(watchdog)
        return make_bridge(settings, redis=redis, kafka=kafka.bootstrap, environment=environment).start()
    return make


@pytest.fixture
def arrived(topic, read):
    return lambda: [decode_raw(record) for record in read(topic)]


def test_a_life(make_one, service_manager, redis, publisher):
    """READY when all is subscribed; STATUS; pings; a reload; SIGTERM: STOPPING, and how long that may take."""
    one = make_one(watchdog=0.4)
    service_manager.wait("READY=1")
    assert service_manager.texts()[0].startswith("STATUS=starting")
    assert "event=subscribed" in one.stderr()
    service_manager.wait("STATUS=OK: ")
    publisher.publish(*CHANNELS, count=10)
    one.wait_totals(received=20, pending=0)
    wait_for("three pings", lambda: len(service_manager.times("WATCHDOG=1")) >= 3)
    assert one.rkbctl("reload")[0] == 0
    service_manager.wait("RELOADING=1\nMONOTONIC_USEC=")
    wait_for("the end of the reload", lambda: service_manager.texts().count("READY=1") == 2)
    assert one.terminate() == 0
    assert service_manager.wait("STOPPING=1") == "STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000"    # of 20 s here, and 15
    assert service_manager.texts().count("READY=1") == 2


def test_lingers_under_load(make_one, service_manager, publisher, arrived):
    """For a second after SIGTERM messages are taken as before; then it drains; all that it was given arrives."""
    one = make_one(watchdog=0.2, linger="1s")
    with Load(publisher, CHANNELS, 500):
        wait_for("some messages", lambda: one.totals()["received"] > 100)
        asked, pings = time.time(), len(service_manager.times("WATCHDOG=1"))
        assert one.terminate() == 0
    assert service_manager.wait("STOPPING=1") == "STOPPING=1\nEXTEND_TIMEOUT_USEC=36000000"
    assert len(service_manager.times("WATCHDOG=1")) > pings
    assert re.search(r"taking messages for 1 ?s more \(linger\) event=stopping", one.stderr())
    assert publisher.received()[-1].before > asked + 0.5 and publisher.sent[-1].receivers == 0
    assert_delivered(publisher.sent, arrived(), once=True)


def test_asked_again_it_does_not_linger(make_one, publisher, arrived):
    one = make_one(linger="10m")
    publisher.publish(*CHANNELS, count=10)
    one.process.send_signal(signal.SIGTERM)
    wait_for("the linger", lambda: "event=stopping" in one.stderr())
    publisher.publish(*CHANNELS, count=15)
    one.wait_totals(received=50, pending=0)
    code, out, _ = one.rkbctl("status")
    assert code == 1, out
    assert re.match(r"verdict: WARN asked to end: it takes messages for .* min.* more \(linger\)", out), out
    assert one.stats()["lingering"] and 500 < one.stats()["ending_seconds"] < 600
    assert one.terminate(timeout=15) == 0 and "left_at_once" not in one.stderr()      # shutdown_timeout is 20 s
    assert_delivered(publisher.sent, arrived(), once=True)
