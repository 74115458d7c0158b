/*
 * subscriptions -- what one subscriber wants, what of it stands, and which of its commands wait for their answers.
 *
 *     wanted --asked--> open --confirmed--> standing
 *                        ^ \--refused: in halves, down to the one name--> refused
 *                        +------- asked again, alone: on a timer, and on a new connection -------+
 *
 * Redis answers in order, so the answers belong to the first command in line: a command that it takes is confirmed
 * name by name, one that it refuses is refused whole, by one error. It does not say which name it was, hence the
 * halves: the names that may be subscribed to stand, and the others are known by name. A name that was refused is
 * asked for alone until it stands. Never: sends, logs.
 */
#ifndef RKB_REDIS_SUBSCRIPTIONS_H
#define RKB_REDIS_SUBSCRIPTIONS_H

#include "base/bytes.h"
#include "base/error.h"
#include "redis/refusal.h"

enum { RKB_BATCH_NAMES = 100, RKB_BATCH_BYTES = 16 * 1024 };

struct rkb_wish {
    struct rkb_buffer name;
    bool is_pattern;
    bool stands;                        /* confirmed on this connection */
    bool refused;                       /* the last answer to it was no, on whatever connection */
    enum rkb_lack lack;                 /* where refused */
};

/* Of neighbours in the list and of one kind: list[from] up to list[end - 1]. */
struct rkb_asked {
    size_t from, end;
    size_t confirmed;
};

struct rkb_subscriptions {
    struct rkb_wish *list;              /* channels, then patterns */
    size_t size, capacity, channels;
    size_t standing, refused;           /* how many */
    struct rkb_asked *line;             /* a circle; each command has names of its own, so it never overflows */
    size_t head, asked;                 /* where it begins, and how many wait */
    size_t next_again;                  /* where to look for the next refused one */
};

void rkb_subscriptions_free(struct rkb_subscriptions *subscriptions);
/* Copies the name; one that is there already is not added. */
bool rkb_subscriptions_add(struct rkb_subscriptions *subscriptions, bool is_pattern, struct rkb_slice name,
                           struct rkb_error *error) RKB_MUST_CHECK;
static inline struct rkb_slice rkb_wish_name(const struct rkb_wish *wish)
{
    return rkb_slice(wish->name.data, wish->name.size);
}

/* A new connection: nothing stands, nothing is asked. */
void rkb_subscriptions_reset(struct rkb_subscriptions *subscriptions);
/*
 * `next` is wanted in the place of `old`: what stands or is refused of both is so in next too. In old only what stands
 * and is not wanted any longer remains. Nothing may be asked.
 */
void rkb_subscriptions_inherit(struct rkb_subscriptions *next, struct rkb_subscriptions *old);
/*
 * The command that begins with list[from]: one kind, neither too many names nor too many bytes, all standing or none,
 * and a name that was refused alone. Its end.
 */
size_t rkb_subscriptions_batch_end(const struct rkb_subscriptions *subscriptions, size_t from);
/* Stands in line from now on. */
void rkb_subscriptions_ask(struct rkb_subscriptions *subscriptions, size_t from, size_t end);
/* The command that Redis answers now; NULL: all are answered. */
const struct rkb_asked *rkb_subscriptions_first(const struct rkb_subscriptions *subscriptions);
/* Redis confirmed this name: NULL where the command in turn did not ask for it. */
struct rkb_wish *rkb_subscriptions_confirm(struct rkb_subscriptions *subscriptions, bool is_pattern,
                                           struct rkb_slice name);
/* Redis confirmed that this name, which stood, was given up: false where the command in turn did not ask for that. */
bool rkb_subscriptions_leave(struct rkb_subscriptions *subscriptions, bool is_pattern, struct rkb_slice name);
/* Redis refused the command in turn, which is no longer in line: takes it out. */
struct rkb_asked rkb_subscriptions_take(struct rkb_subscriptions *subscriptions);
/* The wish is refused. True where it was not before. */
bool rkb_subscriptions_refuse(struct rkb_subscriptions *subscriptions, struct rkb_wish *wish, enum rkb_lack lack);
/* The next refused wish, round and round; its index. False: there is none. */
bool rkb_subscriptions_again(struct rkb_subscriptions *subscriptions, size_t *index);

#endif
