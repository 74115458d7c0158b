/* reload -- see reload.h. */
#include "daemon/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "config/difference.h"
#include "daemon/reload_read.h"
#include "daemon/relay_reload.h"

#define WAITS_US 5000000            /* a change that takes longer is said to wait */
#define OWN_LINES 8                 /* of the log: what is more shares lines, since it holds back what is repeated */
#define SHARED_LINE 2000

struct tickets {
    uint64_t *list;
    size_t count, room;
};

struct rkb_reload {
    struct rkb_reload_options options;
    int wake_fd;
    struct event *wake;
    struct rkb_reading_job *job;                /* while it reads */
    struct rkb_error error;                     /* why none could be begun */
    bool running;                               /* from being asked to what came of it */
    bool changing, again, stopping;
    struct tickets asking, next;                /* of this run, and of the one behind it */
    struct rkb_difference difference;           /* while it changes */
    const struct rkb_shipper_route *routes;     /* what the shipper was offered last */
    uint32_t route_count;
    int64_t since_us;                           /* monotonic: when the change began; 0: it was said that it waits */
};

/* ---- who asked ---- */

static void add_ticket(struct tickets *tickets, uint64_t ticket)
{
    if (ticket == 0)
        return;
    if (tickets->count == tickets->room) {
        size_t room = tickets->room > 0 ? 2 * tickets->room : 8;
        uint64_t *list = realloc(tickets->list, room * sizeof *list);
        if (list == NULL)
            return;
        tickets->list = list;
        tickets->room = room;
    }
    tickets->list[tickets->count++] = ticket;
}

/* The lines, and how it ended: code NULL is well. */
static void answer(struct rkb_reload *reload, const struct rkb_buffer *lines, const char *code, const char *text)
{
    for (size_t i = 0; reload->options.control != NULL && i < reload->asking.count; i++) {
        struct rkb_buffer copy = {0};
        if (lines->size > 0) {
            rkb_buffer_add(&copy, lines->data, lines->size);
            rkb_buffer_text(&copy, "\n");
            rkb_control_say(reload->options.control, reload->asking.list[i], &copy);
        }
        rkb_buffer_free(&copy);
        rkb_control_finish(reload->options.control, reload->asking.list[i], code, text);
    }
    reload->asking.count = 0;
}

/* ---- what is said ---- */

static void say_refused(struct rkb_log *log, const char *line)
{
    rkb_log(log, RKB_LOG_ERROR, "config", "reload_refused", "%s", line);
}

static void say_warning(struct rkb_log *log, const char *line)
{
    rkb_log(log, RKB_LOG_WARN, "config", "config_warning", "%s", line);
}

/* The end of this line, or where lines may share one, of the last that fits. */
static const char *line_end(const char *at, const char *end, bool shared)
{
    const char *stop = memchr(at, '\n', (size_t)(end - at)), *more = stop;
    while (shared && more != NULL && more - at < SHARED_LINE) {
        stop = more;
        more = memchr(more + 1, '\n', (size_t)(end - more - 1));
    }
    if (stop == NULL || (shared && more == NULL && end - at < SHARED_LINE))
        stop = end;
    return stop;
}

/* A line of the log for each of the first, then as many as fit for the others. */
static void log_lines(struct rkb_log *log, const struct rkb_buffer *lines,
                      void (*say)(struct rkb_log *log, const char *line))
{
    const char *at = (const char *)lines->data, *end = at + lines->size, *stop;
    for (size_t count = 0; at < end; count++, at = stop + 1) {
        char text[3000];
        stop = line_end(at, end, count >= OWN_LINES);
        snprintf(text, sizeof text, "%.*s", (int)(stop - at), at);
        for (char *newline = text; (newline = strchr(newline, '\n')) != NULL;)
            *newline = ' ';
        say(log, text);
    }
}

static void end_run(struct rkb_reload *reload);

/* The first line, and how many more there are. */
static void tell_view(struct rkb_reload *reload, const struct rkb_buffer *lines, size_t count)
{
    char why[240];
    const char *first = (const char *)lines->data, *stop = line_end(first, first + lines->size, false);
    int size = stop - first < 200 ? (int)(stop - first) : 200;
    int used = snprintf(why, sizeof why, "%.*s", size, first);
    if (count > 1)
        snprintf(why + used, sizeof why - (size_t)used, "; and %zu more", count - 1);
    rkb_view_reloaded(reload->options.view, why);
}

/* Nothing has changed, for these reasons. */
static void refuse(struct rkb_reload *reload, const struct rkb_buffer *lines, size_t count, const char *one,
                   const char *many)
{
    char text[160];
    snprintf(text, sizeof text, "%zu %s; nothing has changed", count, count == 1 ? one : many);
    tell_view(reload, lines, count);
    log_lines(reload->options.log, lines, say_refused);
    rkb_log(reload->options.log, RKB_LOG_ERROR, "rkbridge", "reload_refused", "%s was not taken: %s",
            reload->options.file, text);
    answer(reload, lines, "refused", text);
    end_run(reload);
}

static void refuse_for(struct rkb_reload *reload, const struct rkb_error *error)
{
    struct rkb_buffer line = {0};
    rkb_buffer_text(&line, error->text);
    refuse(reload, &line, 1, "reason", "");
    rkb_buffer_free(&line);
}

/* "routes.users: topic; routes.orders: new and 3 more". */
static void summarize(const struct rkb_difference *difference, char *out, size_t size)
{
    const char *at = (const char *)difference->changed.data, *end = at + difference->changed.size;
    size_t used = 0, shown = 0;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop != NULL ? stop : end) - at);
        if (used + length + sizeof "; and 1234567890 more" > size)
            break;
        used += (size_t)snprintf(out + used, size - used, "%s%.*s", shown > 0 ? "; " : "", (int)length, at);
        shown++;
        at += length + 1;
    }
    if (shown < difference->change_count)
        snprintf(out + used, size - used, "%sand %zu more", shown > 0 ? "; " : "", difference->change_count - shown);
}

static void say_done(struct rkb_reload *reload)
{
    char text[2000] = "nothing has changed";
    if (reload->difference.change_count > 0)
        summarize(&reload->difference, text, sizeof text);
    rkb_view_reloaded(reload->options.view, NULL);
    rkb_log(reload->options.log, RKB_LOG_INFO, "rkbridge", "reloaded", "%s: %s", reload->options.file, text);
    struct rkb_buffer lines = {0};
    rkb_buffer_text(&lines, reload->difference.change_count > 0 ? "" : text);
    answer(reload, reload->difference.change_count > 0 ? &reload->difference.changed : &lines, NULL, "");
    rkb_buffer_free(&lines);
}

/* ---- the steps ---- */

static void begin(struct rkb_reload *reload)
{
    const struct rkb_reload_options *options = &reload->options;
    uint64_t one = 1;
    reload->running = true;
    reload->job = rkb_reading_begin(options->file, options->embedded, options->relay->options.config, reload->wake_fd,
                                    &reload->error);
    if (options->runs != NULL)
        options->runs(options->context, true);
    /* That none could be begun is said from the loop, not from within. */
    if (reload->job == NULL && write(reload->wake_fd, &one, sizeof one) < 0)
        refuse_for(reload, &reload->error);
}

static void end_run(struct rkb_reload *reload)
{
    rkb_difference_free(&reload->difference);
    reload->difference = (struct rkb_difference){0};
    reload->running = reload->changing = false;
    if (reload->options.runs != NULL)
        reload->options.runs(reload->options.context, false);
    if (!reload->again)
        return;
    struct tickets done = reload->asking;
    reload->again = false;
    reload->asking = reload->next;
    reload->next = done;
    begin(reload);
}

static void finish_if_done(struct rkb_reload *reload)
{
    struct rkb_relay *relay = reload->options.relay;
    if (!reload->changing || rkb_relay_is_changing(relay) || !rkb_shipper_took_up(reload->options.shipper))
        return;
    rkb_relay_forget(relay);
    rkb_view_reload(reload->options.view);
    say_done(reload);
    end_run(reload);
}

static void on_changed(void *context)
{
    finish_if_done(context);
}

void rkb_reload_routes(const struct rkb_relay *relay, const struct rkb_routing *routing,
                       struct rkb_shipper_route *routes)
{
    for (size_t i = 0; i < routing->config->route_count; i++) {
        const struct rkb_relay_route *route = &routing->routes[i];
        uint32_t source = relay->sources[route->config->source_index].number;
        routes[route->number] = (struct rkb_shipper_route){
            rkb_dictionary_name(relay->dictionary, RKB_NAME_SOURCE, source), route->dead_topic,
            route->config->topic_varies ? route->config : NULL};
    }
}

/* Routes that are gone keep what was known of them, but for a config that goes, too. */
static void fill_table(struct rkb_reload *reload, const struct rkb_routing *routing, struct rkb_shipper_table *table)
{
    struct rkb_shipper_route *routes = rkb_shipper_table_routes(table);
    for (uint32_t i = 0; i < reload->route_count; i++) {
        routes[i] = reload->routes[i];
        routes[i].names = NULL;
    }
    rkb_reload_routes(reload->options.relay, routing, routes);
}

/* All that can fail. NULL and *error: nothing has changed. */
static struct rkb_shipper_table *prepare(struct rkb_reload *reload, struct rkb_routing *routing,
                                         struct rkb_relay_limits *limits, struct rkb_error *error)
{
    struct rkb_reload_options *options = &reload->options;
    if (!rkb_relay_prepare(options->relay, routing, limits, error))
        return NULL;
    struct rkb_shipper_table *table = rkb_shipper_table_new(options->shipper, limits->routes, limits->topics);
    if (table != NULL && rkb_view_widen(options->view, routing->config->route_count)) {
        const struct rkb_config *config = routing->config;
        fill_table(reload, routing, table);
        rkb_shipper_table_times(table, config->kafka.refuse_after, config->kafka.watchdog);
        return table;
    }
    rkb_shipper_table_free(table);
    rkb_fail(error, RKB_NO_MEMORY, "no memory for other routes");
    return NULL;
}

/* Nothing in here can fail. The order: who needs to know a new name knows it before the first record that has it. */
static void change(struct rkb_reload *reload, struct rkb_routing *routing, const struct rkb_relay_limits *limits,
                   struct rkb_shipper_table *table)
{
    struct rkb_reload_options *options = &reload->options;
    reload->changing = true;
    reload->since_us = options->sys->monotonic_us();
    reload->routes = rkb_shipper_table_routes(table);
    reload->route_count = limits->routes + 1;
    rkb_topics_reload(options->topics, routing->config, limits->topics);
    rkb_shipper_offer(options->shipper, table);
    rkb_relay_change(options->relay, routing, limits, on_changed, reload);
    if (!reload->changing)          /* it is done already, and there may be yet another */
        return;
    rkb_view_reload(options->view);
}

/* The file has no mistakes. Takes the routing. */
static void decide(struct rkb_reload *reload, struct rkb_routing *routing)
{
    struct rkb_relay_limits limits;
    struct rkb_error error;
    struct rkb_difference *difference = &reload->difference;
    struct rkb_shipper_table *table = NULL;
    bool compared = rkb_config_difference(reload->options.relay->options.config, routing->config, difference);
    if (compared && difference->refused_count == 0 && difference->change_count > 0
        && (table = prepare(reload, routing, &limits, &error)) != NULL) {
        if (reload->options.taken != NULL)
            reload->options.taken(reload->options.context, routing->config);
        change(reload, routing, &limits, table);
        return;
    }
    rkb_routing_free(routing);
    if (!compared)
        rkb_fail(&error, RKB_NO_MEMORY, "no memory to compare the configs");
    if (compared && difference->refused_count > 0) {
        refuse(reload, &difference->refused, difference->refused_count, "setting needs a restart",
               "settings need a restart");
    } else if (compared && difference->change_count == 0) {
        say_done(reload);
        end_run(reload);
    } else {
        refuse_for(reload, &error);
    }
}

static void on_read(evutil_socket_t fd, short what, void *context)
{
    (void)what;
    struct rkb_reload *reload = context;
    struct rkb_reading_result result;
    uint64_t count;
    if (read((int)fd, &count, sizeof count) < 0)
        return;
    if (reload->running && !reload->changing && reload->job == NULL)
        refuse_for(reload, &reload->error);
    if (reload->job == NULL || !rkb_reading_take(reload->job, &result))
        return;
    reload->job = NULL;
    if (result.mistakes.text.size > 0)
        result.mistakes.text.size--;        /* the newline behind the last */
    if (result.routing != NULL && result.mistakes.warnings.size > 0) {
        result.mistakes.warnings.size--;
        log_lines(reload->options.log, &result.mistakes.warnings, say_warning);
    }
    if (result.routing != NULL && !reload->stopping)
        decide(reload, result.routing);
    else if (result.mistakes.count > 0)
        refuse(reload, &result.mistakes.text, result.mistakes.count, "mistake", "mistakes");
    else if (result.routing == NULL)
        refuse_for(reload, &result.error);
    else
        rkb_routing_free(result.routing);         /* about to end: who asked is told so with the socket's end */
    rkb_mistakes_free(&result.mistakes);
}

/* ---- what others call ---- */

struct rkb_reload *rkb_reload_new(const struct rkb_reload_options *options, struct rkb_error *error)
{
    struct rkb_reload *reload = calloc(1, sizeof *reload);
    if (reload != NULL) {
        reload->options = *options;
        reload->routes = options->routes;
        reload->route_count = options->relay->tally_count + 1;
        reload->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (reload->wake_fd >= 0)
            reload->wake = event_new(options->base, reload->wake_fd, EV_READ | EV_PERSIST, on_read, reload);
        if (reload->wake != NULL && event_add(reload->wake, NULL) == 0)
            return reload;
    }
    rkb_reload_free(reload);
    rkb_fail(error, RKB_NO_MEMORY, "no memory or descriptors for reloads");
    return NULL;
}

void rkb_reload_free(struct rkb_reload *reload)
{
    if (reload == NULL)
        return;
    rkb_reading_abandon(reload->job);
    if (reload->wake != NULL)
        event_free(reload->wake);
    if (reload->wake_fd >= 0)
        close(reload->wake_fd);
    rkb_difference_free(&reload->difference);
    free(reload->asking.list);
    free(reload->next.list);
    free(reload);
}

bool rkb_reload_ask(struct rkb_reload *reload, uint64_t ticket)
{
    if (reload->stopping) {
        rkb_log(reload->options.log, RKB_LOG_ERROR, "rkbridge", "reload_refused",
                "rkbridge is about to end: not reloading");
        return false;
    }
    add_ticket(reload->running ? &reload->next : &reload->asking, ticket);
    if (reload->running)
        reload->again = true;
    else
        begin(reload);
    return true;
}

void rkb_reload_look(struct rkb_reload *reload)
{
    finish_if_done(reload);
}

void rkb_reload_tick(struct rkb_reload *reload)
{
    const struct rkb_relay *relay = reload->options.relay;
    if (!reload->changing || reload->since_us == 0
        || reload->options.sys->monotonic_us() - reload->since_us < WAITS_US)
        return;
    reload->since_us = 0;
    if (!rkb_shipper_took_up(reload->options.shipper))
        rkb_log(reload->options.log, RKB_LOG_WARN, "rkbridge", "reload_waits",
                "the new config is taken, and waits for the journal's thread, which waits for the disk");
    for (size_t i = 0; i < relay->options.config->source_count; i++)
        if (relay->sources[i].changing)
            rkb_log(reload->options.log, RKB_LOG_WARN, relay->sources[i].object, "reload_waits",
                    "the new config is taken, and waits for Redis's answers to what has changed%s",
                    relay->paused ? "; reading rests until the ring has room" : "");
}

void rkb_reload_stop(struct rkb_reload *reload)
{
    reload->stopping = true;
    reload->again = false;
}
