/* check_redis_judge -- what the answers of a source's Redis are worth; see check_redis.h. */
#include "tool/check_redis.h"

#include <stdio.h>
#include <time.h>

#include "base/same_disk.h"
#include "base/units.h"
#include "tool/check_wanted.h"

#define SHORT_BUDGET 5.0                /* seconds: a standstill of this length is nothing unusual */
#define SUPPOSED_RATE 10e6              /* bytes a second */
#define DISK_TURN_MS 20
#define DISK_TURNS 150

struct judging {
    const struct rkb_check_redis_options *options;
    const struct rkb_config *config;
    const struct rkb_config_source *source;
    const struct rkb_redis_found *found;
    struct rkb_report *report;
    const char *user;
    char setting[128];                  /* the last that was asked for */
};

static const char *setting(struct judging *judging, const char *last)
{
    snprintf(judging->setting, sizeof judging->setting, "redis.%.64s%s%s",
             judging->source->name, *last != '\0' ? "." : "", last);
    return judging->setting;
}

/* ---- login and subscriptions ---- */

static void judge_login(struct judging *judging)
{
    const struct rkb_trial_found *trial = &judging->found->trial;
    char url[512];
    rkb_redis_url_show(&judging->source->url, url, sizeof url);
    if (trial->logged_in) {
        rkb_report_add(judging->report, RKB_GRADE_OK, setting(judging, "url"), "logged in at %s", url);
        return;
    }
    rkb_report_add(judging->report, RKB_GRADE_BAD, setting(judging, "url"), "no login at %s: %s",
                   url, trial->ended.text);
    if (trial->ended.code == RKB_REFUSED)
        rkb_report_change(judging->report, "give the source the user and the password that Redis has for it");
    else
        rkb_report_change(judging->report, "see that Redis runs and listens there and that nothing between "
                                           "drops what is sent, or mend the url");
}

static void judge_name(struct judging *judging, size_t i)
{
    const struct rkb_trial_name *name = &judging->found->names[i];
    char place[RKB_SETTING_SHOWN], rule[RKB_RULE_SIZE], shown[200];
    if (!name->refused)
        return;
    rkb_wanted_name_setting(judging->config, &judging->found->wanted[i], place);
    rkb_printable(shown, sizeof shown, name->name);
    rkb_report_add(judging->report, RKB_GRADE_BAD, place, "Redis of %s refuses %s %s: %s",
                   judging->source->name, name->is_pattern ? "PSUBSCRIBE" : "SUBSCRIBE", shown, name->words);
    rkb_refusal_rule(rule, judging->user, name->is_pattern, name->name, name->lack);
    if (name->lack != RKB_LACKS_NOTHING)
        rkb_report_change(judging->report, "%s", rule);
    else
        rkb_report_change(judging->report, "look at what stands between: this is no Redis that has Pub/Sub");
}

static void judge_command(struct judging *judging, bool lacks, const char *command, const char *why)
{
    char rule[RKB_RULE_SIZE];
    if (!lacks)
        return;
    rkb_refusal_command_rule(rule, judging->user, command);
    rkb_report_add(judging->report, RKB_GRADE_WARN, setting(judging, "user"), "Redis refuses %s: %s", command, why);
    rkb_report_change(judging->report, "%s", rule);
}

static void judge_subscriptions(struct judging *judging)
{
    const struct rkb_redis_found *found = judging->found;
    size_t allowed = 0;
    for (size_t i = 0; i < found->count; i++) {
        judge_name(judging, i);
        allowed += found->names[i].tried && !found->names[i].refused;
    }
    if (allowed > 0)
        rkb_report_add(judging->report, RKB_GRADE_OK, setting(judging, ""),
                       "%zu of %zu subscriptions tried and left again: Redis takes them", allowed, found->count);
    if (found->trial.ended.code != RKB_OK) {
        rkb_report_add(judging->report, RKB_GRADE_BAD, setting(judging, "url"),
                       "the connection ended while the subscriptions were tried: %s", found->trial.ended.text);
        rkb_report_change(judging->report, "see in Redis's log, and in that of whatever stands between, who ended it");
    }
    judge_command(judging, found->trial.no_ping, "ping", "a connection that is silent cannot be told from a dead one");
    judge_command(judging, found->trial.no_unsubscribe, "unsubscribe",
                  "at its end the bridge cannot take what was sent before it left");
    judge_command(judging, found->trial.no_punsubscribe, "punsubscribe",
                  "at its end the bridge cannot take what was sent before it left");
}

/* ---- what the second connection may ask ---- */

static const char *const unknown[RKB_QUESTIONS] = {
    [RKB_ASK_NAME] = "another bridge may not find this one",
    [RKB_ASK_LIMITS] = "the stall budget is unknown",
    [RKB_ASK_DIRECTORY] = "whether Redis shares the journal's disk is unknown",
    [RKB_ASK_ROLE] = "whether it is a replica, and has lost its master, is unknown",
    [RKB_ASK_COUNTERS] = "how many messages a gap may hold is unknown",
    [RKB_ASK_SERVER] = "version and restarts of Redis are unknown",
    [RKB_ASK_EVENTS] = "whether Redis sends keyspace events is unknown",
    [RKB_ASK_OURS] = "what Redis holds for the bridge is unknown",
    [RKB_ASK_SUBSCRIBED] = "whether another bridge is there is unknown",
    [RKB_ASK_NORMAL] = "whether another bridge is there is unknown",
};

static bool lacks_right(const struct rkb_error *refused)
{
    return strstr(refused->text, "NOPERM") != NULL;
}

/* One right is behind several questions: said once, with what is unknown for want of it. */
static bool said_before(const struct rkb_redis_found *found, int question)
{
    const char *right = rkb_question_right((enum rkb_question)question);
    for (int i = 0; i < question; i++)
        if (found->refused[i].code != RKB_OK && lacks_right(&found->refused[i]) &&
            strcmp(rkb_question_right((enum rkb_question)i), right) == 0)
            return true;
    return false;
}

static void add_unknown(char *out, size_t size, const struct rkb_redis_found *found, int question)
{
    const char *right = rkb_question_right((enum rkb_question)question);
    out[0] = '\0';
    for (int i = question; i < RKB_QUESTIONS; i++) {
        bool same = i == question || (lacks_right(&found->refused[question]) && lacks_right(&found->refused[i]) &&
                                      strcmp(rkb_question_right((enum rkb_question)i), right) == 0);
        if (!same || unknown[i] == NULL || strstr(out, unknown[i]) != NULL)
            continue;
        size_t used = strlen(out);
        snprintf(out + used, size - used, "%s%s", used > 0 ? "; " : "", unknown[i]);
    }
}

static void judge_questions(struct judging *judging)
{
    const struct rkb_redis_found *found = judging->found;
    char rest[512], rule[RKB_RULE_SIZE];
    for (int i = 0; i < RKB_QUESTIONS; i++) {
        const struct rkb_error *refused = &found->refused[i];
        if (refused->code == RKB_OK || (lacks_right(refused) && said_before(found, i)))
            continue;
        add_unknown(rest, sizeof rest, found, i);
        rkb_report_add(judging->report, RKB_GRADE_WARN, setting(judging, "watch"), "%s: %s", refused->text, rest);
        rkb_refusal_command_rule(rule, judging->user, rkb_question_right((enum rkb_question)i));
        if (lacks_right(refused))
            rkb_report_change(judging->report, "%s", rule);
        else
            rkb_report_change(judging->report, "nothing, where this Redis is too old for it; it does without");
    }
    judge_command(judging, found->id == 0, "client|id", "another bridge cannot be looked for");
}

/* To try it would be to do it. */
static void judge_canary(struct judging *judging)
{
    if (judging->config->canary.topic != NULL)
        rkb_report_add(judging->report, RKB_GRADE_OK, "canary.topic", "whether Redis %s lets the bridge publish its "
                       "canaries is not tried, since that would publish one; the right stands with the others below",
                       judging->source->name);
}

/* ---- role, version, limits ---- */

static void judge_server(struct judging *judging)
{
    const struct rkb_redis_found *found = judging->found;
    if (found->version[0] == '\0')
        return;
    if (strcmp(found->mode, "sentinel") == 0) {
        rkb_report_add(judging->report, RKB_GRADE_BAD, setting(judging, "url"),
                       "this is a Sentinel: nobody publishes there but itself");
        rkb_report_change(judging->report, "name the Redis that it watches");
        return;
    }
    rkb_report_add(judging->report, RKB_GRADE_OK, setting(judging, "url"), "%s%s, version %s%s",
                   found->server[0] != '\0' ? found->server : "redis",
                   strcmp(found->mode, "cluster") == 0 ? ", a node of a cluster" : "", found->version,
                   strcmp(found->mode, "cluster") == 0 ? "; how many messages a gap may hold is not known there" : "");
}

static void judge_role(struct judging *judging)
{
    const struct rkb_replication *role = &judging->found->role;
    char text[RKB_ROLE_TEXT];
    if (role->role == RKB_ROLE_UNKNOWN)
        return;
    rkb_replication_describe(role, text);
    if (role->role == RKB_ROLE_REPLICA && !role->linked) {
        rkb_report_add(judging->report, RKB_GRADE_BAD, setting(judging, "url"),
                       "%s, and its link to that is down: what is published there does not come", text);
        rkb_report_change(judging->report,
                          "mend that link (INFO replication on the replica), or take the master as the source");
        return;
    }
    rkb_report_add(judging->report, RKB_GRADE_OK, setting(judging, "url"), "%s%s",
                   text, role->role == RKB_ROLE_REPLICA ? ", which it hears" : "");
}

static double standstill(const struct rkb_redis_found *found, double rate)
{
    const struct rkb_budget budget = {.has_limits = true, .limits = found->limits, .rate = rate};
    return rkb_budget_seconds(&budget, 0);
}

static void judge_budget(struct judging *judging, const char *hard)
{
    const struct rkb_redis_found *found = judging->found;
    double now = found->input > 0 ? standstill(found, found->input) : -1;
    bool is_short = now >= 0 && now < SHORT_BUDGET;
    char rate[32], measured[160] = "";
    rkb_format_size(rate, sizeof rate, found->input > 0 ? (uint64_t)found->input : 0);
    if (now >= 0)
        snprintf(measured, sizeof measured,
                 ", and of %.1f s at the least where all that comes in there now, %s a second, is published to it",
                 now, rate);
    rkb_report_add(judging->report, is_short ? RKB_GRADE_WARN : RKB_GRADE_OK, setting(judging, "watch"),
                   "Redis cuts the bridge off when it holds %s for it (client-output-buffer-limit pubsub): a "
                   "standstill of %.1f s at 10 MB a second%s", hard, standstill(found, SUPPOSED_RATE), measured);
    if (is_short)
        rkb_report_change(judging->report, "raise it in Redis, which costs nothing until it is used: CONFIG SET "
                                           "client-output-buffer-limit \"pubsub 256mb 128mb 60\"");
}

static void judge_limits(struct judging *judging)
{
    const struct rkb_redis_found *found = judging->found;
    char hard[32], longest[32];
    uint64_t limit = found->limits.hard > 0 ? found->limits.hard : found->limits.soft;
    if (!found->has_limits)
        return;
    if (limit == 0) {
        rkb_report_add(judging->report, RKB_GRADE_OK, setting(judging, "watch"),
                       "Redis sets no limit to what it holds for the bridge");
        return;
    }
    rkb_format_size(hard, sizeof hard, limit);
    rkb_format_size(longest, sizeof longest, judging->source->max_message_size);
    judge_budget(judging, hard);
    if (limit >= 2 * judging->source->max_message_size)
        return;
    rkb_report_add(judging->report, RKB_GRADE_WARN, setting(judging, "max_message_size"),
                   "two messages of %s are more than Redis holds for the bridge before it cuts it off, %s",
                   longest, hard);
    rkb_report_change(judging->report, "lower max_message_size to what is really sent, or raise "
                                       "client-output-buffer-limit pubsub in Redis");
}

static void judge_events(struct judging *judging)
{
    const struct rkb_redis_found *found = judging->found;
    if (!found->answered[RKB_ASK_EVENTS] || found->refused[RKB_ASK_EVENTS].code != RKB_OK || found->events[0] != '\0')
        return;
    rkb_report_add(judging->report, RKB_GRADE_WARN, setting(judging, ""),
                   "routes ask for keyspace events, and Redis sends none");
    rkb_report_change(judging->report, "CONFIG SET notify-keyspace-events, with the letters for what is wanted");
}

/* ---- who else is there ---- */

static void judge_rivals(struct judging *judging)
{
    const struct rkb_redis_found *found = judging->found;
    if (!found->looked)
        return;
    const struct rkb_rival *rival = rkb_rivals_find(&found->rivals);
    if (rival == NULL) {
        rkb_report_add(judging->report, RKB_GRADE_OK, setting(judging, ""), "no bridge is subscribed there");
        return;
    }
    bool own = strcmp(rival->instance, judging->config->instance) == 0;
    char who[64], where[72];
    rkb_printable(who, sizeof who, rkb_slice_text(rival->instance));
    rkb_printable(where, sizeof where, rkb_slice_text(rival->address));
    if (own && judging->options->runs) {
        rkb_report_add(judging->report, RKB_GRADE_OK, setting(judging, ""),
                       "this instance, %s, is subscribed there from %s", who, where);
    } else if (judging->source->allow_parallel == 1) {
        rkb_report_add(judging->report, RKB_GRADE_OK, setting(judging, "allow_parallel"),
                       "another bridge, instance %s at %s, is subscribed there, and allow_parallel is yes", who, where);
    } else {
        rkb_report_add(judging->report, RKB_GRADE_BAD, setting(judging, "allow_parallel"),
                       "another bridge, instance %s at %s, is subscribed there: this one would wait until it is gone",
                       who, where);
        rkb_report_change(judging->report,
                          "end that one, or, where the two ship different routes, set allow_parallel: yes in both");
    }
}

/* ---- its disk ---- */

static enum rkb_same_disk same_disk(const char *one, const char *other)
{
    const struct timespec turn = {0, DISK_TURN_MS * 1000000L};
    struct rkb_disk_question *question = rkb_disk_ask(one, other);
    enum rkb_same_disk answer = question != NULL ? RKB_DISK_ASKING : RKB_DISK_UNKNOWN;
    for (int i = 0; i < DISK_TURNS && answer == RKB_DISK_ASKING; i++) {
        answer = rkb_disk_answer(question);
        if (answer == RKB_DISK_ASKING)
            nanosleep(&turn, NULL);
    }
    rkb_disk_forget(question);
    return answer;
}

static void judge_disk(struct judging *judging)
{
    const char *directory = judging->found->directory, *ours = judging->options->journal;
    char shown[200];
    if (directory[0] != '/')
        return;
    rkb_printable(shown, sizeof shown, rkb_slice_text(directory));
    switch (same_disk(directory, ours)) {
    case RKB_DISK_SAME:
        rkb_report_add(judging->report, RKB_GRADE_WARN, "journal.directory",
                       "it is on one file system with the dir of Redis %s, %s: a full journal keeps Redis from saving, "
                       "and a Redis that saves slows the journal", judging->source->name, shown);
        rkb_report_change(judging->report, "give the journal a file system of its own, or bound it with "
                                           "journal.max_size and journal.min_free");
        return;
    case RKB_DISK_OTHER:
        rkb_report_add(judging->report, RKB_GRADE_OK, "journal.directory",
                       "the dir of Redis %s, %s, is on another file system", judging->source->name, shown);
        return;
    case RKB_DISK_ASKING:
    case RKB_DISK_UNKNOWN:
        rkb_report_add(judging->report, RKB_GRADE_OK, "journal.directory",
                       "whether the dir of Redis %s, %s, is on its file system cannot be seen from here",
                       judging->source->name, shown);
        return;
    }
}

void rkb_judge_redis(const struct rkb_check_redis_options *options, size_t source, const struct rkb_redis_found *found,
                     struct rkb_report *report)
{
    struct judging judging = {.options = options, .config = options->config, .found = found, .report = report,
                              .source = &options->config->sources[source]};
    judging.user = judging.source->user;
    judge_login(&judging);
    if (!found->trial.logged_in)
        return;
    judge_subscriptions(&judging);
    if (judging.source->watch == RKB_SYNC_NONE) {
        rkb_report_add(report, RKB_GRADE_OK, setting(&judging, "watch"),
                       "it is none: role, limits and other bridges are not looked at, by the bridge as well as here");
        return;
    }
    if (found->lost.code != RKB_OK) {
        rkb_report_add(report, RKB_GRADE_WARN, setting(&judging, "watch"),
                       "the second connection did not get all its answers: %s", found->lost.text);
        rkb_report_change(report, "see in Redis's log, and in that of whatever stands between, why");
    }
    if (!found->asked)
        return;
    judge_server(&judging);
    judge_role(&judging);
    judge_questions(&judging);
    judge_canary(&judging);
    judge_limits(&judging);
    judge_events(&judging);
    judge_rivals(&judging);
    judge_disk(&judging);
}
