/*
 * discover_listen -- see discover_listen.h, also for the picture.
 *
 * Two connections: one is subscribed, one asks. While listening it asks CLIENT LIST ID (O(1) for Redis) four times a
 * second and sees how much Redis holds for us. The limits here are narrower than the bridge's: who only wants to know
 * may leave early.
 */
#include "tool/discover_listen.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "config/secret.h"
#include "message/json.h"
#include "message/utf8.h"
#include "redis/budget.h"
#include "redis/subscriber.h"
#include "redis/watcher.h"

#define MS(n) (INT64_C(1000) * (n))
#define SECONDS(n) (MS(1000) * (n))
#define TICK_US MS(250)
#define SLOW_US SECONDS(2)              /* never having read all there was for so long is too slow */
#define ANSWER_US SECONDS(3)            /* a small question unanswered for so long: Redis has other worries */
#define DEADLINE_US SECONDS(5)
#define LEAVE_US SECONDS(1)
#define HARD_PART 4                     /* of the hard limit, and 2 of the soft one, is near enough */
#define SOFT_PART 2
#define HELD_BYTES (UINT64_C(1) << 20)  /* a longer payload is counted, not held */
#define NEAR_SECONDS 0.5                /* to the cut, if we stood still: likewise */
#define CHANNELS_ASKED 10000            /* more than so many, and PUBSUB CHANNELS would cost Redis too much */
#define CLIENT_NAME "rkbctl-discover"   /* not a name that a bridge would take for another bridge */

static const struct rkb_output_limits default_limits = {32 << 20, 8 << 20, 60};

enum phase { ASKING, SUBSCRIBING, LISTENING, LEAVING, ASKING_LAST, ENDED };

struct listening {
    const struct rkb_listen_options *options;
    struct rkb_heard *heard;
    struct event_base *base;
    struct rkb_watcher *watcher;
    struct rkb_subscriber *subscriber;
    struct event *tick, *deadline;      /* deadline: of listening, then of the last questions */
    struct event *signals[2];
    enum phase phase;
    int64_t since_us;                   /* monotonic: subscribed */
    struct rkb_budget budget;
    uint64_t id;                        /* the subscribed connection's */
    int64_t buffer;                     /* as the list says it, on its way */
    int64_t asked_us;                   /* monotonic; 0: nothing is open */
    uint64_t read;                      /* bytes, at the last tick */
    int64_t caught_up_us, behind_us;    /* realtime; monotonic: since when behind, 0: not */
    int64_t second_us;                  /* monotonic: when the present second began */
    uint64_t in_second;
    size_t next_asked, next_told;       /* of NUMSUB: channels */
};

/* ---- the end ---- */

static void finish(struct listening *listening)
{
    listening->phase = ENDED;
    event_base_loopexit(listening->base, NULL);
}

static void ask_listeners(struct listening *listening);

/* Closes the subscription at once; what is left to ask is asked. */
static void end(struct listening *listening, enum rkb_listen_end how, const struct rkb_error *why)
{
    if (listening->phase >= ASKING_LAST)
        return;
    bool listened = listening->phase == LISTENING || listening->phase == LEAVING;
    struct rkb_heard *heard = listening->heard;
    const struct timeval time = {DEADLINE_US / SECONDS(1), 0};
    heard->end = how;
    if (why != NULL)
        heard->why = *why;
    if (listening->phase == LISTENING)
        heard->listened_us = listening->options->sys->monotonic_us() - listening->since_us;
    if (listening->in_second > heard->peak)         /* of less than a second */
        heard->peak = listening->in_second;
    event_del(listening->tick);
    rkb_subscriber_free(listening->subscriber);
    listening->subscriber = NULL;
    listening->phase = ASKING_LAST;
    event_add(listening->deadline, &time);
    if (listened && how != RKB_END_BUSY && rkb_watcher_ready(listening->watcher))
        ask_listeners(listening);
    else
        finish(listening);
}

/* Without danger: what Redis has sent already is read first. */
static void leave(struct listening *listening, enum rkb_listen_end how)
{
    if (listening->phase != LISTENING) {
        end(listening, how, NULL);
        return;
    }
    listening->heard->end = how;
    listening->heard->listened_us = listening->options->sys->monotonic_us() - listening->since_us;
    listening->phase = LEAVING;
    event_del(listening->tick);
    event_del(listening->deadline);
    rkb_subscriber_stop(listening->subscriber, LEAVE_US);
}

static void end_with(struct listening *listening, enum rkb_listen_end how, enum rkb_code code, const char *text)
{
    struct rkb_error why;
    rkb_fail(&why, code, "%s", text);
    end(listening, how, &why);
}

/* ---- messages ---- */

static enum rkb_payload_form form_of(struct rkb_slice payload)
{
    if (rkb_json_valid(payload, NULL)) {
        size_t at = 0;
        while (at < payload.size && memchr(" \t\r\n", payload.data[at], 4) != NULL)
            at++;
        return payload.data[at] == '{' ? RKB_FORM_OBJECT : RKB_FORM_JSON;
    }
    bool text = rkb_utf8_valid(payload) && (payload.size == 0 || memchr(payload.data, '\0', payload.size) == NULL);
    return text ? RKB_FORM_TEXT : RKB_FORM_BINARY;
}

static uint32_t count(struct listening *listening, struct rkb_slice channel, uint64_t size)
{
    uint32_t number = rkb_channels_number(listening->heard->channels, channel);
    rkb_channels_count(listening->heard->channels, number, size);
    listening->heard->messages++;
    listening->heard->bytes += size;
    listening->in_second++;
    return number;
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload, int64_t time_us)
{
    (void)is_pattern;
    (void)pattern;
    struct listening *listening = context;
    struct rkb_heard *heard = listening->heard;
    uint32_t number = count(listening, channel, payload.size);
    if (!rkb_channels_look(heard->channels, number, time_us, listening->options->for_us / 100))
        return;
    struct rkb_seen *seen = rkb_channels_at(heard->channels, number);
    enum rkb_payload_form form = form_of(payload);
    seen->figures.forms[form]++;
    if (form == RKB_FORM_OBJECT)
        rkb_fields_look(heard->fields, number, seen->looked <= RKB_FIELDS_FIRST, payload);
}

static void on_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         uint64_t size, int64_t time_us)
{
    (void)is_pattern;
    (void)pattern;
    (void)time_us;
    count(context, channel, size);
}

static void on_move(void *context, const uint32_t *of, size_t size)
{
    struct listening *listening = context;
    rkb_fields_move(listening->heard->fields, of, size);
}

/* ---- the subscription ---- */

static void on_stream(void *context, int64_t time_us)
{
    (void)time_us;
    struct rkb_subscriber_figures figures;
    struct listening *listening = context;
    rkb_subscriber_figures(listening->subscriber, &figures);
    listening->id = figures.id;
    listening->heard->buffer_refused = listening->id == 0;
}

static void on_confirmed(void *context, bool is_pattern, struct rkb_slice name, bool on)
{
    (void)context;
    (void)is_pattern;
    (void)name;
    (void)on;
}

static void on_allowed(void *context, bool is_pattern, struct rkb_slice name)
{
    on_confirmed(context, is_pattern, name, true);
}

static void on_batch(void *context)
{
    (void)context;
}

static void on_stopped(void *context)
{
    struct listening *listening = context;
    end(listening, listening->heard->end, NULL);
}

static void on_refused(void *context, bool is_pattern, struct rkb_slice name, enum rkb_lack lack,
                       struct rkb_slice words)
{
    struct listening *listening = context;
    const char *user = listening->options->user != NULL ? listening->options->user : listening->options->url->user;
    char rule[RKB_RULE_SIZE], shown[160];
    struct rkb_error why;
    rkb_refusal_rule(rule, user, is_pattern, name, lack);
    rkb_printable(shown, sizeof shown, words);
    rkb_fail(&why, RKB_REFUSED, "Redis does not let us listen to all channels: %s; the rule that is missing: %.200s",
             shown, rule);
    end(listening, RKB_END_REFUSED, &why);
}

static void ask_buffer(struct listening *listening, int64_t now_us)
{
    if (listening->heard->buffer_refused || listening->id == 0 || rkb_watcher_busy(listening->watcher))
        return;
    listening->buffer = -1;
    listening->asked_us = now_us;
    rkb_watcher_ask(listening->watcher, RKB_ASK_OURS, (const uint64_t[2]){listening->id, 0});
}

static void on_subscribed(void *context, int64_t time_us, size_t refused)
{
    struct listening *listening = context;
    const struct timeval time = {TICK_US / SECONDS(1), TICK_US % SECONDS(1)};
    const struct timeval all = {listening->options->for_us / SECONDS(1), listening->options->for_us % SECONDS(1)};
    (void)time_us;
    if (refused > 0 || listening->phase != SUBSCRIBING)
        return;
    listening->phase = LISTENING;
    listening->since_us = listening->second_us = listening->options->sys->monotonic_us();
    event_add(listening->tick, &time);
    event_add(listening->deadline, &all);
    ask_buffer(listening, listening->since_us);
}

static void on_subscriber_lost(void *context, const struct rkb_error *error, bool was_stream, int64_t caught_up_us,
                               int64_t retry_us)
{
    (void)was_stream;
    (void)caught_up_us;
    (void)retry_us;
    struct listening *listening = context;
    struct rkb_subscriber_figures figures;
    struct rkb_error why = *error;
    rkb_subscriber_figures(listening->subscriber, &figures);
    if (listening->phase == LISTENING && figures.broke_off)
        rkb_fail(&why, RKB_CLOSED, "%.300s: it has probably cut us off, as more was published at once than it holds "
                                   "for a subscriber", error->text);
    end(listening, listening->phase == LISTENING ? RKB_END_LOST : RKB_END_UNREACHABLE, &why);
}

static bool give_password(void *context, char *out, size_t size, struct rkb_error *error)
{
    const struct listening *listening = context;
    const struct rkb_listen_options *options = listening->options;
    if (options->password_file != NULL)
        return rkb_secret_read(options->password_file, out, size, error);
    const char *password = options->password != NULL ? options->password : options->url->password;
    if (strlen(password) >= size)
        return rkb_fail(error, RKB_USAGE, "the password is longer than %zu bytes", size - 1);
    memcpy(out, password, strlen(password) + 1);
    return true;
}

static void subscribe(struct listening *listening)
{
    static const struct rkb_subscriber_events events = {
        .stream = on_stream, .confirmed = on_confirmed, .refused = on_refused, .allowed = on_allowed,
        .subscribed = on_subscribed, .message = on_message, .too_large = on_too_large, .batch = on_batch,
        .lost = on_subscriber_lost, .stopped = on_stopped};
    const struct rkb_listen_options *options = listening->options;
    const struct rkb_subscriber_options of_subscriber = {
        .url = *options->url, .tls = options->tls, .user = options->user, .password = give_password,
        .client_name = CLIENT_NAME, .learn_id = true, .connect_timeout_us = DEADLINE_US, .heartbeat_us = SECONDS(5),
        .heartbeat_timeout_us = SECONDS(5), .backoff_min_us = SECONDS(1), .backoff_max_us = SECONDS(1),
        .healthy_us = SECONDS(10), .refused_again_us = SECONDS(3600), .max_message_size = HELD_BYTES,
        .sys = options->sys};
    struct rkb_error error = {.code = RKB_NO_MEMORY, .text = "out of memory"};
    listening->phase = SUBSCRIBING;
    listening->subscriber = rkb_subscriber_new(listening->base, &of_subscriber, &events, listening);
    if (listening->subscriber != NULL && rkb_subscriber_add(listening->subscriber, true, rkb_slice_text("*"), &error))
        rkb_subscriber_start(listening->subscriber);
    else
        end(listening, RKB_END_UNREACHABLE, &error);
}

/* ---- danger ---- */

static void look_at_buffer(struct listening *listening, int64_t now_us)
{
    struct rkb_subscriber_figures figures;
    struct rkb_heard *heard = listening->heard;
    const struct rkb_output_limits *limits = &heard->limits;
    char held[32], limit[32];
    rkb_subscriber_figures(listening->subscriber, &figures);
    rkb_budget_sample(&listening->budget, now_us, listening->buffer, figures.bytes_total);
    if (listening->buffer < 0)
        return;
    if (listening->buffer > heard->buffer_most)
        heard->buffer_most = listening->buffer;
    double seconds = rkb_budget_seconds(&listening->budget, now_us);
    bool fast = seconds >= 0 && seconds < NEAR_SECONDS;
    bool near = (limits->hard > 0 && (uint64_t)listening->buffer > limits->hard / HARD_PART) ||
                (limits->soft > 0 && (uint64_t)listening->buffer > limits->soft / SOFT_PART);
    if (!near && !fast && !rkb_budget_alarm(&listening->budget, now_us))
        return;
    struct rkb_error why;
    rkb_format_size(held, sizeof held, near ? (uint64_t)listening->buffer : (uint64_t)listening->budget.rate);
    rkb_format_size(limit, sizeof limit, limits->hard > 0 ? limits->hard : limits->soft);
    if (!near)
        rkb_fail(&why, RKB_FULL, "%s a second are published, and Redis cuts a subscriber off at %s: it could come to "
                                 "that in a moment", held, limit);
    else
        rkb_fail(&why, RKB_FULL, "Redis held %s for us, and would have cut us off at %s: more is published than this "
                                 "machine or the way to it takes", held, limit);
    end(listening, RKB_END_BUFFER, &why);
}

/* Whether, in each tick for so long, there was more to read than was read. */
static bool is_slow(struct listening *listening, int64_t now_us)
{
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(listening->subscriber, &figures);
    bool behind = figures.bytes_total != listening->read && figures.caught_up_us == listening->caught_up_us;
    listening->read = figures.bytes_total;
    listening->caught_up_us = figures.caught_up_us;
    if (!behind)
        listening->behind_us = 0;
    else if (listening->behind_us == 0)
        listening->behind_us = now_us;
    return behind && now_us - listening->behind_us >= SLOW_US;
}

static void note_peak(struct listening *listening, int64_t now_us)
{
    int64_t passed_us = now_us - listening->second_us;
    if (passed_us < SECONDS(1))
        return;
    uint64_t rate = listening->in_second * 1000 / (uint64_t)(passed_us / 1000);
    if (rate > listening->heard->peak)
        listening->heard->peak = rate;
    listening->in_second = 0;
    listening->second_us = now_us;
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct listening *listening = context;
    int64_t now_us = listening->options->sys->monotonic_us();
    note_peak(listening, now_us);
    if (is_slow(listening, now_us))
        end_with(listening, RKB_END_SLOW, RKB_FULL, "for two seconds we read more slowly than was published: what is "
                                                    "waiting would grow in Redis");
    else if (listening->asked_us != 0 && now_us - listening->asked_us > ANSWER_US)
        end_with(listening, RKB_END_BUSY, RKB_TIMEOUT, "Redis did not answer a small question for three seconds: it "
                                                       "has enough to do without us");
    else
        ask_buffer(listening, now_us);
}

/* ---- questions ---- */

static void on_watcher_ready(void *context, uint64_t id)
{
    struct listening *listening = context;
    (void)id;
    if (listening->phase != ASKING)
        return;
    rkb_watcher_ask(listening->watcher, RKB_ASK_LIMITS, NULL);
    rkb_watcher_ask(listening->watcher, RKB_ASK_CUTS, NULL);
    rkb_watcher_ask(listening->watcher, RKB_ASK_SUBSCRIBED, NULL);
}

static void on_client(void *context, enum rkb_question question, const struct rkb_client *client)
{
    struct listening *listening = context;
    struct rkb_heard *heard = listening->heard;
    if (question == RKB_ASK_OURS && client->id == listening->id)
        listening->buffer = client->output_buffer;
    if (question != RKB_ASK_SUBSCRIBED)
        return;
    if (heard->listener_count == RKB_LISTENERS_KEPT) {
        heard->listeners_more++;
        return;
    }
    struct rkb_listener *listener = &heard->listeners[heard->listener_count++];
    rkb_printable(listener->name, sizeof listener->name, client->name);
    rkb_printable(listener->address, sizeof listener->address, client->address);
    rkb_printable(listener->user, sizeof listener->user, client->user);
    listener->channels = client->channels;
    listener->patterns = client->patterns;
}

/* "pubsub_channels:12" */
static void take_field(struct rkb_slice line, const char *field, int64_t *out)
{
    char number[24];
    size_t size = strlen(field);
    if (line.size <= size || memcmp(line.data, field, size) != 0 || line.size - size >= sizeof number)
        return;
    memcpy(number, line.data + size, line.size - size);
    number[line.size - size] = '\0';
    *out = strtoll(number, NULL, 10);
}

static void on_line(void *context, enum rkb_question question, struct rkb_slice line)
{
    struct listening *listening = context;
    struct rkb_heard *heard = listening->heard;
    if (question == RKB_ASK_LIMITS && rkb_output_limits_parse(line, &heard->limits)) {
        heard->limits_known = true;
    } else if (question == RKB_ASK_CUTS) {
        take_field(line, "pubsub_channels:", &heard->subscribed_channels);
        take_field(line, "pubsub_patterns:", &heard->subscribed_patterns);
    } else if (question == RKB_ASK_CHANNELS) {
        (void)rkb_channels_number(heard->channels, line);
    }
}

static void on_number(void *context, enum rkb_question question, long long integer)
{
    struct listening *listening = context;
    struct rkb_channels *channels = listening->heard->channels;
    if (question != RKB_ASK_LISTENERS || listening->next_told >= rkb_channels_size(channels))
        return;
    rkb_channels_at(channels, (uint32_t)listening->next_told++)->figures.listeners = integer;
}

/* The next few channels; those of a pattern have no names any more. */
static void ask_listeners(struct listening *listening)
{
    struct rkb_slice names[RKB_WATCHER_NAMES];
    struct rkb_channels *channels = listening->heard->channels;
    int asked = 0;
    while (listening->next_asked < rkb_channels_size(channels) && asked < RKB_WATCHER_NAMES) {
        const struct rkb_seen *seen = rkb_channels_at(channels, (uint32_t)listening->next_asked++);
        if (seen->taken > 0)
            listening->next_told = listening->next_asked;
        else
            names[asked++] = rkb_slice(seen->name.data, seen->name.size);
    }
    if (asked > 0)
        rkb_watcher_ask_names(listening->watcher, RKB_ASK_LISTENERS, names, asked);
    else
        finish(listening);
}

/* All the questions before listening are answered. */
static void asked_all(struct listening *listening)
{
    struct rkb_heard *heard = listening->heard;
    if (!heard->limits_known)
        heard->limits = default_limits;
    listening->budget = (struct rkb_budget){.has_limits = true, .limits = heard->limits};
    rkb_budget_begin(&listening->budget);
    subscribe(listening);
}

static void on_answered(void *context, enum rkb_question question, const struct rkb_error *refused)
{
    struct listening *listening = context;
    struct rkb_heard *heard = listening->heard;
    if (listening->phase == ASKING) {
        if (question == RKB_ASK_SUBSCRIBED)
            heard->listeners_known = refused == NULL;
        bool few = heard->subscribed_channels >= 0 && heard->subscribed_channels <= CHANNELS_ASKED;
        if (question == RKB_ASK_SUBSCRIBED && few)
            rkb_watcher_ask(listening->watcher, RKB_ASK_CHANNELS, NULL);
        else if (question == RKB_ASK_SUBSCRIBED || question == RKB_ASK_CHANNELS)
            asked_all(listening);
    } else if (listening->phase == ASKING_LAST && question == RKB_ASK_LISTENERS) {
        heard->channels_known = refused == NULL;
        if (refused == NULL)
            ask_listeners(listening);
        else
            finish(listening);
    } else if (listening->phase == LISTENING && question == RKB_ASK_OURS) {
        listening->asked_us = 0;
        heard->buffer_refused = refused != NULL;
        look_at_buffer(listening, listening->options->sys->monotonic_us());
    }
}

static void on_watcher_lost(void *context, const struct rkb_error *error)
{
    struct listening *listening = context;
    if (listening->phase == ASKING_LAST)
        finish(listening);
    else if (listening->phase < LISTENING)
        end(listening, RKB_END_UNREACHABLE, error);
    else if (listening->phase == LISTENING)
        end(listening, RKB_END_LOST, error);
}

/* ---- the whole ---- */

static void on_signal(evutil_socket_t number, short what, void *context)
{
    (void)number;
    (void)what;
    struct listening *listening = context;
    if (listening->phase == ASKING_LAST)
        finish(listening);
    else
        leave(listening, RKB_END_SIGNAL);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct listening *listening = context;
    if (listening->phase == LISTENING)
        leave(listening, RKB_END_TIME);
    else
        finish(listening);
}

static bool open_all(struct listening *listening)
{
    static const struct rkb_watcher_events events = {
        .ready = on_watcher_ready, .client = on_client, .line = on_line, .number = on_number,
        .answered = on_answered, .lost = on_watcher_lost};
    const struct rkb_listen_options *options = listening->options;
    const struct rkb_watcher_options of_watcher = {
        .url = options->url, .tls = options->tls, .user = options->user, .password = give_password,
        .deadline_us = DEADLINE_US, .backoff_min_us = SECONDS(1), .backoff_max_us = SECONDS(1), .sys = options->sys};
    listening->heard->channels = rkb_channels_new();
    listening->heard->fields = rkb_fields_new();
    listening->base = event_base_new();
    if (listening->heard->channels == NULL || listening->heard->fields == NULL || listening->base == NULL)
        return false;
    rkb_channels_on_move(listening->heard->channels, on_move, listening);
    listening->tick = event_new(listening->base, -1, EV_PERSIST, on_tick, listening);
    listening->deadline = evtimer_new(listening->base, on_deadline, listening);
    listening->signals[0] = evsignal_new(listening->base, SIGINT, on_signal, listening);
    listening->signals[1] = evsignal_new(listening->base, SIGTERM, on_signal, listening);
    listening->watcher = rkb_watcher_new(listening->base, &of_watcher, &events, listening);
    return listening->tick != NULL && listening->deadline != NULL && listening->watcher != NULL &&
           listening->signals[0] != NULL && event_add(listening->signals[0], NULL) == 0 &&
           listening->signals[1] != NULL && event_add(listening->signals[1], NULL) == 0;
}

static void close_all(struct listening *listening)
{
    struct event *events[] = {listening->tick, listening->deadline, listening->signals[0], listening->signals[1]};
    rkb_subscriber_free(listening->subscriber);
    rkb_watcher_free(listening->watcher);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (events[i] != NULL)
            event_free(events[i]);
    if (listening->base != NULL)
        event_base_free(listening->base);
}

void rkb_listen(const struct rkb_listen_options *options, struct rkb_heard *heard)
{
    struct listening listening = {.options = options, .heard = heard};
    *heard = (struct rkb_heard){.end = RKB_END_UNREACHABLE, .buffer_most = -1, .subscribed_channels = -1,
                                .subscribed_patterns = -1};
    signal(SIGPIPE, SIG_IGN);
    if (open_all(&listening)) {
        rkb_watcher_rename(listening.watcher, CLIENT_NAME);
        rkb_watcher_start(listening.watcher);
        event_base_dispatch(listening.base);
    } else {
        rkb_fail(&heard->why, RKB_NO_MEMORY, "out of memory");
    }
    close_all(&listening);
}

void rkb_heard_free(struct rkb_heard *heard)
{
    rkb_channels_free(heard->channels);
    rkb_fields_free(heard->fields);
    *heard = (struct rkb_heard){0};
}
