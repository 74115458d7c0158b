/*
 * segment -- one segment file: make, begin, write, seal, map, remove.
 *
 *     make (spare, preallocated) --> begin (head, names, rename) --> write ... --> seal (cut) --> remove
 *                                                 adopt (found at start) ----------^
 *
 * Internal to the journal. One thread.
 */
#ifndef RKB_JOURNAL_SEGMENT_H
#define RKB_JOURNAL_SEGMENT_H

#include "base/sys.h"
#include "journal/format.h"

#define RKB_SPARE_NAME "next.tmp"

struct rkb_segment {
    const struct rkb_sys *sys;
    char *path;
    int fd;                 /* -1: closed */
    uint64_t first, last;   /* sequence numbers; last is first - 1 while there is none */
    uint64_t salt;
    size_t length;          /* bytes that count; what a reader may look at */
    size_t synced;          /* of these, how many fdatasync has promised */
    size_t given_back;      /* of these, how many went back to the kernel once (give_back.c) */
    uint64_t seen_next;     /* at some sync job: the journal's next number ... */
    size_t seen_length;     /* ... and the length then */
    uint64_t allocated;     /* bytes on disk */
    const uint8_t *map;
    size_t map_size;
    uint32_t pins;
    bool filling;
    bool given_up;          /* never written or synced again: what is not synced may stand in the page cache alone */
    bool in_memory;         /* on the ring's tmpfs, or (no path then) in anonymous memory: nothing to sync */
    bool nameless;          /* its name belongs to another file by now: there is nothing to remove */
};

/* directory/NNNNNNNNNNNNNNNNNNNN.seg; NULL when memory ran out. */
char *rkb_segment_path(const char *directory, uint64_t first);
/* Reads the number out of a file's name; false when it is no segment's name. */
bool rkb_segment_number(const char *name, uint64_t *first);

/* A spare segment at directory/next.tmp, all its room reserved. A half-made file is removed again. */
struct rkb_segment *rkb_segment_make(const char *directory, size_t size, const struct rkb_sys *sys,
                                     struct rkb_error *error);
/* The same in memory that only this process has. */
struct rkb_segment *rkb_segment_make_anonymous(size_t size, const struct rkb_sys *sys, struct rkb_error *error);
/*
 * Turns a spare into the segment that begins with head->first_sequence: writes head and `names` (finished dictionary
 * records), renames it to its place. On failure it is still a spare. The directory is for the caller to sync.
 */
bool rkb_segment_begin(struct rkb_segment *segment, const char *directory, const struct rkb_segment_head *head,
                       const uint8_t *names, size_t size, struct rkb_error *error) RKB_MUST_CHECK;
/* A segment found on disk, `length` bytes of it good. */
struct rkb_segment *rkb_segment_adopt(const char *directory, uint64_t first, const struct rkb_sys *sys);

/* Appends bytes; on failure length is as before, and the same place is written next time. */
bool rkb_segment_write(struct rkb_segment *segment, const uint8_t *data, size_t size,
                       struct rkb_error *error) RKB_MUST_CHECK;
bool rkb_segment_sync(struct rkb_segment *segment, struct rkb_error *error) RKB_MUST_CHECK;
/* Cuts the file to what counts. */
bool rkb_segment_seal(struct rkb_segment *segment, struct rkb_error *error) RKB_MUST_CHECK;
/* Closes a sealed segment's descriptor once it is synced. */
void rkb_segment_close_synced(struct rkb_segment *segment);

/* The bytes of the segment; NULL and RKB_SYSTEM when it cannot be mapped. Stays until unmap, or until it is freed. */
const uint8_t *rkb_segment_map(struct rkb_segment *segment, struct rkb_error *error);
void rkb_segment_unmap(struct rkb_segment *segment);

/* Deletes the file (one that is gone already counts as deleted). The struct stays: free it then. */
bool rkb_segment_remove(struct rkb_segment *segment, struct rkb_error *error) RKB_MUST_CHECK;
/* Unmaps, closes, frees; the file stays. NULL is allowed. */
void rkb_segment_free(struct rkb_segment *segment);

#endif
