/*
 * Tests of watch: a relay whose second connection talks to a scripted Redis. The first one finds nobody, so what it
 * would tell is told by the test.
 */
#include "watch_support.h"

#include "daemon/watch.h"

#define NOTHING {"CONFIG GET client-output-buffer-limit", "-NOPERM\r\n"}, {"CONFIG GET dir", "-NOPERM\r\n"}
#define NOBODY {"CLIENT LIST TYPE pubsub", "$0\r\n\r\n"}

static struct fake_redis *fake;

/* answers_within: what the second connection has for each answer; the look as a whole has 300 ms. */
static struct rkb_relay_source *open_patient(struct world *world, const struct fake_script *scripts,
                                             int64_t answers_within)
{
    world_route(world, "all", NULL, LIST("*"));
    world->source.watch = 100000;
    world->source.connect_timeout = answers_within;
    world_open(world);
    world->source.connect_timeout = 300000;                /* both connections have a copy of what it was before */
    fake = fake_redis_new(world->base, NULL, false);
    fake_redis_rules(fake)->scripts = scripts;
    world->source.url.port = fake_redis_port(fake);        /* the subscriber has a copy of what it was before */
    rkb_relay_start(&world->relay, world->shipper);
    return source_of(world);
}

static struct rkb_relay_source *open_watched(struct world *world, const struct fake_script *scripts)
{
    return open_patient(world, scripts, 300000);
}

static int close_watched(void **state)
{
    int result = world_tear_down(state);
    fake = NULL;
    return result;
}

/* The fake's events are on the world's base. */
static void done(struct world *world)
{
    world_kill(world);
    fake_redis_free(fake);
}

static bool has_tried(struct rkb_relay_source *source)
{
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(source->subscriber, &figures);
    return figures.error[0] != '\0';
}

static struct rkb_watch_figures figures_of(struct rkb_relay_source *source)
{
    struct rkb_watch_figures figures;
    rkb_watch_figures(source->watch, &figures);
    return figures;
}

static void on_stopped(void *context)
{
    (void)context;
}

static void nobody_is_there(void **state)
{
    static const struct fake_script scripts[] = {NOTHING, NOBODY, {NULL, NULL}};
    struct world *world = *state;
    struct rkb_relay_source *source = open_watched(world, scripts);
    assert_false(has_tried(source));
    UNTIL_HEARD(world, fake, has_tried(source));
    assert_int_equal(figures_of(source).rival, 0);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 0);
    done(world);
}

/* Refused, silent, without a number of its own: it subscribes all the same. */
static void nobody_can_look(void **state)
{
    static const struct fake_script rows[][4] = {
        {NOTHING, {"CLIENT LIST TYPE pubsub", "-NOPERM\r\n"}, {NULL, NULL}},
        {NOTHING, {"CLIENT LIST TYPE pubsub", NULL}, {NULL, NULL}},
        {NOTHING, {"CLIENT ID", "-NOPERM\r\n"}, {NULL, NULL}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *world = world_new();
        struct rkb_relay_source *source = open_watched(world, rows[i]);
        UNTIL_HEARD(world, fake, has_tried(source));
        assert_int_equal(figures_of(source).rival, -1);
        assert_false(figures_of(source).held);
        done(world);
        world_free(world);
    }
    (void)state;
}

/* The second connection stands, with time left to answer: it subscribes all the same after connect_timeout. */
static void nobody_answers_in_time(void **state)
{
    static const struct fake_script scripts[] = {NOTHING, {"CLIENT LIST TYPE pubsub", NULL}, {NULL, NULL}};
    struct world *world = *state;
    struct rkb_relay_source *source = open_patient(world, scripts, 1000 * SECOND);
    UNTIL_HEARD(world, fake, has_tried(source));
    assert_int_equal(figures_of(source).rival, -1);
    assert_int_equal(times_in(fake_redis_heard(fake), "TYPE pubsub"), 1);
    done(world);
}

static void held_until_the_other_is_gone(void **state)
{
    static const struct fake_script there[] = {
        NOTHING,
        {"CLIENT LIST TYPE pubsub", "$45\r\nid=30 addr=10.0.0.1:47 idle=0 name=rkbridge:b\r\n"},
        {"CLIENT LIST TYPE normal", "$45\r\nid=31 idle=1 name=rkbridge:b:bbbbbbbb:5000:30\r\n"},
        {"CLIENT LIST ID 30 31",
         "$74\r\nid=31 idle=1 name=rkbridge:b:bbbbbbbb:5000:30\nid=30 idle=0 name=rkbridge:b\r\n"},
        {NULL, NULL}};
    static const struct fake_script gone[] = {NOTHING, NOBODY, {"CLIENT LIST ID 30 31", "$0\r\n\r\n"}, {NULL, NULL}};
    struct world *world = *state;
    struct rkb_relay_source *source = open_watched(world, there);
    UNTIL_HEARD(world, fake, figures_of(source).held);
    assert_non_null(strstr(figures_of(source).rival_text, "instance b at 10.0.0.1:47 (clients 30 and 31)"));
    const struct rkb_snapshot *snapshot = rkb_view_snapshot(world->view);
    assert_false(snapshot->ready);
    assert_true(snapshot->sources[0].held);
    for (int i = 0; i < 3; i++) {
        size_t heard = strlen(fake_redis_heard(fake));
        UNTIL_HEARD(world, fake, strlen(fake_redis_heard(fake)) > heard
              && strstr(fake_redis_heard(fake) + heard, "LIST ID 30 31") != NULL);
    }
    assert_false(has_tried(source));
    assert_null(strstr(strstr(fake_redis_heard(fake), "TYPE normal"), "TYPE pubsub"));
    expect_gap(world, 0, "another_bridge", now_us, 0);
    fake_redis_rules(fake)->scripts = gone;
    UNTIL_HEARD(world, fake, has_tried(source));
    assert_false(figures_of(source).held);
    now_us += SECOND;
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 0, "another_bridge", now_us - SECOND, now_us);
    done(world);
}

/* Another that subscribed in the same moment was not to be seen then. */
static void looks_again_when_it_is_subscribed(void **state)
{
    static const struct fake_script scripts[] = {NOTHING, NOBODY, {NULL, NULL}};
    struct world *world = *state;
    struct rkb_relay_source *source = open_watched(world, scripts);
    UNTIL_HEARD(world, fake, has_tried(source));
    size_t heard = strlen(fake_redis_heard(fake));
    begin_stream(world);
    UNTIL_HEARD(world, fake, times_in(fake_redis_heard(fake) + heard, "TYPE pubsub") >= 3);
    done(world);
}

/* It may be a source of our own, whose watcher has not said yet whose it is: it has to stay for a while. */
static void one_without_a_watcher_is_no_rival_at_once(void **state)
{
    static const struct fake_script nobody[] = {NOTHING, NOBODY, {NULL, NULL}};
    static const struct fake_script there[] = {
        NOTHING,
        {"CLIENT LIST TYPE pubsub", "$45\r\nid=30 addr=10.0.0.1:47 idle=0 name=rkbridge:b\r\n"},
        {"CLIENT LIST TYPE normal", "$0\r\n\r\n"},
        {NULL, NULL}};
    struct world *world = *state;
    struct rkb_relay_source *source = open_watched(world, nobody);
    UNTIL_HEARD(world, fake, has_tried(source));
    begin_stream(world);
    fake_redis_rules(fake)->scripts = there;
    UNTIL_HEARD(world, fake, times_in(fake_redis_heard(fake), "TYPE normal") >= 4);
    assert_int_equal(figures_of(source).rival, 1);
    assert_null(source->away);
    now_us += SECOND;
    UNTIL_HEARD(world, fake, source->away != NULL);
    assert_string_equal(source->away->reason, "another_bridge");
    done(world);
}

/* That we are not subscribed because somebody asked for it is no other bridge's doing. */
static void a_stopped_intake_is_no_rival(void **state)
{
    static const struct fake_script scripts[] = {NOTHING, NOBODY, {NULL, NULL}};
    struct world *world = *state;
    struct rkb_relay_source *source = open_watched(world, scripts);
    UNTIL_HEARD(world, fake, has_tried(source));
    begin_stream(world);
    rkb_relay_stop_intake(&world->relay, SECOND, on_stopped, NULL);
    rkb_relay_events.stopped(source);
    assert_false(figures_of(source).held);
    assert_int_equal(figures_of(source).rival, 0);
    assert_string_equal(figures_of(source).rival_text, "");
    done(world);
}

/* Redis counts the clients that it cut off: that proves it, either way. */
static void redis_counts_the_cuts(void **state)
{
    static const struct fake_script before[] = {
        NOTHING, NOBODY, {"INFO stats", "$44\r\nclient_output_buffer_limit_disconnections:3\n\r\n"}, {NULL, NULL}};
    static const struct fake_script after[] = {
        NOTHING, NOBODY, {"INFO stats", "$44\r\nclient_output_buffer_limit_disconnections:4\n\r\n"}, {NULL, NULL}};
    struct world *world = *state;
    struct rkb_relay_source *source = open_watched(world, before);
    UNTIL_HEARD(world, fake, has_tried(source));
    for (int cut = 0; cut < 2; cut++) {
        begin_stream(world);
        confirm_all(world);
        fake_redis_rules(fake)->scripts = cut ? after : before;
        lose(world, true, now_us);
        size_t heard = strlen(fake_redis_heard(fake));
        /* The first is answered then. */
        UNTIL_HEARD(world, fake, times_in(fake_redis_heard(fake) + heard, "INFO stats") >= 3);
        expect_gap(world, (size_t)cut, cut ? "output_buffer" : "connection_lost", now_us, 0);
        now_us += SECOND;
    }
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 1, "output_buffer", now_us - SECOND, now_us);
    done(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, close_watched)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_there),
        cmocka_unit_test(nobody_can_look),
        TEST(nobody_answers_in_time),
        TEST(held_until_the_other_is_gone),
        TEST(looks_again_when_it_is_subscribed),
        TEST(one_without_a_watcher_is_no_rival_at_once),
        TEST(a_stopped_intake_is_no_rival),
        TEST(redis_counts_the_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
