/*
 * socket -- see socket.h.
 *
 *     client:  reading --line--> answer --> reading ...
 *                 | \
 *                 |  +-- line too long --------> closing --all written--> freed
 *                 |  +-- `retry`: uploading --all bytes there--> answer; too many, another's turn, too late: closing
 *                 +-- its sending side closed --> ended: what it sent is answered, then as closing
 *                 +-- reads nothing, 4 MiB unread; connection broken --> freed at once
 *
 * A client that sends many commands at once gets a few answers, and the next when those are written: it stands in
 * nobody's way. Never: blocks, asks for a figure that nobody wants to see.
 */
#include "control/socket.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/commands.h"

#define ANSWERS_PER_TURN 16
#define OUTPUT_PER_TURN ((size_t)256 * 1024)
#define BACKLOG 16
#define ACCEPT_PAUSE_US 200000      /* when accept fails (no descriptors left) */

/* A dead letter that comes in. */
struct upload {
    struct client *client;          /* NULL: nobody's */
    struct rkb_upload sizes;
    uint8_t *bytes;
    size_t size;                    /* so many are there */
    struct event *deadline;
};

struct client {
    struct rkb_control *control;
    struct bufferevent *connection;
    bool ended;                     /* sends nothing more */
    bool closing;                   /* is freed when all is written; nothing more is read */
    bool dropped;                   /* is freed now */
    TAILQ_ENTRY(client) link;
};

struct rkb_control {
    struct rkb_control_options options;
    struct sockaddr_un address;
    dev_t device;                   /* with inode: the socket file that we made */
    ino_t inode;
    struct evconnlistener *listener;
    struct event *accept_again;
    TAILQ_HEAD(, client) clients;
    size_t client_count;
    struct upload upload;           /* one at a time: what clients can make us hold is bounded */
    bool inside, doomed;
};

static void end_upload(struct upload *upload)
{
    event_del(upload->deadline);
    free(upload->bytes);
    upload->bytes = NULL;
    upload->client = NULL;
    upload->size = 0;
}

static void client_free(struct client *client)
{
    if (client->control->upload.client == client)
        end_upload(&client->control->upload);
    TAILQ_REMOVE(&client->control->clients, client, link);
    client->control->client_count--;
    bufferevent_free(client->connection);
    free(client);
}

static void answer_error(struct client *client, const char *code, const char *text)
{
    struct rkb_buffer answer = {0};
    rkb_command_error(&answer, code, text);
    if (answer.failed || bufferevent_write(client->connection, answer.data, answer.size) < 0)
        client->dropped = true;
    rkb_buffer_free(&answer);
}

static void answer(struct client *client, struct rkb_slice line)
{
    const struct rkb_control_options *options = &client->control->options;
    struct rkb_buffer out = {0};
    rkb_command_answer(line, options->snapshot, options->context, &out);
    if (out.failed || bufferevent_write(client->connection, out.data, out.size) < 0)
        client->dropped = true;
    rkb_buffer_free(&out);
}

/* What comes behind cannot be told from commands any more. */
static void refuse_rest(struct client *client, const char *code, const char *text)
{
    answer_error(client, code, text);
    bufferevent_disable(client->connection, EV_READ);
    client->closing = true;
}

static void refuse_long_line(struct client *client)
{
    refuse_rest(client, "too_long", "a command is at most 4096 bytes long; closing");
}

/* ---- a dead letter ---- */

static void begin_upload(struct client *client, const struct rkb_upload *sizes)
{
    struct upload *upload = &client->control->upload;
    uint64_t size = sizes->headers + sizes->payload;
    if (client->control->options.retry == NULL || size > client->control->options.upload_limit) {
        refuse_rest(client, "too_large", "a dead letter is at most as long as max_message_size, and its headers 1 MiB; "
                    "closing");
    } else if (upload->client != NULL) {
        refuse_rest(client, "busy", "another client hands over a dead letter; closing");
    } else if ((upload->bytes = malloc((size_t)size + 1)) == NULL) {
        refuse_rest(client, "no_memory", "no memory for a dead letter; closing");
    } else {
        upload->client = client;
        upload->sizes = *sizes;
        event_add(upload->deadline, &(struct timeval){RKB_CONTROL_UPLOAD_US / 1000000, 0});
    }
}

static void answer_upload(struct client *client)
{
    const struct rkb_control_options *options = &client->control->options;
    struct upload *upload = &client->control->upload;
    struct rkb_buffer out = {0};
    struct rkb_error error = {.text = ""};
    const char *code = "";
    size_t headers = (size_t)upload->sizes.headers;
    bool taken = options->retry(options->retry_context, rkb_slice(upload->bytes, headers),
                                rkb_slice(upload->bytes + headers, (size_t)upload->sizes.payload), &out, &code, &error);
    end_upload(upload);
    if (taken)
        rkb_buffer_text(&out, "OK\n");
    else
        rkb_command_error(&out, code, error.text);
    if (out.failed || bufferevent_write(client->connection, out.data, out.size) < 0)
        client->dropped = true;
    rkb_buffer_free(&out);
}

/* Takes what is there of it; false: more has to come. */
static bool take_upload(struct client *client)
{
    struct upload *upload = &client->control->upload;
    struct evbuffer *input = bufferevent_get_input(client->connection);
    size_t whole = (size_t)(upload->sizes.headers + upload->sizes.payload);
    int got = evbuffer_remove(input, upload->bytes + upload->size, whole - upload->size);
    upload->size += got > 0 ? (size_t)got : 0;
    if (upload->size == whole)
        answer_upload(client);
    else if (client->ended)
        refuse_rest(client, "incomplete", "the dead letter has not come to its end");
    return upload->client == NULL && !client->closing && !client->dropped;
}

static void on_upload_late(evutil_socket_t fd, short what, void *context)
{
    struct rkb_control *control = context;
    struct client *client = control->upload.client;
    (void)fd;
    (void)what;
    end_upload(&control->upload);
    refuse_rest(client, "timeout", "the dead letter has not come within 10 s; closing");
}

/* ---- lines ---- */

/* No whole line is there: is it too long already, and is there one to come? */
static void look_at_rest(struct client *client, struct evbuffer *input)
{
    if (evbuffer_get_length(input) > RKB_CONTROL_LINE_MAX + 1) {
        refuse_long_line(client);
    } else if (client->ended) {
        if (evbuffer_get_length(input) > 0)
            answer_error(client, "incomplete", "the last line has no newline at its end");
        client->closing = true;
    }
}

static bool reads_nothing(const struct client *client)
{
    return evbuffer_get_length(bufferevent_get_output(client->connection)) > RKB_CONTROL_UNREAD_MAX;
}

/* Answers the next line if a whole one is there. An answer may be of any length; but who
 * wants another must have read. */
static bool answer_next(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->connection);
    struct rkb_upload sizes;
    size_t size;
    if (client->control->upload.client == client)
        return take_upload(client);
    char *line = evbuffer_readln(input, &size, EVBUFFER_EOL_LF);
    if (line == NULL) {
        look_at_rest(client, input);
        return false;
    }
    if (size > 0 && line[size - 1] == '\r')
        size--;
    if (reads_nothing(client))
        client->dropped = true;
    else if (size > RKB_CONTROL_LINE_MAX)
        refuse_long_line(client);
    else if (rkb_command_upload(rkb_slice(line, size), &sizes))
        begin_upload(client, &sizes);
    else
        answer(client, rkb_slice(line, size));
    free(line);
    return !client->closing && !client->dropped;
}

/* The rest gets its turn when these are written. */
static void answer_some(struct client *client)
{
    struct evbuffer *output = bufferevent_get_output(client->connection);
    size_t answers = 0;
    while (!client->control->doomed && answers < ANSWERS_PER_TURN && answer_next(client))
        answers = evbuffer_get_length(output) > OUTPUT_PER_TURN ? ANSWERS_PER_TURN : answers + 1;
}

static void take_turn(struct client *client)
{
    struct rkb_control *control = client->control;
    control->inside = true;
    if (!client->closing)
        answer_some(client);
    control->inside = false;
    if (control->doomed)
        rkb_control_free(control);
    else if (client->dropped ||
             (client->closing && evbuffer_get_length(bufferevent_get_output(client->connection)) == 0))
        client_free(client);
}

/* Called for what was read, and when all is written. */
static void on_progress(struct bufferevent *connection, void *context)
{
    (void)connection;
    take_turn(context);
}

static void on_event(struct bufferevent *connection, short what, void *context)
{
    struct client *client = context;
    (void)connection;
    if ((what & BEV_EVENT_EOF) != 0 && (what & BEV_EVENT_READING) != 0) {
        client->ended = true;
        take_turn(client);
    } else {
        client_free(client);
    }
}

static void refuse(evutil_socket_t fd)
{
    static const char answer_text[] = "ERROR too_many_clients at most 32 clients at a time\n";
    (void)!send(fd, answer_text, sizeof answer_text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    evutil_closesocket(fd);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *context)
{
    struct rkb_control *control = context;
    struct event_base *base = evconnlistener_get_base(listener);
    (void)address;
    (void)size;
    struct client *client = control->client_count < RKB_CONTROL_CLIENTS_MAX ? calloc(1, sizeof *client) : NULL;
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
    TAILQ_INSERT_TAIL(&control->clients, client, link);
    control->client_count++;
    bufferevent_setcb(client->connection, on_progress, on_progress, on_event, client);
    bufferevent_setwatermark(client->connection, EV_READ, 0, 2 * RKB_CONTROL_LINE_MAX);
    bufferevent_enable(client->connection, EV_READ | EV_WRITE);
}

/* No descriptor left, or the like: not to spin, accepting rests for a moment. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
    struct rkb_control *control = context;
    evconnlistener_disable(listener);
    event_add(control->accept_again, &(struct timeval){0, ACCEPT_PAUSE_US});
}

static void on_accept_again(evutil_socket_t fd, short what, void *context)
{
    struct rkb_control *control = context;
    (void)fd;
    (void)what;
    evconnlistener_enable(control->listener);
}

static int new_socket(struct rkb_error *error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        rkb_fail_errno(error, "control socket");
    return fd;
}

/* Removes the socket file of one who is gone; false if somebody answers there, or nobody can tell. */
static bool remove_stale(const struct sockaddr_un *address, struct rkb_error *error)
{
    struct stat there;
    if (lstat(address->sun_path, &there) != 0)
        return errno == ENOENT || rkb_fail_errno(error, "control socket %s", address->sun_path);
    if (!S_ISSOCK(there.st_mode))
        return rkb_fail(error, RKB_USAGE,
                        "control socket %s: there is a file of that name that is no socket; it is left alone",
                        address->sun_path);
    int fd = new_socket(error);
    if (fd < 0)
        return false;
    int answered = connect(fd, (const struct sockaddr *)address, sizeof *address), number = errno;
    close(fd);
    if (answered == 0 || number == EAGAIN)
        return rkb_fail(error, RKB_LOCKED, "control socket %s is in use: another rkbridge listens there",
                        address->sun_path);
    errno = number;
    if (number != ECONNREFUSED || unlink(address->sun_path) != 0)
        return rkb_fail_errno(error, "control socket %s: what is left there cannot be replaced", address->sun_path);
    return true;
}

/* A bound socket, its file with its final mode from the start; -1 and *error when that cannot be. */
static int bind_socket(struct rkb_control *control, struct rkb_error *error)
{
    int fd = new_socket(error);
    if (fd < 0)
        return -1;
    mode_t before = umask(~control->options.mode & 0777);
    int bound = bind(fd, (const struct sockaddr *)&control->address, sizeof control->address), number = errno;
    umask(before);
    struct stat made;
    errno = number;
    if (bound != 0 || stat(control->address.sun_path, &made) != 0) {
        rkb_fail_errno(error, "control socket %s", control->address.sun_path);
        close(fd);
        return -1;
    }
    control->device = made.st_dev;
    control->inode = made.st_ino;
    return fd;
}

static bool listen_on(struct rkb_control *control, struct event_base *base, struct rkb_error *error)
{
    int fd = remove_stale(&control->address, error) ? bind_socket(control, error) : -1;
    if (fd < 0)
        return false;
    control->listener = evconnlistener_new(base, on_accept, control, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
                                           BACKLOG, fd);
    control->accept_again = evtimer_new(base, on_accept_again, control);
    control->upload.deadline = evtimer_new(base, on_upload_late, control);
    if (control->listener == NULL)
        close(fd);
    if (control->listener == NULL || control->accept_again == NULL || control->upload.deadline == NULL)
        return rkb_fail(error, RKB_SYSTEM, "control socket %s cannot listen", control->address.sun_path);
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
    control->address.sun_family = AF_UNIX;
    TAILQ_INIT(&control->clients);
    size_t size = strlen(options->path);
    bool fits = size < sizeof control->address.sun_path;
    if (fits)
        memcpy(control->address.sun_path, options->path, size);
    else
        rkb_fail(error, RKB_USAGE, "control socket %s: a path of a socket is at most %zu bytes long", options->path,
                 sizeof control->address.sun_path - 1);
    if (!fits || !listen_on(control, base, error)) {
        rkb_control_free(control);
        return NULL;
    }
    control->options.path = control->address.sun_path;
    return control;
}

static void remove_own(const struct rkb_control *control)
{
    struct stat there;
    if (control->inode != 0 && lstat(control->address.sun_path, &there) == 0 && there.st_dev == control->device
        && there.st_ino == control->inode)
        unlink(control->address.sun_path);
}

void rkb_control_free(struct rkb_control *control)
{
    if (control == NULL)
        return;
    if (control->inside) {
        control->doomed = true;
        return;
    }
    while (!TAILQ_EMPTY(&control->clients))
        client_free(TAILQ_FIRST(&control->clients));
    remove_own(control);
    if (control->listener != NULL)
        evconnlistener_free(control->listener);
    if (control->accept_again != NULL)
        event_free(control->accept_again);
    if (control->upload.deadline != NULL)
        event_free(control->upload.deadline);
    free(control);
}
