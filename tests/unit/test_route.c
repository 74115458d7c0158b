/* route: winners, confirmations, and the bounded cache. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/route.h"

static struct rkb_subscription *add(struct rkb_router *router, bool is_pattern, const char *name)
{
    struct rkb_error error;
    assert_true(rkb_router_add(router, is_pattern, rkb_slice_text(name), NULL, &error));
    return rkb_router_at(router, rkb_router_count(router) - 1);
}

static struct rkb_subscription *add_confirmed(struct rkb_router *router, bool is_pattern, const char *name)
{
    struct rkb_subscription *subscription = add(router, is_pattern, name);
    rkb_router_confirm(router, subscription, true);
    return subscription;
}

static const struct rkb_subscription *winner(struct rkb_router *router, const char *channel)
{
    const struct rkb_channel *found = rkb_router_channel(router, rkb_slice_text(channel));
    assert_non_null(found);
    assert_true(rkb_slice_equal(found->name.plain, rkb_slice_text(channel)));
    return found->winner;
}

static void exact_comes_before_patterns_and_these_by_the_config(void **state)
{
    (void)state;
    struct rkb_router *router = rkb_router_new(1 << 20);
    struct rkb_subscription *late = add_confirmed(router, true, "user:*:late");
    struct rkb_subscription *all = add_confirmed(router, true, "user:*");
    struct rkb_subscription *one = add_confirmed(router, true, "user:1*");
    struct rkb_subscription *exact = add_confirmed(router, false, "user:1");
    struct rkb_subscription *literal = add_confirmed(router, false, "user:*");
    assert_ptr_equal(winner(router, "user:1"), exact);
    assert_ptr_equal(winner(router, "user:12"), all);
    assert_ptr_equal(winner(router, "user:1:late"), late);
    assert_ptr_equal(winner(router, "user:*"), literal);
    assert_null(winner(router, "users"));
    assert_true(one->confirmed);
    rkb_router_free(router);
}

static void only_what_is_confirmed_wins(void **state)
{
    (void)state;
    struct rkb_router *router = rkb_router_new(1 << 20);
    struct rkb_subscription *exact = add(router, false, "a"), *first = add(router, true, "a*");
    struct rkb_subscription *second = add(router, true, "*");
    assert_null(winner(router, "a"));
    rkb_router_confirm(router, second, true);
    assert_ptr_equal(winner(router, "a"), second);
    rkb_router_confirm(router, first, true);
    assert_ptr_equal(winner(router, "a"), first);
    rkb_router_confirm(router, exact, true);
    assert_ptr_equal(winner(router, "a"), exact);
    rkb_router_confirm(router, exact, true);
    assert_ptr_equal(winner(router, "a"), exact);
    rkb_router_confirm(router, first, false);
    rkb_router_confirm(router, exact, false);
    assert_ptr_equal(winner(router, "a"), second);
    rkb_router_confirm_none(router);
    assert_null(winner(router, "a"));
    assert_false(exact->confirmed || first->confirmed || second->confirmed);
    rkb_router_free(router);
}

/* A canary's channel is nobody's but its own subscription's: no pattern wins it, also while that does not stand. */
static void no_pattern_wins_a_canary(void **state)
{
    (void)state;
    struct rkb_router *router = rkb_router_new(1 << 20);
    struct rkb_subscription *exact = add(router, false, "rkbridge:canary:here:a"), *all = add(router, true, "*");
    struct rkb_subscription *ours = add(router, true, "rkbridge:canary:*");
    rkb_router_confirm(router, all, true);
    rkb_router_confirm(router, ours, true);
    assert_null(winner(router, "rkbridge:canary:here:a"));
    assert_null(winner(router, "rkbridge:canary:"));
    assert_ptr_equal(winner(router, "rkbridge:canary"), all);
    assert_ptr_equal(winner(router, "x:rkbridge:canary:a"), all);
    rkb_router_confirm(router, exact, true);
    assert_ptr_equal(winner(router, "rkbridge:canary:here:a"), exact);
    assert_null(winner(router, "rkbridge:canary:there:a"));
    rkb_router_free(router);
}

static void subscriptions_are_found_by_kind_and_name(void **state)
{
    (void)state;
    struct rkb_router *router = rkb_router_new(1 << 20);
    struct rkb_error error = {.code = RKB_OK};
    int route;
    assert_null(rkb_router_find(router, false, rkb_slice_text("x")));
    for (int i = 0; i < 1000; i++) {
        char name[24];
        snprintf(name, sizeof name, "name%d", i / 2);
        assert_true(rkb_router_add(router, i % 2 != 0, rkb_slice_text(name), &route, &error));
        memset(name, '#', sizeof name);     /* nothing lent is kept */
    }
    assert_int_equal(rkb_router_count(router), 1000);
    for (size_t i = 0; i < 1000; i++) {
        char name[24];
        snprintf(name, sizeof name, "name%d", (int)i / 2);
        struct rkb_subscription *found = rkb_router_find(router, i % 2 != 0, rkb_slice_text(name));
        assert_ptr_equal(found, rkb_router_at(router, i));
        assert_int_equal(found->is_pattern, i % 2 != 0);
        assert_ptr_equal(found->route, &route);
        assert_false(found->confirmed);
        assert_int_equal(found->copies, 0);
    }
    assert_null(rkb_router_find(router, false, rkb_slice_text("name500")));
    assert_false(rkb_router_add(router, true, rkb_slice_text("name7"), NULL, &error));
    assert_int_equal(error.code, RKB_USAGE);
    assert_int_equal(rkb_router_count(router), 1000);
    rkb_router_free(router);
    rkb_router_free(NULL);
}

static void names_have_their_json_form(void **state)
{
    (void)state;
    struct rkb_router *router = rkb_router_new(1 << 20);
    struct rkb_subscription *pattern = add_confirmed(router, true, "a\"*");
    assert_true(rkb_slice_equal(pattern->name.json, rkb_slice_text("a\\\"*")));
    const struct rkb_channel *channel = rkb_router_channel(router, rkb_slice("a\"\xFF\0", 4));
    assert_ptr_equal(channel->winner, pattern);
    assert_true(rkb_slice_equal(channel->name.plain, rkb_slice("a\"\xFF\0", 4)));
    assert_true(rkb_slice_equal(channel->name.json, rkb_slice_text("a\\\"\xEF\xBF\xBD\\u0000")));
    channel = rkb_router_channel(router, rkb_slice(NULL, 0));
    assert_int_equal(channel->name.plain.size, 0);
    assert_int_equal(channel->name.json.size, 0);
    assert_null(channel->winner);
    rkb_router_free(router);
}

static void a_channel_stays_in_the_cache_until_a_confirmation_changes(void **state)
{
    (void)state;
    struct rkb_router *router = rkb_router_new(1 << 20);
    struct rkb_subscription *all = add_confirmed(router, true, "*");
    const struct rkb_channel *first = rkb_router_channel(router, rkb_slice_text("c"));
    for (int i = 0; i < 500; i++) {
        char name[24];
        snprintf(name, sizeof name, "other%d", i);
        assert_ptr_equal(winner(router, name), all);
    }
    assert_ptr_equal(rkb_router_channel(router, rkb_slice_text("c")), first);
    assert_int_equal(rkb_router_cached(router), 501);
    rkb_router_confirm(router, all, true);
    assert_ptr_equal(rkb_router_channel(router, rkb_slice_text("c")), first);
    rkb_router_confirm(router, all, false);
    assert_int_equal(rkb_router_cached(router), 0);
    assert_null(winner(router, "c"));
    rkb_router_free(router);
}

/* Any number of channels through caches of any size, one channel after the other and again: the same winners. */
static void a_small_cache_gives_the_same_winners(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1, 200, 5000, 100000};
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++) {
        struct rkb_router *router = rkb_router_new(limits[l]);
        struct rkb_subscription *odd = add_confirmed(router, true, "*[13579]"), *seven = add_confirmed(router, false,
                                                                                                       "channel7");
        size_t most = 0;
        for (int i = 0; i < 4000; i++) {
            char name[24];
            int number = i / 2 % 1000;
            snprintf(name, sizeof name, "channel%d", number);
            assert_ptr_equal(winner(router, name), number == 7 ? seven : number % 2 != 0 ? odd : NULL);
            size_t bytes = rkb_router_cached(router) * (sizeof(struct rkb_channel) + 2 * strlen("channel0"));
            assert_true(rkb_router_cached(router) == 1 || bytes <= limits[l]);
            most = rkb_router_cached(router) > most ? rkb_router_cached(router) : most;
        }
        assert_true(l < 3 || most >= limits[l] / 250);      /* and it is made use of */
        rkb_router_free(router);
    }
}

static void the_fingerprint_knows_order_kind_and_names(void **state)
{
    (void)state;
    static const struct {
        bool is_pattern;
        const char *names[3];
    } lists[] = {
        {false, {NULL}}, {false, {"a", NULL}}, {true, {"a", NULL}}, {false, {"a", "b", NULL}},
        {false, {"b", "a", NULL}}, {false, {"ab", NULL}}, {false, {"", "ab", NULL}}, {false, {"ab", "", NULL}},
        {false, {"", NULL}},
    };
    enum { COUNT = sizeof lists / sizeof lists[0] };
    uint64_t fingerprints[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        struct rkb_router *router = rkb_router_new(1000), *again = rkb_router_new(1000);
        for (size_t j = 0; lists[i].names[j] != NULL; j++) {
            add(router, lists[i].is_pattern, lists[i].names[j]);
            add_confirmed(again, lists[i].is_pattern, lists[i].names[j]);
        }
        fingerprints[i] = rkb_router_fingerprint(router);
        assert_true(rkb_router_fingerprint(again) == fingerprints[i]);
        for (size_t j = 0; j < i; j++)
            assert_true(fingerprints[i] != fingerprints[j]);
        rkb_router_free(router);
        rkb_router_free(again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_comes_before_patterns_and_these_by_the_config),
        cmocka_unit_test(only_what_is_confirmed_wins),
        cmocka_unit_test(no_pattern_wins_a_canary),
        cmocka_unit_test(subscriptions_are_found_by_kind_and_name),
        cmocka_unit_test(names_have_their_json_form),
        cmocka_unit_test(a_channel_stays_in_the_cache_until_a_confirmation_changes),
        cmocka_unit_test(a_small_cache_gives_the_same_winners),
        cmocka_unit_test(the_fingerprint_knows_order_kind_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
