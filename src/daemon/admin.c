/* admin -- see admin.h. */
#include "daemon/admin_call.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"
#include "daemon/reload.h"

_Static_assert(sizeof(uid_t) == sizeof(uint32_t) && sizeof(gid_t) == sizeof(uint32_t), "numbers of users and groups");

struct rkb_rights rkb_admin_rights(const struct rkb_config *config)
{
    const struct rkb_numbers *users = &config->control.admin_users, *groups = &config->control.admin_group_numbers;
    return (struct rkb_rights){geteuid(), users->list, users->count, groups->list, groups->count};
}

enum rkb_outcome rkb_call_deny(const struct rkb_call *call, const char *code, const char *format, ...)
{
    char text[sizeof call->error->text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    *call->code = code;
    rkb_fail(call->error, RKB_REFUSED, "%s", text);
    return RKB_DENIED;
}

/* ---- drain ---- */

static void say_pending(const struct rkb_admin *admin, struct rkb_buffer *out)
{
    const struct rkb_snapshot *snapshot = rkb_view_snapshot(admin->view);
    rkb_buffer_format(out, "draining: %llu records wait, %llu of them are on their way to Kafka\n",
                      (unsigned long long)snapshot->totals.pending, (unsigned long long)snapshot->kafka.in_flight);
}

static enum rkb_outcome do_drain(const struct rkb_call *call)
{
    struct rkb_admin *admin = call->admin;
    if (call->action->count > 0)
        return RKB_WRONG_WORDS;
    if (!admin->drain(admin->bridge))
        return rkb_call_deny(call, "ending", "rkbridge is ending already");
    admin->drainer = call->action->ticket;
    say_pending(admin, call->out);
    return RKB_LATER;
}

void rkb_admin_tick(struct rkb_admin *admin)
{
    struct rkb_buffer line = {0};
    if (admin->drainer == 0)
        return;
    say_pending(admin, &line);
    rkb_control_say(admin->control, admin->drainer, &line);
}

void rkb_admin_ended(struct rkb_admin *admin, uint64_t left)
{
    struct rkb_buffer line = {0};
    char text[120];
    if (admin->drainer == 0)
        return;
    snprintf(text, sizeof text, "%llu records are left in the journal; the next start ships them",
             (unsigned long long)left);
    if (left == 0)
        rkb_buffer_text(&line, "drained: nothing is left in the journal\n");
    rkb_control_say(admin->control, admin->drainer, &line);
    rkb_control_finish(admin->control, admin->drainer, left > 0 ? "left" : NULL, text);
    admin->drainer = 0;
}

/* ---- reload ---- */

static enum rkb_outcome do_reload(const struct rkb_call *call)
{
    if (call->action->count > 0)
        return RKB_WRONG_WORDS;
    if (rkb_reload_ask(call->admin->reload, call->action->ticket))
        return RKB_LATER;
    return rkb_call_deny(call, "ending", "rkbridge is about to end");
}

/* ---- log ---- */

static bool read_level(const struct rkb_call *call, enum rkb_log_level *level)
{
    *level = (enum rkb_log_level)call->admin->config->log.level;
    if (rkb_call_is(call, 0, "default"))
        return true;
    for (*level = RKB_LOG_ERROR; *level <= RKB_LOG_DEBUG; (*level)++)
        if (rkb_call_is(call, 0, rkb_log_level_word(*level)))
            return true;
    return false;
}

static void show_levels(struct rkb_log *log, struct rkb_buffer *out)
{
    char object[RKB_LOG_OBJECT_SIZE];
    for (size_t i = 0; i <= RKB_LOG_OWN_LEVELS; i++) {
        enum rkb_log_level level = rkb_log_level_at(log, i, object);
        if (i > 0 && object[0] == '\0')
            break;
        rkb_buffer_format(out, "log: ");
        rkb_escape(RKB_ESCAPE_PLAIN, rkb_slice_text(i == 0 ? "all" : object), out);
        rkb_buffer_format(out, " %s\n", rkb_log_level_word(level));
    }
}

static enum rkb_outcome do_log(const struct rkb_call *call)
{
    const struct rkb_action *action = call->action;
    struct rkb_log *log = call->admin->log;
    char object[RKB_LOG_OBJECT_SIZE];
    enum rkb_log_level level;
    if (action->count > 2 || (action->count > 0 && !read_level(call, &level)))
        return RKB_WRONG_WORDS;
    if (action->count > 0) {
        struct rkb_slice name = action->count > 1 ? action->words[1] : rkb_slice("", 0);
        snprintf(object, sizeof object, "%.*s", (int)name.size, (const char *)name.data);
        bool fits = name.size < sizeof object;
        if (!fits || !rkb_log_set_level(log, level, action->count > 1 ? object : NULL))
            return rkb_call_deny(call, "too_many",
                                 "at most %d objects have a level of their own, with names of at most %d bytes; "
                                 "log default makes all alike", RKB_LOG_OWN_LEVELS, RKB_LOG_OBJECT_SIZE - 1);
    }
    show_levels(log, call->out);
    return RKB_DONE;
}

/* ---- all of them ---- */

static const struct row {
    const char *word;
    bool changes;               /* something: it is logged */
    enum rkb_outcome (*run)(const struct rkb_call *call);
} rows[] = {
    {"config", false, rkb_admin_config},
    {"pause", true, rkb_admin_pause},
    {"resume", true, rkb_admin_resume},
    {"intake", true, rkb_admin_intake},
    {"log", true, do_log},
    {"drain", true, do_drain},
    {"reload", true, do_reload},
};

void rkb_admin_asked(void *context, const char *word, const struct rkb_peer *peer)
{
    const struct rkb_admin *admin = context;
    rkb_log(admin->log, RKB_LOG_INFO, "control", "asked", "%s, by user %lld (process %lld)", word, (long long)peer->uid,
            (long long)peer->pid);
}

static void say_asked(struct rkb_admin *admin, const struct rkb_action *action)
{
    char words[200];
    size_t at = (size_t)snprintf(words, sizeof words, "%s", action->word);
    for (size_t i = 0; i < action->count && at < sizeof words; i++)
        at += (size_t)snprintf(words + at, sizeof words - at, " %.*s", (int)action->words[i].size,
                               (const char *)action->words[i].data);
    rkb_admin_asked(admin, words, action->peer);
}

static const struct row *find(const char *word)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].word, word) == 0)
            return &rows[i];
    return NULL;
}

bool rkb_admin_knows(const char *word)
{
    return find(word) != NULL;
}

enum rkb_outcome rkb_admin_act(void *context, const struct rkb_action *action, struct rkb_buffer *out,
                               const char **code, struct rkb_error *error)
{
    struct rkb_call call = {context, action, out, code, error};
    const struct row *row = find(action->word);
    if (row == NULL) {
        *code = "not_here";
        rkb_fail(error, RKB_USAGE, "it is not done here");
        return RKB_DENIED;
    }
    if (row->changes)
        say_asked(call.admin, action);
    return row->run(&call);
}
