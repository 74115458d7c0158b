#!/usr/bin/env python3
"""Publishes numbered messages to Redis from several connections, and writes down each PUBLISH that was tried
(published.jsonl).

    publishers.py PORT SEED RATE OUT COUNT CHANNEL ...      until standard input ends

Numbers count per publisher and channel, from 1. A message that got no answer may have been published or not.
"""

import json
import pathlib
import random
import socket
import sys
import threading
import time

import payload

BATCH = 200             # the most messages in one write


def now_us():
    return time.time_ns() // 1000


class Connection:
    """A client of Redis that writes several PUBLISH at once and reads their answers one by one;
    it never tries again."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        # Longer than any fault: an answer given up would leave its PUBLISH to be executed at any later time.
        self.socket.settimeout(60)
        self.answers = self.socket.makefile("rb")

    def send(self, messages):
        self.socket.sendall(b"".join(b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(c), c, len(p), p)
                                     for c, p in messages))

    def answer(self):
        """The next answer: (receivers, None) or (None, what Redis said against it)."""
        line = self.answers.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("closed before the answer")
        if line.startswith(b":"):
            return int(line[1:]), None
        return None, line[1:-2].decode(errors="replace")

    def close(self):
        self.answers.close()
        self.socket.close()


class Publisher(threading.Thread):
    def __init__(self, number, options, out):
        super().__init__()
        self.number = number
        self.port, self.seed, self.rate, self.channels = options
        self.out, self.lock = out
        self.draw = random.Random(f"{self.seed}/publisher/{number}")
        self.numbers = dict.fromkeys(self.channels, 0)
        self.end = threading.Event()
        self.connection = None

    def run(self):
        due, last, rest = 0.0, time.monotonic(), 0.0
        while not self.end.wait(rest or 0.01):
            now = time.monotonic()
            due, last = min(due + (now - last) * self.rate, BATCH), now
            # Now and then it rests, and what has become due comes in one burst.
            rest = self.draw.uniform(0.1, 0.5) if self.draw.random() < 0.005 else 0.0
            if due >= 1 and self._connected():
                self._publish(int(due))
                due -= int(due)
        if self.connection:
            self.connection.close()

    def _connected(self):
        """While Redis is away nothing is tried."""
        try:
            self.connection = self.connection or Connection(self.port)
        except OSError:
            self.end.wait(0.05)
        return self.connection is not None

    def _publish(self, count):
        tried = [self._next() for _ in range(count)]
        sent, answered, error = now_us(), 0, None
        try:
            self.connection.send([(one["c"].encode(), data) for one, data in tried])
            for one, _ in tried:
                one["receivers"], one["error"] = self.connection.answer()
                one["answered_us"] = now_us()
                answered += 1
        except OSError as broken:
            error = str(broken) or type(broken).__name__
            self.connection.close()
            self.connection = None
        for one, _ in tried[answered:]:
            one["error"] = error
        lines = "".join(json.dumps({**one, "sent_us": sent}) + "\n" for one, _ in tried)
        with self.lock:
            self.out.write(lines)

    def _next(self):
        channel = self.draw.choice(self.channels)
        self.numbers[channel] += 1
        made = payload.make(self.seed, self.number, self.numbers[channel], channel)[1]
        return {"p": self.number, "n": self.numbers[channel], "c": channel, "sent_us": 0, "answered_us": None,
                "receivers": None, "error": None}, made


def main():
    port, seed, rate, out, count, *channels = sys.argv[1:]
    with pathlib.Path(out).open("w", buffering=1 << 16) as file:
        lock = threading.Lock()
        options = (int(port), int(seed), float(rate) / int(count), channels)
        publishers = [Publisher(number, options, (file, lock)) for number in range(1, int(count) + 1)]
        for one in publishers:
            one.start()
        try:
            sys.stdin.read()
        except KeyboardInterrupt:
            pass
        for one in publishers:
            one.end.set()
        for one in publishers:
            one.join()


if __name__ == "__main__":
    main()
