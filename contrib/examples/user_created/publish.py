#!/usr/bin/env python3
"""Publishes new users as the Rails services do, where it is  REDIS.publish("user_created", user.to_json).

    python3 publish.py FIRST COUNT      users FIRST, FIRST + 1, ...
"""
import json
import os
import sys

import redis


def main(first, count):
    client = redis.Redis.from_url(os.environ.get("REDIS", "redis://127.0.0.1:6379"))
    for number in range(first, first + count):
        user = {"id": number, "email": f"user{number}@example.com", "name": f"User {number}"}
        client.publish("user_created", json.dumps(user))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
