/*
 * brokers -- see brokers.h.
 *
 *     client made: on_new --> each change of a broker's state, by any thread of librdkafka: on_state --> up
 *                         --> each answer, by the broker's thread: on_answer --> times
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

/* The lock is held. */
static struct rkb_broker_times *times_of(struct rkb_brokers *brokers, int32_t id)
{
    if (brokers->timed == 0)
        brokers->times[brokers->timed++] = (struct rkb_broker_times){.id = -1};
    for (size_t i = 1; i < brokers->timed && id >= 0; i++)
        if (brokers->times[i].id == id)
            return &brokers->times[i];
    if (id < 0 || brokers->timed == RKB_BROKERS_TIMED)
        return &brokers->times[0];
    brokers->times[brokers->timed] = (struct rkb_broker_times){.id = id};
    return &brokers->times[brokers->timed++];
}

static rd_kafka_resp_err_t on_answer(rd_kafka_t *rk, int socket, const char *name, int32_t id, int16_t key,
                                     int16_t version, int32_t correlation, size_t size, int64_t took_us,
                                     rd_kafka_resp_err_t error, void *context)
{
    (void)rk, (void)socket, (void)name, (void)key, (void)version, (void)correlation, (void)size;
    struct rkb_brokers *brokers = context;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR || took_us < 0)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    pthread_mutex_lock(&brokers->lock);
    struct rkb_broker_times *times = times_of(brokers, id);
    times->answers++;
    times->answers_us += (uint64_t)took_us;
    pthread_mutex_unlock(&brokers->lock);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *context, char *words, size_t size)
{
    (void)conf, (void)words, (void)size;
    rd_kafka_resp_err_t code = rd_kafka_interceptor_add_on_broker_state_change(rk, INTERCEPTOR, on_state, context);
    return code != RD_KAFKA_RESP_ERR_NO_ERROR
        ? code : rd_kafka_interceptor_add_on_response_received(rk, INTERCEPTOR, on_answer, context);
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

size_t rkb_brokers_up(const struct rkb_brokers *brokers)
{
    return atomic_load(&brokers->up);
}

void rkb_brokers_throttled(struct rkb_brokers *brokers, int32_t id, int milliseconds)
{
    pthread_mutex_lock(&brokers->lock);
    times_of(brokers, id)->throttled_us += milliseconds > 0 ? (uint64_t)milliseconds * 1000 : 0;
    pthread_mutex_unlock(&brokers->lock);
}

size_t rkb_brokers_times(struct rkb_brokers *brokers, struct rkb_broker_times out[RKB_BROKERS_TIMED])
{
    size_t count = 0;
    pthread_mutex_lock(&brokers->lock);
    for (size_t i = 0; i < brokers->timed; i++)
        if (brokers->times[i].answers > 0 || brokers->times[i].throttled_us > 0)
            out[count++] = brokers->times[i];
    pthread_mutex_unlock(&brokers->lock);
    return count;
}

/* The last place is left to -1. */
static struct rkb_broker_times *place_in(struct rkb_broker_times sum[RKB_BROKERS_TIMED], size_t *count, int32_t id)
{
    bool has_rest = false;
    for (size_t i = 0; i < *count; i++) {
        if (sum[i].id == id)
            return &sum[i];
        has_rest = has_rest || sum[i].id == -1;
    }
    if (id >= 0 && *count + !has_rest >= RKB_BROKERS_TIMED)
        return place_in(sum, count, -1);
    sum[*count] = (struct rkb_broker_times){.id = id};
    return &sum[(*count)++];
}

size_t rkb_broker_times_add(struct rkb_broker_times sum[RKB_BROKERS_TIMED], size_t count,
                            const struct rkb_broker_times *more, size_t more_count)
{
    for (size_t i = 0; i < more_count; i++) {
        struct rkb_broker_times *place = place_in(sum, &count, more[i].id);
        place->answers += more[i].answers;
        place->answers_us += more[i].answers_us;
        place->throttled_us += more[i].throttled_us;
    }
    return count;
}
