/*
 * The same with Kafka's Java client, Jackson and JDBC. The topic and the tables are as in consumer.py.
 *
 *     java -cp 'JARS/*' UserCreatedConsumer.java BOOTSTRAP GROUP JDBC_URL
 */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class UserCreatedConsumer {
    private static final ObjectMapper JSON = new ObjectMapper();

    /* The event is noted and the user created, or neither. As PostgreSQL and SQLite say it; MySQL: INSERT IGNORE. */
    static void handle(Connection database, byte[] value) throws IOException, SQLException {
        JsonNode event = JSON.readTree(value), data = event.get("data");
        String note = "INSERT INTO processed_events (event_id) VALUES (?) ON CONFLICT DO NOTHING";
        String create = "INSERT INTO users (id, email) VALUES (?, ?)";
        try (PreparedStatement noting = database.prepareStatement(note);
             PreparedStatement creating = database.prepareStatement(create)) {
            noting.setString(1, data.get("id").asText());
            if (noting.executeUpdate() == 1 && event.get("name").asText().equals("user_created")) {
                creating.setLong(1, data.get("user").get("id").asLong());
                creating.setString(2, data.get("user").get("email").asText());
                creating.executeUpdate();
            }
            database.commit();
        } catch (SQLException failed) {
            database.rollback();
            throw failed;
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 3) {
            System.err.println("usage: UserCreatedConsumer BOOTSTRAP GROUP JDBC_URL");
            System.exit(64);
        }
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", arguments[1],
            "auto.offset.reset", "earliest",        // a new service reads all there is
            "enable.auto.commit", false);           // only what is handled counts as read
        try (Connection database = DriverManager.getConnection(arguments[2]);
             KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            database.setAutoCommit(false);
            consumer.subscribe(List.of("user_activity"));
            while (true) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofSeconds(1));
                for (ConsumerRecord<byte[], byte[]> record : records)
                    handle(database, record.value());
                consumer.commitSync();
            }
        }
    }
}
