/* published -- see published.h, also for the arithmetic. */
#include "redis/published.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define UPTIME_SLACK 2      /* seconds: Redis counts whole ones, and ours is another clock */

/* Their messages are no PUBLISH. */
static const char *const event_prefixes[] = {"__keyspace@", "__keyevent@", "__redis__:"};
/* Modules that never publish by themselves; Redis 8 brings them along. */
static const char *const quiet_modules[] = {"ReJSON", "search", "timeseries", "bf", "vectorset"};

void rkb_published_write(const struct rkb_published *published, uint8_t out[RKB_PUBLISHED_SIZE])
{
    struct rkb_writer writer = rkb_writer(out, RKB_PUBLISHED_SIZE);
    rkb_write_u64(&writer, published->run);
    rkb_write_u64(&writer, published->history);
    rkb_write_u64(&writer, published->uptime);
    rkb_write_u64(&writer, published->calls);
    rkb_write_u64(&writer, published->microseconds);
    rkb_write_u64(&writer, published->commands);
    rkb_write_u64(&writer, published->connections);
    rkb_write_u64(&writer, published->input);
    rkb_write_u64(&writer, published->config);
    rkb_write_u64(&writer, published->resets);
    rkb_write_u64(&writer, published->resets_microseconds);
    rkb_write_u64(&writer, published->received);
}

void rkb_published_parse(const uint8_t in[RKB_PUBLISHED_SIZE], struct rkb_published *published)
{
    struct rkb_reader reader = rkb_reader(in, RKB_PUBLISHED_SIZE);
    published->run = rkb_read_u64(&reader);
    published->history = rkb_read_u64(&reader);
    published->uptime = rkb_read_u64(&reader);
    published->calls = rkb_read_u64(&reader);
    published->microseconds = rkb_read_u64(&reader);
    published->commands = rkb_read_u64(&reader);
    published->connections = rkb_read_u64(&reader);
    published->input = rkb_read_u64(&reader);
    published->config = rkb_read_u64(&reader);
    published->resets = rkb_read_u64(&reader);
    published->resets_microseconds = rkb_read_u64(&reader);
    published->received = rkb_read_u64(&reader);
}

/* ---- reading it ---- */

/* The rest of a line that begins with this; a NULL slice where it does not. */
static struct rkb_slice behind(struct rkb_slice line, const char *begin)
{
    size_t size = strlen(begin);
    if (line.size < size || memcmp(line.data, begin, size) != 0)
        return rkb_slice(NULL, 0);
    return rkb_slice(line.data + size, line.size - size);
}

static bool read_number(struct rkb_slice text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.size && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        *number = *number * 10 + (uint64_t)(text.data[i] - '0');
    return text.size > 0 && text.data[0] >= '0' && text.data[0] <= '9';
}

/* calls=12,usec=345,usec_per_call=28.75 */
static bool read_calls(struct rkb_slice text, uint64_t *calls, uint64_t *microseconds)
{
    struct rkb_slice rest = behind(text, "calls=");
    if (rest.data == NULL || !read_number(rest, calls))
        return false;
    while (rest.size > 0 && rest.data[0] != ',')
        rest = rkb_slice(rest.data + 1, rest.size - 1);
    rest = behind(rest, ",usec=");
    return rest.data != NULL && read_number(rest, microseconds);
}

static uint64_t hash_of(struct rkb_slice text)
{
    return XXH3_64bits(text.data, text.size) | 1;       /* never 0, which is none */
}

static void read_command(struct rkb_published_reading *reading, struct rkb_slice line)
{
    struct rkb_published *counts = &reading->counts;
    struct rkb_slice rest;
    uint64_t unused;
    if (behind(line, "info:").data != NULL)
        reading->counts_commands = true;
    else if ((rest = behind(line, "publish:")).data != NULL)
        reading->is_odd = !read_calls(rest, &counts->calls, &counts->microseconds);
    else if ((rest = behind(line, "config|resetstat:")).data != NULL)
        (void)read_calls(rest, &counts->resets, &counts->resets_microseconds);
    else if ((rest = behind(line, "config:")).data != NULL)
        (void)read_calls(rest, &counts->config, &unused);
}

/* name=search,ver=20811,... */
static bool may_publish(struct rkb_slice module)
{
    for (size_t i = 0; i < sizeof quiet_modules / sizeof quiet_modules[0]; i++) {
        struct rkb_slice rest = behind(module, quiet_modules[i]);
        if (rest.size > 0 && rest.data[0] == ',')
            return false;
    }
    return true;
}

void rkb_published_line(struct rkb_published_reading *reading, struct rkb_slice line)
{
    struct rkb_published *counts = &reading->counts;
    struct rkb_slice rest;
    if ((rest = behind(line, "run_id:")).size > 0)
        counts->run = hash_of(rest);
    else if ((rest = behind(line, "uptime_in_seconds:")).data != NULL)
        (void)read_number(rest, &counts->uptime);
    else if ((rest = behind(line, "redis_mode:")).data != NULL)
        reading->is_standalone = rkb_slice_equal(rest, rkb_slice_text("standalone"));
    else if ((rest = behind(line, "role:")).data != NULL)
        reading->is_master = rkb_slice_equal(rest, rkb_slice_text("master"));
    else if ((rest = behind(line, "master_replid:")).size > 0)
        counts->history = hash_of(rest);
    else if ((rest = behind(line, "total_commands_processed:")).data != NULL)
        reading->has_commands = read_number(rest, &counts->commands);
    else if ((rest = behind(line, "total_connections_received:")).data != NULL)
        reading->has_connections = read_number(rest, &counts->connections);
    else if ((rest = behind(line, "total_net_input_bytes:")).data != NULL)
        reading->has_input = read_number(rest, &counts->input);
    else if ((rest = behind(line, "module:name=")).data != NULL)
        reading->has_modules = reading->has_modules || may_publish(rest);
    else if ((rest = behind(line, "cmdstat_")).data != NULL)
        read_command(reading, rest);
}

void rkb_published_setting(struct rkb_published_reading *reading, struct rkb_slice line)
{
    (void)line;
    reading->events_off = !reading->is_setting;
    reading->is_setting = true;
}

const char *rkb_published_end(const struct rkb_published_reading *reading, bool events,
                              struct rkb_published *published)
{
    *published = (struct rkb_published){0};
    if (reading->counts.run == 0)
        return "it does not tell its run_id";
    if (!reading->is_standalone)
        return "it is one of a cluster, and what the others pass on is not counted";
    if (!reading->is_master)
        return "it is a replica, and what its master did not send it is not counted";
    if (reading->counts.history == 0)
        return "it does not tell its master_replid (Redis 4), by which a change of its role is seen";
    bool counts_all = reading->has_commands && reading->has_connections && reading->has_input;
    if (!reading->counts_commands || reading->is_odd || !counts_all)
        return "it does not count its commands as Redis does";
    if (reading->has_modules)
        return "it has a module that may publish without being counted";
    if (events && !reading->events_off)
        return "notify-keyspace-events is not empty, or not known, and such events are not counted";
    *published = reading->counts;
    return NULL;
}

/* ---- what follows ---- */

static bool was_reset(const struct rkb_published *anchor, const struct rkb_published *reading)
{
    return reading->uptime < anchor->uptime || reading->calls < anchor->calls
           || reading->microseconds < anchor->microseconds || reading->commands < anchor->commands
           || reading->connections < anchor->connections || reading->input < anchor->input
           || reading->config < anchor->config || reading->resets != anchor->resets
           || reading->resets_microseconds != anchor->resets_microseconds;
}

enum rkb_published_news rkb_published_bound(const struct rkb_published *anchor, const struct rkb_published *reading,
                                            uint64_t since, uint64_t received, uint64_t *bound)
{
    if (anchor->run == 0 || reading->run == 0)
        return RKB_PUBLISHED_UNKNOWN;
    if (anchor->run != reading->run)
        return reading->uptime <= since + UPTIME_SLACK ? RKB_PUBLISHED_RESTARTED : RKB_PUBLISHED_ANOTHER_NODE;
    if (anchor->history != reading->history)
        return RKB_PUBLISHED_ANOTHER_ROLE;
    if (was_reset(anchor, reading))
        return RKB_PUBLISHED_RESET;
    if (reading->calls - anchor->calls < received)
        return RKB_PUBLISHED_MISCOUNTED;
    *bound = reading->calls - anchor->calls - received;
    return RKB_PUBLISHED_SAME;
}

const char *rkb_published_why(enum rkb_published_news news)
{
    switch (news) {
    case RKB_PUBLISHED_SAME:
        break;
    case RKB_PUBLISHED_UNKNOWN:
        return "Redis was not asked in time how much was published, or it does not tell";
    case RKB_PUBLISHED_RESTARTED:
        return "Redis was started anew in between";
    case RKB_PUBLISHED_ANOTHER_NODE:
        return "it is another Redis now";
    case RKB_PUBLISHED_ANOTHER_ROLE:
        return "Redis changed its role in between";
    case RKB_PUBLISHED_RESET:
        return "Redis's counters were reset in between, or went back";
    case RKB_PUBLISHED_MISCOUNTED:
        return "more came than Redis has counted: something publishes that it does not count";
    }
    return "";
}

bool rkb_published_is_event(struct rkb_slice channel)
{
    for (size_t i = 0; i < sizeof event_prefixes / sizeof event_prefixes[0]; i++)
        if (behind(channel, event_prefixes[i]).data != NULL)
            return true;
    return false;
}

/* Up to the first character that stands for more than one; what follows may be anything. */
static bool may_begin(struct rkb_slice pattern, const char *prefix)
{
    for (size_t i = 0; *prefix != '\0'; i++, prefix++) {
        if (i == pattern.size)
            return false;
        if (pattern.data[i] == '*' || pattern.data[i] == '[')
            return true;
        if (pattern.data[i] == '\\' && i + 1 < pattern.size)
            i++;
        else if (pattern.data[i] == '?')
            continue;
        if (pattern.data[i] != (uint8_t)*prefix)
            return false;
    }
    return true;
}

bool rkb_published_may_match_events(bool is_pattern, struct rkb_slice name)
{
    bool may = false;
    for (size_t i = 0; i < sizeof event_prefixes / sizeof event_prefixes[0]; i++)
        may = may || (is_pattern ? may_begin(name, event_prefixes[i]) : behind(name, event_prefixes[i]).data != NULL);
    return may;
}
