"""Publishes numbered JSON messages and remembers each: what, where, when, and to how many receivers."""

import dataclasses
import json
import threading
import time

import redis


@dataclasses.dataclass(frozen=True)
class Sent:
    channel: bytes
    n: int                  # counts the messages of its channel, from 0
    payload: bytes
    before: float           # seconds since 1970, before PUBLISH was sent ...
    after: float            # ... and after it was answered
    receivers: int | None   # None: no answer came, so it may have been published or not


class Publisher:
    def __init__(self, server, pad=0):
        self.server = server
        self.pad = "x" * pad
        self.sent = []
        self._numbers = {}
        self._client = server.client()

    def close(self):
        self._client.close()

    def _next(self, channel):
        n = self._numbers.get(channel, 0)
        self._numbers[channel] = n + 1
        document = {"channel": channel.decode("latin-1"), "n": n, "pad": self.pad}
        return n, json.dumps(document).encode()

    def publish(self, *channels, count=1):
        """`count` messages to each channel, in turn, in one pipeline; returns how many had a receiver."""
        made = []
        pipeline = self._client.pipeline(transaction=False)
        for channel in [_bytes(one) for one in channels] * count:
            n, payload = self._next(channel)
            made.append((channel, n, payload))
            pipeline.publish(channel, payload)
        before = time.time()
        try:
            answers = pipeline.execute()
        except (redis.ConnectionError, redis.TimeoutError):
            answers = [None] * len(made)
        after = time.time()
        self.sent += [Sent(*one, before, after, answer) for one, answer in zip(made, answers)]
        return sum(1 for answer in answers if answer)

    def received(self):
        """Those that Redis gave to somebody."""
        return [one for one in self.sent if one.receivers]


class Load:
    """Publishes to the channels at about `rate` messages a second, each on its own, in a thread, until stopped."""

    def __init__(self, publisher, channels, rate):
        self.publisher = publisher
        self.channels = channels
        self.rate = rate
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._end.set()
        self._thread.join(60)

    def published(self):
        return len(self.publisher.sent)

    def _run(self):
        start, done = time.monotonic(), 0
        while not self._end.is_set():
            due = int((time.monotonic() - start) * self.rate)
            while done < due and not self._end.is_set():
                self.publisher.publish(self.channels[done % len(self.channels)])
                done += 1
                if self.publisher.sent[-1].receivers is None:   # Redis is away: no point in hurrying
                    start, done, due = time.monotonic(), 0, 0
                    self._end.wait(0.05)
            self._end.wait(0.005)


class Flow(Load):
    """As Load, but in pipelines of what has come due: for rates that one at a time does not reach."""

    def _run(self):
        start, done = time.monotonic(), 0
        while not self._end.is_set():
            due = int((time.monotonic() - start) * self.rate / len(self.channels))
            if due > done:
                self.publisher.publish(*self.channels, count=min(due - done, 2000))
                done = due
            self._end.wait(0.005)


def _bytes(name):
    return name.encode() if isinstance(name, str) else name
