/* Tests of discover_names: which names become a pattern, which stay alone, and that each pattern matches its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "message/glob.h"
#include "tool/discover_names.h"

enum { MOST = 4000 };

struct names {
    char texts[MOST][64];
    struct rkb_slice slices[MOST];
    size_t count;
};

static struct names *new_names(void)
{
    struct names *names = calloc(1, sizeof *names);
    assert_non_null(names);
    return names;
}

static void add(struct names *names, const char *text)
{
    assert_true(names->count < MOST);
    snprintf(names->texts[names->count], sizeof names->texts[0], "%s", text);
    names->slices[names->count] = rkb_slice_text(names->texts[names->count]);
    names->count++;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The groups as text, in order: "name" or "~pattern", with the number of members. Each pattern matches its members. */
static void check(struct names *names, const char *wanted)
{
    struct rkb_name_groups groups;
    struct rkb_buffer got = {0};
    char *lines[64];
    assert_true(rkb_names_group(names->slices, names->count, &groups));
    assert_true(groups.count <= 64);
    for (size_t i = 0; i < groups.count; i++) {
        const struct rkb_name_group *group = &groups.list[i];
        assert_int_equal(group->is_pattern, group->members > 1);
        assert_true(asprintf(&lines[i], "%s%.*s %zu\n", group->is_pattern ? "~" : "", (int)group->text.size,
                             (const char *)group->text.data, group->members) > 0);
    }
    qsort(lines, groups.count, sizeof *lines, by_text);
    for (size_t i = 0; i < groups.count; i++) {
        rkb_buffer_text(&got, lines[i]);
        free(lines[i]);
    }
    rkb_buffer_add(&got, "", 1);
    assert_string_equal((const char *)got.data, wanted);
    for (size_t i = 0; i < names->count; i++) {
        const struct rkb_name_group *group = &groups.list[groups.of[i]];
        struct rkb_slice text = rkb_slice(group->text.data, group->text.size);
        assert_true(group->is_pattern ? rkb_glob_match(text, names->slices[i])
                                      : rkb_slice_equal(text, names->slices[i]));
    }
    rkb_buffer_free(&got);
    rkb_names_free(&groups);
    free(names);
}

static void ids_become_stars(void **state)
{
    (void)state;
    struct names *names = new_names();
    add(names, "user.17.created");
    add(names, "user.93.created");
    add(names, "user.5.deleted");
    add(names, "user.8.deleted");
    add(names, "user.9.banned");
    add(names, "stock_low");
    add(names, "cart:550e8400-e29b-41d4-a716-446655440000");
    add(names, "cart:650e8400-e29b-41d4-a716-446655440000");
    add(names, "doc/5f3a9c0de1");
    add(names, "doc/6f3a9c0de1");
    check(names, "stock_low 1\nuser.9.banned 1\n~cart:* 2\n~doc/* 2\n~user.*.created 2\n~user.*.deleted 2\n");
}

static void few_words_stay_alone(void **state)
{
    (void)state;
    struct names *names = new_names();
    add(names, "user_created");
    add(names, "user_deleted");
    add(names, "order_created");
    add(names, "order_deleted");
    add(names, "food.fabaceae");        /* hexadecimal letters, but words */
    add(names, "food.deadbeef");
    check(names, "food.deadbeef 1\nfood.fabaceae 1\n"
                 "order_created 1\norder_deleted 1\nuser_created 1\nuser_deleted 1\n");
}

static void many_words_with_the_same_behind_them(void **state)
{
    (void)state;
    struct names *names = new_names();
    char text[64];
    for (int i = 0; i < RKB_NAMES_MANY; i++) {
        snprintf(text, sizeof text, "%c%c.typing", 'a' + i, 'q' - i);
        add(names, text);
        snprintf(text, sizeof text, "%c%c.left", 'a' + i, 'q' - i);
        add(names, text);
        snprintf(text, sizeof text, "room:%c%c", 'a' + i, 'q' - i);
        add(names, text);
    }
    for (int i = 0; i < RKB_NAMES_MANY - 1; i++) {
        snprintf(text, sizeof text, "job/%c%c", 'a' + i, 'q' - i);
        add(names, text);
    }
    check(names, "job/aq 1\njob/bp 1\njob/co 1\njob/dn 1\njob/em 1\njob/fl 1\njob/gk 1\njob/hj 1\njob/ii 1\njob/jh 1\n"
                 "job/kg 1\njob/lf 1\njob/me 1\njob/nd 1\njob/oc 1\n~*.left 16\n~*.typing 16\n~room:* 16\n");
}

/* Twenty events of one shape are no pattern; and no pattern is `*`. */
static void many_words_with_different_ends(void **state)
{
    (void)state;
    struct names *names = new_names();
    struct rkb_buffer wanted = {0};
    char text[64];
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "thing%c_verb%c", 'a' + i, 'z' - i);
        add(names, text);
        rkb_buffer_format(&wanted, "%s 1\n", text);
        snprintf(text, sizeof text, "thing%c_verb%c_done", 'a' + i, 'z' - i);
        add(names, text);
        rkb_buffer_format(&wanted, "%s 1\n", text);
    }
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "word%c", 'a' + i);
        add(names, text);
        rkb_buffer_format(&wanted, "%s 1\n", text);
    }
    rkb_buffer_add(&wanted, "", 1);
    check(names, (const char *)wanted.data);
    rkb_buffer_free(&wanted);
}

static void only_ids(void **state)
{
    (void)state;
    struct names *names = new_names();
    add(names, "17");
    add(names, "18");
    add(names, "17:4");
    add(names, "18:5");
    add(names, "550e8400-e29b-41d4-a716-446655440000");
    add(names, "650e8400-e29b-41d4-a716-446655440000");
    add(names, "5f3a9c0de1");
    add(names, "6f3a9c0de1");
    check(names, "5f3a9c0de1 1\n6f3a9c0de1 1\n~????????" "-" "????" "-" "????" "-" "????" "-" "???????????? 2\n"
                 "~[0-9]* 2\n~[0-9]*:[0-9]* 2\n");
}

static void glob_characters_are_escaped(void **state)
{
    (void)state;
    struct names *names = new_names();
    add(names, "a*b?[c]\\d.1");
    add(names, "a*b?[c]\\d.2");
    add(names, "*");
    add(names, "[x]");
    check(names, "* 1\n[x] 1\n~a\\*b\\?\\[c]\\\\d.* 2\n");
}

static void odd_shapes(void **state)
{
    (void)state;
    struct names *names = new_names();
    add(names, ".");
    add(names, "::");
    add(names, "a::1");
    add(names, "a::2");
    add(names, "-1");
    add(names, "1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16-17-18-19-20-x-y-z-zz-zzz");
    add(names, "1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16-17-18-19-21-x-y-z-zz-zzz");
    check(names, "-1 1\n. 1\n:: 1\n~1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16-17-18-19-*-x-y-z-zz-zzz 2\n~a::* 2\n");
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 16;
}

/* Whatever the names are: each in one group, and matched by it. */
static void any_names(void **state)
{
    (void)state;
    static const char *const parts[] = {"user", "17", "4", "*", "a", "\\", "[", "]", "?", ".", ":", "-", "_", "/", "",
                                        "deadbeef01", "x", "\n", "\xff"};
    uint32_t seed = 7;
    for (int round = 0; round < 30; round++) {
        struct names *names = new_names();
        for (int i = 0; i < 400; i++) {
            char text[64] = "";
            for (uint32_t j = 0, n = 1 + next(&seed) % 6; j < n; j++)
                strcat(text, parts[next(&seed) % (sizeof parts / sizeof parts[0])]);
            bool is_new = text[0] != '\0';
            for (size_t j = 0; j < names->count && is_new; j++)
                is_new = strcmp(names->texts[j], text) != 0;
            if (is_new)
                add(names, text);
        }
        struct rkb_name_groups groups;
        size_t members = 0;
        assert_true(rkb_names_group(names->slices, names->count, &groups));
        for (size_t i = 0; i < groups.count; i++)
            members += groups.list[i].members;
        assert_int_equal(members, names->count);
        for (size_t i = 0; i < names->count; i++) {
            const struct rkb_name_group *group = &groups.list[groups.of[i]];
            struct rkb_slice text = rkb_slice(group->text.data, group->text.size);
            assert_true(group->is_pattern ? rkb_glob_match(text, names->slices[i])
                                          : rkb_slice_equal(text, names->slices[i]));
        }
        rkb_names_free(&groups);
        free(names);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_become_stars),
        cmocka_unit_test(few_words_stay_alone),
        cmocka_unit_test(many_words_with_the_same_behind_them),
        cmocka_unit_test(many_words_with_different_ends),
        cmocka_unit_test(only_ids),
        cmocka_unit_test(glob_characters_are_escaped),
        cmocka_unit_test(odd_shapes),
        cmocka_unit_test(any_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
