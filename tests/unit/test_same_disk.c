/* Tests of same_disk: the same, another, none, and who is not waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/same_disk.h"

static enum rkb_same_disk answer_of(const char *one, const char *other)
{
    struct rkb_disk_question *question = rkb_disk_ask(one, other);
    assert_non_null(question);
    enum rkb_same_disk answer = RKB_DISK_ASKING;
    for (int i = 0; i < 10000 && answer == RKB_DISK_ASKING; i++) {
        answer = rkb_disk_answer(question);
        usleep(1000);
    }
    rkb_disk_forget(question);
    return answer;
}

static void answers(void **state)
{
    (void)state;
    assert_int_equal(answer_of("/proc", "/proc/self"), RKB_DISK_SAME);
    assert_int_equal(answer_of("/proc", "/"), RKB_DISK_OTHER);
    assert_int_equal(answer_of("/proc", "/proc/no such thing"), RKB_DISK_UNKNOWN);
    assert_int_equal(answer_of("/no such thing", "/proc"), RKB_DISK_UNKNOWN);
}

static void forgotten_before_the_answer(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++)
        rkb_disk_forget(rkb_disk_ask("/proc", "/"));
    rkb_disk_forget(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(forgotten_before_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
