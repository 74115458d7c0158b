"""Orders on the control socket: what is paused waits and loses nothing, an intake that is stopped is a gap,
a drain ends."""

import os

import pytest

from bridge import route
from control import ControlError
from waiting import wait_for


def order(bridge, *words):
    code, out, err = bridge.rkbctl(*words)
    assert code == 0, err
    return out


def test_a_paused_route_waits_over_a_restart(bridge, publisher, topic):
    made = bridge({"calm": route(topic, channels=["calm"]), "busy": route(topic, channels=["busy"])})
    publisher.publish("calm", "busy", count=10)
    made.wait_totals(received=20, pending=0)
    assert "route calm is paused" in order(made, "pause", "calm")
    assert "paused already" in order(made, "pause", "route", "calm")
    publisher.publish("calm", "busy", count=50)
    stats = made.wait_totals(delivered=70, received=120)
    assert stats["routes"]["calm"] | {"pending": 50, "delivered": 10, "paused": True} == stats["routes"]["calm"]
    assert stats["routes"]["busy"]["pending"] == 0 and not stats["routes"]["busy"]["paused"]
    assert [(one["what"], one["name"]) for one in stats["paused"]] == [("route", "calm")]
    code, out, _ = made.rkbctl("status")
    assert code == 1 and out.startswith("verdict: WARN") and "resume" in out.splitlines()[0]
    assert made.terminate() == 3, "an end does not wait for what is paused"
    made.start()
    publisher.publish("busy", count=10)
    stats = made.wait_totals(delivered=10)
    assert stats["routes"]["calm"]["pending"] == 50 and stats["routes"]["calm"]["paused"]
    order(made, "resume", "calm")
    stats = made.drained()
    assert stats["paused"] == [] and stats["routes"]["calm"]["delivered"] == 50
    with pytest.raises(ControlError) as nothing, made.control() as control:
        control.ask("pause no-such-route")
    assert nothing.value.code == "unknown_name"


def test_the_intake_stops_with_a_gap_and_starts(bridge, publisher, topic):
    made = bridge({"users": route(topic, channels=["c"])})
    publisher.publish("c", count=10)
    made.wait_totals(received=10, pending=0)
    assert "LOSES" in order(made, "intake", "stop")
    stats = made.stats()
    assert stats["intake"] == "stopped" and not stats["ready"] and stats["sources"]["legacy"]["subscribed"] == 0
    publisher.publish("c", count=7)
    gap, = made.gaps()
    assert gap.reason == "intake_stopped" and gap.end is None
    assert made.rkbctl("status")[1].startswith("verdict: WARN the intake is stopped")
    order(made, "intake", "start")
    wait_for("ready", lambda: made.stats()["ready"])
    publisher.publish("c", count=5)
    made.wait_totals(received=15, pending=0)
    wait_for("the gap's end", lambda: made.gaps()[0].end is not None)
    gap, = made.gaps()
    assert gap.reason == "intake_stopped" and gap.bound in (7, None)


def test_drain_says_how_far_it_is_and_ends(bridge, publisher, topic):
    made = bridge({"users": route(topic, channels=["c"])})
    publisher.publish("c", count=100)
    made.wait_totals(received=100)
    with made.control() as control:
        lines = control.ask("drain")
    assert lines[0].startswith(b"draining: ") and lines[-1].startswith(b"drained: nothing is left")
    assert made.ended() == 0
    made.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a moment")
def test_a_reload_says_who_may_give_orders(make_bridge, redis):
    """Somebody who is connected all the time has the right while the config that runs names them."""
    stranger = 65533
    users = {"users": route("users", channels=["c"])}
    made = make_bridge({"routes": users, "control": {"socket_mode": "0666"}}, redis=redis).start("--embedded-kafka")
    made.short.chmod(0o711)
    os.seteuid(stranger)
    try:
        other = made.control()
    finally:
        os.seteuid(0)
    with other, made.control() as root:
        for admins in ["root"], [str(stranger)], ["root"]:
            made.rewrite({"control": {"admins": admins}})
            root.ask("reload")
            if admins == ["root"]:
                with pytest.raises(ControlError, match="not_allowed log needs the admin right"):
                    other.ask("log")
            else:
                assert other.ask("log") == [b"log: all info"]
