/*
 * The relay behind a real subscriber and a scripted Redis: small messages that were read in one go and make large
 * records never overflow a small ring, since reading rests at the very next message.
 */
#include "relay_world.h"

#include <stdio.h>
#include <string.h>

#include "fake_redis.h"

enum { MESSAGES = 5000 };

struct joint {
    struct world *world;
    struct fake_redis *fake;
};

static void too_late(evutil_socket_t fd, short what, void *late)
{
    (void)fd;
    (void)what;
    *(bool *)late = true;
}

/* Turns the loop until that many are received, or reading rests. */
static void turn(struct joint *joint, uint64_t received)
{
    bool late = false;
    const struct timeval limit = {15, 0};
    struct event *timer = evtimer_new(joint->world->base, too_late, &late);
    event_add(timer, &limit);
    while (!late && !joint->world->relay.paused && balance(joint->world)->totals.received < received)
        event_base_loop(joint->world->base, EVLOOP_ONCE);
    event_free(timer);
    assert_false(late);
}

static int set_up(void **state)
{
    static struct joint joint;
    struct rkb_error error;
    char url[64];
    joint.world = world_new();
    joint.fake = fake_redis_new(joint.world->base, NULL, false);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", fake_redis_port(joint.fake));
    assert_true(rkb_redis_url_parse(url, &joint.world->source.url, &error));
    joint.world->source.max_message_size = 1 << 20;
    joint.world->source.retry_refused = 30 * SECOND;
    *state = &joint;
    return 0;
}

static int tear_down(void **state)
{
    struct joint *joint = *state;
    world_kill(joint->world);
    fake_redis_free(joint->fake);
    world_free(joint->world);
    return 0;
}

static void test_a_burst_and_a_small_ring(void **state)
{
    struct joint *joint = *state;
    struct world *world = joint->world;
    int rests = 0;
    world->config.journal.ring_size = 256 * 1024;
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    rkb_subscriber_start(source_of(world)->subscriber);
    while (!balance(world)->ready)
        event_base_loop(world->base, EVLOOP_ONCE);
    for (int i = 0; i < MESSAGES; i++)
        fake_redis_publish(joint->fake, "u*", "u", "x");
    for (uint64_t received = 0; received < MESSAGES; received = balance(world)->totals.received) {
        turn(joint, MESSAGES);
        if (world->relay.paused) {
            /* Not one more was taken than the one that made it rest. */
            assert_true(rkb_ring_room(world->store.ring) >= rkb_ring_size(world->store.ring) / 2 - 1024);
            rests++;
        }
        take(world);
        rkb_relay_look(&world->relay);
    }
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->totals.received, MESSAGES);
    assert_int_equal(snapshot->totals.dropped, 0);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 0);
    assert_in_range(rests, 5, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_burst_and_a_small_ring, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
