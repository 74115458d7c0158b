# Rails with Racecar: app/consumers/user_created_consumer.rb, run by `bundle exec racecar UserCreatedConsumer`.
# Its group begins with the first record that the topic has, and goes on where it was.
class UserCreatedConsumer < Racecar::Consumer
  subscribes_to "user_activity"

  def process(message)
    event = JSON.parse(message.value)
    return unless event["name"] == "user_created"

    ProcessedEvent.once(event["data"]["id"]) do
      user = event["data"]["user"]
      User.create!(id: user["id"], email: user["email"])
    end
  end
end
