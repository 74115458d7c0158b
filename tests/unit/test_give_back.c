/*
 * Tests of what sync jobs give back to the kernel: what is shipped and synced, nothing else, once; and that all of it
 * still reads as it was. That the memory goes is the whole tests' (test_memory.py).
 */
#include "disks.h"
#include "journal_support.h"

#define SEGMENT (256 * 1024)
#define VALUE 1000
#define RECORD (64 + VALUE)     /* and a key of 3 bytes, in the padding of 8 */

static struct rkb_journal *open_quick(const char *directory)
{
    struct rkb_journal_options options = options_for(directory, 256 * MIB, SEGMENT, quick_disk());
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct rkb_journal *journal = rkb_journal_open(&options, &recovery, NULL, NULL, &error);
    if (journal == NULL)
        fail_msg("%s", error.text);
    return journal;
}

/* One job; of how many segments it gave something back, and how much. *last: the last of them. */
static size_t give_back(struct rkb_journal *journal, size_t *count, struct rkb_given *last)
{
    struct rkb_sync job;
    struct rkb_error error;
    size_t bytes = 0;
    assert_true(rkb_journal_sync_begin(journal, true, &job, &error));
    *count = job.given_count;
    for (size_t i = 0; i < job.given_count; i++) {
        assert_true(job.given[i].end > job.given[i].from && job.given[i].from % 4096 == 0);
        bytes += job.given[i].end - job.given[i].from;
        *last = job.given[i];
    }
    last->path = NULL;
    assert_true(rkb_sync_run(&job, &error));
    assert_true(rkb_journal_sync_end(journal, &job));
    return bytes;
}

static void what_is_shipped_goes_once_and_reads_back(void **state)
{
    struct rkb_given given = {.end = 0};
    size_t count, gone = 0;
    struct rkb_journal *journal = open_quick(*state);
    for (uint64_t next = 1; next < 200; next += 10) {
        append_messages(journal, next, next + 9, VALUE);
        settle(journal, next, next + 9);
        size_t before = gone;
        gone += give_back(journal, &count, &given);
        assert_true(count <= 1);
        assert_int_equal(given.end, gone);
        /* Up to where the file was at the job before, when all of that was shipped. */
        assert_true(gone + 4096 > (next - 1) * RECORD && gone < (next + 10) * (RECORD + 8));
        assert_true(next == 1 || gone > before);
    }
    assert_true(gone > 150 * RECORD);
    assert_int_equal(read_messages(journal, 1, VALUE), 201);
    give_back(journal, &count, &given);         /* up to the end of the last append */
    assert_int_equal(give_back(journal, &count, &given), 0);
    rkb_journal_close(journal);
}

static void what_waits_or_is_in_flight_stays(void **state)
{
    struct rkb_given given = {.end = 0};
    size_t count;
    struct rkb_journal *journal = open_quick(*state);
    append_messages(journal, 1, 100, VALUE);
    assert_int_equal(give_back(journal, &count, &given), 0);
    settle(journal, 2, 100);                    /* the first is in flight yet: who knows where the others are */
    assert_int_equal(give_back(journal, &count, &given), 0);
    assert_int_equal(give_back(journal, &count, &given), 0);
    settle(journal, 1, 1);
    for (int i = 0; i < 2; i++)
        give_back(journal, &count, &given);
    assert_true(given.end > 99 * RECORD - 4096);
    /* A backlog, in the same segment and over several. */
    append_messages(journal, 101, 150, VALUE);
    for (int i = 0; i < 3; i++)
        give_back(journal, &count, &given);
    assert_true(given.end <= 101 * (RECORD + 8));
    append_messages(journal, 151, 1000, VALUE);
    assert_true(count_files(*state, ".seg") > 2);
    for (int i = 0; i < 3; i++)
        give_back(journal, &count, &given);
    assert_true(given.end <= 101 * (RECORD + 8));
    /* Shipped as a whole, full segments are removed, which gives back as much. */
    settle(journal, 101, 990);
    assert_int_equal(give_back(journal, &count, &given), 0);
    rkb_journal_close(journal);
}

/* Pages of a segment that a producer holds pointers into go as well: who looks again reads them again. */
static void pointers_into_what_went_stay_good(void **state)
{
    struct rkb_given given = {.end = 0};
    struct rkb_cursor cursor;
    struct rkb_record record[50];
    struct rkb_error error;
    size_t count;
    struct rkb_journal *journal = open_quick(*state);
    append_messages(journal, 1, 50, VALUE);
    rkb_cursor_seek(&cursor, journal, 1);
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(rkb_cursor_next(&cursor, &record[i], &error), RKB_NEXT_RECORD);
    rkb_segment_pin(cursor.segment);
    settle(journal, 1, 50);
    for (int i = 0; i < 2; i++)
        give_back(journal, &count, &given);
    assert_true(given.end > 49 * RECORD - 4096);
    for (uint64_t i = 0; i < 50; i++)
        assert_true(is_message(&record[i], VALUE));
    rkb_segment_unpin(cursor.segment);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

/* A topic stands still and keeps its segments: what lies far enough behind the others goes all the same. */
static void full_segments_that_one_record_keeps_go_too(void **state)
{
    struct rkb_given given = {.end = 0};
    struct batch batch = {0};
    size_t count, all = 0, most = 0;
    struct rkb_journal *journal = open_quick(*state);
    for (uint64_t next = 1; next < 60000; next += 100) {
        batch_clear(&batch);
        for (uint64_t i = next; i < next + 100; i++)
            batch_message(&batch, i, 10);
        append_batch(journal, &batch);
    }
    batch_free(&batch);
    settle(journal, 2, 60000);
    for (int i = 0; i < 40; i++) {
        all += give_back(journal, &count, &given);
        most = count > most ? count : most;
    }
    assert_int_equal(most, RKB_SYNC_GIVEN);
    assert_true(all > (60000 - 32768) * 88 - 2 * SEGMENT && all < (60000 - 32768 + 1) * 88);
    assert_int_equal(read_messages(journal, 1, 10), 60001);
    rkb_journal_close(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(what_is_shipped_goes_once_and_reads_back),
        in_directory(what_waits_or_is_in_flight_stays),
        in_directory(pointers_into_what_went_stay_good),
        in_directory(full_segments_that_one_record_keeps_go_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
