/*
 * store -- what an instance keeps and finds again: ring, journal, ledger, dead letters and gaps, opened together.
 *
 *     lock, recover the journal --> open its ring --> take what the ring held --> count what waits
 *
 * All before any thread but main runs; then the journal, the ledger and the dead letters are the shipper's, the ring is
 * shared, the gaps are the loop's.
 */
#ifndef RKB_DAEMON_STORE_H
#define RKB_DAEMON_STORE_H

#include "base/log.h"
#include "config/config.h"
#include "daemon/gaps.h"
#include "journal/dead.h"
#include "journal/journal.h"
#include "journal/ledger.h"
#include "journal/ring.h"
#include "message/position.h"

/* The last mark of a source that was found, and what a gap's bound can be counted from since then. */
struct rkb_store_mark {
    uint32_t source;                    /* its number */
    struct rkb_mark mark;
    bool has_anchor;
    uint8_t anchor[RKB_GAP_ANCHOR];
};

struct rkb_store {
    struct rkb_journal *journal;
    struct rkb_ring *ring;
    struct rkb_ledger *ledger;
    struct rkb_dead *dead;
    struct rkb_gaps *gaps;
    struct rkb_recovery recovery;
    struct rkb_dictionary *dictionary;  /* the loop's copy; the ring's leftover learned too */
    uint64_t next_sequence;
    int64_t not_durable_us;             /* since when the instance before had no disk when it ended; 0: it had one */
    uint64_t *waiting;                  /* messages that wait, by route number */
    uint32_t waiting_count;             /* highest route number in it */
    struct rkb_store_mark *marks;       /* one for each source that has any */
    size_t mark_count;
};

/* NULL: none was found. */
const struct rkb_store_mark *rkb_store_last_mark(const struct rkb_store *store, uint32_t source);

/* append and context: the gaps' writer, see gaps.h. What was found is logged. On failure the caller still closes. */
bool rkb_store_open(struct rkb_store *store, const struct rkb_config *config,
                    bool (*append)(void *context, struct rkb_gap *gap), void *context,
                    struct rkb_log *log, struct rkb_error *error) RKB_MUST_CHECK;
/* `clean`: all was taken to the journal and synced; an empty ring is then removed. */
void rkb_store_close(struct rkb_store *store, bool clean);

#endif
