/*
 * dead -- the file of dead letters: messages that failed a check or that Kafka refused for good, each with the reason,
 * where there is no topic for them or it does not take them.
 *
 * A file in the journal's own format, `dead-letters` in the journal's directory: a segment header,
 * then for each dead letter a record of kind RKB_DEAD, whose value is one line of JSON, and the
 * message's record, with the flag RKB_FLAG_DEAD and the headers that its topic would get (those of
 * version 1 had none, and were the record as it stood):
 *
 *     {"sequence":7,"time":"2026-01-02T03:04:05.678Z","route":"..","topic":"..","code":"..","reason":".."}
 *
 * time is that of the refusal; topic where it was meant to go; the rest is in the message's record. The names stand in
 * the JSON, so no dictionary is needed. Appended by the shipper; nobody makes it smaller but the operator, who moves it
 * away while no bridge runs. One thread.
 */
#ifndef RKB_JOURNAL_DEAD_H
#define RKB_JOURNAL_DEAD_H

#include "base/sys.h"
#include "journal/format.h"

struct rkb_dead;

/*
 * Opens directory/dead-letters, which may grow to `limit` bytes; it is made with the first letter. Numbers below `low`
 * never come again and are not remembered. A torn tail is cut. A file that does not read back is set aside whole as
 * dead-letters.damaged (.2, .3, ... where there is one already), a new one will begin, and *error says so with a
 * non-NULL result (code RKB_DAMAGED); it is RKB_OK where all is well. NULL: RKB_SYSTEM, RKB_FULL, RKB_VERSION,
 * RKB_NO_MEMORY.
 */
struct rkb_dead *rkb_dead_open(const char *directory, const uint8_t journal_id[16], uint64_t limit, uint64_t low,
                               const struct rkb_sys *sys, struct rkb_error *error);
void rkb_dead_close(struct rkb_dead *dead);

/*
 * Appends a message with its reason. One whose number is there already is not appended again: true. RKB_FULL: at the
 * limit, or the disk is full; RKB_SYSTEM: it cannot be written. Then nothing of it is there, and it may be tried again.
 * It is safe once synced: settle it no earlier in what is to outlive a power loss.
 */
bool rkb_dead_append(struct rkb_dead *dead, const struct rkb_record *record, const char *route, const char *topic,
                     const char *code, const char *reason, int64_t now_us, struct rkb_error *error) RKB_MUST_CHECK;
/*
 * Forces to the disk what is not there yet. A sync that failed is not repeated: the next call, or the next append,
 * writes all into a new file; so does this call when the file was deleted under us. RKB_DAMAGED where it does not read
 * back for that, in this call and all that follow.
 */
bool rkb_dead_sync(struct rkb_dead *dead, struct rkb_error *error) RKB_MUST_CHECK;

struct rkb_dead_figures {
    uint64_t bytes, limit;
    uint64_t count;
    uint64_t torn_bytes;        /* cut off when it was opened */
};
void rkb_dead_figures(const struct rkb_dead *dead, struct rkb_dead_figures *figures);

/*
 * Steps through the bytes of such a file, from *offset (first: RKB_SEGMENT_HEADER) on: RECORD with the letter (kind
 * RKB_DEAD) and its message; BLANK at the end, or where a torn tail begins; BAD, with *why, where bytes do not count
 * that are no unfinished write. Then *offset stays.
 */
enum rkb_parse rkb_dead_next(const uint8_t *data, size_t size, uint64_t salt, size_t *offset,
                             struct rkb_record *letter, struct rkb_record *message, const char **why) RKB_MUST_CHECK;

#endif
