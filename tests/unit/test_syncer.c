/*
 * The thread that waits for the disk: one job at a time, its result told once, and an end that waits for what is under
 * way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/syncer.h"

/* A disk whose next sync fails or is held; one for the program, as the table has no context. */
static struct {
    atomic_bool hold, fail;
    atomic_int begun, ended;
} disk;

static void rest(void)
{
    static const struct timespec time = {0, 5000000};
    nanosleep(&time, NULL);
}

static int sync_as_told(int fd)
{
    (void)fd;
    atomic_fetch_add(&disk.begun, 1);
    while (atomic_load(&disk.hold))
        rest();
    bool fail = atomic_load(&disk.fail);
    atomic_fetch_add(&disk.ended, 1);
    if (fail)
        errno = EIO;
    return fail ? -1 : 0;
}

/* Each sync takes 7 ms. */
static int64_t now_us(void)
{
    return 7000 * (int64_t)atomic_load(&disk.ended) + 1;
}

static const struct rkb_sys sys = {.fdatasync = sync_as_told, .monotonic_us = now_us};

struct test {
    int wake_fd;
    struct rkb_syncer *syncer;
    struct rkb_sync job;
    struct rkb_error error;
    bool ran;
};

static int set_up(void **state)
{
    static struct test test;
    memset(&disk, 0, sizeof disk);
    test = (struct test){.wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    test.syncer = rkb_syncer_start(test.wake_fd, &test.error);
    *state = &test;
    return test.syncer == NULL;
}

static int tear_down(void **state)
{
    struct test *test = *state;
    atomic_store(&disk.hold, false);
    if (test->syncer != NULL)
        rkb_syncer_stop(test->syncer);
    close(test->wake_fd);
    return 0;
}

static void run(struct test *test, uint64_t next)
{
    const struct rkb_sync job = {.sys = &sys, .files = {7}, .count = 1, .next = next, .low = 3};
    rkb_syncer_run(test->syncer, &job);
}

static bool finish(struct test *test, bool wait)
{
    return rkb_syncer_finish(test->syncer, wait, &test->job, &test->ran, &test->error);
}

static void wait_until_begun(int count)
{
    while (atomic_load(&disk.begun) < count)
        rest();
}

static void test_a_job(void **state)
{
    struct test *test = *state;
    assert_true(rkb_syncer_idle(test->syncer));
    assert_false(finish(test, false));
    assert_false(finish(test, true));           /* nothing to wait for */
    for (int i = 1; i <= 20; i++) {
        run(test, (uint64_t)i);
        assert_true(finish(test, true));
        assert_true(test->ran);
        assert_int_equal(test->job.next, i);
        assert_int_equal(test->job.low, 3);
        assert_int_equal(test->job.took_us, 7000);
        assert_int_equal(atomic_load(&disk.ended), i);
        assert_true(rkb_syncer_idle(test->syncer));
        assert_false(finish(test, true));
    }
}

static void test_a_job_that_takes_its_time(void **state)
{
    struct test *test = *state;
    struct pollfd fd = {test->wake_fd, POLLIN, 0};
    atomic_store(&disk.hold, true);
    run(test, 1);
    wait_until_begun(1);
    assert_false(finish(test, false));
    assert_false(rkb_syncer_idle(test->syncer));
    assert_int_equal(poll(&fd, 1, 0), 0);
    atomic_store(&disk.hold, false);
    assert_int_equal(poll(&fd, 1, 30000), 1);   /* who waits elsewhere is woken */
    assert_false(rkb_syncer_idle(test->syncer));
    assert_true(finish(test, false));
    assert_true(rkb_syncer_idle(test->syncer));
}

static void test_a_job_that_fails(void **state)
{
    struct test *test = *state;
    atomic_store(&disk.fail, true);
    run(test, 1);
    assert_true(finish(test, true));
    assert_false(test->ran);
    assert_int_equal(test->error.code, RKB_SYSTEM);
    assert_non_null(strstr(test->error.text, strerror(EIO)));
    /* What failed says nothing of the next. */
    atomic_store(&disk.fail, false);
    run(test, 2);
    assert_true(finish(test, true));
    assert_true(test->ran);
}

static void *let_go(void *context)
{
    (void)context;
    for (int i = 0; i < 10; i++)
        rest();
    atomic_store(&disk.hold, false);
    return NULL;
}

/* A job's descriptors are in use until it ends: stop returns only behind it. */
static void test_stop_while_a_job_runs(void **state)
{
    struct test *test = *state;
    pthread_t helper;
    atomic_store(&disk.hold, true);
    run(test, 1);
    wait_until_begun(1);
    assert_int_equal(pthread_create(&helper, NULL, let_go, NULL), 0);
    rkb_syncer_stop(test->syncer);
    test->syncer = NULL;
    assert_int_equal(atomic_load(&disk.ended), 1);
    pthread_join(helper, NULL);
}

/* A job that was handed over and not begun yet runs as well. */
static void test_stop_at_once(void **state)
{
    struct test *test = *state;
    run(test, 1);
    rkb_syncer_stop(test->syncer);
    test->syncer = NULL;
    assert_int_equal(atomic_load(&disk.ended), 1);
}

static void test_stop_with_a_result_nobody_asked_for(void **state)
{
    struct test *test = *state;
    struct pollfd fd = {test->wake_fd, POLLIN, 0};
    run(test, 1);
    assert_int_equal(poll(&fd, 1, 30000), 1);
    rkb_syncer_stop(test->syncer);
    test->syncer = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_job_that_takes_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_job_that_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_while_a_job_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_with_a_result_nobody_asked_for, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
