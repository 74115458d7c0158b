/*
 * watch -- see watch.h, also for the picture.
 *
 *     each period     its role; how full is our output buffer; while held: are the other's two connections still there
 *     each minute     the limits
 *     each half       who is subscribed; and only where a bridge is among them that is not us: who is not
 *
 * The same look is made at once when a connection of ours is new. A rival whose second connection is not there is
 * looked at twice, since it may have been between two names.
 */
#include "daemon/watch_state.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"

#define LIMITS_US INT64_C(60000000)     /* how often the limits are read ... */
#define LOOK_US INT64_C(30000000)       /* ... and another bridge is looked for, where none was */
#define SOON_US INT64_C(1000000)        /* between samples of a buffer that fills */
#define MOST_BLIND 3                    /* periods held without a look before we subscribe all the same */
#define FRESH_PERIODS 2                 /* another that subscribed in the same moment is seen in the next */
#define TOGETHER_US INT64_C(2000000)    /* two connections that ended within this ended for one reason */
#define CUTS_FIELD "client_output_buffer_limit_disconnections:"

void rkb_watch_arm(struct rkb_watch *watch, int64_t us)
{
    const struct timeval time = {us / 1000000, us % 1000000};
    if (!watch->stopping)
        event_add(watch->timer, &time);
}

static void rename_watcher(struct rkb_watch *watch, uint64_t subscriber)
{
    char text[RKB_BRIDGE_NAME];
    const struct rkb_bridge_name name = {
        .instance = rkb_slice_text(watch->source->relay->options.config->instance),
        .token = rkb_slice_text(watch->rivals.token),
        .period_ms = watch->period_us / 1000,
        .subscriber = subscriber,
    };
    rkb_bridge_name_write(text, &name);
    rkb_watcher_rename(watch->watcher, text);
}

static void ask(struct rkb_watch *watch, enum rkb_question question, uint64_t one, uint64_t other)
{
    const uint64_t ids[2] = {one, other};
    if (!watch->refused[question])
        rkb_watcher_ask(watch->watcher, question, ids);
}

/* ---- the output buffer ---- */

static void sample(struct rkb_watch *watch)
{
    struct rkb_subscriber_figures figures;
    char buffer[32], hard[32];
    const struct rkb_output_limits *limits = &watch->budget.limits;
    bool before = watch->budget.alarm;
    int64_t now_us = rkb_watch_sys(watch)->monotonic_us();
    rkb_subscriber_figures(watch->source->subscriber, &figures);
    rkb_budget_sample(&watch->budget, now_us, watch->buffer, figures.bytes_total);
    bool alarm = rkb_budget_alarm(&watch->budget, now_us);
    if (alarm == before)
        return;
    rkb_format_size(buffer, sizeof buffer, watch->budget.buffer > 0 ? (uint64_t)watch->budget.buffer : 0);
    rkb_format_size(hard, sizeof hard, limits->hard > 0 ? limits->hard : limits->soft);
    if (alarm)
        rkb_log(rkb_watch_log(watch), RKB_LOG_WARN, watch->source->object, "output_buffer",
                "Redis holds %s for us and cuts us off at %s: we read slower than is published; give rkbridge more CPU "
                "or a faster disk, or raise client-output-buffer-limit pubsub in Redis", buffer, hard);
    else
        rkb_log(rkb_watch_log(watch), RKB_LOG_INFO, watch->source->object, "output_buffer_low",
                "Redis holds %s for us: the danger is over", buffer);
}

static void ask_cuts(struct rkb_watch *watch)
{
    if (watch->refused[RKB_ASK_CUTS] || !watch->connected)
        return;
    watch->cuts_open++;
    ask(watch, RKB_ASK_CUTS, 0, 0);
}

/* Only an answer that was asked for after the loss can prove anything. */
static void cuts_answered(struct rkb_watch *watch)
{
    watch->cuts = watch->cuts_coming;
    watch->cuts_coming = -1;
    watch->refused[RKB_ASK_CUTS] = watch->cuts < 0;
    watch->cuts_open--;
    if (watch->cut_due == 0 || --watch->cut_due > 0 || watch->cuts < watch->cuts_at_loss)
        return;
    bool cut = watch->cuts > watch->cuts_at_loss;
    if (cut != watch->cut_guessed)
        rkb_relay_blame(watch->source, cut ? "output_buffer" : "connection_lost");
    if (cut)
        rkb_log(rkb_watch_log(watch), RKB_LOG_ERROR, watch->source->object, "output_buffer_cut",
                "Redis has cut us off: what it held for us passed client-output-buffer-limit and is lost; give "
                "rkbridge more CPU or a faster disk, or raise that limit (pubsub) in Redis");
}

/* Redis cuts off one connection: where both end together, something else ended them. */
static bool both_lost(const struct rkb_watch *watch, int64_t other_us)
{
    return other_us != 0 && rkb_watch_sys(watch)->monotonic_us() - other_us < TOGETHER_US;
}

const char *rkb_watch_lost(struct rkb_relay_source *source, const struct rkb_error *error, int64_t *from_us)
{
    struct rkb_watch *watch = source->watch;
    struct rkb_subscriber_figures figures;
    bool changed = watch != NULL && rkb_watch_role_ended(watch, from_us);
    rkb_subscriber_figures(source->subscriber, &figures);
    bool high = watch != NULL && rkb_budget_was_high(&watch->budget);
    bool alone = watch == NULL || !both_lost(watch, watch->lost_us);
    bool guessed = error->code == RKB_CLOSED && (figures.broke_off || high) && alone;
    if (guessed)
        rkb_log(source->relay->options.log, RKB_LOG_ERROR, source->object, "output_buffer_cut",
                "Redis has probably cut us off, because what it held for us passed client-output-buffer-limit: %s; if "
                "so, give rkbridge more CPU or a faster disk, or raise that limit (pubsub) in Redis",
                high ? "it was over the half of it" : "much was waiting, and the last message is torn");
    if (watch != NULL) {
        rkb_budget_begin(&watch->budget);
        watch->cut_guessed = guessed;
        watch->guessed_us = guessed ? rkb_watch_sys(watch)->monotonic_us() : 0;
        watch->cuts_at_loss = watch->cuts;
        ask_cuts(watch);
        watch->cut_due = watch->cuts >= 0 ? watch->cuts_open : 0;
    }
    return changed ? "role_changed" : guessed ? "output_buffer" : "connection_lost";
}

/* ---- Redis's disk ---- */

static void look_at_disk(struct rkb_watch *watch)
{
    enum rkb_same_disk answer = watch->disk != NULL ? rkb_disk_answer(watch->disk) : RKB_DISK_ASKING;
    if (answer == RKB_DISK_ASKING)
        return;
    if (answer == RKB_DISK_SAME)
        rkb_log(rkb_watch_log(watch), RKB_LOG_WARN, watch->source->object, "shared_disk",
                "the journal at %s is on one file system with Redis's dir, %s: a journal that fills it keeps Redis "
                "from saving, and a Redis that saves slows the journal; give the journal a file system of its own, or "
                "bound it with journal.max_size",
                watch->source->relay->options.config->journal.directory, watch->directory);
    rkb_disk_forget(watch->disk);
    watch->disk = NULL;
}

static void directory_answered(struct rkb_watch *watch)
{
    watch->disk_done = true;
    if (watch->directory[0] == '/')
        watch->disk = rkb_disk_ask(watch->directory, watch->source->relay->options.config->journal.directory);
}

/* ---- what Redis answers ---- */

static void ask_first(struct rkb_watch *watch)
{
    watch->buffer = watch->cuts_coming = -1;
    ask(watch, RKB_ASK_LIMITS, 0, 0);
    ask_cuts(watch);
    rkb_watch_ask_role(watch);
    if (!watch->disk_done && rkb_watcher_is_local(watch->watcher))
        ask(watch, RKB_ASK_DIRECTORY, 0, 0);
    rkb_watch_ask_published(watch);
    rkb_watch_look(watch);
}

static void on_ready(void *context, uint64_t id)
{
    struct rkb_watch *watch = context;
    watch->id = id;
    watch->connected = true;
    watch->ticks = watch->lines = 0;
    memset(watch->refused, 0, sizeof watch->refused);
    ask_first(watch);
    rkb_watch_canary_ready(watch);
    if (id == 0)
        rkb_watch_decide_blindly(watch, "Redis does not tell us our client id");
}

static void on_client(void *context, enum rkb_question question, const struct rkb_client *client)
{
    struct rkb_watch *watch = context;
    struct rkb_bridge_name name;
    if (question == RKB_ASK_OURS)
        watch->buffer = client->output_buffer;
    else if (question == RKB_ASK_SUBSCRIBED)
        rkb_rivals_subscribed(&watch->rivals, client);
    else if (question == RKB_ASK_NORMAL)
        rkb_rivals_normal(&watch->rivals, client);
    else if (question == RKB_ASK_SELF)
        rkb_watch_published_self(watch, client);
    else if (client->id == watch->rival.subscriber)
        watch->present |= 1;
    else if (client->id == watch->rival.watcher && rkb_bridge_name_parse(client->name, &name) &&
             name.subscriber == watch->rival.subscriber && rkb_rival_lives(client->idle_seconds, name.period_ms))
        watch->present |= 2;
}

static void on_line(void *context, enum rkb_question question, struct rkb_slice line)
{
    struct rkb_watch *watch = context;
    size_t field = strlen(CUTS_FIELD);
    bool is_value = watch->lines++ == 1;
    if (rkb_watch_published_line(watch, question, line))
        return;
    if (question == RKB_ASK_LIMITS && is_value)
        watch->budget.has_limits = rkb_output_limits_parse(line, &watch->budget.limits);
    else if (question == RKB_ASK_DIRECTORY && is_value)
        snprintf(watch->directory, sizeof watch->directory, "%.*s", (int)line.size, (const char *)line.data);
    else if (question == RKB_ASK_CUTS && line.size > field && memcmp(line.data, CUTS_FIELD, field) == 0)
        watch->cuts_coming = strtoll((const char *)line.data + field, NULL, 10);
    else if (question == RKB_ASK_ROLE)
        rkb_replication_line(&watch->role.coming, line);
}

static void on_number(void *context, enum rkb_question question, long long integer)
{
    if (question == RKB_ASK_PUBLISH)
        rkb_watch_canary_number(context, integer);
}

static void note_refusal(struct rkb_watch *watch, enum rkb_question question, const struct rkb_error *refused)
{
    static const char *const unknown[RKB_QUESTIONS] = {
        [RKB_ASK_NAME] = "another bridge may take us for one without a second connection",
        [RKB_ASK_LIMITS] = "the stall budget is unknown",
        [RKB_ASK_DIRECTORY] = "whether Redis shares the journal's disk is unknown",
        [RKB_ASK_CUTS] = "a cut by Redis can only be guessed at",
        [RKB_ASK_ROLE] = "whether it is a replica, and has lost its master, is unknown",
        [RKB_ASK_COMMANDS] = "how many messages a gap may hold is unknown",
        [RKB_ASK_OURS] = "what Redis holds for us is unknown",
        [RKB_ASK_OTHERS] = "all clients are looked at instead",
        [RKB_ASK_SUBSCRIBED] = "whether another bridge is there is unknown",
        [RKB_ASK_NORMAL] = "whether another bridge is there is unknown",
    };
    char rule[RKB_RULE_SIZE];
    rkb_refusal_command_rule(rule, watch->source->config->user, rkb_question_right(question));
    watch->refused[question] = true;
    if (unknown[question] == NULL)
        return;
    if (!watch->said[question])
        rkb_log(rkb_watch_log(watch), RKB_LOG_INFO, watch->source->object, "watch_refused",
                "%s; %s, all else works%s%s", refused->text, unknown[question],
                strstr(refused->text, "NOPERM") != NULL ? "; the rule that is missing: " : "",
                strstr(refused->text, "NOPERM") != NULL ? rule : "");
    watch->said[question] = true;
}

static void note_answer(struct rkb_watch *watch, enum rkb_question question)
{
    if (watch->said[question])
        rkb_log(rkb_watch_log(watch), RKB_LOG_INFO, watch->source->object, "watch_allowed",
                "Redis answers %s, which it refused before", rkb_question_text(question));
    watch->said[question] = false;
}

/* What an ACL refused is asked for again. */
static void forgive(struct rkb_watch *watch)
{
    for (int i = 0; i < RKB_QUESTIONS; i++)
        watch->refused[i] = watch->refused[i] && !watch->said[i];
}

static void on_answered(void *context, enum rkb_question question, const struct rkb_error *refused)
{
    struct rkb_watch *watch = context;
    watch->lines = 0;
    if (question == RKB_ASK_PUBLISH) {
        rkb_watch_canary_answered(watch, refused);
        return;
    }
    if (refused != NULL)
        note_refusal(watch, question, refused);
    else
        note_answer(watch, question);
    switch (question) {
    case RKB_ASK_NAME:
    case RKB_ASK_LIMITS:
    case RKB_ASK_CHANNELS:
    case RKB_ASK_LISTENERS:
    case RKB_ASK_PUBLISH:
    case RKB_QUESTIONS:
        break;
    case RKB_ASK_DIRECTORY:
        directory_answered(watch);
        break;
    case RKB_ASK_CUTS:
        cuts_answered(watch);
        break;
    case RKB_ASK_ROLE:
        rkb_watch_role_answered(watch);
        break;
    case RKB_ASK_SELF:
    case RKB_ASK_SERVER:
    case RKB_ASK_HISTORY:
    case RKB_ASK_COUNTERS:
    case RKB_ASK_MODULES:
    case RKB_ASK_EVENTS:
    case RKB_ASK_COMMANDS:
        rkb_watch_published_answered(watch);
        break;
    case RKB_ASK_OURS:
        sample(watch);
        watch->buffer = -1;
        break;
    case RKB_ASK_OTHERS:
        if (watch->present != 3)
            rkb_watch_look(watch);
        break;
    case RKB_ASK_SUBSCRIBED:
    case RKB_ASK_NORMAL:
        rkb_watch_looked(watch, question, refused);
        break;
    }
}

static void on_lost(void *context, const struct rkb_error *error)
{
    struct rkb_watch *watch = context;
    bool was_ready = watch->connected;
    watch->connected = watch->looking = watch->again = watch->known = false;
    watch->id = 0;
    watch->cuts = -1;
    watch->cuts_open = watch->cut_due = 0;
    rkb_watch_role_lost(watch);
    rkb_watch_published_lost(watch);
    rkb_watch_canary_lost(watch);
    if (was_ready)
        watch->lost_us = rkb_watch_sys(watch)->monotonic_us();
    if (was_ready && both_lost(watch, watch->guessed_us)) {
        rkb_relay_blame(watch->source, "connection_lost");
        rkb_log(rkb_watch_log(watch), RKB_LOG_INFO, watch->source->object, NULL,
                "the second connection ended too: it was no cut by the output buffer");
    }
    rkb_budget_begin(&watch->budget);
    watch->budget.has_limits = false;
    if (was_ready && !watch->stopping)
        rkb_log(rkb_watch_log(watch), RKB_LOG_INFO, watch->source->object, "watch_lost",
                "the second connection, which watches Redis: %s; trying again", error->text);
    if (watch->standing == LOOKING)
        rkb_watch_decide_blindly(watch, error->text);
}

/* ---- the time ---- */

static bool due(const struct rkb_watch *watch, int64_t every_us)
{
    uint64_t ticks = (uint64_t)(every_us / watch->period_us);
    return ticks == 0 || watch->ticks % ticks == 0;
}

static void ask_again(struct rkb_watch *watch)
{
    uint64_t subscriber = rkb_watch_subscriber(watch);
    watch->ticks++;
    if (watch->source->config->retry_refused > 0 && due(watch, watch->source->config->retry_refused))
        forgive(watch);
    if (due(watch, LIMITS_US))
        ask(watch, RKB_ASK_LIMITS, 0, 0);
    ask_cuts(watch);
    rkb_watch_ask_role(watch);
    rkb_watch_ask_published(watch);
    if (subscriber != 0 && !watch->refused[RKB_ASK_OURS])
        ask(watch, RKB_ASK_OURS, subscriber, 0);
    else
        sample(watch);
    watch->present = 0;
    if (watch->standing == HELD && watch->rival.watcher != 0 && !watch->refused[RKB_ASK_OTHERS])
        ask(watch, RKB_ASK_OTHERS, watch->rival.subscriber, watch->rival.watcher);
    else if (watch->standing == HELD || watch->has_rival || watch->fresh > 0 || due(watch, LOOK_US))
        rkb_watch_look(watch);
    if (watch->fresh > 0)
        watch->fresh--;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct rkb_watch *watch = context;
    rkb_watch_arm(watch, rkb_budget_filling(&watch->budget) && watch->period_us > SOON_US ? SOON_US : watch->period_us);
    look_at_disk(watch);
    rkb_watch_published_tick(watch);
    if (watch->standing == LOOKING)
        rkb_watch_decide_blindly(watch, "there was no answer in time");
    if (!rkb_watcher_ready(watch->watcher)) {
        if (watch->standing == HELD && ++watch->blind >= MOST_BLIND)
            rkb_watch_decide_blindly(watch, "there is no second connection");
    } else if (!rkb_watcher_busy(watch->watcher)) {
        ask_again(watch);
    }
}

/* Its name tells to which subscriber it belongs, so the name goes first. */
void rkb_watch_streaming(struct rkb_watch *watch)
{
    if (watch == NULL)
        return;
    uint64_t subscriber = rkb_watch_subscriber(watch);
    rkb_rivals_own(&watch->rivals, subscriber);
    rkb_budget_begin(&watch->budget);
    watch->fresh = FRESH_PERIODS;
    rename_watcher(watch, subscriber);
    ask(watch, RKB_ASK_NAME, 0, 0);
    rkb_watcher_hurry(watch->watcher);
    rkb_watch_role_streaming(watch);
    rkb_watch_canary_streaming(watch);
    rkb_watch_look(watch);
}

void rkb_watch_start(struct rkb_watch *watch)
{
    rkb_watcher_start(watch->watcher);
    rkb_watch_arm(watch, watch->looks ? watch->source->config->connect_timeout : watch->period_us);
    if (!watch->looks)
        rkb_watch_let_go(watch, "");
    rkb_watch_canary_reload(watch);
}

void rkb_watch_stop(struct rkb_watch *watch)
{
    if (watch == NULL)
        return;
    watch->stopping = true;
    event_del(watch->timer);
    event_del(watch->canary.timer);
}

void rkb_watch_figures(const struct rkb_watch *watch, struct rkb_watch_figures *figures)
{
    *figures = (struct rkb_watch_figures){
        .buffer = -1, .hard = -1, .soft = -1, .soft_seconds = -1, .rate = -1, .stall_seconds = -1,
        .rival = -1, .rival_text = ""};
    if (watch == NULL)
        return;
    const struct rkb_budget *budget = &watch->budget;
    figures->role = watch->role.known ? &watch->role.now : NULL;
    figures->buffer = budget->buffer;
    if (budget->has_limits) {
        figures->hard = (int64_t)budget->limits.hard;
        figures->soft = (int64_t)budget->limits.soft;
        figures->soft_seconds = budget->limits.soft_seconds;
    }
    figures->rate = budget->sampled_us != 0 ? budget->rate : -1;
    figures->stall_seconds = rkb_budget_seconds(budget, rkb_watch_sys(watch)->monotonic_us());
    /* While the intake is stopped it stands as if held, so that nothing subscribes: that is no other bridge's doing. */
    figures->held = !watch->source->relay->intake_off && (watch->standing == HELD || watch->standing == YIELDING);
    figures->rival = figures->held || watch->has_rival ? 1 : watch->known ? 0 : -1;
    figures->rival_text = figures->rival == 1 ? watch->rival_text : "";
}

/* ---- making it ---- */

static bool password_of(void *context, char *out, size_t size, struct rkb_error *error)
{
    const struct rkb_watch *watch = context;
    return rkb_config_password(watch->source->config, out, size, error);
}

static struct rkb_watcher *watcher_of(struct rkb_watch *watch)
{
    static const struct rkb_watcher_events events = {
        .ready = on_ready, .client = on_client, .line = on_line, .number = on_number, .answered = on_answered,
        .lost = on_lost};
    const struct rkb_config_source *config = watch->source->config;
    const struct rkb_watcher_options options = {
        .url = &config->url,
        .tls = rkb_config_tls(config),
        .user = config->user,
        .password = config->password != NULL || config->password_file != NULL ? password_of : NULL,
        .deadline_us = config->connect_timeout,
        .backoff_min_us = config->reconnect_min,
        .backoff_max_us = config->reconnect_max,
        .sys = rkb_watch_sys(watch),
    };
    return rkb_watcher_new(watch->source->relay->options.base, &options, &events, watch);
}

/* One token for the whole process: two sources may be on one Redis. */
static void share_token(struct rkb_relay *relay, char out[RKB_BRIDGE_TOKEN + 1])
{
    uint32_t number = 0;
    if (relay->token[0] == '\0') {
        (void)relay->options.sys->random(&number, sizeof number);
        snprintf(relay->token, sizeof relay->token, "%08x", (unsigned)number);
    }
    memcpy(out, relay->token, sizeof relay->token);
}

struct rkb_watch *rkb_watch_new(struct rkb_relay_source *source, struct rkb_error *error)
{
    struct rkb_watch *watch = calloc(1, sizeof *watch);
    if (watch != NULL) {
        watch->source = source;
        watch->period_us = source->config->watch;
        watch->looks = source->config->allow_parallel == 0;
        watch->cuts = -1;
        watch->rivals.period_ms = watch->period_us / 1000;
        share_token(source->relay, watch->rivals.token);
        rkb_budget_begin(&watch->budget);
        watch->timer = evtimer_new(source->relay->options.base, on_timer, watch);
        watch->watcher = watcher_of(watch);
    }
    if (watch == NULL || watch->timer == NULL || watch->watcher == NULL || !rkb_watch_canary_init(watch)) {
        rkb_watch_free(watch);
        rkb_fail(error, RKB_NO_MEMORY, "no memory for what watches %s", source->object);
        return NULL;
    }
    rename_watcher(watch, 0);
    return watch;
}

void rkb_watch_free(struct rkb_watch *watch)
{
    if (watch == NULL)
        return;
    rkb_watcher_free(watch->watcher);
    rkb_disk_forget(watch->disk);
    rkb_watch_canary_free(watch);
    if (watch->timer != NULL)
        event_free(watch->timer);
    free(watch);
}
