/*
 * shipper_table -- what the shipper has for each route and topic, when a reload brings other ones.
 *
 *     loop: makes a table, offers it --> the ring: the first record with a new number --> shipper: takes from the ring,
 *     takes up the table, sends --> posts its figures into the new table's mailbox --> loop: frees the one before
 *
 * The loop offers before such a record stands in the ring, and the shipper looks behind what it took from there: so it
 * never meets a number that it has no place for. One pointer is exchanged each way, and one is looked at in each turn;
 * there is no lock. All memory comes with the table, since nothing may fail when it is taken up.
 */
#include "daemon/shipper_state.h"

#include <stdlib.h>
#include <string.h>

struct rkb_shipper_table *rkb_shipper_table_new(struct rkb_shipper *shipper, uint32_t route_limit, uint32_t topic_limit)
{
    struct rkb_shipper_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    bool grows = topic_limit > shipper->offered_topics;
    size_t size = rkb_shipped_size(route_limit, topic_limit);
    table->route_limit = route_limit;
    table->topic_limit = topic_limit;
    table->routes = calloc((size_t)route_limit + 1, sizeof *table->routes);
    table->figures = calloc(1, size);
    table->lanes = grows ? calloc((size_t)topic_limit + 1, sizeof *table->lanes) : NULL;
    if (!rkb_mailbox_init(&table->mailbox, size) || table->routes == NULL || table->figures == NULL
        || (grows && table->lanes == NULL)) {
        rkb_shipper_table_free(table);
        return NULL;
    }
    return table;
}

struct rkb_shipper_route *rkb_shipper_table_routes(struct rkb_shipper_table *table)
{
    return table->routes;
}

void rkb_shipper_table_times(struct rkb_shipper_table *table, int64_t refuse_after_us, int64_t watchdog_us)
{
    table->timed = true;
    table->refuse_after_us = refuse_after_us;
    table->watchdog_us = watchdog_us;
}

void rkb_shipper_table_free(struct rkb_shipper_table *table)
{
    if (table == NULL)
        return;
    rkb_mailbox_free(&table->mailbox);
    free(table->routes);
    free(table->figures);
    free(table->lanes);
    free(table);
}

/* ---- loop ---- */

void rkb_shipper_offer(struct rkb_shipper *shipper, struct rkb_shipper_table *table)
{
    (void)rkb_shipper_figures(shipper);         /* from now on those of the last one are read: the one before goes */
    shipper->offered_topics = table->topic_limit;
    shipper->latest = table;
    atomic_store(&shipper->offered, table);
    rkb_shipper_wake(shipper);
}

bool rkb_shipper_took_up(const struct rkb_shipper *shipper)
{
    return atomic_load(&shipper->current) == shipper->latest;
}

const struct rkb_shipped *rkb_shipper_figures(struct rkb_shipper *shipper)
{
    struct rkb_shipper_table *current = atomic_load(&shipper->current), *before = shipper->reading;
    if (current != before) {
        shipper->reading = current;
        rkb_shipper_table_free(before);
    }
    return rkb_mailbox_read(current != NULL ? &current->mailbox : &shipper->mailbox);
}

void rkb_shipper_free_tables(struct rkb_shipper *shipper)
{
    struct rkb_shipper_table *current = atomic_load(&shipper->current), *offered = atomic_load(&shipper->offered);
    if (offered != NULL)
        rkb_shipper_table_free(offered);
    if (shipper->reading != current)
        rkb_shipper_table_free(shipper->reading);
    rkb_shipper_table_free(current);
}

/* ---- shipper ---- */

struct rkb_mailbox *rkb_shipper_mailbox(struct rkb_shipper *shipper)
{
    return shipper->table != NULL ? &shipper->table->mailbox : &shipper->mailbox;
}

static void take_lanes(struct rkb_shipper *shipper, struct rkb_shipper_table *table)
{
    struct rkb_lanes *lanes = &shipper->lanes;
    lanes->topic_limit = table->topic_limit;
    if (table->lanes == NULL)
        return;
    memcpy(table->lanes, lanes->lanes, ((size_t)lanes->topic_count + 1) * sizeof *lanes->lanes);
    free(lanes->lanes);
    lanes->lanes = table->lanes;
    table->lanes = NULL;
}

static void take_figures(struct rkb_shipper *shipper, struct rkb_shipper_table *table)
{
    struct rkb_shipped *figures = table->figures;
    uint32_t routes = shipper->figures->route_limit;
    memcpy(figures, shipper->figures, sizeof *figures + ((size_t)routes + 1) * sizeof figures->routes[0]);
    figures->route_limit = table->route_limit;
    figures->topic_limit = table->topic_limit;
    free(shipper->figures);
    shipper->figures = figures;
    table->figures = NULL;
}

/* A lane that has waited longer and longer for a new producer begins anew with another watchdog. */
static void take_times(struct rkb_shipper *shipper, const struct rkb_shipper_table *table)
{
    if (!table->timed)
        return;
    bool other = table->watchdog_us != shipper->options.watchdog_us;
    for (uint32_t topic = 1; other && topic <= shipper->lanes.topic_count; topic++)
        rkb_lanes_at(&shipper->lanes, topic)->watch_us = 0;
    shipper->options.refuse_after_us = table->refuse_after_us;
    shipper->options.watchdog_us = table->watchdog_us;
}

bool rkb_shipper_take_up(struct rkb_shipper *shipper)
{
    if (atomic_load_explicit(&shipper->offered, memory_order_acquire) == NULL)
        return false;
    struct rkb_shipper_table *table = atomic_exchange(&shipper->offered, NULL);
    take_lanes(shipper, table);
    take_figures(shipper, table);
    take_times(shipper, table);
    shipper->options.routes = table->routes;
    shipper->options.route_limit = table->route_limit;
    shipper->options.topic_limit = table->topic_limit;
    shipper->table = table;
    return true;
}

void rkb_shipper_taken_up(struct rkb_shipper *shipper)
{
    atomic_store(&shipper->current, shipper->table);
    rkb_shipper_tell_loop(shipper);
}
