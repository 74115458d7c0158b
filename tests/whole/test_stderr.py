"""Standard error that takes nothing: messages flow, the process answers and ends in time, lost lines are counted."""

import fcntl
import os
import pty
import re
import termios
import time

import pytest

from bridge import route
from waiting import wait_for

# Each of these fails to connect all the time and says so under a name of its own, so that their lines are not the same
# line.
NOISE = {f"nobody-{number:03}-{'x' * 50}": {"url": "redis://127.0.0.1:1", "reconnect_min": "50ms",
                                            "reconnect_max": "200ms"}
         for number in range(150)}


@pytest.fixture
def noisy(make_bridge, redis):
    """With more log lines than its queue holds; the one source that works carries messages."""
    routes = {"users": route("users", channels=["c"]),
              **{f"r{number}": {"source": name, "topic": "users", "channels": ["c"]}
                 for number, name in enumerate(NOISE)}}
    return make_bridge({"redis": NOISE, "routes": routes, "log": {"level": "debug"}}, redis=redis)


@pytest.fixture
def quiet(make_bridge, redis):
    return make_bridge({"routes": {"users": route("users", channels=["c"])}}, redis=redis)


def assert_flows(one, publisher, count=500):
    before = one.stats()["routes"]["users"]["delivered"]
    publisher.publish("c", count=count)
    wait_for("all to be delivered", lambda: one.stats()["routes"]["users"]["delivered"] == before + count)


def assert_ends(one, seconds=10):
    begin = time.monotonic()
    assert one.terminate() == 0
    assert time.monotonic() - begin < seconds


def lost(one):
    return one.stats()["log_lines_lost_total"]


def subscribed(one):
    return one._is_up("answers") and one.source()["subscribed"] == 1


def test_a_pipe_that_nobody_reads(noisy, publisher):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    noisy.start("--embedded-kafka", wait=None, stderr=writer)
    os.close(writer)
    wait_for("the source that works", lambda: subscribed(noisy))
    wait_for("lines to be lost", lambda: lost(noisy) > 0, timeout=60)
    assert_flows(noisy, publisher)

    # The reader comes back, for as long as it takes to be told how many lines are missing.
    seen = bytearray()
    def told():
        seen.extend(os.read(reader, 65536))
        return b"event=log_lines_lost\n" in seen
    wait_for("the line that says so", told, timeout=60, interval=0)
    said = sum(map(int, re.findall(rb"warn log: (\d+) lines lost", seen)))
    assert 0 < said <= lost(noisy)
    assert_flows(noisy, publisher)

    # And goes again: the end does not wait for it.
    assert_ends(noisy)
    os.close(reader)


def test_a_terminal_that_is_stopped(noisy, publisher):
    screen, terminal = pty.openpty()
    termios.tcflow(terminal, termios.TCOOFF)        # as Ctrl-S does
    noisy.start("--embedded-kafka", wait=None, stderr=terminal)
    wait_for("the source that works", lambda: subscribed(noisy))
    wait_for("lines to be lost", lambda: lost(noisy) > 0, timeout=60)
    assert_flows(noisy, publisher)
    assert_ends(noisy)
    os.close(terminal)
    os.close(screen)


def closed():
    os.close(2)


def full():
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)


def gone():
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 2)


@pytest.mark.parametrize("prepare, name", [(closed, "/dev/null"), (full, "/dev/full"), (gone, "pipe:")])
def test_no_standard_error(quiet, publisher, prepare, name):
    """Nor does any file of ours come to stand in its place."""
    quiet.start("--embedded-kafka", stderr=None, preexec_fn=prepare)
    wait_for("its first lines to be counted as lost", lambda: lost(quiet) >= 2)
    assert_flows(quiet, publisher)
    target = os.readlink(f"/proc/{quiet.process.pid}/fd/2")
    assert target.startswith(name), f"its log goes to {target}"
    assert_ends(quiet)
