/*
 * retry -- a dead letter that is sent again: from the control socket into the ring, by the present config.
 *
 *     headers (message/letter.h), payload --> route by its name --> a channel or pattern of it that takes the channel
 *         --> the way of any message (rkb_relay_take): rules, envelope, ring --> counted, received first
 *
 * It keeps UUID, time and position; its record has the flag RKB_FLAG_RETRIED, since its time says nothing of how long
 * it is on its way. What fails again is a new dead letter. Loop thread; never waits.
 */
#ifndef RKB_DAEMON_RETRY_H
#define RKB_DAEMON_RETRY_H

#include "daemon/relay.h"

/*
 * For rkb_control_options; context: the relay. True: in *out a line, `taken`, `dead_letter CODE` (again), `filtered` or
 * `dropped missing`, and the books have it. False: nothing was counted, the letter waits as before, and *code is
 * `busy` (no room now; later there is), `stopping`, `bad_letter`, `unknown_route`, `no_channel`, `too_large` or
 * `no_memory`.
 */
bool rkb_retry(void *context, struct rkb_slice headers, struct rkb_slice payload, struct rkb_buffer *out,
               const char **code, struct rkb_error *error);

#endif
