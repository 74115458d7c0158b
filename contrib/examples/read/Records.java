/*
 * What a record of each envelope says: its id, the channel (or the route's name for it), and the payload. With Kafka's
 * Java client and Jackson; run by itself, it prints what stands in topics.
 *
 *     java -cp 'JARS/*' Records.java BOOTSTRAP ENVELOPE=TOPIC ...
 */
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

public class Records {
    /* payload: a JsonNode, or byte[] where the envelope keeps it as it was published. */
    public record Message(String id, String name, Object payload) {}

    private static final ObjectMapper JSON =
        new ObjectMapper().enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS);

    static Message event(byte[] value, String payloadName) throws IOException {
        JsonNode document = JSON.readTree(value), data = document.get("data");
        return new Message(data.get("id").asText(), document.get("name").asText(), data.get(payloadName));
    }

    static Message flat(byte[] value, String payloadName) throws IOException {
        JsonNode document = JSON.readTree(value);
        return new Message(document.get("id").asText(), document.get("name").asText(), document.get(payloadName));
    }

    static Message merge(ConsumerRecord<byte[], byte[]> record) throws IOException {
        JsonNode document = JSON.readTree(record.value());      // the payload's own names, and id, channel and time
        boolean hasOwn = record.headers().lastHeader("rkb-id") != null;         // where the payload has an id
        String id = hasOwn ? header(record, "rkb-id") : document.get("id").asText();
        return new Message(id, document.get("channel").asText(), document);
    }

    static Message raw(ConsumerRecord<byte[], byte[]> record) {
        boolean isKey = record.headers().lastHeader("rkb-channel") == null;      // by default the channel is the key
        String channel = isKey ? new String(record.key(), StandardCharsets.UTF_8) : header(record, "rkb-channel");
        return new Message(header(record, "rkb-id"), channel, record.value());
    }

    static Message cloudevents(ConsumerRecord<byte[], byte[]> record) {
        return new Message(header(record, "ce_id"), header(record, "ce_type"), record.value());
    }

    static Message cloudeventsJson(byte[] value) throws IOException {
        JsonNode document = JSON.readTree(value);
        Object data = document.has("data_base64") ? document.get("data_base64").binaryValue() : document.get("data");
        return new Message(document.get("id").asText(), document.get("type").asText(), data);
    }

    static String header(ConsumerRecord<byte[], byte[]> record, String name) {
        return new String(record.headers().lastHeader(name).value(), StandardCharsets.UTF_8);
    }

    static Message read(String envelope, ConsumerRecord<byte[], byte[]> record) throws IOException {
        return switch (envelope) {
            case "event" -> event(record.value(), "payload");
            case "flat" -> flat(record.value(), "payload");
            case "merge" -> merge(record);
            case "raw" -> raw(record);
            case "cloudevents" -> cloudevents(record);
            case "cloudevents-json" -> cloudeventsJson(record.value());
            default -> throw new IllegalArgumentException("no envelope of rkbridge: " + envelope);
        };
    }

    /* Partition 0 of the topic, from its first record to the last that it has now. */
    static void print(KafkaConsumer<byte[], byte[]> consumer, String envelope, String topic) throws IOException {
        TopicPartition place = new TopicPartition(topic, 0);
        consumer.assign(List.of(place));
        consumer.seekToBeginning(List.of(place));
        long end = consumer.endOffsets(List.of(place)).get(place);
        while (consumer.position(place) < end) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                Message message = read(envelope, record);
                Object shown = message.payload() instanceof byte[] bytes
                        ? HexFormat.of().formatHex(bytes) : message.payload();
                System.out.println(envelope + "\t" + message.id() + "\t" + message.name() + "\t" + shown);
            }
        }
    }

    public static void main(String[] arguments) throws IOException {
        Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0]);
        try (KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (String one : List.of(arguments).subList(1, arguments.length)) {
                int equals = one.indexOf('=');
                print(consumer, one.substring(0, equals), one.substring(equals + 1));
            }
        }
    }
}
