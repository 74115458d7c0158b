/*
 * watching -- see client.h: the log's events, a line each, for clients that stay.
 *
 *     any thread: rkb_log --line--> the log's memory --eventfd--> loop: each watcher reads on
 *                                                               from the number it has seen
 *
 * A watcher is a number: it costs the log nothing, and no memory but what it has not read yet, at
 * most WAITING_MOST. One that does not read is not waited for: the log's memory goes on, and the
 * next line it gets says how many it missed.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/recent.h"
#include "control/client.h"

#define WAITING_MOST ((size_t)64 * 1024)

static void say_missed(struct rkb_client *client, uint64_t count, struct rkb_buffer *out)
{
    rkb_buffer_format(out, client->json ? "{\"missed\":%llu}\n" : "missed: %llu events came faster than you read\n",
                      (unsigned long long)count);
}

void rkb_watching_feed(struct rkb_client *client)
{
    struct rkb_recent *events = rkb_log_kept(client->control->options.log, RKB_LOG_EVENTS);
    struct evbuffer *output = bufferevent_get_output(client->connection);
    struct rkb_recent_line line;
    while (evbuffer_get_length(output) < WAITING_MOST && rkb_recent_next(events, client->seen, &line)) {
        char text[RKB_LOG_LINE_SIZE];
        struct rkb_buffer out = {0};
        if (line.number > client->seen + 1)
            say_missed(client, line.number - client->seen - 1, &out);
        rkb_buffer_add(&out, text, rkb_recent_compose(&line, client->json ? RKB_LOG_JSON : RKB_LOG_TEXT, text));
        rkb_client_send(client, &out);
        client->seen = line.number;
        if (client->dropped)
            return;
    }
}

static void on_events(evutil_socket_t fd, short what, void *context)
{
    struct rkb_control *control = context;
    struct rkb_client *client;
    uint64_t count;
    (void)what;
    if (read((int)fd, &count, sizeof count) < 0)
        return;
    TAILQ_FOREACH(client, &control->clients, link) {
        if (client->watches)
            rkb_watching_feed(client);
    }
    rkb_client_free_dropped(control);
}

static bool listen_to_log(struct rkb_control *control)
{
    if (control->watch_event != NULL)
        return true;
    if (control->watch_fd < 0)
        control->watch_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (control->watch_fd < 0)
        return false;
    control->watch_event = event_new(evconnlistener_get_base(control->listener), control->watch_fd,
                                     EV_READ | EV_PERSIST, on_events, control);
    return control->watch_event != NULL && event_add(control->watch_event, NULL) == 0;
}

void rkb_watching_begin(struct rkb_client *client, bool json)
{
    struct rkb_control *control = client->control;
    struct rkb_buffer refusal = {0};
    if (control->watchers == RKB_CONTROL_WATCHERS_MAX)
        rkb_client_make_room(control, true);
    if (control->options.log == NULL)
        rkb_command_error(&refusal, "not_here", "there is no log to watch");
    else if (control->watchers == RKB_CONTROL_WATCHERS_MAX)
        rkb_command_error(&refusal, "busy", "at most 8 clients watch at a time");
    else if (!listen_to_log(control))
        rkb_command_error(&refusal, "no_memory", "no memory or descriptors to watch");
    if (refusal.size > 0 || refusal.failed) {
        rkb_client_send(client, &refusal);
        return;
    }
    client->watches = true;
    client->json = json;
    client->ticket = ++control->last_ticket;
    client->seen = rkb_recent_newest(rkb_log_kept(control->options.log, RKB_LOG_EVENTS));
    if (control->watchers++ == 0)
        rkb_log_watch(control->options.log, control->watch_fd);
}

void rkb_watching_end(struct rkb_client *client)
{
    struct rkb_control *control = client->control;
    if (!client->watches)
        return;
    client->watches = false;
    if (--control->watchers == 0)
        rkb_log_watch(control->options.log, -1);
}

void rkb_watching_stop(struct rkb_control *control)
{
    if (control->watch_event != NULL)
        event_free(control->watch_event);
    if (control->watch_fd >= 0)
        close(control->watch_fd);
}
