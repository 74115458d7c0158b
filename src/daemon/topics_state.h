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

/* What the config, or the route that named it, says of a topic. */
struct rkb_topic_wish {
    char route[72];                             /* the first that writes to it */
    bool letters;                               /* it is for dead letters */
    bool gaps;                                  /* it is for nothing but the gaps of the route's source */
    bool keyless;                               /* a route that writes to it gives no key */
    uint64_t longest;                           /* payload that its sources let through */
    int partitions, replication;                /* -1: the brokers' default */
    struct rkb_properties settings;
};

struct rkb_topic {
    struct rkb_topic *_Atomic next;             /* of the list, in the order of coming */
    struct rkb_topic_wish *fresh;               /* under the mutex: for the thread, in the place of `wish` */
    atomic_bool ready, missing;
    atomic_bool absent;                         /* missing, and as far as is known nobody makes it */
    atomic_bool gone;                           /* the config does not name it any more */
    _Atomic uint64_t limit;                     /* what it takes, 0: not known */
    bool named;                                 /* by a message, not by the config */
    /* written by the thread, under the mutex */
    struct rkb_topic_wish *wish;
    /* the thread's own */
    bool looked, there, described, told_missing, told_hidden;
    enum rkb_code told_refusal;
    char name[];
};

/* By the hash of the name; a larger one takes the place of one that is half full. */
struct rkb_topic_index {
    struct rkb_topic_index *before;             /* which somebody may still look at: freed with the topics */
    size_t size;                                /* a power of two */
    struct rkb_topic *_Atomic places[];
};

struct rkb_topics {
    struct rkb_topics_options options;
    struct rkb_topic *_Atomic first;
    struct rkb_topic *last;                     /* under the mutex, as is whatever adds one */
    struct rkb_topic_index *_Atomic index;
    size_t count, named;                        /* under the mutex */
    /* of one look */
    struct rkb_topic **wanted;
    const char **names;
    struct rkb_topic_seen *seen;
    size_t wanted_count, wanted_room;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t asked;
    bool grown;                                 /* under the mutex: since the last look there is more to look for */
    atomic_bool quit;
    void (*changed)(void *context);
    void *context;
};

/* topics.c: a topic's wish is the fresh one from now on; under the mutex. */
void rkb_topic_take_wish(struct rkb_topic *topic);
static inline struct rkb_topic *rkb_topic_next(const struct rkb_topic *topic)
{
    return atomic_load_explicit(&topic->next, memory_order_acquire);
}

/* topics_look.c: the thread's work, until it is to end. */
void *rkb_topics_work(void *topics);

#endif
