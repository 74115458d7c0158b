"""Waiting for a condition with a deadline: the only way a test here waits."""

import time


def wait_for(what, condition, timeout=20.0, interval=0.02):
    """Asks until condition() is true and returns what it gave; fails with `what` and the last answer after timeout."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}; last answer: {answer!r}")
        time.sleep(interval)
