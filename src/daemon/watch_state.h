/*
 * watch_state -- the inside of a watch, for watch.c (time, answers, output buffer), watch_rival.c
 * (another bridge), watch_role.c (master or replica), watch_published.c (what bounds of gaps are counted
 * from) and watch_canary.c (messages of our own).
 */
#ifndef RKB_DAEMON_WATCH_STATE_H
#define RKB_DAEMON_WATCH_STATE_H

#include "base/same_disk.h"
#include "redis/budget.h"
#include "daemon/canary.h"
#include "daemon/relay.h"
#include "daemon/watch.h"
#include "redis/published.h"
#include "redis/replication.h"
#include "redis/rivals.h"
#include "redis/watcher.h"

enum rkb_standing { LOOKING, FREE, YIELDING, HELD };

struct rkb_watch {
    struct rkb_relay_source *source;
    struct rkb_watcher *watcher;
    struct event *timer;
    int64_t period_us;
    enum rkb_standing standing;
    bool connected, stopping;
    bool refused[RKB_QUESTIONS];        /* on this connection */
    bool said[RKB_QUESTIONS];           /* in the log */
    uint64_t id;                        /* the watcher's */
    uint64_t ticks;                     /* on this connection */
    struct rkb_rivals rivals;
    struct rkb_rival rival;             /* where has_rival, the one found last */
    bool looks, looking, again;         /* another bridge matters; a look is under way; and another is due */
    bool known, has_rival, both_said;   /* known: a look of this connection tells */
    unsigned strange, blind, present;
    int64_t strange_us;                 /* monotonic: since when a rival without a watcher is seen, while strange > 0 */
    unsigned fresh;                     /* periods in which to look, since our connection is new */
    char rival_text[400];
    struct rkb_budget budget;
    int64_t buffer;                     /* in the answer that is coming */
    unsigned lines;                     /* of the answer that is coming */
    int64_t cuts, cuts_coming;          /* Redis's count of clients cut off; -1: it has none */
    int64_t cuts_at_loss;
    unsigned cuts_open;                 /* such answers to come ... */
    unsigned cut_due;                   /* ... and which of them was asked for after the last loss; 0: none */
    bool cut_guessed;                   /* of the last loss ... */
    int64_t guessed_us, lost_us;        /* monotonic: ... which was then; our own connection was lost; 0: never */
    struct rkb_disk_question *disk;
    struct rkb_watch_role {
        struct rkb_replication base;    /* the last answer within a stream */
        struct rkb_replication coming;  /* the answer that is coming, asked for at ... */
        int64_t asked_us;               /* realtime; as the next two: */
        int64_t good_us;                /* until then all that is published came to us; 0: unknown */
        int64_t ended_us;               /* while a stream is being ended for its role: its gap begins here; else 0 */
        struct rkb_replication now;     /* where known: what it is, for people */
        bool asking, again;             /* one is asked for, and another is due */
        bool stale;                     /* what is coming was asked for before this stream */
        bool is_new;                    /* base is of the stream before */
        bool known;
    } role;
    struct rkb_watch_published {
        struct rkb_published_reading coming;    /* the answers that are coming: */
        unsigned open;                  /* so many questions are not answered */
        bool again;                     /* and all of them are to be asked once more */
        uint64_t asks;                  /* how often they were */
        uint64_t asked_received;        /* what the source had received when they were */
        uint64_t asked_self;            /* whom of Redis's clients we are by then; 0: unknown */
        bool found_self;                /* and it has one with that number and our name */
        struct rkb_published sample;    /* the last reading that was good, and what became of it */
        enum { RKB_NOTHING_READ, RKB_READ, RKB_PINGED } state;
        struct rkb_published anchor;    /* all 0: none */
        uint64_t base;                  /* what the source had received then */
        bool beside;                    /* both connections are to one Redis, since this stream began */
        bool beside_now;                /* by the last answers */
        uint64_t stream_base;           /* what the source had received before this stream */
        bool waits;                     /* a gap does, for an asking of at least this number */
        uint64_t settle_from;
        unsigned ticks;                 /* periods since */
    } published;
    struct rkb_watch_canary {
        struct rkb_canary canary;
        struct event *timer;
        bool on;                        /* canaries are sent, but for what keeps us from it now */
        bool began;                     /* its subscription stands, and was seen to */
        bool trusts;                    /* it came by a reload, while all else ran */
        bool open;                      /* a PUBLISH is not answered */
        bool said;                      /* in the log, that it is refused */
        unsigned unheard;               /* so many in a row were given to nobody */
        long long receivers;            /* in the answer that is coming */
        int64_t interval, late_after;   /* as the config had them last */
        int64_t next_us, again_us;      /* monotonic: the next is due; after a refusal not before */
        char refused[600];              /* Redis's words, and the rule that is missing; "": it is not */
    } canary;
    bool disk_done;
    char directory[1024];               /* Redis's */
};

static inline const struct rkb_sys *rkb_watch_sys(const struct rkb_watch *watch)
{
    return watch->source->relay->options.sys;
}

static inline struct rkb_log *rkb_watch_log(const struct rkb_watch *watch)
{
    return watch->source->relay->options.log;
}

static inline uint64_t rkb_watch_subscriber(const struct rkb_watch *watch)
{
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(watch->source->subscriber, &figures);
    return figures.id;
}

/* When to ask again, instead of whatever was set. */
void rkb_watch_arm(struct rkb_watch *watch, int64_t us);
/* Its role; what follows comes with the answer. */
void rkb_watch_ask_role(struct rkb_watch *watch);
void rkb_watch_role_answered(struct rkb_watch *watch);
/* A stream begins; the second connection is lost. */
void rkb_watch_role_streaming(struct rkb_watch *watch);
void rkb_watch_role_lost(struct rkb_watch *watch);
/* Whether the stream that ends now ends for its role, and then from when on; *from_us only gets earlier. */
bool rkb_watch_role_ended(const struct rkb_watch *watch, int64_t *from_us);
/* How much was published; what follows comes with the answers. */
void rkb_watch_ask_published(struct rkb_watch *watch);
/* A line of the clients with our subscriber's number. */
void rkb_watch_published_self(struct rkb_watch *watch, const struct rkb_client *client);
/* False: of another question. */
bool rkb_watch_published_line(struct rkb_watch *watch, enum rkb_question question, struct rkb_slice line);
void rkb_watch_published_answered(struct rkb_watch *watch);
/* A period is over; the second connection is lost. */
void rkb_watch_published_tick(struct rkb_watch *watch);
void rkb_watch_published_lost(struct rkb_watch *watch);
/* Looks for another bridge; what follows comes with the answers. */
void rkb_watch_look(struct rkb_watch *watch);
/* To either question of a look; refused: NULL, or why not. */
void rkb_watch_looked(struct rkb_watch *watch, enum rkb_question question, const struct rkb_error *refused);
/* Nobody can tell whether another is there: what could be double is better than what is missing. */
void rkb_watch_decide_blindly(struct rkb_watch *watch, const char *why);
/* The canary's timer: made with the watch, and free with it. False: no memory. */
bool rkb_watch_canary_init(struct rkb_watch *watch);
void rkb_watch_canary_free(struct rkb_watch *watch);
/* The second connection stands; a new stream begins; the second one is lost; tells who got the canary; has answered. */
void rkb_watch_canary_ready(struct rkb_watch *watch);
void rkb_watch_canary_streaming(struct rkb_watch *watch);
void rkb_watch_canary_lost(struct rkb_watch *watch);
void rkb_watch_canary_number(struct rkb_watch *watch, long long receivers);
void rkb_watch_canary_answered(struct rkb_watch *watch, const struct rkb_error *refused);
/* The subscriber starts. why: of the end of being held. */
void rkb_watch_let_go(struct rkb_watch *watch, const char *why);

#endif
