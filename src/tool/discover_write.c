/*
 * discover_write -- a config from what was found: every route a proposal, with the reason beside it. See discover.h.
 *
 * Names are written in YAML's double quotes, whatever is in them; comments hold them in the same form, so that no name
 * can end a comment and begin a setting. `${` is written `$${`, which the config reads as `${`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "message/utf8.h"
#include "tool/discover.h"

#define LEFT_OUT_SHOWN 50
#define NAME_SHOWN 200                  /* bytes of a name in a comment */
#define MAX_MESSAGE_SIZE (UINT64_C(8) << 20)        /* the config's default */

/* ---- YAML ---- */

/* What stands in double quotes as it is: what is neither control nor a line's end nor invisible. */
static bool is_plain(struct rkb_slice character)
{
    const uint8_t *data = character.data;
    if (character.size == 1)
        return data[0] >= ' ' && data[0] < 0x7f && data[0] != '"' && data[0] != '\\';
    if (character.size == 2)
        return data[0] > 0xc2 || data[1] > 0xa0;            /* not U+0080 to U+00A0 */
    if (character.size == 3 && data[0] == 0xe2 && (data[1] == 0x80 || data[1] == 0x81))
        return false;                                       /* U+2000 to U+207F: spaces, line ends, directions */
    if (character.size == 3 && data[0] == 0xef)
        return data[1] < 0xbb;                              /* not U+FEC0 and above: U+FEFF, U+FFFE, U+FFFF */
    return true;
}

static uint32_t code_point(struct rkb_slice character)
{
    static const uint8_t first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t value = character.data[0] & first[character.size];
    for (size_t i = 1; i < character.size; i++)
        value = value << 6 | (character.data[i] & 0x3f);
    return value;
}

static void add_escaped(struct rkb_buffer *out, struct rkb_slice character)
{
    uint32_t value = code_point(character);
    if (value == '"' || value == '\\')
        rkb_buffer_format(out, "\\%c", (char)value);
    else if (value == '\n')
        rkb_buffer_text(out, "\\n");
    else
        rkb_buffer_format(out, value < 0x100 ? "\\x%02x" : value < 0x10000 ? "\\u%04x" : "\\U%08x", value);
}

/* In quotes. Bytes that are not UTF-8 come out as \x.., which is right only in a comment. */
static void add_quoted(struct rkb_buffer *out, struct rkb_slice text)
{
    rkb_buffer_text(out, "\"");
    while (text.size > 0) {
        size_t skip, size = rkb_utf8_step(text, &skip);
        struct rkb_slice character = rkb_slice(text.data, size > 0 ? size : 1);
        if (size == 0)
            rkb_buffer_format(out, "\\x%02x", text.data[0]);
        else if (text.size > 1 && text.data[0] == '$' && text.data[1] == '{')
            rkb_buffer_text(out, "$$");
        else if (is_plain(character))
            rkb_buffer_add(out, character.data, character.size);
        else
            add_escaped(out, character);
        text = rkb_slice(text.data + character.size, text.size - character.size);
    }
    rkb_buffer_text(out, "\"");
}

/* The same, cut: for a comment. */
static void add_shown(struct rkb_buffer *out, struct rkb_slice text)
{
    add_quoted(out, rkb_slice(text.data, text.size < NAME_SHOWN ? text.size : NAME_SHOWN));
    if (text.size > NAME_SHOWN)
        rkb_buffer_format(out, "... (%zu bytes)", text.size);
}

static void add_setting(struct rkb_buffer *out, const char *name, const char *value)
{
    if (value == NULL)
        return;
    rkb_buffer_format(out, "    %s: ", name);
    add_quoted(out, rkb_slice_text(value));
    rkb_buffer_text(out, "\n");
}

/* ---- the head ---- */

static void add_head(const struct rkb_discovery *discovery, struct rkb_buffer *out)
{
    const struct rkb_heard *heard = discovery->heard;
    char when[25], time[32];
    const char *ending = rkb_discover_ending(heard);
    rkb_format_time(when, discovery->started_us);
    when[24] = '\0';
    rkb_format_duration(time, sizeof time, heard->listened_us / 1000 * 1000);
    rkb_buffer_format(out, "# Written by `rkbctl discover`, which listened to all channels for %s from %s on%s%s:\n",
                      time, when, ending != NULL ? "; " : "", ending != NULL ? ending : "");
    rkb_buffer_format(out, "# %" PRIu64 " messages, %.1f a second. What nobody published in that time is not here.\n"
                           "#\n", heard->messages, rkb_discover_rate(heard, heard->messages));
    rkb_buffer_text(out, "# All of it is a proposal: read each route, choose its topic and key, and check it, as the\n"
                         "# user that will run it, with    rkbridge --check -c FILE\n"
                         "# rkbridge.yaml(5) explains each setting.\n\n");
}

static void add_source(const struct rkb_discovery *discovery, struct rkb_buffer *out)
{
    const struct rkb_listen_options *options = discovery->options;
    char url[512];
    uint64_t largest = rkb_channels_others(discovery->heard->channels)->largest;
    rkb_redis_url_show(options->url, url, sizeof url);
    for (size_t i = 0; i < discovery->plan->count; i++)
        if (discovery->plan->groups[i].figures.largest > largest)
            largest = discovery->plan->groups[i].figures.largest;
    rkb_buffer_text(out, "# The name of this rkbridge in records and logs.\ninstance: rkbridge\n\n"
                         "redis:\n  legacy:\n");
    add_setting(out, "url", url);
    add_setting(out, "user", options->user);
    if (options->password_file != NULL)
        add_setting(out, "password_file", options->password_file);
    else
        rkb_buffer_text(out, "    # A password is not written here; name a file that only rkbridge can read:\n"
                             "    # password_file: /etc/rkbridge/redis.password\n");
    add_setting(out, "tls_ca_file", options->tls.ca_file);
    add_setting(out, "tls_ca_directory", options->tls.ca_directory);
    add_setting(out, "tls_certificate_file", options->tls.certificate_file);
    add_setting(out, "tls_key_file", options->tls.key_file);
    add_setting(out, "tls_key_password_file", options->tls.key_password_file);
    add_setting(out, "tls_server_name", options->tls.server_name);
    if (options->tls.unverified)
        rkb_buffer_text(out, "    tls_verify: no    # believes whoever answers\n");
    if (largest > MAX_MESSAGE_SIZE)
        rkb_buffer_format(out, "    # A payload of %" PRIu64 " bytes was seen. Longer ones than this are dropped; "
                               "raise it, and journal.ring_size\n    # to three times as much.\n"
                               "    # max_message_size: 8MiB\n", largest);
}

static void add_rest(struct rkb_buffer *out)
{
    rkb_buffer_text(out, "\nkafka:\n"
                         "  # yes: topics that are missing are created.\n"
                         "  # create_topics: yes\n"
                         "  properties:\n"
                         "    bootstrap.servers: 127.0.0.1:9092      # your Kafka\n"
                         "\njournal:\n"
                         "  directory: /var/lib/rkbridge\n");
}

/* ---- routes ---- */

static void add_figures(const struct rkb_discovery *discovery, const struct rkb_group *group, struct rkb_buffer *out)
{
    const struct rkb_figures *figures = &group->figures;
    char mean[32], largest[32];
    rkb_format_size(mean, sizeof mean, figures->messages > 0 ? figures->bytes / figures->messages : 0);
    rkb_format_size(largest, sizeof largest, figures->largest);
    rkb_buffer_text(out, "\n  # ");
    if (group->is_pattern)
        rkb_buffer_format(out, "%s%" PRIu64 " channels, ", group->is_floor ? "at least " : "", group->channels);
    if (figures->messages > 0)
        rkb_buffer_format(out, "%" PRIu64 " messages (%.2f a second), %s, %s on average, at most %s", figures->messages,
                          rkb_discover_rate(discovery->heard, figures->messages), rkb_group_form(group), mean, largest);
    else
        rkb_buffer_text(out, "no message was seen, but somebody listens");
    if (figures->listeners > 0)
        rkb_buffer_format(out, "; %" PRId64 " subscribed by name", figures->listeners);
    rkb_buffer_text(out, "\n");
}

static void add_loss(const struct rkb_plan *plan, size_t index, struct rkb_buffer *out)
{
    const struct rkb_group *group = &plan->groups[index];
    if (group->taken_by == index)
        return;
    rkb_buffer_format(out, "  # %" PRIu64 " of its channels match the route %s as well, which comes first and gets "
                           "them.\n", group->lost, plan->groups[group->taken_by].route);
}

static void add_key(const struct rkb_group *group, struct rkb_buffer *out)
{
    rkb_buffer_format(out, "    # Records of one key stay in order, in one partition%s.\n    key: \"{{channel}}\"\n",
                      group->is_pattern ? "" : ": with the channel as key, all of them");
    for (size_t i = 0; i < group->field_count; i++) {
        const struct rkb_field *field = &group->fields[i];
        struct rkb_buffer text = {0};
        rkb_buffer_text(&text, "{{payload:");
        rkb_buffer_add(&text, field->pointer.data, field->pointer.size);
        rkb_buffer_text(&text, "}}");
        rkb_buffer_text(out, "    # key: ");
        add_quoted(out, rkb_slice(text.data, text.size));
        rkb_buffer_format(out, "  # distinct %u %%: %" PRIu64 " values in %" PRIu64 " payloads, there in %u %%\n",
                          field->distinct, field->values, field->looked, field->present);
        rkb_buffer_free(&text);
    }
}

static void add_form(const struct rkb_group *group, struct rkb_buffer *out)
{
    const uint64_t *forms = group->figures.forms;
    if (forms[RKB_FORM_BINARY] > 0)
        rkb_buffer_text(out, "    envelope: raw         # binary payloads: byte for byte, the rest in headers\n");
    else
        rkb_buffer_format(out, "    envelope: event       "
                               "# {\"name\": ..., \"data\": {\"id\": ..., \"%s\": <payload>}}\n"
                               "    payload_name: %s\n", group->payload_name, group->payload_name);
}

static void add_route(const struct rkb_discovery *discovery, size_t index, struct rkb_buffer *out)
{
    const struct rkb_group *group = &discovery->plan->groups[index];
    add_figures(discovery, group, out);
    add_loss(discovery->plan, index, out);
    rkb_buffer_format(out, "  \"%s\":\n    source: legacy\n    %s:\n      - ", group->route,
                      group->is_pattern ? "patterns" : "channels");
    add_quoted(out, group->text);
    rkb_buffer_format(out, "\n    topic: \"%s\"\n", group->topic);
    add_key(group, out);
    add_form(group, out);
}

static void add_left_out(const struct rkb_plan *plan, struct rkb_buffer *out)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++)
        count += plan->groups[i].left_out != RKB_LEFT_NOT;
    if (count == 0)
        return;
    rkb_buffer_format(out, "\n# Left out, %zu:\n", count);
    size_t shown = 0;
    for (size_t i = 0; i < plan->count && shown < LEFT_OUT_SHOWN; i++) {
        const struct rkb_group *group = &plan->groups[i];
        if (group->left_out == RKB_LEFT_NOT)
            continue;
        rkb_buffer_text(out, "#   ");
        add_shown(out, group->text);
        rkb_buffer_format(out, " (%" PRIu64 " messages): ", group->figures.messages);
        if (group->taken_by != i)
            rkb_buffer_format(out, "the route %s takes it\n", plan->groups[group->taken_by].route);
        else
            rkb_buffer_format(out, "%s\n", rkb_left_out_why(group->left_out));
        shown++;
    }
    if (count > shown)
        rkb_buffer_format(out, "#   ... and %zu more\n", count - shown);
}

bool rkb_discover_config(const struct rkb_discovery *discovery, struct rkb_buffer *out)
{
    const struct rkb_plan *plan = discovery->plan;
    const struct rkb_figures *others = rkb_channels_others(discovery->heard->channels);
    bool any = false;
    for (size_t i = 0; i < plan->count; i++)
        any = any || plan->groups[i].left_out == RKB_LEFT_NOT;
    if (!any)
        return false;
    add_head(discovery, out);
    add_source(discovery, out);
    add_rest(out);
    rkb_buffer_text(out, "\n# An exact channel wins over patterns, an earlier pattern over a later one.\nroutes:\n");
    for (size_t i = 0; i < plan->count; i++)
        if (plan->groups[plan->order[i]].left_out == RKB_LEFT_NOT)
            add_route(discovery, plan->order[i], out);
    add_left_out(plan, out);
    if (others->messages > 0)
        rkb_buffer_format(out, "# Not looked at: %" PRIu64 " messages on channels beyond the first %d, or with names "
                               "over %d bytes.\n", others->messages, RKB_CHANNELS_MOST, RKB_CHANNEL_NAME_MOST);
    return true;
}
