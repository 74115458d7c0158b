# What a record of each envelope says: its id, the channel (or the route's name for it), and the payload.
#
# value is message.value with Racecar, message.raw_payload with Karafka; headers is message.headers with both.
require "base64"
require "json"

module Records
  module_function

  def event(value, payload_name: "payload")
    document = JSON.parse(value)
    [document["data"]["id"], document["name"], document["data"][payload_name]]
  end

  def flat(value, payload_name: "payload")
    document = JSON.parse(value)
    [document["id"], document["name"], document[payload_name]]
  end

  def merge(value, headers) # the payload's own names, and id, channel and time
    document = JSON.parse(value)
    [headers["rkb-id"] || document["id"], document["channel"], document] # a header where the payload has an id
  end

  def raw(key, value, headers) # the payload as it was published; its channel is the key by default
    [headers["rkb-id"], headers["rkb-channel"] || key, value]
  end

  def cloudevents(value, headers) # the payload as it was published
    [headers["ce_id"], headers["ce_type"], value]
  end

  def cloudevents_json(value)
    document = JSON.parse(value)
    data = document.key?("data_base64") ? Base64.strict_decode64(document["data_base64"]) : document["data"]
    [document["id"], document["type"], data]
  end
end
