/*
 * shipper_state -- what the shipper's files share. Nothing else includes this.
 *
 *     shipper.c          the thread, its turns, what the loop calls
 *     shipper_keep.c     from the ring to the journal, sync, checkpoint
 *     shipper_send.c     from the journal to Kafka: the line, and the cursors of lanes that fell behind
 *     shipper_rest.c     routes and topics that rest because somebody asked for it
 *     shipper_refusal.c  what Kafka does not take: alone, again later, or a dead letter
 *     shipper_dead.c     dead letters: to a topic, or into the file
 *     shipper_mend.c     the producers: making, watching, replacing them
 *     shipper_table.c    what it has for each route and topic, when a reload brings other ones
 */
#ifndef RKB_DAEMON_SHIPPER_STATE_H
#define RKB_DAEMON_SHIPPER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "config/settings.h"
#include "daemon/lane.h"
#include "daemon/mailbox.h"
#include "daemon/shipper.h"
#include "daemon/syncer.h"

/* For the routes and topics of a reload. */
struct rkb_shipper_table {
    uint32_t route_limit, topic_limit;
    struct rkb_shipper_route *routes;
    bool timed;                         /* these count: */
    int64_t refuse_after_us, watchdog_us;
    struct rkb_lane *lanes;             /* NULL: those that are there do */
    struct rkb_shipped *figures;        /* this and lanes are the shipper's once it has taken the table up */
    struct rkb_mailbox mailbox;
};

struct rkb_shipper {
    struct rkb_shipper_options options;
    pthread_t thread;
    int wake_fd;

    /* Shared with the loop. */
    atomic_bool sleeping, full, failed, draining, drained, stopping;
    atomic_size_t wanted_room;
    _Atomic int64_t not_durable_us;     /* since when what is read is not on a disk (realtime); 0: it is */
    struct rkb_error failure;           /* written before failed is stored */
    struct rkb_mailbox mailbox;         /* until a table brings another */
    struct rkb_shipper_table *_Atomic offered;  /* by the loop; NULL: nothing, or it is taken up */
    struct rkb_shipper_table *_Atomic current;  /* the one whose mailbox is written to; NULL: the first, above */

    /* The loop's own. */
    struct rkb_shipper_table *reading, *latest;
    uint32_t offered_topics;            /* the highest number of a topic there is a place for */

    /* The thread's own. */
    struct rkb_shipper_table *table;    /* what it goes by; NULL: what it was started with */
    struct rkb_producer *producer;      /* NULL while none can be made */
    struct rkb_producer *alone;         /* for records that go alone; NULL until one has to */
    struct rkb_broker_times brokers[RKB_BROKERS_TIMED];     /* of the producers before */
    size_t broker_count;
    struct rkb_syncer *syncer;
    struct rkb_lanes lanes;
    struct rkb_cursor cursor;           /* of the line */
    struct rkb_record held;             /* read by it but not sent: it waits for room */
    bool holding;
    bool more;                          /* the last turn sent as much as one may, or a lane is to be looked at again */
    size_t collected;                   /* bytes taken since records were last handed over */
    int64_t collect_until_us;           /* from then on what was collected goes, whatever is in flight */
    struct rkb_pause_list resting;      /* as of this version */
    uint64_t resting_version;
    bool returned;                      /* in some lane records came back */
    bool troubled;                      /* something was said of Kafka; the next delivery is worth a line too */
    bool connected;                     /* as of the last turn */
    bool denied;                        /* Kafka refused the login, and since then nothing was delivered */
    int64_t denied_us;                  /* when it is next looked for other credentials */
    struct rkb_properties made_of;      /* the properties of `producer`, where they were read anew */
    int64_t rebuild_us, rebuild_wait_us;    /* no new producer before; doubled by each that nothing was delivered by */
    int64_t alone_us, alone_wait_us;        /* likewise, of the one for records that go alone */
    int64_t looked_us;                  /* at lanes that stand still */
    int64_t pauses_looked_us;           /* at a file of pauses that could not be read */
    int64_t now_us, real_us;            /* of this turn */
    int64_t synced_us, checkpoint_us, figures_us;
    int64_t process_us;                 /* when it was looked what the process takes */
    int64_t trimmed_us;                 /* when memory was last given back, and the lowest open record then */
    uint64_t trimmed_low;
    int64_t ledger_us, trouble_us;      /* the ledger was last tried; trouble with the disk was last said */
    struct rkb_unkept *unkept;          /* gaps that are not in the ledger yet, see shipper_gaps.c */
    size_t unkept_count;
    int64_t files_us;                   /* it was last looked whether the journal's files are there */
    uint64_t disk_failures;             /* of the journal's disk, as far as they were said */
    uint64_t lowest_open;               /* a sequence number, and the time of its record, for the figures */
    int64_t lowest_open_us;
    bool changed;                       /* figures to post */
    struct rkb_shipped *figures;        /* counted here, copied to the mailbox */
};

/* Since when a record waits: one that is sent again was read long before. */
static inline int64_t rkb_shipper_since(const struct rkb_shipper *shipper, const struct rkb_record *record)
{
    return (record->flags & RKB_FLAG_RETRIED) != 0 ? shipper->real_us : record->time_us;
}

/* shipper.c */
/* One turn, at these times (monotonic, realtime), without the pause after it; returns the bytes taken from the ring. */
size_t rkb_shipper_turn(struct rkb_shipper *shipper, int64_t now_us, int64_t real_us);
void rkb_shipper_tell_loop(struct rkb_shipper *shipper);
/* The disk broke a promise, or memory ran out: nothing more is done, the loop is told. */
void rkb_shipper_fail(struct rkb_shipper *shipper, const struct rkb_error *error);
/* The wait after this one: twice as long, from 250 ms (after 0) to 15 s. */
int64_t rkb_shipper_longer(int64_t wait_us);
void rkb_shipper_settle(struct rkb_shipper *shipper, uint64_t sequence);

/* shipper_table.c */
/* Takes up what is offered, behind what was taken from the ring. True: figures are to be posted, and then: */
bool rkb_shipper_take_up(struct rkb_shipper *shipper);
void rkb_shipper_taken_up(struct rkb_shipper *shipper);
/* Where figures are posted. */
struct rkb_mailbox *rkb_shipper_mailbox(struct rkb_shipper *shipper);
void rkb_shipper_free_tables(struct rkb_shipper *shipper);

/* shipper_send.c */
/* The topic's name of a lane; that of 0 is no topic but the file of dead letters. */
const char *rkb_shipper_topic(const struct rkb_shipper *shipper, const struct rkb_lane *lane);
/* The line goes on from the lowest open record. */
void rkb_shipper_from_checkpoint(struct rkb_shipper *shipper);
/* True while what was taken had better wait for what is in flight. */
bool rkb_shipper_collects(const struct rkb_shipper *shipper);
/* Hands records to the producer while it takes them. */
void rkb_shipper_send(struct rkb_shipper *shipper);
/* Where the line stands: of what is below, nothing but what lanes have behind or in flight is open. */
uint64_t rkb_shipper_line(const struct rkb_shipper *shipper);
/* Lanes that fell behind go with the line again, which goes back for them: for when nothing moves anyway. */
void rkb_shipper_regroup(struct rkb_shipper *shipper);

/* Hands one record to a producer. */
enum rkb_offer { RKB_TAKEN, RKB_LATER, RKB_QUEUE_FULL };
enum rkb_offer rkb_shipper_put(struct rkb_shipper *shipper, struct rkb_producer *producer, struct rkb_lane *lane,
                               const struct rkb_record *record, struct rkb_segment *segment);
/* The next open record of a lane that is behind, into lane->held; false when it has caught up, or cannot be read. */
bool rkb_shipper_lane_next(struct rkb_shipper *shipper, struct rkb_lane *lane);

/* shipper_rest.c */
/* This record is not to go now; a lane, nothing of it. */
bool rkb_shipper_route_rests(const struct rkb_shipper *shipper, const struct rkb_record *record);
bool rkb_shipper_topic_rests(const struct rkb_shipper *shipper, const struct rkb_lane *lane);
/* Remembers that it did not go, since its route rests. */
void rkb_shipper_pass_over(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record);
/* Each turn: what was asked for since the last. */
void rkb_shipper_look_at_pauses(struct rkb_shipper *shipper);
/* When the oldest record that was passed over was read; 0: there is none. */
int64_t rkb_shipper_oldest_resting_us(const struct rkb_shipper *shipper);
/* Nothing that may go now is left in the journal, and something rests. */
bool rkb_shipper_only_resting_left(struct rkb_shipper *shipper);

/* shipper_refusal.c */
/* A record came back with an error from among others, or was not taken: its lane stops, and goes on one at a time. */
void rkb_shipper_refused(struct rkb_shipper *shipper, struct rkb_lane *lane, uint64_t sequence, size_t bytes,
                         rd_kafka_resp_err_t error);
/* The one that went alone came back. */
void rkb_shipper_refused_alone(struct rkb_shipper *shipper, struct rkb_lane *lane, rd_kafka_resp_err_t error);
/* Errors that no waiting mends: they are about the record itself. */
bool rkb_shipper_is_for_good(rd_kafka_resp_err_t error);
/* The lane waits, longer each time, and says why. */
void rkb_shipper_wait(struct rkb_shipper *shipper, struct rkb_lane *lane, const char *why);
/* Says so, where it was said that it does not. */
void rkb_shipper_takes_again(struct rkb_shipper *shipper, struct rkb_lane *lane);
/* Kafka took a record of this lane. */
void rkb_shipper_taken(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_flight *flight);
/* One turn of a lane that is behind and not flowing; true when something was sent or settled. */
bool rkb_shipper_send_alone(struct rkb_shipper *shipper, struct rkb_lane *lane);
/* From now on this lane's records go alone up to this one. */
void rkb_shipper_single_out(struct rkb_shipper *shipper, struct rkb_lane *lane, uint64_t sequence);

/* shipper_dead.c */
/*
 * What Kafka refused for good, into the file as a dead letter, and settled. False when that cannot take it now: then
 * its lane waits.
 */
bool rkb_shipper_dead_letter(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record,
                             const char *code, const char *reason);
/* The same for a record that is a dead letter. */
bool rkb_shipper_file_letter(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record);
/* A dead letter whose topic is none, or takes none now. */
bool rkb_shipper_is_for_file(const struct rkb_shipper *shipper, const struct rkb_record *record);
/*
 * Refused for good, before it was sent (by the producer for records that go alone, or by the line's) or when it went
 * alone. True: it is in the file. Else it goes to its route's topic for dead letters in its lane's next turns, or
 * waits.
 * `code` is a constant.
 */
bool rkb_shipper_set_aside(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record,
                           bool alone, const char *code, const char *reason);
/* One turn of a lane that holds a record that was set aside (aside_code); true when it was sent or settled. */
bool rkb_shipper_send_letter(struct rkb_shipper *shipper, struct rkb_lane *lane);
/* A dead letter that went alone came back: what was set aside, or one that its lane brought. */
void rkb_shipper_letter_refused(struct rkb_shipper *shipper, struct rkb_lane *lane, rd_kafka_resp_err_t error,
                                const char *why);
/* What was set aside was acknowledged. */
void rkb_shipper_letter_taken(struct rkb_shipper *shipper, struct rkb_lane *lane);
/* This topic refused a dead letter: where that is the topic's own matter it takes none for a while. */
void rkb_shipper_shut(struct rkb_shipper *shipper, uint32_t topic, rd_kafka_resp_err_t error);

/* shipper_mend.c */
bool rkb_shipper_make_producer(struct rkb_shipper *shipper, struct rkb_error *error) RKB_MUST_CHECK;
/* The one for records that go alone, made when it is needed; NULL while none can be made, which is said. */
struct rkb_producer *rkb_shipper_alone(struct rkb_shipper *shipper);
/* Serves what the producers have to tell. */
void rkb_shipper_poll(struct rkb_shipper *shipper);
/* After a fatal error, or when nothing lands: a new producer. What came back goes out again. */
void rkb_shipper_mend(struct rkb_shipper *shipper);

/* shipper_gaps.c */
/* Into the ledger. False: it is not there, and not to be settled until it is. */
bool rkb_shipper_keep_gap(struct rkb_shipper *shipper, const struct rkb_record *record);
/* Tries again what the ledger could not take: now and then, or now. */
void rkb_shipper_mend_ledger(struct rkb_shipper *shipper, bool now);
/* `line`, or the lowest gap that is not in the ledger yet. */
uint64_t rkb_shipper_gaps_low(const struct rkb_shipper *shipper, uint64_t line);

/* shipper_keep.c */
/* Something of the disk that is tried again; where the disk is to end the process it does. */
void rkb_shipper_say_trouble(struct rkb_shipper *shipper, const struct rkb_error *error);
/* From the ring to the journal; returns how many bytes were taken. */
size_t rkb_shipper_take(struct rkb_shipper *shipper);
/* Waits for the disk. */
bool rkb_shipper_sync_now(struct rkb_shipper *shipper);
/* When (monotonic) a sync or a checkpoint is due that nobody will wake the thread for; INT64_MAX: none is. */
int64_t rkb_shipper_keep_us(struct rkb_shipper *shipper);
/* Starts and finishes sync jobs, writes the checkpoint, makes the next segment, as they are due. */
void rkb_shipper_keep(struct rkb_shipper *shipper);
/* The last sync and checkpoint, waiting for the disk. */
void rkb_shipper_keep_last(struct rkb_shipper *shipper);

#endif
