/* discover_report -- what was found, as text of at most 100 columns, or as JSON. See discover.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/escape.h"
#include "base/units.h"
#include "control/output.h"
#include "tool/discover.h"

#define NAME_COLUMNS 36
#define GROUPS_SHOWN 40
#define LISTENERS_SHOWN 20

const char *rkb_discover_ending(const struct rkb_heard *heard)
{
    switch (heard->end) {
    case RKB_END_TIME:
        return NULL;
    case RKB_END_SIGNAL:
        return "ended by a signal";
    case RKB_END_BUFFER:
    case RKB_END_SLOW:
    case RKB_END_BUSY:
        return "stopped early, before it could do harm";
    case RKB_END_LOST:
        return "the connection was lost";
    case RKB_END_REFUSED:
    case RKB_END_UNREACHABLE:
        break;
    }
    return "never listened";
}

double rkb_discover_rate(const struct rkb_heard *heard, uint64_t count)
{
    return heard->listened_us > 0 ? (double)count * 1e6 / (double)heard->listened_us : 0;
}

/* ---- text ---- */

/* Escaped, in exactly so many columns; cut with "...". */
static void add_name(struct rkb_buffer *out, struct rkb_slice name, size_t columns)
{
    size_t used = 0;
    struct rkb_buffer text = {0};
    rkb_escape(RKB_ESCAPE_PLAIN, name, &text);
    size_t characters = 0;
    for (size_t i = 0; i < text.size; i++)
        characters += (text.data[i] & 0xc0) != 0x80;
    size_t room = characters > columns ? columns - 3 : columns;
    for (size_t i = 0; i < text.size; i++) {
        used += (text.data[i] & 0xc0) != 0x80;
        if (used > room)
            break;
        rkb_buffer_add(out, &text.data[i], 1);
    }
    if (characters > columns)
        rkb_buffer_text(out, "...");
    for (size_t i = characters; i < columns; i++)
        rkb_buffer_text(out, " ");
    rkb_buffer_free(&text);
}

static void add_rate(struct rkb_buffer *out, double rate)
{
    rkb_buffer_format(out, rate >= 1000 ? " %8.0f" : rate >= 10 ? " %8.1f" : " %8.2f", rate);
}

static void add_group(const struct rkb_discovery *discovery, const struct rkb_group *group, struct rkb_buffer *out)
{
    char mean[32], largest[32], listeners[24] = "-";
    const struct rkb_figures *figures = &group->figures;
    rkb_format_size(mean, sizeof mean, figures->messages > 0 ? figures->bytes / figures->messages : 0);
    rkb_format_size(largest, sizeof largest, figures->largest);
    if (figures->listeners >= 0)
        snprintf(listeners, sizeof listeners, "%" PRId64, figures->listeners);
    add_name(out, group->text, NAME_COLUMNS);
    rkb_buffer_format(out, " %7" PRIu64 "%s %9" PRIu64, group->channels, group->is_floor ? "+" : " ",
                      figures->messages);
    add_rate(out, rkb_discover_rate(discovery->heard, figures->messages));
    rkb_buffer_format(out, " %9s %9s %-6s %6s\n", mean, largest, rkb_group_form(group), listeners);
}

static void add_groups(const struct rkb_discovery *discovery, struct rkb_buffer *out)
{
    const struct rkb_plan *plan = discovery->plan;
    const struct rkb_figures *others = rkb_channels_others(discovery->heard->channels);
    if (plan->count == 0)
        return;
    rkb_buffer_format(out, "\n%-*s %8s %9s %8s %9s %9s %-6s %6s\n", NAME_COLUMNS, "channel or pattern", "channels",
                      "messages", "per s", "mean", "largest", "kind", "listen");
    for (size_t i = 0; i < plan->count && i < GROUPS_SHOWN; i++)
        add_group(discovery, &plan->groups[i], out);
    if (plan->count > GROUPS_SHOWN)
        rkb_buffer_format(out, "... and %zu more, with fewer messages (--json shows all)\n",
                          plan->count - GROUPS_SHOWN);
    if (others->messages > 0)
        rkb_buffer_format(out, "%" PRIu64 " more messages came on channels beyond the %d that are kept by name,\n"
                               "or with names over %d bytes.\n", others->messages, RKB_CHANNELS_MOST,
                          RKB_CHANNEL_NAME_MOST);
    rkb_buffer_text(out, "listen: clients subscribed to the channel by its name (patterns are not told by Redis).\n");
}

static void add_fields(const struct rkb_plan *plan, struct rkb_buffer *out)
{
    bool any = false;
    for (size_t i = 0; i < plan->count && i < GROUPS_SHOWN; i++) {
        const struct rkb_group *group = &plan->groups[i];
        for (size_t j = 0; j < group->field_count; j++) {
            if (!any)
                rkb_buffer_format(out, "\n%-*s %-28s %8s  %s\n", NAME_COLUMNS, "fields that could be keys", "pointer",
                                  "there in", "different values");
            any = true;
            add_name(out, j == 0 ? group->text : rkb_slice("", 0), NAME_COLUMNS);
            rkb_buffer_text(out, " ");
            add_name(out, group->fields[j].pointer, 28);
            rkb_buffer_format(out, " %6u %%  %" PRIu64 " in %" PRIu64 " payloads\n", group->fields[j].present,
                              group->fields[j].values, group->fields[j].looked);
        }
    }
}

static void add_listeners(const struct rkb_heard *heard, struct rkb_buffer *out)
{
    if (!heard->listeners_known) {
        rkb_buffer_text(out, "\nWho subscribes is unknown: Redis refused CLIENT LIST.\n");
        return;
    }
    size_t count = heard->listener_count, more = heard->listeners_more;
    rkb_buffer_format(out, "\nSubscribed clients: %zu", count + more);
    if (heard->subscribed_patterns > 0)
        rkb_buffer_format(out, "; patterns subscribed to: %" PRId64 " (Redis does not tell which)",
                          heard->subscribed_patterns);
    rkb_buffer_text(out, count > 0 ? "\n" : ".\n");
    if (count > 0)
        rkb_buffer_format(out, "%-30s %-24s %-20s %8s %8s\n", "name", "address", "user", "channels", "patterns");
    for (size_t i = 0; i < count && i < LISTENERS_SHOWN; i++) {
        const struct rkb_listener *listener = &heard->listeners[i];
        add_name(out, rkb_slice_text(listener->name[0] != '\0' ? listener->name : "-"), 30);
        rkb_buffer_text(out, " ");
        add_name(out, rkb_slice_text(listener->address), 24);
        rkb_buffer_text(out, " ");
        add_name(out, rkb_slice_text(listener->user), 20);
        rkb_buffer_format(out, " %8" PRId64 " %8" PRId64 "\n", listener->channels, listener->patterns);
    }
    if (count + more > LISTENERS_SHOWN)
        rkb_buffer_format(out, "... and %zu more\n", count + more - LISTENERS_SHOWN);
}

static void add_summary(const struct rkb_discovery *discovery, struct rkb_buffer *out)
{
    const struct rkb_heard *heard = discovery->heard;
    char url[512], time[32], bytes[32], held[32], limit[32];
    const char *ending = rkb_discover_ending(heard);
    rkb_redis_url_show(discovery->options->url, url, sizeof url);
    rkb_format_duration(time, sizeof time, heard->listened_us / 1000 * 1000);
    rkb_format_size(bytes, sizeof bytes, heard->bytes);
    rkb_buffer_format(out, "%s, all channels, for %s%s%s\n", url, time, ending != NULL ? ": " : "",
                      ending != NULL ? ending : "");
    if (heard->why.code != RKB_OK)
        rkb_buffer_format(out, "%s\n", heard->why.text);
    rkb_buffer_format(out, "%" PRIu64 " messages, %.1f a second, %" PRIu64 " in the fullest second, %s of payload\n",
                      heard->messages, rkb_discover_rate(heard, heard->messages), heard->peak, bytes);
    rkb_format_size(limit, sizeof limit, heard->limits.hard > 0 ? heard->limits.hard : heard->limits.soft);
    rkb_format_size(held, sizeof held, heard->buffer_most > 0 ? (uint64_t)heard->buffer_most : 0);
    if (heard->buffer_refused)
        rkb_buffer_text(out, "How much Redis held for us is unknown: it refused CLIENT LIST ID (Redis 6.2 and newer "
                             "have it;\nan ACL needs +client|list), so only our own reading was watched.\n");
    else if (heard->buffer_most >= 0 && heard->limits.hard + heard->limits.soft > 0)
        rkb_buffer_format(out, "Redis held %s for us at most; it cuts a subscriber off at %s%s.\n", held, limit,
                          heard->limits_known ? "" : " (its default: CONFIG GET was refused)");
}

static void add_next(const struct rkb_discovery *discovery, struct rkb_buffer *out)
{
    const char *file = discovery->written != NULL ? discovery->written : "rkbridge.yaml";
    rkb_buffer_text(out, "\nWhat to do next:\n");
    if (discovery->plan->count == 0) {
        rkb_buffer_text(out, "  Nobody published while we listened. Try a longer --for, or at a busier time.\n");
        return;
    }
    if (discovery->written == NULL)
        rkb_buffer_format(out, "  rkbctl discover URL --write %s      the same again, and a config from it\n", file);
    rkb_buffer_format(out, "  edit %s: what is rare was perhaps not seen; topics and keys are proposals\n", file);
    rkb_buffer_format(out, "  rkbridge --check -c %s\n", file);
    rkb_buffer_format(out, "  rkbridge -c %s --embedded-kafka      try it without a Kafka\n", file);
}

void rkb_discover_text(const struct rkb_discovery *discovery, struct rkb_buffer *out)
{
    add_summary(discovery, out);
    add_groups(discovery, out);
    add_fields(discovery->plan, out);
    add_listeners(discovery->heard, out);
    if (discovery->written != NULL)
        rkb_buffer_format(out, "\nWritten: %s\n", discovery->written);
    add_next(discovery, out);
}

/* ---- JSON ---- */

/* A slice as C text; what has a NUL is escaped, as C text cannot have one. */
static void put_text(struct rkb_output *output, const char *name, struct rkb_slice text)
{
    struct rkb_buffer buffer = {0};
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL)
        rkb_escape(RKB_ESCAPE_PLAIN, text, &buffer);
    else
        rkb_buffer_add(&buffer, text.data, text.size);
    rkb_buffer_add(&buffer, "", 1);
    rkb_output_text(output, name, buffer.failed ? NULL : (const char *)buffer.data);
    rkb_buffer_free(&buffer);
}

static void put_count(struct rkb_output *output, const char *name, int64_t count)
{
    if (count < 0)
        rkb_output_none(output, name, "unknown");
    else
        rkb_output_number(output, name, (uint64_t)count);
}

static void put_groups(const struct rkb_discovery *discovery, struct rkb_output *output)
{
    rkb_output_table(output, "groups");
    for (size_t i = 0; i < discovery->plan->count; i++) {
        const struct rkb_group *group = &discovery->plan->groups[i];
        const struct rkb_figures *figures = &group->figures;
        rkb_output_row(output);
        put_text(output, "name", group->text);
        rkb_output_truth(output, "is_pattern", group->is_pattern);
        rkb_output_number(output, "channels", group->channels);
        rkb_output_truth(output, "or_more", group->is_floor);
        rkb_output_number(output, "messages", figures->messages);
        rkb_output_real(output, "per_second", rkb_discover_rate(discovery->heard, figures->messages));
        rkb_output_number(output, "bytes", figures->bytes);
        rkb_output_number(output, "largest", figures->largest);
        rkb_output_text(output, "kind", rkb_group_form(group));
        put_count(output, "listeners", figures->listeners);
        rkb_output_text(output, "route", group->left_out == RKB_LEFT_NOT ? group->route : NULL);
        rkb_output_text(output, "left_out",
                        group->left_out == RKB_LEFT_NOT ? NULL : rkb_left_out_why(group->left_out));
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

static void put_fields(const struct rkb_plan *plan, struct rkb_output *output)
{
    rkb_output_table(output, "fields");
    for (size_t i = 0; i < plan->count; i++) {
        for (size_t j = 0; j < plan->groups[i].field_count; j++) {
            const struct rkb_field *field = &plan->groups[i].fields[j];
            rkb_output_row(output);
            put_text(output, "group", plan->groups[i].text);
            put_text(output, "pointer", field->pointer);
            rkb_output_number(output, "present_percent", field->present);
            rkb_output_number(output, "distinct_percent", field->distinct);
            rkb_output_number(output, "values", field->values);
            rkb_output_number(output, "looked_at", field->looked);
            rkb_output_row_end(output);
        }
    }
    rkb_output_table_end(output);
}

static void put_listeners(const struct rkb_heard *heard, struct rkb_output *output)
{
    rkb_output_table(output, "clients");
    for (size_t i = 0; i < heard->listener_count; i++) {
        const struct rkb_listener *listener = &heard->listeners[i];
        rkb_output_row(output);
        rkb_output_text(output, "name", listener->name);
        rkb_output_text(output, "address", listener->address);
        rkb_output_text(output, "user", listener->user);
        put_count(output, "channels", listener->channels);
        put_count(output, "patterns", listener->patterns);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

void rkb_discover_json(const struct rkb_discovery *discovery, struct rkb_buffer *out)
{
    static const char *const ends[] = {
        [RKB_END_TIME] = "time", [RKB_END_SIGNAL] = "signal", [RKB_END_BUFFER] = "buffer", [RKB_END_SLOW] = "slow",
        [RKB_END_BUSY] = "busy", [RKB_END_LOST] = "lost", [RKB_END_REFUSED] = "refused",
        [RKB_END_UNREACHABLE] = "unreachable"};
    const struct rkb_heard *heard = discovery->heard;
    struct rkb_output output;
    char url[512];
    rkb_redis_url_show(discovery->options->url, url, sizeof url);
    rkb_output_begin(&output, RKB_OUTPUT_JSON, out);
    rkb_output_text(&output, "redis", url);
    rkb_output_seconds(&output, "listened_seconds", (double)heard->listened_us / 1e6);
    rkb_output_text(&output, "end", ends[heard->end]);
    rkb_output_text(&output, "why", heard->why.code != RKB_OK ? heard->why.text : NULL);
    rkb_output_number(&output, "messages", heard->messages);
    rkb_output_number(&output, "bytes", heard->bytes);
    rkb_output_number(&output, "most_in_a_second", heard->peak);
    rkb_output_number(&output, "messages_without_a_name", rkb_channels_others(heard->channels)->messages);
    put_count(&output, "output_buffer_most", heard->buffer_most);
    rkb_output_number(&output, "output_buffer_limit", heard->limits.hard);
    rkb_output_truth(&output, "output_buffer_limit_known", heard->limits_known);
    put_count(&output, "patterns_subscribed", heard->subscribed_patterns);
    put_groups(discovery, &output);
    put_fields(discovery->plan, &output);
    put_listeners(heard, &output);
    rkb_output_number(&output, "clients_more", heard->listeners_more);
    rkb_output_truth(&output, "clients_known", heard->listeners_known);
    rkb_output_text(&output, "written", discovery->written);
    rkb_output_end(&output);
}
