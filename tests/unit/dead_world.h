/*
 * dead_world -- what the tests of dead letters share beside shipper_world: letters as a check makes them, and those
 * that are found in the topic or in the file. The shipper moves by hand.
 */
#ifndef TEST_DEAD_WORLD_H
#define TEST_DEAD_WORLD_H

#include "shipper_world.h"

#include "message/letter.h"

#define LETTERS 3           /* the topic's number */
#define MOST_FOUND 16

/* A letter, wherever it was found. */
struct found {
    char value[80], key[40], of[RKB_LETTER_HEADERS][100], others[100];
    bool has[RKB_LETTER_HEADERS];
    char code[40], reason[100], topic[40];      /* in the file: what the line of JSON says */
    size_t headers;
    uint8_t flags;
    uint64_t sequence;
};

struct pile {
    struct found letters[MOST_FOUND];
    size_t count;
};

/* The next so many requests to produce get this error. */
void refuse_next(struct world *world, size_t count, rd_kafka_resp_err_t error);

void open_by_hand(struct world *world);
/* The same with a topic for dead letters. */
void begin(struct world *world);
bool low_is(struct world *world, uint64_t wanted);
/* The clock goes on a second each time it is asked. */
bool low_is_at_last(struct world *world, uint64_t wanted);
bool in_flight(struct world *world, uint64_t wanted);
/* Takes what is in the ring, and turns until all of it is settled. */
void settle_all(struct world *world);

const struct rkb_shipped_route *books(struct world *world, uint32_t route);
/* Of both routes. */
void expect_books(struct world *world, uint64_t delivered, uint64_t dead_lettered);

/* One that failed a check of route 1. */
void put_letter(struct world *world, uint32_t topic, const char *value);
/* Valid until the next call. */
const struct pile *in_topic(struct world *world);
const struct pile *in_file(struct world *world);
/* The one that put_letter made. */
void expect_letter(const struct found *found, const char *value);

#endif
