/*
 * canary -- what is known of the messages of our own that go the whole way: what to send next, what came back, how long
 * that took, and how long ago each leg of the way was last shown to be walked. No clock, no connection: whoever has
 * these calls (watch_canary.c).
 *
 *     sent --Redis gives it back--> received --into the ring--> taken --Kafka acknowledges its record--> acknowledged
 *       |                              |                          |
 *       +- never came                  +- dropped                 +- a dead letter: none of these is a success
 *
 * A leg is proven by a canary that walked it, and by how old that one is: counted from its sending, so that what takes
 * long is as late as what does not come. Nothing is asked of a leg before `since_us`: the start, a new subscription, or
 * the end of what kept canaries from coming.
 *
 * Promise: a canary of another process, or of a life before, is none of ours; memory is fixed, however many are on
 * their way (of the newest RKB_CANARIES it is known when they were sent). Times are monotonic, in microseconds. Loop
 * thread.
 */
#ifndef RKB_DAEMON_CANARY_H
#define RKB_DAEMON_CANARY_H

#include "base/bytes.h"
#include "base/histogram.h"
#include "base/sys.h"

#define RKB_CANARIES 64
#define RKB_CANARY_PAYLOAD 320
#define RKB_CANARY_TOKEN 16

enum rkb_canary_leg { RKB_CANARY_REDIS, RKB_CANARY_KAFKA, RKB_CANARY_LEGS };

/* One that was sent. */
struct rkb_canary_flight {
    uint64_t number;                    /* 0: free */
    uint64_t place;                     /* among those that were taken; 0: it was not */
    uint64_t record;                    /* its record's number, where it was taken */
    int64_t sent_us, sent_real_us;
};

struct rkb_canary {
    char token[RKB_CANARY_TOKEN + 1];   /* of this process */
    uint64_t sent, received, taken, acknowledged;       /* since the start */
    uint64_t last;                      /* the highest number that was received */
    uint64_t passed;                    /* `place` of the highest that is known to be settled */
    uint64_t dead, dead_seen;           /* dead letters among those that are not known to be settled; and of all */
    struct rkb_canary_flight flights[RKB_CANARIES];     /* by number */
    struct {
        bool proven, ever;              /* by a canary since `begin`; at any time */
        int64_t since_us;               /* when the newest that walked it was sent, or from when on one is asked for */
    } legs[RKB_CANARY_LEGS];
    int64_t success_us;                 /* realtime: the newest that was acknowledged was sent then; 0: none was */
    struct rkb_histogram round_trip;    /* from sending to the acknowledgement */
};

void rkb_canary_init(struct rkb_canary *canary, const struct rkb_sys *sys);
/* From now on both legs have to be proven anew: a subscription stands, after the start or again. */
void rkb_canary_begin(struct rkb_canary *canary, int64_t now_us);
/* Until now there was a reason for none to come: a leg that was ever proven counts as proven, up to now. */
void rkb_canary_excuse(struct rkb_canary *canary, enum rkb_canary_leg leg, int64_t now_us);
/* Canaries begin where all else runs already: they get their time to come, and nothing is doubted before. */
void rkb_canary_trust(struct rkb_canary *canary, int64_t now_us);

/* The next one's payload, lent until `out` goes: a JSON object. Names are a config's. */
struct rkb_slice rkb_canary_next(const struct rkb_canary *canary, const char *instance, const char *source,
                                 int64_t real_us, char out[RKB_CANARY_PAYLOAD]);
/* It is on its way. */
void rkb_canary_sent(struct rkb_canary *canary, int64_t now_us, int64_t real_us);
/* It is not: Redis refused the one that was sent last. */
void rkb_canary_unsent(struct rkb_canary *canary);
/* A message of its channel was received; record: the number of its record, 0: it was not taken. False: not ours. */
bool rkb_canary_came(struct rkb_canary *canary, struct rkb_slice payload, uint64_t record);
/*
 * What the shipper says of its route: the highest record that Kafka acknowledged, when that was, and how many dead
 * letters there were. Records of a route go in order.
 */
void rkb_canary_shipped(struct rkb_canary *canary, uint64_t newest, int64_t newest_us, uint64_t dead_letters);
/* How long ago the newest that walked the leg was sent, or since when one is asked for: what is to be short. */
int64_t rkb_canary_age_us(const struct rkb_canary *canary, enum rkb_canary_leg leg, int64_t now_us);

#endif
