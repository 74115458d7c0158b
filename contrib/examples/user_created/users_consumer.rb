# Rails with Karafka: app/consumers/users_consumer.rb, and in karafka.rb
#
#   routes.draw do
#     topic :user_activity do
#       consumer UsersConsumer
#       initial_offset "earliest"
#     end
#   end
class UsersConsumer < ApplicationConsumer
  def consume
    messages.each do |message|
      event = message.payload # Karafka has parsed the JSON
      next unless event["name"] == "user_created"

      ProcessedEvent.once(event["data"]["id"]) do
        user = event["data"]["user"]
        User.create!(id: user["id"], email: user["email"])
      end
      mark_as_consumed(message)
    end
  end
end
