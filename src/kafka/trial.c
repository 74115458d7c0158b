/* trial -- see trial.h. */
#include "kafka/trial.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kafka/secrets.h"

#define TURN_MS 50
#define DOWN_MS 2000            /* a name may have another address, which is tried next, after so long at the latest */

struct trial {
    rd_kafka_t *rk;
    struct rkb_secrets secrets;
    bool assigned, denied;
    int64_t down_ms;            /* monotonic: since when no broker can be reached; 0: not so */
    char words[400];            /* the last that went wrong */
    struct rkb_write_found *found;
    size_t open;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- what librdkafka tells ---- */

static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct trial *trial = opaque;
    (void)rk;
    trial->denied = trial->denied || code == RD_KAFKA_RESP_ERR__AUTHENTICATION;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && trial->down_ms == 0)
        trial->down_ms = now_ms();
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || trial->words[0] == '\0')
        snprintf(trial->words, sizeof trial->words, "%s", rkb_secrets_without(&trial->secrets, reason));
}

/* The state of the idempotent producer stands nowhere else. */
static int on_statistics(rd_kafka_t *rk, char *text, size_t size, void *opaque)
{
    (void)rk;
    struct trial *trial = opaque;
    json_t *whole = json_loadb(text, size, 0, NULL);
    const char *state = json_string_value(json_object_get(json_object_get(whole, "eos"), "idemp_state"));
    trial->assigned = trial->assigned || (state != NULL && strcmp(state, "Assigned") == 0);
    json_decref(whole);
    return 0;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    struct trial *trial = opaque;
    struct rkb_write_found *found = message->_private;
    trial->open--;
    found->code = message->err;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        found->right = RKB_WRITE_TAKEN;
    else if (message->err == RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS)
        found->right = RKB_WRITE_ALLOWED;
    else if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        found->right = RKB_WRITE_DENIED;
}

/* ---- the client ---- */

static bool set_all(rd_kafka_conf_t *conf, const char *const (*settings)[2], size_t count, struct rkb_error *error)
{
    char words[256] = "";
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], words, sizeof words) != RD_KAFKA_CONF_OK)
            return rkb_fail(error, RKB_USAGE, "this librdkafka does not take %s=%s: %s", settings[i][0], settings[i][1],
                            words);
    return true;
}

static bool open_trial(struct trial *trial, const struct rkb_property *properties, size_t count,
                       const char *const (*settings)[2], size_t setting_count, struct rkb_error *error)
{
    char words[256] = "";
    if (!rkb_secrets_keep(&trial->secrets, properties, count, error))
        return false;
    rd_kafka_conf_t *conf = rkb_kafka_conf(properties, count, error);
    if (conf == NULL)
        return false;
    rd_kafka_conf_set_opaque(conf, trial);
    rd_kafka_conf_set_log_cb(conf, no_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    if (set_all(conf, settings, setting_count, error))
        trial->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof words);
    if (trial->rk != NULL)
        return true;
    if (words[0] != '\0')
        rkb_fail(error, RKB_SYSTEM, "librdkafka can not make a producer: %s",
                 rkb_secrets_without(&trial->secrets, words));
    rd_kafka_conf_destroy(conf);
    return false;
}

static void close_trial(struct trial *trial)
{
    if (trial->rk != NULL) {
        (void)rd_kafka_purge(trial->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(trial->rk);
    }
    rkb_secrets_free(&trial->secrets);
}

/* ---- login ---- */

static enum rkb_code read_login(const struct trial *trial, int timeout_ms, struct rkb_error *error)
{
    char words[256] = "";
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(trial->rk, words, sizeof words);
    if (trial->assigned)
        return RKB_OK;
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rkb_fail(error, RKB_FULL, "%s: %s", rd_kafka_err2name(fatal), rkb_secrets_without(&trial->secrets, words));
        return RKB_FULL;
    }
    enum rkb_code code = trial->denied ? RKB_REFUSED : RKB_TIMEOUT;
    if (trial->words[0] != '\0')
        rkb_fail(error, code, "%s", trial->words);
    else
        rkb_fail(error, code, "no answer within %d ms", timeout_ms);
    return code;
}

static bool is_decided(const struct trial *trial)
{
    char words[2];
    return trial->assigned || trial->denied || (trial->down_ms != 0 && now_ms() - trial->down_ms > DOWN_MS) ||
           rd_kafka_fatal_error(trial->rk, words, sizeof words) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

enum rkb_code rkb_kafka_try_login(const struct rkb_property *properties, size_t count, int timeout_ms,
                                  struct rkb_error *error)
{
    static const char *const settings[][2] = {{"log.queue", "false"}, {"statistics.interval.ms", "100"}};
    struct trial trial = {0};
    enum rkb_code code = RKB_SYSTEM;
    error->code = RKB_SYSTEM;
    if (open_trial(&trial, properties, count, settings, 2, error)) {
        for (int64_t until = now_ms() + timeout_ms; !is_decided(&trial) && now_ms() < until;)
            (void)rd_kafka_poll(trial.rk, TURN_MS);
        code = read_login(&trial, timeout_ms, error);
    } else {
        code = error->code;
    }
    close_trial(&trial);
    return code;
}

/* ---- the right to write ---- */

static void send_one(struct trial *trial, const char *topic, struct rkb_write_found *found)
{
    static char words[] = "a question of rkbctl check, which Kafka refuses";
    rd_kafka_resp_err_t code = rd_kafka_producev(
        trial->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE(words, sizeof words - 1), RD_KAFKA_V_OPAQUE(found),
        RD_KAFKA_V_HEADER("rkb-check", "1", 1), RD_KAFKA_V_END);
    found->code = code;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        trial->open++;
    else if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        found->right = RKB_WRITE_DENIED;
}

bool rkb_kafka_try_writing(const struct rkb_property *properties, size_t count, const char *const *topics,
                           size_t topic_count, int timeout_ms, struct rkb_write_found *found, struct rkb_error *error)
{
    char limit[16];
    snprintf(limit, sizeof limit, "%d", timeout_ms);
    /* One try: what is not known after it is not known. */
    const char *const settings[][2] = {{"log.queue", "false"}, {"enable.idempotence", "false"}, {"acks", "2"},
                                       {"retries", "0"}, {"message.timeout.ms", limit}, {"linger.ms", "0"},
                                       {"allow.auto.create.topics", "false"}};
    struct trial trial = {.found = found};
    bool opened = open_trial(&trial, properties, count, settings, sizeof settings / sizeof settings[0], error);
    memset(found, 0, topic_count * sizeof *found);
    for (size_t i = 0; opened && i < topic_count; i++)
        send_one(&trial, topics[i], &found[i]);
    for (int64_t until = now_ms() + timeout_ms; opened && trial.open > 0 && now_ms() < until;)
        (void)rd_kafka_poll(trial.rk, TURN_MS);
    close_trial(&trial);
    return opened;
}
