/*
 * discover_fields -- see discover_fields.h.
 *
 *     payload --walk--> pointer and value --> sightings: (payload, pointer's number, hash of the value)
 *     at the end: the sightings of a group, sorted by pointer and value, are counted
 *
 * The walk trusts that the text is valid JSON. Values that are no ids (true, null, 1.5) are passed over.
 */
#include "tool/discover_fields.h"

#include <ctype.h>
#include <stdlib.h>
#include <xxhash.h>

#define MOST_POINTERS 16384             /* of all payloads together */
#define SLOTS 65536                     /* more than twice as many, a power of two */
#define MOST_SIGHTINGS 500000
#define MOST_PAYLOADS 50000
#define MOST_OF_ONE 64                  /* fields of a payload */
#define LEAST_PRESENT 90                /* percent: "nearly all" */
#define LEAST_LOOKED 10                 /* payloads, before anything is told */
#define LEAST_DISTINCT 10               /* values, of a field whose name does not speak for it */

struct sighting {
    uint32_t payload, pointer;
    uint64_t value;
};

struct rkb_fields {
    struct {
        uint8_t text[RKB_FIELD_POINTER_MOST];
        size_t size;
    } pointers[MOST_POINTERS];
    size_t pointer_count;
    uint32_t slots[SLOTS];              /* pointer's number + 1; 0: free */
    uint32_t owners[MOST_PAYLOADS];     /* of each payload */
    size_t payload_count;
    struct sighting sightings[MOST_SIGHTINGS];
    size_t sighting_count;
};

/* Where the walk is. */
struct walk {
    const uint8_t *at, *end;
    struct rkb_fields *fields;
    uint8_t pointer[RKB_FIELD_POINTER_MOST];
    size_t left;                        /* fields of this payload that may still count */
    bool first;
};

struct rkb_fields *rkb_fields_new(void)
{
    return calloc(1, sizeof(struct rkb_fields));
}

void rkb_fields_free(struct rkb_fields *fields)
{
    free(fields);
}

/* ---- sightings ---- */

static bool pointer_number(struct rkb_fields *fields, struct rkb_slice text, bool may_be_new, uint32_t *number)
{
    size_t at = XXH3_64bits(text.data, text.size) & (SLOTS - 1);
    for (; fields->slots[at] != 0; at = (at + 1) & (SLOTS - 1)) {
        *number = fields->slots[at] - 1;
        if (rkb_slice_equal(rkb_slice(fields->pointers[*number].text, fields->pointers[*number].size), text))
            return true;
    }
    if (!may_be_new || fields->pointer_count == MOST_POINTERS)
        return false;
    *number = (uint32_t)fields->pointer_count;
    memcpy(fields->pointers[*number].text, text.data, text.size);
    fields->pointers[*number].size = text.size;
    fields->slots[at] = (uint32_t)++fields->pointer_count;
    return true;
}

static void note(struct walk *walk, size_t pointer_size, struct rkb_slice value)
{
    struct rkb_fields *fields = walk->fields;
    uint32_t number;
    if (walk->left == 0 || fields->sighting_count == MOST_SIGHTINGS ||
        !pointer_number(fields, rkb_slice(walk->pointer, pointer_size), walk->first, &number))
        return;
    walk->left--;
    fields->sightings[fields->sighting_count++] = (struct sighting){
        .payload = (uint32_t)fields->payload_count, .pointer = number, .value = XXH3_64bits(value.data, value.size)};
}

/* ---- the walk ---- */

static void skip_space(struct walk *walk)
{
    while (walk->at < walk->end && memchr(" \t\r\n", *walk->at, 4) != NULL)
        walk->at++;
}

/* On the opening quote, to behind the closing one; what stands between. */
static struct rkb_slice take_string(struct walk *walk)
{
    const uint8_t *from = ++walk->at;
    while (walk->at < walk->end && *walk->at != '"')
        walk->at += *walk->at == '\\' ? 2 : 1;
    struct rkb_slice text = rkb_slice(from, (size_t)(walk->at - from));
    walk->at++;
    return text;
}

/* A number or a word. */
static struct rkb_slice take_bare(struct walk *walk)
{
    const uint8_t *from = walk->at;
    while (walk->at < walk->end && memchr(",]} \t\r\n", *walk->at, 7) == NULL)
        walk->at++;
    return rkb_slice(from, (size_t)(walk->at - from));
}

/* An object or an array, to behind its end. */
static void skip_container(struct walk *walk)
{
    size_t depth = 0;
    do {
        uint8_t byte = *walk->at;
        if (byte == '"') {
            (void)take_string(walk);
            continue;
        }
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        walk->at++;
    } while (depth > 0 && walk->at < walk->end);
}

static bool is_whole_number(struct rkb_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.size > 0;
}

/*
 * Adds "/key" to the pointer so far; its new size, or 0 where it cannot be told: too long, with what a template or a
 * terminal would take for something else, or data rather than a name.
 */
static size_t add_token(struct walk *walk, size_t size, struct rkb_slice key)
{
    struct rkb_writer writer = rkb_writer(walk->pointer, sizeof walk->pointer);
    writer.at = size;
    rkb_write_u8(&writer, '/');
    for (size_t i = 0; i < key.size; i++) {
        uint8_t byte = key.data[i];
        if (byte < ' ' || byte == 0x7f || memchr("\\{}\"@", byte, 5) != NULL)
            return 0;
        if (byte == '~' || byte == '/')
            rkb_write_bytes(&writer, byte == '~' ? "~0" : "~1", 2);
        else
            rkb_write_u8(&writer, byte);
    }
    return writer.failed || is_whole_number(key) ? 0 : writer.at;
}

static void walk_object(struct walk *walk, size_t pointer_size, unsigned depth);

/* pointer_size 0: nothing in it can be told. */
static void walk_value(struct walk *walk, size_t pointer_size, unsigned depth)
{
    uint8_t byte = *walk->at;
    if (byte == '{' && pointer_size > 0 && depth < RKB_FIELDS_DEPTH) {
        walk_object(walk, pointer_size, depth);
    } else if (byte == '{' || byte == '[') {
        skip_container(walk);
    } else {
        struct rkb_slice value = byte == '"' ? take_string(walk) : take_bare(walk);
        if (pointer_size > 0 && (byte == '"' || is_whole_number(value)))
            note(walk, pointer_size, value);
    }
}

/* On the `{`, to behind its `}`. Recursion ends at RKB_FIELDS_DEPTH. */
static void walk_object(struct walk *walk, size_t pointer_size, unsigned depth)
{
    walk->at++;
    for (;;) {
        skip_space(walk);
        if (walk->at >= walk->end || *walk->at != '"')
            break;
        struct rkb_slice key = take_string(walk);
        size_t size = add_token(walk, pointer_size, key);
        skip_space(walk);
        walk->at++;                     /* the colon */
        skip_space(walk);
        if (walk->at >= walk->end)
            break;
        walk_value(walk, size, depth + 1);
        skip_space(walk);
        if (walk->at >= walk->end || *walk->at != ',')
            break;
        walk->at++;
    }
    walk->at++;                         /* its end */
}

void rkb_fields_look(struct rkb_fields *fields, uint32_t owner, bool first, struct rkb_slice object)
{
    struct walk walk = {.at = object.data, .end = object.data + object.size, .fields = fields, .left = MOST_OF_ONE,
                        .first = first};
    if (fields->payload_count == MOST_PAYLOADS || fields->sighting_count == MOST_SIGHTINGS)
        return;
    skip_space(&walk);
    if (walk.at < walk.end && *walk.at == '{')
        walk_object(&walk, 0, 0);
    fields->owners[fields->payload_count++] = owner;
}

void rkb_fields_move(struct rkb_fields *fields, const uint32_t *of, size_t count)
{
    for (size_t i = 0; i < fields->payload_count; i++)
        if (fields->owners[i] < count)
            fields->owners[i] = of[fields->owners[i]];
}

/* ---- at the end ---- */

struct tally {
    uint32_t pointer;
    size_t payloads, values;
    int score;
};

static int by_value(const void *x, const void *y)
{
    const struct sighting *a = x, *b = y;
    if (a->pointer != b->pointer)
        return a->pointer < b->pointer ? -1 : 1;
    return (a->value > b->value) - (a->value < b->value);
}

static int by_payload(const void *x, const void *y)
{
    const struct sighting *a = x, *b = y;
    if (a->payload != b->payload)
        return a->payload < b->payload ? -1 : 1;
    return (a->pointer > b->pointer) - (a->pointer < b->pointer);
}

/* As its last word: user_id, user/id, userId, but not paid. */
static bool ends_with_word(struct rkb_slice pointer, const char *word)
{
    size_t size = strlen(word);
    if (pointer.size <= size || strncasecmp((const char *)pointer.data + pointer.size - size, word, size) != 0)
        return false;
    uint8_t first = pointer.data[pointer.size - size], before = pointer.data[pointer.size - size - 1];
    return memchr("/_-. ", before, 5) != NULL || (isupper(first) && islower(before));
}

/* What people call keys, and what they never mean as one. */
static int speaks(struct rkb_slice pointer)
{
    static const char *const yes[] = {"id", "uuid", "guid", "key", "code", "sku", "number", "slug"};
    static const char *const no[] = {"time", "timestamp", "date", "at", "ts", "count", "amount", "price", "version"};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (ends_with_word(pointer, no[i]))
            return -1;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (ends_with_word(pointer, yes[i]))
            return 1;
    return 0;
}

static size_t keep_group(const struct rkb_fields *fields, const uint32_t *group_of, size_t owners, uint32_t group,
                         struct sighting *out)
{
    size_t count = 0;
    for (size_t i = 0; i < fields->sighting_count; i++) {
        uint32_t owner = fields->owners[fields->sightings[i].payload];
        if (owner < owners && group_of[owner] == group)
            out[count++] = fields->sightings[i];
    }
    return count;
}

/* A key that a payload has twice counts once. */
static size_t drop_repeats(struct sighting *list, size_t count)
{
    size_t kept = 0;
    qsort(list, count, sizeof *list, by_payload);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || list[i].payload != list[kept - 1].payload || list[i].pointer != list[kept - 1].pointer)
            list[kept++] = list[i];
    return kept;
}

/* The best few, in order. */
static size_t insert(struct tally best[RKB_FIELDS_TOLD], size_t count, const struct tally *one)
{
    size_t at = count;
    while (at > 0 && (one->score > best[at - 1].score ||
                      (one->score == best[at - 1].score && one->pointer < best[at - 1].pointer)))
        at--;
    if (at == RKB_FIELDS_TOLD)
        return count;
    count += count < RKB_FIELDS_TOLD;
    memmove(&best[at + 1], &best[at], (count - at - 1) * sizeof *best);
    best[at] = *one;
    return count;
}

/* list: sorted by pointer and value. */
static struct tally tally_of(const struct sighting *list, size_t count, size_t *used)
{
    struct tally tally = {.pointer = list->pointer};
    while (tally.payloads < count && list[tally.payloads].pointer == tally.pointer) {
        tally.values += tally.payloads == 0 || list[tally.payloads].value != list[tally.payloads - 1].value;
        tally.payloads++;
    }
    *used = tally.payloads;
    return tally;
}

static bool is_likely(struct tally *tally, struct rkb_slice pointer, size_t looked)
{
    int said = speaks(pointer);
    size_t least = said > 0 ? 2 : LEAST_DISTINCT;
    tally->score = said * 1000 + (int)(tally->values * 100 / tally->payloads);
    return said >= 0 && looked >= LEAST_LOOKED && tally->payloads * 100 >= looked * LEAST_PRESENT &&
           tally->values >= least;
}

static struct rkb_slice pointer_text(const struct rkb_fields *fields, uint32_t pointer)
{
    return rkb_slice(fields->pointers[pointer].text, fields->pointers[pointer].size);
}

size_t rkb_fields_tell(const struct rkb_fields *fields, const uint32_t *group_of, size_t owners, uint32_t group,
                       struct rkb_field out[RKB_FIELDS_TOLD], bool *good)
{
    struct sighting *list = malloc((fields->sighting_count + 1) * sizeof *list);
    struct tally best[RKB_FIELDS_TOLD];
    size_t found = 0, looked = 0;
    *good = list != NULL;
    if (list == NULL)
        return 0;
    for (size_t i = 0; i < fields->payload_count; i++)
        looked += fields->owners[i] < owners && group_of[fields->owners[i]] == group;
    size_t count = drop_repeats(list, keep_group(fields, group_of, owners, group, list));
    qsort(list, count, sizeof *list, by_value);
    for (size_t at = 0, used; at < count; at += used) {
        struct tally tally = tally_of(list + at, count - at, &used);
        if (is_likely(&tally, pointer_text(fields, tally.pointer), looked))
            found = insert(best, found, &tally);
    }
    for (size_t i = 0; i < found; i++)
        out[i] = (struct rkb_field){.pointer = pointer_text(fields, best[i].pointer), .looked = looked,
                                    .values = best[i].values,
                                    .present = (unsigned)(best[i].payloads * 100 / looked),
                                    .distinct = (unsigned)(best[i].values * 100 / best[i].payloads)};
    free(list);
    return found;
}
