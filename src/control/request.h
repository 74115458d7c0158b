/*
 * request -- what a command's function gets, and how it reads its words. Of commands.c and looks.c alone.
 */
#ifndef RKB_CONTROL_REQUEST_H
#define RKB_CONTROL_REQUEST_H

#include "control/commands.h"
#include "control/output.h"

#define RKB_REQUEST_WORDS 8     /* no command takes more */

struct rkb_request {
    struct rkb_slice words[RKB_REQUEST_WORDS];  /* the first is the command's */
    size_t count;
    const struct rkb_snapshot *snapshot;
    struct rkb_log *log;                        /* NULL: there is none */
    struct rkb_error *unknown;                  /* filled where the words are right but name what there is not */
};

static inline bool rkb_request_is(const struct rkb_request *request, size_t i, const char *text)
{
    return i < request->count && rkb_slice_equal(request->words[i], rkb_slice_text(text));
}

/* The word goes, those behind it move up. */
void rkb_request_drop(struct rkb_request *request, size_t i);
/* Reads `[text|json]` as the last word, where there is one, and drops it; false when words are left then. */
bool rkb_request_format(struct rkb_request *request, enum rkb_output_kind *kind);

/* looks.c: the commands that only show; each appends its lines, false: the arguments are wrong. */
bool rkb_look_version(const struct rkb_request *request, struct rkb_buffer *out);
bool rkb_look_status(const struct rkb_request *request, struct rkb_buffer *out);
bool rkb_look_stats(const struct rkb_request *request, struct rkb_buffer *out);
bool rkb_look_routes(const struct rkb_request *request, struct rkb_buffer *out);
bool rkb_look_sources(const struct rkb_request *request, struct rkb_buffer *out);
bool rkb_look_kafka(const struct rkb_request *request, struct rkb_buffer *out);
bool rkb_look_journal(const struct rkb_request *request, struct rkb_buffer *out);
bool rkb_look_gaps(const struct rkb_request *request, struct rkb_buffer *out);
bool rkb_look_errors(const struct rkb_request *request, struct rkb_buffer *out);

#endif
