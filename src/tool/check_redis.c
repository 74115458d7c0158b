/* check_redis -- see check_redis.h, also for the picture. What the answers are worth is check_redis_judge.c's. */
#include "tool/check_redis.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tool/check_wanted.h"

#define PERIOD_US INT64_C(5000000)      /* who has a bridge's name and no second connection is judged by this */

struct asking;

struct visit {
    struct asking *asking;
    const struct rkb_config_source *source;
    struct rkb_redis_found found;
    struct rkb_trial *trial;
    struct rkb_watcher *watcher;
    unsigned lines;                     /* of the answer that is coming */
    bool over;
};

struct asking {
    const struct rkb_check_redis_options *options;
    struct event_base *base;
    struct visit *visits;
    size_t open;
};

static void finish(struct visit *visit)
{
    if (visit->over)
        return;
    visit->over = true;
    rkb_watcher_free(visit->watcher);
    visit->watcher = NULL;
    if (--visit->asking->open == 0)
        event_base_loopexit(visit->asking->base, NULL);
}

/* ---- what the second connection asks ---- */

static bool wants_events(const struct visit *visit)
{
    for (size_t i = 0; i < visit->found.count; i++)
        if (visit->found.names[i].name.size > 5 && memcmp(visit->found.names[i].name.data, "__key", 5) == 0)
            return true;
    return false;
}

static void on_ready(void *context, uint64_t id)
{
    struct visit *visit = context;
    const uint64_t self[2] = {id, 0};
    visit->found.asked = true;
    visit->found.id = id;
    visit->found.is_local = rkb_watcher_is_local(visit->watcher);
    rkb_rivals_begin(&visit->found.rivals);
    rkb_replication_begin(&visit->found.role);
    rkb_watcher_ask(visit->watcher, RKB_ASK_NAME, NULL);
    rkb_watcher_ask(visit->watcher, RKB_ASK_LIMITS, NULL);
    rkb_watcher_ask(visit->watcher, RKB_ASK_SERVER, NULL);
    rkb_watcher_ask(visit->watcher, RKB_ASK_ROLE, NULL);
    rkb_watcher_ask(visit->watcher, RKB_ASK_COUNTERS, NULL);
    if (visit->found.is_local)
        rkb_watcher_ask(visit->watcher, RKB_ASK_DIRECTORY, NULL);
    if (wants_events(visit))
        rkb_watcher_ask(visit->watcher, RKB_ASK_EVENTS, NULL);
    if (id != 0)
        rkb_watcher_ask(visit->watcher, RKB_ASK_OURS, self);
    rkb_watcher_ask(visit->watcher, RKB_ASK_SUBSCRIBED, NULL);
}

static void on_client(void *context, enum rkb_question question, const struct rkb_client *client)
{
    struct visit *visit = context;
    if (question == RKB_ASK_SUBSCRIBED)
        rkb_rivals_subscribed(&visit->found.rivals, client);
    else if (question == RKB_ASK_NORMAL)
        rkb_rivals_normal(&visit->found.rivals, client);
}

/* The value of "field:value"; false: another field. */
static bool take_field(struct rkb_slice line, const char *field, char *out, size_t size)
{
    size_t length = strlen(field);
    if (line.size <= length || memcmp(line.data, field, length) != 0)
        return false;
    rkb_printable(out, size, rkb_slice(line.data + length, line.size - length));
    return true;
}

static void take_rate(struct rkb_redis_found *found, struct rkb_slice line)
{
    char number[32];
    if (!take_field(line, "instantaneous_input_kbps:", number, sizeof number) &&
        !take_field(line, "instantaneous_input_repl_kbps:", number, sizeof number))
        return;
    double rate = strtod(number, NULL) * 1024;
    if (rate >= 0 && rate < 1e15)
        found->input = (found->input > 0 ? found->input : 0) + rate;
}

static void on_line(void *context, enum rkb_question question, struct rkb_slice line)
{
    struct visit *visit = context;
    struct rkb_redis_found *found = &visit->found;
    bool is_value = visit->lines++ == 1;
    if (question == RKB_ASK_LIMITS && is_value)
        found->has_limits = rkb_output_limits_parse(line, &found->limits);
    else if (question == RKB_ASK_DIRECTORY && is_value && line.size < sizeof found->directory)
        snprintf(found->directory, sizeof found->directory, "%.*s", (int)line.size, (const char *)line.data);
    else if (question == RKB_ASK_EVENTS && is_value)
        rkb_printable(found->events, sizeof found->events, line);
    else if (question == RKB_ASK_ROLE)
        rkb_replication_line(&found->role, line);
    else if (question == RKB_ASK_COUNTERS)
        take_rate(found, line);
    else if (question == RKB_ASK_SERVER && !take_field(line, "redis_version:", found->version, sizeof found->version) &&
             !take_field(line, "server_name:", found->server, sizeof found->server))
        (void)take_field(line, "redis_mode:", found->mode, sizeof found->mode);
}

static void on_answered(void *context, enum rkb_question question, const struct rkb_error *refused)
{
    struct visit *visit = context;
    struct rkb_redis_found *found = &visit->found;
    visit->lines = 0;
    found->answered[question] = true;
    if (refused != NULL)
        found->refused[question] = *refused;
    if (question == RKB_ASK_SUBSCRIBED || question == RKB_ASK_NORMAL)
        found->looked = refused == NULL;
    if (question == RKB_ASK_SUBSCRIBED && refused == NULL && found->rivals.count > 0)
        rkb_watcher_ask(visit->watcher, RKB_ASK_NORMAL, NULL);
    else if (question == RKB_ASK_SUBSCRIBED || question == RKB_ASK_NORMAL)
        finish(visit);
}

static void on_lost(void *context, const struct rkb_error *error)
{
    struct visit *visit = context;
    if (visit->over)
        return;
    visit->found.lost = *error;
    finish(visit);
}

static bool give_password(void *context, char *out, size_t size, struct rkb_error *error)
{
    const struct visit *visit = context;
    return rkb_config_password(visit->source, out, size, error);
}

static bool start_watcher(struct visit *visit)
{
    static const struct rkb_watcher_events events = {
        .ready = on_ready, .client = on_client, .line = on_line, .answered = on_answered, .lost = on_lost};
    const struct rkb_config_source *source = visit->source;
    const struct rkb_watcher_options options = {
        .url = &source->url, .tls = rkb_config_tls(source), .user = source->user, .password = give_password,
        .deadline_us = source->connect_timeout, .backoff_min_us = PERIOD_US, .backoff_max_us = PERIOD_US,
        .sys = visit->asking->options->sys};
    visit->watcher = rkb_watcher_new(visit->asking->base, &options, &events, visit);
    if (visit->watcher == NULL)
        return false;
    rkb_watcher_rename(visit->watcher, RKB_CHECK_CLIENT);
    rkb_watcher_start(visit->watcher);
    return true;
}

/* ---- the subscriptions ---- */

static void on_tried(void *context, const struct rkb_trial_found *found)
{
    struct visit *visit = context;
    visit->found.trial = *found;
    if (!found->logged_in || visit->source->watch == RKB_SYNC_NONE) {
        finish(visit);
        return;
    }
    if (!start_watcher(visit)) {
        rkb_fail(&visit->found.lost, RKB_NO_MEMORY, "out of memory");
        finish(visit);
    }
}

static bool name_all(struct visit *visit, size_t source)
{
    struct rkb_redis_found *found = &visit->found;
    if (!rkb_wanted_names(visit->asking->options->config, source, &found->wanted, &found->count))
        return false;
    found->names = calloc(found->count + 1, sizeof *found->names);
    for (size_t i = 0; found->names != NULL && i < found->count; i++) {
        found->names[i].is_pattern = found->wanted[i].is_pattern;
        found->names[i].name = found->wanted[i].name;
    }
    return found->names != NULL;
}

static bool start_trial(struct visit *visit, size_t number)
{
    const struct rkb_config_source *source = visit->source;
    visit->found.input = -1;
    visit->found.rivals.period_ms = PERIOD_US / 1000;
    /* What stands if nothing else is heard of it. */
    rkb_fail(&visit->found.trial.ended, RKB_TIMEOUT, "it did not end in time");
    if (!name_all(visit, number))
        return false;
    const struct rkb_trial_options options = {
        .url = &source->url, .tls = rkb_config_tls(source), .user = source->user, .password = give_password,
        .password_context = visit, .client_name = RKB_CHECK_CLIENT, .deadline_us = source->connect_timeout,
        .sys = visit->asking->options->sys, .names = visit->found.names, .count = visit->found.count};
    visit->trial = rkb_trial_new(visit->asking->base, &options, on_tried, visit);
    if (visit->trial == NULL)
        return false;
    rkb_trial_start(visit->trial);
    return true;
}

/* ---- the whole ---- */

static void ask_all(struct asking *asking)
{
    const struct rkb_config *config = asking->options->config;
    const struct timeval limit = {asking->options->limit_us / 1000000, asking->options->limit_us % 1000000};
    asking->open = config->source_count;
    for (size_t i = 0; i < config->source_count; i++) {
        struct visit *visit = &asking->visits[i];
        visit->asking = asking;
        visit->source = &config->sources[i];
        if (start_trial(visit, i))
            continue;
        rkb_fail(&visit->found.trial.ended, RKB_NO_MEMORY, "out of memory");
        finish(visit);
    }
    if (asking->open > 0 && event_base_loopexit(asking->base, &limit) == 0)
        event_base_dispatch(asking->base);
}

static void forget(struct visit *visit)
{
    rkb_watcher_free(visit->watcher);
    rkb_trial_free(visit->trial);
    free(visit->found.names);
    free(visit->found.wanted);
}

void rkb_check_redis(const struct rkb_check_redis_options *options, struct rkb_report *report)
{
    const struct rkb_config *config = options->config;
    struct asking asking = {.options = options, .base = options->base != NULL ? options->base : event_base_new(),
                            .visits = calloc(config->source_count + 1, sizeof *asking.visits)};
    signal(SIGPIPE, SIG_IGN);
    if (asking.base != NULL && asking.visits != NULL)
        ask_all(&asking);
    else
        report->failed = true;
    for (size_t i = 0; !report->failed && i < config->source_count; i++) {
        struct visit *visit = &asking.visits[i];
        if (visit->watcher != NULL && visit->found.lost.code == RKB_OK)
            rkb_fail(&visit->found.lost, RKB_TIMEOUT, "it did not answer all in time");
        rkb_judge_redis(options, i, &visit->found, report);
    }
    for (size_t i = 0; asking.visits != NULL && i < config->source_count; i++)
        forget(&asking.visits[i]);
    free(asking.visits);
    if (asking.base != NULL && options->base == NULL)
        event_base_free(asking.base);
}
