/*
 * records -- see records.h.
 *
 *     metadata: partitions --> watermarks of each --> one queue for all that have something --> up to the high ones
 */
#include "kafka/records.h"

#include <stdlib.h>

#include "base/headers.h"
#include "kafka/quiet.h"

struct rkb_records {
    rd_kafka_t *rk;
};

/* One topic's reading. */
struct reading {
    struct rkb_records *records;
    const char *name;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    int64_t *ends;              /* of each partition: up to where it is to be read; 0: nothing, or all was */
    int32_t partitions;
    int32_t left;               /* partitions that are not read to their end */
    int timeout_ms;
};

struct rkb_records *rkb_records_new(const struct rkb_property *properties, size_t count, struct rkb_error *error)
{
    struct rkb_records *records = calloc(1, sizeof *records);
    if (records == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory to read topics");
        return NULL;
    }
    records->rk = rkb_kafka_quiet(properties, count, "read topics", true, error);
    if (records->rk != NULL)
        return records;
    free(records);
    return NULL;
}

void rkb_records_free(struct rkb_records *records)
{
    if (records == NULL)
        return;
    rd_kafka_destroy_flags(records->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(records);
}

/* ---- what there is to read ---- */

static bool fail_with(struct rkb_error *error, const char *topic, rd_kafka_resp_err_t code)
{
    bool denied = code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    bool unknown = code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    return rkb_fail(error, denied ? RKB_REFUSED : unknown ? RKB_USAGE : RKB_TIMEOUT, "topic %s: %s (%s)", topic,
                    rd_kafka_err2str(code), rd_kafka_err2name(code));
}

static bool count_partitions(struct reading *reading, struct rkb_error *error)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(reading->records->rk, 0, reading->topic, &metadata,
                                                 reading->timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return fail_with(error, reading->name, code);
    code = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    reading->partitions = code == RD_KAFKA_RESP_ERR_NO_ERROR ? metadata->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(metadata);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR || fail_with(error, reading->name, code);
}

static bool start(struct reading *reading, struct rkb_error *error)
{
    reading->ends = calloc((size_t)reading->partitions + 1, sizeof *reading->ends);
    if (reading->ends == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory to read topic %s", reading->name);
    for (int32_t i = 0; i < reading->partitions; i++) {
        int64_t low = 0, high = 0;
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(reading->records->rk, reading->name, i, &low,
                                                                    &high, reading->timeout_ms);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return fail_with(error, reading->name, code);
        if (low >= high)
            continue;
        if (rd_kafka_consume_start_queue(reading->topic, i, low, reading->queue) != 0)
            return fail_with(error, reading->name, rd_kafka_last_error());
        reading->ends[i] = high;
        reading->left++;
    }
    return true;
}

static void stop_one(struct reading *reading, int32_t partition)
{
    reading->ends[partition] = 0;
    reading->left--;
    rd_kafka_consume_stop(reading->topic, partition);
}

/* ---- reading ---- */

static void add_header(struct rkb_buffer *area, struct rkb_slice name, struct rkb_slice value)
{
    uint8_t *at = rkb_buffer_reserve(area, rkb_header_size(name, value));
    if (at == NULL)
        return;
    rkb_header_write(at, name, value);
    area->size += rkb_header_size(name, value);
}

static bool show(const struct reading *reading, const rd_kafka_message_t *message,
                 void (*visit)(void *context, const struct rkb_read_record *record), void *context)
{
    struct rkb_buffer area = {0};
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
            add_header(&area, rkb_slice_text(name), rkb_slice(value, size));
    struct rkb_read_record record = {
        .topic = reading->name, .partition = message->partition, .offset = message->offset,
        .has_key = message->key != NULL, .key = rkb_slice(message->key, message->key_len),
        .value = rkb_slice(message->payload, message->len), .headers = rkb_slice(area.data, area.size)};
    if (!area.failed)
        visit(context, &record);
    bool shown = !area.failed;
    rkb_buffer_free(&area);
    return shown;
}

/* One event of the queue: a record, the end of a partition, or an error. */
static bool take(struct reading *reading, const rd_kafka_message_t *message,
                 void (*visit)(void *context, const struct rkb_read_record *record), void *context,
                 struct rkb_error *error)
{
    int32_t partition = message->partition;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return fail_with(error, reading->name, message->err);
    if (partition < 0 || partition >= reading->partitions || reading->ends[partition] == 0)
        return true;
    bool ours = message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->offset < reading->ends[partition];
    if (ours && !show(reading, message, visit, context))
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a record of topic %s", reading->name);
    if (!ours || message->offset + 1 >= reading->ends[partition])
        stop_one(reading, partition);
    return true;
}

static bool read_all(struct reading *reading, void (*visit)(void *context, const struct rkb_read_record *record),
                     void *context, struct rkb_error *error)
{
    bool good = true;
    while (good && reading->left > 0) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(reading->queue, reading->timeout_ms);
        if (message == NULL)
            return rkb_fail(error, RKB_TIMEOUT, "topic %s: nothing came for %d ms", reading->name, reading->timeout_ms);
        good = take(reading, message, visit, context, error);
        rd_kafka_message_destroy(message);
    }
    return good;
}

bool rkb_records_visit(struct rkb_records *records, const char *topic, int timeout_ms,
                       void (*visit)(void *context, const struct rkb_read_record *record), void *context,
                       struct rkb_error *error)
{
    struct reading reading = {.records = records, .name = topic, .timeout_ms = timeout_ms,
                              .topic = rd_kafka_topic_new(records->rk, topic, NULL),
                              .queue = rd_kafka_queue_new(records->rk)};
    bool done = reading.topic != NULL || rkb_fail(error, RKB_USAGE, "topic %s: no name of a topic", topic);
    done = done && count_partitions(&reading, error) && start(&reading, error)
           && read_all(&reading, visit, context, error);
    for (int32_t i = 0; reading.ends != NULL && i < reading.partitions; i++)
        if (reading.ends[i] > 0)
            stop_one(&reading, i);
    if (reading.topic != NULL)
        rd_kafka_topic_destroy(reading.topic);
    rd_kafka_queue_destroy(reading.queue);
    free(reading.ends);
    return done;
}
