/*
 * discover_listen -- listens to every channel of a Redis for a while, and leaves before it could do harm.
 *
 *     asking (limits, who is there) --> subscribed to * --time is up, a signal--> leaving --> asking (who listens
 *        |                                    |                                             ^    to what) --> end
 *        +--> refused, unreachable --> end    +--danger, lost-------------------------------+
 *
 * Danger is: what Redis holds for us nears the limit at which it would cut us off, or could be there in half a second;
 * we read more slowly than is published; or Redis no longer answers a small question in time. Promise: it then closes
 * its subscription at once, which frees what Redis holds. What is published all at once, within a quarter of a second,
 * nobody sees coming: then it is cut off, and says so. Never: publishes, writes, keeps a payload.
 */
#ifndef RKB_TOOL_DISCOVER_LISTEN_H
#define RKB_TOOL_DISCOVER_LISTEN_H

#include "base/error.h"
#include "base/sys.h"
#include "redis/client_list.h"
#include "redis/tls.h"
#include "redis/url.h"
#include "tool/discover_channels.h"
#include "tool/discover_fields.h"

enum rkb_listen_end {
    RKB_END_TIME,           /* all the time that was asked for */
    RKB_END_SIGNAL,
    RKB_END_BUFFER,         /* danger, in `why` */
    RKB_END_SLOW,
    RKB_END_BUSY,
    RKB_END_LOST,           /* the subscription's connection */
    RKB_END_REFUSED,        /* never listened: PSUBSCRIBE * is not allowed */
    RKB_END_UNREACHABLE     /* never listened: no connection, no login, no memory */
};

#define RKB_LISTENERS_KEPT 200
struct rkb_listener {
    char name[64], address[64], user[40];
    int64_t channels, patterns;
};

struct rkb_listen_options {
    const struct rkb_redis_url *url;
    struct rkb_tls_options tls;
    const char *user, *password_file;   /* NULL: none */
    const char *password;               /* NULL: the url's */
    int64_t for_us;
    const struct rkb_sys *sys;
};

struct rkb_heard {
    enum rkb_listen_end end;
    struct rkb_error why;               /* of all ends but the first two */
    int64_t listened_us;
    uint64_t messages, bytes, peak;     /* peak: messages in the fullest second */
    struct rkb_channels *channels;
    struct rkb_fields *fields;
    bool limits_known, buffer_refused;  /* buffer_refused: Redis does not tell how much it holds for us */
    struct rkb_output_limits limits;    /* Redis's defaults where they are not known */
    int64_t buffer_most;                /* bytes that Redis held for us; -1: unknown, or not asked yet */
    struct rkb_listener listeners[RKB_LISTENERS_KEPT];
    size_t listener_count, listeners_more;
    bool listeners_known, channels_known;   /* by CLIENT LIST; by PUBSUB */
    int64_t subscribed_channels, subscribed_patterns;   /* of all clients, ours not counted; -1: unknown */
};

/* Blocks for as long as it takes. Frees nothing of *heard: rkb_heard_free. */
void rkb_listen(const struct rkb_listen_options *options, struct rkb_heard *heard);
void rkb_heard_free(struct rkb_heard *heard);

#endif
