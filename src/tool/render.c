/*
 * render -- `rkbctl render -c FILE CHANNEL < payload`: what rkbridge would make of a message, without any server.
 *
 *     config --> each source (or --source) --> rendering.h: record, dead letter, filtered, dropped --> shown
 *                                         +--> no route takes it: the nearest subscriptions
 *
 * The exit code says what became of it; of several sources the highest counts, and a source that does not take it only
 * where none does. Config mistakes are said as `rkbridge --check` says them. Kafka is not needed in the config.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/sys.h"
#include "base/units.h"
#include "config/nearest.h"
#include "message/uuid.h"
#include "tool/render_show.h"
#include "tool/tool.h"

#define EXIT_FAILED 1
#define EXIT_NO_ROUTE 3
#define EXIT_DEAD_LETTER 4
#define EXIT_FILTERED 5
#define EXIT_DROPPED 6

#define NEAREST_SHOWN 3

struct render {
    const char *config_path, *route, *source, *payload;
    const char *channel;
    bool json, value;
    struct rkb_render_message message;
    struct rkb_config *config;
    FILE *out, *err;
};

static int wrong_use(FILE *err)
{
    fputs("usage: rkbctl render -c FILE [--route NAME] [--source NAME] [--json | --value] [--payload TEXT]\n"
          "                     [--uuid UUID] [--time TIME] CHANNEL < PAYLOAD\n"
          "\n"
          "What a message on CHANNEL would become by the config FILE; no server is asked.\n"
          "  --payload TEXT   the payload, not from standard input\n"
          "  --route NAME     as if the config had no other route\n"
          "  --source NAME    only what comes from this source\n"
          "  --json           an object on a line for each source that takes it\n"
          "  --value          only the record's value, byte for byte\n"
          "  --uuid, --time   in place of made-up ones; TIME as 2026-11-22T20:51:07.123Z\n"
          "\n"
          "Exit: 0 a record; 3 no route takes it; 4 a dead letter; 5 filtered; 6 dropped; 64 wrong use or config.\n",
          err);
    return RKB_EXIT_USAGE;
}

/* ---- the command line ---- */

enum { ROUTE = 256, SOURCE, PAYLOAD, UUID, TIME, JSON, VALUE };

static bool take_option(struct render *render, int option, const char *text, struct rkb_error *error)
{
    uint8_t ignored[16];
    switch (option) {
    case 'c':
        render->config_path = text;
        return true;
    case ROUTE:
        render->route = text;
        return true;
    case SOURCE:
        render->source = text;
        return true;
    case PAYLOAD:
        render->payload = text;
        return true;
    case UUID:
        render->message.uuid = text;
        return rkb_uuid_parse(rkb_slice_text(text), ignored)
               || rkb_fail(error, RKB_USAGE, "--uuid takes 32 hexadecimal digits in lower case, as in "
                                             "01890a5d-ac96-774b-bcce-b302099a8057");
    case TIME:
        return (rkb_parse_time(rkb_slice_text(text), &render->message.time_us) && render->message.time_us >= 1000)
               || rkb_fail(error, RKB_USAGE, "--time takes a time in UTC with milliseconds, as "
                                             "2026-11-22T20:51:07.123Z");
    case JSON:
        render->json = true;
        return true;
    case VALUE:
        render->value = true;
        return true;
    default:
        return rkb_fail(error, RKB_OK, "%s", "");
    }
}

/* False: *error says what is wrong, or has RKB_OK where the usage does. */
static bool read_arguments(struct render *render, int argc, char **argv, struct rkb_error *error)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"route", required_argument, NULL, ROUTE},
        {"source", required_argument, NULL, SOURCE}, {"payload", required_argument, NULL, PAYLOAD},
        {"uuid", required_argument, NULL, UUID}, {"time", required_argument, NULL, TIME},
        {"json", no_argument, NULL, JSON}, {"value", no_argument, NULL, VALUE}, {NULL, 0, NULL, 0}};
    *error = (struct rkb_error){.code = RKB_OK};
    optind = 0;                         /* begins anew: main has read its own options */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "c:", options, NULL)) != -1;)
        if (!take_option(render, option, optarg, error))
            return false;
    if (optind + 1 != argc)
        return rkb_fail(error, RKB_OK, "%s", "");
    render->channel = argv[optind];
    if (render->config_path == NULL)
        return rkb_fail(error, RKB_USAGE, "no configuration; name one with -c FILE");
    return !(render->json && render->value) || rkb_fail(error, RKB_USAGE, "--json or --value, not both");
}

/* A name that the config does not have; nearest: what was perhaps meant. */
static bool no_such(struct rkb_error *error, const char *what, const char *name, const struct rkb_nearest *nearest)
{
    return rkb_fail(error, RKB_USAGE, "the config has no %s %.100s%s%s%s", what, name,
                    nearest->name != NULL ? "; did you mean " : "", nearest->name != NULL ? nearest->name : "",
                    nearest->name != NULL ? "?" : "");
}

static bool check_names(const struct render *render, struct rkb_error *error)
{
    const struct rkb_config *config = render->config;
    struct rkb_nearest route = {0}, source = {0};
    bool route_known = render->route == NULL, source_known = render->source == NULL;
    for (size_t i = 0; i < config->route_count && !route_known; i++) {
        route_known = strcmp(config->routes[i].name, render->route) == 0;
        rkb_nearest_offer(&route, render->route, config->routes[i].name);
    }
    for (size_t i = 0; i < config->source_count && !source_known; i++) {
        source_known = strcmp(config->sources[i].name, render->source) == 0;
        rkb_nearest_offer(&source, render->source, config->sources[i].name);
    }
    if (!route_known)
        return no_such(error, "route", render->route, &route);
    return source_known || no_such(error, "source", render->source, &source);
}

/* ---- the payload ---- */

/* Standard input to its end; what is behind `limit` bytes is counted only. */
static bool read_input(struct rkb_buffer *bytes, uint64_t limit, uint64_t *size, struct rkb_error *error)
{
    uint8_t rest[65536];
    *size = 0;
    for (;;) {
        uint8_t *room = bytes->size < limit ? rkb_buffer_reserve(bytes, sizeof rest) : rest;
        if (room == NULL)
            return rkb_fail(error, RKB_NO_MEMORY, "no memory for a payload of more than %zu bytes", bytes->size);
        ssize_t got = read(STDIN_FILENO, room, sizeof rest);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return rkb_fail_errno(error, "the payload cannot be read from standard input");
        if (got == 0)
            return true;
        bytes->size += room != rest ? (size_t)got : 0;
        *size += (uint64_t)got;
    }
}

static bool read_payload(struct render *render, struct rkb_buffer *bytes, struct rkb_error *error)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < render->config->source_count; i++)
        if (render->config->sources[i].max_message_size > longest)
            longest = render->config->sources[i].max_message_size;
    if (render->payload != NULL) {
        render->message.payload = rkb_slice_text(render->payload);
        render->message.payload_size = render->message.payload.size;
        return true;
    }
    if (isatty(STDIN_FILENO))
        fprintf(render->err, "rkbctl: the payload is read from here; Ctrl-D ends it\n");
    if (!read_input(bytes, longest, &render->message.payload_size, error))
        return false;
    render->message.payload = rkb_slice(bytes->data, bytes->size);
    if (bytes->size > 0 && bytes->data[bytes->size - 1] == '\n')
        fprintf(render->err, "rkbctl: note: the payload ends with a newline, as echo writes one; printf %%s does "
                             "not\n");
    return true;
}

/* ---- what came of it ---- */

/* The bytes that both begin with, up to a wildcard of the pattern. */
static size_t common_begin(const char *name, bool is_pattern, const char *channel)
{
    size_t size = 0;
    while (name[size] != '\0' && name[size] == channel[size] && !(is_pattern && strchr("*?[\\", name[size]) != NULL))
        size++;
    return size;
}

struct near {
    const char *name, *kind;
    const struct rkb_config_route *route;
    size_t common;
};

/* Into a list by what is common, the most first. */
static void keep_near(struct near list[NEAREST_SHOWN], struct near one)
{
    for (size_t i = 0; i < NEAREST_SHOWN; i++) {
        if (list[i].name != NULL && list[i].common >= one.common)
            continue;
        struct near moved = list[i];
        list[i] = one;
        one = moved;
    }
}

static void say_no_route(const struct render *render)
{
    struct near list[NEAREST_SHOWN] = {{0}};
    struct rkb_nearest nearest = {0};
    struct rkb_buffer shown = {0};
    for (size_t i = 0; i < render->config->route_count; i++) {
        const struct rkb_config_route *route = &render->config->routes[i];
        if ((render->route != NULL && strcmp(render->route, route->name) != 0)
            || (render->source != NULL && strcmp(render->source, route->source) != 0))
            continue;
        for (size_t j = 0; j < route->channels.count; j++) {
            const char *name = route->channels.texts[j];
            keep_near(list, (struct near){name, "channel", route, common_begin(name, false, render->channel)});
            rkb_nearest_offer(&nearest, render->channel, name);
        }
        for (size_t j = 0; j < route->patterns.count; j++) {
            const char *name = route->patterns.texts[j];
            keep_near(list, (struct near){name, "pattern", route, common_begin(name, true, render->channel)});
        }
    }
    rkb_escape(RKB_ESCAPE_PLAIN, render->message.channel, &shown);
    fprintf(render->err, "rkbctl: no %s takes the channel \"%.*s\": rkbridge would not see such a message\n",
            render->route != NULL || render->source != NULL ? "route that was asked for" : "route", (int)shown.size,
            shown.size > 0 ? (const char *)shown.data : "");
    if (nearest.name != NULL)
        fprintf(render->err, "Did you mean %s?\n", nearest.name);
    for (size_t i = 0; i < NEAREST_SHOWN && list[i].name != NULL; i++)
        fprintf(render->err, "%s%s %s of route %s\n", i == 0 ? "The nearest: " : "             ", list[i].kind,
                list[i].name, list[i].route->name);
    rkb_buffer_free(&shown);
}

static int code_of(const struct rkb_rendering *rendering)
{
    switch (rendering->verdict.kind) {
    case RKB_PASS: return 0;
    case RKB_REJECTED: return EXIT_DEAD_LETTER;
    case RKB_FILTERED: return EXIT_FILTERED;
    case RKB_DROPPED: break;
    }
    return EXIT_DROPPED;
}

/* Only the value's bytes on `out`, so what there is no value of is said elsewhere. */
static void show_value(const struct render *render, const struct rkb_rendering *rendering)
{
    if (rendering->verdict.kind == RKB_PASS) {
        fwrite(rendering->value.data, 1, rendering->value.size, render->out);
        return;
    }
    fprintf(render->err, "rkbctl: it becomes ");
    rkb_rendering_words(rendering, render->err);
    fputc('\n', render->err);
}

static void show(const struct render *render, const struct rkb_rendering *rendering, bool first)
{
    if (render->value) {
        show_value(render, rendering);
    } else if (render->json) {
        rkb_rendering_json(rendering, render->config, render->out);
    } else {
        if (!first)
            fputc('\n', render->out);
        rkb_rendering_text(rendering, render->config, render->out);
    }
}

/* With --route: who would have it if all routes were asked. */
static void say_winner(const struct render *render, size_t source)
{
    struct rkb_rendering all;
    struct rkb_error error;
    if (rkb_rendering_make(&all, render->config, source, NULL, &render->message, &error) && all.route != NULL
        && strcmp(all.route->name, render->route) != 0)
        fprintf(render->err, "rkbctl: note: with all routes of the config it is %s that takes this channel\n",
                all.route->name);
    rkb_rendering_free(&all);
}

static int complain(const struct render *render, int code, const struct rkb_error *error)
{
    fprintf(render->err, "rkbctl: %s\n", error->text);
    return code;
}

/* Is this source asked for, by its name or by the route's? */
static bool asked(const struct render *render, size_t source)
{
    const struct rkb_config *config = render->config;
    if (render->source != NULL && strcmp(render->source, config->sources[source].name) != 0)
        return false;
    for (size_t i = 0; render->route != NULL && i < config->route_count; i++)
        if (strcmp(render->route, config->routes[i].name) == 0)
            return config->routes[i].source_index == source;
    return true;
}

/* Values of two records, one behind the other, are the value of none. */
static bool one_value(const struct render *render, struct rkb_error *error)
{
    size_t taken = 0;
    for (size_t i = 0; render->value && i < render->config->source_count; i++) {
        struct rkb_rendering rendering;
        if (!asked(render, i))
            continue;
        bool made = rkb_rendering_make(&rendering, render->config, i, render->route, &render->message, error);
        taken += made && rendering.route != NULL;
        rkb_rendering_free(&rendering);
        if (!made)
            return false;
    }
    return taken <= 1
           || rkb_fail(error, RKB_USAGE, "several sources take this channel: --value needs --source NAME");
}

static int render_all(const struct render *render)
{
    const struct rkb_config *config = render->config;
    struct rkb_error error;
    size_t taken = 0;
    int code = 0;
    if (!one_value(render, &error))
        return complain(render, error.code == RKB_USAGE ? RKB_EXIT_USAGE : EXIT_FAILED, &error);
    for (size_t i = 0; i < config->source_count; i++) {
        struct rkb_rendering rendering;
        if (!asked(render, i))
            continue;
        bool made = rkb_rendering_make(&rendering, config, i, render->route, &render->message, &error);
        if (made && rendering.route != NULL) {
            show(render, &rendering, taken++ == 0);
            code = code_of(&rendering) > code ? code_of(&rendering) : code;
        }
        rkb_rendering_free(&rendering);
        if (!made)
            return complain(render, EXIT_FAILED, &error);
        if (render->route != NULL)
            say_winner(render, i);
    }
    if (taken == 0)
        say_no_route(render);
    return taken == 0 ? EXIT_NO_ROUTE : code;
}

static int run(struct render *render)
{
    struct rkb_mistakes mistakes = {0};
    struct rkb_buffer payload = {0};
    struct rkb_error error;
    int code = RKB_EXIT_USAGE;
    render->config = rkb_config_read(render->config_path, true, &mistakes);
    if (render->config == NULL) {
        fwrite(mistakes.text.data, 1, mistakes.text.size, render->err);
        fprintf(render->err, "%s: %zu mistake%s\n", render->config_path, mistakes.count,
                mistakes.count == 1 ? "" : "s");
    } else if (!check_names(render, &error)) {
        complain(render, code, &error);
    } else if (!read_payload(render, &payload, &error)) {
        code = complain(render, EXIT_FAILED, &error);
    } else {
        render->message.channel = rkb_slice_text(render->channel);
        if (render->message.time_us == 0)
            render->message.time_us = rkb_sys_posix.realtime_us();
        code = render_all(render);
    }
    rkb_buffer_free(&payload);
    rkb_mistakes_free(&mistakes);
    rkb_config_free(render->config);
    return code;
}

int rkb_tool_render(int argc, char **argv, FILE *out, FILE *err)
{
    struct render render = {.out = out, .err = err};
    struct rkb_error error;
    if (read_arguments(&render, argc, argv, &error))
        return run(&render);
    return error.code == RKB_OK ? wrong_use(err) : complain(&render, RKB_EXIT_USAGE, &error);
}
