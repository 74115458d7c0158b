/*
 * client -- what the files of the control socket share: one client, and all of them.
 *
 *     socket.c   who comes and goes, lines and their answers, answers that come later
 *     upload.c   the bytes of a dead letter
 *     watching.c events of the log, until the client leaves
 */
#ifndef RKB_CONTROL_CLIENT_H
#define RKB_CONTROL_CLIENT_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <sys/queue.h>

#include "control/commands.h"
#include "control/share.h"
#include "control/socket.h"
#include "control/unix_socket.h"

/* A dead letter that comes in. */
struct rkb_incoming {
    struct rkb_client *client;      /* NULL: nobody's */
    struct rkb_upload sizes;
    uint8_t *bytes;
    size_t size;                    /* so many are there */
    struct event *deadline;
};

struct rkb_client {
    struct rkb_control *control;
    struct bufferevent *connection;
    struct rkb_peer peer;
    uint64_t ticket;                /* of the answer that comes later; 0: none does */
    bool watches, json;             /* it is told of events, as JSON */
    uint64_t seen;                  /* the number of the last event that it was told of, or has missed */
    int64_t spoke_us;               /* monotonic: when it came, or last sent a line */
    int64_t read_us;                /* monotonic: when it last read some of what it was sent, or all was read before */
    bool ended;                     /* sends nothing more */
    bool closing;                   /* is freed when all is written; nothing more is read */
    bool dropped;                   /* is freed now */
    bool retries;                   /* it has handed over a dead letter: that was said */
    bool rests;                     /* gets its turn when the share is made up for */
    TAILQ_ENTRY(rkb_client) link;
};

struct rkb_control {
    struct rkb_control_options options;
    struct rkb_unix_socket place;
    struct evconnlistener *listener;
    struct event *accept_again;
    TAILQ_HEAD(, rkb_client) clients;
    size_t client_count;
    struct rkb_share share;         /* of the loop */
    uint64_t last_ticket;
    size_t watchers;
    int watch_fd;                   /* written by the log; -1: nobody has watched yet */
    struct event *watch_event;
    struct rkb_incoming upload;     /* one at a time: what clients can make us hold is bounded */
    bool inside, doomed;
};

/* Sends these bytes, and frees them. */
void rkb_client_send(struct rkb_client *client, struct rkb_buffer *bytes);
/* Frees those that are marked as dropped; not within a client's own turn. */
void rkb_client_free_dropped(struct rkb_control *control);
/* Nothing more is read; freed when all is written. */
void rkb_client_close(struct rkb_client *client);
/*
 * A place for one more (who watches, or who comes) from one who does not need his: who has left, who has said nothing
 * for longest, who has read nothing for longest. None where all do.
 */
void rkb_client_make_room(struct rkb_control *control, bool of_watchers);
/* An error, and the end: what comes behind cannot be told from commands any more. */
void rkb_client_refuse_rest(struct rkb_client *client, const char *code, const char *text);

/* From now on this client is told of events; no other answer comes to it. */
void rkb_watching_begin(struct rkb_client *client, bool json);
/* Tells it what there is, as much as it reads. May mark it as dropped. */
void rkb_watching_feed(struct rkb_client *client);
/* It does not watch any more; and nobody does, for good. */
void rkb_watching_end(struct rkb_client *client);
void rkb_watching_stop(struct rkb_control *control);

/* A client announces a dead letter of these sizes. */
void rkb_upload_begin(struct rkb_client *client, const struct rkb_upload *sizes);
/* Takes what is there of it; false: more has to come, or nothing more is taken from this client. */
bool rkb_upload_take(struct rkb_client *client);
/* It is over, whatever became of it. */
void rkb_upload_end(struct rkb_incoming *upload);
/* For its deadline; context: the control. */
void rkb_upload_late(evutil_socket_t fd, short what, void *context);

#endif
