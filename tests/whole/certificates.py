"""Certificates made for a test by the openssl command: NAME.crt and NAME.key in a directory."""

import subprocess


def _openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)


class Certificates:
    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def crt(self, name):
        return self.directory / f"{name}.crt"

    def key(self, name):
        return self.directory / f"{name}.key"

    def ca(self, name):
        """A CA; returns its certificate."""
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 10, "-subj",
                 f"/CN={name}", "-keyout", self.key(name), "-out", self.crt(name))
        return self.crt(name)

    def make(self, name, ca, names="DNS:localhost,IP:127.0.0.1", expired=False):
        """One signed by that CA; returns its certificate."""
        request, extension = self.directory / f"{name}.csr", self.directory / f"{name}.ext"
        extension.write_text(f"subjectAltName={names}\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                 "-keyout", self.key(name), "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.crt(ca), "-CAkey", self.key(ca), "-CAcreateserial",
                 "-days", -1 if expired else 10, "-extfile", extension, "-out", self.crt(name))
        return self.crt(name)

    def hashed(self, ca, directory):
        """A directory with that CA, as openssl rehash leaves it."""
        directory.mkdir()
        (directory / "ca.pem").write_bytes(self.crt(ca).read_bytes())
        _openssl("rehash", directory)
        return directory
