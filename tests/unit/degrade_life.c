/* degrade_life -- see degrade_life.h. */
#include "degrade_life.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int life_set_up(void **state)
{
    struct life *life = calloc(1, sizeof *life);
    life->directory = make_directory();
    life->ring_directory = make_directory();
    *state = life;
    return 0;
}

char *life_memory_directory(const struct life *life)
{
    DIR *open = opendir(life->ring_directory);
    char *found = NULL;
    for (struct dirent *entry; found == NULL && (entry = readdir(open)) != NULL;) {
        size_t size = strlen(entry->d_name);
        if (size > 9 && strcmp(entry->d_name + size - 9, ".segments") == 0)
            found = join(life->ring_directory, entry->d_name);
    }
    closedir(open);
    return found;
}

void life_forget_memory(const struct life *life)
{
    char *directory = life_memory_directory(life);
    if (directory != NULL)
        remove_directory(directory);
}

size_t life_in_memory(const struct life *life)
{
    char *directory = life_memory_directory(life);
    size_t count = directory == NULL ? 0 : count_files(directory, ".seg");
    free(directory);
    return count;
}

int life_tear_down(void **state)
{
    struct life *life = *state;
    life_forget_memory(life);
    remove_directory(life->directory);
    remove_directory(life->ring_directory);
    batch_free(&life->batch);
    free(life);
    return 0;
}

/* No number is found in two places. */
static void show(void *context, const struct rkb_record *record)
{
    struct life *life = context;
    assert_true(record->sequence > life->shown);
    life->shown = record->sequence;
}

void life_begin(struct life *life, const struct rkb_sys *sys, bool no_sync)
{
    struct rkb_error error = {0};
    struct rkb_journal_options options = options_for(life->directory, LIMIT, SEGMENT, sys);
    options.degrade = true;
    options.no_sync = no_sync;
    options.memory_size = MEMORY;
    options.ring_directory = life->ring_directory;
    life->shown = 0;
    life->journal = rkb_journal_open(&options, &life->recovery, show, life, &error);
    if (life->journal == NULL)
        fail_msg("%s", error.text);
    struct rkb_ring_options ring = {.directory = life->ring_directory, .size = 65536,
                                    .journal_id = rkb_journal_id(life->journal), .sys = &rkb_sys_posix};
    life->ring = rkb_ring_open(&ring, &error);
    if (life->ring == NULL)
        fail_msg("%s", error.text);
    life->read = rkb_acks_low(rkb_journal_acks(life->journal)) - 1;
    rkb_cursor_seek(&life->cursor, life->journal, life->read + 1);
}

void life_end(struct life *life)
{
    rkb_cursor_close(&life->cursor);
    rkb_journal_close(life->journal);
    rkb_ring_close(life->ring);
}

void life_read_on(struct life *life, uint64_t behind)
{
    struct rkb_record record;
    struct rkb_error error = {0};
    enum rkb_next next;
    while ((next = rkb_cursor_next(&life->cursor, &record, &error)) == RKB_NEXT_RECORD) {
        assert_int_equal(record.sequence, life->read + 1);
        assert_true(is_message(&record, VALUE));
        life->read++;
    }
    if (next != RKB_NEXT_END)
        fail_msg("%s", error.text);
    assert_int_equal(life->read + 1, rkb_journal_next(life->journal));
    struct rkb_acks *acks = rkb_journal_acks(life->journal);
    if (life->read > behind && life->read - behind >= rkb_acks_low(acks))
        settle(life->journal, rkb_acks_low(acks), life->read - behind);
}

void life_append(struct life *life)
{
    struct rkb_error error = {0};
    size_t taken, at = 0;
    bool all = false;
    uint64_t first = rkb_journal_next(life->journal);
    batch_clear(&life->batch);
    for (uint64_t i = first; i < first + ROUND; i++)
        batch_message(&life->batch, i, VALUE);
    for (int i = 0; i < 4 && !all; i++) {
        all = rkb_journal_append(life->journal, life->batch.bytes.data + at, life->batch.bytes.size - at, BATCH_SALT,
                                 &taken, &error);
        at += taken;
        rkb_ring_note_next(life->ring, rkb_journal_next(life->journal));
        if (!all && error.code == RKB_FULL)
            break;
        if (!all)
            rkb_journal_give_up(life->journal, &error);
    }
    life->dropped += !all;
}

void life_sync(struct life *life)
{
    struct rkb_error error = {0};
    struct rkb_sync job;
    if (rkb_journal_sync_begin(life->journal, true, &job, &error)) {
        bool ran = rkb_sync_run(&job, &error);
        if (!rkb_journal_sync_end(life->journal, &job)) {
            assert_false(ran);
            rkb_journal_give_up(life->journal, &error);
        }
    } else {
        rkb_journal_give_up(life->journal, &error);
    }
    if (!rkb_journal_checkpoint(life->journal, rkb_journal_synced(life->journal), false, &error))
        assert_int_not_equal(error.text[0], '\0');
}

void life_turn(struct life *life, uint64_t behind)
{
    life_append(life);
    life_read_on(life, behind);
    rkb_ring_note_low(life->ring, rkb_acks_low(rkb_journal_acks(life->journal)));
    life_sync(life);
    rkb_journal_mend(life->journal);
    rkb_journal_prepare(life->journal);
    turn_clock(SECOND);
}

bool life_degraded(const struct life *life)
{
    return rkb_journal_degraded(life->journal, NULL);
}

void life_recovers(struct life *life, uint64_t behind)
{
    fail_call(CALL_OPEN, 0, 0);
    for (int i = 0; i < 70 && (life_degraded(life) || i < 3); i++)
        life_turn(life, behind);
    assert_false(life_degraded(life));
    for (int i = 0; i < 3; i++)
        life_turn(life, 0);
    assert_int_equal(life_in_memory(life), 0);
}

void life_starts_again(struct life *life)
{
    uint64_t next = rkb_journal_next(life->journal), low = rkb_acks_low(rkb_journal_acks(life->journal));
    rkb_ring_note_low(life->ring, low);
    life_end(life);
    life_begin(life, faulty_disk(), false);
    if (life->recovery.damaged > 0)
        fail_msg("%s", life->recovery.damage);
    assert_int_equal(life->recovery.lost_last, 0);
    assert_int_equal(life->recovery.next_sequence, next);
    assert_int_equal(rkb_acks_low(rkb_journal_acks(life->journal)), low);
    life_read_on(life, 0);
    assert_int_equal(life->read + 1, next);
}
