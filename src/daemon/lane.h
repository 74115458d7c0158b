/*
 * lane -- one topic's part of the line: what of it is in flight, how much may be, and where it goes on.
 *
 *                    full, or not now                         caught up
 *     with the line ------------------> behind (own cursor) ------------> with the line
 *
 *     flowing --a record is refused, or likely to be--> landing --nothing is in flight--> alone --past it--> flowing
 *                                                                                          | ^
 *                                                                            not taken now v | its time has come
 *                                                                                        waiting
 *
 * A record is in flight from its sending to its report. The records of a lane are linked in the order of sending,
 * out of one pool of fixed size, so memory does not grow with an outage; each pins its segment. A lane's bound is
 * what isolates topics: it may have as many in flight as the queue has places free, so what stands still leaves room
 * for what moves, and a lane that stands still, or has not shown yet that it moves, has only a few, or just one
 * where little room is left. Shipper thread.
 */
#ifndef RKB_DAEMON_LANE_H
#define RKB_DAEMON_LANE_H

#include "journal/journal.h"
#include "kafka/producer.h"

#define RKB_NOTHING_RETURNED UINT64_MAX
#define RKB_LONG_US 100000

enum rkb_lane_state { RKB_LANE_FLOWING, RKB_LANE_LANDING, RKB_LANE_ALONE, RKB_LANE_WAITING };

/*
 * One cache line. Free places are taken in the order in which they were given back, so that records that are sent one
 * after the other, and land so, lie one behind the other: measured, any other order costs 200 ns a record in a burst.
 */
struct rkb_flight {
    _Alignas(64) struct rkb_flight *before;     /* in its lane */
    struct rkb_flight *after;                   /* in its lane, or among the free places */
    struct rkb_segment *segment;
    uint64_t sequence;
    int64_t time_us;                            /* when we read the message */
    int64_t sent_us;                            /* monotonic */
    uint32_t route, topic, bytes;
    bool alone;                                 /* with the producer for records that go alone */
    bool dead;                                  /* as a dead letter */
};

struct rkb_lane {
    enum rkb_lane_state state;
    bool ready;                 /* its topic may be asked for */
    bool moves;                 /* of its records that went, the last to land was acknowledged */
    uint32_t in_flight;
    size_t bytes_in_flight;
    struct rkb_flight *oldest, *newest;
    int64_t moved_us;           /* monotonic: something landed, or was the first to leave */
    int64_t usual_us;           /* from sending to landing, smoothed, at most RKB_LONG_US; 0: nothing landed yet */
    uint64_t sent_end;          /* one past the highest number that was sent */

    bool behind;                /* the line has passed over a record of this lane */
    uint64_t next;              /* what is below was sent, or is settled; while behind, where its cursor goes on */
    int64_t next_us;            /* while behind: when the record there was read, 0: not known */
    struct rkb_cursor cursor;   /* while behind */
    struct rkb_record held;     /* read from it, not sent yet */
    bool holding;

    uint64_t returned;          /* lowest number that came back unsent; RKB_NOTHING_RETURNED */
    bool skips;                 /* records of routes that rest were passed over: */
    uint64_t skipped;           /* the lowest of them */
    uint64_t alone_end;         /* below this number records go alone */
    rd_kafka_resp_err_t refusal;            /* of the record at `next`, while waiting or for how long already */
    int64_t refused_us;         /* monotonic: since when nothing but refusals came back; 0: no */
    int64_t retry_us, retry_wait_us;
    char why[200];              /* the refusal in words; "" while there is none */
    const char *aside_code;     /* what it holds was refused for good, with this code, and goes as a dead letter */
    char aside_why[200];        /* the reason */
    bool letters;               /* dead letters went to its topic */
    int64_t shut_us;            /* until then its topic takes no dead letters: they go to the file; 0: it may */
    uint32_t largest_taken, smallest_refused;   /* sizes of records; 0: none yet */
    size_t refused_bytes;       /* of the records of one batch that came back as too large; 0: none */
    size_t most_bytes;          /* in flight, so that no batch is over the topic's limit; 0: no bound of its own */
    int64_t most_bytes_us;      /* when that was set */
    int64_t restamp_us;         /* realtime: what was read till then is sent with the time of sending; 0: nothing is */
    int64_t watch_us;           /* how long it may stand still before the producer is made anew; 0: as long as is set */
    uint64_t noted_low;         /* as it was told to ring and journal */
};

struct rkb_lanes {
    struct rkb_lane *lanes;     /* by topic number; of [0], for marks and gaps, only noted_low is used */
    uint32_t topic_limit;       /* no topic has a higher number, now or later */
    uint32_t topic_count;       /* the highest number met so far: lanes beyond it are untouched memory */
    uint32_t used;              /* lanes that ever had a record */
    uint32_t behind;
    uint32_t troubled;          /* not flowing */
    uint32_t in_flight;
    size_t bytes_in_flight;
    uint32_t places;            /* in flight at the most, over all lanes */
    size_t byte_places;
    struct rkb_flight *pool, *free, *last_free;
    uint32_t pool_size;
};

/* `pool` flights for topics 1..topic_limit, some of which may come only later. */
bool rkb_lanes_init(struct rkb_lanes *lanes, uint32_t topic_limit, size_t pool);
void rkb_lanes_free(struct rkb_lanes *lanes);
/* From now on its topic is met, and each with a lower number. */
struct rkb_lane *rkb_lanes_at(struct rkb_lanes *lanes, uint32_t topic);
/* The topic's number of a lane. */
uint32_t rkb_lanes_topic(const struct rkb_lanes *lanes, const struct rkb_lane *lane);

/* A free place, taken by rkb_flight_keep; NULL when there is none. */
struct rkb_flight *rkb_flight_open(struct rkb_lanes *lanes);
/* It is sent: the newest of its lane (flight->topic). Pins its segment. */
void rkb_flight_keep(struct rkb_lanes *lanes, struct rkb_flight *flight, int64_t now_us);
/* The producer is done with it, whatever became of it. */
void rkb_flight_land(struct rkb_lanes *lanes, struct rkb_flight *flight, int64_t now_us);

/* True when one more record of `bytes` may be in flight in this lane. */
bool rkb_lane_has_room(const struct rkb_lanes *lanes, const struct rkb_lane *lane, size_t bytes, int64_t now_us);
/* True when records are in flight and for RKB_LANE_STUCK_US none landed. */
#define RKB_LANE_STUCK_US 500000
bool rkb_lane_stuck(const struct rkb_lane *lane, int64_t now_us);
/*
 * What landing usually takes in the quickest of the lanes in which something left or landed within the last second; 0
 * where none of these has landed anything yet.
 */
int64_t rkb_lanes_usual_us(const struct rkb_lanes *lanes, int64_t now_us);
/* True when a lane has records in flight and is not stuck; when another one has and is not. */
bool rkb_lanes_move(const struct rkb_lanes *lanes, int64_t now_us);
bool rkb_lanes_others_move(const struct rkb_lanes *lanes, const struct rkb_lane *lane, int64_t now_us);

/* From now on the lane goes by a cursor of its own, from `sequence` on; drops what it held. */
void rkb_lane_fall_behind(struct rkb_lanes *lanes, struct rkb_lane *lane, struct rkb_journal *journal,
                          uint64_t sequence, int64_t time_us);
/* It goes with the line again. */
void rkb_lane_catch_up(struct rkb_lanes *lanes, struct rkb_lane *lane);
void rkb_lane_enter(struct rkb_lanes *lanes, struct rkb_lane *lane, enum rkb_lane_state state);
/* All its messages below this number are settled; `line`: where the line stands. */
uint64_t rkb_lane_low(const struct rkb_lane *lane, uint64_t line);
/* When its oldest open record was read; 0: none, or not known here. */
int64_t rkb_lane_oldest_us(const struct rkb_lane *lane);

/* True when a record of this size is likely to be refused for its size: such go alone. */
bool rkb_lane_suspects(const struct rkb_lane *lane, size_t bytes);
/*
 * True when a record read at that time (realtime) is sent with the time of sending: its topic refused the time of one
 * that was not read later; or it refused one, and this was read by a clock that has been set back since.
 */
bool rkb_lane_restamps(const struct rkb_lane *lane, int64_t time_us, int64_t real_us);

#endif
