/*
 * The same with Kafka's Java client, Jackson and JDBC (PostgreSQL's or SQLite's words). The topic and the tables are as
 * in consumer.py.
 *
 *     java -cp 'JARS/*' InventoryConsumer.java BOOTSTRAP GROUP JDBC_URL
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

public class InventoryConsumer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String NOTE = "INSERT INTO processed_events (event_id) VALUES (?) ON CONFLICT DO NOTHING";
    private static final String KEEP = "INSERT INTO inventory VALUES (?, ?, 1) ON CONFLICT (product_code) DO UPDATE "
        + "SET inventory_count = excluded.inventory_count, updates = inventory.updates + 1";

    /* One transaction for all of them. They come in order per product. */
    static void handle(Connection database, ConsumerRecords<byte[], byte[]> records) throws IOException, SQLException {
        try (PreparedStatement note = database.prepareStatement(NOTE);
             PreparedStatement keep = database.prepareStatement(KEEP)) {
            for (ConsumerRecord<byte[], byte[]> record : records) {
                JsonNode update = JSON.readTree(record.value());
                note.setString(1, update.get("id").asText());
                if (note.executeUpdate() == 1) {
                    keep.setString(1, update.get("product_code").asText());
                    keep.setLong(2, update.get("inventory_count").asLong());
                    keep.executeUpdate();
                }
            }
            database.commit();
        } catch (IOException | SQLException failed) {
            database.rollback();
            throw failed;
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 3) {
            System.err.println("usage: InventoryConsumer BOOTSTRAP GROUP JDBC_URL");
            System.exit(64);
        }
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", arguments[1],
            "auto.offset.reset", "earliest",
            "enable.auto.commit", false);           // only what is handled counts as read
        try (Connection database = DriverManager.getConnection(arguments[2]);
             KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            database.setAutoCommit(false);
            consumer.subscribe(List.of("product_inventory"));
            while (true) {
                handle(database, consumer.poll(Duration.ofSeconds(1)));
                consumer.commitSync();
            }
        }
    }
}
