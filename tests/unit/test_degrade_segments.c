/*
 * The segments of a journal whose disk fails, on it and in memory: which stay, which go, and that no number is found
 * in two of them.
 */
#include "degrade_life.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/segment.h"

#define ALL 1000000             /* nothing is settled */

static void begin(struct life *life)
{
    life_begin(life, faulty_disk(), false);
    fail_only_under(life->directory);
    life_turn(life, 0);
}

/* The segment with this number in a directory, malloc'd. */
static char *segment_in(const char *directory, uint64_t first)
{
    char name[32];
    snprintf(name, sizeof name, "%020llu.seg", (unsigned long long)first);
    return join(directory, name);
}

static bool is_there(const char *directory, uint64_t first)
{
    char *path = segment_in(directory, first);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

/* As after a sync that failed. */
static void give_up(struct life *life)
{
    struct rkb_error error = {0};
    rkb_fail(&error, RKB_SYSTEM, "as told");
    rkb_journal_give_up(life->journal, &error);
}

/* ---- no number twice ---- */

/*
 * A write leaves records that count and says that it failed, and the file cannot be cut either: the next segment, in
 * memory, has the same records.
 */
static void what_was_written_and_not_taken(void **state)
{
    struct life *life = *state;
    begin(life);
    life_turn(life, ALL);
    fail_calls(CALL_CHANGE, EIO);
    life_turn(life, ALL);
    assert_int_equal(life_in_memory(life), 1);
    fail_call(CALL_OPEN, 0, 0);
    life_starts_again(life);
    life_end(life);
}

/* A segment is begun on the disk, nothing can be written to it, and memory takes its number: its file goes at once. */
static void memory_takes_the_number_of_an_empty_one(void **state)
{
    struct life *life = *state;
    begin(life);
    uint64_t first = rkb_journal_next(life->journal);
    give_up(life);
    rkb_journal_mend(life->journal);
    assert_true(is_there(life->directory, first));
    fail_calls(CALL_PWRITE, EIO);
    life_append(life);
    char *memory = life_memory_directory(life);
    assert_true(is_there(memory, first));
    assert_false(is_there(life->directory, first));
    fail_call(CALL_OPEN, 0, 0);
    life_starts_again(life);
    life_end(life);
    free(memory);
}

/* Whatever is in the one on the disk: what is in memory has been taken. */
static void memory_wins(void **state)
{
    struct life *life = *state;
    size_t size;
    begin(life);
    life_turn(life, ALL);
    fail_calls(CALL_CHANGE, EIO);
    uint64_t first = rkb_journal_next(life->journal);
    life_turn(life, ALL);
    char *directory = life_memory_directory(life), *memory = segment_in(directory, first);
    char *disk = segment_in(life->directory, first);
    uint8_t *bytes = read_whole(memory, &size);
    write_whole(disk, bytes, size);
    fail_call(CALL_OPEN, 0, 0);
    life_starts_again(life);
    assert_int_not_equal(access(disk, F_OK), 0);
    life_end(life);
    free(bytes);
    free(disk);
    free(memory);
    free(directory);
}

/* What was reserved for it is of no use to it any more. */
static void what_is_given_up_gives_its_room_back(void **state)
{
    struct life *life = *state;
    struct rkb_journal_figures before, after;
    begin(life);
    life_append(life);
    rkb_journal_figures(life->journal, &before);
    give_up(life);
    rkb_journal_figures(life->journal, &after);
    assert_true(after.bytes + SEGMENT / 2 < before.bytes);
    life_read_on(life, 0);
    life_starts_again(life);
    life_end(life);
}

/* ---- what stays in memory ---- */

/* The newest stays though all of it is settled and nobody reads it: it has the highest number, and is being filled. */
static void the_newest_stays(void **state)
{
    struct life *life = *state;
    begin(life);
    fail_calls(CALL_PWRITE, EIO);
    life_turn(life, 0);
    assert_int_equal(life_in_memory(life), 1);
    rkb_cursor_close(&life->cursor);
    rkb_journal_mend(life->journal);
    assert_int_equal(life_in_memory(life), 1);
    life_turn(life, 0);
    life_recovers(life, 0);
    life_starts_again(life);
    life_end(life);
}

/* One that a producer may still read stays though all of it is settled. */
static void one_that_is_read_stays(void **state)
{
    struct life *life = *state;
    struct rkb_cursor reader = {0};
    struct rkb_record record;
    struct rkb_error error = {0};
    begin(life);
    fail_calls(CALL_PWRITE, EIO);
    life_append(life);
    rkb_cursor_seek(&reader, life->journal, rkb_journal_next(life->journal) - 1);
    assert_int_equal(rkb_cursor_next(&reader, &record, &error), RKB_NEXT_RECORD);
    uint64_t first = reader.segment->first;
    char *directory = life_memory_directory(life);
    for (int i = 0; i < 30; i++)
        life_turn(life, 0);
    assert_true(life_in_memory(life) >= 2);
    assert_true(is_there(directory, first));
    assert_true(is_message(&record, VALUE));
    rkb_cursor_close(&reader);
    life_turn(life, 0);
    assert_false(is_there(directory, first));
    life_recovers(life, 0);
    life_end(life);
    free(directory);
}

/* ---- descriptors ---- */

static size_t open_segments(const struct life *life)
{
    DIR *open = opendir("/proc/self/fd");
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(open)) != NULL;) {
        char link[PATH_MAX], path[PATH_MAX] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%.20s", entry->d_name);
        ssize_t size = readlink(link, path, sizeof path - 1);
        path[size < 0 ? 0 : size] = '\0';
        count += strncmp(path, life->directory, strlen(life->directory)) == 0 && strstr(path, ".seg") != NULL;
    }
    closedir(open);
    return count;
}

/* Of many that were given up only the newest keep their descriptors; memory without a name keeps its own. */
static void many_are_given_up(void **state)
{
    struct life *life = *state;
    char id[33] = "", name[64];
    begin(life);
    rkb_hex(id, rkb_journal_id(life->journal), 16);
    snprintf(name, sizeof name, "rkbridge-%s.segments", id);
    char *foreign = join(life->ring_directory, name);
    life_end(life);
    assert_int_equal(mkdir(foreign, 0755), 0);          /* others may look into it: it is not used */
    begin(life);
    fail_calls(CALL_CHANGE, EIO);
    life_append(life);
    struct rkb_journal_figures figures;
    rkb_journal_figures(life->journal, &figures);
    assert_true(figures.memory > 0);
    fail_call(CALL_OPEN, 0, 0);
    for (int i = 0; i < 100; i++) {
        turn_clock(61 * SECOND);
        rkb_journal_mend(life->journal);
        life_append(life);
        fail_call(CALL_FDATASYNC, 1, EIO);
        life_sync(life);
        assert_true(call_failed());
    }
    assert_in_range(open_segments(life), 32, 66);
    life_read_on(life, ALL);
    assert_int_equal(life->read + 1, rkb_journal_next(life->journal));
    life_end(life);
    free(foreign);
}

/* ---- durable again ---- */

/* Without syncs a record that the disk takes shows that it does, not the making of a segment. */
static void without_syncs_a_record_shows_it(void **state)
{
    struct life *life = *state;
    life_begin(life, faulty_disk(), true);
    fail_only_under(life->directory);
    life_append(life);
    fail_call(CALL_PWRITE, 1, EIO);
    life_append(life);
    assert_true(life_degraded(life));
    fail_call(CALL_OPEN, 0, 0);
    give_up(life);
    turn_clock(61 * SECOND);
    rkb_journal_mend(life->journal);                    /* a segment is begun */
    rkb_journal_mend(life->journal);
    assert_true(life_degraded(life));
    life_append(life);
    rkb_journal_mend(life->journal);
    assert_false(life_degraded(life));
    life_read_on(life, 0);
    life_end(life);
}

#define one(test) cmocka_unit_test_setup_teardown(test, life_set_up, life_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        one(what_was_written_and_not_taken),
        one(memory_takes_the_number_of_an_empty_one),
        one(memory_wins),
        one(what_is_given_up_gives_its_room_back),
        one(the_newest_stays),
        one(one_that_is_read_stays),
        one(many_are_given_up),
        one(without_syncs_a_record_shows_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
