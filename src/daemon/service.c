/*
 * service -- see service.h.
 *
 * What the manager should know is a state; what it was told is another. Where they differ, the
 * datagram of the one that should be known is sent; a socket that takes none now is no error, the next
 * tick compares again. So nothing queues up.
 */
#include "daemon/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "control/verdict.h"

#define READY_AT_LATEST_US 10000000
#define STATUS_EVERY_US 5000000
#define STATUS_SIZE 480
#define CLOSING_US 15000000         /* for the last sync and the files, after the drain */

enum state { NOTHING, STARTING, READY, RELOADING, STOPPING };

struct rkb_service {
    struct rkb_service_options options;
    struct sockaddr_un address;
    socklen_t address_size;
    int fd;
    enum state now, told;
    bool complained;
    int64_t watched_us, status_us, within_us;      /* monotonic: since when it is watched; last status */
    char status[STATUS_SIZE];                      /* that was sent last */
    const struct rkb_snapshot *(*snapshot)(void *context);
    void *context;
    struct event *watchdog;
};

void rkb_service_environment(struct rkb_service_options *options)
{
    const char *period = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    options->socket = getenv("NOTIFY_SOCKET");
    options->watchdog_us = 0;
    if (period != NULL && (pid == NULL || strtoll(pid, NULL, 10) == getpid()))
        options->watchdog_us = strtoll(period, NULL, 10);
}

/* ---- datagrams ---- */

/* False: it was not taken; what has to be known is sent again. */
static bool send_text(struct rkb_service *service, const char *text)
{
    if (send(service->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
        service->complained = false;
        return true;
    }
    int why = errno;
    if (why == ECONNREFUSED || why == ENOTCONN)     /* it was made anew: the next one is for that */
        (void)!connect(service->fd, (struct sockaddr *)&service->address, service->address_size);
    if (why != EAGAIN && !service->complained) {
        rkb_log(service->options.log, RKB_LOG_WARN, "service", "unheard",
                "cannot tell the service manager at %s how it is: %s; trying again", service->options.socket,
                strerror(why));
        service->complained = true;
    }
    return false;
}

static void tell_state(struct rkb_service *service)
{
    if (service->now == service->told)
        return;
    char text[120];
    switch (service->now) {
    case NOTHING:
        return;
    case STARTING:
        snprintf(text, sizeof text, "STATUS=starting: reading the journal");
        break;
    case READY:
        snprintf(text, sizeof text, "READY=1");
        break;
    case RELOADING:
        snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
                 (long long)service->options.sys->monotonic_us());
        break;
    case STOPPING:
        snprintf(text, sizeof text, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld",
                 (long long)(service->within_us + CLOSING_US));
        break;
    }
    if (send_text(service, text))
        service->told = service->now;
}

static void become(struct rkb_service *service, enum state state)
{
    service->now = state;
    tell_state(service);
}

/* One line of valid UTF-8, or the manager does not take it: other bytes than ASCII's printable ones become `?`. */
static void tell_status(struct rkb_service *service, const struct rkb_snapshot *snapshot)
{
    struct rkb_judgement room;
    const struct rkb_judgement *verdict = rkb_verdict_of(snapshot, &room);
    char text[STATUS_SIZE];
    snprintf(text, sizeof text, "STATUS=%s: %s", rkb_severity_word(verdict->severity), rkb_verdict_why(verdict));
    for (char *at = text; *at != '\0'; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    if (strcmp(text, service->status) != 0 && send_text(service, text))
        memcpy(service->status, text, sizeof text);
}

/* ---- what the loop tells ---- */

void rkb_service_tick(struct rkb_service *service)
{
    if (service == NULL)
        return;
    int64_t now_us = service->options.sys->monotonic_us();
    bool starting = service->now == STARTING;
    if (starting || now_us - service->status_us >= STATUS_EVERY_US) {
        const struct rkb_snapshot *snapshot = service->snapshot(service->context);
        if (starting && (snapshot->ready || now_us - service->watched_us >= READY_AT_LATEST_US))
            service->now = READY;
        service->status_us = now_us;
        tell_status(service, snapshot);
    }
    tell_state(service);
}

static void on_watchdog(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    (void)send_text(context, "WATCHDOG=1");
}

void rkb_service_watch(struct rkb_service *service, const struct rkb_snapshot *(*snapshot)(void *context),
                       void *context)
{
    if (service == NULL)
        return;
    int64_t half = service->options.watchdog_us / 2;
    struct timeval period = {half / 1000000, half % 1000000};
    service->snapshot = snapshot;
    service->context = context;
    service->watched_us = service->options.sys->monotonic_us();
    if (half > 0 && event_add(service->watchdog, &period) < 0)
        rkb_log(service->options.log, RKB_LOG_WARN, "service", "unheard",
                "no timer for the watchdog: the service manager will think that the loop stands still");
}

/* ---- what others tell ---- */

void rkb_service_reloading(struct rkb_service *service)
{
    if (service != NULL && service->now == READY)
        become(service, RELOADING);
}

void rkb_service_reloaded(struct rkb_service *service)
{
    if (service != NULL && service->now == RELOADING)
        become(service, READY);
}

void rkb_service_stopping(struct rkb_service *service, int64_t within_us)
{
    if (service == NULL || service->now == STOPPING)
        return;
    service->within_us = within_us;
    become(service, STOPPING);
}

/* ---- life ---- */

static bool set_address(struct rkb_service *service, const char *path)
{
    size_t size = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || size >= sizeof service->address.sun_path) {
        errno = EINVAL;
        return false;
    }
    service->address.sun_family = AF_UNIX;
    memcpy(service->address.sun_path, path, size);
    if (path[0] == '@')
        service->address.sun_path[0] = '\0';
    service->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (path[0] == '/'));
    return true;
}

struct rkb_service *rkb_service_new(struct event_base *base, const struct rkb_service_options *options)
{
    if (options->socket == NULL || options->socket[0] == '\0')
        return NULL;
    struct rkb_service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return NULL;
    service->options = *options;
    service->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    service->watchdog = event_new(base, -1, EV_PERSIST, on_watchdog, service);
    if (service->fd < 0 || service->watchdog == NULL || !set_address(service, options->socket)
        || connect(service->fd, (struct sockaddr *)&service->address, service->address_size) < 0) {
        rkb_log(options->log, RKB_LOG_WARN, "service", "unheard",
                "cannot speak to the service manager at %s (NOTIFY_SOCKET): %s", options->socket, strerror(errno));
        rkb_service_free(service);
        return NULL;
    }
    become(service, STARTING);
    return service;
}

void rkb_service_free(struct rkb_service *service)
{
    if (service == NULL)
        return;
    if (service->watchdog != NULL)
        event_free(service->watchdog);
    if (service->fd >= 0)
        close(service->fd);
    free(service);
}
