/*
 * watcher -- see watcher.h, also for the picture.
 *
 * Questions that are asked in one turn go out in one pipeline, and the deadline runs for all of them together. Redis
 * answers in order, so the open questions are a queue.
 */
#include "redis/watcher.h"

#include <stdio.h>
#include <stdlib.h>

#include "redis/answers.h"
#include "redis/backoff.h"
#include "redis/connection.h"
#include "redis/guard.h"
#include "redis/refusal.h"

enum { MOST_OPEN = 32, MOST_WORDS = 8 };      /* words: of a question's own text */

enum state { NEW, WAITING, OPENING, READY };

struct rkb_watcher {
    struct rkb_guard guard;
    struct rkb_watcher_options options;
    struct rkb_watcher_events events;
    void *context;
    struct rkb_connection *connection;
    struct rkb_answers answers;
    struct event *timer;
    struct rkb_backoff backoff;
    enum state state;
    enum rkb_question open[MOST_OPEN];  /* a ring */
    unsigned first, count;
    unsigned publishing;                /* of these so many are a PUBLISH */
    char name[RKB_BRIDGE_NAME];
};

static const char *const texts[RKB_QUESTIONS] = {
    [RKB_ASK_NAME] = "CLIENT SETNAME",
    [RKB_ASK_LIMITS] = "CONFIG GET client-output-buffer-limit",
    [RKB_ASK_DIRECTORY] = "CONFIG GET dir",
    [RKB_ASK_CUTS] = "INFO stats",
    [RKB_ASK_ROLE] = "INFO replication",
    [RKB_ASK_SERVER] = "INFO server",
    [RKB_ASK_HISTORY] = "INFO replication",
    [RKB_ASK_COUNTERS] = "INFO stats",
    [RKB_ASK_MODULES] = "INFO modules",
    [RKB_ASK_EVENTS] = "CONFIG GET notify-keyspace-events",
    [RKB_ASK_COMMANDS] = "INFO commandstats",
    [RKB_ASK_CHANNELS] = "PUBSUB CHANNELS",
    [RKB_ASK_LISTENERS] = "PUBSUB NUMSUB",
    [RKB_ASK_PUBLISH] = "PUBLISH",
    [RKB_ASK_OURS] = "CLIENT LIST ID",
    [RKB_ASK_SELF] = "CLIENT LIST ID",
    [RKB_ASK_OTHERS] = "CLIENT LIST ID",
    [RKB_ASK_SUBSCRIBED] = "CLIENT LIST TYPE pubsub",
    [RKB_ASK_NORMAL] = "CLIENT LIST TYPE normal",
};

const char *rkb_question_text(enum rkb_question question)
{
    return texts[question];
}

const char *rkb_question_right(enum rkb_question question)
{
    static const char *const rights[RKB_QUESTIONS] = {
        [RKB_ASK_NAME] = "client|setname",
        [RKB_ASK_LIMITS] = "config|get",
        [RKB_ASK_DIRECTORY] = "config|get",
        [RKB_ASK_CUTS] = "info",
        [RKB_ASK_ROLE] = "info",
        [RKB_ASK_SERVER] = "info",
        [RKB_ASK_HISTORY] = "info",
        [RKB_ASK_COUNTERS] = "info",
        [RKB_ASK_MODULES] = "info",
        [RKB_ASK_EVENTS] = "config|get",
        [RKB_ASK_COMMANDS] = "info",
        [RKB_ASK_CHANNELS] = "pubsub|channels",
        [RKB_ASK_LISTENERS] = "pubsub|numsub",
        [RKB_ASK_PUBLISH] = "publish",
        [RKB_ASK_OURS] = "client|list",
        [RKB_ASK_SELF] = "client|list",
        [RKB_ASK_OTHERS] = "client|list",
        [RKB_ASK_SUBSCRIBED] = "client|list",
        [RKB_ASK_NORMAL] = "client|list",
    };
    return rights[question];
}

static bool lists_clients(enum rkb_question question)
{
    return question >= RKB_ASK_OURS;
}

static void wait_and_open(struct rkb_watcher *watcher, int64_t us)
{
    const struct timeval time = {us / 1000000, us % 1000000};
    watcher->state = WAITING;
    event_add(watcher->timer, &time);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct rkb_watcher *watcher = arg;
    rkb_guard_enter(&watcher->guard);
    watcher->state = OPENING;
    watcher->first = watcher->count = watcher->publishing = 0;
    rkb_answers_reset(&watcher->answers);
    rkb_connection_open(watcher->connection);
    rkb_guard_leave(&watcher->guard);
}

static void on_ready(void *context)
{
    struct rkb_watcher *watcher = context;
    watcher->state = READY;
    watcher->events.ready(watcher->context, rkb_connection_id(watcher->connection));
}

static void on_lost(void *context, const struct rkb_error *error)
{
    struct rkb_watcher *watcher = context;
    uint32_t random = UINT32_MAX / 2;
    (void)watcher->options.sys->random(&random, sizeof random);
    rkb_answers_stop(&watcher->answers);
    watcher->count = watcher->publishing = 0;
    wait_and_open(watcher, rkb_backoff_next(&watcher->backoff, random));
    if (!watcher->guard.doomed)
        watcher->events.lost(watcher->context, error);
}

static void on_bytes(void *context, struct rkb_slice bytes)
{
    struct rkb_watcher *watcher = context;
    struct rkb_error error;
    if (!rkb_answers_feed(&watcher->answers, bytes, &error))
        rkb_connection_fail(watcher->connection, &error);
}

static void on_line(void *context, struct rkb_slice line)
{
    struct rkb_watcher *watcher = context;
    struct rkb_client client;
    if (watcher->count == 0)
        return;
    enum rkb_question question = watcher->open[watcher->first];
    if (!lists_clients(question))
        watcher->events.line(watcher->context, question, line);
    else if (rkb_client_parse(line, &client))
        watcher->events.client(watcher->context, question, &client);
}

static void on_number(void *context, long long integer)
{
    struct rkb_watcher *watcher = context;
    if (watcher->count > 0 && watcher->events.number != NULL)
        watcher->events.number(watcher->context, watcher->open[watcher->first], integer);
}

static void on_whole(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    struct rkb_watcher *watcher = context;
    struct rkb_error error = {.code = RKB_OK};
    if (watcher->count == 0) {
        rkb_fail(&error, RKB_PROTOCOL, "Redis sent a reply that nothing asked for");
        rkb_connection_fail(watcher->connection, &error);
        return;
    }
    enum rkb_question question = watcher->open[watcher->first];
    watcher->first = (watcher->first + 1) % MOST_OPEN;
    watcher->publishing -= question == RKB_ASK_PUBLISH;
    if (--watcher->count == 0)
        rkb_connection_rest(watcher->connection);
    rkb_backoff_reset(&watcher->backoff);
    if (kind == RKB_REPLY_INTEGER && watcher->events.number != NULL)
        watcher->events.number(watcher->context, question, integer);
    if (kind == RKB_REPLY_ERROR)
        rkb_refusal(&error, texts[question], text, "");
    watcher->events.answered(watcher->context, question, kind == RKB_REPLY_ERROR ? &error : NULL);
}

static void on_idle(void *context)
{
    (void)context;
}

/* Appends the words of a text, up to the first that has none. */
static int split(const char *text, struct rkb_slice *words)
{
    int count = 0;
    for (size_t length; *text != '\0'; text += length + (text[length] == ' ')) {
        length = strcspn(text, " ");
        words[count++] = rkb_slice(text, length);
    }
    return count;
}

void rkb_watcher_ask_names(struct rkb_watcher *watcher, enum rkb_question question, const struct rkb_slice *names,
                           int name_count)
{
    struct rkb_slice words[MOST_WORDS + RKB_WATCHER_NAMES];
    if (watcher->state != READY || watcher->count == MOST_OPEN)
        return;
    int count = split(texts[question], words);
    for (int i = 0; i < name_count && i < RKB_WATCHER_NAMES; i++)
        words[count++] = names[i];
    if (watcher->count == 0)
        rkb_connection_expect(watcher->connection, "the answer to what was asked");
    watcher->open[(watcher->first + watcher->count++) % MOST_OPEN] = question;
    watcher->publishing += question == RKB_ASK_PUBLISH;
    rkb_connection_send(watcher->connection, count, words);
}

void rkb_watcher_ask(struct rkb_watcher *watcher, enum rkb_question question, const uint64_t ids[2])
{
    struct rkb_slice words[2];
    char numbers[2][24];
    int count = 0;
    if (question == RKB_ASK_NAME)
        words[count++] = rkb_slice_text(watcher->name);
    for (int i = 0; i < 2 && ids != NULL; i++) {
        if (ids[i] == 0)
            continue;
        snprintf(numbers[i], sizeof numbers[i], "%llu", (unsigned long long)ids[i]);
        words[count++] = rkb_slice_text(numbers[i]);
    }
    rkb_watcher_ask_names(watcher, question, words, count);
}

void rkb_watcher_rename(struct rkb_watcher *watcher, const char *name)
{
    snprintf(watcher->name, sizeof watcher->name, "%s", name);
}

void rkb_watcher_start(struct rkb_watcher *watcher)
{
    if (watcher->state == NEW)
        wait_and_open(watcher, 0);
}

void rkb_watcher_hurry(struct rkb_watcher *watcher)
{
    if (watcher->state == WAITING)
        wait_and_open(watcher, 0);
}

bool rkb_watcher_ready(const struct rkb_watcher *watcher)
{
    return watcher->state == READY;
}

bool rkb_watcher_busy(const struct rkb_watcher *watcher)
{
    return watcher->count > watcher->publishing;
}

bool rkb_watcher_beside(const struct rkb_watcher *watcher, const struct rkb_subscriber *subscriber)
{
    const struct rkb_connection *other = rkb_subscriber_connection(subscriber);
    return watcher->state == READY && other != NULL && rkb_connection_same_peer(watcher->connection, other);
}

bool rkb_watcher_is_local(const struct rkb_watcher *watcher)
{
    return watcher->state == READY && rkb_connection_is_local(watcher->connection);
}

static void destroy(void *object)
{
    struct rkb_watcher *watcher = object;
    rkb_connection_free(watcher->connection);
    if (watcher->timer != NULL)
        event_free(watcher->timer);
    free(watcher);
}

void rkb_watcher_free(struct rkb_watcher *watcher)
{
    if (watcher == NULL)
        return;
    if (watcher->guard.inside > 0) {
        rkb_answers_stop(&watcher->answers);
        rkb_connection_close(watcher->connection);
        event_del(watcher->timer);
    }
    rkb_guard_doom(&watcher->guard);
}

static struct rkb_connection *new_connection(struct event_base *base, struct rkb_watcher *watcher,
                                             const struct rkb_watcher_options *options)
{
    static const struct rkb_connection_events events = {
        .ready = on_ready,
        .idle = on_idle,
        .bytes = on_bytes,
        .lost = on_lost,
    };
    const struct rkb_connection_options of_connection = {
        .url = options->url,
        .tls = options->tls,
        .user = options->user,
        .password = options->password,
        .password_context = watcher->context,
        .client_name = watcher->name,
        .learn_id = true,
        .deadline_us = options->deadline_us,
        .heartbeat_us = options->deadline_us,
        .sys = options->sys,
    };
    return rkb_connection_new(base, &of_connection, &watcher->guard, &events, watcher);
}

struct rkb_watcher *rkb_watcher_new(struct event_base *base, const struct rkb_watcher_options *options,
                                    const struct rkb_watcher_events *events, void *context)
{
    struct rkb_watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL)
        return NULL;
    watcher->guard = (struct rkb_guard){.destroy = destroy, .object = watcher};
    watcher->options = *options;
    watcher->events = *events;
    watcher->context = context;
    watcher->backoff = rkb_backoff(options->backoff_min_us, options->backoff_max_us);
    watcher->answers = (struct rkb_answers){.line = on_line, .number = on_number, .whole = on_whole,
                                             .context = watcher};
    watcher->timer = evtimer_new(base, on_timer, watcher);
    watcher->connection = new_connection(base, watcher, options);
    if (watcher->timer == NULL || watcher->connection == NULL) {
        destroy(watcher);
        return NULL;
    }
    return watcher;
}
