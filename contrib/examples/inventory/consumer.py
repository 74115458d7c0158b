#!/usr/bin/env python3
"""A service that keeps how many there are of each product.

    python3 consumer.py NAME        NAME is its group in Kafka, NAME.db its database
"""
import json
import os
import signal
import sqlite3
import sys

from confluent_kafka import Consumer

TABLES = """
CREATE TABLE IF NOT EXISTS processed_events
    (event_id TEXT NOT NULL, created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE UNIQUE INDEX IF NOT EXISTS processed_events_event_id ON processed_events (event_id);
CREATE TABLE IF NOT EXISTS inventory
    (product_code TEXT PRIMARY KEY, inventory_count INTEGER NOT NULL, updates INTEGER NOT NULL);
"""
NOTE = "INSERT OR IGNORE INTO processed_events (event_id) VALUES (?)"
KEEP = """INSERT INTO inventory VALUES (?, ?, 1) ON CONFLICT (product_code)
          DO UPDATE SET inventory_count = excluded.inventory_count, updates = updates + 1"""


def handle(database, records):
    """One transaction for all of them: a burst would else wait for the disk at each. They come in order per product."""
    with database:
        for record in records:
            update = json.loads(record.value())
            if database.execute(NOTE, [update["id"]]).rowcount == 1:
                database.execute(KEEP, [update["product_code"], update["inventory_count"]])


def main(name):
    database = sqlite3.connect(name + ".db")
    database.executescript(TABLES)
    consumer = Consumer({
        "bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092"),
        "group.id": os.path.basename(name),
        "auto.offset.reset": "earliest",
        "enable.auto.offset.store": False,      # only what is handled counts as read
    })
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    signal.signal(signal.SIGINT, lambda *_: ending.append(True))
    consumer.subscribe(["product_inventory"])
    while not ending:
        records = consumer.consume(1000, 0.2)
        for record in records:
            if record.error():
                print(record.error(), file=sys.stderr)
        good = [record for record in records if not record.error()]
        handle(database, good)
        for record in good:
            consumer.store_offsets(record)
    consumer.close()            # says how far it has read


if __name__ == "__main__":
    main(sys.argv[1])
