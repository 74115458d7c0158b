# Rails: app/models/processed_event.rb
class ProcessedEvent < ApplicationRecord
  # Runs the block unless an event of this id was processed; both are one transaction. Says whether it ran.
  def self.once(event_id)
    transaction do
      next false unless note(event_id)

      yield
      true
    end
  end

  # The inner transaction is a savepoint: the id that is there already leaves the outer one usable (PostgreSQL).
  def self.note(event_id)
    transaction(requires_new: true) { create!(event_id: event_id) }
    true
  rescue ActiveRecord::RecordNotUnique
    false
  end
  private_class_method :note

  # Each night, from a job.
  def self.forget(older_than: 30.days)
    where(created_at: ...older_than.ago).in_batches.delete_all
  end
end
