/* Tests of the checkpoint: its two slots, torn and flipped at every byte; what the journal writes into it. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "disks.h"
#include "journal_support.h"

#include "journal/checkpoint.h"
#include "journal/raw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_SLOT 4096
#define SLOT 65536
#define RANGES 5
#define TOPICS 3
#define USED (56 + RANGES * 16 + TOPICS * 16 + 8)

static const uint8_t id[16] = {1, 2, 3, 4};

/* What the states of this file are made of. */
struct parts {
    struct rkb_range ranges[RANGES];
    struct rkb_topic_low topics[TOPICS];
};

/* The state that belongs to a number, so that a mixture of two shows. */
static struct rkb_checkpoint_state state_for(uint64_t n, struct parts *parts)
{
    memset(parts, 0, sizeof *parts);
    for (uint64_t i = 0; i < RANGES; i++)
        parts->ranges[i] = (struct rkb_range){n * 1000 + i * 10, n + i};
    for (uint32_t i = 0; i < TOPICS; i++) {
        parts->topics[i].topic = i * 2;
        parts->topics[i].low = n * 100 + i + 1;
    }
    return (struct rkb_checkpoint_state){n * 100, n * 3, n * 5, (int64_t)n * 7, parts->ranges, RANGES, TOPICS,
                                         parts->topics};
}

static enum rkb_checkpoint_found read_back(const char *directory, struct rkb_checkpoint_state *state,
                                           struct rkb_error *error)
{
    static struct rkb_range ranges[RKB_CHECKPOINT_ENTRIES];
    static struct rkb_topic_low topics[RKB_CHECKPOINT_TOPICS];
    uint64_t generation;
    memset(topics, 0, sizeof topics);
    state->ranges = ranges;
    state->topics = topics;
    return rkb_checkpoint_read(directory, id, &rkb_sys_posix, state, &generation, error);
}

static void assert_reads(const char *directory, uint64_t n)
{
    struct parts parts;
    struct rkb_checkpoint_state expected = state_for(n, &parts), got;
    struct rkb_error error = {0};
    assert_int_equal(read_back(directory, &got, &error), RKB_CHECKPOINT_READ);
    assert_int_equal(got.low, expected.low);
    assert_int_equal(got.last_epoch, expected.last_epoch);
    assert_int_equal(got.last_mark_ms, expected.last_mark_ms);
    assert_int_equal(got.last_time_us, expected.last_time_us);
    assert_int_equal(got.range_count, RANGES);
    assert_memory_equal(got.ranges, parts.ranges, sizeof parts.ranges);
    assert_int_equal(got.topic_count, TOPICS);
    assert_memory_equal(got.topics, parts.topics, sizeof parts.topics);
}

static void write_state(struct rkb_checkpoint *checkpoint, uint64_t n)
{
    struct parts parts;
    struct rkb_checkpoint_state state = state_for(n, &parts);
    struct rkb_error error;
    assert_true(rkb_checkpoint_write(checkpoint, &state, false, &error));
}

/* A file whose latest states are numbers 1 (made with the file), 2, ... last. */
static void make_file(const char *directory, uint64_t last)
{
    struct parts parts;
    struct rkb_checkpoint_state first = state_for(1, &parts);
    struct rkb_error error;
    struct rkb_checkpoint *checkpoint = rkb_checkpoint_open(directory, id, &rkb_sys_posix, 0, &first, &error);
    assert_non_null(checkpoint);
    for (uint64_t n = 2; n <= last; n++)
        write_state(checkpoint, n);
    rkb_checkpoint_close(checkpoint);
}

static void the_last_state_written_is_read(void **state)
{
    struct rkb_error error;
    struct rkb_checkpoint_state got;
    assert_int_equal(read_back(*state, &got, &error), RKB_CHECKPOINT_MISSING);
    for (uint64_t last = 1; last < 6; last++) {
        make_file(*state, last);
        assert_reads(*state, last);
    }
}

/* Where generation n lies. */
static size_t slot_of(uint64_t n)
{
    return FIRST_SLOT + (n & 1) * SLOT;
}

static void every_flip_leaves_the_other_slot(void **state)
{
    char *path = join(*state, "checkpoint");
    size_t size;
    for (uint64_t last = 4; last <= 5; last++) {
        make_file(*state, last);
        uint8_t *bytes = read_whole(path, &size);
        for (uint64_t which = last - 1; which <= last; which++)
            for (size_t i = 0; i < USED; i++) {
                bytes[slot_of(which) + i] ^= (uint8_t)(1 << i % 8);
                write_whole(path, bytes, size);
                assert_reads(*state, which == last ? last - 1 : last);
                bytes[slot_of(which) + i] ^= (uint8_t)(1 << i % 8);
            }
        free(bytes);
    }
    free(path);
}

static void every_torn_write_leaves_the_other_slot(void **state)
{
    char *path = join(*state, "checkpoint");
    size_t size;
    make_file(*state, 5);
    uint8_t *after = read_whole(path, &size);
    make_file(*state, 4);
    uint8_t *before = read_whole(path, &size);
    for (size_t cut = 0; cut <= USED; cut++) {
        uint8_t *torn = malloc(size);
        memcpy(torn, before, size);
        memcpy(torn + slot_of(5), after + slot_of(5), cut);
        write_whole(path, torn, size);
        bool whole = memcmp(torn + slot_of(5), after + slot_of(5), USED) == 0;
        assert_true(whole || cut < USED);
        assert_reads(*state, whole ? 5 : 4);
        free(torn);
    }
    free(before);
    free(after);
    free(path);
}

static void every_cut_of_the_file(void **state)
{
    char *path = join(*state, "checkpoint");
    size_t size;
    struct rkb_error error;
    struct rkb_checkpoint_state got;
    make_file(*state, 5);
    uint8_t *bytes = read_whole(path, &size);
    for (size_t cut = 0, step; cut < slot_of(5) + USED + 10; cut += step) {
        step = cut > FIRST_SLOT + USED && cut < slot_of(5) - 1 ? 1021 : 1;
        write_whole(path, bytes, cut);
        if (cut >= slot_of(5) + USED)
            assert_reads(*state, 5);
        else if (cut >= slot_of(4) + USED)
            assert_reads(*state, 4);
        else
            assert_int_equal(read_back(*state, &got, &error), RKB_CHECKPOINT_BAD);
    }
    free(bytes);
    free(path);
}

/*
 * Where nothing is said of topics a slot is what it was before there were any; where something is, a program that knows
 * of none finds its checksum over all it knows.
 */
static void what_came_before_topics_reads_and_is_read(void **state)
{
    char *path = join(*state, "checkpoint");
    size_t size;
    struct rkb_error error;
    struct parts parts;
    struct rkb_checkpoint_state old = state_for(1, &parts), got;
    old.topic_count = 0;
    rkb_checkpoint_close(rkb_checkpoint_open(*state, id, &rkb_sys_posix, 0, &old, &error));
    uint8_t *bytes = read_whole(path, &size);
    const uint8_t *slot = bytes + slot_of(1);
    for (size_t i = 56 + RANGES * 16; i < SLOT; i++)
        assert_int_equal(slot[i], 0);
    assert_int_equal(rkb_raw_u32(slot + 52), 0);
    assert_int_equal(read_back(*state, &got, &error), RKB_CHECKPOINT_READ);
    assert_int_equal(got.topic_count, 0);
    assert_int_equal(got.low, old.low);
    assert_memory_equal(got.ranges, parts.ranges, sizeof parts.ranges);
    free(bytes);
    unlink(path);

    make_file(*state, 1);
    bytes = read_whole(path, &size);
    slot = bytes + slot_of(1);
    assert_int_equal(rkb_raw_u32(bytes + 8), 1);
    assert_int_equal(rkb_raw_u32(slot + 48), RANGES);
    assert_int_equal(rkb_raw_u64(slot), XXH3_64bits(slot + 8, 56 + RANGES * 16 - 8));
    free(bytes);
    free(path);
}

/* Many topics leave room for ranges, and all of it fits. */
static void as_many_topics_as_fit_come_back(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct batch batch = {0};
    struct rkb_journal *journal = open_journal(*state, 64 * MIB, 8 * MIB, &recovery);
    for (uint32_t topic = 1; topic <= 4000; topic++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", (unsigned)topic);
        batch_name(&batch, RKB_NAME_TOPIC, name);
    }
    for (uint64_t i = 1; i <= 8000; i++)
        batch_message_of(&batch, i, 10, (uint32_t)(i - 1) % 4000 + 1);
    append_batch(journal, &batch);
    for (uint32_t topic = 1; topic <= 4000; topic++)
        rkb_journal_topic_low(journal, topic, 4001);
    for (uint64_t i = 4002; i <= 8000; i += 2)
        settle(journal, i, i);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    journal = open_journal(*state, 64 * MIB, 8 * MIB, &recovery);
    const struct rkb_acks *acks = rkb_journal_acks(journal);
    for (uint64_t i = 1; i <= 4000; i++)
        assert_int_equal(rkb_acks_has(acks, i), i <= RKB_CHECKPOINT_TOPICS);
    for (uint64_t i = 4001; i <= 8000; i++)
        assert_int_equal(rkb_acks_has(acks, i),
                         i % 2 == 0 && i > 8000 - 2 * (RKB_CHECKPOINT_ENTRIES - RKB_CHECKPOINT_TOPICS));
    rkb_journal_close(journal);
    batch_free(&batch);
}

static void a_damaged_head_a_foreign_and_a_newer_file_are_told(void **state)
{
    char *path = join(*state, "checkpoint");
    size_t size;
    struct rkb_error error = {0};
    struct rkb_checkpoint_state got;
    make_file(*state, 2);
    uint8_t *bytes = read_whole(path, &size);
    for (size_t i = 0; i < 64; i++) {
        bytes[i] ^= 4;
        write_whole(path, bytes, size);
        assert_int_equal(read_back(*state, &got, &error), RKB_CHECKPOINT_BAD);
        bytes[i] ^= 4;
    }
    free(bytes);
    static const uint8_t other[16] = {9};
    struct parts parts;
    struct rkb_checkpoint_state first = state_for(1, &parts);
    rkb_checkpoint_close(rkb_checkpoint_open(*state, other, &rkb_sys_posix, 0, &first, &error));
    assert_int_equal(read_back(*state, &got, &error), RKB_CHECKPOINT_BAD);
    assert_non_null(strstr(error.text, "another journal"));
    free(path);
}

static void a_write_that_fails_goes_to_the_same_slot_again(void **state)
{
    for (int kind = 0; kind < 2; kind++) {
        struct parts parts;
        struct rkb_error error = {0};
        make_file(*state, 4);
        struct rkb_checkpoint *checkpoint = rkb_checkpoint_open(*state, id, faulty_disk(), 4, NULL, &error);
        struct rkb_checkpoint_state next = state_for(5, &parts);
        for (int attempt = 0; attempt < 3; attempt++) {
            fail_call(kind == 0 ? CALL_PWRITE : CALL_FDATASYNC, 1, EIO);
            assert_false(rkb_checkpoint_write(checkpoint, &next, true, &error));
            assert_int_equal(error.code, RKB_SYSTEM);
            if (kind == 0)
                assert_reads(*state, 4);
        }
        assert_true(rkb_checkpoint_write(checkpoint, &next, true, &error));
        assert_reads(*state, 5);
        rkb_checkpoint_close(checkpoint);
        char *path = join(*state, "checkpoint");
        size_t size;
        uint8_t *bytes = read_whole(path, &size);
        bytes[slot_of(5)] ^= 1;
        write_whole(path, bytes, size);
        assert_reads(*state, 4);
        free(bytes);
        free(path);
    }
}

static void as_many_ranges_as_fit_come_back(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_journal *journal = open_journal(*state, 64 * MIB, 8 * MIB, &recovery);
    append_messages(journal, 1, 20000, 10);
    for (uint64_t i = 2; i <= 20000; i += 2)
        settle(journal, i, i);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, false, &error));
    rkb_journal_close(journal);
    journal = open_journal(*state, 64 * MIB, 8 * MIB, &recovery);
    const struct rkb_acks *acks = rkb_journal_acks(journal);
    for (uint64_t i = 1; i <= 20000; i++)
        assert_int_equal(rkb_acks_has(acks, i), i % 2 == 0 && i > 20000 - 2 * RKB_CHECKPOINT_ENTRIES);
    assert_int_equal(recovery.low, 1);
    assert_int_equal(recovery.next_sequence, 20001);
    rkb_journal_close(journal);
}

/* The checkpoint may not pass what is synced. */
static void the_limit_holds(void **state)
{
    static const struct {
        uint64_t limit, low, settled;       /* settled: the highest number that counts as such after a restart */
    } rows[] = {{1, 1, 0}, {30, 30, 29}, {50, 50, 49}, {51, 51, 50}, {60, 51, 59}, {75, 51, 70}, {UINT64_MAX, 51, 70}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_recovery recovery;
        struct rkb_error error;
        empty_directory(*state);
        struct rkb_journal *journal = open_journal(*state, 8 * MIB, MIB, &recovery);
        append_messages(journal, 1, 80, 10);
        settle(journal, 1, 50);
        settle(journal, 55, 70);
        assert_true(rkb_journal_checkpoint(journal, rows[i].limit, true, &error));
        rkb_journal_close(journal);
        journal = open_journal(*state, 8 * MIB, MIB, &recovery);
        assert_int_equal(recovery.low, rows[i].low);
        uint64_t highest = 80;
        while (highest > 0 && !rkb_acks_has(rkb_journal_acks(journal), highest))
            highest--;
        assert_int_equal(highest, rows[i].settled);
        rkb_journal_close(journal);
    }
}

static void it_never_goes_back(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, MIB, &recovery);
    append_messages(journal, 1, 80, 10);
    settle(journal, 1, 50);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    assert_true(rkb_journal_checkpoint(journal, 10, true, &error));
    rkb_journal_close(journal);
    journal = open_journal(*state, 8 * MIB, MIB, &recovery);
    assert_int_equal(recovery.low, 51);
    rkb_journal_close(journal);
}

/* A journal on the faulty disk with 200 records in several segments, all of them settled. */
static struct rkb_journal *open_settled(const char *directory)
{
    struct rkb_journal_options options = options_for(directory, 8 * MIB, 64 * 1024, faulty_disk());
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_journal *journal = rkb_journal_open(&options, &recovery, NULL, NULL, &error);
    assert_non_null(journal);
    append_messages(journal, 1, 200, 1000);
    settle(journal, 1, 200);
    assert_true(count_files(directory, ".seg") > 2);
    return journal;
}

/* Segments go only once the checkpoint that passed them is written, and synced. */
static void nothing_is_removed_before_the_checkpoint_is_on_disk(void **state)
{
    struct rkb_error error;
    struct rkb_journal *journal = open_settled(*state);
    size_t before = count_files(*state, ".seg");
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, false, &error));
    assert_int_equal(count_files(*state, ".seg"), before);
    fail_call(CALL_FDATASYNC, 1, EIO);
    assert_false(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    assert_int_equal(count_files(*state, ".seg"), before);
    fail_call(CALL_FSYNC, 1, EIO);      /* the file is made anew, and its name is to be on disk too */
    assert_false(rkb_journal_checkpoint(journal, UINT64_MAX, false, &error));
    assert_true(call_failed());
    assert_int_equal(count_files(*state, ".seg"), before);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, false, &error));
    assert_int_equal(count_files(*state, ".seg"), 1);
    rkb_journal_close(journal);
}

/*
 * The same in three steps: nothing is promised before the step that waits has succeeded, and segments go with the job
 * after.
 */
static void a_sync_job_promises_when_it_has_run(void **state)
{
    for (int fails = 0; fails < 2; fails++) {
        struct rkb_error error = {0};
        struct rkb_sync job;
        empty_directory(*state);
        struct rkb_journal *journal = open_settled(*state);
        size_t before = count_files(*state, ".seg");
        assert_false(rkb_journal_removable(journal));
        assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, false, &error));
        assert_true(rkb_journal_removable(journal));
        assert_true(rkb_journal_sync_begin(journal, true, &job, &error));
        assert_true(job.count >= before + 2);
        append_messages(journal, 201, 203, 1000);       /* meanwhile */
        fail_call(CALL_FDATASYNC, fails, EIO);      /* the 0th never comes */
        bool ran = rkb_sync_run(&job, &error);
        assert_int_equal(ran, !fails);
        assert_int_equal(rkb_journal_sync_end(journal, &job), ran);
        assert_int_equal(count_files(*state, ".seg"), before);
        assert_int_equal(rkb_journal_synced(journal), fails ? 1 : 201);
        assert_int_equal(rkb_journal_sync_begin(journal, true, &job, &error), !fails);
        if (!fails) {
            assert_true(rkb_sync_run(&job, &error));
            assert_true(rkb_journal_sync_end(journal, &job));
            assert_int_equal(rkb_journal_synced(journal), 204);
            assert_int_equal(count_files(*state, ".seg"), 1);
            assert_false(rkb_journal_removable(journal));
        }
        rkb_journal_close(journal);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(the_last_state_written_is_read),
        in_directory(every_flip_leaves_the_other_slot),
        in_directory(every_torn_write_leaves_the_other_slot),
        in_directory(every_cut_of_the_file),
        in_directory(what_came_before_topics_reads_and_is_read),
        in_directory(as_many_topics_as_fit_come_back),
        in_directory(a_damaged_head_a_foreign_and_a_newer_file_are_told),
        in_directory(a_write_that_fails_goes_to_the_same_slot_again),
        in_directory(as_many_ranges_as_fit_come_back),
        in_directory(the_limit_holds),
        in_directory(it_never_goes_back),
        in_directory(nothing_is_removed_before_the_checkpoint_is_on_disk),
        in_directory(a_sync_job_promises_when_it_has_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
