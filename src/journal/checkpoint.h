/*
 * checkpoint -- the two-slot file that says what is settled.
 *
 * A header of 64 bytes (magic "RKBCHK\r\n", u32 version, u32 size of a slot, 16 bytes journal id, XXH3-64 of these at
 * 56), the slots at 4096 and 4096 + 65536. A slot: u64 XXH3-64 of what follows up to the ranges' end, u64 generation,
 * u64 low, u64 last epoch, u64 last mark's milliseconds, i64 last time in microseconds, u32 number of ranges, u32
 * number of topics; then the ranges, u64 first and u64 count each. Where there are topics: u32 topic, u32 0 and u64 low
 * each, then u64 XXH3-64 of these, XOR the first checksum. A program that knows of no topics reads all before them, and
 * sends more again.
 *
 * Written in turn; the slot that counts is the valid one of the higher generation. Internal to the journal.
 */
#ifndef RKB_JOURNAL_CHECKPOINT_H
#define RKB_JOURNAL_CHECKPOINT_H

#include "base/sys.h"
#include "journal/acks.h"

#define RKB_CHECKPOINT_ENTRIES 4092 /* ranges and topics: as many as a slot holds */
#define RKB_CHECKPOINT_TOPICS 3072  /* of these, topics at most */

/* All records of this topic below `low` are settled; topic 0: all marks and gaps. */
struct rkb_topic_low {
    uint32_t topic;
    uint64_t low;
};

struct rkb_checkpoint_state {
    uint64_t low;
    uint64_t last_epoch, last_mark_ms;
    int64_t last_time_us;
    struct rkb_range *ranges;       /* ascending, above low */
    uint32_t range_count;
    uint32_t topic_count;           /* with the ranges no more than RKB_CHECKPOINT_ENTRIES */
    struct rkb_topic_low *topics;   /* ascending by topic, each low above `low` */
};

struct rkb_checkpoint;

enum rkb_checkpoint_found { RKB_CHECKPOINT_MISSING, RKB_CHECKPOINT_READ, RKB_CHECKPOINT_BAD, RKB_CHECKPOINT_FAILED };

/*
 * Reads directory/checkpoint into *state (whose ranges and topics point to RKB_CHECKPOINT_ENTRIES and
 * RKB_CHECKPOINT_TOPICS). BAD: neither slot
 * counts, or not of this journal; *error says which. FAILED: RKB_SYSTEM or RKB_VERSION. *generation is that of the slot
 * read, or 0.
 */
enum rkb_checkpoint_found rkb_checkpoint_read(const char *directory, const uint8_t id[16], const struct rkb_sys *sys,
                                              struct rkb_checkpoint_state *state, uint64_t *generation,
                                              struct rkb_error *error) RKB_MUST_CHECK;

/* Opens the file for writing after generation; `make`: as a new file that holds *state, durable when this returns. */
struct rkb_checkpoint *rkb_checkpoint_open(const char *directory, const uint8_t id[16], const struct rkb_sys *sys,
                                           uint64_t generation, const struct rkb_checkpoint_state *make,
                                           struct rkb_error *error);
void rkb_checkpoint_close(struct rkb_checkpoint *checkpoint);
/* Its descriptor, to sync what was written. */
int rkb_checkpoint_fd(const struct rkb_checkpoint *checkpoint);

/* Writes *state into the older slot. After a failure the next write goes to the same slot again. */
bool rkb_checkpoint_write(struct rkb_checkpoint *checkpoint, const struct rkb_checkpoint_state *state, bool durable,
                          struct rkb_error *error) RKB_MUST_CHECK;

#endif
