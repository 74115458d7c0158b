/* repeat -- see repeat.h. */
#include "base/repeat.h"

#include <stddef.h>

static bool is_over(const struct rkb_repeat *repeat, size_t slot, int64_t now_us)
{
    return repeat->slots[slot].passed == 0 || now_us - repeat->slots[slot].since_us >= RKB_REPEAT_WINDOW_US;
}

/*
 * The slot of this kind, else one that nobody needs any more (one with nothing left to say, if there is), else KINDS.
 */
static size_t find(const struct rkb_repeat *repeat, uint64_t kind, int64_t now_us)
{
    size_t unused = RKB_REPEAT_KINDS;
    for (size_t i = 0; i < RKB_REPEAT_KINDS; i++) {
        if (repeat->slots[i].passed > 0 && repeat->slots[i].kind == kind)
            return i;
        if (is_over(repeat, i, now_us) && (unused == RKB_REPEAT_KINDS || repeat->slots[unused].suppressed > 0))
            unused = i;
    }
    return unused;
}

bool rkb_repeat_pass(struct rkb_repeat *repeat, uint64_t kind, int64_t now_us, uint64_t *suppressed)
{
    *suppressed = 0;
    size_t slot = find(repeat, kind, now_us);
    if (slot == RKB_REPEAT_KINDS)
        return true;
    if (is_over(repeat, slot, now_us)) {
        if (repeat->slots[slot].kind == kind)
            *suppressed = repeat->slots[slot].suppressed;
        repeat->slots[slot].kind = kind;
        repeat->slots[slot].since_us = now_us;
        repeat->slots[slot].passed = 0;
        repeat->slots[slot].suppressed = 0;
    }
    if (repeat->slots[slot].passed < RKB_REPEAT_PASS) {
        repeat->slots[slot].passed++;
        return true;
    }
    repeat->slots[slot].suppressed++;
    return false;
}
