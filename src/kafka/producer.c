/*
 * producer -- one librdkafka producer; see producer.h.
 *
 *     send: value lent, key and headers copied by librdkafka --> its queue --> broker threads --> main queue
 *                                                                                  | empty -> not: wake_fd
 *     poll: main queue --> delivered, error, log                                   v
 *
 * `open` counts the records taken and not yet reported. A request that is purged half-sent may be read
 * until the handle is destroyed, although its records were given back: so free keeps what comes back,
 * destroys the handle, and reports then.
 */
#include "kafka/producer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "kafka/brokers.h"
#include "kafka/secrets.h"

#define NICER 5                 /* than our own threads: librdkafka's */

/* How long free waits for librdkafka to give back what was purged: rounds of 10 ms. It takes one or two. */
#define PURGE_ROUNDS 500
#define PURGE_ROUND_MS 10

struct returned {
    void *opaque;
    rd_kafka_resp_err_t error;
};

struct rkb_producer {
    rd_kafka_t *rk;                 /* NULL at the end of free, when what came back is reported */
    struct rkb_producer_events events;
    void *context;
    rd_kafka_topic_t **topics;
    uint32_t topics_size;
    size_t open;
    size_t queue_records, queue_bytes;
    struct returned *returned;      /* in free: room for all that was open */
    size_t returned_count;
    struct rkb_secrets secrets;
    struct rkb_brokers brokers;
    bool was_fatal;
    struct rkb_error cause;         /* of was_fatal */
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct rkb_producer *producer = opaque;
    producer->open--;
    if (producer->returned != NULL)
        producer->returned[producer->returned_count++] = (struct returned){message->_private, message->err};
    else
        producer->events.delivered(producer->context, message->_private, message->err);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    struct rkb_producer *producer = opaque;
    if (producer->returned == NULL)     /* in free it would be about our own purging */
        producer->events.error(producer->context, (rd_kafka_resp_err_t)code,
                               rkb_secrets_without(&producer->secrets, reason));
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct rkb_producer *producer = rd_kafka_opaque(rk);
    char line[512];
    snprintf(line, sizeof line, "%s %s", facility, text);
    producer->events.log(producer->context, level, rkb_secrets_without(&producer->secrets, line));
}

static void on_throttle(rd_kafka_t *rk, const char *name, int32_t id, int milliseconds, void *opaque)
{
    (void)rk, (void)name;
    struct rkb_producer *producer = opaque;
    rkb_brokers_throttled(&producer->brokers, id, milliseconds);
}

/*
 * Everything librdkafka has to say comes by its main queue, so that poll serves it all and one descriptor tells of it.
 */
static void join_queues(rd_kafka_t *rk, int wake_fd)
{
    static const uint64_t one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(rk);
    rd_kafka_queue_io_event_enable(queue, wake_fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    rd_kafka_set_log_queue(rk, NULL);
}

static bool set_all(rd_kafka_conf_t *conf, const struct rkb_property *properties, size_t count, struct rkb_error *error)
{
    char words[256] = "";
    for (size_t i = 0; i < count; i++) {
        if (rd_kafka_conf_set(conf, properties[i].name, properties[i].value, words, sizeof words) != RD_KAFKA_CONF_OK)
            return rkb_fail(error, RKB_USAGE, "this librdkafka does not take %s=%s: %s", properties[i].name,
                            properties[i].value, words);
    }
    return true;
}

/*
 * In librdkafka 2.0.2 a batch that is refused lets the idempotent producer go on with the next one under a new epoch;
 * measured on Kafka 4.1: 1999 records with the key of one that was too large went through behind it. With
 * enable.gapless.guarantee the producer stops instead, and not one did.
 */
static bool set_role(rd_kafka_conf_t *conf, enum rkb_producer_role role, struct rkb_error *error)
{
    static const struct rkb_property line[] = {{"enable.gapless.guarantee", "true"}};
    static const struct rkb_property alone[] = {{"linger.ms", "0"}};
    if (role == RKB_PRODUCER_LINE)
        return set_all(conf, line, sizeof line / sizeof line[0], error);
    return set_all(conf, alone, sizeof alone / sizeof alone[0], error);
}

static size_t number_of(const rd_kafka_conf_t *conf, const char *name)
{
    char text[32] = "";
    size_t size = sizeof text;
    (void)rd_kafka_conf_get(conf, name, text, &size);
    return (size_t)strtoul(text, NULL, 10);
}

static rd_kafka_conf_t *configure(struct rkb_producer *producer, enum rkb_producer_role role,
                                  const struct rkb_property *properties, size_t count, struct rkb_error *error)
{
    rd_kafka_conf_t *conf = rkb_kafka_conf(properties, count, error);
    if (conf == NULL)
        return NULL;
    if (!set_role(conf, role, error) || !rkb_brokers_watch(&producer->brokers, conf, error)) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    producer->queue_records = number_of(conf, "queue.buffering.max.messages");
    producer->queue_bytes = number_of(conf, "queue.buffering.max.kbytes") * 1024;
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_throttle_cb(conf, on_throttle);
    return conf;
}

struct making {
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk;
    char words[256];
};

static void *make_nicely(void *context)
{
    struct making *making = context;
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICER);
    making->rk = rd_kafka_new(RD_KAFKA_PRODUCER, making->conf, making->words, sizeof making->words);
    return NULL;
}

/*
 * Threads inherit the niceness of the one that makes them, so librdkafka's are made by one that is nicer than ours.
 * Where cores are short, reading from Redis comes first: a record that is in the journal can wait for Kafka, a
 * message that is in Redis's output buffer cannot.
 */
static rd_kafka_t *make(rd_kafka_conf_t *conf, const struct rkb_secrets *secrets, struct rkb_error *error)
{
    struct making making = {.conf = conf};
    pthread_t thread;
    if (pthread_create(&thread, NULL, make_nicely, &making) == 0)
        pthread_join(thread, NULL);
    else
        snprintf(making.words, sizeof making.words, "no thread can be started");
    if (making.rk == NULL) {
        rkb_fail(error, RKB_SYSTEM, "librdkafka can not make a producer: %s",
                 rkb_secrets_without(secrets, making.words));
        rd_kafka_conf_destroy(conf);
    }
    return making.rk;
}

struct rkb_producer *rkb_producer_new(enum rkb_producer_role role, const struct rkb_property *properties, size_t count,
                                      int wake_fd, const struct rkb_producer_events *events, void *context,
                                      struct rkb_error *error)
{
    struct rkb_producer *producer = calloc(1, sizeof *producer);
    if (producer == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for a producer");
        return NULL;
    }
    producer->events = *events;
    producer->context = context;
    bool kept = rkb_secrets_keep(&producer->secrets, properties, count, error);
    rd_kafka_conf_t *conf = kept ? configure(producer, role, properties, count, error) : NULL;
    producer->rk = conf != NULL ? make(conf, &producer->secrets, error) : NULL;
    if (producer->rk == NULL) {
        rkb_brokers_free(&producer->brokers);
        rkb_secrets_free(&producer->secrets);
        free(producer);
        return NULL;
    }
    join_queues(producer->rk, wake_fd);
    return producer;
}

/* Asked again each round: a request that fails meanwhile puts its records back into a queue already purged. */
static void give_back(struct rkb_producer *producer)
{
    for (int round = 0; producer->open > 0 && round < PURGE_ROUNDS; round++) {
        rd_kafka_purge(producer->rk,
                       RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
        rd_kafka_poll(producer->rk, PURGE_ROUND_MS);
    }
}

static void destroy(struct rkb_producer *producer)
{
    producer->was_fatal = rkb_producer_fatal(producer, &producer->cause);
    for (uint32_t i = 0; i < producer->topics_size; i++)
        if (producer->topics[i] != NULL)
            rd_kafka_topic_destroy(producer->topics[i]);
    rd_kafka_destroy(producer->rk);
    producer->rk = NULL;
}

void rkb_producer_free(struct rkb_producer *producer)
{
    if (producer == NULL)
        return;
    producer->returned = reallocarray(NULL, producer->open + 1, sizeof *producer->returned);
    give_back(producer);
    destroy(producer);
    for (size_t i = 0; i < producer->returned_count; i++)
        producer->events.delivered(producer->context, producer->returned[i].opaque, producer->returned[i].error);
    free(producer->returned);
    free(producer->topics);
    rkb_brokers_free(&producer->brokers);
    rkb_secrets_free(&producer->secrets);
    free(producer);
}

static bool is_topic_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t size = strlen(name);
    return size > 0 && size <= 249 && strspn(name, allowed) == size && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

static bool make_slot(struct rkb_producer *producer, uint32_t slot)
{
    if (slot < producer->topics_size)
        return true;
    uint32_t size = slot < 16 ? 16 : slot + slot / 2;
    rd_kafka_topic_t **topics = reallocarray(producer->topics, size, sizeof *topics);
    if (topics == NULL)
        return false;
    memset(topics + producer->topics_size, 0, (size - producer->topics_size) * sizeof *topics);
    producer->topics = topics;
    producer->topics_size = size;
    return true;
}

rd_kafka_topic_t *rkb_producer_topic(struct rkb_producer *producer, uint32_t slot, const char *name,
                                     struct rkb_error *error)
{
    if (slot < producer->topics_size && producer->topics[slot] != NULL)
        return producer->topics[slot];
    if (!is_topic_name(name)) {
        rkb_fail(error, RKB_USAGE, "Kafka takes no topic of this name: 1 to 249 of letters, digits, '.', '_' and '-'");
        return NULL;
    }
    if (!make_slot(producer, slot)) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for topic %s", name);
        return NULL;
    }
    producer->topics[slot] = rd_kafka_topic_new(producer->rk, name, NULL);
    if (producer->topics[slot] == NULL)
        rkb_fail(error, RKB_SYSTEM, "topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
    return producer->topics[slot];
}

/*
 * For librdkafka a NULL pointer is a null, whatever its size: what is empty needs a place of its
 * own. librdkafka only reads it.
 */
static void *place(struct rkb_slice slice)
{
    return (void *)(uintptr_t)(slice.size > 0 ? slice.data : (const uint8_t *)"");
}

static rd_kafka_headers_t *read_headers(const struct rkb_outgoing *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    struct rkb_reader reader = rkb_reader(record->headers.data, record->headers.size);
    for (uint16_t i = 0; i < record->header_count; i++) {
        uint16_t name_size = rkb_read_u16(&reader);
        uint32_t value_size = rkb_read_u32(&reader);
        struct rkb_slice name = rkb_read_slice(&reader, name_size), value = rkb_read_slice(&reader, value_size);
        rd_kafka_header_add(headers, place(name), (ssize_t)name.size, place(value), (ssize_t)value.size);
    }
    if (!reader.failed)
        return headers;
    rd_kafka_headers_destroy(headers);
    return NULL;
}

static enum rkb_sent not_sent(rd_kafka_resp_err_t code, struct rkb_error *error)
{
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return RKB_SENT_QUEUE_FULL;
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        return RKB_SENT_FATAL;
    rkb_fail(error, RKB_REFUSED, "%s: %s", rd_kafka_err2name(code), rd_kafka_err2str(code));
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? RKB_SENT_TOO_LARGE : RKB_SENT_REFUSED;
}

/* producev costs as little as produce (measured), and takes a timestamp; produceva costs 5 % more. */
enum rkb_sent rkb_producer_send(struct rkb_producer *producer, const struct rkb_outgoing *record,
                                rd_kafka_resp_err_t *code, struct rkb_error *error)
{
    rd_kafka_headers_t *headers = NULL;
    if (record->header_count > 0 && (headers = read_headers(record)) == NULL) {
        rkb_fail(error, RKB_DAMAGED, "the record's headers end too early");
        return RKB_SENT_INVALID;
    }
    *code = rd_kafka_producev(
        producer->rk, RD_KAFKA_V_RKT(record->topic), RD_KAFKA_V_VALUE(place(record->value), record->value.size),
        RD_KAFKA_V_KEY(record->has_key ? place(record->key) : NULL, record->key.size), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_TIMESTAMP(record->time_ms), RD_KAFKA_V_MSGFLAGS(record->copy ? RD_KAFKA_MSG_F_COPY : 0),
        RD_KAFKA_V_OPAQUE(record->opaque), RD_KAFKA_V_END);
    if (*code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        producer->open++;
        return RKB_SENT;
    }
    if (headers != NULL)
        rd_kafka_headers_destroy(headers);
    return not_sent(*code, error);
}

int rkb_producer_poll(struct rkb_producer *producer)
{
    return rd_kafka_poll(producer->rk, 0);
}

bool rkb_producer_fatal(const struct rkb_producer *producer, struct rkb_error *error)
{
    if (producer->rk == NULL) {
        if (error != NULL && producer->was_fatal)
            *error = producer->cause;
        return producer->was_fatal;
    }
    char words[384] = "";
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(producer->rk, words, sizeof words);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        rkb_fail(error, RKB_REFUSED, "%s: %s", rd_kafka_err2name(code), rkb_secrets_without(&producer->secrets, words));
    return code != RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool rkb_producer_stopped_for_order(const struct rkb_producer *producer)
{
    char words[8];
    return rd_kafka_fatal_error(producer->rk, words, sizeof words) == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE;
}

size_t rkb_producer_queue_records(const struct rkb_producer *producer)
{
    return producer->queue_records;
}

size_t rkb_producer_queue_bytes(const struct rkb_producer *producer)
{
    return producer->queue_bytes;
}

bool rkb_producer_connected(const struct rkb_producer *producer)
{
    return rkb_brokers_any_up(&producer->brokers);
}

size_t rkb_producer_brokers_up(const struct rkb_producer *producer)
{
    return rkb_brokers_up(&producer->brokers);
}

size_t rkb_producer_broker_times(struct rkb_producer *producer, struct rkb_broker_times out[RKB_BROKERS_TIMED])
{
    return rkb_brokers_times(&producer->brokers, out);
}

size_t rkb_producer_queue_length(const struct rkb_producer *producer)
{
    int length = rd_kafka_outq_len(producer->rk);
    return length > 0 ? (size_t)length : 0;
}

rd_kafka_t *rkb_producer_handle(struct rkb_producer *producer)
{
    return producer->rk;
}
