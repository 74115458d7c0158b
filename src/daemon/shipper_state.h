/*
 * shipper_state -- what the shipper's files share. Nothing else includes this.
 *
 *     shipper.c       the thread, its turns, what the loop calls
 *     shipper_send.c  from the journal to Kafka: sending, deliveries, refusals, rebuilding the producer
 *     shipper_keep.c  from the ring to the journal, sync, checkpoint
 */
#ifndef RKB_DAEMON_SHIPPER_STATE_H
#define RKB_DAEMON_SHIPPER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/flight.h"
#include "daemon/mailbox.h"
#include "config/settings.h"
#include "daemon/shipper.h"
#include "daemon/syncer.h"

struct rkb_shipper {
    struct rkb_shipper_options options;
    pthread_t thread;
    int wake_fd;

    /* Shared with the loop. */
    atomic_bool sleeping, full, failed, draining, drained, stopping;
    atomic_size_t wanted_room;
    struct rkb_error failure;           /* written before failed is stored */
    struct rkb_mailbox mailbox;

    /* The thread's own. */
    struct rkb_producer *producer;
    struct rkb_syncer *syncer;
    struct rkb_flights flights;
    struct rkb_cursor cursor;
    struct rkb_record held;             /* read but not sent: the producer's queue was full */
    bool holding;
    bool line_held;                     /* a record was refused: nothing goes out until retry_us */
    int64_t retry_us, retry_wait_us;
    uint64_t refused_sequence;          /* of the record that figures->refused speaks of */
    bool troubled;                      /* something was said of Kafka; the next delivery is worth a line too */
    int64_t rebuild_us, rebuild_wait_us;    /* no new producer before; doubled by each that nothing was delivered by */
    int64_t now_us, real_us;            /* of this turn */
    int64_t synced_us, checkpoint_us, figures_us;
    uint64_t checkpoint_low;
    uint64_t lowest_open;               /* a sequence number, and the time of its record, for the figures */
    int64_t lowest_open_us;
    bool changed;                       /* figures to post */
    struct rkb_shipped *figures;        /* counted here, copied to the mailbox */
    size_t figures_size;
};

/* shipper.c */
void rkb_shipper_tell_loop(struct rkb_shipper *shipper);
/* The disk broke a promise, or memory ran out: nothing more is done, the loop is told. */
void rkb_shipper_fail(struct rkb_shipper *shipper, const struct rkb_error *error);
void rkb_shipper_settle(struct rkb_shipper *shipper, uint64_t sequence);

/* shipper_send.c */
bool rkb_shipper_make_producer(struct rkb_shipper *shipper, struct rkb_error *error) RKB_MUST_CHECK;
/* From the lowest open record on, whatever was in flight before. */
void rkb_shipper_from_checkpoint(struct rkb_shipper *shipper);
/* Hands records to the producer while it takes them. True when something was sent or settled. */
bool rkb_shipper_send(struct rkb_shipper *shipper);
/* After a fatal error: a new producer; after a refusal: goes on when its time has come. */
void rkb_shipper_mend(struct rkb_shipper *shipper);

/* shipper_keep.c */
/* From the ring to the journal; returns how many bytes were taken. */
size_t rkb_shipper_take(struct rkb_shipper *shipper);
/* Waits for the disk. */
bool rkb_shipper_sync_now(struct rkb_shipper *shipper);
/* Starts and finishes sync jobs, writes the checkpoint, makes the next segment, as they are due. */
void rkb_shipper_keep(struct rkb_shipper *shipper);
/* The last sync and checkpoint, waiting for the disk. */
void rkb_shipper_keep_last(struct rkb_shipper *shipper);

#endif
