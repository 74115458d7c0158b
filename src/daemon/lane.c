/* lane -- see lane.h. */
#include "daemon/lane.h"

#include <stdlib.h>

#define STUCK_PART 64           /* of the places: what a lane that stands still, or may, can have */
#define LEAST_PLACES 64
#define LEAST_BYTES (256 * 1024)
#define SMOOTH_PARTS 128        /* of what it usually takes to land, one is the last record's */
#define RECENT_US 1000000

static void give_back(struct rkb_lanes *lanes, struct rkb_flight *flight)
{
    flight->after = NULL;
    if (lanes->last_free != NULL)
        lanes->last_free->after = flight;
    else
        lanes->free = flight;
    lanes->last_free = flight;
}

bool rkb_lanes_init(struct rkb_lanes *lanes, uint32_t topic_limit, size_t pool)
{
    *lanes = (struct rkb_lanes){
        .lanes = calloc((size_t)topic_limit + 1, sizeof *lanes->lanes),
        .topic_limit = topic_limit,
        .pool = aligned_alloc(_Alignof(struct rkb_flight), pool * sizeof *lanes->pool),
        .pool_size = (uint32_t)pool,
        .places = (uint32_t)pool,
        .byte_places = SIZE_MAX,
    };
    if (lanes->lanes == NULL || lanes->pool == NULL)
        return false;
    lanes->lanes[0].returned = RKB_NOTHING_RETURNED;
    for (size_t i = 0; i < pool; i++)
        give_back(lanes, &lanes->pool[i]);
    return true;
}

void rkb_lanes_free(struct rkb_lanes *lanes)
{
    for (uint32_t topic = 0; lanes->lanes != NULL && topic <= lanes->topic_count; topic++) {
        if (lanes->lanes[topic].behind)
            rkb_cursor_close(&lanes->lanes[topic].cursor);
    }
    free(lanes->lanes);
    free(lanes->pool);
    *lanes = (struct rkb_lanes){0};
}

struct rkb_lane *rkb_lanes_at(struct rkb_lanes *lanes, uint32_t topic)
{
    while (lanes->topic_count < topic)
        lanes->lanes[++lanes->topic_count].returned = RKB_NOTHING_RETURNED;
    return &lanes->lanes[topic];
}

uint32_t rkb_lanes_topic(const struct rkb_lanes *lanes, const struct rkb_lane *lane)
{
    return (uint32_t)(lane - lanes->lanes);
}

/* ---- flights ---- */

struct rkb_flight *rkb_flight_open(struct rkb_lanes *lanes)
{
    return lanes->free;
}

void rkb_flight_keep(struct rkb_lanes *lanes, struct rkb_flight *flight, int64_t now_us)
{
    struct rkb_lane *lane = rkb_lanes_at(lanes, flight->topic);
    lanes->free = flight->after;
    if (lanes->free == NULL)
        lanes->last_free = NULL;
    __builtin_prefetch(lanes->free, 1);     /* for the next one: it was written long ago */
    flight->before = lane->newest;
    flight->after = NULL;
    if (lane->newest != NULL)
        lane->newest->after = flight;
    else
        lane->oldest = flight;
    lane->newest = flight;
    rkb_segment_pin(flight->segment);
    flight->sent_us = now_us;
    if (lane->in_flight == 0)
        lane->moved_us = now_us;
    if (lane->sent_end == 0)
        lanes->used++;
    if (flight->sequence >= lane->sent_end)
        lane->sent_end = flight->sequence + 1;
    lane->next = flight->sequence + 1;
    lane->in_flight++;
    lane->bytes_in_flight += flight->bytes;
    lanes->in_flight++;
    lanes->bytes_in_flight += flight->bytes;
}

static void smooth(struct rkb_lane *lane, int64_t took_us)
{
    int64_t counts_us = took_us < RKB_LONG_US ? took_us : RKB_LONG_US;
    lane->usual_us = lane->usual_us == 0 ? counts_us : lane->usual_us + (counts_us - lane->usual_us) / SMOOTH_PARTS;
}

void rkb_flight_land(struct rkb_lanes *lanes, struct rkb_flight *flight, int64_t now_us)
{
    struct rkb_lane *lane = &lanes->lanes[flight->topic];
    __builtin_prefetch(flight->after, 1);   /* likely the next to land */
    if (flight->before != NULL)
        flight->before->after = flight->after;
    else
        lane->oldest = flight->after;
    if (flight->after != NULL)
        flight->after->before = flight->before;
    else
        lane->newest = flight->before;
    rkb_segment_unpin(flight->segment);
    smooth(lane, now_us - flight->sent_us);
    lane->moved_us = now_us;
    lane->in_flight--;
    lane->bytes_in_flight -= flight->bytes;
    lanes->in_flight--;
    lanes->bytes_in_flight -= flight->bytes;
    give_back(lanes, flight);
}

/* ---- how much may be in flight ---- */

bool rkb_lane_stuck(const struct rkb_lane *lane, int64_t now_us)
{
    return lane->in_flight > 0 && now_us - lane->moved_us >= RKB_LANE_STUCK_US;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* More may be in flight than there are places: each lane has a few, and what goes alone is in another queue. */
static size_t what_is_left(size_t all, size_t taken)
{
    return all > taken ? all - taken : 0;
}

/* The lane of the only topic has all places; else as many as are free, so that one leaves half to the next. */
bool rkb_lane_has_room(const struct rkb_lanes *lanes, const struct rkb_lane *lane, size_t bytes, int64_t now_us)
{
    size_t places = what_is_left(lanes->places, lanes->in_flight);
    size_t room = what_is_left(lanes->byte_places, lanes->bytes_in_flight);
    if (lane->in_flight == 0)
        return true;
    if (lane->most_bytes > 0 && lane->bytes_in_flight + bytes > lane->most_bytes)
        return false;
    if (lanes->topic_limit <= 1)
        return lane->in_flight < lanes->places;
    bool still = !lane->moves || rkb_lane_stuck(lane, now_us);
    if (still && lanes->in_flight >= lanes->places / 4 * 3)     /* a hundred that stand still leave room as well */
        return false;
    if (still) {
        places = lanes->places / STUCK_PART;
        room = lanes->byte_places / STUCK_PART;
    }
    return lane->in_flight < larger(places, LEAST_PLACES)
        && lane->bytes_in_flight + bytes <= larger(room, LEAST_BYTES);
}

int64_t rkb_lanes_usual_us(const struct rkb_lanes *lanes, int64_t now_us)
{
    int64_t least_us = 0;
    for (uint32_t topic = 1; topic <= lanes->topic_count; topic++) {
        const struct rkb_lane *lane = &lanes->lanes[topic];
        if (lane->usual_us > 0 && now_us - lane->moved_us < RECENT_US && (least_us == 0 || lane->usual_us < least_us))
            least_us = lane->usual_us;
    }
    return least_us;
}

bool rkb_lanes_move(const struct rkb_lanes *lanes, int64_t now_us)
{
    return rkb_lanes_others_move(lanes, &lanes->lanes[0], now_us);      /* nothing of topic 0 is ever in flight */
}

bool rkb_lanes_others_move(const struct rkb_lanes *lanes, const struct rkb_lane *lane, int64_t now_us)
{
    uint32_t others = lanes->in_flight - lane->in_flight;
    for (uint32_t topic = 1; topic <= lanes->topic_count && others > 0; topic++) {
        const struct rkb_lane *other = &lanes->lanes[topic];
        if (other != lane && rkb_lane_stuck(other, now_us))
            others -= other->in_flight;
    }
    return others > 0;
}

/* ---- where it goes on ---- */

void rkb_lane_fall_behind(struct rkb_lanes *lanes, struct rkb_lane *lane, struct rkb_journal *journal,
                          uint64_t sequence, int64_t time_us)
{
    if (lane->behind)
        rkb_cursor_close(&lane->cursor);
    else
        lanes->behind++;
    lane->behind = true;
    lane->holding = false;
    lane->next = sequence;
    lane->next_us = time_us;
    rkb_cursor_seek(&lane->cursor, journal, sequence);
}

void rkb_lane_catch_up(struct rkb_lanes *lanes, struct rkb_lane *lane)
{
    if (!lane->behind)
        return;
    rkb_cursor_close(&lane->cursor);
    lane->behind = lane->holding = false;
    lanes->behind--;
}

void rkb_lane_enter(struct rkb_lanes *lanes, struct rkb_lane *lane, enum rkb_lane_state state)
{
    if (lane->state == RKB_LANE_FLOWING && state != RKB_LANE_FLOWING)
        lanes->troubled++;
    if (lane->state != RKB_LANE_FLOWING && state == RKB_LANE_FLOWING)
        lanes->troubled--;
    lane->state = state;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t rkb_lane_low(const struct rkb_lane *lane, uint64_t line)
{
    uint64_t low = lower(lane->behind ? lane->next : line, lane->returned);
    if (lane->skips)
        low = lower(low, lane->skipped);
    return lane->oldest != NULL ? lower(low, lane->oldest->sequence) : low;
}

int64_t rkb_lane_oldest_us(const struct rkb_lane *lane)
{
    if (lane->oldest != NULL && (!lane->behind || lane->oldest->sequence < lane->next))
        return lane->oldest->time_us;
    return lane->behind ? lane->next_us : 0;
}

bool rkb_lane_suspects(const struct rkb_lane *lane, size_t bytes)
{
    return lane->smallest_refused > 0 && bytes > lane->largest_taken;
}

bool rkb_lane_restamps(const struct rkb_lane *lane, int64_t time_us, int64_t real_us)
{
    return lane->restamp_us > 0 && (time_us <= lane->restamp_us || time_us > real_us);
}
