/*
 * status -- the answer to "how is it?", for somebody who did not install it: a verdict and why, then short tables.
 */
#ifndef RKB_CONTROL_STATUS_H
#define RKB_CONTROL_STATUS_H

#include "base/bytes.h"
#include "control/output.h"
#include "control/stats.h"

enum rkb_verdict { RKB_VERDICT_OK, RKB_VERDICT_WARN, RKB_VERDICT_BAD };

/* The verdict on a snapshot; its reasons in words, the worst first, are appended to why ("all is well" when OK). */
enum rkb_verdict rkb_verdict(const struct rkb_snapshot *snapshot, struct rkb_buffer *why);

/* The first line is `verdict: OK|WARN|BAD why`. */
void rkb_status_write(const struct rkb_snapshot *snapshot, struct rkb_output *output);

#endif
