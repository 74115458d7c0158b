"""What every scenario can ask for: a Kafka for the whole run, a Redis, bridges, topics, publishers.

A bridge that a scenario made is ended after it, and with it the books are checked (bridge.Bridge.finish).
"""

import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "kafka")]

import bridge as bridges                    # noqa: E402
import broker                               # noqa: E402
import consumer                             # noqa: E402
from proxy import Proxy                     # noqa: E402
from publisher import Publisher             # noqa: E402
from redis_server import RedisServer        # noqa: E402
from service_manager import ServiceManager  # noqa: E402


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


FAILED = pytest.StashKey[bool]()


def pytest_terminal_summary(terminalreporter):
    """What this machine could not run is said, whatever else is asked of pytest."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ").removeprefix("NOT RUN: ")
        terminalreporter.write_line(f"NOT RUN: {report.nodeid}: {reason}", red=True, bold=True)


@pytest.fixture(scope="session")
def _broker(tmp_path_factory):
    node = broker.Broker(tmp_path_factory.mktemp("kafka"))
    try:
        yield node.start()
    finally:
        node.stop()


@pytest.fixture
def kafka(_broker):
    """The Kafka of this run, up at the start of every scenario."""
    return _broker.start()


@pytest.fixture
def make_proxy():
    """Makes a fault proxy; arguments as Proxy's."""
    made = []

    def make(*arguments):
        made.append(Proxy(*arguments))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def kafka_proxy(kafka, make_proxy):
    """A proxy before Kafka: a bridge that bootstraps from its address meets Kafka only through it."""
    return make_proxy(("127.0.0.1", kafka.inner_port), kafka.outer_port)


@pytest.fixture
def make_redis(tmp_path):
    """Makes a Redis and starts it; arguments as RedisServer's."""
    made = []

    def make(**more):
        made.append(RedisServer(tmp_path / f"redis-{len(made)}", **more))
        return made[-1].start()

    yield make
    for server in made:
        server.clean()


@pytest.fixture
def redis(make_redis):
    return make_redis()


@pytest.fixture
def make_publisher():
    made = []

    def make(server, **more):
        made.append(Publisher(server, **more))
        return made[-1]

    yield make
    for publisher in made:
        publisher.close()


@pytest.fixture
def publisher(make_publisher, redis):
    return make_publisher(redis)


@pytest.fixture
def make_topic(kafka):
    """Makes a fresh topic; returns its name."""
    return lambda name="topic", **more: consumer.fresh_topic(kafka.bootstrap, name, **more)


@pytest.fixture
def topic(make_topic):
    return make_topic()


@pytest.fixture
def read(kafka):
    """Reads a topic as it stands now."""
    return lambda topic: consumer.read_topic(kafka.bootstrap, topic)


@pytest.fixture
def make_bridge(tmp_path, request, kafka_proxy, make_redis, make_proxy):
    """Makes a bridge, without starting it: make_bridge(settings, redis=, kafka=), where redis is the server of source
    `legacy` and kafka its bootstrap address. (It asks for the servers, so that they outlive the bridge.)"""
    made = []

    def make(settings, redis=None, kafka=None, environment=None):
        base = {}
        if redis:
            base["redis"] = {"legacy": {"url": redis.url()}}
        if kafka:
            base["kafka"] = {"properties": {"bootstrap.servers": kafka}}
        made.append(bridges.Bridge(tmp_path / f"bridge-{len(made)}", bridges.merged(base, settings), environment))
        return made[-1]

    yield make
    problems = []
    for one in made:
        if request.node.stash.get(FAILED, False):
            print(f"--- standard error of {one.directory.name}:\n{one.stderr()[-8000:]}")
        try:
            one.finish()
        except Exception as error:          # the others are to be ended too
            problems.append(f"{one.directory.name}: {error}")
    assert problems == [], "; ".join(problems)


@pytest.fixture
def service_manager():
    """One that listens at NOTIFY_SOCKET, for a bridge with environment=service_manager.environment()."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="rkb-", dir="/tmp"))       # a unix socket's path is short
    manager = ServiceManager(directory)
    yield manager
    manager.close()
    shutil.rmtree(directory)


@pytest.fixture
def bridge(make_bridge, redis, kafka):
    """Makes one on `redis` and `kafka` with these routes, and starts it."""
    def make(routes, **settings):
        return make_bridge({"routes": routes, **settings}, redis=redis, kafka=kafka.bootstrap).start()
    return make


@pytest.fixture
def proxied_bridge(make_bridge, redis, kafka_proxy):
    """The same with kafka_proxy between it and Kafka; not started."""
    def make(routes, **settings):
        return make_bridge({"routes": routes, **settings}, redis=redis, kafka=kafka_proxy.address)
    return make
