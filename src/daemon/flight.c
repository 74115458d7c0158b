/* flight -- see flight.h. */
#include "daemon/flight.h"

#include <stdlib.h>

bool rkb_flights_init(struct rkb_flights *flights, size_t size)
{
    *flights = (struct rkb_flights){.ring = calloc(size, sizeof *flights->ring), .size = size};
    return flights->ring != NULL;
}

void rkb_flights_free(struct rkb_flights *flights)
{
    free(flights->ring);
    flights->ring = NULL;
}

struct rkb_flight *rkb_flights_open(struct rkb_flights *flights)
{
    if (flights->next - flights->first == flights->size)
        return NULL;
    return &flights->ring[flights->next & (flights->size - 1)];
}

void rkb_flights_keep(struct rkb_flights *flights, struct rkb_flight *flight)
{
    flight->landed = false;
    flights->next++;
    flights->count++;
}

void rkb_flights_land(struct rkb_flights *flights, struct rkb_flight *flight)
{
    flight->landed = true;
    flights->count--;
    while (flights->first < flights->next && flights->ring[flights->first & (flights->size - 1)].landed)
        flights->first++;
}

struct rkb_flight *rkb_flights_oldest(const struct rkb_flights *flights)
{
    return flights->first < flights->next ? &flights->ring[flights->first & (flights->size - 1)] : NULL;
}
