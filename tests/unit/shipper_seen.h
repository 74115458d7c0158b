/*
 * shipper_seen -- what a shipper under test has come to, by its figures and files: to be waited for, or to be compared.
 */
#ifndef TEST_SHIPPER_SEEN_H
#define TEST_SHIPPER_SEEN_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;

/* For world_wait and world_turn_until. */
bool all_delivered(struct world *world, uint64_t wanted);   /* so many, over both routes */
bool all_taken(struct world *world, uint64_t wanted);       /* the journal's next number */
bool all_settled(struct world *world, uint64_t wanted);     /* the journal's lowest open number */
bool all_in_flight(struct world *world, uint64_t wanted);
bool has_failed(struct world *world, uint64_t wanted);
bool is_full(struct world *world, uint64_t wanted);         /* 1 or 0 */
uint64_t delivered(struct world *world);
/* Of this route: delivered, and set aside. */
uint64_t delivered_of(struct world *world, uint32_t route);
uint64_t dead_of(struct world *world, uint32_t route);
/* What is set aside: at most `room` sequence numbers in their order; returns how many there are. Before world_close. */
size_t dead_letters(struct world *world, uint64_t *sequences, size_t room);
uint64_t errors_of(struct world *world, rd_kafka_resp_err_t error);
/* True once after each time the shipper wrote to the loop. */
bool loop_was_told(struct world *world);

#endif
