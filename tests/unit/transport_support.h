/*
 * transport_support -- what the tests of transport, TLS and DNS share: a transport on a loop, and a log of its events.
 *
 * Times only decide how long a test takes, never whether it passes.
 */
#ifndef RKB_TESTS_TRANSPORT_SUPPORT_H
#define RKB_TESTS_TRANSPORT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/transport.h"

enum { LINE_PATHS = 16 };

struct line {
    struct event_base *base;
    struct rkb_transport *transport;
    struct rkb_transport_options options;       /* for the next line_open; names: a hosts file of ours */
    struct rkb_redis_url url;
    struct rkb_resolver_files names;
    struct rkb_sys sys;
    struct rkb_guard guard;
    char directory[64];                 /* of this test's own */
    char hosts[96], resolv_conf[96];
    char paths[LINE_PATHS][128];        /* of line_path, in turn */
    unsigned path_count;
    struct rkb_buffer log;              /* "opened", "idle", "caught up", "broken <code> <words>"; each a line */
    struct rkb_buffer bytes;            /* what was read */
    int64_t caught_up_us;
    bool pause_in_bytes, close_in_bytes;        /* at the next bytes */
    void (*in_bytes)(struct line *line, void *argument);        /* at each bytes; NULL: nothing */
    void *argument;
};

/* Setup and teardown of every test here. The hosts file knows redis.test as 127.0.0.1; resolv.conf is empty. */
int line_start(void **state);
int line_end(void **state);
#define LINE_TEST(name) cmocka_unit_test_setup_teardown(name, line_start, line_end)

/* A path in the test's directory; lent until the sixteenth call from now. */
const char *line_path(struct line *line, const char *name);
void line_write(struct line *line, const char *name, const char *text);
/* Opens a transport to this url with the options as they are; the one before is freed. */
void line_open(struct line *line, const char *scheme, const char *host, int port);
/* Turns the loop until the log has the text, or what is read has that size. */
void line_until(struct line *line, const char *text);
void line_until_bytes(struct line *line, size_t size);
/*
 * Turns the loop a few times: what must not happen had its chance. Returns in how many rounds of it something happened.
 */
int line_turn(struct line *line, int turns);
const char *line_log(struct line *line);

#endif
