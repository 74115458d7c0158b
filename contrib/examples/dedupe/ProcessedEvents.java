/*
 * Spring, with JdbcTemplate. The table:
 *
 *     CREATE TABLE processed_events
 *         (event_id VARCHAR(100) NOT NULL, created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
 *     CREATE UNIQUE INDEX processed_events_event_id ON processed_events (event_id);
 *     CREATE INDEX processed_events_created_at ON processed_events (created_at);
 */
import java.sql.Timestamp;
import java.time.Duration;
import java.time.Instant;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Component;
import org.springframework.transaction.annotation.Transactional;

@Component
public class ProcessedEvents {
    private final JdbcTemplate database;

    public ProcessedEvents(JdbcTemplate database) {
        this.database = database;
    }

    /* Runs effect unless an event of this id was processed; both are one transaction. Says whether it ran. */
    @Transactional(rollbackFor = Exception.class)
    public boolean once(String eventId, Runnable effect) {
        // PostgreSQL; MySQL says INSERT IGNORE INTO processed_events (event_id) VALUES (?)
        int noted = database.update(
                "INSERT INTO processed_events (event_id) VALUES (?) ON CONFLICT DO NOTHING", eventId);
        if (noted == 1)
            effect.run();
        return noted == 1;
    }

    /* Each night, from a job. */
    public int forget(Duration olderThan) {
        Timestamp oldest = Timestamp.from(Instant.now().minus(olderThan));
        return database.update("DELETE FROM processed_events WHERE created_at < ?", oldest);
    }
}
