/*
 * shipper_rest -- routes and topics that rest because somebody asked for it (pauses.h); see shipper.h, lane.h.
 *
 *     journal   . . . R . a . R b . R . . . [         R: a record of a route that rests
 *                     ^ its lane remembers the first that it passed over
 *     resumed:  in flight lands --> the lane goes back there --> what is not settled goes out
 *
 * A topic that rests is a lane that takes nothing: it falls behind and holds its place. A route that rests is passed
 * over, record by record, so that other routes of the same topic go on. A record that was under way when it was asked
 * for still lands; a topic that refuses a record of a resting route waits with it, since order is kept there. Dead
 * letters for the file are written all the same.
 *
 * Promise: what was passed over goes out in its order when its route goes on, and is open until then.
 */
#include "daemon/shipper_state.h"

#define UNREAD_AGAIN_US 1000000

bool rkb_shipper_route_rests(const struct rkb_shipper *shipper, const struct rkb_record *record)
{
    return shipper->resting.count > 0 && record->topic != 0
        && rkb_pauses_has(&shipper->resting, false, record->route);
}

bool rkb_shipper_topic_rests(const struct rkb_shipper *shipper, const struct rkb_lane *lane)
{
    uint32_t topic = rkb_lanes_topic(&shipper->lanes, lane);
    return shipper->resting.count > 0 && topic != 0 && rkb_pauses_has(&shipper->resting, true, topic);
}

void rkb_shipper_pass_over(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record)
{
    int64_t since_us = rkb_shipper_since(shipper, record);
    int64_t *oldest_us = &shipper->figures->routes[record->route].resting_us;
    if (!lane->skips || record->sequence < lane->skipped)
        lane->skipped = record->sequence;
    lane->skips = true;
    if (!lane->behind)
        lane->next = record->sequence + 1;
    if (lane->sent_end == 0)
        lane->sent_end = record->sequence;      /* its place is to be noted, though nothing was sent */
    if (*oldest_us == 0 || since_us < *oldest_us)
        *oldest_us = since_us;
}

/*
 * Each lane that passed over something goes back; what still rests is passed over again. One that stands before that
 * place already, since it went back for another route, comes to it by itself: it must not go forward.
 */
static void go_back(struct rkb_shipper *shipper)
{
    for (uint32_t topic = 1; topic <= shipper->lanes.topic_count; topic++) {
        struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, topic);
        if (!lane->skips)
            continue;
        lane->skips = false;
        if (lane->behind && lane->next <= lane->skipped)
            continue;
        if (lane->skipped < lane->returned)
            lane->returned = lane->skipped;
        shipper->returned = true;
    }
}

static void forget_resumed(struct rkb_shipper *shipper, const struct rkb_pause_list *before)
{
    bool resumed = false;
    for (size_t i = 0; i < before->count; i++) {
        const struct rkb_pause *pause = &before->list[i];
        if (pause->is_topic || rkb_pauses_has(&shipper->resting, false, pause->number)
            || pause->number > shipper->options.route_limit)
            continue;
        shipper->figures->routes[pause->number].resting_us = 0;
        resumed = true;
    }
    if (resumed)
        go_back(shipper);
}

static void look_at_unread(struct rkb_shipper *shipper)
{
    if (shipper->now_us - shipper->pauses_looked_us < UNREAD_AGAIN_US)
        return;
    shipper->pauses_looked_us = shipper->now_us;
    if (rkb_pauses_look(shipper->options.pauses))
        rkb_log(shipper->options.log, RKB_LOG_INFO, "journal", "pauses_forgotten", "the file of what was paused, which "
                "could not be read, has been removed: nothing of it is paused");
}

void rkb_shipper_look_at_pauses(struct rkb_shipper *shipper)
{
    struct rkb_pauses *pauses = shipper->options.pauses;
    struct rkb_pause_list before;
    struct rkb_error error;
    if (pauses == NULL)
        return;
    look_at_unread(shipper);
    if (rkb_pauses_version(pauses) == shipper->resting_version)
        return;
    before = shipper->resting;
    shipper->resting_version = rkb_pauses_list(pauses, &shipper->resting);
    forget_resumed(shipper, &before);
    if (!rkb_pauses_keep(pauses, shipper->resting_version, &shipper->resting, &error))
        rkb_log(shipper->options.log, RKB_LOG_ERROR, "journal", "pause_not_kept",
                "%s; until the next start it is as was asked", error.text);
    shipper->changed = true;
    rkb_shipper_tell_loop(shipper);
}

int64_t rkb_shipper_oldest_resting_us(const struct rkb_shipper *shipper)
{
    const struct rkb_pause_list *resting = &shipper->resting;
    int64_t oldest_us = 0;
    for (size_t i = 0; i < resting->count; i++) {
        uint32_t number = resting->list[i].number;
        bool known = !resting->list[i].is_topic && number <= shipper->options.route_limit;
        int64_t since_us = known ? shipper->figures->routes[number].resting_us : 0;
        if (since_us != 0 && (oldest_us == 0 || since_us < oldest_us))
            oldest_us = since_us;
    }
    return oldest_us;
}

/* Of what is in the journal. A lane that is behind has something that does not rest, unless its topic does. */
bool rkb_shipper_only_resting_left(struct rkb_shipper *shipper)
{
    uint64_t end = rkb_journal_next(shipper->options.journal);
    if (shipper->resting.count == 0 || shipper->lanes.in_flight > 0 || shipper->returned
        || rkb_shipper_line(shipper) != end)
        return false;
    for (uint32_t topic = 0; topic <= shipper->lanes.topic_count; topic++) {
        const struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, topic);
        if (lane->behind && !rkb_shipper_topic_rests(shipper, lane))
            return false;
    }
    return true;
}
