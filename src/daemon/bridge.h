/*
 * bridge -- opens the house in order, runs the loop, drains and closes it in order.
 *
 *     journal (lock, recovery) --> ring --> gaps --> relay --> shipper --> control --> connect
 *     SIGTERM --> unsubscribe --> drain within shutdown_timeout --> sync --> checkpoint --> exit code
 */
#ifndef RKB_DAEMON_BRIDGE_H
#define RKB_DAEMON_BRIDGE_H

#include "base/log.h"
#include "config/config.h"

#define RKB_EXIT_DRAINED 0
#define RKB_EXIT_LEFT 3             /* done, with records left in the journal */
#define RKB_EXIT_USAGE 64
#define RKB_EXIT_FAILED 69          /* something we need could not be had: a socket, memory, a thread, a subscription */
#define RKB_EXIT_BROKEN 70          /* the disk broke a promise */
#define RKB_EXIT_JOURNAL 73         /* locked, damaged, of a newer version, not writable */

/*
 * Runs until a signal ends it; returns the exit code. file: where the config was read from, for reloads;
 * bootstrap_servers: for people; embedded: that Kafka is our own. All that went wrong was logged.
 */
int rkb_bridge_run(const char *file, const struct rkb_config *config, const struct rkb_properties *properties,
                   const char *bootstrap_servers, bool embedded, struct rkb_log *log);

#endif
