/*
 * topics -- a thread that looks, at start, whether Kafka has the routes' topics, and makes those that are missing where
 * the config says so; it looks for each that a reload or a message names too, when it is first named.
 *
 * The producer must not ask for a topic before it is ready: with kafka.create_topics that is when it is there, or when
 * it turned out that we cannot make it; without, from the beginning. In the embedded Kafka all are ready.
 */
#ifndef RKB_DAEMON_TOPICS_H
#define RKB_DAEMON_TOPICS_H

#include "base/log.h"
#include "config/config.h"

struct rkb_topics;

struct rkb_topics_options {
    const struct rkb_config *config;
    const struct rkb_properties *properties;    /* of the producer; the values of NAME_file are read anew each time */
    bool embedded;                              /* the Kafka is our own: there is nothing to look for */
    struct rkb_log *log;
    size_t named;                               /* how many topics messages may name, at the most */
    int answer_ms, again_ms;                    /* for tests: how long to wait for an answer, and before looking again;
                                                   0: 10 s and 30 s */
};

/*
 * What the options point to is lent until free, but of the config only its sources and kafka. NULL when memory ran
 * out.
 */
struct rkb_topics *rkb_topics_new(const struct rkb_topics_options *options, struct rkb_error *error);
/* Starts the thread. `changed` is called in it whenever a topic became ready. */
bool rkb_topics_start(struct rkb_topics *topics, void (*changed)(void *context), void *context,
                      struct rkb_error *error) RKB_MUST_CHECK;
/*
 * A message of this route, whose topic varies, has named it: looked for, and made, as that route says. One that is
 * known stays as it is. One thread, the shipper's. NULL topics: nothing.
 */
void rkb_topics_add(struct rkb_topics *topics, const char *name, const struct rkb_config_route *route);
/*
 * Loop: the routes are this config's from now on, and messages may name so many topics. What is new, or said
 * otherwise than before, is looked for; what no route names any more is not said to be missing. Nothing is kept of
 * the config. NULL topics: nothing.
 */
void rkb_topics_reload(struct rkb_topics *topics, const struct rkb_config *config, size_t named);
/* May records be sent to it? True for a topic of no route. Any thread; never waits. NULL topics: true. */
bool rkb_topics_ready(const struct rkb_topics *topics, const char *topic);
/* True where it is missing and, as far as is known, nobody makes it. Any thread; never waits. */
bool rkb_topics_absent(const struct rkb_topics *topics, const char *topic);
/* The topic's max.message.bytes; 0: not known. Any thread; never waits. */
uint64_t rkb_topics_limit(const struct rkb_topics *topics, const char *topic);
/* How many are missing as last seen, and their names in words ("a, b and 3 more"). Any thread; never waits. */
size_t rkb_topics_missing(const struct rkb_topics *topics, char *names, size_t size);
/* Asks the thread to end: `changed` may still be called until free. Never waits. */
void rkb_topics_quit(struct rkb_topics *topics);
/* Ends the thread, within a second where quit was not called before, and frees. NULL is allowed. */
void rkb_topics_free(struct rkb_topics *topics);

#endif
