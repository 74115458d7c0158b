/*
 * The gaps of an instance: in the order of their ids, each state written once there is room, the oldest that is done
 * with forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "daemon/gaps.h"

#define KEPT 4096

/* A ring with room for so many records; what was written to it, newest last. */
struct ring {
    size_t room;
    uint64_t next;
    size_t count;
    const char *refused;            /* what this source tells has no room; NULL: all has */
    struct rkb_gap written[4 * KEPT];
};

static bool append(void *context, struct rkb_gap *gap)
{
    struct ring *ring = context;
    if (ring->room == 0 || (ring->refused != NULL && strcmp(gap->source, ring->refused) == 0))
        return false;
    ring->room--;
    if (gap->id == 0)
        gap->id = ring->next;
    ring->next++;
    ring->written[ring->count++] = *gap;
    return true;
}

struct test {
    struct ring ring;
    struct rkb_gaps *gaps;
};

static int set_up(void **state)
{
    static struct test test;
    test = (struct test){.ring = {.room = 4 * KEPT, .next = 1}};
    test.gaps = rkb_gaps_new(append, &test.ring);
    *state = &test;
    return test.gaps == NULL;
}

static int tear_down(void **state)
{
    struct test *test = *state;
    rkb_gaps_free(test->gaps);
    return 0;
}

/* Opens and closes one that is this old; its source's name tells it apart. */
static void add_closed(struct test *test, int number)
{
    char source[16];
    snprintf(source, sizeof source, "s%d", number);
    struct rkb_gap *gap = rkb_gaps_open(test->gaps, source, "too_large", number + 1);
    assert_non_null(gap);
    rkb_gaps_close(test->gaps, gap, number + 1);
}

static void expect_ids_ascend(const struct test *test)
{
    for (size_t i = 1; i < rkb_gaps_count(test->gaps); i++) {
        uint64_t before = rkb_gaps_at(test->gaps, i - 1)->id, id = rkb_gaps_at(test->gaps, i)->id;
        if (id != 0 && before >= id)
            fail_msg("id %llu stands before %llu", (unsigned long long)before, (unsigned long long)id);
    }
}

/* Places of this source's gap in the list, or the count where it is forgotten. */
static size_t place_of(const struct test *test, const char *source)
{
    size_t i = 0;
    while (i < rkb_gaps_count(test->gaps) && strcmp(rkb_gaps_at(test->gaps, i)->source, source) != 0)
        i++;
    return i;
}

static void test_open_and_close(void **state)
{
    struct test *test = *state;
    struct rkb_gap *gap = rkb_gaps_open(test->gaps, "legacy", "connection_lost", 1000);
    assert_int_equal(gap->id, 1);
    assert_int_equal(test->ring.written[0].to_us, 0);
    assert_true(test->ring.written[0].bound == RKB_BOUND_UNKNOWN);
    assert_ptr_equal(rkb_gaps_open(test->gaps, "legacy", "connection_lost", 2000), gap);
    assert_int_equal(gap->from_us, 1000);
    assert_int_equal(test->ring.count, 1);
    rkb_gaps_close(test->gaps, gap, 5000);
    assert_int_equal(test->ring.count, 2);
    assert_int_equal(test->ring.written[1].id, 1);
    assert_int_equal(test->ring.written[1].from_us, 1000);
    assert_int_equal(test->ring.written[1].to_us, 5000);
    assert_null(rkb_gaps_find_open(test->gaps, "legacy", NULL));
    assert_int_equal(rkb_gaps_count(test->gaps), 1);
    assert_int_not_equal(rkb_gaps_open(test->gaps, "legacy", "connection_lost", 6000)->id, 1);
}

/* One that ends before it began, by a clock that went back, has no length. */
static void test_never_backwards(void **state)
{
    struct test *test = *state;
    struct rkb_gap *gap = rkb_gaps_open(test->gaps, "legacy", "restart", 9000);
    rkb_gaps_close(test->gaps, gap, 100);
    assert_int_equal(test->ring.written[1].to_us, 9000);
}

static void test_each_source_and_reason_its_own(void **state)
{
    struct test *test = *state;
    struct rkb_gap *lost = rkb_gaps_open(test->gaps, "a", "connection_lost", 1);
    struct rkb_gap *full = rkb_gaps_open(test->gaps, "a", "journal_full", 2);
    struct rkb_gap *other = rkb_gaps_open(test->gaps, "b", "connection_lost", 3);
    assert_ptr_equal(rkb_gaps_find_open(test->gaps, "a", "connection_lost"), lost);
    assert_ptr_equal(rkb_gaps_find_open(test->gaps, "a", "journal_full"), full);
    assert_ptr_equal(rkb_gaps_find_open(test->gaps, "b", NULL), other);
    assert_null(rkb_gaps_find_open(test->gaps, "b", "journal_full"));
    rkb_gaps_close(test->gaps, full, 4);
    assert_ptr_equal(rkb_gaps_find_open(test->gaps, "a", NULL), lost);
    expect_ids_ascend(test);
}

/* As recovery finds them: from the journal and the ledger, in any order, old and new states. */
static void test_recall(void **state)
{
    struct test *test = *state;
    static const struct rkb_gap found[] = {
        {.id = 70, .source = "a", .reason = "restart", .from_us = 7},
        {.id = 20, .source = "a", .reason = "connection_lost", .from_us = 2},
        {.id = 20, .source = "a", .reason = "connection_lost", .from_us = 2, .to_us = 3, .bound = 9},
        {.id = 20, .source = "a", .reason = "connection_lost", .from_us = 2},       /* an older state, met later */
        {.id = 50, .source = "b", .reason = "too_large", .from_us = 5, .to_us = 5},
        {.id = 60, .source = "b", .reason = "restart", .from_us = 6},
    };
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++)
        rkb_gaps_recall(test->gaps, &found[i]);
    assert_int_equal(rkb_gaps_count(test->gaps), 4);
    expect_ids_ascend(test);
    assert_int_equal(rkb_gaps_at(test->gaps, 0)->to_us, 3);
    assert_int_equal(rkb_gaps_at(test->gaps, 0)->bound, 9);
    assert_int_equal(rkb_gaps_find_open(test->gaps, "a", NULL)->id, 70);
    rkb_gaps_flush(test->gaps);
    assert_int_equal(test->ring.count, 0);          /* they are in the journal already */
    test->ring.next = 100;
    rkb_gaps_close(test->gaps, rkb_gaps_find_open(test->gaps, "b", NULL), 8);
    assert_int_equal(test->ring.written[0].id, 60);
    assert_int_equal(rkb_gaps_open(test->gaps, "b", "restart", 9)->id, 101);
    expect_ids_ascend(test);
}

static void test_no_room(void **state)
{
    struct test *test = *state;
    test->ring.room = 0;
    struct rkb_gap *gap = rkb_gaps_open(test->gaps, "a", "journal_full", 10);
    assert_non_null(gap);
    rkb_gaps_open(test->gaps, "b", "journal_full", 11);
    rkb_gaps_flush(test->gaps);
    assert_int_equal(test->ring.count, 0);
    test->ring.room = 100;
    rkb_gaps_flush(test->gaps);
    assert_int_equal(test->ring.count, 2);
    assert_string_equal(test->ring.written[0].source, "a");
    assert_int_equal(gap->id, 1);
    rkb_gaps_flush(test->gaps);
    assert_int_equal(test->ring.count, 2);
    /* Closed without room: the same id, once, when there is room. */
    test->ring.room = 0;
    rkb_gaps_close(test->gaps, gap, 20);
    test->ring.room = 100;
    rkb_gaps_flush(test->gaps);
    rkb_gaps_flush(test->gaps);
    assert_int_equal(test->ring.count, 3);
    assert_int_equal(test->ring.written[2].id, 1);
    assert_int_equal(test->ring.written[2].to_us, 20);
}

/* Room for the second and not for the first: it waits behind that one. */
static void test_nobody_overtakes(void **state)
{
    struct test *test = *state;
    test->ring.refused = "a";
    rkb_gaps_open(test->gaps, "a", "journal_full", 10);
    rkb_gaps_open(test->gaps, "b", "journal_full", 11);
    rkb_gaps_flush(test->gaps);
    assert_int_equal(test->ring.count, 0);
    test->ring.refused = NULL;
    rkb_gaps_flush(test->gaps);
    assert_string_equal(test->ring.written[0].source, "a");
    assert_string_equal(test->ring.written[1].source, "b");
    expect_ids_ascend(test);
}

/* Opened and closed without room: one record says it all. */
static void test_no_room_from_begin_to_end(void **state)
{
    struct test *test = *state;
    test->ring.room = 0;
    add_closed(test, 1);
    test->ring.room = 100;
    rkb_gaps_flush(test->gaps);
    assert_int_equal(test->ring.count, 1);
    assert_int_equal(test->ring.written[0].id, 1);
    assert_int_equal(test->ring.written[0].to_us, 2);
}

/* What waits for room goes before what is new, so that ids rise in the order of opening. */
static void test_who_waits_goes_first(void **state)
{
    struct test *test = *state;
    test->ring.room = 0;
    add_closed(test, 1);
    test->ring.room = 100;
    add_closed(test, 2);
    assert_string_equal(test->ring.written[0].source, "s1");
    assert_int_equal(place_of(test, "s1"), 0);
    expect_ids_ascend(test);
}

static void test_the_oldest_closed_one_is_forgotten(void **state)
{
    struct test *test = *state;
    struct rkb_gap *first = rkb_gaps_open(test->gaps, "open", "connection_lost", 1);
    for (int i = 1; i < KEPT; i++)
        add_closed(test, i);
    assert_int_equal(rkb_gaps_count(test->gaps), KEPT);
    assert_int_equal(place_of(test, "s1"), 1);
    add_closed(test, KEPT);
    assert_int_equal(rkb_gaps_count(test->gaps), KEPT);
    assert_int_equal(place_of(test, "s1"), KEPT);
    assert_int_equal(place_of(test, "s2"), 1);
    assert_int_equal(place_of(test, "s4096"), KEPT - 1);
    assert_ptr_equal(rkb_gaps_find_open(test->gaps, "open", NULL), first);      /* an open one stays, however old */
    rkb_gaps_close(test->gaps, first, 2);
    add_closed(test, KEPT + 1);
    assert_int_equal(place_of(test, "open"), KEPT);
}

/* No room for a thousand records: the list stays bounded, and whoever holds an open one may go on holding it. */
static void test_forgetting_without_room(void **state)
{
    struct test *test = *state;
    test->ring.room = 0;
    for (int i = 1; i < KEPT; i++)
        add_closed(test, i);
    struct rkb_gap *last = rkb_gaps_open(test->gaps, "open", "connection_lost", 1);
    add_closed(test, KEPT);
    assert_int_equal(rkb_gaps_count(test->gaps), KEPT);
    assert_ptr_equal(rkb_gaps_find_open(test->gaps, "open", NULL), last);
    assert_int_equal(place_of(test, "s1"), KEPT);
    test->ring.room = 4 * KEPT;
    rkb_gaps_close(test->gaps, last, 2);
    rkb_gaps_flush(test->gaps);
    assert_int_equal(test->ring.count, KEPT);
    expect_ids_ascend(test);
}

/* Over, and its bound to be found: no record, never forgotten, and not open any more. */
static void one_that_waits_for_its_bound(void **state)
{
    struct test *test = *state;
    struct rkb_gap *gap = rkb_gaps_open(test->gaps, "a", "connection_lost", 1);
    assert_null(rkb_gaps_find_waiting(test->gaps, "a"));
    rkb_gaps_wait(test->gaps, gap, 5);
    rkb_gaps_flush(test->gaps);
    assert_int_equal(test->ring.count, 1);
    assert_int_equal(gap->to_us, 5);
    assert_null(rkb_gaps_find_open(test->gaps, "a", NULL));
    assert_null(rkb_gaps_find_waiting(test->gaps, "b"));
    assert_ptr_equal(rkb_gaps_find_waiting(test->gaps, "a"), gap);
    for (int i = 1; i < KEPT + 3; i++)
        add_closed(test, i);
    assert_ptr_equal(rkb_gaps_find_waiting(test->gaps, "a"), gap);
    uint64_t written = test->ring.count;
    gap->bound = 7;
    rkb_gaps_close(test->gaps, gap, gap->to_us);
    assert_int_equal(test->ring.count, written + 1);
    assert_int_equal(test->ring.written[written].bound, 7);
    assert_int_equal(test->ring.written[written].to_us, 5);
    assert_null(rkb_gaps_find_waiting(test->gaps, "a"));
}

/* What else is known of it goes into its first record. */
static void one_with_more(void **state)
{
    struct test *test = *state;
    const struct rkb_gap like = {.source = "a", .reason = "restart", .from_us = 3, .bound = RKB_BOUND_UNKNOWN,
                                 .before = "mark:4", .has_anchor = true};
    struct rkb_gap *gap = rkb_gaps_open_like(test->gaps, &like);
    assert_string_equal(test->ring.written[0].before, "mark:4");
    assert_true(test->ring.written[0].has_anchor);
    assert_ptr_equal(rkb_gaps_open(test->gaps, "a", "restart", 9), gap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_waits_for_its_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_with_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_and_close, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_never_backwards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_source_and_reason_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_recall, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_overtakes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_room_from_begin_to_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_waits_goes_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_oldest_closed_one_is_forgotten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forgetting_without_room, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
