/*
 * flight -- the records that the producer holds, in the order in which they were sent.
 *
 *     open --> [ first ... next ) --> land (in any order) --> first moves over those that landed
 *
 * Fixed size, so memory does not grow with an outage. Each flight pins its segment until it lands. Shipper thread.
 */
#ifndef RKB_DAEMON_FLIGHT_H
#define RKB_DAEMON_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rkb_segment;

struct rkb_flight {
    uint64_t sequence;
    int64_t time_us;                /* when we read the message */
    struct rkb_segment *segment;
    uint32_t route, topic, bytes;
    bool landed;
};

struct rkb_flights {
    struct rkb_flight *ring;
    size_t size;                    /* a power of two */
    uint64_t first, next;
    uint32_t count;                 /* open and not landed */
};

bool rkb_flights_init(struct rkb_flights *flights, size_t size);
void rkb_flights_free(struct rkb_flights *flights);
/* The next free place, taken by rkb_flights_keep; NULL when there is none. */
struct rkb_flight *rkb_flights_open(struct rkb_flights *flights);
void rkb_flights_keep(struct rkb_flights *flights, struct rkb_flight *flight);
/* The producer is done with it. */
void rkb_flights_land(struct rkb_flights *flights, struct rkb_flight *flight);
/* The longest open one; NULL when none is. */
struct rkb_flight *rkb_flights_oldest(const struct rkb_flights *flights);

#endif
