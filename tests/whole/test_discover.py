"""rkbctl discover: what it finds on a real Redis, the config it writes, and that it leaves before Redis cuts it off."""

import json
import pathlib
import re
import signal
import subprocess
import threading

import pytest

from bridge import BUILD, REPORT
from broker import free_port
from certificates import Certificates
from waiting import wait_for

NASTY = [b'quote"\'', b"new\nline: x", b"*?[]\\", b"${HOME}", b"# not a comment", "café".encode(), b"n" * 300]
SECRET = "s3cret-and-long"


class Discovery:
    """One rkbctl discover; ended with the test."""

    def __init__(self, server, *arguments, url=None, environment=None):
        self.server = server
        self.process = subprocess.Popen([str(BUILD / "rkbctl"), "discover", url or server.url(), *map(str, arguments)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, errors="backslashreplace", env=environment)

    def _is_listening(self):
        with self.server.client() as client:
            return any(one["psub"] == "1" for one in client.client_list())

    def listening(self):
        wait_for("discover to be subscribed", self._is_listening)
        return self

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        return self.ended()

    def ended(self, timeout=30):
        out, err = self.process.communicate(timeout=timeout)
        assert not REPORT.search(err), err
        return self.process.returncode, out, err


@pytest.fixture
def discover():
    made = []

    def make(*arguments, **more):
        made.append(Discovery(*arguments, **more))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(20)


def check(path):
    done = subprocess.run([str(BUILD / "rkbridge"), "--check", "-c", str(path)], capture_output=True, timeout=60,
                          text=True)
    assert done.returncode == 0, done.stderr


def publish_all(client):
    pipeline = client.pipeline(transaction=False)
    for n in range(50):
        pipeline.publish("user_created", json.dumps({"user": {"id": n, "mail": "bob@example.com"}, "at": n}))
        pipeline.publish(f"user.{n}.created", "hello secretvalue")
        pipeline.publish("images", b"\xff\x00\xfe")
    for name in [*NASTY, b"bad\xff", b"__rkbridge:group"]:
        pipeline.publish(name, "[1, 2]")
    pipeline.execute()


def test_what_is_found_and_written(discover, redis, tmp_path):
    path = tmp_path / "rkbridge.yaml"
    with redis.client(client_name="mailer") as client, client.pubsub() as mailer:
        mailer.subscribe("user_created", "rare_event")
        wait_for("the mailer to be subscribed", lambda: dict(client.pubsub_numsub("rare_event"))[b"rare_event"] == 1)
        one = discover(redis, "--for", "1m", "--write", path, "--json").listening()
        publish_all(client)
        code, out, err = one.interrupt()
    assert code == 0 and err == "", err
    found = json.loads(out)
    groups = {group["name"]: group for group in found["groups"]}
    assert found["end"] == "signal" and found["messages"] == 150 + len(NASTY) + 2
    assert groups["user_created"]["messages"] == 50 and groups["user_created"]["listeners"] == 1
    assert groups["user_created"]["kind"] == "object" and groups["images"]["kind"] == "binary"
    assert groups["user.*.created"]["channels"] == 50 and groups["user.*.created"]["kind"] == "text"
    assert groups["rare_event"]["messages"] == 0 and groups["rare_event"]["listeners"] == 1
    assert groups["bad\\xff"]["left_out"] and groups["__rkbridge:group"]["left_out"]
    assert [(field["group"], field["pointer"]) for field in found["fields"]] == [("user_created", "/user/id")]
    assert [(client["name"], client["channels"]) for client in found["clients"]] == [("mailer", 2)]
    assert found["output_buffer_limit_known"]
    check(path)
    config = path.read_text()
    assert all(value not in out + config for value in ("bob@", "secretvalue"))
    assert config.count("\n    topic: ") == 4 + len(NASTY) and "rare_event" in config
    assert path.stat().st_mode & 0o777 == 0o600
    code, out, err = discover(redis, "--for", "1s", "--write", path).ended()
    assert code == 64 and "--force" in err and path.read_text() == config


def test_time_is_up_and_nothing_was_there(discover, redis, tmp_path):
    path = tmp_path / "rkbridge.yaml"
    code, out, err = discover(redis, "--for", "1s", "--write", path).ended()
    assert code == 1 and "nothing was found" in err and "0 messages" in out
    assert "Redis held 0 B" in out and not path.exists()


def test_wrong_use(discover, redis, tmp_path):
    closed = f"redis://127.0.0.1:{redis.port}"
    for arguments, word in [([], "usage"), (["http://x"], "begins with redis://"),
                            ([closed, "--for", "5"], "not a duration"),
                            ([closed, "--for", "0s"], "1s to 24h"), ([closed, "--nonsense"], "usage"),
                            ([closed, "--tls-no-verify"], "rediss://"), ([closed, closed], "usage"),
                            (["redis://a:b@127.0.0.1", "--password-file", "x"], "given twice")]:
        done = subprocess.run([str(BUILD / "rkbctl"), "discover", *arguments], capture_output=True, timeout=60,
                              text=True)
        good = done.returncode == 64 and word in done.stderr and not REPORT.search(done.stderr)
        assert good, (arguments, done.stderr)


def test_password_and_what_an_acl_refuses(discover, make_redis, tmp_path):
    """The password by file, by variable and wrong; a user who may listen and no more; one who may not."""
    rights = "-@all +subscribe +psubscribe +ping +auth"
    server = make_redis(users=[f"all on >{SECRET} resetchannels &* resetkeys {rights}",
                               f"some on >{SECRET} resetchannels &a* resetkeys {rights}"])
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    path = tmp_path / "rkbridge.yaml"
    one = discover(server, "--user", "all", "--password-file", secret, "--write", path).listening()
    with server.client() as client:
        client.publish("a", "x")
    code, out, err = one.interrupt()
    assert code == 0 and "unknown: it refused CLIENT LIST ID" in out.replace("\n", " ") and "a  " in out, out + err
    check(path)
    assert f'password_file: "{secret}"' in path.read_text() and SECRET not in path.read_text()
    environment = {"RKBRIDGE_REDIS_PASSWORD": SECRET}
    code, out, err = discover(server, url=server.url("some"), environment=environment).ended()
    assert code == 69 and "ACL SETUSER some &*" in err and SECRET not in out + err
    code, out, err = discover(server, "--user", "all", environment={"RKBRIDGE_REDIS_PASSWORD": "wrong"}).ended()
    assert code == 69 and "WRONGPASS" in err
    code, out, err = discover(server, url=server.url(f"some:{SECRET}")).ended()
    assert code == 69 and "can be seen by everybody" in err and SECRET not in out + err
    server.kill()
    code, out, err = discover(server).ended()
    assert code == 69 and "refused" in err.lower()


def test_the_user_of_the_manual_page(discover, make_redis):
    page = (pathlib.Path(__file__).resolve().parents[2] / "doc" / "rkbctl.1").read_text()
    rights = re.search(r"ACL SETUSER (look .*)", page).group(1).replace(">secret", f">{SECRET}")
    server = make_redis(users=[rights])
    one = discover(server, "--json", "--for", "1s", url=server.url("look"),
                   environment={"RKBRIDGE_REDIS_PASSWORD": SECRET})
    with server.client(client_name="mailer") as client, client.pubsub() as mailer:
        one.listening()
        mailer.subscribe("a")
        client.publish("a", "x")
        code, out, err = one.ended()
    found = json.loads(out)
    assert code == 0 and found["clients_known"] and found["output_buffer_limit_known"], out + err
    assert found["output_buffer_most"] is not None and found["groups"][0]["listeners"] == 1


def test_tls(discover, make_redis, tmp_path):
    """A CA of one's own is believed, and no other; both are in the config."""
    made = Certificates(tmp_path / "certificates")
    made.ca("ca")
    made.make("server", "ca")
    port = free_port()
    server = make_redis(settings=[f"tls-port {port}", f"tls-cert-file {made.crt('server')}",
                                  f"tls-key-file {made.key('server')}", f"tls-ca-cert-file {made.crt('ca')}",
                                  "tls-auth-clients no"])
    path = tmp_path / "rkbridge.yaml"
    url = f"rediss://127.0.0.1:{port}"
    one = discover(server, "--tls-ca-file", made.crt("ca"), "--write", path, url=url).listening()
    with server.client() as client:
        client.publish("a", "x")
    code, out, err = one.interrupt()
    assert code == 0 and re.search(r"^a  ", out, re.M), out + err
    assert f'tls_ca_file: "{made.crt("ca")}"' in path.read_text()
    check(path)
    code, out, err = discover(server, url=url).ended()
    assert code == 69 and "certificate" in err


def test_a_lost_connection(discover, redis, make_proxy, tmp_path):
    path = tmp_path / "rkbridge.yaml"
    proxy = make_proxy(("127.0.0.1", redis.port))
    one = discover(redis, "--write", path, url=f"redis://{proxy.address}").listening()
    with redis.client() as client:
        # Redis knows of the subscription before discover does; this it asks only when it listens.
        wait_for("discover to know that it listens",
                 lambda: any(other["cmd"] == "client|list" and other["id"] != str(client.client_id())
                             for other in client.client_list()))
        client.publish("before", "x")
    proxy.cut()
    code, out, err = one.ended()
    assert code == 69 and "the connection was lost" in out
    if re.search(r"^before ", out, re.M):       # it may have been on its way
        check(path)


def test_a_redis_that_has_other_worries(discover, redis, tmp_path):
    one = discover(redis).listening()
    redis.process.send_signal(signal.SIGSTOP)
    try:
        code, out, err = one.ended()
    finally:
        redis.process.send_signal(signal.SIGCONT)
    assert code == 0 and "did not answer a small question for three seconds" in out, out + err


class Load:
    """Publishes about 4 MB a second until told to stop."""

    def __init__(self, server):
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(server,))
        self.thread.start()

    def _run(self, server):
        with server.client() as client:
            while not self.stopped.wait(0.01):
                client.publish("much", b"x" * 40000)

    def stop(self):
        self.stopped.set()
        self.thread.join(20)


def test_leaves_before_redis_would_cut_it_off(discover, make_redis, make_proxy, tmp_path):
    """The way is too slow: what Redis holds grows, and nobody but discover itself ends its connection."""
    path = tmp_path / "rkbridge.yaml"
    server = make_redis(settings=["client-output-buffer-limit pubsub 6mb 0 0"])
    proxy = make_proxy(("127.0.0.1", server.port))
    one = discover(server, "--write", path, url=f"redis://{proxy.address}").listening()
    proxy.slow(0.2)
    load = Load(server)
    try:
        code, out, err = one.ended(60)
    finally:
        load.stop()
    assert code == 0 and "stopped early, before it could do harm" in out, out + err
    assert re.search(r"Redis held \S+ \SiB for us, and would have cut us off at 6 MiB", out), out
    assert "output buffer limits" not in (server.directory / "redis.log").read_text()
    check(path)
    with server.client() as client:
        wait_for("Redis to hold nothing for it", lambda: not client.client_list(_type="pubsub"))
