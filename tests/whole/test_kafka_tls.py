"""Kafka's certificate expires under load, and is renewed: it is said, and delivery goes on by itself."""

import ssl

import pytest

from bridge import route
from certificates import Certificates
from delivery import assert_delivered, decode_raw
from publisher import Load
from waiting import wait_for


class Tls:
    """Makes a proxy speak TLS to its clients, with the certificate that was named last."""

    def __init__(self, proxy, certificates):
        self.proxy, self.certificates = proxy, certificates
        self.show("server")
        proxy.near_side = self.wrap

    def show(self, name):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificates.crt(name), self.certificates.key(name))

    def wrap(self, accepted):
        return self.context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)


@pytest.fixture
def tls(kafka_proxy, tmp_path):
    made = Certificates(tmp_path / "certificates")
    made.ca("ca")
    made.make("server", "ca")
    made.make("expired", "ca", expired=True)
    return Tls(kafka_proxy, made)


def test_a_certificate_that_expires(proxied_bridge, kafka_proxy, tls, publisher, topic, read):
    one = proxied_bridge({"all": route(topic, channels=["a", "b"], envelope="raw")}, kafka={"properties": {
        "security.protocol": "ssl", "ssl.ca.location": str(tls.certificates.crt("ca"))}}).start()
    with Load(publisher, ["a", "b"], 400):
        one.wait_totals(delivered=200)
        tls.show("expired")
        kafka_proxy.cut()
        wait_for("the certificate to be missed", lambda: "or it has expired" in one.stderr())
        wait_for("messages that wait", lambda: one.totals()["pending"] > 400)
        tls.show("server")
        received = one.totals()["received"]
        wait_for("the way to be free", lambda: one.totals()["delivered"] > received)
    one.wait_totals(60, received=len(publisher.sent), pending=0)
    assert one.totals()["dead_lettered"] == 0
    assert "Kafka takes records again" in one.stderr()
    assert_delivered(publisher.sent, [decode_raw(record) for record in read(topic)])
