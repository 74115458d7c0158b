/*
 * shipper_world -- a ring, a journal and a shipper in private directories, and an embedded Kafka: what the shipper's
 * tests share.
 *
 * Messages are made from their sequence numbers, so that a wrong one shows. Numbers divisible by 3 go by route 2 to
 * topic "b", the others by route 1 to topic "a"; a third topic is for dead letters, where a test wants them there. A
 * test that waits longer than 30 s has failed; nothing is measured by time.
 */
#ifndef TEST_SHIPPER_WORLD_H
#define TEST_SHIPPER_WORLD_H

#include <limits.h>

#include "journal_support.h"

#include "daemon/shipper_state.h"
#include "kafka_reader.h"
#include "shipper_seen.h"

#define PRODUCE 0                   /* Kafka's number of the request */
#define MOST_RECORDS 20000
#define LOOSE_PROPERTIES 6

struct world {
    char *directory, *ring_directory;
    struct rkb_sys disk;            /* the journal's and the dead letters': a test swaps rows before world_open */
    struct rkb_journal *journal;
    struct rkb_ring *ring;
    struct rkb_ledger *ledger;
    struct rkb_dead *dead;
    struct rkb_recovery recovery;
    struct rkb_mock *mock;          /* one for all tests of a program: to end one takes a second */
    char topics[3][24];             /* the third is for dead letters, and asked for only with `letters` */
    bool letters;                   /* the routes' dead letters go to the third topic; else to the file */
    struct rkb_shipper_route routes[3];
    uint32_t more_topics;           /* so many may be named later */
    bool shared;                    /* both routes go to topic "a" */
    struct rkb_pauses *pauses;      /* a test's own; NULL: nothing rests */
    struct rkb_topics *known;       /* NULL: each is ready */
    struct rkb_shipper *shipper;
    int loop_fd;
    uint64_t next;                  /* the sequence number of the next record put */
    uint64_t max_size;
    size_t ring_size;
    int64_t sync_us, refuse_after_us, watchdog_us;
    bool degrade;                   /* on_disk_error; else exit */
    uint64_t restamped;             /* from this message on Kafka may have another time than the record's; 0: none */
    bool by_hand;                   /* world_by_hand was called */
    int64_t hand_us;                /* then: the shipper's clock, which stands still */
    uint64_t dead_limit;
    struct rkb_property properties[LOOSE_PROPERTIES];   /* beside our own; up to the first without a name */
    struct rkb_property all_properties[4 + LOOSE_PROPERTIES];
    struct rkb_properties given;
};

/* Around all tests. */
int kafka_set_up(void **state);
int kafka_set_up_three(void **state);       /* with three brokers, for tests in which leaders move */
int kafka_tear_down(void **state);
/* Around each: sets up and tears down; the test changes what it wants otherwise and then opens. */
int world_set_up(void **state);
int world_tear_down(void **state);

/* Opens the store and the ring; the first time two routes and two topics are named. */
void world_open(struct world *world);
void world_start(struct world *world);
/* Both, and the first `count` messages are delivered and settled. */
void world_begin(struct world *world, uint64_t count);
/* Stops the shipper, which has to succeed, and frees it. */
void world_stop(struct world *world);
/* That, and closes all but Kafka. */
void world_close(struct world *world);
/*
 * Frees a shipper that was stopped and closes ring, journal and ledger: what a kill would leave, where nothing was
 * stopped.
 */
void world_drop(struct world *world);

/*
 * Takes the shipper's thread away: from now on it moves by world_turn alone, by a clock that the test sets, and a test
 * may look into it and call its parts. Nothing is posted any more: its figures are those in world->shipper. The
 * tear-down ends it.
 */
void world_by_hand(struct world *world);
/* One turn of it; and turns until `done`. */
void world_turn(struct world *world);
void world_turn_until(struct world *world, bool (*done)(struct world *world, uint64_t wanted), uint64_t wanted,
                      const char *what);

/* Into the ring. False when it has no room. */
bool world_try(struct world *world);
/* Any other record, with its number and time; nobody is woken. */
void world_put_record(struct world *world, struct rkb_record record);
/* `count` messages, each waiting for room; the shipper is woken. */
void world_put(struct world *world, size_t count);
/* One for the first topic, with a value of at most 40,000 bytes; nobody is woken. */
void world_put_of_size(struct world *world, size_t size);
void world_put_mark(struct world *world);
void world_put_gap(struct world *world, const char *reason);

/* What this descriptor was opened as; "" where that is not known. */
void world_path_of(int fd, char path[PATH_MAX]);
/* True when that is the last part of it. */
bool world_is_file(int fd, const char *name);

/* Turns the shipper's clock forward. */
void world_hurry(int64_t microseconds);
/* The producer gets a fatal error, in the shipper's thread, before its next turn. */
void world_fatal_error(struct world *world);
/* Waits until `done`; fails the test, naming `what`, if that takes too long. */
void world_wait(struct world *world, bool (*done)(struct world *world, uint64_t wanted), uint64_t wanted,
                const char *what);
#define SECOND INT64_C(1000000)

/* What stands in Kafka, both topics read from their start. */
struct arrived {
    uint64_t restamped;
    uint32_t route;                 /* the one whose topic is being read; 0: both are in it */
    uint64_t highest[3];            /* number, by route */
    size_t total, stamped_anew;
    uint8_t times[MOST_RECORDS];
};
/* Each record with the bytes it should have, first occurrences in order. */
void world_read_back(struct world *world, struct arrived *arrived);
/* What stands in the topic for dead letters; returns how many. */
size_t world_read_letters(struct world *world, void (*visit)(void *context, const rd_kafka_message_t *message),
                          void *context);
/* Messages first..last once each, or (`again`) at least once; `total` of them if not 0. */
void expect_arrived(struct world *world, uint64_t first, uint64_t last, bool again);

/* Where a start would go on that finds the journal's files as they stand now. */
uint64_t checkpoint_on_disk(struct world *world);

#endif
