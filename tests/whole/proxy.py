"""A TCP proxy that can break what goes through it.

    client --> [ port ] --> target        pass   bytes go both ways
       near             far               cut    all connections end now (reset); new ones pass
                                          stall  connections stay, not one byte moves, until pass
                                          slow   bytes go both ways, a portion every so often
                                          split  bytes go both ways, in pieces cut at odd places
                                          refuse all connections end, new ones are refused, until pass
                                          half_open  what comes from a side is swallowed, on the connections there are,
                                                 for good; where one side closes, the other is not told, until pass
                                          swallow   what comes from a side is swallowed, on those connections whose
                                                 client said this or that, new ones too, until pass
"""

import random
import selectors
import socket
import ssl
import struct
import threading
import time

from broker import free_port

CHUNK = 65536


class _Pair:
    """Two connected sockets; what comes from one is sent to the other."""

    def __init__(self, near, far):
        self.sockets = (near, far)
        self.swallowed = ()             # the sockets whose bytes go nowhere
        self.said = b""                 # by the client, at first

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
        self._pairs = set()
        self._forgotten = []            # sockets whose other side is gone, which they are not told
        self._flowing = threading.Event()
        self._flowing.set()
        self._pause = 0.0
        self._places = None             # splits: says where
        self._sides, self._whose = (), None     # what is swallowed by rule
        self.near_side = lambda accepted: accepted      # what speaks with the client: the socket, or TLS around it
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
            near = self.near_side(near)
            if isinstance(self.target, tuple):
                far = socket.create_connection(self.target, timeout=5)
            else:
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self.target))
        except OSError:
            _reset(near)
            return
        for one in (near, far):
            one.settimeout(None)
            if one.family != socket.AF_UNIX:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = _Pair(near, far)
        with self._lock:
            self.accepted += 1
            self._connections |= {near, far}
            self._pairs.add(pair)
        self._thread(self._carry, pair)

    def _carry(self, pair):
        with selectors.DefaultSelector() as selector:
            try:
                for one in pair.sockets:
                    selector.register(one, selectors.EVENT_READ)
                while all(one.fileno() >= 0 for one in pair.sockets):      # a closed one leaves the selector silently
                    for key, _ in selector.select(0.1):
                        self._flowing.wait()
                        data = _read(key.fileobj)
                        self._flowing.wait()
                        if not data:
                            self._keep_other(pair, key.fileobj)
                            return
                        if key.fileobj not in pair.swallowed and not self._swallows(pair, key.fileobj, data):
                            self._send(pair.other(key.fileobj), data)
                        time.sleep(self._pause)
            except (OSError, ValueError, KeyError):
                return
            finally:
                self._end(pair)

    def _send(self, to, data):
        places = self._places
        while places and data:
            piece = places.randint(1, 9) if places.random() < 0.5 else places.randint(10, 1500)
            to.sendall(data[:piece])
            data = data[piece:]
        to.sendall(data)

    def _swallows(self, pair, one, data):
        side = "near" if one is pair.sockets[0] else "far"
        if side == "near":
            pair.said = (pair.said + data)[:4096]
        return side in self._sides and bool(self._whose(pair.said))

    def _keep_other(self, pair, closed):
        """A side closed: on a half-open connection the other stays as it is, and unread."""
        with self._lock:
            if pair.swallowed and pair.other(closed) in self._connections:
                self._forgotten.append(pair.other(closed))

    def _end(self, pair):
        with self._lock:
            self._pairs.discard(pair)
            ending = [one for one in pair.sockets if one not in self._forgotten]
            self._connections -= set(ending)
        for one in ending:
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

    def split(self, seed):
        """From now on bytes go in pieces of 1 to 1500, half of them of less than 10."""
        self._places = random.Random(seed)

    def half_open(self, *sides):
        """sides: "near" (the client's bytes are swallowed), "far" (the target's).
        Returns how many connections it met."""
        with self._lock:
            for pair in self._pairs:
                pair.swallowed = tuple(pair.sockets[("near", "far").index(side)] for side in sides)
            return len(self._pairs)

    def swallow(self, *sides, whose=lambda said: True):
        """sides as of half_open. whose: on which connections, by what their clients have said."""
        self._sides, self._whose = sides, whose

    def refuse(self):
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)   # wakes who waits in accept, and no more connections at once
            self._listener.close()
            self._listener = None
        self.cut()
        self._flowing.set()

    def go_on(self):
        """Whatever was broken: bytes pass again, on new connections where they were half-open."""
        self._flowing.set()
        self._pause = 0.0
        self._places = None
        self._sides = ()
        self._end_half_open()
        if not self._listener:
            self._listen()

    def _end_half_open(self):
        with self._lock:
            ending = self._forgotten + [one for pair in self._pairs if pair.swallowed for one in pair.sockets]
            self._forgotten = []
            self._connections -= set(ending)
        for one in ending:
            _reset(one)

    def close(self):
        self.refuse()
        self._end_half_open()
        for thread in self._threads:
            thread.join(5)


def _read(connection):
    """What is there; of TLS all that is held back too, since nobody would wait for it."""
    try:
        data = connection.recv(CHUNK)
        while data and isinstance(connection, ssl.SSLSocket) and connection.pending():
            data += connection.recv(CHUNK)
        return data
    except ConnectionResetError:
        return b""


def _reset(connection):
    """Closes with a reset instead of an orderly end, also for a thread that waits in it."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
