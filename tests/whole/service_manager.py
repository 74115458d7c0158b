"""A service manager as rkbridge sees one: a datagram socket that hears sd_notify's words."""

import socket
import threading
import time

from waiting import wait_for


class ServiceManager:
    """`heard` grows in a thread: (monotonic seconds, text). environment() is for the process that is to speak to it."""

    def __init__(self, directory):
        self.path = directory / "notify"
        self.heard = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self._thread.join(10)
        self._socket.close()
        self.path.unlink()

    def _listen(self):
        while data := self._socket.recv(4096):
            self.heard.append((time.monotonic(), data.decode()))

    def environment(self, watchdog=None):
        """watchdog: the period in seconds."""
        period = {"WATCHDOG_USEC": str(int(watchdog * 1e6))} if watchdog else {}
        return {"NOTIFY_SOCKET": str(self.path), **period}

    def texts(self):
        return [text for _, text in self.heard]

    def times(self, text):
        """When exactly this was heard."""
        return [when for when, heard in self.heard if heard == text]

    def wait(self, start, timeout=20):
        """Waits for a message that begins so, and returns the first of them."""
        return wait_for(f"the service manager to hear {start}",
                        lambda: next((text for text in self.texts() if text.startswith(start)), None), timeout)
