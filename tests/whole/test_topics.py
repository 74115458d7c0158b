"""Topics at start: created with what the route asks for, told where they are missing or differ, and never changed."""

import itertools
import json
import shlex
import time

import pytest
from confluent_kafka.admin import (AclBinding, AclOperation, AclPermissionType, AdminClient, ConfigResource,
                                   ResourcePatternType, ResourceType)

import broker
import consumer
from bridge import route
from proxy import Proxy
from waiting import wait_for

_numbers = itertools.count(1)


def new_name(stem="made"):
    """A topic that is not there."""
    return f"{stem}.{int(time.time() * 1000)}.{next(_numbers)}"


def admin_of(kafka):
    return AdminClient({"bootstrap.servers": kafka.bootstrap, **consumer.QUIET})


def partitions_of(kafka, topic):
    """0 where it is missing; asks for all topics, which makes none."""
    topics = admin_of(kafka).list_topics(timeout=20).topics
    return len(topics[topic].partitions) if topic in topics else 0


def config_of(kafka, topic, name):
    resource, admin = ConfigResource(ResourceType.TOPIC, topic), admin_of(kafka)
    return admin.describe_configs([resource])[resource].result(20)[name].value


def line(one, event, topic=""):
    """The line with this event that names the topic, or None."""
    found = [text for text in one.stderr().splitlines() if text.endswith(f"event={event}") and topic in text]
    assert len(found) < 2, found
    return found[0] if found else None


@pytest.fixture(scope="module")
def strict_kafka(tmp_path_factory):
    """Creates topics by itself, and asks who writes: `bridge`, by SASL on its outer port, may do nothing yet."""
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    node = broker.Broker(tmp_path_factory.mktemp("strict"), {
        "listener.security.protocol.map": "PLAIN:PLAINTEXT,PROXIED:SASL_PLAINTEXT,LOGIN:SASL_PLAINTEXT,"
                                         "CONTROLLER:PLAINTEXT",
        "auto.create.topics.enable": "true",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": "User:ANONYMOUS",
        "listener.name.proxied.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.proxied.plain.sasl.jaas.config": f'{module} user_bridge="right";',
    })
    proxy = Proxy(("127.0.0.1", node.inner_port), node.outer_port)
    try:
        yield node.start()
    finally:
        proxy.close()
        node.stop()


def allow(kafka, topic, *operations):
    """Lets the user `bridge` do this on the topic."""
    wanted = [AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:bridge", "*", operation,
                         AclPermissionType.ALLOW)
              for operation in operations]
    admin = admin_of(kafka)
    for future in admin.create_acls(wanted).values():
        future.result(20)


def as_bridge(kafka, password_file):
    """Settings of a bridge that is the user `bridge`."""
    return {"properties": {"bootstrap.servers": f"127.0.0.1:{kafka.outer_port}", "security.protocol": "SASL_PLAINTEXT",
                           "sasl.mechanism": "PLAIN", "sasl.username": "bridge",
                           "sasl.password_file": str(password_file)}}


def test_created_as_the_route_asks(bridge, kafka, publisher, read):
    topic, plain = new_name(), new_name("plain")
    one = bridge({"a": route(topic, channels=["a"], partitions=3, replication=1,
                             topic_config={"cleanup.policy": "compact", "retention.ms": 604800000}),
                  "b": route(topic, channels=["b"]), "c": route(plain, channels=["c"])}, kafka={"create_topics": "yes"})
    publisher.publish("a", "b", "c", count=10)
    one.wait_totals(received=30, pending=0, delivered=30)
    assert partitions_of(kafka, topic) == 3 and partitions_of(kafka, plain) == 1
    assert config_of(kafka, topic, "cleanup.policy") == "compact"
    assert config_of(kafka, topic, "retention.ms") == "604800000"
    assert len(read(topic)) == 20 and len(read(plain)) == 10
    assert line(one, "topic_created", topic) and line(one, "topic_created", plain)
    assert one.stats()["kafka"]["topics_missing"] == 0


def test_there_already(bridge, kafka, make_topic):
    topic = make_topic(partitions=2)
    one = bridge({"a": route(topic, channels=["a"], partitions=3)}, kafka={"create_topics": "yes"})
    told = wait_for("the difference to be told", lambda: line(one, "topic_differs", topic))
    assert "has 2 partitions" in told and "asks for 3" in told
    wait_for("the limit to be told", lambda: line(one, "topic_limit", topic))
    assert partitions_of(kafka, topic) == 2
    assert line(one, "topic_created") is None and line(one, "topic_missing") is None


def test_missing_is_told(bridge, kafka):
    topic = new_name("missing")
    one = bridge({"a": route(topic, channels=["a"], partitions=3)})
    told = wait_for("the missing topic to be told", lambda: line(one, "topic_missing", topic))
    assert "the brokers do not make it by themselves" in told and "create_topics" in told
    assert one.stats()["kafka"]["topics_missing"] == 1

    def verdict():
        code, out, _ = one.rkbctl("status")
        return code == 1 and f"Kafka lacks the topic {topic}" in out.splitlines()[0]
    wait_for("the verdict, once Kafka is connected", verdict)
    assert partitions_of(kafka, topic) == 0, "looking for it makes it"


def test_kafka_away_at_start(proxied_bridge, kafka_proxy, kafka, publisher, read):
    topic = new_name("late")
    kafka_proxy.refuse()
    one = proxied_bridge({"a": route(topic, channels=["a"], partitions=2)}, kafka={"create_topics": "yes"}).start()
    publisher.publish("a", count=50)
    one.wait_totals(received=50, pending=50)
    kafka_proxy.go_on()
    one.drained()
    assert partitions_of(kafka, topic) == 2 and len(read(topic)) == 50


def test_ends_at_once_while_kafka_is_away(proxied_bridge, kafka_proxy):
    kafka_proxy.refuse()
    one = proxied_bridge({"a": route(new_name(), channels=["a"])}, kafka={"create_topics": "yes"}).start()
    before = time.monotonic()
    assert one.terminate() == 0
    assert time.monotonic() - before < 5


def test_brokers_that_create_topics_come_second(make_bridge, redis, strict_kafka, make_publisher):
    topics = [new_name("auto") for _ in range(5)]
    one = make_bridge({"routes": {f"r{i}": route(topic, channels=[f"c{i}"], partitions=3)
                                  for i, topic in enumerate(topics)},
                       "kafka": {"create_topics": "yes"}}, redis=redis, kafka=strict_kafka.bootstrap).start()
    make_publisher(redis).publish(*[f"c{i}" for i in range(5)], count=10)
    one.wait_totals(60, received=50, delivered=50, pending=0)
    assert [partitions_of(strict_kafka, topic) for topic in topics] == [3] * 5


def test_missing_where_brokers_create_topics(make_bridge, redis, strict_kafka):
    topic = new_name("habit")
    one = make_bridge({"routes": {"a": route(topic, channels=["a"])}}, redis=redis,
                      kafka=strict_kafka.bootstrap).start()
    told = wait_for("the missing topic to be told", lambda: line(one, "topic_missing", topic))
    assert "num.partitions is 1" in told
    assert partitions_of(strict_kafka, topic) == 0, "looking for it makes it"
    code, found, _ = checked(one)
    assert code < 2 and any(f"Kafka has no topic {topic}; the brokers make it" in text for text in found["WARN"]), found
    assert partitions_of(strict_kafka, topic) == 0, "rkbctl check makes it"


def test_not_authorised(make_bridge, redis, strict_kafka, tmp_path):
    """Sees its topics, and may not create them; one it does not even see."""
    missing, hidden = new_name("denied"), new_name("hidden")
    allow(strict_kafka, missing, AclOperation.DESCRIBE, AclOperation.WRITE)
    password = tmp_path / "password"
    password.write_text("right\n")
    one = make_bridge({"routes": {"a": route(missing, channels=["a"]), "b": route(hidden, channels=["b"])},
                       "kafka": {"create_topics": "yes", **as_bridge(strict_kafka, password)}}, redis=redis).start()
    told = wait_for("the refusal to be told", lambda: line(one, "topic_not_created", missing))
    assert "TOPIC_AUTHORIZATION_FAILED" in told and "--operation Create" in told
    told = wait_for("the hidden topic to be told", lambda: line(one, "topic_hidden", hidden))
    assert "--operation Write" in told
    assert one.stats()["kafka"]["topics_missing"] == 1
    assert partitions_of(strict_kafka, missing) == 0


def test_created_by_a_user_who_may_no_more(make_bridge, redis, strict_kafka, tmp_path, make_publisher):
    """Create, Describe and Write on the topic are enough; its settings are not known then, and that is no warning."""
    topic = new_name("allowed")
    allow(strict_kafka, topic, AclOperation.CREATE, AclOperation.DESCRIBE, AclOperation.WRITE)
    password = tmp_path / "password"
    password.write_text("right\n")
    one = make_bridge({"routes": {"a": route(topic, channels=["a"], partitions=4)},
                       "kafka": {"create_topics": "yes", **as_bridge(strict_kafka, password)}}, redis=redis).start()
    make_publisher(redis).publish("a", count=10)
    one.wait_totals(60, received=10, delivered=10, pending=0)
    assert partitions_of(strict_kafka, topic) == 4
    wait_for("the settings", lambda: "its settings are not known, and not needed" in one.stderr())


def test_password_that_comes_right_later(make_bridge, redis, strict_kafka, tmp_path, make_publisher):
    """A file of kafka.properties is read again for each new producer, and for each look for topics."""
    topic = new_name("later")
    allow(strict_kafka, topic, AclOperation.CREATE, AclOperation.DESCRIBE, AclOperation.WRITE)
    password = tmp_path / "password"
    password.write_text("of-yesterday\n")
    one = make_bridge({"routes": {"a": route(topic, channels=["a"])},
                       "kafka": {"create_topics": "yes", "watchdog": "1s", **as_bridge(strict_kafka, password)}},
                      redis=redis).start()
    make_publisher(redis).publish("a", count=10)
    wait_for("the refusal to be told", lambda: "event=kafka_error" in one.stderr())
    password.write_text("right\n")
    one.wait_totals(60, received=10, delivered=10, pending=0)
    assert "of-yesterday" not in one.stderr()


def granted(line):
    """A line of kafka-acls.sh as what it grants: (kind, name, how the name is meant, operations)."""
    words = shlex.split(line)
    kind = "cluster" if "--cluster" in words else "topic"
    name = words[words.index("--topic") + 1] if kind == "topic" else "kafka-cluster"
    meant = ResourcePatternType.PREFIXED if "prefixed" in words else ResourcePatternType.LITERAL
    return kind, name, meant, [words[i + 1] for i, word in enumerate(words) if word == "--operation"]


def paste(kafka, line):
    """Does what the line would do."""
    kind, name, meant, operations = granted(line)
    assert "--allow-principal User:bridge" in line and f"--bootstrap-server 127.0.0.1:{kafka.outer_port}" in line
    resource = ResourceType.TOPIC if kind == "topic" else ResourceType.BROKER
    named = {"Describe": AclOperation.DESCRIBE, "Write": AclOperation.WRITE,
             "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
             "Create": AclOperation.CREATE, "IdempotentWrite": AclOperation.IDEMPOTENT_WRITE}
    wanted = [AclBinding(resource, name, meant, "User:bridge", "*", named[operation], AclPermissionType.ALLOW)
              for operation in operations]
    admin = admin_of(kafka)
    for future in admin.create_acls(wanted).values():
        future.result(20)


def denials(kafka):
    """What Kafka has denied the bridge until now, in its own words."""
    return [line for line in kafka.log_path.read_text().splitlines() if "User:bridge is Denied" in line]


def checked(one, *arguments):
    """rkbctl check --connect: its exit code and findings about Kafka, by grade."""
    code, out, _ = one.rkbctl("check", "-c", one.config_path, "--connect", "--json", *arguments)
    found = json.loads(out)
    return code, {grade: [finding["text"] for finding in found["findings"] if finding["grade"] == grade]
                  for grade in ("BAD", "WARN", "OK")}, found


def test_what_rkbctl_check_says_of_rights(make_bridge, make_redis, strict_kafka, tmp_path, make_publisher):
    """Without rights, with some, and with exactly those that it lists: then neither it nor a bridge is denied anything.
    It writes nothing."""
    wish, stock = new_name("wish"), new_name("stock")
    topic, letters, gaps = [consumer.fresh_topic(strict_kafka.bootstrap, name)
                            for name in ("checked", "letters", "gaps")]
    password = tmp_path / "password"
    password.write_text("right\n")
    redis = make_redis()
    one = make_bridge({"redis": {"legacy": {"gap_topic": gaps, "max_message_size": "500KiB"}},
                       "routes": {"a": route(topic, channels=["a"], dead_letter=letters),
                                  "b": route(wish, channels=["b"], partitions=3,
                                             topic_config={"cleanup.policy": "compact"}),
                                  "c": route(stock + ".{{1}}", patterns=["c.*"])},
                       "kafka": {"create_topics": "yes", **as_bridge(strict_kafka, password)}}, redis=redis)
    code, found, _ = checked(one)
    assert code == 2 and all(f"Kafka does not let us see topic {name}, so neither write to it" in found["BAD"]
                             for name in (topic, letters, gaps, wish)), found
    allow(strict_kafka, topic, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
    allow(strict_kafka, wish, AclOperation.DESCRIBE)
    allow(strict_kafka, letters, AclOperation.WRITE, AclOperation.DESCRIBE_CONFIGS)
    code, found, whole = checked(one)
    assert code == 2 and f"Kafka does not let us write to topic {topic}" in found["BAD"], found
    assert f"Kafka lets us write to topic {letters}" in found["OK"]
    assert f"Kafka does not let us see topic {gaps}, so neither write to it" in found["BAD"]
    assert any(text.startswith(f"topic {wish} is not there, and Kafka does not let us make it")
               for text in found["BAD"])
    for line in whole["kafka_rights"]:
        paste(strict_kafka, line)
    before = denials(strict_kafka)
    assert any(f"Topic:LITERAL:{gaps} " in denial for denial in before), "Kafka's log does not tell what it denies"
    code, found, _ = checked(one)
    assert found["BAD"] == [] and not any("topic" in text for text in found["WARN"]), found
    assert f"topic {wish} is not there yet, and Kafka lets us make it" in found["OK"]
    assert partitions_of(strict_kafka, wish) == 0, "it made what it asked about"
    assert [f"Kafka lets us write to topic {name}" in found["OK"] for name in (topic, letters, gaps)] == [True] * 3
    assert [consumer.read_topic(strict_kafka.bootstrap, name) for name in (topic, letters, gaps)] == [[], [], []]
    one.start()
    make_publisher(redis).publish("a", "b", "c.x", count=10)
    one.wait_totals(60, received=30, delivered=30, pending=0)
    assert partitions_of(strict_kafka, wish) == 3 and partitions_of(strict_kafka, f"{stock}.x") == 1
    assert denials(strict_kafka) == before
    password.write_text("of-yesterday\n")
    code, found, whole = checked(one)
    assert code == 2 and any("refuses the login" in text for text in found["BAD"]), found
    assert "of-yesterday" not in str(whole)
    password.write_text("right\n")
