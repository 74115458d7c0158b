/* admin -- see admin.h. */
#include "daemon/admin.h"

#include "daemon/reload.h"

#include <string.h>
#include <unistd.h>

/* What a command's function needs to know, and gives. */
struct call {
    struct rkb_admin *admin;
    const struct rkb_action *action;
    struct rkb_buffer *out;
    const char **code;
    struct rkb_error *error;
};

_Static_assert(sizeof(uid_t) == sizeof(uint32_t) && sizeof(gid_t) == sizeof(uint32_t), "numbers of users and groups");

struct rkb_rights rkb_admin_rights(const struct rkb_config *config)
{
    const struct rkb_numbers *users = &config->control.admin_users, *groups = &config->control.admin_group_numbers;
    return (struct rkb_rights){geteuid(), users->list, users->count, groups->list, groups->count};
}

/* ---- drain ---- */

static void say_pending(const struct rkb_admin *admin, struct rkb_buffer *out)
{
    const struct rkb_snapshot *snapshot = rkb_view_snapshot(admin->view);
    rkb_buffer_format(out, "draining: %llu records wait, %llu of them are on their way to Kafka\n",
                      (unsigned long long)snapshot->totals.pending, (unsigned long long)snapshot->kafka.in_flight);
}

static enum rkb_outcome do_drain(const struct call *call)
{
    struct rkb_admin *admin = call->admin;
    if (call->action->count > 0)
        return RKB_WRONG_WORDS;
    if (!admin->drain(admin->bridge)) {
        *call->code = "ending";
        rkb_fail(call->error, RKB_REFUSED, "rkbridge is ending already");
        return RKB_DENIED;
    }
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

static enum rkb_outcome do_reload(const struct call *call)
{
    if (call->action->count > 0)
        return RKB_WRONG_WORDS;
    if (rkb_reload_ask(call->admin->reload, call->action->ticket))
        return RKB_LATER;
    *call->code = "ending";
    rkb_fail(call->error, RKB_REFUSED, "rkbridge is about to end");
    return RKB_DENIED;
}

/* ---- all of them ---- */

static const struct row {
    const char *word;
    bool changes;               /* something: it is logged */
    enum rkb_outcome (*run)(const struct call *call);
} rows[] = {
    {"drain", true, do_drain},
    {"reload", true, do_reload},
};

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
    struct call call = {context, action, out, code, error};
    const struct row *row = find(action->word);
    if (row == NULL) {
        *code = "not_here";
        rkb_fail(error, RKB_USAGE, "it is not done here");
        return RKB_DENIED;
    }
    if (row->changes)
        rkb_log(call.admin->log, RKB_LOG_INFO, "control", "asked", "%s, asked by user %lld (process %lld)", row->word,
                (long long)action->peer->uid, (long long)action->peer->pid);
    return row->run(&call);
}
