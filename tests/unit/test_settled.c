/*
 * Tests of the topics' lows: while one topic stands still, what the others have shipped outlives a crash, at every
 * stage, and no more than was settled and synced ever counts.
 */
#include "disks.h"
#include "journal_support.h"

#include "journal/raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPICS 16
#define STUCK 3

static uint32_t topic_of(uint64_t sequence)
{
    return (uint32_t)(sequence % TOPICS) + 1;
}

static struct rkb_journal *open_quick(const char *directory, struct rkb_recovery *recovery)
{
    struct rkb_journal_options options = options_for(directory, 256 * MIB, MIB, quick_disk());
    struct rkb_error error = {0};
    struct rkb_journal *journal = rkb_journal_open(&options, recovery, NULL, NULL, &error);
    if (journal == NULL)
        fail_msg("%s", error.text);
    return journal;
}

static void append_names(struct rkb_journal *journal)
{
    struct batch batch = {0};
    char name[16];
    batch_name(&batch, RKB_NAME_ROUTE, "route");
    for (unsigned topic = 1; topic <= TOPICS; topic++) {
        snprintf(name, sizeof name, "topic %u", topic);
        batch_name(&batch, RKB_NAME_TOPIC, name);
    }
    append_batch(journal, &batch);
    batch_free(&batch);
}

/* Each hundredth is a mark, the others' topics go round. */
static void append_round(struct rkb_journal *journal, uint64_t first, uint64_t last)
{
    struct batch batch = {0};
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        if (sequence % 100 == 0)
            batch_mark(&batch, sequence, 5, 77000);
        else
            batch_message_of(&batch, sequence, 20, topic_of(sequence));
    }
    append_batch(journal, &batch);
    batch_free(&batch);
}

static bool stands_still(uint64_t sequence)
{
    return sequence % 100 != 0 && topic_of(sequence) == STUCK;
}

/* Kafka has taken all below `end` but the stuck topic's; and, above it, every third. */
static void ship(struct rkb_journal *journal, uint64_t from, uint64_t end, uint64_t last)
{
    for (uint64_t sequence = from; sequence <= last; sequence++)
        if (!stands_still(sequence) && (sequence < end || sequence % 3 == 0))
            settle(journal, sequence, sequence);
    for (uint32_t topic = 0; topic <= TOPICS; topic++)
        if (topic != STUCK)
            rkb_journal_topic_low(journal, topic, end);
}

/* What counts as settled is what ship made of it, up to what was synced. */
static void assert_shipped(const struct rkb_journal *journal, uint64_t first, uint64_t end, uint64_t last,
                           uint64_t synced)
{
    const struct rkb_acks *acks = rkb_journal_acks((struct rkb_journal *)(uintptr_t)journal);
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        bool settled = !stands_still(sequence) && (sequence < end || sequence % 3 == 0) && sequence < synced;
        if (rkb_acks_has(acks, sequence) != settled)
            fail_msg("%u is %ssettled", (unsigned)sequence, settled ? "not " : "");
    }
}

static void a_topic_that_stands_still_among_a_hundred_thousand_records(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_journal *journal = open_quick(*state, &recovery);
    append_names(journal);
    for (uint64_t first = 1; first < 100000; first += 1000)
        append_round(journal, first, first + 999);
    ship(journal, 1, 98000, 100000);
    assert_int_equal(rkb_acks_low(rkb_journal_acks(journal)), STUCK - 1);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, false, &error));
    for (int restart = 0; restart < 3; restart++) {
        rkb_journal_close(journal);
        journal = open_quick(*state, &recovery);
        assert_int_equal(recovery.low, STUCK - 1);
        assert_int_equal(recovery.damaged, 0);
        assert_int_equal(recovery.next_sequence, 100001);
        assert_shipped(journal, 1, 98000, 100000, UINT64_MAX);
        /* Also when the next one writes a checkpoint without having heard of any topic. */
        assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    }
    /* At last the topic moves: low passes all, and the segments go. */
    settle(journal, 1, 100000);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    assert_int_equal(count_files(*state, ".seg"), 1);
    rkb_journal_close(journal);
    journal = open_quick(*state, &recovery);
    assert_int_equal(recovery.low, 100001);
    rkb_journal_close(journal);
}

/* What the one that is killed had done. */
struct progress {
    uint64_t appended, end, written_end, written_limit;     /* written: by the last checkpoint */
};

/*
 * The directory as the kill, or with `power` the power loss after it, leaves it, opened: no more and no less is
 * settled.
 */
static void crash(const char *directory, const char *copy, const struct progress *is, uint64_t synced, bool power)
{
    struct rkb_recovery recovery;
    copy_directory(directory, copy);
    if (power) {
        /* The newest segment loses what was not synced: all that this test appends after its first sync. */
        char *path = join(copy, "00000000000000000001.seg");
        size_t size, at = RKB_SEGMENT_HEADER;
        uint8_t *bytes = read_whole(path, &size);
        while (rkb_record_length(bytes + at) != 0) {
            bool beyond = bytes[at + 12] != RKB_DICTIONARY && rkb_raw_u64(bytes + at + 16) >= synced;
            if (beyond)
                break;
            at += rkb_record_length(bytes + at);
        }
        write_whole(path, bytes, at);
        free(bytes);
        free(path);
    }
    struct rkb_journal *journal = open_quick(copy, &recovery);
    assert_int_equal(recovery.damaged, 0);
    uint64_t there = power ? synced : is->appended + 1;
    assert_int_equal(recovery.next_sequence, there);
    assert_shipped(journal, 1, is->written_end < there ? is->written_end : there, there - 1, is->written_limit);
    append_round(journal, there, there + 10);
    rkb_journal_close(journal);
}

static void a_crash_at_every_stage(void **state)
{
    char *copy = make_directory();
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_sync job;
    struct progress is = {.written_end = 1, .written_limit = 1};
    struct rkb_journal *journal = open_quick(*state, &recovery);
    append_names(journal);
    for (int round = 0; round < 6; round++) {
        for (int stage = 0; stage < 6; stage++) {
            uint64_t synced = rkb_journal_synced(journal);
            switch (stage) {
            case 0:
                append_round(journal, is.appended + 1, is.appended + 300);
                is.appended += 300;
                break;
            case 1:
                ship(journal, 1, is.appended - 60, is.appended);
                is.end = is.appended - 60;
                break;
            case 2:
                assert_true(rkb_journal_checkpoint(journal, synced, false, &error));
                is.written_end = is.end;
                is.written_limit = synced;
                break;
            case 3:
                assert_true(rkb_journal_sync_begin(journal, true, &job, &error));
                break;
            case 4:
                assert_true(rkb_sync_run(&job, &error));
                break;
            case 5:
                assert_true(rkb_journal_sync_end(journal, &job));
                assert_int_equal(rkb_journal_synced(journal), is.appended + 1);
                break;
            }
            crash(*state, copy, &is, rkb_journal_synced(journal), false);
            crash(*state, copy, &is, rkb_journal_synced(journal), true);
        }
    }
    assert_true(is.written_limit > 1000);
    rkb_journal_close(journal);
    remove_directory(copy);
}

static void a_checkpoint_is_due_while_it_would_say_more(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_journal *journal = open_quick(*state, &recovery);
    append_names(journal);
    append_round(journal, 1, 90);
    assert_false(rkb_journal_checkpoint_due(journal, 50));
    rkb_journal_topic_low(journal, 5, 60);
    assert_true(rkb_journal_checkpoint_due(journal, 50));
    assert_true(rkb_journal_checkpoint(journal, 50, false, &error));
    assert_true(rkb_journal_checkpoint_due(journal, 50));      /* of 50 to 59 it says nothing yet */
    assert_true(rkb_journal_checkpoint(journal, 91, false, &error));
    assert_false(rkb_journal_checkpoint_due(journal, 91));
    rkb_journal_topic_low(journal, 5, 60);
    rkb_journal_topic_low(journal, 5, 10);
    assert_false(rkb_journal_checkpoint_due(journal, 91));
    settle(journal, 1, 1);
    assert_false(rkb_journal_checkpoint_due(journal, 1));
    assert_true(rkb_journal_checkpoint_due(journal, 91));
    assert_true(rkb_journal_checkpoint(journal, 91, false, &error));
    assert_false(rkb_journal_checkpoint_due(journal, 91));
    rkb_journal_close(journal);
}

/*
 * Each written checkpoint is synced by the next job, also where only a topic's low has moved; then nothing is left to
 * do.
 */
static void a_job_syncs_a_checkpoint_in_which_only_a_topic_has_moved(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_sync job;
    struct rkb_journal *journal = open_quick(*state, &recovery);
    append_names(journal);
    append_round(journal, 1, 90);
    for (uint64_t low = 10; low < 15; low++) {
        rkb_journal_topic_low(journal, 5, low);
        assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, low == 14, &error));
        for (int again = 0; again < 2; again++) {
            assert_true(rkb_journal_sync_begin(journal, false, &job, &error));
            assert_int_equal(job.count, again == 0 && low != 14);
            assert_true(rkb_sync_run(&job, &error));
            assert_true(rkb_journal_sync_end(journal, &job));
        }
    }
    rkb_journal_close(journal);
}

static void nothing_is_believed_beyond_the_journals_end_or_of_topics_it_does_not_know(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_journal *journal = open_quick(*state, &recovery);
    append_names(journal);
    append_round(journal, 1, 90);
    rkb_journal_topic_low(journal, 5, UINT64_MAX);
    rkb_journal_topic_low(journal, TOPICS + 1, 50);
    rkb_journal_topic_low(journal, UINT32_MAX, 50);
    append_round(journal, 91, 200);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    journal = open_quick(*state, &recovery);
    assert_int_equal(recovery.next_sequence, 201);
    for (uint64_t i = 1; i <= 200; i++)
        assert_int_equal(rkb_acks_has(rkb_journal_acks(journal), i), i <= 90 && topic_of(i) == 5);
    rkb_journal_close(journal);
}

/* Without a sync a power loss may take what the checkpoint speaks of: its numbers are not used again. */
static void numbers_below_a_topics_low_were_used(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_journal *journal = open_quick(*state, &recovery);
    append_names(journal);
    append_round(journal, 1, 90);
    rkb_journal_topic_low(journal, 5, 80);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    char *path = join(*state, "00000000000000000001.seg");
    size_t size;
    uint8_t *bytes = read_whole(path, &size);
    write_whole(path, bytes, RKB_SEGMENT_HEADER);
    free(bytes);
    free(path);
    journal = open_quick(*state, &recovery);
    assert_int_equal(recovery.next_sequence, 80);
    assert_int_equal(recovery.lost_first, 1);
    assert_int_equal(recovery.lost_last, 79);
    rkb_journal_close(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(a_topic_that_stands_still_among_a_hundred_thousand_records),
        in_directory(a_crash_at_every_stage),
        in_directory(a_checkpoint_is_due_while_it_would_say_more),
        in_directory(a_job_syncs_a_checkpoint_in_which_only_a_topic_has_moved),
        in_directory(nothing_is_believed_beyond_the_journals_end_or_of_topics_it_does_not_know),
        in_directory(numbers_below_a_topics_low_were_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
