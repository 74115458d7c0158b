#!/usr/bin/env python3
"""A service that wants each new user once.

    python3 consumer.py NAME        NAME is its group in Kafka, NAME.db its database

Stopped, and started again, it goes on where it was. One with a new NAME begins with the first record that the topic
has.
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
CREATE TABLE IF NOT EXISTS users (id INTEGER NOT NULL, email TEXT NOT NULL);
"""


def handle(database, value):
    """One transaction: the event is noted and the user created, or neither."""
    event = json.loads(value)
    with database:
        noted = database.execute("INSERT OR IGNORE INTO processed_events (event_id) VALUES (?)", [event["data"]["id"]])
        if noted.rowcount == 1 and event["name"] == "user_created":
            user = event["data"]["user"]
            database.execute("INSERT INTO users (id, email) VALUES (?, ?)", [user["id"], user["email"]])


def main(name):
    database = sqlite3.connect(name + ".db")
    database.executescript(TABLES)
    consumer = Consumer({
        "bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092"),
        "group.id": os.path.basename(name),
        "auto.offset.reset": "earliest",        # a new service reads all there is
        "enable.auto.offset.store": False,      # only what is handled counts as read
    })
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    signal.signal(signal.SIGINT, lambda *_: ending.append(True))
    consumer.subscribe(["user_activity"])
    while not ending:
        record = consumer.poll(0.5)
        if record is None:
            continue
        if record.error():
            print(record.error(), file=sys.stderr)
            continue
        handle(database, record.value())
        consumer.store_offsets(record)
    consumer.close()            # says how far it has read


if __name__ == "__main__":
    main(sys.argv[1])
