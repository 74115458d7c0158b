#!/usr/bin/env python3
"""Clients that take more than their share, until they are ended: clients.py KIND HTTP-PORT CONTROL-SOCKET; - in the
place of a port or socket leaves that alone.

silent   500 connections that say nothing
greedy   eight that ask for /metrics, four for /healthz and four for stats, each again as soon as it has its answer
slow     forty that send their request byte by byte, twenty that never read the answer to it
hostile  garbage, heads without end, connections closed at once, as fast as they are taken

It is nice to all others: what it does to the bridge is looked for, not what it takes of the cores.
"""

import os
import socket
import sys
import threading
import time

METRICS = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


class Target:
    def __init__(self, port, path):
        self.port, self.path = port, path

    def http(self):
        if self.port == "-":
            threading.Event().wait()
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def control(self):
        if self.path == "-":
            threading.Event().wait()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(self.path)
        return connection


def forever(work):
    """Again and again, whatever becomes of it."""
    while True:
        try:
            work()
        except OSError:
            time.sleep(0.01)


def take_answer(connection):
    """Reads one HTTP answer to its end."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
    while left > 0:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError
        left -= len(more)


def ask_again(target, request):
    with target.http() as connection:
        while True:
            connection.sendall(request)
            take_answer(connection)


def ask_control_again(target):
    with target.control() as connection:
        answer = connection.makefile("rb")
        while True:
            connection.sendall(b"stats json\n")
            while answer.readline() != b"OK\n":
                pass


def drip(target):
    with target.http() as connection:
        for byte in METRICS[:-1] * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)


def never_read(connect, request):
    with connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request)
        time.sleep(30)


def rubbish(connect, data):
    with connect() as connection:
        connection.sendall(data)
        connection.recv(100)


def hang_up(connect):
    connect().close()


def silent(target):
    kept = []
    for _ in range(500):
        try:
            kept.append(target.http())
        except OSError:
            continue
    return [lambda: time.sleep(1)]


def greedy(target):
    return [*[lambda: ask_again(target, METRICS)] * 8, *[lambda: ask_again(target, HEALTH)] * 4,
            *[lambda: ask_control_again(target)] * 4]


def slow(target):
    return [*[lambda: drip(target)] * 40, *[lambda: never_read(target.http, METRICS)] * 16,
            *[lambda: never_read(target.control, b"stats json\n" * 100)] * 4]


def hostile(target):
    endless = b"GET / HTTP/1.1\r\nX: " + b"y" * 60000
    return [lambda: rubbish(target.http, os.urandom(4000)), lambda: rubbish(target.http, endless),
            lambda: hang_up(target.http), lambda: rubbish(target.control, os.urandom(4000)),
            lambda: hang_up(target.control)]


KINDS = {"silent": silent, "greedy": greedy, "slow": slow, "hostile": hostile}


def main():
    kind, port, path = sys.argv[1:]
    os.nice(19)
    works = KINDS[kind](Target(port, path))
    for work in works:
        threading.Thread(target=forever, args=(work,), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
