/*
 * journal_support -- what the journal's tests share: a private directory, files in memory, records to append.
 */
#ifndef RKB_TEST_JOURNAL_SUPPORT_H
#define RKB_TEST_JOURNAL_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/sys.h"
#include "journal/journal.h"

/*
 * A new directory under $TMPDIR, else /dev/shm, else /tmp; its name is malloc'd. remove_directory deletes it with the
 * files in it.
 */
char *make_directory(void);
void remove_directory(char *directory);
/* A row of the table of tests: its *state is the name of a directory of its own. */
int directory_set_up(void **state);
int directory_tear_down(void **state);
#define in_directory(test) cmocka_unit_test_setup_teardown(test, directory_set_up, directory_tear_down)

char *join(const char *directory, const char *name);

/* A whole file in memory, malloc'd; writing one. */
uint8_t *read_whole(const char *path, size_t *size);
void write_whole(const char *path, const uint8_t *bytes, size_t size);
/* Turns over one bit in the middle of it. */
void damage_middle(const char *directory, const char *name);
/* Copies all plain files of a directory into another, emptied before. */
void copy_directory(const char *from, const char *to);
void empty_directory(const char *directory);
/* How many names in the directory end so. */
size_t count_files(const char *directory, const char *ending);

/*
 * Records as they come from a ring, sealed with BATCH_SALT. Payloads are made from the sequence number, so that a wrong
 * one shows.
 */
#define BATCH_SALT UINT64_C(0x1122334455667788)
struct batch {
    struct rkb_buffer bytes;
    struct rkb_dictionary *dictionary;
};
void batch_free(struct batch *batch);
void batch_clear(struct batch *batch);
/* A message whose value has `size` bytes, of topic 1 where none is given. */
void batch_message(struct batch *batch, uint64_t sequence, size_t size);
void batch_message_of(struct batch *batch, uint64_t sequence, size_t size, uint32_t topic);
void batch_mark(struct batch *batch, uint64_t sequence, uint64_t epoch, int64_t time_us);
void batch_gap(struct batch *batch, uint64_t sequence);
void batch_name(struct batch *batch, enum rkb_name class, const char *name);
/* Is this record just what batch_message made for its number? */
bool is_message(const struct rkb_record *record, size_t size);

#define MIB (1024 * 1024)
struct rkb_journal_options options_for(const char *directory, uint64_t max_size, uint64_t segment_size,
                                       const struct rkb_sys *sys);
/* Opens, and fails the test with the error's words when that fails. */
struct rkb_journal *open_journal(const char *directory, uint64_t max_size, uint64_t segment_size,
                                 struct rkb_recovery *recovery);
/* Appends the whole batch, and fails the test when that fails. */
void append_batch(struct rkb_journal *journal, struct batch *batch);
/* Messages first..last of `size` bytes, in one batch each. */
void append_messages(struct rkb_journal *journal, uint64_t first, uint64_t last, size_t size);
/* Reads from `first` to the end by a cursor, each message checked; returns the number after the last. */
uint64_t read_messages(struct rkb_journal *journal, uint64_t first, size_t size);
void settle(struct rkb_journal *journal, uint64_t first, uint64_t last);

#endif
