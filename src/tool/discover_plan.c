/*
 * discover_plan -- see discover_plan.h.
 *
 *     channels --grouped--> groups --sorted--> named --> each known channel: which route would win it?
 *
 * rkbridge's rule is: the exact name first, then patterns in the config's order. So narrow patterns come first there;
 * what a pattern still takes from another group is found by asking, and said.
 */
#include "tool/discover_plan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "message/glob.h"
#include "message/route.h"
#include "message/utf8.h"
#include "tool/discover_names.h"

#define PAYLOAD_NAME_MOST 24

const char *rkb_left_out_why(enum rkb_left_out why)
{
    switch (why) {
    case RKB_LEFT_NOT:
        break;
    case RKB_LEFT_OURS:
        return "rkbridge's own, never routed";
    case RKB_LEFT_REDIS:
        return "Redis's own; where a service reads it, add it to a route";
    case RKB_LEFT_BYTES:
        return "not UTF-8 text, which a config cannot say; a pattern with ? for each such byte can";
    case RKB_LEFT_MANY:
        return "more routes than anybody would read";
    }
    return "";
}

static bool begins(struct rkb_slice text, const char *with)
{
    return text.size >= strlen(with) && memcmp(text.data, with, strlen(with)) == 0;
}

static enum rkb_left_out left_out(struct rkb_slice text)
{
    if (begins(text, "__rkbridge:") || begins(text, RKB_CANARY_PREFIX))
        return RKB_LEFT_OURS;
    if (begins(text, "__key") || begins(text, "__sentinel__:") || begins(text, "__redis__:"))
        return RKB_LEFT_REDIS;
    if (!rkb_utf8_valid(text) || memchr(text.data, '\0', text.size) != NULL)
        return RKB_LEFT_BYTES;
    return RKB_LEFT_NOT;
}

/* ---- groups ---- */

static size_t find_or_add(struct rkb_plan *plan, struct rkb_slice text, bool is_pattern)
{
    for (size_t i = 0; is_pattern && i < plan->count; i++)
        if (plan->groups[i].is_pattern && rkb_slice_equal(plan->groups[i].text, text))
            return i;
    plan->groups[plan->count] = (struct rkb_group){
        .text = text, .is_pattern = is_pattern, .figures = {.listeners = -1}, .left_out = left_out(text)};
    return plan->count++;
}

/* Bytes of a pattern that stand for themselves, roughly: it only orders. */
static size_t literal_of(struct rkb_slice pattern)
{
    size_t literal = 0;
    for (size_t i = 0; i < pattern.size; i++)
        literal += memchr("*?[", pattern.data[i], 3) == NULL;
    return literal;
}

static void add_taken(struct rkb_plan *plan, const struct rkb_seen *seen, uint32_t *group_of)
{
    size_t index = find_or_add(plan, rkb_slice(seen->name.data, seen->name.size), true);
    struct rkb_group *group = &plan->groups[index];
    group->literal = literal_of(group->text);
    group->channels += seen->taken;
    group->is_floor = true;
    rkb_figures_add(&group->figures, &seen->figures);
    *group_of = (uint32_t)index;
}

/* PUBSUB CHANNELS named it, but nobody listens and nobody published: gone, or half of a name with a newline in it. */
static bool is_phantom(const struct rkb_seen *seen)
{
    return seen->taken == 0 && seen->figures.messages == 0 && seen->figures.listeners == 0;
}

/* Leaves the places of patterns, which come first, and of phantoms out. */
static size_t list_names(struct rkb_channels *channels, size_t first, struct rkb_slice *names, uint32_t *numbers)
{
    size_t count = 0;
    for (size_t i = first; i < rkb_channels_size(channels); i++) {
        const struct rkb_seen *seen = rkb_channels_at(channels, (uint32_t)i);
        if (is_phantom(seen))
            continue;
        numbers[count] = (uint32_t)i;
        names[count++] = rkb_slice(seen->name.data, seen->name.size);
    }
    return count;
}

/* The groups that were found, and each name's. */
static bool take_groups(struct rkb_plan *plan, struct rkb_channels *channels, struct rkb_name_groups *found,
                        const uint32_t *numbers, size_t count, uint32_t *group_of)
{
    size_t *index = calloc(found->count + 1, sizeof *index);
    plan->texts = calloc(found->count + 1, sizeof *plan->texts);
    if (index == NULL || plan->texts == NULL) {
        free(index);
        return false;
    }
    for (size_t i = 0; i < found->count; i++) {
        struct rkb_buffer *text = &plan->texts[plan->text_count++];
        *text = found->list[i].text;
        found->list[i].text = (struct rkb_buffer){0};
        index[i] = find_or_add(plan, rkb_slice(text->data, text->size), found->list[i].is_pattern);
        plan->groups[index[i]].literal = found->list[i].literal;
        plan->groups[index[i]].channels += found->list[i].members;
    }
    for (size_t i = 0; i < count; i++) {
        group_of[numbers[i]] = (uint32_t)index[found->of[i]];
        rkb_figures_add(&plan->groups[group_of[numbers[i]]].figures, &rkb_channels_at(channels, numbers[i])->figures);
    }
    free(index);
    return true;
}

/* group_of: the group of each number of channels'; UINT32_MAX: none. */
static bool add_groups(struct rkb_plan *plan, struct rkb_channels *channels, uint32_t *group_of)
{
    size_t size = rkb_channels_size(channels), first = 0;
    struct rkb_slice *names = calloc(size + 1, sizeof *names);
    uint32_t *numbers = calloc(size + 1, sizeof *numbers);
    struct rkb_name_groups found = {0};
    for (size_t i = 0; i < size; i++)
        group_of[i] = UINT32_MAX;
    for (; first < size && rkb_channels_at(channels, (uint32_t)first)->taken > 0; first++)
        add_taken(plan, rkb_channels_at(channels, (uint32_t)first), &group_of[first]);
    size_t count = names != NULL && numbers != NULL ? list_names(channels, first, names, numbers) : 0;
    bool good = names != NULL && numbers != NULL && rkb_names_group(names, count, &found)
                && take_groups(plan, channels, &found, numbers, count, group_of);
    rkb_names_free(&found);
    free(numbers);
    free(names);
    return good;
}

static int compare_texts(struct rkb_slice a, struct rkb_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int by_messages(const void *x, const void *y, void *context)
{
    const struct rkb_plan *plan = context;
    const struct rkb_group *a = &plan->groups[*(const size_t *)x], *b = &plan->groups[*(const size_t *)y];
    if (a->figures.messages != b->figures.messages)
        return a->figures.messages > b->figures.messages ? -1 : 1;
    return compare_texts(a->text, b->text);
}

static int by_width(const void *x, const void *y, void *context)
{
    const struct rkb_plan *plan = context;
    const struct rkb_group *a = &plan->groups[*(const size_t *)x], *b = &plan->groups[*(const size_t *)y];
    if (a->is_pattern != b->is_pattern)
        return a->is_pattern ? 1 : -1;
    if (a->is_pattern && a->literal != b->literal)
        return a->literal > b->literal ? -1 : 1;
    return by_messages(x, y, context);
}

/* Most messages first, group_of with it. */
static bool sort_groups(struct rkb_plan *plan, uint32_t *group_of, size_t size)
{
    struct rkb_group *sorted = calloc(plan->count + 1, sizeof *sorted);
    uint32_t *as = calloc(plan->count + 1, sizeof *as);
    bool good = sorted != NULL && as != NULL;
    for (size_t i = 0; i < plan->count; i++)
        plan->order[i] = i;
    if (good) {
        qsort_r(plan->order, plan->count, sizeof *plan->order, by_messages, plan);
        for (size_t i = 0; i < plan->count; i++) {
            sorted[i] = plan->groups[plan->order[i]];
            as[plan->order[i]] = (uint32_t)i;
        }
        memcpy(plan->groups, sorted, plan->count * sizeof *sorted);
        for (size_t i = 0; i < size; i++)
            if (group_of[i] != UINT32_MAX)
                group_of[i] = as[group_of[i]];
        for (size_t i = 0; i < plan->count; i++)
            plan->order[i] = i;
        qsort_r(plan->order, plan->count, sizeof *plan->order, by_width, plan);
    }
    free(sorted);
    free(as);
    return good;
}

/* ---- names ---- */

/* What of the text may stand in a topic's name: its words, with the separators between them. */
static void plain_name(struct rkb_slice text, bool is_pattern, char *out, size_t size)
{
    size_t used = 0;
    char separator = '\0';
    for (size_t i = 0; i < text.size && used + 2 < size; i++) {
        uint8_t byte = text.data[i];
        if (is_pattern && byte == '[')
            i += 4;                     /* [0-9], the only class that a pattern of ours has */
        if (isalnum(byte)) {
            if (separator != '\0' && used > 0)
                out[used++] = separator;
            separator = '\0';
            out[used++] = (char)byte;
        } else if (separator == '\0' || separator == '_') {
            separator = byte == '.' || byte == '-' ? (char)byte : '_';
        }
    }
    out[used] = '\0';
    if (used == 0)
        snprintf(out, size, "%s", is_pattern ? "ids" : "channel");
}

static char folded(char c)
{
    return c == '.' || c == '-' ? '_' : (char)tolower((unsigned char)c);
}

static bool collide(const char *a, const char *b)
{
    while (*a != '\0' && folded(*a) == folded(*b)) {
        a++;
        b++;
    }
    return folded(*a) == folded(*b);
}

static bool is_used(const struct rkb_plan *plan, const struct rkb_group *but, const char *name)
{
    for (size_t i = 0; i < plan->count; i++)
        if (&plan->groups[i] != but && plan->groups[i].route[0] != '\0' && collide(plan->groups[i].route, name))
            return true;
    return false;
}

/* The first word that is one: what the event calls its payload. */
static void name_payload(struct rkb_group *group)
{
    size_t size = strspn(group->route, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    snprintf(group->payload_name, sizeof group->payload_name, "%.*s", (int)size, group->route);      /* "id" is taken */
    if (size < 3 || size > PAYLOAD_NAME_MOST || strcmp(group->payload_name, "channel") == 0 ||
        strcmp(group->payload_name, "ids") == 0)
        snprintf(group->payload_name, sizeof group->payload_name, "payload");
}

static void name_group(const struct rkb_plan *plan, struct rkb_group *group)
{
    char base[RKB_ROUTE_NAME - 8];
    plain_name(group->text, group->is_pattern, base, sizeof base);
    snprintf(group->route, sizeof group->route, "%s", base);
    for (unsigned n = 2; is_used(plan, group, group->route); n++)
        snprintf(group->route, sizeof group->route, "%s-%u", base, n);
    memcpy(group->topic, group->route, sizeof group->topic);
    name_payload(group);
}

/* Channels get their own names before patterns do; those with most messages are routed. */
static void name_groups(struct rkb_plan *plan)
{
    size_t routes = 0;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->groups[i].left_out == RKB_LEFT_NOT && routes++ >= RKB_ROUTES_MOST)
            plan->groups[i].left_out = RKB_LEFT_MANY;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->groups[plan->order[i]].left_out == RKB_LEFT_NOT)
            name_group(plan, &plan->groups[plan->order[i]]);
}

/* ---- who wins a channel ---- */

static size_t winner(const struct rkb_plan *plan, struct rkb_slice name, size_t own)
{
    if (!plan->groups[own].is_pattern && plan->groups[own].left_out == RKB_LEFT_NOT)
        return own;
    for (size_t i = 0; i < plan->count; i++) {
        const struct rkb_group *group = &plan->groups[plan->order[i]];
        if (group->is_pattern && group->left_out == RKB_LEFT_NOT && rkb_glob_match(group->text, name))
            return plan->order[i];
    }
    return own;
}

static void find_losses(struct rkb_plan *plan, struct rkb_channels *channels, const uint32_t *group_of)
{
    for (size_t i = 0; i < plan->count; i++)
        plan->groups[i].taken_by = i;
    for (size_t i = 0; i < rkb_channels_size(channels); i++) {
        const struct rkb_seen *seen = rkb_channels_at(channels, (uint32_t)i);
        struct rkb_group *group = group_of[i] != UINT32_MAX ? &plan->groups[group_of[i]] : NULL;
        if (group == NULL || seen->taken > 0 || group->left_out == RKB_LEFT_OURS)
            continue;
        size_t wins = winner(plan, rkb_slice(seen->name.data, seen->name.size), group_of[i]);
        if (wins != group_of[i]) {
            group->taken_by = wins;
            group->lost++;
        }
    }
}

/* ---- the whole ---- */

bool rkb_plan_make(struct rkb_plan *plan, struct rkb_channels *channels, const struct rkb_fields *fields)
{
    size_t size = rkb_channels_size(channels);
    uint32_t *group_of = calloc(size + 1, sizeof *group_of);
    *plan = (struct rkb_plan){.groups = calloc(size + 1, sizeof *plan->groups),
                              .order = calloc(size + 1, sizeof *plan->order)};
    bool good = group_of != NULL && plan->groups != NULL && plan->order != NULL
                && add_groups(plan, channels, group_of) && sort_groups(plan, group_of, size);
    if (good) {
        name_groups(plan);
        find_losses(plan, channels, group_of);
    }
    for (size_t i = 0; good && i < plan->count; i++) {
        struct rkb_group *group = &plan->groups[i];
        if (group->left_out == RKB_LEFT_NOT && group->figures.forms[RKB_FORM_OBJECT] > 0)
            group->field_count = rkb_fields_tell(fields, group_of, size, (uint32_t)i, group->fields, &good);
    }
    free(group_of);
    if (!good)
        rkb_plan_free(plan);
    return good;
}

void rkb_plan_free(struct rkb_plan *plan)
{
    for (size_t i = 0; i < plan->text_count; i++)
        rkb_buffer_free(&plan->texts[i]);
    free(plan->texts);
    free(plan->groups);
    free(plan->order);
    *plan = (struct rkb_plan){0};
}

const char *rkb_group_form(const struct rkb_group *group)
{
    static const char *const names[RKB_FORMS] = {"object", "json", "text", "binary"};
    const char *name = "-";
    uint64_t looked = 0, most = 0;
    for (int i = 0; i < RKB_FORMS; i++) {
        looked += group->figures.forms[i];
        if (group->figures.forms[i] > most) {
            most = group->figures.forms[i];
            name = names[i];
        }
    }
    return most == looked ? name : "mixed";
}
