/*
 * relay_world -- a relay with a real ring, journal and store, a shipper without a thread that the test turns by hand,
 * and a view over all: what the relay's tests share.
 *
 * The clock stands unless the test turns it, and chance is a counter, so that two worlds are alike.
 */
#ifndef TEST_RELAY_WORLD_H
#define TEST_RELAY_WORLD_H

#include "journal_support.h"

#include "daemon/relay.h"
#include "daemon/shipper_state.h"
#include "daemon/view.h"

#define MOST_ROUTES 3

/* One message record, taken apart. */
struct taken {
    uint64_t sequence;
    uint32_t route;
    char uuid[40], channel[80], pattern[80], position[48], payload[80];
};

struct world {
    char *directory, *ring_directory;
    struct rkb_config config;
    struct rkb_config_source source;
    struct rkb_config_route routes[MOST_ROUTES];
    char *names[MOST_ROUTES][2][4];             /* of each route: channels, patterns */
    struct event_base *base;
    int log_fd;
    struct rkb_log *log;
    struct rkb_store store;
    struct rkb_relay relay;
    struct rkb_shipper *shipper;
    struct rkb_view *view;
};

/* By how much the clock that all see was set forward; to set it back it is lowered together with now_us. */
extern int64_t stepped_us;
/* The time that all see, and what the next random bytes are made from. */
extern int64_t now_us;
extern uint8_t chance;

struct world *world_new(void);
void world_free(struct world *world);
/* Another route; each list ends with a NULL. Before world_open. */
void world_route(struct world *world, const char *name, const char *const *channels, const char *const *patterns);
void world_open(struct world *world);
/* As a kill leaves it: nothing more is taken, written or synced. */
void world_kill(struct world *world);

/* What the subscriber would tell. */
struct rkb_relay_source *source_of(struct world *world);
void begin_stream(struct world *world);
void confirm(struct world *world, bool is_pattern, const char *name, bool on);
/* All that the config has, and then `subscribed`. */
void confirm_all(struct world *world);
void lose(struct world *world, bool was_stream, int64_t last_read_us);
/* One copy, of a channel (pattern NULL) or a pattern's. */
void copy_of(struct world *world, const char *pattern, const char *channel, const char *payload);
/* One that was over the limit: without its payload. */
void unread_copy(struct world *world, const char *pattern, const char *channel, uint64_t size);
void large_copy(struct world *world, const char *pattern, const char *channel, size_t size);

/* Moves the ring to the journal, as far as it has room. */
void take(struct world *world);
/* Kafka acknowledges all that is in the journal; durably, so that segments go. */
void acknowledge(struct world *world);
/* The books, per route and in total, balance and agree with what lies in ring and journal. */
const struct rkb_snapshot *balance(struct world *world);

/* What is in the journal from that number on, taken first: the messages, at most `room`; returns how many. */
size_t read_taken(struct world *world, uint64_t from, struct taken *out, size_t room);
/* Record number `sequence`, whatever kind it is. */
struct rkb_record read_record(struct world *world, struct rkb_cursor *cursor, uint64_t sequence);

#define SECOND INT64_C(1000000)
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Setup and teardown of a test: a world that is not open yet. */
int world_set_up(void **state);
int world_tear_down(void **state);
/* One route with one pattern, open and subscribed. */
void open_simple(struct world *world);
const struct rkb_gap *gap_at(struct world *world, size_t index);
/* A gap of the one source there is. */
/* From when a message that was lost may be: nothing ever caught up in a world by hand, so from the stream's begin. */
int64_t since(struct world *world);
void expect_gap(struct world *world, size_t index, const char *reason, int64_t from_us, int64_t to_us);
/* The same, with a journal that is full already. */
void open_small(struct world *world);

#endif
