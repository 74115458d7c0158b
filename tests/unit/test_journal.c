/* Tests of the journal at work: append, read, limits, pins, names, the lock. Damage is test_damage.c's. */
#include "journal_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal/lock.h"

static void a_fresh_journal_is_empty_and_private(void **state)
{
    char *directory = join(*state, "new");
    struct rkb_recovery recovery;
    struct stat status;
    struct rkb_journal *journal = open_journal(directory, 8 * MIB, MIB, &recovery);
    assert_true(recovery.fresh);
    assert_int_equal(recovery.next_sequence, 1);
    assert_int_equal(recovery.low, 1);
    assert_int_equal(recovery.damaged, 0);
    assert_int_equal(rkb_journal_next(journal), 1);
    assert_int_equal(rkb_journal_synced(journal), 1);
    assert_int_equal(stat(directory, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    char *segment = join(directory, "00000000000000000001.seg");
    assert_int_equal(stat(segment, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_size, MIB);
    free(segment);
    rkb_journal_close(journal);
    empty_directory(directory);
    rmdir(directory);
    free(directory);
}

static void records_come_back_over_many_segments_and_restarts(void **state)
{
    uint64_t next = 1;
    for (int round = 0; round < 4; round++) {
        struct rkb_recovery recovery;
        struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, &recovery);
        assert_int_equal(recovery.damaged, 0);
        assert_int_equal(recovery.torn_bytes, 0);
        assert_int_equal(recovery.next_sequence, next);
        append_messages(journal, next, next + 499, 777);
        next += 500;
        assert_int_equal(rkb_journal_next(journal), next);
        assert_int_equal(read_messages(journal, 1, 777), next);
        assert_int_equal(read_messages(journal, next - 77, 777), next);
        rkb_journal_close(journal);
    }
    assert_true(count_files(*state, ".seg") >= 4 * 500 * 850 / 65536);
}

static void a_large_batch_touches_several_segments(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 64 * MIB, 256 * 1024, NULL);
    struct batch batch = {0};
    for (uint64_t sequence = 1; sequence <= 5000; sequence++)
        batch_message(&batch, sequence, 301);
    append_batch(journal, &batch);
    assert_int_equal(read_messages(journal, 1, 301), 5001);
    batch_free(&batch);
    rkb_journal_close(journal);
}

static void a_record_longer_than_the_staging_goes_in_and_one_over_the_limit_does_not(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 64 * MIB, 4 * MIB, NULL);
    struct batch batch = {0};
    struct rkb_error error = {0};
    size_t taken = 99;
    assert_int_equal(rkb_journal_record_limit(journal), 2 * MIB);
    append_messages(journal, 1, 5, 2 * MIB - 72);
    assert_int_equal(read_messages(journal, 1, 2 * MIB - 72), 6);
    batch_message(&batch, 6, 2 * MIB - 56);
    assert_false(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_int_equal(taken, 0);
    batch_free(&batch);
    rkb_journal_close(journal);
}

static void a_cursor_at_the_end_sees_what_is_appended_later(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    rkb_cursor_seek(&cursor, journal, 1);
    for (uint64_t sequence = 1; sequence <= 300; sequence++) {
        assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_END);
        append_messages(journal, sequence, sequence, 1000);
        assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
        assert_int_equal(record.sequence, sequence);
        assert_true(is_message(&record, 1000));
    }
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_END);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

static void records_it_has_already_are_skipped(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, MIB, NULL);
    struct batch batch = {0};
    append_messages(journal, 1, 10, 50);
    for (uint64_t sequence = 6; sequence <= 15; sequence++)
        batch_message(&batch, sequence, 50);
    append_batch(journal, &batch);
    assert_int_equal(rkb_journal_next(journal), 16);
    assert_int_equal(read_messages(journal, 1, 50), 16);
    batch_free(&batch);
    rkb_journal_close(journal);
}

static void a_number_out_of_turn_is_refused_and_what_came_before_is_kept(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, MIB, NULL);
    struct batch batch = {0};
    struct rkb_error error = {0};
    size_t taken;
    batch_message(&batch, 1, 50);
    batch_message(&batch, 2, 50);
    size_t good = batch.bytes.size;
    batch_message(&batch, 4, 50);
    assert_false(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_int_equal(taken, good);
    assert_int_equal(read_messages(journal, 1, 50), 3);
    batch.bytes.data[good + 12] = 9;
    assert_false(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_int_equal(taken, good);
    batch_free(&batch);
    rkb_journal_close(journal);
}

static void names_are_known_again_even_when_their_segment_is_gone(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    struct batch batch = {0};
    struct rkb_error error;
    batch_name(&batch, RKB_NAME_ROUTE, "users");
    batch_name(&batch, RKB_NAME_TOPIC, "user_activity");
    batch_name(&batch, RKB_NAME_SOURCE, "legacy");
    append_batch(journal, &batch);
    append_messages(journal, 1, 200, 1000);
    settle(journal, 1, 200);
    assert_true(rkb_journal_sync(journal, &error));
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    assert_int_equal(count_files(*state, ".seg"), 1);
    for (int restart = 0; restart < 3; restart++) {
        rkb_journal_close(journal);
        journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
        const struct rkb_dictionary *names = rkb_journal_dictionary(journal);
        assert_string_equal(rkb_dictionary_name(names, RKB_NAME_ROUTE, 1), "users");
        assert_string_equal(rkb_dictionary_name(names, RKB_NAME_TOPIC, 1), "user_activity");
        assert_string_equal(rkb_dictionary_name(names, RKB_NAME_SOURCE, 1), "legacy");
        assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    }
    batch_free(&batch);
    rkb_journal_close(journal);
}

/* How many records of a kind a segment file holds; 0 where there is none. */
static size_t count_kind(const char *directory, uint64_t first, enum rkb_kind kind)
{
    char *path;
    size_t size, count = 0;
    assert_true(asprintf(&path, "%s/%020llu.seg", directory, (unsigned long long)first) > 0);
    uint8_t *bytes = access(path, F_OK) == 0 ? read_whole(path, &size) : NULL;
    if (bytes == NULL)
        size = 0;
    for (size_t at = RKB_SEGMENT_HEADER; at < size && rkb_record_length(bytes + at) != 0;
         at += rkb_record_length(bytes + at))
        count += bytes[at + 12] == kind;
    free(bytes);
    free(path);
    return count;
}

static void a_name_is_in_each_segment_once(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    struct batch batch = {0};
    for (uint64_t sequence = 1; sequence <= 300; sequence++) {
        batch_clear(&batch);
        batch_name(&batch, RKB_NAME_TOPIC, "t1");
        batch_message(&batch, sequence, 1000);
        batch_name(&batch, RKB_NAME_TOPIC, sequence < 100 ? "t1" : "t2");
        append_batch(journal, &batch);
    }
    size_t segments = 0;
    for (uint64_t first = 1; first <= 300; first++) {
        size_t names = count_kind(*state, first, RKB_DICTIONARY);
        assert_true(names <= (first < 35 ? 1 : 2));
        segments += names > 0;
    }
    assert_int_equal(segments, count_files(*state, ".seg"));
    assert_true(segments > 4);
    batch_free(&batch);
    rkb_journal_close(journal);
}

/* A new name that does not fit any more is at the head of the next segment, and only there. */
static void a_name_that_begins_a_segment_is_there_once(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    struct batch batch = {0};
    append_messages(journal, 1, 1, 32704);
    append_messages(journal, 2, 2, 32629);      /* leaves 8 bytes */
    batch_name(&batch, RKB_NAME_TOPIC, "t1");
    batch_message(&batch, 3, 10);
    append_batch(journal, &batch);
    assert_int_equal(count_kind(*state, 1, RKB_MESSAGE), 2);
    assert_int_equal(count_kind(*state, 3, RKB_DICTIONARY), 1);
    batch_free(&batch);
    rkb_journal_close(journal);
}

/* Appends until the journal says it is full; returns the next number. */
static uint64_t fill_up(struct rkb_journal *journal, uint64_t next, size_t size)
{
    struct batch batch = {0};
    struct rkb_error error = {0};
    size_t taken;
    for (;; next++) {
        batch_clear(&batch);
        batch_message(&batch, next, size);
        if (!rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error))
            break;
    }
    assert_int_equal(error.code, RKB_FULL);
    assert_int_equal(taken, 0);
    batch_free(&batch);
    return next;
}

static void at_its_limit_it_is_full_and_goes_on_when_there_is_room(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 512 * 1024, 64 * 1024, NULL);
    struct rkb_journal_figures figures;
    struct rkb_error error;
    uint64_t next = 1;
    for (int round = 0; round < 3; round++) {
        uint64_t full = fill_up(journal, next, 1000);
        assert_true(full > next);
        rkb_journal_figures(journal, &figures);
        assert_true(figures.bytes <= figures.max_size);
        assert_true(figures.bytes > figures.max_size - 2 * 64 * 1024);
        assert_int_equal(figures.head, full);
        uint64_t first = rkb_acks_low(rkb_journal_acks(journal));
        assert_int_equal(read_messages(journal, first, 1000), full);
        settle(journal, first, full - 50);
        assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
        assert_int_equal(read_messages(journal, full - 49, 1000), full);
        next = full;
    }
    rkb_journal_close(journal);
}

static void a_full_journal_opens_again_and_ships_itself_free(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct rkb_journal *journal = open_journal(*state, 512 * 1024, 64 * 1024, NULL);
    uint64_t next = fill_up(journal, 1, 1000);
    rkb_journal_close(journal);
    for (int restart = 0; restart < 3; restart++) {
        journal = open_journal(*state, 512 * 1024, 64 * 1024, &recovery);
        assert_int_equal(recovery.next_sequence, next);
        assert_int_equal(recovery.damaged, 0);
        assert_int_equal(read_messages(journal, 1, 1000), next);
        next = fill_up(journal, next, 1000);
        rkb_journal_close(journal);
    }
    journal = open_journal(*state, 512 * 1024, 64 * 1024, &recovery);
    settle(journal, 1, next - 1);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    append_messages(journal, next, next + 100, 1000);
    assert_int_equal(read_messages(journal, next, 1000), next + 101);
    rkb_journal_close(journal);
}

static void what_is_reserved_for_other_files_is_part_of_the_limit(void **state)
{
    struct rkb_journal *journal = open_journal(*state, MIB, 128 * 1024, NULL);
    struct rkb_journal_figures before, after;
    struct rkb_error error;
    struct batch batch = {0};
    size_t taken;
    rkb_journal_figures(journal, &before);
    rkb_journal_reserve(journal, 512 * 1024);
    rkb_journal_figures(journal, &after);
    assert_int_equal(after.bytes, before.bytes + 512 * 1024);
    for (uint64_t i = 1; i <= 1000; i++)
        batch_message(&batch, i, 1000);
    assert_false(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
    assert_int_equal(error.code, RKB_FULL);
    rkb_journal_figures(journal, &after);
    assert_true(after.bytes <= MIB && after.bytes > MIB - 128 * 1024 - 4096);
    rkb_journal_reserve(journal, 0);
    append_messages(journal, after.head, after.head + 10, 1000);
    batch_free(&batch);
    rkb_journal_close(journal);
}

static void a_lowered_limit_does_not_block_for_ever(void **state)
{
    struct rkb_error error;
    struct rkb_journal *journal = open_journal(*state, 64 * MIB, 4 * MIB, NULL);
    append_messages(journal, 1, 6000, 1000);
    rkb_journal_close(journal);
    journal = open_journal(*state, 512 * 1024, 64 * 1024, NULL);
    assert_int_equal(fill_up(journal, 6001, 1000), 6001);
    settle(journal, 1, 6000);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    /* one segment beyond the limit, so that the large old one can go */
    append_messages(journal, 6001, 6010, 1000);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    append_messages(journal, 6011, 6200, 1000);
    rkb_journal_close(journal);
}

static void a_pinned_segment_stays(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    struct rkb_cursor cursor;
    struct rkb_record record, kept;
    struct rkb_error error;
    append_messages(journal, 1, 200, 1000);
    rkb_cursor_seek(&cursor, journal, 1);
    assert_int_equal(rkb_cursor_next(&cursor, &kept, &error), RKB_NEXT_RECORD);
    struct rkb_segment *segment = cursor.segment;
    rkb_segment_pin(segment);
    rkb_segment_pin(segment);
    rkb_cursor_close(&cursor);
    settle(journal, 1, 200);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    assert_int_equal(count_files(*state, ".seg"), 2);
    rkb_segment_unpin(segment);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    assert_true(is_message(&kept, 1000));
    rkb_segment_unpin(segment);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    assert_int_equal(count_files(*state, ".seg"), 1);
    rkb_cursor_seek(&cursor, journal, 1);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
    assert_true(record.sequence > 1);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

static void a_spare_made_ahead_is_used_and_counted(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    struct rkb_journal_figures figures;
    rkb_journal_prepare(journal);
    rkb_journal_prepare(journal);
    rkb_journal_figures(journal, &figures);
    assert_int_equal(figures.bytes, 2 * 64 * 1024);
    assert_int_equal(figures.segments, 1);
    assert_int_equal(count_files(*state, ".tmp"), 1);
    append_messages(journal, 1, 100, 1000);
    assert_int_equal(count_files(*state, ".tmp"), 0);
    assert_int_equal(count_files(*state, ".seg"), 2);
    rkb_journal_prepare(journal);
    rkb_journal_close(journal);
    journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    assert_int_equal(count_files(*state, ".tmp"), 0);
    assert_int_equal(read_messages(journal, 1, 1000), 101);
    rkb_journal_close(journal);
}

static void a_sealed_segment_is_cut(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    struct stat status;
    append_messages(journal, 1, 100, 3000);
    char *path = join(*state, "00000000000000000001.seg");
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_size < 64 * 1024 && status.st_size > 60 * 1024);
    free(path);
    rkb_journal_close(journal);
}

static void sync_says_how_far(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    struct rkb_error error;
    append_messages(journal, 1, 200, 1000);
    assert_int_equal(rkb_journal_synced(journal), 1);
    assert_true(rkb_journal_sync(journal, &error));
    assert_int_equal(rkb_journal_synced(journal), 201);
    rkb_journal_close(journal);
}

static void times_and_epoch_outlive_their_segments(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct batch batch = {0};
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, 64 * 1024, NULL);
    batch_mark(&batch, 1, 7, 123456789);
    batch_message(&batch, 2, 10);
    append_batch(journal, &batch);
    append_messages(journal, 3, 200, 1000);
    settle(journal, 1, 200);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    char *segment = join(*state, "00000000000000000001.seg");
    assert_int_equal(access(segment, F_OK), -1);
    free(segment);
    journal = open_journal(*state, 8 * MIB, 64 * 1024, &recovery);
    assert_int_equal(recovery.last_epoch, 7);
    assert_int_equal(recovery.last_mark_ms, 123456);
    assert_int_equal(recovery.last_time_us, 1000200);
    batch_free(&batch);
    rkb_journal_close(journal);
}

/* A second process tries to open the journal; its exit code is the error's. */
static int open_in_child(const char *directory, const char *expected)
{
    pid_t child = fork();
    if (child == 0) {
        struct rkb_journal_options options = options_for(directory, 8 * MIB, MIB, &rkb_sys_posix);
        struct rkb_recovery recovery;
        struct rkb_error error = {0};
        struct rkb_journal *journal = rkb_journal_open(&options, &recovery, NULL, NULL, &error);
        _exit(journal != NULL ? 0 : strstr(error.text, expected) != NULL ? (int)error.code : 99);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static void one_process_at_a_time(void **state)
{
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, MIB, NULL);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld)", (long)getpid());
    assert_int_equal(open_in_child(*state, pid), RKB_LOCKED);
    rkb_journal_close(journal);
    assert_int_equal(open_in_child(*state, pid), 0);
}

static int onlooker = -1;

/* Whoever looked at the lock lets go of it as it is read who has it. */
static ssize_t reads_as_the_onlooker_goes(int fd, void *data, size_t size, off_t offset)
{
    if (onlooker >= 0)
        close(onlooker);
    onlooker = -1;
    return rkb_sys_posix.pread(fd, data, size, offset);
}

static void who_only_looks_at_the_lock_keeps_nobody_from_it(void **state)
{
    struct rkb_error error;
    struct rkb_sys sys = rkb_sys_posix;
    char *lock = join(*state, "lock");
    sys.pread = reads_as_the_onlooker_goes;
    rkb_journal_close(open_journal(*state, 8 * MIB, MIB, NULL));
    onlooker = open(lock, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(onlooker, LOCK_SH | LOCK_NB), 0);
    int fd = rkb_lock_take(*state, &sys, &error);
    assert_true(fd >= 0);
    assert_int_equal(onlooker, -1);
    close(fd);
    free(lock);
}

static void the_id_stays_and_its_loss_is_said(void **state)
{
    uint8_t id[16];
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, MIB, NULL);
    memcpy(id, rkb_journal_id(journal), 16);
    rkb_journal_close(journal);
    journal = open_journal(*state, 8 * MIB, MIB, NULL);
    assert_memory_equal(id, rkb_journal_id(journal), 16);
    rkb_journal_close(journal);

    char *lock = join(*state, "lock");
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(open_in_child(*state, "does not hold the id"), RKB_DAMAGED);
    write_whole(lock, (const uint8_t *)"rkbridge journal 12", 19);
    assert_int_equal(open_in_child(*state, "does not hold the id"), RKB_DAMAGED);
    assert_int_equal(count_files(*state, ".seg"), 1);
    free(lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(a_fresh_journal_is_empty_and_private),
        in_directory(records_come_back_over_many_segments_and_restarts),
        in_directory(a_large_batch_touches_several_segments),
        in_directory(a_record_longer_than_the_staging_goes_in_and_one_over_the_limit_does_not),
        in_directory(a_cursor_at_the_end_sees_what_is_appended_later),
        in_directory(records_it_has_already_are_skipped),
        in_directory(a_number_out_of_turn_is_refused_and_what_came_before_is_kept),
        in_directory(names_are_known_again_even_when_their_segment_is_gone),
        in_directory(a_name_is_in_each_segment_once),
        in_directory(a_name_that_begins_a_segment_is_there_once),
        in_directory(at_its_limit_it_is_full_and_goes_on_when_there_is_room),
        in_directory(a_full_journal_opens_again_and_ships_itself_free),
        in_directory(what_is_reserved_for_other_files_is_part_of_the_limit),
        in_directory(a_lowered_limit_does_not_block_for_ever),
        in_directory(a_pinned_segment_stays),
        in_directory(a_spare_made_ahead_is_used_and_counted),
        in_directory(a_sealed_segment_is_cut),
        in_directory(sync_says_how_far),
        in_directory(times_and_epoch_outlive_their_segments),
        in_directory(one_process_at_a_time),
        in_directory(who_only_looks_at_the_lock_keeps_nobody_from_it),
        in_directory(the_id_stays_and_its_loss_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
