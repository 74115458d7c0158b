/*
 * Produces records whose keys are read from standard input, one a line, in hexadecimal; the line `-` is no key. Nothing
 * but the address is set, so each goes where a Java producer as it comes puts it.
 *
 *     java -cp 'JARS/*' KeyProducer.java BOOTSTRAP TOPIC < KEYS
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class KeyProducer {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0]);
        BufferedReader keys = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                 new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (String line = keys.readLine(); line != null; line = keys.readLine()) {
                byte[] key = line.equals("-") ? null : HexFormat.of().parseHex(line);
                sent.add(producer.send(new ProducerRecord<>(arguments[1], key, new byte[0])));
            }
            for (Future<RecordMetadata> one : sent)
                one.get();      // throws what went wrong
        }
    }
}
