"""Secrets: canaries in every place that takes one; then whatever the program prints and writes is looked through."""

import base64
import contextlib
import pathlib
import re
import secrets
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from bridge import route
from broker import free_port
from waiting import wait_for

PIECE = 10      # so many of its bytes in a row are a leak
KEPT = 20       # of what is freed, malloc overwrites less than this


def forms(canary):
    """What a canary may look like: pieces of it, itself in hexadecimal, in base64 at each offset, as in a url."""
    raw = canary.encode()
    found = {raw[at:at + PIECE] for at in range(len(raw) - PIECE + 1)}
    found |= {raw.hex().encode(), raw.hex().upper().encode(), urllib.parse.quote(canary, safe="").encode()}
    for offset in range(3):
        found.add(base64.b64encode(bytes(offset) + raw)[(offset * 8 + 5) // 6:-4])
    return found


class Canaries:
    """One secret for each place; `grep` fails where one is found."""

    def __init__(self):
        self.text = {}

    def new(self, place):
        self.text[place] = "cnry+" + secrets.token_urlsafe(30)
        return self.text[place]

    def grep(self, where, data):
        for place, canary in self.text.items():
            for form in forms(canary):
                at = data.find(form)
                assert at < 0, f"the secret of {place} is in {where}: ...{data[max(0, at - 100):at + 60]!r}"

    def grep_files(self, *directories):
        looked = 0
        for directory in directories:
            for path in sorted(pathlib.Path(directory).rglob("*")):
                if path.is_file():
                    self.grep(path.name, re.sub(rb"\0{64,}", b"\0", path.read_bytes()))    # mostly room
                    looked += 1
        return looked


@pytest.fixture
def canaries():
    return Canaries()


def test_the_grep_finds(canaries):
    """Each form, or the tests below prove nothing."""
    canary = canaries.new("here")
    for shape in (canary, canary[5:18], canary.encode().hex(), urllib.parse.quote(canary, safe=""),
                  *(base64.b64encode(b"x" * offset + canary.encode() + b"yy").decode() for offset in range(3))):
        with pytest.raises(AssertionError):
            canaries.grep("a text", f"before {shape} after".encode())
    canaries.grep("a text", b"nothing")


GOOD = """\
redis:
  legacy:
    url: redis://127.0.0.1:6379
    password: §
kafka:
  properties:
    bootstrap.servers: 127.0.0.1:9092
    sasl.password: §
journal: {directory: DIR/journal}
control: {socket: DIR/control.sock}
routes: {all: {source: legacy, channels: [c], topic: t}}
"""
REDIS = "    url: redis://127.0.0.1:6379\n    password: §\n"
PASSWORD, SASL = "    password: §\n", "    sasl.password: §\n"
# What is written in place of what; § is a canary, DIR the directory.
BROKEN = [
    (PASSWORD, "    password: [§]\n"), (PASSWORD, "    password: {§: 1}\n"), (PASSWORD, "    password: {a: §}\n"),
    (PASSWORD, "    password: §\n    pasword: §\n"), (PASSWORD, "    password: §\n    password: §\n"),
    (PASSWORD, "    password: !§\n"), (PASSWORD, "    password: !§ x\n"), (PASSWORD, "    password: *§\n"),
    (PASSWORD, "    password: &§\n"), (PASSWORD, "    password: |§\n"), (PASSWORD, "    password: >§\n"),
    (PASSWORD, "    password: '§\n"), (PASSWORD, '    password: "§\n'), (PASSWORD, '    password: "\\q§"\n'),
    (PASSWORD, "    password: '§' §\n"), (PASSWORD, "    password: §: §\n"), (PASSWORD, "    password:§\n"),
    (PASSWORD, "\tpassword: §\n"), (PASSWORD, "    password §\n"), (PASSWORD, "    password=§\n"),
    (PASSWORD, "    password: ${RKB_UNSET_HERE}§\n"), (PASSWORD, "    password: ${§\n"),
    (PASSWORD, "    password: ${RKB-§}\n"), (PASSWORD, "    password: ${RKB_UNSET_HERE} ${RKB_UNSET_HERE:-§}\n"),
    (PASSWORD, "    password: \"§\\0\"\n"), (PASSWORD, "    password_file: §\n"), (PASSWORD, "    §\n"),
    (PASSWORD, "    password_file: DIR/none\n    password: §\n"),
    (PASSWORD, "    §: x\n    password: §\n    user: [§]\n"), (PASSWORD, "    user: bridge:§\n    passwd: §\n"),
    (REDIS, "    url: redis://me:§@127.0.0.1:99999\n"), (REDIS, "    url: redis://me:§@127.0.0.1/3\n"),
    (REDIS, "    url: redis://me:§@[::1\n"), (REDIS, "    url: redis://me:§%zz§h\n"),
    (REDIS, "    url: redis://me:§\n"), (REDIS, "    url: redis://me:/§@h\n"),
    (REDIS, "    url: redis://me:#§@h:1\n"), (REDIS, "    url: http://me:§@h\n"), (REDIS, "    url: me:§@h\n"),
    (REDIS, "    url: unix://me:§@run\n"), (REDIS, "    url: redis://me:§@h\n    password: §\n"),
    (REDIS, "    url: redis://me:" + 20 * "§" + "@h\n"), (REDIS, "    url: [redis://me:§@h]\n"),
    (REDIS, "    redis://me:§@h\n"),
    ("  legacy:\n" + REDIS, "  legacy: redis://me:§@h\n"), ("  legacy:\n" + REDIS, "  url: redis://me:§@h\n"),
    ("  legacy:\n" + REDIS, "  legacy: {url: 'redis://h', password: x,§}\n"),
    ("  legacy:\n" + REDIS, "  legacy: {url: 'redis://h', password: x,§,§}\n"),
    ("  legacy:\n" + REDIS, "  legacy: {url: 'redis://h', password §, password:§, password=§}\n"),
    ("  legacy:\n" + REDIS, "  legacy: {url: 'redis://h', password=§: §}\n"),
    ("  legacy:\n" + REDIS, "  redis://me:§@h: {url: 'redis://h'}\n"),
    ("redis:\n  legacy:\n" + REDIS, "redis: redis://me:§@h\n"),
    ("{source: legacy,", "{source: 'redis://me:§@h',"),
    (SASL, "    sasl.password: [§]\n"), (SASL, "    sasl.password: §\n    sasl.pasword: §\n"),
    (SASL, "    sasl.password:§\n"),
    (SASL, "    sasl.password: §\n    sasl.password_file: DIR/none\n"), (SASL, "    sasl.password_file: §\n"),
    (SASL, "    sasl.password=§: x\n"), (SASL, "    ssl.key.pem: §\n    security.protocol: ssl\n"),
    (SASL, "    ssl.key.pem: |\n      -----BEGIN PRIVATE KEY-----\n      §\n    security.protocol: ssl\n"),
    (SASL, "    ssl.key.location: DIR/secret\n    ssl.key.password: §\n    security.protocol: ssl\n"),
    (SASL, "    ssl.keystore.location: DIR/secret\n    ssl.keystore.password: §\n    security.protocol: ssl\n"),
    (SASL, "    sasl.mechanisms: OAUTHBEARER\n    security.protocol: sasl_plaintext\n"
           "    sasl.oauthbearer.method: oidc\n    sasl.oauthbearer.client.secret: §\n"
           "    sasl.oauthbearer.config: a=§\n"),
    (SASL, "    sasl.jaas.config: §\n"), (SASL, "    ssl_key: §\n"),
    (SASL, "    sasl.kerberos.kinit.cmd: '%{§}'\n    linger.ms: soon\n"),
    (SASL, "    sasl.password: §\n    compression.type: none of these\n    debug: all\n    linger.ms: §\n"),
    ("bootstrap.servers: 127.0.0.1:9092", "bootstrap.servers: 'SASL_PLAINTEXT://me:§@127.0.0.1:9092'"),
]


def test_a_broken_configuration(canaries, make_bridge, tmp_path):
    run = make_bridge({}).run
    directory = tmp_path / "broken"
    directory.mkdir()
    (directory / "secret").write_text(canaries.new("a file that is no key"))
    for number, (old, new) in enumerate(BROKEN):
        assert old in GOOD, old
        text = re.sub("§", lambda _: canaries.new(f"broken {number} {len(canaries.text)}"), GOOD.replace(old, new, 1))
        text = text.replace("DIR", str(directory))
        path = tmp_path / "broken.yaml"
        path.write_text(text)
        for more in (["--check"], []):
            code, out, err = run("-c", str(path), *more)
            canaries.grep(f"what is said of\n{text}\n", (out + err).encode())
            assert code == 64 and re.search(r"\d+ mistakes?; nothing was started", err), f"no mistake in\n{text}\n{err}"
        canaries.text = {name: text for name, text in canaries.text.items() if name == "a file that is no key"}
    code, out, err = run("--help-config")
    assert code == 0 and "password" in out


def fake_answers(word):
    """What servers that are none of ours may answer to AUTH: all repeat what came."""
    parts = word.split(b"\r\n")
    last = parts[6] if parts[2:3] == [b"AUTH"] else b""
    quoted = b" ".join(b"`" + part + b"`," for part in parts[4:7:2])
    return {
        "echo": word,
        "old": b"-ERR unknown command 'AUTH', with args beginning with: " + quoted + b"\r\n",
        "wrong": b"-WRONGPASS AUTH " + last + b" is not the password\r\n",
        "half": b"-DENIED the password begins with " + last[:14] + b"\r\n",
        "status": b"+OK welcome " + last + b"\r\n",
        "array": b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (len(last), last),
        "push": b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%s\r\n" % (len(last), last),
        "http": b"HTTP/1.1 400 Bad Request\r\n\r\n" + word,
        "bulk": b"$%d\r\n%s\r\n" % (len(last), last),
    }


@contextlib.contextmanager
def fake_redis(kind, heard):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as connection:
                    word = connection.recv(4096)
                    heard[kind] = heard.get(kind, b"") + word
                    connection.sendall(fake_answers(word)[kind])
                    connection.settimeout(0.3)
                    with contextlib.suppress(TimeoutError):
                        connection.recv(4096)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def kafka_properties(canaries, secret_file, mechanism):
    oauth = {"sasl.mechanisms": "OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt": "true",
             "sasl.oauthbearer.config": f"principal=admin {canaries.new('sasl.oauthbearer.config')}=1"}
    plain = {"sasl.mechanisms": mechanism, "sasl.username": "me",
             "sasl.password_file": secret_file("sasl.password_file")}
    return {**(oauth if mechanism == "OAUTHBEARER" else plain), "security.protocol": "sasl_plaintext", "debug": "all",
            "ssl.key.password": canaries.new("ssl.key.password"),
            "ssl.keystore.password": canaries.new("ssl.keystore.password")}


def ask_everything(one, port):
    """All that can be asked of a running bridge."""
    for words in (["status"], ["stats"], ["stats", "json"], ["routes"], ["routes", "json"], ["gaps"], ["gaps", "json"],
                  ["help"],
                  ["version"], ["config"], ["show", "config"], ["journal", "list", one.journal],
                  ["journal", "dump", one.journal],
                  ["journal", "dump", "--json", one.journal], ["journal", "verify", one.journal], ["nonsense"]):
        yield "rkbctl " + " ".join(map(str, words)), "".join(map(str, one.rkbctl(*words)))
    for page in ("", "stats", "metrics", "healthz", "readyz", "config", "nothing?password"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=20) as answer:
                yield "/" + page, f"{answer.headers}{answer.read()}"
        except urllib.error.HTTPError as error:
            yield "/" + page, f"{error.headers}{error.read()}"
    for garbage in (b"password\n", b"\x00\xff" * 50 + b"\n", b"stats config\n", b"AUTH x y\n", b"x" * 5000 + b"\n",
                    b"stats"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(one.socket))
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            answer = "".join(iter(lambda: connection.recv(4096).decode(errors="replace"), ""))
            yield f"the answer to {garbage[:20]!r}", answer
    yield "its command line", pathlib.Path(f"/proc/{one.process.pid}/cmdline").read_text()


@pytest.fixture
def secret_file(canaries, tmp_path):
    def write(place):
        path = tmp_path / f"{place}.secret"
        path.write_text(canaries.new(place) + "\n")
        return str(path)
    return write


@pytest.fixture
def users(canaries, make_redis):
    """A Redis with a user for each way to give a password."""
    ways = ("url", "password", "file", "environment")
    return make_redis(users=[f"{way} on >{canaries.new(way)} ~* &* +@all" for way in ways])


def sources_of(redis, canaries, tmp_path):
    port, quoted = redis.port, urllib.parse.quote(canaries.text["url"], safe="")
    path = tmp_path / "redis.secret"
    path.write_text(canaries.text["file"])
    return {
        "by-url": {"url": f"redis://url:{quoted}@127.0.0.1:{port}"},
        "by-password": {"url": f"redis://password@127.0.0.1:{port}", "password": canaries.text["password"]},
        "by-file": {"url": f"redis://file@127.0.0.1:{port}", "password_file": str(path)},
        "by-environment": {"url": f"redis://127.0.0.1:{port}", "user": "environment", "password": "${RKB_TEST_SECRET}"},
    }


def routes_of(sources):
    return {name: {"source": name, "channels": ["c"], "topic": "t"} for name in sources}


@pytest.mark.parametrize("mechanism", ["PLAIN", "OAUTHBEARER"])
def test_a_running_bridge(canaries, secret_file, users, make_bridge, tmp_path, mechanism):
    """Logins that are taken and ones that are refused, by Redis, by servers that are none, and by Kafka."""
    with contextlib.ExitStack() as stack:
        heard = {}
        sources = sources_of(users, canaries, tmp_path)
        sources["wrong"] = {"url": f"redis://password@127.0.0.1:{users.port}",
                            "password": canaries.new("a wrong password")}
        for kind in fake_answers(b""):
            port = stack.enter_context(fake_redis(kind, heard))
            secret = urllib.parse.quote(canaries.new(kind), safe="")
            sources[f"fake-{kind}"] = {"url": f"redis://me:{secret}@127.0.0.1:{port}"}
        port = free_port()
        one = make_bridge({"redis": {"legacy": None, **sources}, "routes": routes_of(sources),
                           "log": {"level": "debug"},
                           "http": {"listen": f"127.0.0.1:{port}"}, "shutdown_timeout": "200ms",
                           "kafka": {"properties": kafka_properties(canaries, secret_file, mechanism)}},
                          environment={"RKB_TEST_SECRET": canaries.text["environment"]})
        code, out, err = one.run("--check", "-c", str(one.config_path))
        canaries.grep("--check", (out + err).encode())
        one.start("--embedded-kafka", wait="answers")
        good = [name for name in sources if name.startswith("by-")]
        wait_for("the good sources", lambda: all(one.source(name)["subscribed"] == 1 for name in good))
        wait_for("Redis to refuse", lambda: "WRONGPASS" in one.stderr())
        wait_for("Kafka to refuse", lambda: "event=kafka_error" in one.stderr()
                 or "oauthbearer" in one.stderr().lower())
        wait_for("all fakes to be tried", lambda: all(f"[fake-{kind}]" in one.stderr() for kind in fake_answers(b"")))
        for kind in fake_answers(b""):
            assert canaries.text[kind].encode() in heard[kind], "the canary is really sent"
        with users.client() as client:
            assert client.publish("c", "x") == len(good)
        one.wait_totals(received=len(good))
        asked = 0
        for where, text in ask_everything(one, port):
            canaries.grep(where, text.encode(errors="replace"))
            asked += 1
        assert asked > 25
        assert canaries.grep_files(one.journal, one.ring_directory) >= 3
        one.terminate()
        assert canaries.grep_files(one.journal, one.ring_directory) >= 2
    canaries.grep("its log", one.stderr_path.read_bytes())


def dumped_memory(pid):
    """What a core dump would hold: all that can be read and is not marked `dd` (MADV_DONTDUMP)."""
    mapping = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (\S+) .*$")
    with open(f"/proc/{pid}/smaps", "rb") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            if found := mapping.match(line):
                begin, end, rights = int(found[1], 16), int(found[2], 16), found[3]
            elif (line.startswith(b"VmFlags:") and rights.startswith(b"r") and b" dd" not in line
                  and end - begin < 1 << 30):
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    memory.seek(begin)
                    yield f"{begin:x}", memory.read(end - begin)


def test_memory_that_a_core_dump_would_hold(canaries, users, make_bridge, publisher, tmp_path):
    """No password of Redis once the login is over, but in the environment, which is not ours. (A sanitizer keeps what
    was freed: so what was not overwritten is found.) Of long values in the file itself libyaml leaves copies, so none
    is in a url here."""
    sources = sources_of(users, canaries, tmp_path)
    del sources["by-url"]
    one = make_bridge({"redis": {"legacy": None, **sources}, "routes": routes_of(sources)},
                      environment={"RKB_TEST_SECRET": canaries.text["environment"]}).start("--embedded-kafka")
    users.kill_bridge_clients()
    wait_for("a second login", lambda: all(one.source(name)["connections_total"] == 2 for name in sources))
    wait_for("all sources", lambda: one.stats()["ready"])
    looked = 0
    for begin, data in dumped_memory(one.process.pid):
        looked += len(data)
        for place, canary in canaries.text.items():
            for found in re.finditer(re.escape(canary[KEPT:].encode()), data):
                before = data[max(0, found.start() - 60):found.start()]
                assert b"RKB_TEST_SECRET=" in before, f"the secret of {place} at {begin}+{found.start():x}: {before!r}"
    assert looked > 1 << 20
