# Rails with Racecar: app/consumers/inventory_consumer.rb. A batch is one transaction; where it fails, all of it comes
# again.
class InventoryConsumer < Racecar::Consumer
  subscribes_to "product_inventory"

  def process_batch(messages)
    ApplicationRecord.transaction do
      messages.each do |message|
        update = JSON.parse(message.value)
        ProcessedEvent.once(update["id"]) do
          Product.find_by!(code: update["product_code"]).update!(inventory_count: update["inventory_count"])
        end
      end
    end
  end
end
