"""One topic of sixteen does not move: the others do not wait for it, a kill -9 sends only what was in flight again, and nothing is lost."""

import contextlib
import os
import time

import pytest
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient, NewTopic,
                                   ResourcePatternType, ResourceType)

from bridge import route
from delivery import assert_delivered, decode_raw
from publisher import Load
from waiting import wait_for

COUNT = 16
RATE = 800
SECONDS = int(os.environ.get("RKB_ISOLATION_SECONDS", "3"))     # that it stands still after the kill; minutes by hand


def results(futures):
    for future in futures.values():
        future.result(20)


@contextlib.contextmanager
def deleted(admin, topic):
    results(admin.delete_topics([topic], operation_timeout=20))
    yield
    results(admin.create_topics([NewTopic(topic, 1, 1)], operation_timeout=20))


@contextlib.contextmanager
def denied(admin, topic):
    rule = ("User:ANONYMOUS", "*", AclOperation.WRITE, AclPermissionType.DENY)
    results(admin.create_acls([AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, *rule)]))
    yield
    results(admin.delete_acls([AclBindingFilter(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, *rule)]))


@pytest.fixture
def topics(make_topic):
    return [make_topic(f"lane{number}") for number in range(COUNT)]


@pytest.fixture
def one(bridge, topics):
    return bridge({f"r{n}": route(topics[n], channels=[f"c{n}"], envelope="raw") for n in range(COUNT)})


def oldest(bridge):
    routes = bridge.stats()["routes"]
    return [routes[f"r{n}"]["oldest_pending_seconds"] for n in range(COUNT)]


@pytest.mark.parametrize("trouble", [deleted, denied])
def test_one_stands_still(one, topics, kafka, publisher, read, trouble):
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    with Load(publisher, [f"c{n}" for n in range(COUNT)], RATE) as load:
        one.wait_totals(delivered=RATE)
        with trouble(admin, topics[0]):
            wait_for("the topic to stand still", lambda: oldest(one)[0] > 1.5)
            one.kill()
            one.start()
            more = load.published() + SECONDS * RATE
            ages = []
            while load.published() < more:
                ages.append(oldest(one))
                time.sleep(0.05)
            stats = one.stats()
            assert stats["routes"]["r0"]["pending"] > RATE // COUNT
            assert sum(stats["routes"][f"r{n}"]["pending"] for n in range(1, COUNT)) < RATE
        # At one moment or another a machine that is busy makes any of them wait.
        late = [max(age[1:]) for age in ages if max(age[1:]) > 1.5]
        assert len(late) <= len(ages) / 10, f"the others waited too: {late}"
        assert max(age[0] for age in ages) > 2
    one.drained(90)
    assert one.stats()["totals"]["dead_lettered"] == 0
    seen = [[decode_raw(record) for record in read(topic)] for topic in topics]
    if trouble is deleted:          # what was in it before is gone with it
        channel0 = {item.n for item in seen[0]}
        publisher.sent = [sent for sent in publisher.sent if sent.channel != b"c0" or sent.n >= min(channel0)]
    assert_delivered(publisher.sent, [item for topic in seen for item in topic], gaps=one.spans(), slack=0.2)
    others = [item for topic in seen[1:] for item in topic]
    again = len(others) - len({item.uuid for item in others})
    assert again <= RATE, f"{again} of the others' records came again after the kill: more than can have been in flight"
