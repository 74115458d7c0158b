"""The control socket: one command a line, an answer that ends in OK or in ERROR code text."""

import json
import socket

from waiting import wait_for


class ControlError(Exception):
    """The bridge answered ERROR code text."""

    def __init__(self, code, text):
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Control:
    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        try:
            wait_for("room in the control socket's queue", lambda: self._connect(path), timeout)
        except OSError:
            self.socket.close()
            raise
        self.answers = self.socket.makefile("rb")

    def _connect(self, path):
        try:
            self.socket.connect(str(path))
            return True
        except BlockingIOError:         # too many connect at once
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.answers.close()
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text.encode() + b"\n")

    def answer(self):
        """The lines of one answer, without the OK. Lines are bytes: a channel's name may be any."""
        lines = []
        while True:
            line = self.answers.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("the control socket was closed in the middle of an answer")
            line = line[:-1]
            if line == b"OK":
                return lines
            if line.startswith(b"ERROR "):
                _, code, *text = line.decode().split(" ", 2)
                raise ControlError(code, " ".join(text))
            lines.append(line)

    def ask(self, command):
        self.send(command)
        return self.answer()

    def ask_text(self, command):
        return "\n".join(line.decode() for line in self.ask(command))

    def ask_json(self, command):
        lines = self.ask(command)
        assert len(lines) == 1, f"{command}: one line of JSON was to come, not {len(lines)}"
        return json.loads(lines[0])

    def stats(self):
        return self.ask_json("stats json")
