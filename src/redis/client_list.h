/*
 * client_list -- what Redis says of its clients (CLIENT LIST) and of their limits, and the names rkbridge's have there.
 *
 *     rkbridge:<instance>                                        the connection that is subscribed
 *     rkbridge:<instance>:<token>:<period>:<subscriber's id>     the one beside it that asks (watcher.h)
 *
 * token: 8 hexadecimal digits, new with each process; period: milliseconds between its commands; the id: of the
 * subscribed connection it belongs to, 0 while there is none. So whoever reads the list knows which two belong
 * together, and by the idle time of the second whether the process behind them lives.
 */
#ifndef RKB_REDIS_CLIENT_LIST_H
#define RKB_REDIS_CLIENT_LIST_H

#include "base/bytes.h"

#define RKB_BRIDGE_TOKEN 8
#define RKB_BRIDGE_NAME 160             /* bytes at the most, with the NUL */

/* One line of the list. Slices are lent; a number that is not in the line is -1. */
struct rkb_client {
    uint64_t id;
    int64_t idle_seconds, output_buffer, memory;        /* omem, tot-mem: bytes */
    int64_t channels, patterns;                         /* sub, psub: what it is subscribed to */
    struct rkb_slice name, address, user;               /* user: from Redis 6 on */
};
/* False: no line of such a list. */
bool rkb_client_parse(struct rkb_slice line, struct rkb_client *client);

/* Of one class of clients; 0: none. */
struct rkb_output_limits {
    uint64_t hard, soft;                /* bytes */
    int64_t soft_seconds;
};
/* Finds those of Pub/Sub in the value of client-output-buffer-limit. */
bool rkb_output_limits_parse(struct rkb_slice value, struct rkb_output_limits *limits);

struct rkb_bridge_name {
    struct rkb_slice instance, token;   /* token: empty for the subscribed one */
    int64_t period_ms;
    uint64_t subscriber;
};
/* False: no name of rkbridge's. */
bool rkb_bridge_name_parse(struct rkb_slice text, struct rkb_bridge_name *name);
/* The name with its token, or, where that is empty, without all that follows the instance. */
void rkb_bridge_name_write(char out[RKB_BRIDGE_NAME], const struct rkb_bridge_name *name);

#endif
