/*
 * admin -- what the commands of the control socket do that only the daemon can do: one row a command.
 *
 * Each that changes something is logged with who asked. Loop thread; never waits. A new one: a row in
 * control/commands.c whose run is NULL, and a row of the same word in admin.c.
 */
#ifndef RKB_DAEMON_ADMIN_H
#define RKB_DAEMON_ADMIN_H

#include "base/log.h"
#include "config/config.h"
#include "control/socket.h"
#include "daemon/view.h"

struct rkb_reload;

struct rkb_admin {
    const struct rkb_config *config;
    struct rkb_log *log;
    struct rkb_control *control;
    struct rkb_view *view;
    struct rkb_relay *relay;
    struct rkb_pauses *pauses;
    bool (*drain)(void *bridge);        /* begins to end; false: it has begun already */
    void *bridge;
    struct rkb_reload *reload;
    uint64_t drainer;                   /* the ticket of who waits for the end; 0: nobody */
    uint64_t intake_ticket;             /* and of who waits until all is unsubscribed */
    struct {                            /* and of those who wait until a pause is written down */
        uint64_t ticket, version;
    } waiting[RKB_CONTROL_CLIENTS_MAX];
};

/* rkb_act; context: the rkb_admin. */
enum rkb_outcome rkb_admin_act(void *context, const struct rkb_action *action, struct rkb_buffer *out,
                               const char **code, struct rkb_error *error);
/* An order is taken that is done elsewhere: who asked goes to the log. context: the rkb_admin. */
void rkb_admin_asked(void *context, const char *word, const struct rkb_peer *peer);
/* Whether it knows this word. */
bool rkb_admin_knows(const char *word);
/* Who has the admin right by the config; its lists are lent. */
struct rkb_rights rkb_admin_rights(const struct rkb_config *config);
/* Once a second: who waits for the end hears how far it is. */
void rkb_admin_tick(struct rkb_admin *admin);
/* The shipper wrote to the loop: it may have written down a pause. */
void rkb_admin_kept(struct rkb_admin *admin);
/* It is over, with so many records left in the journal. */
void rkb_admin_ended(struct rkb_admin *admin, uint64_t left);

#endif
