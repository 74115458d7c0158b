/*
 * store_support -- what the tests of an instance's start share: a store in private directories, and the records that
 * the loop would put into its ring.
 */
#ifndef RKB_TEST_STORE_SUPPORT_H
#define RKB_TEST_STORE_SUPPORT_H

#include "journal_support.h"

#include "daemon/store.h"

struct test {
    char *parent, *ring_directory;
    struct rkb_config config;
    struct rkb_store store;
    uint64_t next;                  /* the sequence number of the next record put */
    int log_fd;
    struct rkb_log *log;
};

/* Setup and teardown; nothing is open after the first. */
int set_up(void **state);
int tear_down(void **state);

/* For rkb_store_open: no gap is taken. */
bool append_nothing(void *context, struct rkb_gap *gap);
void open_store(struct test *test);
/* As a kill leaves it: nothing more is written. */
void close_store(struct test *test);
void reopen_store(struct test *test);
/* The whole log so far, the caller's; no more can be logged. */
char *read_log(struct test *test);

/* Into the ring, as the loop does; false: no room. */
bool put(struct test *test, const struct rkb_record *record);
bool put_message_for(struct test *test, uint32_t route, uint32_t topic);
bool put_message(struct test *test, uint32_t route);
/* These fail the test where there is no room. */
void put_messages(struct test *test, uint32_t route, size_t count);
void put_gap(struct test *test, const struct rkb_gap *gap);
void put_name(struct test *test, enum rkb_name class, const char *name);
void put_names(struct test *test);      /* routes first and second, topic, source legacy */

/* From the ring to the journal, as the shipper does. True when all was taken. */
bool take(struct test *test);
/* How many messages of the route the start found. */
uint64_t waiting(const struct test *test, uint32_t route);
size_t ring_bytes(const struct test *test);

#endif
