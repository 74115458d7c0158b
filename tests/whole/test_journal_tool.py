"""rkbctl journal: reads the journal of a killed bridge offline, by the same code."""

import json
import re

import pytest

from bridge import route
from waiting import wait_for


@pytest.fixture
def killed(proxied_bridge, kafka_proxy, publisher, topic):
    """A bridge killed with 1,000 records that Kafka does not have, in several segments."""
    kafka_proxy.refuse()
    one = proxied_bridge({"all": route(topic, channels=["a", "b"])},
                         journal={"segment_size": "64KiB", "max_size": "8MiB"}).start()
    publisher.publish("a", "b", count=500)
    one.wait_totals(received=1000, pending=1000)
    one.kill()
    one.start()
    wait_for("what was in the ring to be in the journal", lambda: one.stats()["journal"]["ring_bytes"] == 0)
    one.terminate(number=9)
    return one


def files(one):
    return {path.name: path.read_bytes() for path in one.journal.iterdir() if path.is_file()}


def test_list_verify_dump(killed, topic, publisher):
    before = files(killed)
    code, out, err = killed.rkbctl("journal", "list", killed.journal)
    assert code == 0 and err == ""
    segments = [name for name in before if name.endswith(".seg")]
    assert len(segments) >= 3 and all(name.removesuffix(".seg").lstrip("0") in out for name in segments)
    code, out, err = killed.rkbctl("journal", "verify", killed.journal)
    assert code == 0, out + err
    assert "sound" in out
    code, out, err = killed.rkbctl("journal", "dump", killed.journal)
    assert code == 0 and err == ""
    records = [json.loads(line) for line in out.splitlines()]
    messages = [record for record in records if record["kind"] == "message"]
    assert [(message["key"], json.loads(message["value"])["data"]["payload"]) for message in messages] == \
        [(sent.channel.decode(), json.loads(sent.payload)) for sent in publisher.sent]
    assert {(message["route"], message["topic"]) for message in messages} == {("all", topic)}
    assert {record["gap"]["reason"] for record in records if record["kind"] == "gap"} == {"restart"}
    code, out, err = killed.rkbctl("journal", "dump", "--no-values", killed.journal)
    assert code == 0 and "payload" not in out and len(out.splitlines()) == len(records)
    assert files(killed) == before, "reading changes nothing"


def test_verify_finds_one_flipped_bit(killed):
    segment = sorted(killed.journal.glob("*.seg"))[0]
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    code, out, err = killed.rkbctl("journal", "verify", killed.journal)
    assert code == 73 and re.search(segment.name + r"|" + segment.name.lstrip("0"), out + err)


def test_a_damaged_journal_is_said_and_the_rest_is_shipped(killed, kafka_proxy, read, topic):
    segment = sorted(killed.journal.glob("*.seg"))[0]
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    kafka_proxy.go_on()
    killed.start()
    killed.drained()
    assert 0 < len(read(topic)) < 1000
    assert "damage" in [gap.reason for gap in killed.gaps()]


def test_no_journal_and_wrong_use(killed, tmp_path):
    code, out, err = killed.rkbctl("journal", "list", tmp_path / "nothing")
    assert code != 0 and "nothing" in err
    for arguments in (["journal", "list"], ["journal", "nonsense", killed.journal]):
        code, out, err = killed.rkbctl(*arguments)
        assert code == 64 and err != "", arguments
