/*
 * Tests of what a start finds again, and from which number it goes on: after a clean stop, without the newest or any
 * checkpoint, after a kill. Damage is test_damage.c's, calls that fail are test_journal_faults.c's.
 */
#include "recovery_support.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void only_what_is_open_is_shown_but_all_marks_of_the_newest(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct seen seen;
    make_dozens(*state, 4);
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    settle(journal, 1, 40);
    settle(journal, 42, 42);
    settle(journal, 44, 48);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    for (int restart = 0; restart < 3; restart++) {
        static const uint64_t expected[] = {37, 41, 43};
        journal = must_open(*state, &recovery, &seen);
        assert_int_equal(recovery.low, 41);
        assert_int_equal(recovery.next_sequence, 49);
        assert_int_equal(recovery.last_epoch, 5);
        assert_int_equal(recovery.last_mark_ms, 77);
        assert_int_equal(seen.count, 3);
        assert_memory_equal(seen.numbers, expected, sizeof expected);
        rkb_journal_close(journal);
    }
}

static void a_checkpoint_beyond_the_tail_sets_the_next_number(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct seen seen;
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    append_dozen(journal, 1);
    settle(journal, 1, 9);
    settle(journal, 11, 11);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    struct sample sample = take_sample(*state, 1);
    write_whole(sample.path, sample.bytes, sample.ends[4]);     /* a power loss took what was not synced */
    journal = must_open(*state, &recovery, &seen);
    assert_int_equal(recovery.next_sequence, 12);
    assert_lost(&recovery, 10, 10);
    append_messages(journal, 12, 15, SIZE);
    settle(journal, 12, 15);
    assert_int_equal(rkb_acks_low(rkb_journal_acks(journal)), 16);
    rkb_journal_close(journal);
    free_sample(&sample);
}

static void without_a_checkpoint_all_is_shown_again(void **state)
{
    for (int missing = 0; missing < 2; missing++) {
        struct rkb_recovery recovery;
        struct rkb_error error;
        struct seen seen;
        empty_directory(*state);
        make_dozens(*state, 4);
        struct rkb_journal *journal = must_open(*state, &recovery, &seen);
        settle(journal, 1, 30);
        assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
        rkb_journal_close(journal);
        char *checkpoint = join(*state, "checkpoint");
        size_t size;
        uint8_t *bytes = read_whole(checkpoint, &size);
        for (size_t i = 4096; i < size; i += 65536)
            bytes[i] ^= 1;
        if (missing)
            assert_int_equal(unlink(checkpoint), 0);
        else
            write_whole(checkpoint, bytes, size);
        free(bytes);
        free(checkpoint);

        journal = must_open(*state, &recovery, &seen);
        assert_int_equal(recovery.damaged, 1);
        assert_non_null(strstr(recovery.damage, "checkpoint"));
        assert_false(recovery.fresh);
        assert_int_equal(recovery.low, 25);     /* the two segments before were removed */
        assert_int_equal(seen.count, 24);
        assert_int_equal(seen.numbers[0], 25);
        assert_int_equal(recovery.next_sequence, 49);
        rkb_journal_close(journal);
        journal = must_open(*state, &recovery, &seen);
        assert_int_equal(recovery.damaged, 0);
        rkb_journal_close(journal);
    }
}

static void a_newer_version_is_refused_in_words_and_left_alone(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct seen seen;
    make_dozens(*state, 4);
    struct sample sample = take_sample(*state, 25);
    struct rkb_segment_head head;
    assert_true(rkb_segment_head_parse(sample.bytes, sample.size, &head, &error));
    head.version = RKB_FORMAT_VERSION + 1;
    rkb_segment_head_write(sample.bytes, &head);
    write_whole(sample.path, sample.bytes, sample.size);
    assert_null(try_open(*state, quick_disk(), &recovery, &seen, &error));
    assert_int_equal(error.code, RKB_VERSION);
    assert_non_null(strstr(error.text, "newer rkbridge"));
    assert_int_equal(seen.count, 0);
    assert_int_equal(count_files(*state, ".seg"), 4);
    free_sample(&sample);
}

/* The process that is killed: appends and checkpoints as fast as it can, and says what was taken. */
static _Noreturn void take_for_ever(const char *directory, uint64_t *taken)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct seen seen;
    struct rkb_journal *journal = try_open(directory, quick_disk(), &recovery, &seen, &error);
    for (uint64_t next = 1; journal != NULL; next += 10) {
        append_messages(journal, next, next + 9, 1000);
        __atomic_store_n(taken, next + 9, __ATOMIC_SEQ_CST);
        settle(journal, next > 100 ? next - 100 : 1, next > 50 ? next - 50 : 1);
        if (!rkb_journal_checkpoint(journal, UINT64_MAX, next % 3 == 0, &error))
            break;
        rkb_journal_prepare(journal);
    }
    _exit(1);
}

static void what_was_taken_outlives_kill_9(void **state)
{
    for (unsigned round = 0; round < 8; round++) {
        uint64_t *taken = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(taken != MAP_FAILED);
        empty_directory(*state);
        pid_t child = fork();
        if (child == 0)
            take_for_ever(*state, taken);
        while (__atomic_load_n(taken, __ATOMIC_SEQ_CST) < 100 + round * 97)
            sched_yield();
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);

        struct rkb_recovery recovery;
        struct rkb_journal *journal = open_journal(*state, LIMIT, SEGMENT, &recovery);
        assert_int_equal(recovery.damaged, 0);
        assert_true(recovery.next_sequence > *taken);
        assert_true(recovery.low <= *taken);
        assert_int_equal(read_messages(journal, recovery.low, 1000), recovery.next_sequence);
        rkb_journal_close(journal);
        munmap(taken, 4096);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(only_what_is_open_is_shown_but_all_marks_of_the_newest),
        in_directory(a_checkpoint_beyond_the_tail_sets_the_next_number),
        in_directory(without_a_checkpoint_all_is_shown_again),
        in_directory(a_newer_version_is_refused_in_words_and_left_alone),
        in_directory(what_was_taken_outlives_kill_9),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
