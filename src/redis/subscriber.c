/*
 * subscriber -- see subscriber.h, also for the picture.
 *
 * Subscriptions go out in one stream of commands of at most 100 names or 16 KiB, channels first; Redis confirms in that
 * order. An error reply stands for a whole command: the first one that is not confirmed yet. Where Redis
 * ends a subscription by itself, the connection is given up and made anew, since nobody knows from when on
 * messages are missing.
 */
#include "redis/subscriber.h"

#include <stdio.h>
#include <stdlib.h>

#include "redis/backoff.h"
#include "redis/connection.h"
#include "redis/guard.h"
#include "redis/refusal.h"

enum { BATCH_NAMES = 100, BATCH_BYTES = 16 * 1024 };

enum state { NEW, WAITING, OPENING, SUBSCRIBING, SUBSCRIBED, STOPPING, STOPPED };

struct subscription {
    struct rkb_buffer name;
    bool is_pattern, confirmed;
};

struct rkb_subscriber {
    struct rkb_guard guard;
    struct rkb_subscriber_events events;
    void *context;
    const struct rkb_sys *sys;
    struct rkb_redis_url url;
    char *user, *client_name;
    struct rkb_connection *connection;
    struct event *timer;                /* waiting: to try again; stopping: to have done */
    struct rkb_backoff backoff;
    int64_t healthy_us;
    enum state state;
    struct subscription *subscriptions; /* channels, then patterns */
    size_t size, capacity, channels;
    size_t confirmed;                   /* on this connection, still standing */
    size_t batch, batch_end;            /* of the command that is being confirmed */
    bool is_stream, batch_due;
    bool broke_off;                     /* the last connection that ended */
    bool all_confirmed;                 /* on this connection, at some time */
    int64_t since_us;                   /* monotonic: since when */
    uint64_t connections;
    int64_t caught_up_us;
    char error[sizeof((struct rkb_subscriber_figures *)0)->error];
};

static bool alive(const struct rkb_subscriber *subscriber)
{
    return !subscriber->guard.doomed && subscriber->state != STOPPED;
}

static void arm(struct rkb_subscriber *subscriber, int64_t us)
{
    const struct timeval time = {us / 1000000, us % 1000000};
    event_add(subscriber->timer, &time);
}

static struct rkb_slice name_of(const struct subscription *subscription)
{
    return rkb_slice(subscription->name.data, subscription->name.size);
}

/* Where the command that begins with `from` ends: one kind, and neither too many names nor too many bytes. */
static size_t find_batch_end(const struct rkb_subscriber *subscriber, size_t from)
{
    size_t bytes = 0, end = from;
    size_t last = from < subscriber->channels ? subscriber->channels : subscriber->size;
    for (; end < last && end - from < BATCH_NAMES; end++) {
        bytes += subscriber->subscriptions[end].name.size;
        if (bytes > BATCH_BYTES && end > from)
            break;
    }
    return end;
}

static const char *command_of(const struct rkb_subscriber *subscriber, size_t from)
{
    return from < subscriber->channels ? "SUBSCRIBE" : "PSUBSCRIBE";
}

static void send_batch(struct rkb_subscriber *subscriber, size_t from, size_t end)
{
    struct rkb_slice words[1 + BATCH_NAMES] = {rkb_slice_text(command_of(subscriber, from))};
    int count = 1;
    for (size_t i = from; i < end; i++)
        words[count++] = name_of(&subscriber->subscriptions[i]);
    rkb_connection_send(subscriber->connection, count, words);
}

static void hand_over_batch(struct rkb_subscriber *subscriber)
{
    if (!subscriber->batch_due)
        return;
    subscriber->batch_due = false;
    if (alive(subscriber))
        subscriber->events.batch(subscriber->context);
}

static void finish(struct rkb_subscriber *subscriber)
{
    rkb_connection_close(subscriber->connection);
    event_del(subscriber->timer);
    subscriber->is_stream = false;
    subscriber->confirmed = 0;
    hand_over_batch(subscriber);
    if (!alive(subscriber))
        return;
    subscriber->state = STOPPED;
    subscriber->events.stopped(subscriber->context);
}

static int64_t next_wait(struct rkb_subscriber *subscriber)
{
    uint32_t random = UINT32_MAX / 2;
    (void)subscriber->sys->random(&random, sizeof random);
    if (subscriber->all_confirmed && subscriber->sys->monotonic_us() - subscriber->since_us >= subscriber->healthy_us)
        rkb_backoff_reset(&subscriber->backoff);
    return rkb_backoff_next(&subscriber->backoff, random);
}

static void on_lost(void *context, const struct rkb_error *error)
{
    struct rkb_subscriber *subscriber = context;
    bool was_stream = subscriber->is_stream;
    int64_t caught_up_us = rkb_connection_caught_up_us(subscriber->connection);
    snprintf(subscriber->error, sizeof subscriber->error, "%.*s", (int)sizeof subscriber->error - 1, error->text);
    if (caught_up_us != 0)
        subscriber->caught_up_us = caught_up_us;
    subscriber->broke_off = rkb_connection_broke_off(subscriber->connection);
    subscriber->is_stream = false;
    subscriber->confirmed = 0;
    if (subscriber->state == STOPPING) {
        arm(subscriber, 0);
        return;
    }
    int64_t wait_us = next_wait(subscriber);
    subscriber->all_confirmed = false;
    subscriber->state = WAITING;
    arm(subscriber, wait_us);
    hand_over_batch(subscriber);
    if (alive(subscriber))
        subscriber->events.lost(subscriber->context, error, was_stream, caught_up_us, wait_us);
}

static void lose(struct rkb_subscriber *subscriber, enum rkb_code code, const char *text, struct rkb_slice name)
{
    struct rkb_error error;
    char shown[128];
    rkb_printable(shown, sizeof shown, name);
    rkb_fail(&error, code, "%s %s", text, shown);
    rkb_connection_fail(subscriber->connection, &error);
}

/* Whether all of the running command, or of all commands, is confirmed, and what follows from it. */
static void check_progress(struct rkb_subscriber *subscriber)
{
    if (subscriber->state != SUBSCRIBING)
        return;
    if (subscriber->confirmed == subscriber->size) {
        subscriber->state = SUBSCRIBED;
        subscriber->all_confirmed = true;
        subscriber->since_us = subscriber->sys->monotonic_us();
        rkb_connection_beat(subscriber->connection);
        subscriber->events.subscribed(subscriber->context, subscriber->sys->realtime_us());
    } else if (subscriber->confirmed == subscriber->batch_end) {
        subscriber->batch = subscriber->batch_end;
        subscriber->batch_end = find_batch_end(subscriber, subscriber->batch);
        rkb_connection_expect(subscriber->connection, "the confirmation of all subscriptions");
    }
}

static void on_ready(void *context)
{
    struct rkb_subscriber *subscriber = context;
    subscriber->state = SUBSCRIBING;
    subscriber->is_stream = true;
    subscriber->connections++;
    subscriber->confirmed = subscriber->batch = 0;
    subscriber->batch_end = find_batch_end(subscriber, 0);
    for (size_t i = 0; i < subscriber->size; i++)
        subscriber->subscriptions[i].confirmed = false;
    subscriber->events.stream(subscriber->context, subscriber->sys->realtime_us());
    if (!alive(subscriber) || subscriber->state != SUBSCRIBING)
        return;
    rkb_connection_expect(subscriber->connection, "the confirmation of all subscriptions");
    for (size_t from = 0, end; from < subscriber->size && subscriber->is_stream; from = end) {
        end = find_batch_end(subscriber, from);
        send_batch(subscriber, from, end);
    }
    check_progress(subscriber);
}

/* Looks where the next confirmation is due first, so that in Redis's order each is found at once. */
static struct subscription *find(struct rkb_subscriber *subscriber, bool is_pattern, struct rkb_slice name,
                                 bool confirmed)
{
    for (size_t i = 0; i < subscriber->size; i++) {
        struct subscription *subscription = &subscriber->subscriptions[(subscriber->confirmed + i) % subscriber->size];
        if (subscription->confirmed == confirmed && subscription->is_pattern == is_pattern &&
            rkb_slice_equal(name_of(subscription), name))
            return subscription;
    }
    return NULL;
}

static void confirmed_on(struct rkb_subscriber *subscriber, const struct rkb_confirmation *confirmation)
{
    struct subscription *subscription = find(subscriber, confirmation->is_pattern, confirmation->name, false);
    if (subscription == NULL) {
        lose(subscriber, RKB_PROTOCOL, "Redis confirmed a subscription that was not asked for:", confirmation->name);
        return;
    }
    subscription->confirmed = true;
    subscriber->confirmed++;
    subscriber->events.confirmed(subscriber->context, confirmation->is_pattern, confirmation->name, true);
    if (alive(subscriber))
        check_progress(subscriber);
}

/* While stopping: once nothing at all is subscribed to, nothing more can come. */
static void confirmed_off(struct rkb_subscriber *subscriber, const struct rkb_confirmation *confirmation)
{
    if (confirmation->named) {
        if (subscriber->confirmed > 0)
            subscriber->confirmed--;
        subscriber->events.confirmed(subscriber->context, confirmation->is_pattern, confirmation->name, false);
    }
    if (!alive(subscriber))
        return;
    if (subscriber->state != STOPPING)
        lose(subscriber, RKB_REFUSED, "Redis ended a subscription by itself:", confirmation->name);
    else if (confirmation->count == 0)
        finish(subscriber);
}

static void on_confirmation(void *context, const struct rkb_confirmation *confirmation)
{
    if (confirmation->on)
        confirmed_on(context, confirmation);
    else
        confirmed_off(context, confirmation);
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload, int64_t time_us)
{
    struct rkb_subscriber *subscriber = context;
    subscriber->batch_due = true;
    subscriber->events.message(subscriber->context, is_pattern, pattern, channel, payload, time_us);
}

static void on_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         uint64_t size, int64_t time_us)
{
    struct rkb_subscriber *subscriber = context;
    subscriber->batch_due = true;
    subscriber->events.too_large(subscriber->context, is_pattern, pattern, channel, size, time_us);
}

/* "SUBSCRIBE orders, users, ... (100 names)": the first names of the command that was refused. */
static void describe_batch(const struct rkb_subscriber *subscriber, char *out, size_t size)
{
    size_t count = subscriber->batch_end - subscriber->batch;
    int used = snprintf(out, size, "%s", command_of(subscriber, subscriber->batch));
    for (size_t i = 0; i < count && i < 3; i++) {
        char name[44];
        rkb_printable(name, sizeof name, name_of(&subscriber->subscriptions[subscriber->batch + i]));
        used += snprintf(out + used, size - (size_t)used, "%s%s", i == 0 ? " " : ", ", name);
    }
    if (count > 3)
        snprintf(out + used, size - (size_t)used, ", ... (%zu names)", count);
}

/*
 * No command of ours has a plain reply but where it is refused. While stopping that is
 * UNSUBSCRIBE, once all was confirmed.
 */
static void on_reply(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    (void)integer;
    struct rkb_subscriber *subscriber = context;
    struct rkb_error error;
    char command[200];
    if (subscriber->state == STOPPING) {
        if (subscriber->all_confirmed)
            finish(subscriber);
        return;
    }
    if (kind != RKB_REPLY_ERROR) {
        lose(subscriber, RKB_PROTOCOL, "Redis sent a reply that nothing asked for", rkb_slice(NULL, 0));
        return;
    }
    describe_batch(subscriber, command, sizeof command);
    rkb_refusal(&error, subscriber->state == SUBSCRIBING ? command : "to go on", text, "");
    rkb_connection_fail(subscriber->connection, &error);
}

static void on_idle(void *context)
{
    hand_over_batch(context);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct rkb_subscriber *subscriber = arg;
    rkb_guard_enter(&subscriber->guard);
    if (subscriber->state == STOPPING) {
        finish(subscriber);
    } else if (subscriber->state == WAITING) {
        subscriber->state = OPENING;
        rkb_connection_open(subscriber->connection);
    }
    rkb_guard_leave(&subscriber->guard);
}

/* Keeps channels before patterns, each in the order in which they were added. */
static void insert(struct rkb_subscriber *subscriber, const struct subscription *subscription)
{
    size_t at = subscription->is_pattern ? subscriber->size : subscriber->channels++;
    struct subscription *place = &subscriber->subscriptions[at];
    memmove(place + 1, place, (subscriber->size - at) * sizeof *place);
    *place = *subscription;
    subscriber->size++;
}

static bool grow(struct rkb_subscriber *subscriber)
{
    if (subscriber->size < subscriber->capacity)
        return true;
    size_t capacity = subscriber->capacity > 0 ? 2 * subscriber->capacity : 16;
    struct subscription *more = realloc(subscriber->subscriptions, capacity * sizeof *more);
    if (more == NULL)
        return false;
    subscriber->subscriptions = more;
    subscriber->capacity = capacity;
    return true;
}

bool rkb_subscriber_add(struct rkb_subscriber *subscriber, bool is_pattern, struct rkb_slice name,
                        struct rkb_error *error)
{
    struct subscription added = {.is_pattern = is_pattern};
    if (find(subscriber, is_pattern, name, false) != NULL)
        return true;
    rkb_buffer_add(&added.name, name.data, name.size);
    if (added.name.failed || !grow(subscriber)) {
        rkb_buffer_free(&added.name);
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a subscription");
    }
    insert(subscriber, &added);
    return true;
}

void rkb_subscriber_start(struct rkb_subscriber *subscriber)
{
    if (subscriber->state != NEW && subscriber->state != STOPPED)
        return;
    subscriber->state = WAITING;
    subscriber->all_confirmed = false;
    arm(subscriber, 0);
}

void rkb_subscriber_pause(struct rkb_subscriber *subscriber, bool paused)
{
    rkb_connection_pause(subscriber->connection, paused);
}

void rkb_subscriber_stop(struct rkb_subscriber *subscriber, int64_t timeout_us)
{
    const struct rkb_slice commands[] = {rkb_slice_text("UNSUBSCRIBE"), rkb_slice_text("PUNSUBSCRIBE")};
    if (subscriber->state == STOPPING)
        return;
    subscriber->state = STOPPING;
    if (!subscriber->is_stream) {
        rkb_connection_close(subscriber->connection);
        arm(subscriber, 0);
        return;
    }
    arm(subscriber, timeout_us);
    rkb_connection_rest(subscriber->connection);
    for (int i = 0; i < 2 && subscriber->is_stream; i++)
        rkb_connection_send(subscriber->connection, 1, &commands[i]);
}

static void destroy(void *object)
{
    struct rkb_subscriber *subscriber = object;
    rkb_connection_free(subscriber->connection);
    if (subscriber->timer != NULL)
        event_free(subscriber->timer);
    for (size_t i = 0; i < subscriber->size; i++)
        rkb_buffer_free(&subscriber->subscriptions[i].name);
    free(subscriber->subscriptions);
    free(subscriber->user);
    free(subscriber->client_name);
    explicit_bzero(&subscriber->url, sizeof subscriber->url);
    free(subscriber);
}

void rkb_subscriber_free(struct rkb_subscriber *subscriber)
{
    if (subscriber == NULL)
        return;
    if (subscriber->guard.inside > 0) {
        rkb_connection_close(subscriber->connection);
        event_del(subscriber->timer);
    }
    rkb_guard_doom(&subscriber->guard);
}

static struct rkb_connection *new_connection(struct event_base *base, struct rkb_subscriber *subscriber,
                                             const struct rkb_subscriber_options *options)
{
    static const struct rkb_connection_events events = {
        .ready = on_ready,
        .message = on_message,
        .too_large = on_too_large,
        .confirmation = on_confirmation,
        .reply = on_reply,
        .idle = on_idle,
        .lost = on_lost,
    };
    const struct rkb_connection_options of_connection = {
        .url = &subscriber->url,
        .tls = options->tls,
        .user = subscriber->user,
        .password = options->password,
        .password_context = subscriber->context,
        .client_name = subscriber->client_name,
        .learn_id = options->learn_id,
        .deadline_us = options->connect_timeout_us,
        .heartbeat_us = options->heartbeat_us,
        .heartbeat_timeout_us = options->heartbeat_timeout_us,
        .max_message_size = options->max_message_size,
        .sys = options->sys,
    };
    return rkb_connection_new(base, &of_connection, &subscriber->guard, &events, subscriber);
}

struct rkb_subscriber *rkb_subscriber_new(struct event_base *base, const struct rkb_subscriber_options *options,
                                          const struct rkb_subscriber_events *events, void *context)
{
    struct rkb_subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL)
        return NULL;
    subscriber->guard = (struct rkb_guard){.destroy = destroy, .object = subscriber};
    subscriber->events = *events;
    subscriber->context = context;
    subscriber->sys = options->sys;
    subscriber->url = options->url;
    subscriber->healthy_us = options->healthy_us;
    subscriber->backoff = rkb_backoff(options->backoff_min_us, options->backoff_max_us);
    subscriber->user = strdup(options->user != NULL ? options->user : "");
    subscriber->client_name = strdup(options->client_name != NULL ? options->client_name : "");
    subscriber->timer = evtimer_new(base, on_timer, subscriber);
    subscriber->connection = new_connection(base, subscriber, options);
    if (subscriber->user == NULL || subscriber->client_name == NULL || subscriber->timer == NULL ||
        subscriber->connection == NULL) {
        destroy(subscriber);
        return NULL;
    }
    return subscriber;
}

void rkb_subscriber_figures(const struct rkb_subscriber *subscriber, struct rkb_subscriber_figures *figures)
{
    int64_t caught_up_us = rkb_connection_caught_up_us(subscriber->connection);
    *figures = (struct rkb_subscriber_figures){
        .connected = subscriber->is_stream,
        .subscribed = (uint32_t)subscriber->confirmed,
        .connections_total = subscriber->connections,
        .bytes_total = rkb_connection_bytes(subscriber->connection),
        .caught_up_us = caught_up_us != 0 ? caught_up_us : subscriber->caught_up_us,
        .id = subscriber->is_stream ? rkb_connection_id(subscriber->connection) : 0,
        .broke_off = subscriber->broke_off,
    };
    memcpy(figures->error, subscriber->error, sizeof figures->error);
}
