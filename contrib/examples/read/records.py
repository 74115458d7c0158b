"""What a record of each envelope says: its id, the channel (or the route's name for it), and the payload.

value and headers are record.value() and dict(record.headers() or []) of confluent-kafka.
"""
import base64
import json


def event(value, payload_name="payload"):
    document = json.loads(value)
    return document["data"]["id"], document["name"], document["data"][payload_name]


def flat(value, payload_name="payload"):
    document = json.loads(value)
    return document["id"], document["name"], document[payload_name]


def merge(value, headers):                  # the payload's own names, and id, channel and time
    document = json.loads(value)
    # in a header where the payload has an id
    uuid = headers["rkb-id"].decode() if "rkb-id" in headers else document["id"]
    return uuid, document["channel"], document


def raw(key, value, headers):               # the payload as it was published; its channel is the key by default
    return headers["rkb-id"].decode(), headers.get("rkb-channel", key).decode(), value


def cloudevents(value, headers):            # the payload as it was published
    return headers["ce_id"].decode(), headers["ce_type"].decode(), value


def cloudevents_json(value):
    document = json.loads(value)
    if "data_base64" in document:
        return document["id"], document["type"], base64.b64decode(document["data_base64"])
    return document["id"], document["type"], document["data"]
