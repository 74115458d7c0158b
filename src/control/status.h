/*
 * status -- the answer to "how is it?", for somebody who did not install it: a verdict and why, then short tables, what
 * matters most first. As text no table is wider than a terminal, as a rule; JSON has the same matter, names uncut.
 */
#ifndef RKB_CONTROL_STATUS_H
#define RKB_CONTROL_STATUS_H

#include "control/output.h"
#include "control/stats.h"

#define RKB_STATUS_ROUTES 10    /* so many are shown, the worst */

/*
 * As text the first line is `verdict: OK|WARN|BAD why; since TIME (HOW LONG); next: WHERE`, the other reasons follow,
 * one a line. In JSON the first member is `verdict`, and its first is `level`.
 */
void rkb_status_write(const struct rkb_snapshot *snapshot, struct rkb_output *output);

#endif
