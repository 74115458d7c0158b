/* share -- see share.h. */
#include "control/share.h"

static void make_up(struct rkb_share *share, int64_t now_us)
{
    int64_t made_up_us = (now_us - share->looked_us) / RKB_SHARE_PARTS;
    if (made_up_us <= 0)
        return;
    share->looked_us += made_up_us * RKB_SHARE_PARTS;
    share->owed_us = share->owed_us > made_up_us ? share->owed_us - made_up_us : 0;
}

void rkb_share_use(struct rkb_share *share, int64_t now_us, int64_t took_us)
{
    make_up(share, now_us);
    share->owed_us += took_us > 0 ? took_us : 0;
}

bool rkb_share_spent(struct rkb_share *share, int64_t now_us)
{
    make_up(share, now_us);
    return share->owed_us > share->most_us;
}
