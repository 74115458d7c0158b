/*
 * shipper_gaps -- gaps from the journal into the ledger; see shipper.h.
 *
 *     the line meets a gap --> ledger --> settled
 *                                | cannot take it (a full disk)
 *                                v
 *                              unkept --the ledger takes it--> settled
 *
 * Promise: a gap is settled when the ledger has it on the disk, not before: the checkpoint does not pass it and its
 * segment stays, so that the next start finds it. What lies behind it goes on meanwhile. While the journal itself is
 * degraded nothing on the disk can be promised, and memory is short: then it is settled all the same.
 */
#include "daemon/shipper_state.h"

#include <stdlib.h>

#define AGAIN_US 5000000

struct rkb_unkept {
    uint64_t sequence;
    size_t bytes;
};

/* A gap that the line meets again, since it went back, is there twice: no harm. */
static bool hold(struct rkb_shipper *shipper, const struct rkb_record *record)
{
    struct rkb_unkept *unkept = realloc(shipper->unkept, (shipper->unkept_count + 1) * sizeof *unkept);
    if (unkept == NULL)
        return false;
    shipper->unkept = unkept;
    unkept[shipper->unkept_count++] =
        (struct rkb_unkept){record->sequence, rkb_record_size(0, 0, record->value.size)};
    return true;
}

/* The ledger has them all: it writes what it could not take with the next that it can. */
static void settle_unkept(struct rkb_shipper *shipper)
{
    const struct rkb_acks *acks = rkb_journal_acks(shipper->options.journal);
    for (size_t i = 0; i < shipper->unkept_count; i++) {
        if (rkb_acks_has(acks, shipper->unkept[i].sequence))
            continue;
        rkb_shipper_settle(shipper, shipper->unkept[i].sequence);
        shipper->figures->settled_bytes += shipper->unkept[i].bytes;
        shipper->changed = true;
    }
    shipper->unkept_count = 0;
}

bool rkb_shipper_keep_gap(struct rkb_shipper *shipper, const struct rkb_record *record)
{
    struct rkb_gap gap;
    struct rkb_error error;
    bool read = rkb_gap_parse(record->value, &gap, &error);
    if (read && (shipper->options.ledger == NULL || rkb_ledger_append(shipper->options.ledger, &gap, &error))) {
        settle_unkept(shipper);
        return true;
    }
    bool kept = read && !rkb_journal_degraded(shipper->options.journal, NULL) && hold(shipper, record);
    rkb_log(shipper->options.log, RKB_LOG_ERROR, "journal", "ledger_failed", "a gap is not in the ledger%s: %s",
            kept ? " yet; its record stays in the journal until it is" : "", error.text);
    return !kept;
}

void rkb_shipper_mend_ledger(struct rkb_shipper *shipper, bool now)
{
    struct rkb_error error;
    if (shipper->options.ledger == NULL || (!now && shipper->now_us - shipper->ledger_us < AGAIN_US))
        return;
    shipper->ledger_us = shipper->now_us;
    bool mended = rkb_ledger_mend(shipper->options.ledger, &error);
    if (!mended)
        rkb_shipper_say_trouble(shipper, &error);
    if (mended || rkb_journal_degraded(shipper->options.journal, NULL))
        settle_unkept(shipper);
}

uint64_t rkb_shipper_gaps_low(const struct rkb_shipper *shipper, uint64_t line)
{
    for (size_t i = 0; i < shipper->unkept_count; i++)
        if (shipper->unkept[i].sequence < line)
            line = shipper->unkept[i].sequence;
    return line;
}
