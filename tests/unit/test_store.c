/*
 * What an instance finds at its start: records a killed one left in ring and journal, counted per route; gaps; damage
 * said.
 */
#include "store_support.h"

#include <stdlib.h>
#include <string.h>

static void test_nothing_yet(void **state)
{
    struct test *test = *state;
    open_store(test);
    assert_true(test->store.recovery.fresh);
    assert_int_equal(test->store.next_sequence, 1);
    assert_int_equal(waiting(test, 1), 0);
    assert_int_equal(rkb_gaps_count(test->store.gaps), 0);
    assert_true(rkb_ring_outlives(test->store.ring));
    reopen_store(test);
    assert_false(test->store.recovery.fresh);
    assert_int_equal(test->store.next_sequence, 1);
}

static void test_after_a_kill(void **state)
{
    struct test *test = *state;
    open_store(test);
    put_names(test);
    put_messages(test, 1, 20);
    put_messages(test, 2, 30);
    assert_true(take(test));
    put_messages(test, 2, 5);
    put_messages(test, 1, 7);
    assert_true(ring_bytes(test) > 0);
    reopen_store(test);
    assert_int_equal(waiting(test, 1), 27);
    assert_int_equal(waiting(test, 2), 35);
    assert_int_equal(test->store.waiting_count, 2);
    assert_int_equal(test->store.next_sequence, 63);
    assert_int_equal(rkb_journal_next(test->store.journal), 63);
    assert_int_equal(ring_bytes(test), 0);
    assert_int_equal(rkb_dictionary_number(test->store.dictionary, RKB_NAME_ROUTE, rkb_slice_text("second")), 2);
}

/* Killed between append and consume: the ring still holds what the journal has. It counts once. */
static void test_after_a_kill_between_append_and_consume(void **state)
{
    struct test *test = *state;
    const uint8_t *records;
    size_t taken;
    open_store(test);
    put_names(test);
    put_messages(test, 1, 20);
    size_t bytes = rkb_ring_peek(test->store.ring, &records);
    assert_true(rkb_journal_append(test->store.journal, records, bytes, rkb_ring_salt(test->store.ring), &taken, NULL));
    put_messages(test, 2, 3);
    reopen_store(test);
    assert_int_equal(waiting(test, 1), 20);
    assert_int_equal(waiting(test, 2), 3);
    assert_int_equal(test->store.next_sequence, 24);
}

/*
 * What Kafka acknowledged does not wait: by the checkpoint, also above its low mark, and by the ring's note, which is
 * newer.
 */
static void test_what_is_settled_does_not_wait(void **state)
{
    struct test *test = *state;
    open_store(test);
    put_names(test);
    put_messages(test, 1, 10);
    put_messages(test, 2, 10);
    assert_true(take(test));
    settle(test->store.journal, 1, 5);
    settle(test->store.journal, 15, 20);
    assert_true(rkb_journal_checkpoint(test->store.journal, UINT64_MAX, true, NULL));
    rkb_ring_note_low(test->store.ring, 9);
    reopen_store(test);
    assert_int_equal(rkb_acks_low(rkb_journal_acks(test->store.journal)), 9);
    assert_int_equal(waiting(test, 1), 2);
    assert_int_equal(waiting(test, 2), 4);
    assert_int_equal(test->store.next_sequence, 21);
}

/*
 * One topic stands still, the others' records were acknowledged: killed, only the one's and what was in flight waits.
 */
static void test_what_a_topics_low_settles_does_not_wait(void **state)
{
    struct test *test = *state;
    open_store(test);
    put_names(test);
    put_name(test, RKB_NAME_TOPIC, "moving");
    for (int i = 0; i < 10; i++) {      /* 1, 3, 5 ... stand still */
        assert_true(put_message_for(test, 1, 1));
        assert_true(put_message_for(test, 2, 2));
    }
    assert_true(take(test));
    rkb_ring_note_low(test->store.ring, 1);
    rkb_ring_note_topic_low(test->store.ring, 2, 15);
    for (int restart = 0; restart < 2; restart++) {
        reopen_store(test);
        const struct rkb_acks *acks = rkb_journal_acks(test->store.journal);
        for (uint64_t i = 1; i <= 20; i++)
            assert_int_equal(rkb_acks_has(acks, i), i % 2 == 0 && i < 15);
        assert_int_equal(waiting(test, 1), 10);
        assert_int_equal(waiting(test, 2), 3);
    }
    /* From here on the checkpoint says so too: a power loss takes the ring. */
    assert_true(rkb_journal_checkpoint(test->store.journal, UINT64_MAX, true, NULL));
    rkb_store_close(&test->store, true);
    open_store(test);
    assert_int_equal(waiting(test, 1), 10);
    assert_int_equal(waiting(test, 2), 3);
}

/*
 * A journal put back from an older copy gives numbers out again: what the ring notes of them was said of other
 * messages.
 */
static void test_notes_of_numbers_not_given_out_say_nothing(void **state)
{
    struct test *test = *state;
    open_store(test);
    put_names(test);
    put_messages(test, 1, 10);
    assert_true(take(test));
    rkb_ring_note_low(test->store.ring, 5);
    rkb_ring_note_topic_low(test->store.ring, 1, 1000);
    reopen_store(test);
    assert_int_equal(waiting(test, 1), 0);
    put_messages(test, 1, 10);
    assert_true(take(test));
    reopen_store(test);
    assert_int_equal(waiting(test, 1), 10);
}

/* All shipped and gone: numbers still go on, and a mark or gap is no message. */
static void test_numbers_go_on(void **state)
{
    struct test *test = *state;
    static const struct rkb_gap gap = {.id = 11, .source = "legacy", .reason = "too_large", .from_us = 1000,
                                       .to_us = 1000, .bound = 1};
    open_store(test);
    put_names(test);
    put_messages(test, 1, 10);
    put_gap(test, &gap);
    assert_true(take(test));
    settle(test->store.journal, 1, 10);
    assert_true(rkb_journal_checkpoint(test->store.journal, UINT64_MAX, true, NULL));
    reopen_store(test);
    assert_int_equal(waiting(test, 1), 0);
    settle(test->store.journal, 11, 11);
    assert_true(rkb_journal_checkpoint(test->store.journal, UINT64_MAX, true, NULL));
    reopen_store(test);
    reopen_store(test);
    assert_int_equal(test->store.next_sequence, 12);
    assert_int_equal(waiting(test, 1), 0);
}

/*
 * The journal is full, so what the killed instance left in the ring stays there: counted, its names learned, its
 * numbers used.
 */
static void test_a_ring_left_over(void **state)
{
    struct test *test = *state;
    static const struct rkb_gap gap = {.id = 77, .source = "legacy", .reason = "journal_full", .from_us = 9000,
                                       .bound = RKB_BOUND_UNKNOWN};
    test->config.journal.max_size = MIB;
    test->config.journal.segment_size = 64 * 1024;
    open_store(test);
    put_names(test);
    while (take(test))
        put_messages(test, 1, 10);
    put_name(test, RKB_NAME_ROUTE, "third");
    put_messages(test, 3, 20);
    put_gap(test, &gap);
    put_messages(test, 1, 10);
    uint64_t messages = test->next - 2;
    for (int i = 0; i < 2; i++) {
        reopen_store(test);
        assert_true(ring_bytes(test) > 30 * 1000);
        assert_int_equal(waiting(test, 3), 20);
        assert_int_equal(waiting(test, 1), messages - 20);
        assert_int_equal(test->store.next_sequence, test->next);
        assert_true(rkb_journal_next(test->store.journal) < test->next);
        assert_string_equal(rkb_dictionary_name(test->store.dictionary, RKB_NAME_ROUTE, 3), "third");
        assert_int_equal(rkb_gaps_find_open(test->store.gaps, "legacy", NULL)->id, 77);
    }
    /* With room all of it goes on its way. */
    test->config.journal.max_size = 64 * MIB;
    reopen_store(test);
    assert_int_equal(ring_bytes(test), 0);
    assert_int_equal(waiting(test, 3), 20);
    assert_int_equal(waiting(test, 1), messages - 20);
    assert_int_equal(test->store.next_sequence, test->next);
}

static void put_mark(struct test *test, uint64_t epoch, int64_t time_us)
{
    static const uint8_t value[72];
    const struct rkb_record record = {.kind = RKB_MARK, .sequence = test->next++, .time_us = time_us, .epoch = epoch,
                                      .route = 1, .value = {value, sizeof value}};
    assert_true(put(test, &record));
}

/* The next mark has to come after those that a killed instance left in the ring alone. */
static void test_marks_in_the_ring(void **state)
{
    struct test *test = *state;
    open_store(test);
    put_names(test);
    put_mark(test, 7, 9000000);
    assert_true(take(test));
    reopen_store(test);
    assert_int_equal(test->store.recovery.last_epoch, 7);
    assert_int_equal(test->store.recovery.last_mark_ms, 9000);
    put_mark(test, 8, 11000000);
    put_messages(test, 1, 1);       /* of epoch 1, read at 5000 us */
    reopen_store(test);
    assert_int_equal(test->store.recovery.last_epoch, 8);
    assert_int_equal(test->store.recovery.last_mark_ms, 11000);
    assert_int_equal(test->store.recovery.last_time_us, 5000);
}

/* A gap's states lie in ledger, journal and ring: the newest counts. */
static void test_gaps_are_recalled(void **state)
{
    struct test *test = *state;
    struct rkb_gap lost = {.id = 1, .source = "legacy", .reason = "connection_lost", .from_us = 1000,
                           .bound = RKB_BOUND_UNKNOWN};
    struct rkb_gap other = {.id = 2, .source = "other", .reason = "restart", .from_us = 2000,
                            .bound = RKB_BOUND_UNKNOWN};
    struct rkb_gap last = {.id = 5, .source = "legacy", .reason = "journal_full", .from_us = 7000,
                           .bound = RKB_BOUND_UNKNOWN};
    open_store(test);
    put_names(test);
    put_gap(test, &lost);
    put_gap(test, &other);
    assert_true(take(test));
    assert_true(rkb_ledger_append(test->store.ledger, &lost, NULL));
    lost.to_us = 4000;
    put_gap(test, &lost);
    assert_true(take(test));
    settle(test->store.journal, 1, 3);
    other.to_us = 5000;         /* its journal record is not shipped, its ledger line is older than that */
    put_gap(test, &other);
    put_gap(test, &last);
    reopen_store(test);
    assert_int_equal(rkb_gaps_count(test->store.gaps), 3);
    assert_int_equal(rkb_gaps_at(test->store.gaps, 0)->to_us, 4000);
    assert_int_equal(rkb_gaps_at(test->store.gaps, 1)->to_us, 5000);
    assert_int_equal(rkb_gaps_at(test->store.gaps, 2)->id, 5);
    assert_int_equal(rkb_gaps_find_open(test->store.gaps, "legacy", NULL)->id, 5);
    /* And when all records are shipped and gone, the ledger alone. */
    assert_true(rkb_ledger_append(test->store.ledger, &lost, NULL));
    assert_true(rkb_ledger_append(test->store.ledger, &other, NULL));
    assert_true(rkb_ledger_append(test->store.ledger, &last, NULL));
    last.to_us = 8000;
    assert_true(rkb_ledger_append(test->store.ledger, &last, NULL));
    settle(test->store.journal, 1, 5);
    assert_true(rkb_journal_checkpoint(test->store.journal, UINT64_MAX, true, NULL));
    reopen_store(test);
    reopen_store(test);
    assert_int_equal(rkb_gaps_count(test->store.gaps), 3);
    assert_null(rkb_gaps_find_open(test->store.gaps, "legacy", NULL));
    assert_int_equal(rkb_gaps_at(test->store.gaps, rkb_gaps_count(test->store.gaps) - 1)->to_us, 8000);
}

static void test_damage_is_said(void **state)
{
    struct test *test = *state;
    test->config.journal.segment_size = 64 * 1024;
    open_store(test);
    put_names(test);
    for (int i = 0; i < 20; i++) {
        put_messages(test, 1, 10);
        assert_true(take(test));
    }
    close_store(test);
    damage_middle(test->parent, "00000000000000000001.seg");
    open_store(test);
    const struct rkb_recovery *recovery = &test->store.recovery;
    assert_int_equal(recovery->damaged, 1);
    assert_true(recovery->lost_first > 1);
    assert_int_equal(waiting(test, 1), 200 - (recovery->lost_last - recovery->lost_first + 1));
    assert_int_equal(test->store.next_sequence, 201);
    char *log = read_log(test);
    assert_non_null(strstr(log, "journal_damaged"));
    assert_non_null(strstr(log, "00000000000000000001.seg"));
    free(log);
}

/* ---- dead letters ---- */

static bool put_aside(struct test *test, uint64_t sequence, struct rkb_error *error)
{
    static const uint8_t value[1000];
    const struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = sequence, .time_us = 5000, .epoch = 1,
                                      .route = 1, .topic = 1, .value = {value, sizeof value}};
    return rkb_dead_append(test->store.dead, &record, "first", "topic", "MSG_SIZE_TOO_LARGE", "too large", 6000, error);
}

static void test_dead_letters_are_found_again(void **state)
{
    struct test *test = *state;
    struct rkb_dead_figures dead;
    struct rkb_journal_figures after;
    open_store(test);
    put_names(test);
    put_messages(test, 1, 10);
    assert_true(take(test));
    for (uint64_t i = 2; i <= 8; i++)
        assert_true(put_aside(test, i, NULL));
    rkb_ring_note_low(test->store.ring, 5);
    reopen_store(test);
    rkb_dead_figures(test->store.dead, &dead);
    assert_int_equal(dead.count, 7);
    assert_int_equal(dead.limit, MIB);
    rkb_journal_figures(test->store.journal, &after);
    assert_true(after.bytes >= dead.bytes && dead.bytes > 7000);
    assert_true(put_aside(test, 5, NULL));      /* there already */
    assert_true(put_aside(test, 9, NULL));
    rkb_dead_figures(test->store.dead, &dead);
    assert_int_equal(dead.count, 8);
}

/* They are a part of max_size, so they take a part of it only. */
static void test_dead_letters_leave_room_for_the_journal(void **state)
{
    struct test *test = *state;
    struct rkb_error error;
    struct rkb_dead_figures dead;
    uint64_t next = 1;
    test->config.journal.max_size = MIB;
    test->config.journal.segment_size = 64 * 1024;
    open_store(test);
    while (put_aside(test, next, &error))
        next++;
    assert_int_equal(error.code, RKB_FULL);
    rkb_dead_figures(test->store.dead, &dead);
    assert_int_equal(dead.limit, MIB / 4);
    reopen_store(test);
    put_names(test);
    while (take(test))
        put_messages(test, 1, 10);
    struct rkb_journal_figures figures;
    rkb_journal_figures(test->store.journal, &figures);
    assert_true(figures.bytes <= MIB && figures.bytes > MIB - 2 * 64 * 1024);
    assert_true(figures.segments * UINT64_C(65536) <= MIB - dead.bytes);
}

static void test_damaged_dead_letters_are_said(void **state)
{
    struct test *test = *state;
    open_store(test);
    for (uint64_t i = 1; i <= 3; i++)
        assert_true(put_aside(test, i, NULL));
    close_store(test);
    char *path = join(test->parent, "dead-letters");
    size_t size;
    uint8_t *bytes = read_whole(path, &size);
    bytes[200] ^= 1;
    write_whole(path, bytes, size);
    free(bytes);
    open_store(test);
    assert_true(put_aside(test, 2, NULL));
    close_store(test);
    bytes = read_whole(path, &size);
    write_whole(path, bytes, size - 1);
    free(bytes);
    free(path);
    open_store(test);
    char *log = read_log(test);
    assert_non_null(strstr(log, "dead_letters_damaged"));
    assert_non_null(strstr(log, "cut off the dead letters"));
    free(log);
}

static size_t ring_files(const struct test *test)
{
    return count_files(test->ring_directory, ".ring");
}

static void test_closing_the_ring(void **state)
{
    struct test *test = *state;
    open_store(test);
    assert_int_equal(ring_files(test), 1);
    reopen_store(test);
    put_names(test);
    rkb_store_close(&test->store, true);        /* not empty: kept, whatever is said of the end */
    assert_int_equal(ring_files(test), 1);
    open_store(test);
    rkb_store_close(&test->store, true);
    test->store = (struct rkb_store){0};
    assert_int_equal(ring_files(test), 0);
}

static void test_a_ring_that_cannot_be(void **state)
{
    struct test *test = *state;
    test->config.journal.ring_directory = join(test->parent, "missing");
    open_store(test);
    assert_false(rkb_ring_outlives(test->store.ring));
    free(test->config.journal.ring_directory);
    char *log = read_log(test);
    assert_non_null(strstr(log, "ring_anonymous"));
    free(log);
}

static void test_another_one_has_it(void **state)
{
    struct test *test = *state;
    struct rkb_store second = {0};
    struct rkb_error error = {0};
    open_store(test);
    assert_false(rkb_store_open(&second, &test->config, append_nothing, NULL, test->log, &error));
    assert_int_equal(error.code, RKB_LOCKED);
    rkb_store_close(&second, false);
}

/* A ring of ours that does not read back is left as it is. */
static void test_a_damaged_ring(void **state)
{
    struct test *test = *state;
    struct rkb_error error = {0};
    open_store(test);
    put_names(test);
    put_messages(test, 1, 3);
    const uint8_t *at;
    rkb_ring_peek(test->store.ring, &at);
    *(uint8_t *)(uintptr_t)(at + 200) ^= 1;
    close_store(test);
    assert_false(rkb_store_open(&test->store, &test->config, append_nothing, NULL, test->log, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_int_equal(ring_files(test), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_yet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_after_a_kill, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_after_a_kill_between_append_and_consume, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_settled_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_a_topics_low_settles_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_notes_of_numbers_not_given_out_say_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_ring_left_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_marks_in_the_ring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gaps_are_recalled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dead_letters_are_found_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dead_letters_leave_room_for_the_journal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_dead_letters_are_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closing_the_ring, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_ring_that_cannot_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_one_has_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_ring, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
