/* Tests of discover_channels: figures, floods of names in bounded memory, and how many payloads are looked into. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tool/discover_channels.h"

static uint32_t publish(struct rkb_channels *channels, const char *name, uint64_t size)
{
    uint32_t number = rkb_channels_number(channels, rkb_slice_text(name));
    rkb_channels_count(channels, number, size);
    return number;
}

static const struct rkb_seen *find(struct rkb_channels *channels, const char *name)
{
    for (size_t i = 0; i < rkb_channels_size(channels); i++) {
        const struct rkb_seen *seen = rkb_channels_at(channels, (uint32_t)i);
        if (rkb_slice_equal(rkb_slice(seen->name.data, seen->name.size), rkb_slice_text(name)))
            return seen;
    }
    return NULL;
}

static void figures_of_each(void **state)
{
    (void)state;
    struct rkb_channels *channels = rkb_channels_new();
    publish(channels, "a", 5);
    publish(channels, "b", 1);
    publish(channels, "a", 50);
    publish(channels, "a", 7);
    assert_int_equal(rkb_channels_size(channels), 2);
    assert_int_equal(find(channels, "a")->figures.messages, 3);
    assert_int_equal(find(channels, "a")->figures.bytes, 62);
    assert_int_equal(find(channels, "a")->figures.largest, 50);
    assert_int_equal(find(channels, "a")->figures.listeners, -1);
    assert_int_equal(find(channels, "b")->figures.messages, 1);
    char overlong[RKB_CHANNEL_NAME_MOST + 2];
    memset(overlong, 'x', sizeof overlong - 1);
    overlong[sizeof overlong - 1] = '\0';
    assert_int_equal(publish(channels, overlong, 3), RKB_CHANNEL_NONE);
    assert_int_equal(rkb_channels_others(channels)->messages, 1);
    publish(channels, overlong + 1, 3);
    assert_int_equal(rkb_channels_size(channels), 3);
    rkb_channels_free(channels);
}

struct moved {
    uint32_t of[RKB_CHANNELS_MOST + RKB_PATTERNS_MOST];
    size_t count;
    int times;
};

static void on_move(void *context, const uint32_t *of, size_t count)
{
    struct moved *moved = context;
    memcpy(moved->of, of, count * sizeof *of);
    moved->count = count;
    moved->times++;
}

/* A million sessions cost one pattern, and who comes after them is still known by name. */
static void a_flood_of_ids(void **state)
{
    (void)state;
    static struct moved moved;
    struct rkb_channels *channels = rkb_channels_new();
    char name[64];
    rkb_channels_on_move(channels, on_move, &moved);
    uint32_t before = publish(channels, "before", 1);
    uint32_t first = publish(channels, "session:0", 1);
    for (int i = 1; i < 1000000; i++) {
        snprintf(name, sizeof name, "session:%d", i);
        publish(channels, name, 2);
    }
    publish(channels, "late", 1);
    publish(channels, "late", 1);
    assert_int_equal(rkb_channels_size(channels), 3);
    assert_int_equal(find(channels, "session:*")->figures.messages, 1000000);
    assert_int_equal(find(channels, "session:*")->figures.bytes, 2 * 1000000 - 1);
    assert_true(find(channels, "session:*")->taken >= RKB_CHANNELS_MOST - 2);
    assert_int_equal(find(channels, "before")->figures.messages, 1);
    assert_int_equal(find(channels, "late")->figures.messages, 2);
    assert_int_equal(rkb_channels_others(channels)->messages, 0);
    assert_int_equal(moved.times, 1);
    assert_ptr_equal(rkb_channels_at(channels, moved.of[before]), find(channels, "before"));
    assert_ptr_equal(rkb_channels_at(channels, moved.of[first]), find(channels, "session:*"));
    assert_int_equal(publish(channels, "before", 1), moved.of[before]);
    rkb_channels_free(channels);
}

/* Names that no pattern fits: the first ones stay, the rest is counted. */
static void a_flood_without_a_pattern(void **state)
{
    (void)state;
    struct rkb_channels *channels = rkb_channels_new();
    char name[64];
    for (int i = 0; i < RKB_CHANNELS_MOST + 5000; i++) {
        snprintf(name, sizeof name, "w%xz", i);
        publish(channels, name, 1);
    }
    publish(channels, "w1z", 1);
    assert_int_equal(rkb_channels_size(channels), RKB_CHANNELS_MOST);
    assert_int_equal(rkb_channels_others(channels)->messages, 5000);
    assert_int_equal(find(channels, "w1z")->figures.messages, 2);
    rkb_channels_free(channels);
}

/* A channel with very many messages is looked into no more often than others, half of it spread over time. */
static void looks_are_few(void **state)
{
    (void)state;
    struct rkb_channels *channels = rkb_channels_new();
    uint32_t heavy = publish(channels, "heavy", 1);
    int looks = 0;
    for (int i = 0; i < 100000; i++)
        looks += rkb_channels_look(channels, heavy, 1000, 500);
    assert_int_equal(looks, 100);
    for (int i = 0; i < 1000; i++)
        looks += rkb_channels_look(channels, heavy, 2000 + i, 500);
    assert_int_equal(looks, 102);
    assert_false(rkb_channels_look(channels, RKB_CHANNEL_NONE, 0, 0));
    for (int i = 0; i < 9000; i++) {
        char name[64];
        snprintf(name, sizeof name, "w%xz", i);
        publish(channels, name, 1);
    }
    uint32_t other = publish(channels, "other", 1);
    looks = 0;
    for (int i = 0; i < 1000; i++)
        looks += rkb_channels_look(channels, other, 1000000 * i, 1);
    assert_int_equal(looks, 8);
    rkb_channels_free(channels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_each),
        cmocka_unit_test(a_flood_of_ids),
        cmocka_unit_test(a_flood_without_a_pattern),
        cmocka_unit_test(looks_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
