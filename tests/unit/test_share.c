/* share: a twentieth of the time, a tenth of a second at one go. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "control/share.h"

static void test_share(void **state)
{
    (void)state;
    struct rkb_share share = {.most_us = RKB_SHARE_MOST_US};
    int64_t now_us = 5000000;
    assert_false(rkb_share_spent(&share, now_us));
    rkb_share_use(&share, now_us, RKB_SHARE_MOST_US);
    assert_false(rkb_share_spent(&share, now_us));
    rkb_share_use(&share, now_us, 50000);
    assert_true(rkb_share_spent(&share, now_us));
    assert_true(rkb_share_spent(&share, now_us + 20 * 50000 - 20));
    assert_false(rkb_share_spent(&share, now_us + 20 * 50000));
    rkb_share_use(&share, now_us + 20 * 50000, 1);
    assert_true(rkb_share_spent(&share, now_us + 20 * 50000));
}

/* However often it is asked, no part of the time is lost, and none comes twice. */
static void test_in_small_steps(void **state)
{
    (void)state;
    struct rkb_share share = {.most_us = RKB_SHARE_MOST_US};
    int64_t now_us = 1;
    (void)rkb_share_spent(&share, now_us);
    rkb_share_use(&share, now_us, RKB_SHARE_MOST_US + 1000);
    for (int i = 0; i < 19998; i++)
        assert_true(rkb_share_spent(&share, ++now_us));
    now_us += 20;
    assert_false(rkb_share_spent(&share, now_us));
    rkb_share_use(&share, now_us, -5);      /* a clock that went back takes nothing */
    assert_false(rkb_share_spent(&share, now_us));
    now_us += 1000000000;
    rkb_share_use(&share, now_us, RKB_SHARE_MOST_US + 1);       /* idleness is not saved up */
    assert_true(rkb_share_spent(&share, now_us));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_share), cmocka_unit_test(test_in_small_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
