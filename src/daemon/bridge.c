/* bridge -- see bridge.h. */
#include "daemon/bridge.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/http.h"
#include "control/socket.h"
#include "daemon/admin.h"
#include "daemon/reload.h"
#include "daemon/ending.h"
#include "daemon/retry.h"
#include "daemon/service.h"
#include "daemon/store.h"
#include "daemon/topics.h"
#include "daemon/view.h"

struct bridge {
    const struct rkb_config *config;
    struct rkb_log *log;
    struct event_base *base;
    struct rkb_store store;
    struct rkb_relay relay;
    struct rkb_shipper *shipper;
    struct rkb_shipper_route *shipper_routes;       /* by route number */
    struct rkb_topics *topics;
    struct rkb_view *view;
    struct rkb_control *control;
    struct rkb_http *http;
    struct rkb_reload *reload;
    struct rkb_admin admin;
    struct rkb_pauses *pauses;
    struct rkb_service *service;    /* NULL: no service manager listens */
    struct rkb_ending *ending;
    int loop_fd;
    struct event *loop_event, *tick, *signals[3];
    bool broken, clean, refused;
    int exit_code;                  /* where opening fails */
};

static void leave(void *context)
{
    struct bridge *bridge = context;
    event_base_loopexit(bridge->base, NULL);
}

/* ---- the way out ---- */

static void on_end(void *context, int64_t within_us)
{
    struct bridge *bridge = context;
    bridge->relay.ending = true;
    rkb_service_stopping(bridge->service, within_us);
}

static void on_unsubscribed(void *context)
{
    struct bridge *bridge = context;
    rkb_ending_unsubscribed(bridge->ending);
}

static void unsubscribe(void *context, int64_t within_us)
{
    struct bridge *bridge = context;
    rkb_view_draining(bridge->view);
    rkb_reload_stop(bridge->reload);
    rkb_relay_stop(&bridge->relay, within_us, on_unsubscribed, bridge);
}

static void ship_what_waits(void *context)
{
    struct bridge *bridge = context;
    rkb_shipper_drain(bridge->shipper);
}

static bool open_ending(struct bridge *bridge, struct rkb_error *error)
{
    struct rkb_ending_options options = {
        .log = bridge->log,
        .sys = &rkb_sys_posix,
        .linger_us = bridge->config->linger,
        .timeout_us = bridge->config->shutdown_timeout,
        .begun = on_end,
        .unsubscribe = unsubscribe,
        .drain = ship_what_waits,
        .leave = leave,
        .context = bridge,
    };
    bridge->ending = rkb_ending_new(bridge->base, &options);
    return bridge->ending != NULL || rkb_fail(error, RKB_NO_MEMORY, "no memory for the way out");
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
    (void)what;
    struct bridge *bridge = context;
    rkb_ending_ask(bridge->ending, number == SIGINT ? "SIGINT" : "SIGTERM");
}

/* For the command drain. */
static bool drain(void *context)
{
    struct bridge *bridge = context;
    if (rkb_ending_begun(bridge->ending))
        return false;
    rkb_ending_ask(bridge->ending, "drain on the control socket");
    return true;
}

/* Not all that must be subscribed to may be. What waits stays in the journal. */
static void on_refused(void *context)
{
    struct bridge *bridge = context;
    bridge->refused = true;
    leave(bridge);
}

/* The last line says what is left. */
static int say_goodbye(struct bridge *bridge)
{
    const struct rkb_snapshot *snapshot = rkb_view_snapshot(bridge->view);
    uint64_t left = snapshot->totals.pending + snapshot->notices_pending;
    rkb_admin_ended(&bridge->admin, left);
    if (left == 0) {
        rkb_log(bridge->log, RKB_LOG_INFO, "rkbridge", "ended", "done: nothing is left in the journal");
        return RKB_EXIT_DRAINED;
    }
    rkb_log(bridge->log, RKB_LOG_WARN, "rkbridge", "ended",
            "done: %llu records are left in the journal at %s; the next start ships them",
            (unsigned long long)left, bridge->config->journal.directory);
    return RKB_EXIT_LEFT;
}

/* ---- events of the loop ---- */

static void on_shipper(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct bridge *bridge = context;
    uint64_t count;
    struct rkb_error error;
    rkb_turn_begin(&bridge->relay.turn);
    if (read((int)fd, &count, sizeof count) < 0)
        return;
    if (rkb_shipper_failed(bridge->shipper, &error)) {
        rkb_log(bridge->log, RKB_LOG_ERROR, "journal", "promise_broken",
                "%s; ending, the next start goes on from what is on disk", error.text);
        bridge->broken = true;
        leave(bridge);
        return;
    }
    rkb_relay_look(&bridge->relay);
    rkb_admin_kept(&bridge->admin);
    rkb_reload_look(bridge->reload);
    if (rkb_shipper_drained(bridge->shipper))
        rkb_ending_drained(bridge->ending);
}

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct bridge *bridge = context;
    rkb_view_tick(bridge->view);
    rkb_admin_tick(&bridge->admin);
    rkb_reload_tick(bridge->reload);
    rkb_service_tick(bridge->service);
}

static void on_hangup(evutil_socket_t number, short what, void *context)
{
    (void)number;
    (void)what;
    struct bridge *bridge = context;
    (void)rkb_reload_ask(bridge->reload, 0);
}

static bool add_events(struct bridge *bridge)
{
    static const struct timeval second = {1, 0};
    struct event_base *base = bridge->base;
    bridge->loop_event = event_new(base, bridge->loop_fd, EV_READ | EV_PERSIST, on_shipper, bridge);
    bridge->tick = event_new(base, -1, EV_PERSIST, on_tick, bridge);
    bridge->signals[0] = evsignal_new(base, SIGTERM, on_signal, bridge);
    bridge->signals[1] = evsignal_new(base, SIGINT, on_signal, bridge);
    bridge->signals[2] = evsignal_new(base, SIGHUP, on_hangup, bridge);
    struct event *all[] = {bridge->loop_event, bridge->signals[0], bridge->signals[1], bridge->signals[2]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] == NULL || event_add(all[i], NULL) < 0)
            return false;
    }
    sigset_t hangup;                    /* main.c has held it back */
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    sigprocmask(SIG_UNBLOCK, &hangup, NULL);
    return bridge->tick != NULL && event_add(bridge->tick, &second) == 0;
}

/* ---- opening ---- */

/* Errors of this step, unless they are about memory, are the journal's: exit code 73. */
static bool open_store(struct bridge *bridge, struct rkb_error *error)
{
    bool opened = rkb_store_open(&bridge->store, bridge->config, rkb_relay_append_gap, &bridge->relay, bridge->log,
                                 error);
    if (!opened)
        bridge->exit_code = error->code == RKB_NO_MEMORY ? RKB_EXIT_FAILED : RKB_EXIT_JOURNAL;
    return opened;
}

/* What the shipper has to know of the config's routes; those that only the journal knows are left empty. */
static bool list_routes(struct bridge *bridge, struct rkb_error *error)
{
    const struct rkb_relay *relay = &bridge->relay;
    bridge->shipper_routes = calloc(relay->tally_count + 1, sizeof *bridge->shipper_routes);
    if (bridge->shipper_routes == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for %u routes", relay->tally_count);
    rkb_reload_routes(relay, relay->routing, bridge->shipper_routes);
    return true;
}

static bool open_shipper(struct bridge *bridge, const struct rkb_properties *properties, struct rkb_error *error)
{
    struct rkb_shipper_options options = {
        .ring = bridge->store.ring,
        .journal = bridge->store.journal,
        .ledger = bridge->store.ledger,
        .pauses = bridge->pauses,
        .properties = properties,
        .topics = bridge->topics,
        .sync_us = bridge->config->journal.sync,
        .exit_on_disk_error = bridge->config->journal.on_disk_error == RKB_DISK_ERROR_EXIT,
        .route_limit = bridge->relay.tally_count,
        .topic_limit = bridge->relay.topic_limit,
        .routes = bridge->shipper_routes,
        .dead = bridge->store.dead,
        .refuse_after_us = bridge->config->kafka.refuse_after,
        .watchdog_us = bridge->config->kafka.watchdog,
        .loop_fd = bridge->loop_fd,
        .log = bridge->log,
        .sys = &rkb_sys_posix,
    };
    bridge->shipper = rkb_shipper_start(&options, error);
    return bridge->shipper != NULL;
}

/* In the topics' thread. */
static void on_topic_ready(void *context)
{
    struct bridge *bridge = context;
    rkb_shipper_wake(bridge->shipper);
}

static bool open_topics(struct bridge *bridge, const struct rkb_properties *properties, bool embedded,
                        struct rkb_error *error)
{
    struct rkb_topics_options options = {
        .config = bridge->config, .properties = properties, .embedded = embedded, .log = bridge->log,
        .named = bridge->relay.topic_limit};
    bridge->topics = rkb_topics_new(&options, error);
    return bridge->topics != NULL;
}

/* Of a dead letter that comes back: the largest payload there may be, and its headers. */
static size_t upload_limit(const struct rkb_config *config)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < config->source_count; i++)
        if (config->sources[i].max_message_size > largest)
            largest = config->sources[i].max_message_size;
    return (size_t)largest + RKB_CONTROL_UPLOAD_HEADERS;
}

static bool open_control(struct bridge *bridge, const char *bootstrap_servers, struct rkb_error *error)
{
    const struct rkb_config *config = bridge->config;
    struct rkb_view_options view = {
        .config = config,
        .relay = &bridge->relay,
        .shipper = bridge->shipper,
        .topics = bridge->topics,
        .gaps = bridge->store.gaps,
        .pauses = bridge->pauses,
        .ending = bridge->ending,
        .ring = bridge->store.ring,
        .log = bridge->log,
        .bootstrap_servers = bootstrap_servers,
        .sys = &rkb_sys_posix,
    };
    bridge->view = rkb_view_new(&view);
    if (bridge->view == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for the figures");
    struct rkb_control_options control = {
        .path = config->control.socket, .mode = config->control.socket_mode, .snapshot = rkb_view_snapshot,
        .context = bridge->view, .retry = rkb_retry, .retry_context = &bridge->relay,
        .upload_limit = upload_limit(config), .log = bridge->log, .act = rkb_admin_act, .asked = rkb_admin_asked,
        .act_context = &bridge->admin,
        .rights = rkb_admin_rights(config)};
    if (!rkb_config_make_directory(config, error))
        return false;
    bridge->control = rkb_control_new(bridge->base, &control, error);
    if (bridge->control == NULL)
        return false;
    bridge->admin = (struct rkb_admin){.config = config, .log = bridge->log, .control = bridge->control,
                                       .view = bridge->view, .relay = &bridge->relay, .pauses = bridge->pauses,
                                       .drain = drain, .bridge = bridge};
    if (config->http.listen == NULL)
        return true;
    struct rkb_http_options http = {.listen = config->http.listen, .all = config->http.expose == 1,
                                    .sys = &rkb_sys_posix, .snapshot = rkb_view_snapshot, .context = bridge->view};
    bridge->http = rkb_http_new(bridge->base, &http, error);
    return bridge->http != NULL;
}

/* Another config is in force: what asks for its settings each time is to ask that one. */
static void on_taken(void *context, const struct rkb_config *config)
{
    struct bridge *bridge = context;
    if (config->log.level != bridge->config->log.level)
        rkb_log_set_level(bridge->log, (enum rkb_log_level)config->log.level, NULL);
    bridge->config = bridge->admin.config = config;
    struct rkb_rights rights = rkb_admin_rights(config);
    rkb_control_rights(bridge->control, &rights);
    rkb_ending_times(bridge->ending, config->linger, config->shutdown_timeout);
}

static void on_reload(void *context, bool runs)
{
    struct bridge *bridge = context;
    if (runs)
        rkb_service_reloading(bridge->service);
    else
        rkb_service_reloaded(bridge->service);
}

static bool open_reload(struct bridge *bridge, const char *file, bool embedded, struct rkb_error *error)
{
    struct rkb_reload_options options = {
        .file = file,
        .embedded = embedded,
        .base = bridge->base,
        .relay = &bridge->relay,
        .shipper = bridge->shipper,
        .routes = bridge->shipper_routes,
        .topics = bridge->topics,
        .view = bridge->view,
        .control = bridge->control,
        .log = bridge->log,
        .sys = &rkb_sys_posix,
        .taken = on_taken,
        .runs = on_reload,
        .context = bridge,
    };
    bridge->reload = rkb_reload_new(&options, error);
    bridge->admin.reload = bridge->reload;
    return bridge->reload != NULL;
}

/* What rested when the instance before us ended rests on. A file that does not read is said, and no reason to end. */
static bool open_pauses(struct bridge *bridge, struct rkb_error *error)
{
    struct rkb_error unread;
    struct rkb_pause_list list;
    size_t forgotten;
    bridge->pauses = rkb_pauses_new(bridge->config->journal.directory, &rkb_sys_posix);
    if (bridge->pauses == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for what is paused");
    bridge->relay.pauses = bridge->pauses;
    if (!rkb_pauses_load(bridge->pauses, bridge->relay.dictionary, &forgotten, &unread))
        rkb_log(bridge->log, RKB_LOG_ERROR, "journal", "pauses_unread", "%s", unread.text);
    rkb_pauses_list(bridge->pauses, &list);
    for (size_t i = 0; i < list.count; i++) {
        const char *kind = list.list[i].is_topic ? "topic" : "route", *name = list.list[i].name;
        rkb_log(bridge->log, RKB_LOG_WARN, "rkbridge", "paused",
                "%s %s is still paused: what comes for it waits in the journal, until rkbctl resume %s %s",
                kind, name, kind, name);
    }
    return true;
}

static bool open_relay(struct bridge *bridge, struct rkb_error *error)
{
    struct rkb_relay_options options = {
        .config = bridge->config,
        .base = bridge->base,
        .store = &bridge->store,
        .log = bridge->log,
        .sys = &rkb_sys_posix,
        .refused = on_refused,
        .refused_context = bridge,
    };
    return rkb_relay_init(&bridge->relay, &options, error);
}

static struct rkb_service *open_service(struct bridge *bridge)
{
    struct rkb_service_options options = {.log = bridge->log, .sys = &rkb_sys_posix};
    rkb_service_environment(&options);
    return rkb_service_new(bridge->base, &options);
}

static bool open_all(struct bridge *bridge, const char *file, const struct rkb_properties *properties,
                     const char *bootstrap_servers, bool embedded, struct rkb_error *error)
{
    bridge->base = event_base_new();
    bridge->loop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bridge->base == NULL || bridge->loop_fd < 0)
        return rkb_fail_errno(error, "cannot make the event loop");
    bridge->service = open_service(bridge);
    return open_ending(bridge, error) && open_store(bridge, error) && open_relay(bridge, error)
        && open_pauses(bridge, error)
        && open_topics(bridge, properties, embedded, error) && list_routes(bridge, error)
        && open_shipper(bridge, properties, error)
        && rkb_topics_start(bridge->topics, on_topic_ready, bridge, error)
        && open_control(bridge, bootstrap_servers, error) && open_reload(bridge, file, embedded, error)
        && (add_events(bridge) || rkb_fail(error, RKB_NO_MEMORY, "cannot add the loop's events"));
}

/* ---- closing ---- */

static void free_events(struct bridge *bridge)
{
    struct event *all[] = {bridge->loop_event, bridge->tick,
                           bridge->signals[0], bridge->signals[1], bridge->signals[2]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] != NULL)
            event_free(all[i]);
    }
}

static void close_all(struct bridge *bridge)
{
    rkb_reload_free(bridge->reload);
    if (bridge->http != NULL)
        rkb_http_free(bridge->http);
    if (bridge->control != NULL)
        rkb_control_free(bridge->control);
    rkb_topics_free(bridge->topics);        /* it wakes the shipper */
    if (bridge->shipper != NULL)
        rkb_shipper_free(bridge->shipper);
    free(bridge->shipper_routes);
    rkb_view_free(bridge->view);
    rkb_pauses_free(bridge->pauses);
    rkb_relay_free(&bridge->relay);
    rkb_store_close(&bridge->store, bridge->clean);
    rkb_ending_free(bridge->ending);
    rkb_service_free(bridge->service);
    free_events(bridge);
    if (bridge->loop_fd >= 0)
        close(bridge->loop_fd);
    if (bridge->base != NULL)
        event_base_free(bridge->base);
}

static int run(struct bridge *bridge)
{
    struct rkb_error error;
    size_t routes = bridge->config->route_count - bridge->config->canary_count;
    rkb_relay_start(&bridge->relay, bridge->shipper);
    rkb_log(bridge->log, RKB_LOG_INFO, "rkbridge", "started", "version " PACKAGE_VERSION ", instance %s, %zu route%s",
            bridge->config->instance, routes, routes == 1 ? "" : "s");
    rkb_service_watch(bridge->service, rkb_view_snapshot, bridge->view);
    rkb_turn_dispatch(&bridge->relay.turn, bridge->base);
    rkb_service_stopping(bridge->service, 0);
    /* From here on a signal ends the process as it ends any: nobody turns the loop that would hear it. */
    for (size_t i = 0; i < sizeof bridge->signals / sizeof bridge->signals[0]; i++)
        event_del(bridge->signals[i]);
    rkb_topics_quit(bridge->topics);
    bridge->clean = rkb_shipper_stop(bridge->shipper, &error);
    if (!bridge->clean && !bridge->broken) {
        rkb_log(bridge->log, RKB_LOG_ERROR, "journal", "promise_broken", "%s", error.text);
        bridge->broken = true;
    }
    if (bridge->broken)
        return RKB_EXIT_BROKEN;
    int code = say_goodbye(bridge);
    return bridge->refused ? RKB_EXIT_FAILED : code;
}

int rkb_bridge_run(const char *file, const struct rkb_config *config, const struct rkb_properties *properties,
                   const char *bootstrap_servers, bool embedded, struct rkb_log *log)
{
    struct bridge bridge = {.config = config, .log = log, .loop_fd = -1, .exit_code = RKB_EXIT_FAILED};
    struct rkb_error error = {0};
    int code;
    if (open_all(&bridge, file, properties, bootstrap_servers, embedded, &error)) {
        code = run(&bridge);
    } else {
        code = bridge.exit_code;
        rkb_log(log, RKB_LOG_ERROR, "rkbridge", "start_failed", "%s", error.text);
        bridge.clean = bridge.shipper != NULL && rkb_shipper_stop(bridge.shipper, &error);
        if (bridge.shipper != NULL && !bridge.clean)
            rkb_log(log, RKB_LOG_ERROR, "journal", "promise_broken", "%s", error.text);
    }
    close_all(&bridge);
    return code;
}
