/*
 * topics_state -- what the topics' files share. Nothing else includes this.
 *
 *     topics.c        the list of topics, and what others ask of it
 *     topics_look.c   the thread: looks, makes, tells
 */
#ifndef RKB_DAEMON_TOPICS_STATE_H
#define RKB_DAEMON_TOPICS_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/topics.h"
#include "kafka/admin.h"

struct rkb_topic {
    struct rkb_new_topic wanted;
    const struct rkb_config_route *route;       /* the first that writes to it */
    bool letters;                               /* it is for dead letters */
    bool gaps;                                  /* it is for nothing but the gaps of the route's source */
    bool keyless;                               /* a route that writes to it gives no key */
    uint64_t longest;                           /* payload that its sources let through */
    atomic_bool ready, missing;
    atomic_bool absent;                         /* missing, and as far as is known nobody makes it */
    _Atomic uint64_t limit;                     /* what it takes, 0: not known */
    /* the thread's own */
    bool looked, there, described, told_missing, told_hidden;
    enum rkb_code told_refusal;
};

struct rkb_topics {
    struct rkb_topics_options options;
    struct rkb_topic *list;
    size_t room;
    atomic_size_t count;
    _Atomic uint32_t *index;                    /* by the hash of the name: place in the list + 1; 0: none */
    size_t index_size;                          /* a power of two, at least twice the room */
    /* of one look */
    struct rkb_topic **wanted;
    const char **names;
    struct rkb_topic_seen *seen;
    size_t wanted_count;
    pthread_t thread;
    bool started, grows;
    pthread_mutex_t mutex;
    pthread_cond_t asked;
    bool grown;                                 /* under the mutex: since the last look the list has */
    atomic_bool quit;
    void (*changed)(void *context);
    void *context;
};

/* topics_look.c: the thread's work, until all are there or it is to end. */
void *rkb_topics_work(void *topics);

#endif
