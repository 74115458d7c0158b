/*
 * dead_support -- files of dead letters for tests: letters made from their numbers, and what a file holds.
 */
#ifndef RKB_TESTS_DEAD_SUPPORT_H
#define RKB_TESTS_DEAD_SUPPORT_H

#include "disks.h"
#include "journal_support.h"

#include "journal/dead.h"

#define DEAD_ROOM (64 * MIB)

extern const uint8_t dead_journal[16];

/* A message with key and headers, made from its number. */
struct dead_letter {
    struct rkb_record record;
    uint8_t headers[16], value[40];
    char key[32];
};
const struct rkb_record *dead_letter_for(struct dead_letter *letter, uint64_t sequence);

/* Opens directory/dead-letters with all the room, on this disk or on a quick one where it must succeed. */
struct rkb_dead *dead_try_open(const char *directory, const struct rkb_sys *sys, struct rkb_error *error);
struct rkb_dead *dead_must_open(const char *directory);
/* The letter of this number; dead_append_one and dead_sync_now must succeed. */
bool dead_try_append(struct rkb_dead *dead, uint64_t sequence, struct rkb_error *error);
void dead_append_one(struct rkb_dead *dead, uint64_t sequence);
void dead_sync_now(struct rkb_dead *dead);
uint64_t dead_count(const struct rkb_dead *dead);
/* Both are those of the letter of this number. */
void dead_assert_letter(const struct rkb_record *letter, const struct rkb_record *message, uint64_t sequence);
/* The file holds just these letters, right to the last byte. */
void dead_holds(const char *directory, const uint64_t *numbers, size_t count);

/* A file of three letters as bytes in memory, and where its six records end. */
struct dead_file {
    char *path;
    uint8_t *bytes;
    size_t size, ends[6];
};

struct dead_file dead_make_three(const char *directory);
void dead_file_free(struct dead_file *file);

#endif
