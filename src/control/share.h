/*
 * share -- what one part may take of the loop's time: 5 % of it, and so much at one go. Who has taken more rests until
 * that is made up for, whatever it was that took so long.
 */
#ifndef RKB_CONTROL_SHARE_H
#define RKB_CONTROL_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#define RKB_SHARE_MOST_US 100000    /* what is usual */
#define RKB_SHARE_PARTS 20          /* of the time: one of them is ours */
#define RKB_SHARE_LOOK_US 20000     /* how soon to look again, while it is spent */

/* Begins whole, with all but most_us zero. */
struct rkb_share {
    int64_t most_us;                /* at one go */
    int64_t owed_us;                /* taken and not made up for yet */
    int64_t looked_us;
};

/* Times are monotonic. */
void rkb_share_use(struct rkb_share *share, int64_t now_us, int64_t took_us);
bool rkb_share_spent(struct rkb_share *share, int64_t now_us);

#endif
