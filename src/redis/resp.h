/*
 * resp -- takes Redis's bytes, however they are cut, and calls once for each whole reply.
 *
 *     bytes --> lengths --> redisReader --> elements but the last: copied into buffers of ours
 *                  |                   \--> the last one: the call, with the reader's own bytes
 *                  +--> a payload that is too long: counted while it passes, then the call, without it
 *
 * Promise: no malloc per reply, no copy of a payload, none held that is too long; whatever Pub/Sub in RESP2 does not
 * allow is RKB_PROTOCOL, never a crash. Never: knows which command a reply belongs to.
 */
#ifndef RKB_REDIS_RESP_H
#define RKB_REDIS_RESP_H

#include "base/bytes.h"
#include "base/error.h"

struct rkb_resp;

/* Redis says of one subscription that it stands or is gone. */
struct rkb_confirmation {
    bool is_pattern, on;
    bool named;                 /* false: an UNSUBSCRIBE from nothing at all */
    struct rkb_slice name;
    long long count;            /* of channels and patterns subscribed to after it */
};

enum rkb_reply { RKB_REPLY_STATUS, RKB_REPLY_ERROR, RKB_REPLY_STRING, RKB_REPLY_INTEGER, RKB_REPLY_NIL };

/* All slices are lent. */
struct rkb_resp_events {
    void (*message)(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                    struct rkb_slice payload);
    void (*confirmation)(void *context, const struct rkb_confirmation *confirmation);
    void (*pong)(void *context);        /* ["pong", ...], the answer inside subscribe mode */
    void (*reply)(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer);
    /* A message whose payload of `size` bytes was over the limit, when its last byte has come. */
    void (*too_large)(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                      uint64_t size);
};

/* How an error begins about bytes that are no RESP2. */
#define RKB_NO_RESP "no RESP (is this the port of a Redis, and its url rightly redis:// or rediss://?): "
/* A name may be this long even where a message may not. */
#define RKB_RESP_LONGEST_NAME (UINT64_C(1) << 20)

/*
 * max_message_size: of a payload; a name, or any other string, may have as much, and RKB_RESP_LONGEST_NAME at least,
 * and is RKB_PROTOCOL over it. 0: no limit, and no `too_large` is needed. NULL when memory ran out.
 */
struct rkb_resp *rkb_resp_new(const struct rkb_resp_events *events, uint64_t max_message_size, void *context);
void rkb_resp_free(struct rkb_resp *resp);
/* Forgets what it has of a reply: a new connection begins. Not inside an event. */
bool rkb_resp_reset(struct rkb_resp *resp, struct rkb_error *error) RKB_MUST_CHECK;
/*
 * Calls events for what became whole, and moves *bytes behind what it took: all, unless it was paused. Paused, it
 * calls no more events; fed again later, with what was left or with nothing, it goes on where it stood. After false
 * only reset helps.
 */
bool rkb_resp_feed(struct rkb_resp *resp, struct rkb_slice *bytes, struct rkb_error *error) RKB_MUST_CHECK;
/* Also inside an event. Lasts over reset. */
void rkb_resp_pause(struct rkb_resp *resp, bool paused);
/* True when all it took became replies, and their calls are made: nothing is held. */
bool rkb_resp_between(const struct rkb_resp *resp);
/* Inside an event: no more events until reset, whatever was fed. The feed that runs returns true. */
void rkb_resp_stop(struct rkb_resp *resp);

#endif
