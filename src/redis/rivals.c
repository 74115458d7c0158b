/* rivals -- see rivals.h. */
#include "redis/rivals.h"

#define ALONE_MS 5000                   /* at least so often, it is taken, says something who has no watcher: PING */

void rkb_rivals_own(struct rkb_rivals *rivals, uint64_t subscriber)
{
    if (subscriber == 0)
        return;
    if (rivals->own_count > 0 && subscriber <= rivals->own[(rivals->own_count - 1) % RKB_OWN_KEPT]) {
        memset(rivals->own, 0, sizeof rivals->own);
        rivals->own_count = 0;
    }
    rivals->own[rivals->own_count++ % RKB_OWN_KEPT] = subscriber;
}

void rkb_rivals_begin(struct rkb_rivals *rivals)
{
    rivals->count = 0;
}

static bool is_own(const struct rkb_rivals *rivals, uint64_t subscriber)
{
    for (size_t i = 0; i < RKB_OWN_KEPT; i++) {
        if (rivals->own[i] == subscriber)
            return true;
    }
    return false;
}

static void copy(char *out, size_t size, struct rkb_slice text)
{
    size_t length = text.size < size ? text.size : size - 1;
    if (length > 0)
        memcpy(out, text.data, length);
    out[length] = '\0';
}

void rkb_rivals_subscribed(struct rkb_rivals *rivals, const struct rkb_client *client)
{
    struct rkb_bridge_name name;
    if (!rkb_bridge_name_parse(client->name, &name) || is_own(rivals, client->id) || rivals->count == RKB_RIVALS_KEPT)
        return;
    struct rkb_rival *rival = &rivals->list[rivals->count++];
    *rival = (struct rkb_rival){.subscriber = client->id, .subscriber_idle_s = client->idle_seconds};
    copy(rival->instance, sizeof rival->instance, name.instance);
    copy(rival->address, sizeof rival->address, client->address);
}

/* Another source of this process on the same Redis is no rival; a ghost's watcher does not hide the one that lives. */
void rkb_rivals_normal(struct rkb_rivals *rivals, const struct rkb_client *client)
{
    struct rkb_bridge_name name;
    if (!rkb_bridge_name_parse(client->name, &name) || name.token.size == 0)
        return;
    bool ours = rkb_slice_equal(name.token, rkb_slice_text(rivals->token));
    for (size_t i = 0; i < rivals->count; i++) {
        struct rkb_rival *rival = &rivals->list[i];
        if (rival->subscriber != name.subscriber)
            continue;
        if (ours) {
            *rival = rivals->list[--rivals->count];
        } else if (rival->watcher == 0 || client->idle_seconds < rival->watcher_idle_s) {
            rival->watcher = client->id;
            rival->watcher_idle_s = client->idle_seconds;
            rival->period_ms = name.period_ms;
        }
        return;
    }
}

static bool lives(const struct rkb_rivals *rivals, const struct rkb_rival *rival)
{
    if (rival->watcher != 0)
        return rkb_rival_lives(rival->watcher_idle_s, rival->period_ms);
    return rkb_rival_lives(rival->subscriber_idle_s, rivals->period_ms > ALONE_MS ? rivals->period_ms : ALONE_MS);
}

const struct rkb_rival *rkb_rivals_find(const struct rkb_rivals *rivals)
{
    const struct rkb_rival *found = NULL;
    for (size_t i = 0; i < rivals->count; i++) {
        const struct rkb_rival *rival = &rivals->list[i];
        if (lives(rivals, rival) && (found == NULL || rival->subscriber < found->subscriber))
            found = rival;
    }
    return found;
}
