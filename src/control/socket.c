/*
 * socket -- see socket.h.
 *
 *     client:  reading --line--> answer --> reading ...
 *                 | \
 *                 |  +-- line too long --------> closing --all written--> freed
 *                 |  +-- answer comes later: waits, and what it sends meanwhile --finish--> reading
 *                 |  +-- `retry`: uploading --all bytes there--> answer; too many, another's turn, too late: closing
 *                 +-- its sending side closed --> ended: what it sent is answered, then as closing
 *                 +-- reads nothing, 4 MiB unread; connection broken --> freed at once
 *
 * A client that sends many commands at once gets a few answers, and the next when those are written; and all clients
 * together have a share of the loop's time (share.h), beyond which they rest: they stand in nobody's way. Never:
 * blocks, asks for a figure that nobody wants to see.
 */
#include "control/socket.h"

#include <errno.h>
#include <event2/util.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/client.h"

#define ANSWERS_PER_TURN 16
#define OUTPUT_PER_TURN ((size_t)256 * 1024)
#define BACKLOG 16
#define ACCEPT_PAUSE_US 200000      /* when accept fails (no descriptors left) */
#define ACCEPT_COST_US 50           /* what a client costs that comes and goes, mostly in the kernel */

static int64_t now_us(const struct rkb_control *control)
{
    return (control->options.sys != NULL ? control->options.sys : &rkb_sys_posix)->monotonic_us();
}

static void client_free(struct rkb_client *client)
{
    if (client->control->upload.client == client)
        rkb_upload_end(&client->control->upload);
    rkb_watching_end(client);
    TAILQ_REMOVE(&client->control->clients, client, link);
    client->control->client_count--;
    bufferevent_free(client->connection);
    free(client);
}

void rkb_client_free_dropped(struct rkb_control *control)
{
    struct rkb_client *client = TAILQ_FIRST(&control->clients), *next;
    for (; client != NULL; client = next) {
        next = TAILQ_NEXT(client, link);
        if (client->dropped)
            client_free(client);
    }
}

void rkb_client_send(struct rkb_client *client, struct rkb_buffer *bytes)
{
    if (bytes->failed || bufferevent_write(client->connection, bytes->data, bytes->size) < 0)
        client->dropped = true;
    rkb_buffer_free(bytes);
}

static void answer_error(struct rkb_client *client, const char *code, const char *text)
{
    struct rkb_buffer answer = {0};
    rkb_command_error(&answer, code, text);
    rkb_client_send(client, &answer);
}

static void answer(struct rkb_client *client, struct rkb_slice line)
{
    struct rkb_control *control = client->control;
    const struct rkb_control_options *options = &control->options;
    struct rkb_asking asking = {
        .snapshot = options->snapshot,
        .context = options->context,
        .act = options->act,
        .act_context = options->act_context,
        .log = options->log,
        .peer = &client->peer,
        .ticket = ++control->last_ticket,
    };
    struct rkb_buffer out = {0};
    if (!rkb_command_answer(line, &asking, &out))
        client->ticket = asking.ticket;
    rkb_client_send(client, &out);
}

void rkb_client_close(struct rkb_client *client)
{
    bufferevent_disable(client->connection, EV_READ);
    client->closing = true;
}

void rkb_client_refuse_rest(struct rkb_client *client, const char *code, const char *text)
{
    answer_error(client, code, text);
    rkb_client_close(client);
}

static void refuse_long_line(struct rkb_client *client)
{
    rkb_client_refuse_rest(client, "too_long", "a command is at most 4096 bytes long; closing");
}

/* No whole line is there: is it too long already, and is there one to come? */
static void look_at_rest(struct rkb_client *client, struct evbuffer *input)
{
    if (evbuffer_get_length(input) > RKB_CONTROL_LINE_MAX + 1) {
        refuse_long_line(client);
    } else if (client->ended) {
        if (evbuffer_get_length(input) > 0)
            answer_error(client, "incomplete", "the last line has no newline at its end");
        client->closing = true;
    }
}

static bool reads_nothing(const struct rkb_client *client)
{
    return evbuffer_get_length(bufferevent_get_output(client->connection)) > RKB_CONTROL_UNREAD_MAX;
}

/* Answers the next line if all of it is there. An answer may be of any length; but who wants another must have read. */
static bool answer_next(struct rkb_client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->connection);
    struct rkb_upload sizes;
    bool json;
    size_t size;
    if (client->ticket != 0)
        return false;
    if (client->control->upload.client == client)
        return rkb_upload_take(client);
    char *line = evbuffer_readln(input, &size, EVBUFFER_EOL_LF);
    if (line == NULL) {
        look_at_rest(client, input);
        return false;
    }
    client->spoke_us = now_us(client->control);
    if (size > 0 && line[size - 1] == '\r')
        size--;
    if (reads_nothing(client))
        client->dropped = true;
    else if (size > RKB_CONTROL_LINE_MAX)
        refuse_long_line(client);
    else if (rkb_command_upload(rkb_slice(line, size), &sizes))
        rkb_upload_begin(client, &sizes);
    else if (rkb_command_watch(rkb_slice(line, size), &json))
        rkb_watching_begin(client, json);
    else
        answer(client, rkb_slice(line, size));
    free(line);
    return !client->closing && !client->dropped;
}

/* The rest gets its turn when these are written. */
static void answer_some(struct rkb_client *client)
{
    struct evbuffer *output = bufferevent_get_output(client->connection);
    size_t answers = 0;
    while (!client->control->doomed && answers < ANSWERS_PER_TURN && answer_next(client))
        answers = evbuffer_get_length(output) > OUTPUT_PER_TURN ? ANSWERS_PER_TURN : answers + 1;
}

static void look_again(struct rkb_control *control, int64_t in_us)
{
    if (!evtimer_pending(control->accept_again, NULL))
        event_add(control->accept_again, &(struct timeval){in_us / 1000000, in_us % 1000000});
}

/* The share is spent: later. */
static bool rests(struct rkb_client *client)
{
    struct rkb_control *control = client->control;
    client->rests = !client->watches && !client->closing && rkb_share_spent(&control->share, now_us(control));
    if (client->rests)
        look_again(control, RKB_SHARE_LOOK_US);
    return client->rests;
}

/* False: the control is gone. */
static bool take_turn(struct rkb_client *client)
{
    struct rkb_control *control = client->control;
    if (rests(client))
        return true;
    int64_t begin_us = now_us(control);
    control->inside = true;
    if (client->watches)
        rkb_watching_feed(client);
    else if (!client->closing)
        answer_some(client);
    control->inside = false;
    rkb_share_use(&control->share, now_us(control), now_us(control) - begin_us);
    if (control->doomed) {
        rkb_control_free(control);
        return false;
    }
    if (client->dropped ||
        (client->closing && evbuffer_get_length(bufferevent_get_output(client->connection)) == 0))
        client_free(client);
    return true;
}

/* Called for what was read, and when all is written. */
static void on_progress(struct bufferevent *connection, void *context)
{
    (void)connection;
    take_turn(context);
}

/* Not only its sending side is closed. */
static bool has_left(evutil_socket_t fd)
{
    struct pollfd look = {.fd = fd};
    return poll(&look, 1, 0) > 0 && (look.revents & POLLHUP) != 0;
}

static void on_event(struct bufferevent *connection, short what, void *context)
{
    struct rkb_client *client = context;
    bool ended = (what & BEV_EVENT_EOF) != 0 && (what & BEV_EVENT_READING) != 0;
    if (ended && !(client->ticket != 0 && has_left(bufferevent_getfd(connection)))) {
        client->ended = true;
        take_turn(client);
    } else {
        client_free(client);
    }
}

/* What can be written without waiting is. */
static void client_leave(struct rkb_client *client)
{
    struct evbuffer *output = bufferevent_get_output(client->connection);
    bufferevent_disable(client->connection, EV_READ | EV_WRITE);
    evbuffer_unfreeze(output, 1);
    evbuffer_write(output, bufferevent_getfd(client->connection));
    client_free(client);
}

/* ---- places ---- */

/* It has read some, or what begins now is the first that it has to read. */
static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *context)
{
    struct rkb_client *client = context;
    (void)output;
    if (info->n_deleted > 0 || info->orig_size == 0)
        client->read_us = now_us(client->control);
}

/* How much longer than it may it has said nothing, or read nothing; below 0: its place is safe. */
static int64_t overdue_us(const struct rkb_client *client, int64_t now)
{
    bool is_read = evbuffer_get_length(bufferevent_get_output(client->connection)) == 0;
    if (client->ticket != 0 && has_left(bufferevent_getfd(client->connection)))
        return INT64_MAX;
    if (!is_read)
        return now - client->read_us - RKB_CONTROL_DEAF_US;
    bool uploads = client->control->upload.client == client;
    bool is_idle = client->ticket == 0 && !uploads && !client->closing && !client->rests;
    return is_idle ? now - client->spoke_us - RKB_CONTROL_IDLE_US : -1;
}

/* So that nobody can shut others out by silence, or by not reading. */
void rkb_client_make_room(struct rkb_control *control, bool of_watchers)
{
    struct rkb_client *client, *longest = NULL;
    int64_t now = now_us(control), most = -1;
    TAILQ_FOREACH(client, &control->clients, link) {
        int64_t over = client->watches || !of_watchers ? overdue_us(client, now) : -1;
        if (over > most) {
            longest = client;
            most = over;
        }
    }
    if (longest == NULL)
        return;
    answer_error(longest, "too_many_clients", "others need the place of one who says or reads nothing; come again");
    client_leave(longest);
}

static void refuse(evutil_socket_t fd)
{
    static const char answer_text[] = "ERROR too_many_clients at most 32 clients at a time\n";
    (void)!send(fd, answer_text, sizeof answer_text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    evutil_closesocket(fd);
}

static void count_client(struct rkb_control *control)
{
    rkb_share_use(&control->share, now_us(control), ACCEPT_COST_US);
    if (!rkb_share_spent(&control->share, now_us(control)))
        return;
    evconnlistener_disable(control->listener);
    look_again(control, RKB_SHARE_LOOK_US);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *context)
{
    struct rkb_control *control = context;
    struct event_base *base = evconnlistener_get_base(listener);
    (void)address;
    (void)size;
    count_client(control);
    if (control->client_count == RKB_CONTROL_CLIENTS_MAX)
        rkb_client_make_room(control, false);
    struct rkb_client *client = control->client_count < RKB_CONTROL_CLIENTS_MAX ? calloc(1, sizeof *client) : NULL;
    if (client == NULL) {
        refuse(fd);
        return;
    }
    client->connection = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (client->connection == NULL) {
        evutil_closesocket(fd);
        free(client);
        return;
    }
    client->control = control;
    client->spoke_us = now_us(control);
    client->peer = rkb_peer_of(fd, &control->options.rights);
    TAILQ_INSERT_TAIL(&control->clients, client, link);
    control->client_count++;
    evbuffer_add_cb(bufferevent_get_output(client->connection), on_output, client);
    bufferevent_setcb(client->connection, on_progress, on_progress, on_event, client);
    bufferevent_setwatermark(client->connection, EV_READ, 0, 2 * RKB_CONTROL_LINE_MAX);
    bufferevent_enable(client->connection, EV_READ | EV_WRITE);
}

/* No descriptor left, or the like: not to spin, accepting rests for a moment. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
    struct rkb_control *control = context;
    evconnlistener_disable(listener);
    look_again(control, ACCEPT_PAUSE_US);
}

static struct rkb_client *who_rests(const struct rkb_control *control)
{
    struct rkb_client *client;
    TAILQ_FOREACH(client, &control->clients, link)
        if (client->rests)
            return client;
    return NULL;
}

static void on_accept_again(evutil_socket_t fd, short what, void *context)
{
    struct rkb_control *control = context;
    (void)fd;
    (void)what;
    if (rkb_share_spent(&control->share, now_us(control))) {
        look_again(control, RKB_SHARE_LOOK_US);
        return;
    }
    evconnlistener_enable(control->listener);
    struct rkb_client *client = who_rests(control);
    bool there = true;
    while (there && client != NULL && !rkb_share_spent(&control->share, now_us(control))) {
        TAILQ_REMOVE(&control->clients, client, link);      /* the others before it is its turn again */
        TAILQ_INSERT_TAIL(&control->clients, client, link);
        there = take_turn(client);      /* then it does not rest any more, or not yet again */
        client = there ? who_rests(control) : NULL;
    }
    if (there && client != NULL)
        look_again(control, RKB_SHARE_LOOK_US);
}

static bool listen_on(struct rkb_control *control, struct event_base *base, struct rkb_error *error)
{
    int fd = rkb_unix_socket_bind(&control->place, control->options.path, control->options.mode, error);
    if (fd < 0)
        return false;
    control->options.path = control->place.address.sun_path;
    control->listener = evconnlistener_new(base, on_accept, control, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
                                           BACKLOG, fd);
    control->accept_again = evtimer_new(base, on_accept_again, control);
    control->upload.deadline = evtimer_new(base, rkb_upload_late, control);
    if (control->listener == NULL)
        close(fd);
    if (control->listener == NULL || control->accept_again == NULL || control->upload.deadline == NULL)
        return rkb_fail(error, RKB_SYSTEM, "control socket %s cannot listen", control->options.path);
    evconnlistener_set_error_cb(control->listener, on_accept_error);
    return true;
}

struct rkb_control *rkb_control_new(struct event_base *base, const struct rkb_control_options *options,
                                    struct rkb_error *error)
{
    struct rkb_control *control = calloc(1, sizeof *control);
    if (control == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the control socket");
        return NULL;
    }
    control->options = *options;
    control->share.most_us = options->share_us > 0 ? options->share_us : RKB_SHARE_MOST_US;
    control->watch_fd = -1;
    TAILQ_INIT(&control->clients);
    if (!listen_on(control, base, error)) {
        rkb_control_free(control);
        return NULL;
    }
    return control;
}

void rkb_control_rights(struct rkb_control *control, const struct rkb_rights *rights)
{
    struct rkb_client *client;
    control->options.rights = *rights;
    TAILQ_FOREACH(client, &control->clients, link)
        client->peer = rkb_peer_of(bufferevent_getfd(client->connection), rights);
}

/* ---- answers that come later ---- */

static struct rkb_client *who_waits(const struct rkb_control *control, uint64_t ticket)
{
    struct rkb_client *client;
    TAILQ_FOREACH(client, &control->clients, link) {
        if (client->ticket == ticket)
            return client;
    }
    return NULL;
}

void rkb_control_say(struct rkb_control *control, uint64_t ticket, struct rkb_buffer *lines)
{
    struct rkb_client *client = who_waits(control, ticket);
    if (client == NULL) {
        rkb_buffer_free(lines);
        return;
    }
    rkb_client_send(client, lines);
    if (client->dropped || reads_nothing(client))
        client_free(client);
}

/* What it has sent meanwhile is answered when this is written. */
void rkb_control_finish(struct rkb_control *control, uint64_t ticket, const char *code, const char *text)
{
    struct rkb_client *client = who_waits(control, ticket);
    struct rkb_buffer end = {0};
    if (client == NULL)
        return;
    client->ticket = 0;
    if (code == NULL)
        rkb_buffer_text(&end, "OK\n");
    else
        rkb_command_error(&end, code, text);
    rkb_client_send(client, &end);
    if (client->dropped)
        client_free(client);
}

void rkb_control_free(struct rkb_control *control)
{
    if (control == NULL)
        return;
    if (control->inside) {
        control->doomed = true;
        return;
    }
    while (!TAILQ_EMPTY(&control->clients)) {
        struct rkb_client *client = TAILQ_FIRST(&control->clients);
        if (client->ticket != 0)        /* it still waits */
            answer_error(client, "ending", "rkbridge ends before this is done");
        client_leave(client);
    }
    rkb_unix_socket_remove(&control->place);
    rkb_watching_stop(control);
    if (control->listener != NULL)
        evconnlistener_free(control->listener);
    if (control->accept_again != NULL)
        event_free(control->accept_again);
    if (control->upload.deadline != NULL)
        event_free(control->upload.deadline);
    free(control);
}
