/*
 * Tests of watch_canary: a relay whose second connection talks to a scripted Redis, which takes the canaries; the test
 * gives them back, and acknowledges them. When one may be sent, what keeps it from being sent, what refuses it, and
 * what /readyz makes of all that. The clock is the test's; only that timers fire is waited for.
 */
#include "watch_support.h"

#include "control/ready.h"
#include "daemon/canary.h"
#include "daemon/watch.h"

#define CHANNEL "rkbridge:canary:here:legacy"
#define SEEN {"CONFIG GET client-output-buffer-limit", "-NOPERM\r\n"}, {"CONFIG GET dir", "-NOPERM\r\n"}, \
             {"CLIENT LIST TYPE pubsub", "$0\r\n\r\n"}

static const struct fake_script quiet[] = {SEEN, {NULL, NULL}};

static struct fake_redis *fake, *silent;    /* of the second connection; of the first, which says nothing */

/* Lets events come for a while, none of which may do anything. */
static void nothing_for_a_while(struct world *world)
{
    for (int turns = 0; turns < 350; turns++)
        turn(world);
}

static int published(void)
{
    int count = 0;
    for (const char *text = fake_redis_heard(fake); (text = strstr(text, "PUBLISH")) != NULL; text++)
        count++;
    return count;
}

/* The last payload that was published. */
static const char *payload(void)
{
    static char out[RKB_CANARY_PAYLOAD];
    const char *last = NULL, *text = fake_redis_heard(fake);
    for (; (text = strstr(text, "PUBLISH " CHANNEL " ")) != NULL; text++)
        last = text + strlen("PUBLISH " CHANNEL " ");
    assert_non_null(last);
    snprintf(out, sizeof out, "%.*s", (int)strcspn(last, "\n"), last);
    return out;
}

/* Two routes: one of a user with the pattern *, and the canary's. */
static struct rkb_relay_source *open_with(struct world *world, const struct fake_script *scripts)
{
    world_route(world, "all", NULL, LIST("*"));
    world_route(world, "canary.legacy", LIST(CHANNEL), NULL);
    world->routes[1].canary = true;
    world->config.canary_count = 1;
    world->config.canary.topic = world->routes[1].topic;
    world->config.canary.interval = 100000;
    world->config.canary.late_after = 10 * SECOND;
    world->source.watch = 60 * SECOND;
    world->source.retry_refused = 30 * SECOND;
    world->source.connect_timeout = 1000 * SECOND;
    silent = fake_redis_new(world->base, NULL, false);
    fake_redis_rules(silent)->mute = true;
    world->source.url.port = fake_redis_port(silent);
    world_open(world);
    fake = fake_redis_new(world->base, NULL, false);
    fake_redis_rules(fake)->scripts = scripts;
    world->source.url.port = fake_redis_port(fake);        /* the subscriber has a copy of what it was before */
    rkb_relay_start(&world->relay, world->shipper);
    return source_of(world);
}

static void start(struct world *world, const struct fake_script *scripts)
{
    open_with(world, scripts);
    UNTIL_HEARD(world, fake, strstr(fake_redis_heard(fake), "TYPE pubsub") != NULL);
    begin_stream(world);
    confirm_all(world);
}

/* As Redis does: to the pattern's subscription too. */
static void give_back(struct world *world)
{
    char text[RKB_CANARY_PAYLOAD];
    snprintf(text, sizeof text, "%s", payload());
    copy_of(world, "*", CHANNEL, text);
    copy_of(world, NULL, CHANNEL, text);
}

static void arrive(struct world *world)
{
    give_back(world);
    take(world);
    acknowledge(world);
}

/* The next one is sent, so much later. */
static void next_after(struct world *world, int64_t us)
{
    int before = published();
    now_us += us;
    UNTIL_HEARD(world, fake, published() > before);
}

static const char *why(struct world *world)
{
    static char out[1000];
    struct rkb_buffer text = {0};
    bool is_ready = rkb_ready(rkb_view_snapshot(world->view), &text);
    snprintf(out, sizeof out, "%.*s", (int)text.size, text.size > 0 ? (const char *)text.data : "");
    rkb_buffer_free(&text);
    assert_int_equal(is_ready, out[0] == '\0');
    return out;
}

static const struct rkb_canary_snapshot *figures(struct world *world)
{
    return &rkb_view_snapshot(world->view)->sources[0].canary;
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
    balance(world);
    world_kill(world);
    fake_redis_free(fake);
    fake_redis_free(silent);
}

static void the_first_makes_ready(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    assert_string_equal(why(world), "not ready: canaries of source legacy: no canary has come the whole way yet\n");
    give_back(world);
    assert_int_equal(figures(world)->received, 1);
    assert_string_equal(why(world), "not ready: canaries of source legacy: no canary has come the whole way yet\n");
    take(world);
    now_us += SECOND / 4;
    acknowledge(world);
    assert_string_equal(why(world), "");
    assert_int_equal(figures(world)->acknowledged, 1);
    assert_int_equal(figures(world)->round_trip->sum, SECOND / 4);
    assert_true(figures(world)->success_seconds == (double)(now_us - SECOND / 4) / 1e6);
    done(world);
}

/* Nothing of it by the pattern's route: neither ours, nor another rkbridge's, nor ours once its own is gone. */
static void never_in_another_topic(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    arrive(world);
    copy_of(world, "*", "rkbridge:canary:there:legacy", "{}");
    confirm(world, false, CHANNEL, false);
    copy_of(world, "*", CHANNEL, payload());
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->routes[0].books.received, 0);
    assert_int_equal(snapshot->routes[1].books.received, 1);
    assert_int_equal(snapshot->sources[0].overlaps_total, 3);
    copy_of(world, "*", "rkbridge:canar", "a user's");
    assert_int_equal(balance(world)->routes[0].books.received, 1);
    done(world);
}

static void one_each_interval(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    nothing_for_a_while(world);
    assert_int_equal(published(), 1);
    for (int i = 2; i < 5; i++) {
        next_after(world, 100000);
        arrive(world);
        assert_int_equal(published(), i);
    }
    assert_int_equal(figures(world)->sent, 4);
    assert_int_equal(figures(world)->acknowledged, 3);
    done(world);
}

/* None comes back; then none is acknowledged; then all is well. */
static void late(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    arrive(world);
    next_after(world, 10 * SECOND);
    assert_string_equal(why(world), "");
    next_after(world, SECOND);
    assert_string_equal(why(world), "not ready: canaries of source legacy: no canary has come back from Redis for 11 s "
                        "(canary.late_after is 10 s)\n");
    give_back(world);
    assert_string_equal(why(world), "not ready: canaries of source legacy: Kafka has acknowledged no canary for 11 s "
                        "(canary.late_after is 10 s)\n");
    take(world);
    acknowledge(world);
    assert_string_equal(why(world), "");
    done(world);
}

/* While Kafka is away only the way from Redis is asked for, and when it is back there is time for what waits. */
static void kafka_away(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    arrive(world);
    world->shipper->figures->away_us = now_us - 1600000000 * SECOND;
    take(world);
    for (int i = 0; i < 4; i++) {
        next_after(world, 10 * SECOND);
        give_back(world);
        assert_string_equal(why(world), "");
    }
    world->shipper->figures->away_us = 0;
    take(world);
    now_us += 9 * SECOND;
    assert_string_equal(why(world), "");
    next_after(world, 2 * SECOND);
    give_back(world);
    assert_non_null(strstr(why(world), "Kafka has acknowledged no canary for 11 s"));
    done(world);
}

/* From the start: the first has to come, unless Kafka is away for longer than one may take. */
static void kafka_away_from_the_start(void **state)
{
    struct world *world = *state;
    open_with(world, quiet);
    world->shipper->figures->away_us = now_us - 1600000000 * SECOND - SECOND;
    take(world);
    UNTIL_HEARD(world, fake, strstr(fake_redis_heard(fake), "TYPE pubsub") != NULL);
    begin_stream(world);
    confirm_all(world);
    UNTIL_HEARD(world, fake, published() == 1);
    give_back(world);
    assert_string_equal(why(world), "not ready: canaries of source legacy: no canary has come the whole way yet\n");
    next_after(world, 11 * SECOND);
    give_back(world);
    assert_string_equal(why(world), "");
    world->shipper->figures->away_us = 0;
    take(world);
    assert_string_equal(why(world), "not ready: canaries of source legacy: no canary has come the whole way yet\n");
    acknowledge(world);
    assert_string_equal(why(world), "");
    done(world);
}

#define NO_CHANNEL "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n"

/* Refused: said with the rule, not asked for again before its time; then allowed. What was refused was not sent. */
static void refused_and_allowed(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    arrive(world);
    assert_string_equal(why(world), "");
    fake_redis_rules(fake)->publish_reply = NO_CHANNEL;
    next_after(world, SECOND);
    UNTIL_HEARD(world, fake, figures(world)->refused != NULL);
    assert_int_equal(figures(world)->sent, 1);
    assert_non_null(strstr(why(world), "not ready: canaries of source legacy: Redis does not take the canary: Redis "
                                       "refused PUBLISH"));
    assert_non_null(strstr(why(world), "ACL SETUSER default +publish &" CHANNEL));
    now_us += 29 * SECOND;
    nothing_for_a_while(world);
    assert_int_equal(published(), 2);
    fake_redis_rules(fake)->publish_reply = NULL;
    next_after(world, 2 * SECOND);
    UNTIL_HEARD(world, fake, figures(world)->refused == NULL);
    arrive(world);
    assert_string_equal(why(world), "");
    assert_int_equal(figures(world)->sent, 2);
    done(world);
}

/* An error of another kind may be over with the next. */
static void refused_for_a_moment(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    fake_redis_rules(fake)->publish_reply = "-BUSY Redis is busy running a script\r\n";
    UNTIL_HEARD(world, fake, published() == 1);
    UNTIL_HEARD(world, fake, figures(world)->refused != NULL);
    assert_null(strstr(why(world), "ACL SETUSER"));
    fake_redis_rules(fake)->publish_reply = NULL;
    next_after(world, 100000);
    UNTIL_HEARD(world, fake, figures(world)->refused == NULL);
    arrive(world);
    assert_string_equal(why(world), "");
    done(world);
}

/* Taken, and given to nobody: it is said, and late it is for that reason. Once may be by chance. */
static void heard_by_nobody(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    arrive(world);
    fake_redis_rules(fake)->publish_reply = ":0\r\n";
    next_after(world, SECOND);
    nothing_for_a_while(world);
    assert_false(figures(world)->unheard);
    next_after(world, SECOND);
    UNTIL_HEARD(world, fake, figures(world)->unheard);
    assert_string_equal(why(world), "");
    next_after(world, 9 * SECOND);
    assert_non_null(strstr(why(world), "no canary has come back from Redis for 11 s (canary.late_after is 10 s): Redis "
                                       "gave the last ones to nobody"));
    fake_redis_rules(fake)->publish_reply = NULL;
    next_after(world, SECOND);
    UNTIL_HEARD(world, fake, !figures(world)->unheard);
    done(world);
}

/* None can be sent while the second connection does not stand: no word of what is published. */
static void no_second_connection(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    arrive(world);
    fake_redis_rules(fake)->cut_at = "CONNECT";
    fake_redis_rules(fake)->cuts = 1000000;
    fake_redis_cut(fake);
    UNTIL_HEARD(world, fake, figures(world)->unsent);
    now_us += 11 * SECOND;
    assert_non_null(strstr(why(world), "no canary has come back from Redis for 11 s (canary.late_after is 10 s): "
                                       "none is sent, the second connection does not stand"));
    fake_redis_rules(fake)->cuts = 0;
    UNTIL_HEARD(world, fake, published() == 2);
    arrive(world);
    assert_string_equal(why(world), "");
    done(world);
}

/* Not before its own subscription stands, nor once it is gone; what came before proves nothing of the next. */
static void only_while_subscribed(void **state)
{
    struct world *world = *state;
    open_with(world, quiet);
    UNTIL_HEARD(world, fake, strstr(fake_redis_heard(fake), "TYPE pubsub") != NULL);
    begin_stream(world);
    now_us += SECOND;
    nothing_for_a_while(world);
    assert_int_equal(published(), 0);
    confirm_all(world);
    UNTIL_HEARD(world, fake, published() == 1);
    arrive(world);
    lose(world, true, now_us);
    now_us += SECOND;
    nothing_for_a_while(world);
    assert_int_equal(published(), 1);
    assert_null(strstr(why(world), "canary"));
    begin_stream(world);
    confirm_all(world);
    UNTIL_HEARD(world, fake, published() == 2);
    assert_string_equal(why(world), "not ready: canaries of source legacy: no canary has come the whole way yet\n");
    arrive(world);
    assert_string_equal(why(world), "");
    done(world);
}

/* While its route or topic is paused, and once somebody has asked for the end. */
static void not_while_it_rests(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    arrive(world);
    world->relay.pauses = rkb_pauses_new(world->directory, &rkb_sys_posix);
    for (int is_topic = 0; is_topic < 2; is_topic++) {
        const struct rkb_relay_route *route = &world->relay.routes[1];
        uint32_t number = is_topic ? route->topic : route->number;
        const struct rkb_pause pause = {.is_topic = is_topic, .number = number, .name = "canary.legacy"};
        int before = published();
        assert_true(rkb_pauses_add(world->relay.pauses, &pause) > 0);
        now_us += 30 * SECOND;
        nothing_for_a_while(world);
        assert_int_equal(published(), before);
        assert_true(figures(world)->rests);
        assert_string_equal(why(world), "");
        assert_true(rkb_pauses_remove(world->relay.pauses, is_topic, number) > 0);
        next_after(world, 0);
        assert_string_equal(why(world), "");
        arrive(world);
    }
    world->relay.ending = true;
    int before = published();
    now_us += 30 * SECOND;
    nothing_for_a_while(world);
    assert_int_equal(published(), before);
    assert_string_equal(why(world), "");
    rkb_pauses_free(world->relay.pauses);
    world->relay.pauses = NULL;
    done(world);
}

/* A reload takes it away, and brings it back while all runs: then it has its time. */
static void off_and_on(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    char *topic = world->config.canary.topic;
    world->config.canary.topic = NULL;
    rkb_watch_canary_reload(source_of(world)->watch);
    confirm(world, false, CHANNEL, false);
    now_us += 30 * SECOND;
    nothing_for_a_while(world);
    assert_int_equal(published(), 1);
    assert_false(figures(world)->on);
    assert_int_equal(figures(world)->sent, -1);
    assert_string_equal(why(world), "");
    world->config.canary.topic = topic;
    rkb_watch_canary_reload(source_of(world)->watch);
    nothing_for_a_while(world);
    assert_int_equal(published(), 1);
    assert_string_equal(why(world), "");
    confirm(world, false, CHANNEL, true);
    UNTIL_HEARD(world, fake, published() == 2);
    assert_string_equal(why(world), "");
    now_us += 11 * SECOND;
    assert_non_null(strstr(why(world), "no canary has come back from Redis for 11 s"));
    arrive(world);
    lose(world, true, now_us);
    begin_stream(world);
    confirm_all(world);
    assert_non_null(strstr(why(world), "no canary has come the whole way yet"));
    done(world);
}

/* Another pace by a reload: what comes is judged by it, what came is not. */
static void another_pace(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    arrive(world);
    world->config.canary.interval = 60 * SECOND;
    world->config.canary.late_after = 120 * SECOND;
    rkb_watch_canary_reload(source_of(world)->watch);
    UNTIL_HEARD(world, fake, published() == 2);
    arrive(world);
    now_us += 59 * SECOND;
    nothing_for_a_while(world);
    assert_int_equal(published(), 2);
    assert_string_equal(why(world), "");
    world->config.canary.interval = 100000;
    world->config.canary.late_after = SECOND;
    rkb_watch_canary_reload(source_of(world)->watch);
    assert_string_equal(why(world), "");
    UNTIL_HEARD(world, fake, published() == 3);
    now_us += SECOND / 2;
    rkb_watch_canary_reload(source_of(world)->watch);
    now_us += SECOND;
    assert_non_null(strstr(why(world), "no canary has come back from Redis for 1 s"));
    done(world);
}

/* One answer at a time: what is not answered is not followed by another, over a lost connection it is. */
static void one_at_a_time(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    fake_redis_rules(fake)->publish_reply = "";
    UNTIL_HEARD(world, fake, published() == 1);
    now_us += SECOND;
    nothing_for_a_while(world);
    assert_int_equal(published(), 1);
    fake_redis_rules(fake)->publish_reply = NULL;
    fake_redis_cut(fake);
    UNTIL_HEARD(world, fake, published() == 2);
    next_after(world, SECOND);
    done(world);
}

/* Those that waited since a life before, or that another process sent, are messages of its route, and no canaries. */
static void others_do_not_count(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    copy_of(world, NULL, CHANNEL, "{\"token\":\"0000000000000000\",\"number\":1,\"instance\":\"here\"}");
    take(world);
    acknowledge(world);
    assert_int_equal(figures(world)->received, 0);
    assert_int_equal(figures(world)->acknowledged, 0);
    assert_non_null(strstr(why(world), "no canary has come the whole way yet"));
    assert_int_equal(balance(world)->routes[1].books.delivered, 1);
    done(world);
}

/* Nothing is taken any more, so none is a success. */
static void dropped(void **state)
{
    struct world *world = *state;
    start(world, quiet);
    UNTIL_HEARD(world, fake, published() == 1);
    source_of(world)->dropping = true;
    give_back(world);
    assert_int_equal(figures(world)->received, 1);
    source_of(world)->dropping = false;
    copy_of(world, NULL, "rkbridge:canary:here:other", "no subscription of ours");
    take(world);
    acknowledge(world);
    assert_int_equal(figures(world)->acknowledged, 0);
    next_after(world, SECOND);
    arrive(world);
    assert_int_equal(figures(world)->acknowledged, 1);
    done(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, close_watched)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_makes_ready),
        TEST(never_in_another_topic),
        TEST(one_each_interval),
        TEST(late),
        TEST(kafka_away),
        TEST(kafka_away_from_the_start),
        TEST(refused_and_allowed),
        TEST(refused_for_a_moment),
        TEST(heard_by_nobody),
        TEST(no_second_connection),
        TEST(only_while_subscribed),
        TEST(not_while_it_rests),
        TEST(off_and_on),
        TEST(another_pace),
        TEST(one_at_a_time),
        TEST(others_do_not_count),
        TEST(dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
