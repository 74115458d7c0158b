"""A TCP proxy that can break what goes through it.

    client --> [ port ] --> target        pass   bytes go both ways
                                          cut    all connections end now (reset); new ones pass
                                          stall  connections stay, not one byte moves, until pass
                                          slow   bytes go both ways, a portion every so often
                                          refuse all connections end, new ones are refused, until pass
"""

import selectors
import socket
import struct
import threading
import time

from broker import free_port

CHUNK = 65536


class _Pair:
    """Two connected sockets; what comes from one is sent to the other."""

    def __init__(self, near, far):
        self.sockets = (near, far)

    def other(self, one):
        return self.sockets[1] if one is self.sockets[0] else self.sockets[0]


class Proxy:
    """target: (host, port) or a unix socket's path. port: where to listen; a free one unless given."""

    def __init__(self, target, port=None):
        self.target = target
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.accepted = 0
        self._lock = threading.Lock()
        self._threads = []
        self._connections = set()       # every open socket
        self._flowing = threading.Event()
        self._flowing.set()
        self._pause = 0.0
        self._listener = None
        self._listen()

    def _listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self._listener.settimeout(0.1)
        self._thread(self._accept, self._listener)

    def _thread(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def _accept(self, listener):
        while listener.fileno() >= 0:
            try:
                near, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._connect(near)

    def _connect(self, near):
        try:
            if isinstance(self.target, tuple):
                far = socket.create_connection(self.target, timeout=5)
            else:
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self.target))
        except OSError:
            _reset(near)
            return
        near.settimeout(None)
        far.settimeout(None)
        with self._lock:
            self.accepted += 1
            self._connections |= {near, far}
        self._thread(self._carry, _Pair(near, far))

    def _carry(self, pair):
        with selectors.DefaultSelector() as selector:
            try:
                for one in pair.sockets:
                    selector.register(one, selectors.EVENT_READ)
                while all(one.fileno() >= 0 for one in pair.sockets):      # a closed one leaves the selector without a word
                    for key, _ in selector.select(0.1):
                        self._flowing.wait()
                        data = key.fileobj.recv(CHUNK)
                        self._flowing.wait()
                        if not data:
                            return
                        pair.other(key.fileobj).sendall(data)
                        time.sleep(self._pause)
            except (OSError, ValueError, KeyError):
                return
            finally:
                with self._lock:
                    self._connections -= set(pair.sockets)
                for one in pair.sockets:
                    one.close()

    def cut(self):
        """Ends every connection there is; returns how many sockets that were."""
        with self._lock:
            connections, self._connections = self._connections, set()
        for one in connections:
            _reset(one)
        return len(connections)

    def stall(self):
        self._flowing.clear()

    def slow(self, pause):
        """From now on a connection carries 64 KiB in each `pause` seconds, at most."""
        self._pause = pause

    def refuse(self):
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)   # wakes who waits in accept, and no more connections at once
            self._listener.close()
            self._listener = None
        self.cut()
        self._flowing.set()

    def go_on(self):
        """Whatever was broken: bytes pass again."""
        self._flowing.set()
        self._pause = 0.0
        if not self._listener:
            self._listen()

    def close(self):
        self.refuse()
        for thread in self._threads:
            thread.join(5)


def _reset(connection):
    """Closes with a reset instead of an orderly end, also for a thread that waits in it."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
