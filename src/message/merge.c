/*
 * merge -- see merge.h.
 *
 * Whether the payload has members of our names the route's one pass over it has told already (pointer.h), so that only
 * what is cut costs a second one. A cut takes one comma with it:
 *
 *     {"a": 1, "id": 2, "b": 3}     from the comma before it, where a member that stays stands before it
 *            ~~~~~~~~~
 *     {"id": 2, "a": 1}             else to behind the comma that follows
 *      ~~~~~~~~
 *     {"id": 2}                     else itself
 *      ~~~~~~~
 *
 * Never allocates for a message. Sizes and bytes come of one walk each over the same plan.
 */
#include "message/merge.h"

#include <stdio.h>

#include "message/json.h"
#include "message/json_string.h"
#include "message/scan.h"

const char rkb_merge_header[] = "rkb-merge";

static const char kept_word[] = "kept", cut_word[] = "cut", member_word[] = "member";

enum { ID, CHANNEL, TIME, NAMES = RKB_MERGE_NAMES };

/* Each of ours: its name, and what stands before its value's text. */
static const struct {
    const char *name, *pointer, *opening;
} ours[NAMES] = {
    [ID] = {"id", "/id", "\"id\":\""},
    [CHANNEL] = {"channel", "/channel", "\"channel\":\""},
    [TIME] = {"time", "/time", "\"time\":\""},
};

bool rkb_merge_compile(enum rkb_when_taken when_taken, struct rkb_pointers *pointers, struct rkb_merge_rule *rule,
                       struct rkb_error *error)
{
    rule->when_taken = when_taken;
    for (size_t i = 0; i < NAMES; i++)
        if (!rkb_pointers_add(pointers, rkb_slice_text(ours[i].pointer), &rule->places[i], error))
            return false;
    return true;
}

/* ---- the plan ---- */

static bool reject(struct rkb_verdict *verdict)
{
    verdict->kind = RKB_REJECTED;
    verdict->code = "merge";
    return false;
}

/* The bit of a key, between its quotes, that is one of ours; 0. */
static unsigned bit_of(struct rkb_slice key)
{
    for (size_t i = 0; i < NAMES; i++)
        if (rkb_json_means(key, rkb_slice_text(ours[i].name)))
            return 1u << i;
    return 0;
}

/* A member, as places in the payload; the payload is known to be JSON. */
struct member {
    size_t start, end, next;        /* its key's quote, behind its value, the comma or brace behind it */
    unsigned bit;
};

static struct member read_member(struct rkb_slice payload, size_t from)
{
    const uint8_t *end = payload.data + payload.size, *start = rkb_json_space(payload.data + from, end);
    const uint8_t *key = rkb_json_string(start + 1, end).at;
    const uint8_t *value = rkb_json_space(rkb_json_space(key, end) + 1, end);
    const uint8_t *behind = rkb_json_value(value, end, RKB_JSON_DEPTH).at;
    return (struct member){(size_t)(start - payload.data), (size_t)(behind - payload.data),
                           (size_t)(rkb_json_space(behind, end) - payload.data),
                           bit_of(rkb_slice(start + 1, (size_t)(key - start) - 2))};
}

/* False: too many of them. */
static bool plan_cuts(struct rkb_slice payload, struct rkb_merge *merge)
{
    size_t comma = merge->open - 1;     /* before the member; before the first one the brace */
    merge->followed = false;
    for (bool more = true; more;) {
        struct member member = read_member(payload, comma + 1);
        more = payload.data[member.next] == ',';
        if (member.bit == 0) {
            merge->followed = true;
        } else if (merge->cut_count == RKB_MERGE_CUTS) {
            return false;
        } else {
            size_t at = merge->followed ? comma : member.start;
            size_t end = !merge->followed && more ? member.next + 1 : member.end;
            merge->cuts[merge->cut_count].at = at;
            merge->cuts[merge->cut_count++].size = end - at;
        }
        comma = member.next;
    }
    return true;
}

/* Which of our names the payload has. */
static unsigned names_taken(const struct rkb_merge_rule *rule, const struct rkb_facts *facts)
{
    unsigned taken = 0;
    for (size_t i = 0; i < NAMES; i++)
        if (facts->found[rule->places[i]].data != NULL)
            taken |= 1u << i;
    return taken;
}

/* Of a payload that has some of our names. */
static bool plan_taken(const struct rkb_merge_rule *rule, unsigned taken, struct rkb_slice payload,
                       struct rkb_merge *merge, struct rkb_verdict *verdict)
{
    size_t first = taken & 1u << ID ? ID : taken & 1u << CHANNEL ? CHANNEL : TIME;
    switch (rule->when_taken) {
    case RKB_TAKEN_KEEP:
        merge->kept = taken;
        return true;
    case RKB_TAKEN_OVERWRITE:
        if (plan_cuts(payload, merge))
            return true;
        snprintf(verdict->reason, sizeof verdict->reason,
                 "/%s: the payload has more than %d members named id, channel or time", ours[first].name,
                 RKB_MERGE_CUTS);
        return reject(verdict);
    case RKB_TAKEN_DEAD_LETTER:
        snprintf(verdict->reason, sizeof verdict->reason,
                 "/%s: the payload has this member itself, and when_taken is dead_letter", ours[first].name);
        return reject(verdict);
    }
    return true;
}

bool rkb_merge_plan(const struct rkb_merge_rule *rule, const struct rkb_facts *facts, struct rkb_merge *merge,
                    struct rkb_verdict *verdict)
{
    struct rkb_slice payload = facts->payload;
    merge->json = facts->encoding == RKB_ENCODING_JSON;
    merge->object = false;
    merge->kept = 0;
    merge->cut_count = 0;
    if (!merge->json)
        return true;
    const uint8_t *end = payload.data + payload.size, *start = rkb_json_space(payload.data, end);
    merge->object = *start == '{';
    if (!merge->object)
        return true;
    merge->open = (size_t)(start + 1 - payload.data);
    merge->followed = *rkb_json_space(start + 1, end) != '}';
    unsigned taken = names_taken(rule, facts);
    return taken == 0 || plan_taken(rule, taken, payload, merge, verdict);
}

/* ---- the value ---- */

static struct rkb_slice text_of(const struct rkb_facts *facts, size_t name)
{
    if (name == ID)
        return rkb_slice(facts->uuid, sizeof facts->uuid);
    return name == CHANNEL ? facts->channel.json : rkb_slice(facts->time, sizeof facts->time);
}

size_t rkb_merge_size(const struct rkb_merge *merge, const struct rkb_facts *facts)
{
    size_t size = facts->payload.size, count = 0;
    for (size_t i = 0; i < NAMES; i++) {
        if (merge->kept >> i & 1)
            continue;
        size += strlen(ours[i].opening) + text_of(facts, i).size + 1;
        count++;
    }
    for (size_t i = 0; i < merge->cut_count; i++)
        size -= merge->cuts[i].size;
    size_t commas = count == 0 ? 0 : count - 1 + merge->followed;
    return size + commas;
}

static uint8_t *copy(uint8_t *out, const void *data, size_t size)
{
    if (size > 0)
        memcpy(out, data, size);
    return out + size;
}

static uint8_t *write_ours(const struct rkb_merge *merge, const struct rkb_facts *facts, uint8_t *out)
{
    const uint8_t *start = out;
    for (size_t i = 0; i < NAMES; i++) {
        if (merge->kept >> i & 1)
            continue;
        if (out > start)
            *out++ = ',';
        struct rkb_slice text = text_of(facts, i);
        out = copy(out, ours[i].opening, strlen(ours[i].opening));
        out = copy(out, text.data, text.size);
        *out++ = '"';
    }
    if (out > start && merge->followed)
        *out++ = ',';
    return out;
}

uint8_t *rkb_merge_write(const struct rkb_merge *merge, const struct rkb_facts *facts, uint8_t *out)
{
    const uint8_t *payload = facts->payload.data;
    size_t at = merge->open;
    out = copy(out, payload, at);
    out = write_ours(merge, facts, out);
    for (size_t i = 0; i < merge->cut_count; i++) {
        out = copy(out, payload + at, merge->cuts[i].at - at);
        at = merge->cuts[i].at + merge->cuts[i].size;
    }
    return copy(out, payload + at, facts->payload.size - at);
}

/* ---- the header ---- */

/* " PLACE:SIZE:" of a cut; its length. */
static size_t cut_prefix(const struct rkb_merge *merge, size_t cut, char out[48])
{
    return (size_t)snprintf(out, 48, " %zu:%zu:", merge->cuts[cut].at, merge->cuts[cut].size);
}

size_t rkb_merge_note_size(const struct rkb_merge *merge)
{
    char prefix[48];
    if (!merge->object)
        return merge->json ? strlen(member_word) : 0;
    if (merge->kept == 0 && merge->cut_count == 0)
        return 0;
    size_t size = merge->kept != 0 ? strlen(kept_word) : strlen(cut_word);
    for (size_t i = 0; i < NAMES; i++)
        size += merge->kept >> i & 1 ? 1 + strlen(ours[i].name) : 0;
    for (size_t i = 0; i < merge->cut_count; i++)
        size += cut_prefix(merge, i, prefix) + merge->cuts[i].size;
    return size;
}

uint8_t *rkb_merge_note_write(const struct rkb_merge *merge, const struct rkb_facts *facts, uint8_t *out)
{
    char prefix[48];
    if (!merge->object)
        return copy(out, member_word, strlen(member_word));
    const char *word = merge->kept != 0 ? kept_word : cut_word;
    out = copy(out, word, strlen(word));
    for (size_t i = 0; i < NAMES; i++) {
        if (!(merge->kept >> i & 1))
            continue;
        *out++ = ' ';
        out = copy(out, ours[i].name, strlen(ours[i].name));
    }
    for (size_t i = 0; i < merge->cut_count; i++) {
        out = copy(out, prefix, cut_prefix(merge, i, prefix));
        out = copy(out, facts->payload.data + merge->cuts[i].at, merge->cuts[i].size);
    }
    return out;
}

/* ---- and back ---- */

static bool take(struct rkb_slice *from, const char *text)
{
    size_t size = strlen(text);
    if (from->size < size || memcmp(from->data, text, size) != 0)
        return false;
    *from = rkb_slice(from->data + size, from->size - size);
    return true;
}

/* "kept id time", the whole of it. */
static bool read_kept(struct rkb_slice note, unsigned *kept)
{
    *kept = 0;
    if (!take(&note, kept_word))
        return false;
    for (size_t i = 0; i < NAMES; i++) {
        struct rkb_slice next = note;
        if (!take(&next, " ") || !take(&next, ours[i].name))
            continue;
        *kept |= 1u << i;
        note = next;
    }
    return note.size == 0;
}

/* Ours, and the comma behind them; *value goes on with what was the payload's. */
static bool skip_ours(struct rkb_slice *value, unsigned kept)
{
    const uint8_t *end = value->data + value->size;
    size_t count = 0;
    for (size_t i = 0; i < NAMES; i++) {
        if (kept >> i & 1)
            continue;
        if ((count++ > 0 && !take(value, ",")) || !take(value, ours[i].opening))
            return false;
        struct rkb_json_spot spot = rkb_json_string(value->data, end);
        if (!spot.good)
            return false;
        *value = rkb_slice(spot.at, (size_t)(end - spot.at));
    }
    take(value, ",");
    return true;
}

/* Digits and a colon; at most 15, so that it fits. */
static bool take_number(struct rkb_slice *from, size_t *number)
{
    size_t at = 0;
    *number = 0;
    while (at < from->size && at < 15 && from->data[at] >= '0' && from->data[at] <= '9')
        *number = 10 * *number + (from->data[at++] - (size_t)'0');
    bool good = at > 0 && at < from->size && from->data[at] == ':';
    if (good)
        *from = rkb_slice(from->data + at + 1, from->size - at - 1);
    return good;
}

/* Behind " PLACE:SIZE:BYTES...": all but the cuts is in rest, and the payload so far begins at `start`. */
static bool put_back(struct rkb_slice note, struct rkb_slice rest, size_t start, struct rkb_buffer *payload)
{
    while (note.size > 0) {
        size_t at, size;
        if (!take(&note, " ") || !take_number(&note, &at) || !take_number(&note, &size) || size > note.size)
            return false;
        size_t done = payload->size - start;
        if (at < done || at - done > rest.size)
            return false;
        rkb_buffer_add(payload, rest.data, at - done);
        rkb_buffer_add(payload, note.data, size);
        if (payload->failed)
            return false;
        rest = rkb_slice(rest.data + (at - done), rest.size - (at - done));
        note = rkb_slice(note.data + size, note.size - size);
    }
    rkb_buffer_add(payload, rest.data, rest.size);
    return !payload->failed;
}

bool rkb_merge_inverse(struct rkb_slice value, struct rkb_slice note, struct rkb_buffer *payload)
{
    value = rkb_with_data(value);
    const uint8_t *end = value.data + value.size, *brace = rkb_json_space(value.data, end);
    struct rkb_slice rest = rkb_slice(brace, (size_t)(end - brace));
    unsigned kept = 0;
    size_t start = payload->size;
    bool cut = take(&note, cut_word);
    if ((!cut && note.size > 0 && !read_kept(note, &kept)) || !take(&rest, "{"))
        return false;
    rkb_buffer_add(payload, value.data, (size_t)(rest.data - value.data));
    if (skip_ours(&rest, kept) && put_back(cut ? note : rkb_slice(NULL, 0), rest, start, payload))
        return true;
    payload->size = start;
    return false;
}
