/*
 * Routes and topics that rest: what is theirs waits, what is not goes on, and all arrives once and in order when they
 * go on; over restarts too. Against librdkafka's mock cluster.
 */
#include "shipper_world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct rkb_pause pause_of(bool is_topic, uint32_t number)
{
    struct rkb_pause pause = {.is_topic = is_topic, .number = number, .since_us = 1700000000000000};
    snprintf(pause.name, sizeof pause.name, "%s", number == 1 ? "first" : "second");
    return pause;
}

static bool is_kept(struct world *world, uint64_t version)
{
    struct rkb_error error;
    uint64_t kept;
    return rkb_pauses_kept(world->pauses, &kept, &error) && kept == version;
}

/* From now on it rests; what was under way may still land. */
static void rest(struct world *world, bool is_topic, uint32_t number)
{
    struct rkb_pause pause = pause_of(is_topic, number);
    uint64_t version = rkb_pauses_add(world->pauses, &pause);
    assert_true(version > 0);
    rkb_shipper_wake(world->shipper);
    world_wait(world, is_kept, version, "the pause to be kept");
}

static void go_on(struct world *world, bool is_topic, uint32_t number)
{
    assert_true(rkb_pauses_remove(world->pauses, is_topic, number) > 0);
    rkb_shipper_wake(world->shipper);
}

static int set_up(void **state)
{
    int failed = world_set_up(state);
    struct world *world = *state;
    world->pauses = rkb_pauses_new(world->directory, &rkb_sys_posix);
    return failed;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    struct rkb_pauses *pauses = world->pauses;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/paused", world->directory);
    unlink(path);
    int failed = world_tear_down(state);
    rkb_pauses_free(pauses);
    return failed;
}

static bool first_delivered(struct world *world, uint64_t wanted)
{
    return delivered_of(world, 1) == wanted;
}

static bool second_rests(struct world *world, uint64_t wanted)
{
    (void)wanted;
    return rkb_shipper_figures(world->shipper)->routes[2].resting_us != 0;
}

static bool only_rest_left(struct world *world, uint64_t wanted)
{
    const struct rkb_shipped *figures = rkb_shipper_figures(world->shipper);
    (void)wanted;
    return figures->moving_us == 0 && figures->in_flight == 0 && figures->oldest_us != 0;
}

/* Of 1 .. last, how many are route 1's. */
static uint64_t of_first(uint64_t last)
{
    return last - last / 3;
}

static void test_a_topic_rests(void **state)
{
    struct world *world = *state;
    world_begin(world, 300);
    rest(world, true, 2);
    world_put(world, 900);
    world_wait(world, first_delivered, of_first(1200), "the other topic to go on");
    world_wait(world, only_rest_left, 0, "nothing but what rests to be left");
    assert_int_equal(delivered_of(world, 2), 100);
    /* The oldest that waits is known: message 303. */
    assert_int_equal(rkb_shipper_figures(world->shipper)->oldest_us, 1700000000000000 + 303 * 1000);
    assert_int_equal(rkb_shipped_topic_us(rkb_shipper_figures(world->shipper), 2), 1700000000000000 + 303 * 1000);
    go_on(world, true, 2);
    world_wait(world, all_settled, 1201, "all to be settled");
    expect_arrived(world, 1, 1200, false);
}

/* In a topic that both go to: the other is not held up. */
static void test_a_route_rests(void **state)
{
    struct world *world = *state;
    world->shared = true;
    world_begin(world, 300);
    rest(world, false, 2);
    world_put(world, 900);
    world_wait(world, first_delivered, of_first(1200), "the other route to go on");
    world_wait(world, only_rest_left, 0, "nothing but what rests to be left");
    const struct rkb_shipped *figures = rkb_shipper_figures(world->shipper);
    assert_int_equal(delivered_of(world, 2), 100);
    assert_int_equal(figures->journal.low, 303);
    assert_int_equal(figures->routes[2].resting_us, 1700000000000000 + 303 * 1000);
    assert_int_equal(figures->oldest_us, 1700000000000000 + 303 * 1000);
    go_on(world, false, 2);
    world_wait(world, all_settled, 1201, "all to be settled");
    assert_int_equal(rkb_shipper_figures(world->shipper)->routes[2].resting_us, 0);
    expect_arrived(world, 1, 1200, false);
}

static void test_both_rest_and_one_goes_on(void **state)
{
    struct world *world = *state;
    world->shared = true;
    world_begin(world, 300);
    rest(world, false, 2);
    rest(world, false, 1);
    world_put(world, 900);
    world_wait(world, second_rests, 0, "records to be passed over");
    world_wait(world, only_rest_left, 0, "nothing but what rests to be left");
    assert_int_equal(delivered(world), 300);
    go_on(world, false, 1);
    world_wait(world, first_delivered, of_first(1200), "the one to go on");
    world_wait(world, only_rest_left, 0, "nothing but what rests to be left");
    assert_int_equal(delivered_of(world, 2), 100);
    assert_int_equal(rkb_shipper_figures(world->shipper)->journal.low, 303);
    go_on(world, false, 2);
    world_wait(world, all_settled, 1201, "all to be settled");
    expect_arrived(world, 1, 1200, false);
}

/* On and off while messages come, in one topic and with one each. */
static void on_and_off(struct world *world)
{
    world_begin(world, 30);
    for (uint32_t i = 0; i < 12; i++) {
        bool is_topic = !world->shared && i % 3 == 0;
        rest(world, is_topic, 1 + i % 2);
        world_put(world, 100);
        go_on(world, is_topic, 1 + i % 2);
        world_put(world, 50);
    }
    world_wait(world, all_settled, 1831, "all to be settled");
    expect_arrived(world, 1, 1830, false);
}

static void test_on_and_off(void **state)
{
    on_and_off(*state);
}

static void test_on_and_off_in_one_topic(void **state)
{
    struct world *world = *state;
    world->shared = true;
    on_and_off(world);
}

/* An end does not wait for what rests. */
static void test_drained(void **state)
{
    struct world *world = *state;
    world->shared = true;
    world_begin(world, 30);
    rest(world, false, 2);
    world_put(world, 300);
    rkb_shipper_drain(world->shipper);
    for (int i = 0; !rkb_shipper_drained(world->shipper); i++) {
        assert_true(i < 30000);
        usleep(1000);
    }
    assert_int_equal(delivered_of(world, 1), of_first(330));
    assert_int_equal(delivered_of(world, 2), 10);
    go_on(world, false, 2);
}

/* Stopped, and begun anew with what the file says: it still rests, and nothing of it is lost or sent. */
static void over_a_restart(struct world *world, bool is_topic, bool kill)
{
    world_begin(world, 300);
    rest(world, is_topic, 2);
    world_put(world, 600);
    world_wait(world, first_delivered, of_first(900), "the other to go on");
    world_wait(world, only_rest_left, 0, "nothing but what rests to be left");
    if (!kill)
        world_stop(world);
    else
        world_by_hand(world);       /* its thread is gone, and nothing is written any more */
    world_drop(world);
    rkb_pauses_free(world->pauses);
    world->pauses = rkb_pauses_new(world->directory, &rkb_sys_posix);
    world->by_hand = false;
    world_open(world);
    struct rkb_error error;
    size_t forgotten;
    struct rkb_dictionary *names = rkb_dictionary_new();
    bool added;
    assert_int_equal(rkb_dictionary_add(names, RKB_NAME_ROUTE, rkb_slice_text("first"), &added), 1);
    assert_int_equal(rkb_dictionary_add(names, RKB_NAME_ROUTE, rkb_slice_text("second"), &added), 2);
    assert_int_equal(rkb_dictionary_add(names, RKB_NAME_TOPIC, rkb_slice_text("first"), &added), 1);
    assert_int_equal(rkb_dictionary_add(names, RKB_NAME_TOPIC, rkb_slice_text("second"), &added), 2);
    assert_true(rkb_pauses_load(world->pauses, names, &forgotten, &error));
    assert_int_equal(forgotten, 0);
    rkb_dictionary_free(names);
    world_start(world);
    world_put(world, 300);
    world_wait(world, only_rest_left, 0, "nothing but what rests to be left");
    assert_int_equal(delivered_of(world, 2), 0);        /* since the start */
    assert_int_equal(rkb_shipper_figures(world->shipper)->journal.low, 303);
    go_on(world, is_topic, 2);
    world_wait(world, all_settled, 1201, "all to be settled");
    expect_arrived(world, 1, 1200, true);
}

static void test_a_topic_rests_over_a_restart(void **state)
{
    over_a_restart(*state, true, false);
}

static void test_a_route_rests_over_a_restart(void **state)
{
    struct world *world = *state;
    world->shared = true;
    over_a_restart(world, false, false);
}

/* With a topic of its own, beside another: where each topic goes on is noted, and that is not beyond what rests. */
static void test_a_route_with_a_topic_rests_over_a_restart(void **state)
{
    over_a_restart(*state, false, false);
}

static void test_a_route_with_a_topic_rests_over_a_kill(void **state)
{
    over_a_restart(*state, false, true);
}

static void test_a_route_rests_over_a_kill(void **state)
{
    struct world *world = *state;
    world->shared = true;
    over_a_restart(world, false, true);
}

static bool went_back(struct world *world, uint64_t wanted)
{
    const struct rkb_lane *lane = rkb_lanes_at(&world->shipper->lanes, 1);
    return lane->behind && lane->next == wanted && lane->returned == RKB_NOTHING_RETURNED;
}

static bool settled_by_hand(struct world *world, uint64_t wanted)
{
    world->hand_us += 20000000;
    return rkb_acks_low(rkb_journal_acks(world->journal)) == wanted;
}

/* The topic is back at 31, which one route left, when the other goes on, which left 63: not forward to that. */
static void test_back_for_one_is_not_forward_for_the_other(void **state)
{
    struct world *world = *state;
    struct rkb_pause first = pause_of(false, 1), second = pause_of(false, 2);
    world->shared = true;
    world_begin(world, 30);
    world_by_hand(world);
    rkb_pauses_add(world->pauses, &first);
    world_put(world, 32);
    world_turn(world);
    rkb_pauses_remove(world->pauses, false, 1);
    rkb_pauses_add(world->pauses, &second);
    world_put(world, 30);
    world_turn_until(world, went_back, 31, "the topic to go back");
    assert_int_equal(rkb_lanes_at(&world->shipper->lanes, 1)->skipped, 63);
    rkb_pauses_remove(world->pauses, false, 2);
    world_turn_until(world, settled_by_hand, 93, "all to be settled");
    expect_arrived(world, 1, 92, false);
}

static bool is_read(struct world *world, uint64_t wanted)
{
    struct rkb_error error;
    (void)wanted;
    rkb_shipper_wake(world->shipper);
    return !rkb_pauses_unread(world->pauses, &error);
}

/* Somebody has seen to a file that could not be read at the start, and removed it. */
static void test_a_bad_file_is_removed(void **state)
{
    struct world *world = *state;
    struct rkb_dictionary *names = rkb_dictionary_new();
    struct rkb_error error;
    char path[PATH_MAX];
    size_t forgotten;
    snprintf(path, sizeof path, "%s/paused", world->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_false(rkb_pauses_load(world->pauses, names, &forgotten, &error));
    world_begin(world, 3);
    assert_false(is_read(world, 0));
    assert_int_equal(unlink(path), 0);
    world_wait(world, is_read, 0, "the bad file to be missed");
    rkb_dictionary_free(names);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(test_a_topic_rests),
        EACH(test_a_route_rests),
        EACH(test_both_rest_and_one_goes_on),
        EACH(test_on_and_off),
        EACH(test_on_and_off_in_one_topic),
        EACH(test_back_for_one_is_not_forward_for_the_other),
        EACH(test_drained),
        EACH(test_a_bad_file_is_removed),
        EACH(test_a_topic_rests_over_a_restart),
        EACH(test_a_route_rests_over_a_restart),
        EACH(test_a_route_rests_over_a_kill),
        EACH(test_a_route_with_a_topic_rests_over_a_restart),
        EACH(test_a_route_with_a_topic_rests_over_a_kill),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
