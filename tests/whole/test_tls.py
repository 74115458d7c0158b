"""rediss://: a real redis-server with TLS; who is believed, what is said of the others,
certificates renewed meanwhile."""

import pytest

from bridge import route
from broker import free_port
from certificates import Certificates
from delivery import assert_delivered, decode_event
from waiting import wait_for


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = Certificates(tmp_path_factory.mktemp("certificates"))
    made.ca("ca")
    made.ca("newca")
    made.ca("otherca")
    made.make("server", "ca")
    made.make("newserver", "newca")
    made.make("elsewhere", "ca", names="DNS:redis.elsewhere.test")
    made.make("expired", "ca", expired=True)
    made.make("bridge", "ca", names="DNS:bridge")
    return made


@pytest.fixture
def make_tls(make_redis, certificates):
    """A Redis with TLS on a port of its own, beside the plain one that the test uses;
    asks for clients' certificates by itself."""
    def make(certificate="server", clients="no"):
        port = free_port()
        server = make_redis(settings=[
            f"tls-port {port}", f"tls-cert-file {certificates.crt(certificate)}",
            f"tls-key-file {certificates.key(certificate)}", f"tls-ca-cert-file {certificates.crt('ca')}",
            f"tls-auth-clients {clients}"])
        server.tls_port = port
        return server
    return make


def source(server, host="127.0.0.1", **more):
    return {"url": f"rediss://{host}:{server.tls_port}", **{name: str(value) for name, value in more.items()}}


def test_a_burst_and_renewed_certificates(make_tls, make_bridge, make_publisher, certificates, kafka, topic, read,
                                          tmp_path):
    """Both sides show who they are; all arrives in order; CA and certificates are replaced while it runs, and count at
    the next connection."""
    server = make_tls(clients="yes")
    ca = tmp_path / "ca.crt"
    ca.write_bytes(certificates.crt("ca").read_bytes())
    one = make_bridge({"redis": {"legacy": source(server, tls_ca_file=ca,
                                                  tls_certificate_file=certificates.crt("bridge"),
                                                  tls_key_file=certificates.key("bridge"))},
                       "routes": {"all": route(topic, channels=["users", "orders"])}}, kafka=kafka.bootstrap).start()
    publisher = make_publisher(server, pad=700)
    assert publisher.publish("users", "orders", count=2000) == 4000
    one.wait_totals(received=4000)
    with server.client() as client:
        client.config_set("tls-cert-file", str(certificates.crt("newserver")), "tls-key-file",
                          str(certificates.key("newserver")))
    server.kill_bridge_clients()
    wait_for("the new CA to be missed", lambda: "signed by newca" in one.source()["error"])
    assert "tls_ca_file" in one.source()["error"] and not one.source()["connected"]
    ca.write_bytes(certificates.crt("newca").read_bytes())
    wait_for("the bridge to be there again", lambda: one.stats()["ready"])
    assert publisher.publish("users", count=100) == 100
    one.wait_totals(received=4100, pending=0)
    assert_delivered(publisher.sent, [decode_event()(record) for record in read(topic)], gaps=one.spans(), once=True)


def test_a_directory_of_cas(make_tls, make_bridge, certificates, kafka, topic, tmp_path):
    server = make_tls()
    directory = certificates.hashed("ca", tmp_path / "cas")
    make_bridge({"redis": {"legacy": source(server, host="localhost", tls_ca_directory=directory)},
                 "routes": {"all": route(topic, channels=["users"])}}, kafka=kafka.bootstrap).start()


def test_who_is_not_believed(make_tls, make_bridge, certificates, kafka, topic):
    """Each with what is wrong and what to do; none of them hinders the one that is well."""
    ca = certificates.crt("ca")
    well, elsewhere, expired, asking = make_tls(), make_tls("elsewhere"), make_tls("expired"), make_tls(clients="yes")
    plain = {"url": f"rediss://127.0.0.1:{well.port}", "tls_ca_file": str(ca), "connect_timeout": "300ms"}
    sources = {
        "legacy": (source(well, tls_ca_file=ca), ""),
        "stranger": (source(well, tls_ca_file=certificates.crt("otherca")),
                     "signed by ca, which is not among tls_ca_file"),
        "system": (source(well), "not among the CAs of this system: name its CA in tls_ca_file"),
        "elsewhere": (source(elsewhere, tls_ca_file=ca), "is for redis.elsewhere.test, and not for 127.0.0.1"),
        "expired": (source(expired, tls_ca_file=ca), "its certificate expired on 20"),
        "asking": (source(asking, tls_ca_file=ca),
                   "the server asks for a client certificate: give tls_certificate_file"),
        "plain": (plain, "a Redis without TLS on that port never answers"),
    }
    one = make_bridge({"redis": {name: settings for name, (settings, _) in sources.items()},
                       "routes": {name: {"source": name, "topic": topic, "channels": ["users"]} for name in sources}},
                      kafka=kafka.bootstrap).start(wait="answers")

    def said():
        found = one.stats()["sources"]
        return all(words in found[name]["error"]
                   for name, (_, words) in sources.items()) and found["legacy"]["subscribed"]
    wait_for("each to say what is wrong", said)
    found = one.stats()["sources"]
    assert [name for name in sources if found[name]["connected"]] == ["legacy"]
    assert all(found[name]["connections_total"] == 0 for name in sources if name != "legacy")
    assert "event=connection_failed" in one.stderr()


def test_unverified_is_said_loudly(make_tls, make_bridge, kafka, topic):
    server = make_tls("elsewhere")
    one = make_bridge({"redis": {"legacy": source(server, tls_verify="no")},
                       "routes": {"all": route(topic, channels=["users"])}}, kafka=kafka.bootstrap).start()
    assert "event=tls_unverified" in one.stderr()
    wait_for("all else to be well", lambda: one.rkbctl("status")[0] == 0)
    assert "\nnote: source legacy believes whoever answers (tls_verify: no)" in one.rkbctl("status")[1]
