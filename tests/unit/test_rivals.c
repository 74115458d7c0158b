/* Tests of rivals: who is another bridge, who is ourselves, who is a ghost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "redis/rivals.h"

static struct rkb_rivals fresh(void)
{
    return (struct rkb_rivals){.token = "aaaaaaaa", .period_ms = 5000};
}

static struct rkb_client client(uint64_t id, int64_t idle_s, const char *name)
{
    return (struct rkb_client){.id = id, .idle_seconds = idle_s, .output_buffer = -1, .memory = -1,
                               .name = rkb_slice_text(name), .address = rkb_slice_text("10.0.0.1:4711")};
}

static void subscribed(struct rkb_rivals *rivals, uint64_t id, int64_t idle_s, const char *name)
{
    const struct rkb_client one = client(id, idle_s, name);
    rkb_rivals_subscribed(rivals, &one);
}

static void normal(struct rkb_rivals *rivals, uint64_t id, int64_t idle_s, const char *name)
{
    const struct rkb_client one = client(id, idle_s, name);
    rkb_rivals_normal(rivals, &one);
}

static uint64_t found(const struct rkb_rivals *rivals)
{
    const struct rkb_rival *rival = rkb_rivals_find(rivals);
    return rival != NULL ? rival->subscriber : 0;
}

static void others_and_ourselves(void **state)
{
    (void)state;
    struct rkb_rivals rivals = fresh();
    rkb_rivals_own(&rivals, 10);
    rkb_rivals_own(&rivals, 20);
    rkb_rivals_begin(&rivals);
    subscribed(&rivals, 10, 0, "rkbridge:shop");            /* our connection before */
    subscribed(&rivals, 20, 0, "rkbridge:shop");
    subscribed(&rivals, 21, 0, "someone");
    subscribed(&rivals, 22, 0, "");
    assert_int_equal(rivals.count, 0);
    subscribed(&rivals, 30, 0, "rkbridge:shop");            /* the same name is another all the same */
    subscribed(&rivals, 40, 0, "rkbridge:mail");
    subscribed(&rivals, 50, 0, "rkbridge:shop");            /* another source of this process */
    normal(&rivals, 31, 1, "rkbridge:shop:bbbbbbbb:5000:30");
    normal(&rivals, 41, 0, "rkbridge:mail:cccccccc:5000:40");
    normal(&rivals, 51, 0, "rkbridge:shop:aaaaaaaa:5000:50");
    normal(&rivals, 52, 0, "rkbridge:shop:dddddddd:5000:0");    /* held: no rival */
    normal(&rivals, 53, 0, "rkbridge:shop");
    assert_int_equal(rivals.count, 2);
    const struct rkb_rival *rival = rkb_rivals_find(&rivals);
    assert_int_equal(rival->subscriber, 30);
    assert_int_equal(rival->watcher, 31);
    assert_string_equal(rival->instance, "shop");
    assert_string_equal(rival->address, "10.0.0.1:4711");
    rkb_rivals_begin(&rivals);
    assert_int_equal(found(&rivals), 0);
}

static void ghosts(void **state)
{
    (void)state;
    static const struct {
        int64_t subscriber_idle_s, watcher_idle_s;          /* -1: no watcher */
        const char *watcher;
        bool lives;
    } rows[] = {
        {0, 16, "rkbridge:shop:bbbbbbbb:5000:30", true},
        {0, 17, "rkbridge:shop:bbbbbbbb:5000:30", false},   /* what is written to it keeps the subscriber busy */
        {999, 3, "rkbridge:shop:bbbbbbbb:1000:30", true},
        {999, 5, "rkbridge:shop:bbbbbbbb:1000:30", false},
        {0, 60, "rkbridge:shop:bbbbbbbb:30000:30", true},   /* by its own period */
        {16, -1, NULL, true},
        {17, -1, NULL, false},
        {16, 0, "rkbridge:shop:bbbbbbbb:5000:31", true},    /* of another: this one has none */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_rivals rivals = fresh();
        subscribed(&rivals, 30, rows[i].subscriber_idle_s, "rkbridge:shop");
        if (rows[i].watcher != NULL)
            normal(&rivals, 99, rows[i].watcher_idle_s, rows[i].watcher);
        if ((found(&rivals) != 0) != rows[i].lives)
            fail_msg("row %zu", i);
    }
    struct rkb_rivals rivals = fresh();
    subscribed(&rivals, 30, 0, "rkbridge:shop");
    normal(&rivals, 31, 400, "rkbridge:shop:bbbbbbbb:5000:30");
    normal(&rivals, 33, 1, "rkbridge:shop:bbbbbbbb:5000:30");   /* its watcher is new, the old one a ghost */
    assert_int_equal(rkb_rivals_find(&rivals)->watcher, 33);
    subscribed(&rivals, 20, 0, "rkbridge:ghost");
    normal(&rivals, 21, 400, "rkbridge:ghost:eeeeeeee:5000:20");
    assert_int_equal(found(&rivals), 30);
}

/* After a restart of Redis numbers begin anew: another's may be what ours was. */
static void numbers_of_another_redis(void **state)
{
    (void)state;
    struct rkb_rivals rivals = fresh();
    rkb_rivals_own(&rivals, 100);
    rkb_rivals_own(&rivals, 0);
    rkb_rivals_own(&rivals, 7);
    subscribed(&rivals, 100, 0, "rkbridge:shop");
    subscribed(&rivals, 7, 0, "rkbridge:shop");
    assert_int_equal(found(&rivals), 100);
    rkb_rivals_begin(&rivals);
    for (uint64_t id = 8; id < 40; id++)
        rkb_rivals_own(&rivals, id);
    subscribed(&rivals, 39, 0, "rkbridge:shop");
    assert_int_equal(found(&rivals), 0);
    for (uint64_t id = 50; id < 100; id++)
        subscribed(&rivals, id, 0, "rkbridge:shop");
    assert_int_equal(rivals.count, RKB_RIVALS_KEPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_and_ourselves),
        cmocka_unit_test(ghosts),
        cmocka_unit_test(numbers_of_another_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
