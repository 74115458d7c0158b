# Rails: db/migrate/..._create_processed_events.rb
class CreateProcessedEvents < ActiveRecord::Migration[7.0]
  def change
    create_table :processed_events do |t|
      t.string :event_id, limit: 100, null: false
      t.datetime :created_at, null: false
    end
    add_index :processed_events, :event_id, unique: true
    add_index :processed_events, :created_at # for the removal of old ones
  end
end
