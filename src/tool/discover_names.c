/*
 * discover_names -- see discover_names.h.
 *
 * Names of one shape (the same separators in the same order) are taken together and walked place by place:
 *
 *     ids (numbers, UUIDs, long hexadecimal), two and more different ones    one branch, `*`
 *     words, RKB_NAMES_MANY and more, with much the same behind each         likewise
 *     any other word                                                         a branch of its own
 *
 * "Much the same behind each" keeps twenty different events with one `_` in them apart, and brings
 * alice.typing, alice.left, bob.typing, bob.left, ... together.
 */
#include "tool/discover_names.h"

#include <ctype.h>
#include <stdlib.h>

#define MOST_TOKENS 24                  /* what comes behind belongs to the last one */
#define SUFFIXES_PER_WORD 4             /* words count as the same where endings are fewer than a quarter of them */
#define SHORTEST_HEX 8
#define UUID_SIZE 36

struct token {
    size_t from, end;
};

struct name {
    struct rkb_slice text;
    size_t number;                      /* which of the caller's */
    size_t count;                       /* of its tokens */
    struct token tokens[MOST_TOKENS];
};

struct grouping {
    struct name *names;
    struct rkb_name_groups *groups;
    bool failed;
};

/* ---- tokens ---- */

static bool is_separator(uint8_t byte)
{
    return byte == ':' || byte == '.' || byte == '/' || byte == '-' || byte == '_';
}

static bool is_uuid(struct rkb_slice text)
{
    if (text.size != UUID_SIZE)
        return false;
    for (size_t i = 0; i < UUID_SIZE; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.data[i] != '-' : !isxdigit(text.data[i]))
            return false;
    }
    return true;
}

static bool is_number(struct rkb_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!isdigit(text.data[i]))
            return false;
    return text.size > 0;
}

/* Hexadecimal digits, long, and not a word that happens to have only such letters. */
static bool is_hex(struct rkb_slice text)
{
    bool has_digit = false;
    for (size_t i = 0; i < text.size; i++) {
        if (!isxdigit(text.data[i]))
            return false;
        has_digit = has_digit || isdigit(text.data[i]);
    }
    return has_digit && text.size >= SHORTEST_HEX;
}

static bool is_id(struct rkb_slice text)
{
    return is_number(text) || is_uuid(text) || is_hex(text);
}

/* The end of the token that begins at `from`: a UUID's dashes separate nothing. */
static size_t token_end(struct rkb_slice name, size_t from)
{
    size_t left = name.size - from, end = from;
    bool whole = left == UUID_SIZE || (left > UUID_SIZE && is_separator(name.data[from + UUID_SIZE]));
    if (whole && is_uuid(rkb_slice(name.data + from, UUID_SIZE)))
        return from + UUID_SIZE;
    while (end < name.size && !is_separator(name.data[end]))
        end++;
    return end;
}

static void cut(struct name *name)
{
    size_t from = 0;
    name->count = 0;
    for (;;) {
        bool last = name->count + 1 == MOST_TOKENS;
        size_t end = last ? name->text.size : token_end(name->text, from);
        name->tokens[name->count++] = (struct token){from, end};
        if (end == name->text.size)
            return;
        from = end + 1;
    }
}

static struct rkb_slice token_of(const struct name *name, size_t place)
{
    struct token token = name->tokens[place];
    return rkb_slice(name->text.data + token.from, token.end - token.from);
}

static struct rkb_slice behind(const struct name *name, size_t place)
{
    size_t end = name->tokens[place].end;
    return rkb_slice(name->text.data + end, name->text.size - end);
}

/* ---- order ---- */

static int compare(struct rkb_slice a, struct rkb_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int by_shape(const void *x, const void *y)
{
    const struct name *a = x, *b = y;
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (size_t i = 0; i + 1 < a->count; i++) {
        int order = a->text.data[a->tokens[i].end] - b->text.data[b->tokens[i].end];
        if (order != 0)
            return order;
    }
    return compare(a->text, b->text);
}

static bool same_shape(const struct name *a, const struct name *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i + 1 < a->count; i++)
        if (a->text.data[a->tokens[i].end] != b->text.data[b->tokens[i].end])
            return false;
    return true;
}

/* Words, then ids. */
static int by_token(const void *x, const void *y, void *context)
{
    const struct name *a = x, *b = y;
    const size_t *place = context;
    struct rkb_slice one = token_of(a, *place), other = token_of(b, *place);
    int kinds = is_id(one) - is_id(other), order = kinds != 0 ? kinds : compare(one, other);
    return order != 0 ? order : compare(a->text, b->text);
}

static int by_ending(const void *x, const void *y, void *context)
{
    const size_t *place = context;
    return compare(behind(x, *place), behind(y, *place));
}

/* ---- patterns ---- */

static void add_literal(struct rkb_name_group *group, struct rkb_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (memchr("*?[\\", text.data[i], 4) != NULL)
            rkb_buffer_text(&group->text, "\\");
        rkb_buffer_add(&group->text, &text.data[i], 1);
    }
    group->literal += text.size;
}

/* What takes only such ids; NULL: there is nothing narrower than `*`. */
static const char *narrow(struct rkb_slice id)
{
    static const char uuid[] = "????????" "-" "????" "-" "????" "-" "????" "-" "????????????";     /* no trigraphs */
    return is_number(id) ? "[0-9]*" : is_uuid(id) ? uuid : NULL;
}

/* Which of them the tokens are, place by place. */
static int by_kinds(const void *x, const void *y)
{
    const struct name *a = x, *b = y;
    for (size_t i = 0; i < a->count; i++) {
        const char *one = narrow(token_of(a, i)), *other = narrow(token_of(b, i));
        if (one != other)
            return one == NULL || (other != NULL && strcmp(one, other) < 0) ? -1 : 1;
    }
    return 0;
}

static bool has_word(const struct name *name, uint32_t stars)
{
    for (size_t i = 0; i < name->count; i++)
        if ((stars >> i & 1) == 0 && name->tokens[i].end > name->tokens[i].from)
            return true;
    return false;
}

static struct rkb_name_group *new_group(struct grouping *grouping, const struct name *names, size_t count)
{
    struct rkb_name_groups *groups = grouping->groups;
    struct rkb_name_group *group = &groups->list[groups->count];
    *group = (struct rkb_name_group){.members = count, .is_pattern = count > 1};
    for (size_t i = 0; i < count; i++)
        groups->of[names[i].number] = groups->count;
    groups->count++;
    return group;
}

static void emit_singles(struct grouping *grouping, const struct name *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct rkb_name_group *group = new_group(grouping, &names[i], 1);
        rkb_buffer_add(&group->text, names[i].text.data, names[i].text.size);
        group->literal = names[i].text.size;
        grouping->failed = grouping->failed || group->text.failed;
    }
}

static void emit_pattern(struct grouping *grouping, const struct name *names, size_t count, uint32_t stars,
                         bool has_words)
{
    struct rkb_name_group *group = new_group(grouping, names, count);
    for (size_t i = 0; i < names->count; i++) {
        const char *ids = has_words ? NULL : narrow(token_of(names, i));
        if ((stars >> i & 1) == 0)
            add_literal(group, token_of(names, i));
        else
            rkb_buffer_text(&group->text, ids != NULL ? ids : "*");
        if (i + 1 < names->count)
            add_literal(group, rkb_slice(names->text.data + names->tokens[i].end, 1));
    }
    grouping->failed = grouping->failed || group->text.failed;
}

/* Without a word, `*` would take what is no id: a pattern for each kind of ids, and none where nothing holds it. */
static void emit_ids(struct grouping *grouping, struct name *names, size_t count, uint32_t stars)
{
    qsort(names, count, sizeof *names, by_kinds);
    for (size_t from = 0, end; from < count; from = end) {
        bool firm = false;
        for (end = from + 1; end < count && by_kinds(&names[from], &names[end]) == 0;)
            end++;
        for (size_t i = 0; i < names->count; i++)
            firm = firm || narrow(token_of(&names[from], i)) != NULL;
        if (firm && end - from > 1)
            emit_pattern(grouping, names + from, end - from, stars, false);
        else
            emit_singles(grouping, names + from, end - from);
    }
}

/* All of the names alike but for the places whose bits are set. */
static void emit(struct grouping *grouping, struct name *names, size_t count, uint32_t stars)
{
    if (count == 1)
        emit_singles(grouping, names, count);
    else if (has_word(names, stars))
        emit_pattern(grouping, names, count, stars, true);
    else
        emit_ids(grouping, names, count, stars);
}

/* ---- the walk ---- */

/* How many different tokens there are in this place; sorted by it. */
static size_t distinct(const struct name *names, size_t count, size_t place)
{
    size_t found = count > 0;
    for (size_t i = 1; i < count; i++)
        found += !rkb_slice_equal(token_of(&names[i - 1], place), token_of(&names[i], place));
    return found;
}

/* Whether much the same stands behind so many words. Changes the order of the names. */
static bool alike(struct name *names, size_t count, size_t place, size_t words)
{
    size_t endings = count > 0;
    qsort_r(names, count, sizeof *names, by_ending, &place);
    for (size_t i = 1; i < count; i++)
        endings += !rkb_slice_equal(behind(&names[i - 1], place), behind(&names[i], place));
    return endings * SUFFIXES_PER_WORD <= words;
}

static void walk(struct grouping *grouping, struct name *names, size_t count, size_t place, uint32_t stars);

/* A branch for each different token. Sorted by it. */
static void walk_each(struct grouping *grouping, struct name *names, size_t count, size_t place, uint32_t stars)
{
    for (size_t from = 0, end; from < count; from = end) {
        end = from + 1;
        while (end < count && rkb_slice_equal(token_of(&names[from], place), token_of(&names[end], place)))
            end++;
        walk(grouping, names + from, end - from, place + 1, stars);
    }
}

static void walk(struct grouping *grouping, struct name *names, size_t count, size_t place, uint32_t stars)
{
    if (count == 1 || place == names->count) {
        emit(grouping, names, count, stars);
        return;
    }
    size_t words = 0;
    qsort_r(names, count, sizeof *names, by_token, &place);
    while (words < count && !is_id(token_of(&names[words], place)))
        words++;
    size_t different = distinct(names, words, place), ids = distinct(names + words, count - words, place);
    uint32_t starred = stars | UINT32_C(1) << place;
    bool many = different >= RKB_NAMES_MANY;
    if (many && alike(names, words, place, different)) {
        walk(grouping, names, count, place + 1, starred);
        return;
    }
    if (many)
        qsort_r(names, words, sizeof *names, by_token, &place);
    walk_each(grouping, names, words, place, stars);
    if (ids > 1)
        walk(grouping, names + words, count - words, place + 1, starred);
    else
        walk_each(grouping, names + words, count - words, place, stars);
}

bool rkb_names_group(const struct rkb_slice *names, size_t count, struct rkb_name_groups *groups)
{
    struct grouping grouping = {.names = calloc(count + 1, sizeof *grouping.names), .groups = groups};
    *groups = (struct rkb_name_groups){.list = calloc(count + 1, sizeof *groups->list),
                                       .of = calloc(count + 1, sizeof *groups->of)};
    grouping.failed = grouping.names == NULL || groups->list == NULL || groups->of == NULL;
    for (size_t i = 0; i < count && !grouping.failed; i++) {
        grouping.names[i] = (struct name){.text = names[i], .number = i};
        cut(&grouping.names[i]);
    }
    if (!grouping.failed)
        qsort(grouping.names, count, sizeof *grouping.names, by_shape);
    for (size_t from = 0, end; from < count && !grouping.failed; from = end) {
        end = from + 1;
        while (end < count && same_shape(&grouping.names[from], &grouping.names[end]))
            end++;
        walk(&grouping, grouping.names + from, end - from, 0, 0);
    }
    free(grouping.names);
    if (grouping.failed)
        rkb_names_free(groups);
    return !grouping.failed;
}

void rkb_names_free(struct rkb_name_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        rkb_buffer_free(&groups->list[i].text);
    free(groups->list);
    free(groups->of);
    *groups = (struct rkb_name_groups){0};
}
