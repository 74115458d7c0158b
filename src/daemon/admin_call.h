/*
 * admin_call -- what the functions of admin.c's rows share. Nothing else includes this.
 *
 *     admin.c         the rows; drain, reload, log
 *     admin_pause.c   pause, resume, intake
 *     admin_config.c  config
 */
#ifndef RKB_DAEMON_ADMIN_CALL_H
#define RKB_DAEMON_ADMIN_CALL_H

#include "daemon/admin.h"

/* What a command's function needs to know, and gives. */
struct rkb_call {
    struct rkb_admin *admin;
    const struct rkb_action *action;
    struct rkb_buffer *out;
    const char **code;
    struct rkb_error *error;
};

static inline bool rkb_call_is(const struct rkb_call *call, size_t i, const char *text)
{
    return i < call->action->count && rkb_slice_equal(call->action->words[i], rkb_slice_text(text));
}

/* It cannot be, for this reason. */
enum rkb_outcome rkb_call_deny(const struct rkb_call *call, const char *code, const char *format, ...) RKB_PRINTF(3, 4);

enum rkb_outcome rkb_admin_pause(const struct rkb_call *call);
enum rkb_outcome rkb_admin_resume(const struct rkb_call *call);
enum rkb_outcome rkb_admin_intake(const struct rkb_call *call);
enum rkb_outcome rkb_admin_config(const struct rkb_call *call);

#endif
