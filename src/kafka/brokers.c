/*
 * brokers -- see brokers.h.
 *
 *     client made: on_new --> each change of a broker's state, by any thread of librdkafka: on_state --> up
 *
 * A broker is known by the name and port it was first heard of with; its number changes when a bootstrap broker says
 * which one it is. Never: calls librdkafka from on_state, which holds that broker's lock.
 */
#include "kafka/brokers.h"

#include <stdlib.h>
#include <string.h>

#define INTERCEPTOR "rkbridge"

struct rkb_broker {
    char *name;
    int port;
    bool up;
};

static struct rkb_broker *find(struct rkb_brokers *brokers, const char *name, int port)
{
    for (size_t i = 0; i < brokers->count; i++) {
        if (brokers->list[i].port == port && strcmp(brokers->list[i].name, name) == 0)
            return &brokers->list[i];
    }
    struct rkb_broker *list = reallocarray(brokers->list, brokers->count + 1, sizeof *list);
    if (list == NULL)
        return NULL;
    brokers->list = list;
    list[brokers->count] = (struct rkb_broker){.name = strdup(name), .port = port};
    return list[brokers->count].name != NULL ? &list[brokers->count++] : NULL;
}

/* UPDATE: it is up, and is just being given another name or number. */
static bool is_up(const char *state)
{
    return strcmp(state, "UP") == 0 || strcmp(state, "UPDATE") == 0;
}

static rd_kafka_resp_err_t on_state(rd_kafka_t *rk, int32_t id, const char *protocol, const char *name, int port,
                                    const char *state, void *context)
{
    (void)rk, (void)id, (void)protocol;
    struct rkb_brokers *brokers = context;
    pthread_mutex_lock(&brokers->lock);
    struct rkb_broker *broker = find(brokers, name, port);
    bool up = is_up(state);
    if (broker != NULL && broker->up != up) {
        broker->up = up;
        atomic_fetch_add(&brokers->up, up ? 1 : (size_t)-1);
    }
    pthread_mutex_unlock(&brokers->lock);
    return broker != NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR__FAIL;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *context, char *words, size_t size)
{
    (void)conf, (void)words, (void)size;
    return rd_kafka_interceptor_add_on_broker_state_change(rk, INTERCEPTOR, on_state, context);
}

bool rkb_brokers_watch(struct rkb_brokers *brokers, rd_kafka_conf_t *conf, struct rkb_error *error)
{
    *brokers = (struct rkb_brokers){.lock = PTHREAD_MUTEX_INITIALIZER};
    rd_kafka_resp_err_t code = rd_kafka_conf_interceptor_add_on_new(conf, INTERCEPTOR, on_new, brokers);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return true;
    return rkb_fail(error, RKB_SYSTEM, "librdkafka will not tell of its connections: %s", rd_kafka_err2str(code));
}

void rkb_brokers_free(struct rkb_brokers *brokers)
{
    for (size_t i = 0; i < brokers->count; i++)
        free(brokers->list[i].name);
    free(brokers->list);
}

bool rkb_brokers_any_up(const struct rkb_brokers *brokers)
{
    return atomic_load(&brokers->up) > 0;
}
