/*
 * mock -- see mock.h.
 *
 * librdkafka's mock cluster needs a client to live in; `host` is one that connects to nothing.
 */
#include "kafka/mock.h"

#include <stdlib.h>

struct rkb_mock {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
};

static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static rd_kafka_t *host_new(struct rkb_error *error)
{
    char words[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, no_log);
    rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof words);
    if (host == NULL) {
        rkb_fail(error, RKB_SYSTEM, "librdkafka can not make a client for the embedded Kafka: %s", words);
        rd_kafka_conf_destroy(conf);
    }
    return host;
}

struct rkb_mock *rkb_mock_start(int brokers, struct rkb_error *error)
{
    struct rkb_mock *mock = calloc(1, sizeof *mock);
    if (mock == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the embedded Kafka");
        return NULL;
    }
    mock->host = host_new(error);
    if (mock->host != NULL && (mock->cluster = rd_kafka_mock_cluster_new(mock->host, brokers)) == NULL)
        rkb_fail(error, RKB_SYSTEM, "librdkafka can not start its mock cluster");
    if (mock->cluster != NULL)
        return mock;
    rkb_mock_stop(mock);
    return NULL;
}

const char *rkb_mock_bootstrap(const struct rkb_mock *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

bool rkb_mock_topic(struct rkb_mock *mock, const char *topic, int partitions, struct rkb_error *error)
{
    rd_kafka_resp_err_t code = rd_kafka_mock_topic_create(mock->cluster, topic, partitions, 1);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return true;
    return rkb_fail(error, RKB_REFUSED, "embedded Kafka: topic %s: %s", topic, rd_kafka_err2str(code));
}

void rkb_mock_stop(struct rkb_mock *mock)
{
    if (mock == NULL)
        return;
    if (mock->cluster != NULL)
        rd_kafka_mock_cluster_destroy(mock->cluster);
    if (mock->host != NULL)
        rd_kafka_destroy(mock->host);
    free(mock);
}

rd_kafka_mock_cluster_t *rkb_mock_cluster(struct rkb_mock *mock)
{
    return mock->cluster;
}
