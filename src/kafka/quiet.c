/* quiet -- see quiet.h. */
#include "kafka/quiet.h"

static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static void no_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    (void)code;
    (void)reason;
    (void)opaque;
}

rd_kafka_t *rkb_kafka_quiet(const struct rkb_property *properties, size_t count, const char *what, bool partition_eof,
                            struct rkb_error *error)
{
    const char *const ours[][2] = {{"allow.auto.create.topics", "false"}, {"log.queue", "false"},
                                   {"enable.partition.eof", partition_eof ? "true" : "false"}};
    char words[256] = "";
    rd_kafka_conf_t *conf = rkb_kafka_conf(properties, count, error);
    if (conf == NULL)
        return NULL;
    rd_kafka_conf_set_log_cb(conf, no_log);
    rd_kafka_conf_set_error_cb(conf, no_error);
    bool set = true;
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        set = set && rd_kafka_conf_set(conf, ours[i][0], ours[i][1], words, sizeof words) == RD_KAFKA_CONF_OK;
    rd_kafka_t *rk = set ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof words) : NULL;
    if (rk == NULL) {
        rkb_fail(error, RKB_SYSTEM, "librdkafka can not make a client to %s: %s", what,
                 rkb_kafka_holds_secret(words, properties, count) ? "(why is not shown: it holds a secret)" : words);
        rd_kafka_conf_destroy(conf);
    }
    return rk;
}
