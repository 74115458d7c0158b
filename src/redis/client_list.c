/* client_list -- see client_list.h. Fields that a newer Redis adds are passed over. */
#include "redis/client_list.h"

#include <stdio.h>

static const char prefix[] = "rkbridge:";

/* What stands before `end`, taken off the front of *rest with it; all of it where there is none. */
static struct rkb_slice take_until(struct rkb_slice *rest, char end)
{
    const uint8_t *at = rest->size > 0 ? memchr(rest->data, end, rest->size) : NULL;
    struct rkb_slice taken = rkb_slice(rest->data, at == NULL ? rest->size : (size_t)(at - rest->data));
    size_t used = taken.size + (at != NULL);
    *rest = rkb_slice(rest->data + used, rest->size - used);
    return taken;
}

static bool parse_number(struct rkb_slice text, uint64_t *number)
{
    uint64_t value = 0;
    if (text.size == 0 || text.size > 18)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *number = value;
    return true;
}

static int64_t number_or_none(struct rkb_slice text)
{
    uint64_t value;
    return parse_number(text, &value) ? (int64_t)value : -1;
}

static bool is(struct rkb_slice text, const char *word)
{
    return rkb_slice_equal(text, rkb_slice_text(word));
}

bool rkb_client_parse(struct rkb_slice line, struct rkb_client *client)
{
    bool has_id = false;
    *client = (struct rkb_client){.idle_seconds = -1, .output_buffer = -1, .memory = -1,
                                  .channels = -1, .patterns = -1};
    while (line.size > 0) {
        struct rkb_slice value = take_until(&line, ' ');
        struct rkb_slice field = take_until(&value, '=');
        if (is(field, "id"))
            has_id = parse_number(value, &client->id);
        else if (is(field, "name"))
            client->name = value;
        else if (is(field, "addr"))
            client->address = value;
        else if (is(field, "user"))
            client->user = value;
        else if (is(field, "sub"))
            client->channels = number_or_none(value);
        else if (is(field, "psub"))
            client->patterns = number_or_none(value);
        else if (is(field, "idle"))
            client->idle_seconds = number_or_none(value);
        else if (is(field, "omem"))
            client->output_buffer = number_or_none(value);
        else if (is(field, "tot-mem"))
            client->memory = number_or_none(value);
    }
    return has_id;
}

bool rkb_output_limits_parse(struct rkb_slice value, struct rkb_output_limits *limits)
{
    uint64_t seconds;
    while (value.size > 0) {
        if (!is(take_until(&value, ' '), "pubsub"))
            continue;
        if (!parse_number(take_until(&value, ' '), &limits->hard)
            || !parse_number(take_until(&value, ' '), &limits->soft)
            || !parse_number(take_until(&value, ' '), &seconds))
            return false;
        limits->soft_seconds = (int64_t)seconds;
        return true;
    }
    return false;
}

bool rkb_bridge_name_parse(struct rkb_slice text, struct rkb_bridge_name *name)
{
    uint64_t period;
    *name = (struct rkb_bridge_name){.period_ms = 0};
    if (text.size < sizeof prefix || memcmp(text.data, prefix, sizeof prefix - 1) != 0)
        return false;
    text = rkb_slice(text.data + sizeof prefix - 1, text.size - (sizeof prefix - 1));
    name->instance = take_until(&text, ':');
    if (name->instance.size == 0 || text.size == 0)
        return name->instance.size > 0;
    name->token = take_until(&text, ':');
    if (name->token.size != RKB_BRIDGE_TOKEN || !parse_number(take_until(&text, ':'), &period))
        return false;
    name->period_ms = (int64_t)period;
    return parse_number(text, &name->subscriber);
}

void rkb_bridge_name_write(char out[RKB_BRIDGE_NAME], const struct rkb_bridge_name *name)
{
    int instance = (int)name->instance.size;
    if (name->token.size == 0)
        snprintf(out, RKB_BRIDGE_NAME, "%s%.*s", prefix, instance, (const char *)name->instance.data);
    else
        snprintf(out, RKB_BRIDGE_NAME, "%s%.*s:%.*s:%lld:%llu", prefix, instance, (const char *)name->instance.data,
                 RKB_BRIDGE_TOKEN, (const char *)name->token.data, (long long)name->period_ms,
                 (unsigned long long)name->subscriber);
}
