#!/usr/bin/env python3
"""Publishes a burst of inventory updates as the Rails services do. Of each thousand one has a product code of four
letters, which the rule of rkbridge.yaml does not know, and one a count below zero.

    python3 publish.py COUNT
"""
import json
import os
import sys

import redis

PRODUCTS = [f"{letters}-{number}" for letters in ("ABC", "KLM", "XYZ") for number in range(1, 101)]


def update(number):
    """Update number `number`: what is published for it."""
    product = PRODUCTS[number % len(PRODUCTS)]
    if number % 1000 == 333:
        product = "WXYZ-" + str(number % 7)
    count = -1 if number % 1000 == 666 else number % 50
    return {"product_code": product, "inventory_count": count, "update": number}


def main(count):
    client = redis.Redis.from_url(os.environ.get("REDIS", "redis://127.0.0.1:6379"))
    for first in range(0, count, 1000):
        pipeline = client.pipeline(transaction=False)
        for number in range(first, min(first + 1000, count)):
            pipeline.publish("product_inventory_updates", json.dumps(update(number)))
        pipeline.execute()


if __name__ == "__main__":
    main(int(sys.argv[1]))
