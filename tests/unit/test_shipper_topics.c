/*
 * Topics that come at run time: their names are learnt from the ring, their lanes are there when they are met, they are
 * asked for first, and where they go on is kept like that of the others. With librdkafka's mock cluster.
 */
#include "shipper_world.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NEW 4                       /* the number of the first topic that comes later */

static char names[20][40];

static rd_kafka_mock_cluster_t *cluster(struct world *world)
{
    return rkb_mock_cluster(world->mock);
}

/* A topic in Kafka, by another name in each test. */
static const char *make_topic(struct world *world, uint32_t number)
{
    struct rkb_error error;
    snprintf(names[number], sizeof names[number], "%s.%u", world->topics[0], number);
    assert_true(rkb_mock_topic(world->mock, names[number], 1, &error));
    return names[number];
}

/* Its dictionary record, into the ring: the world's three are named already. */
static void name_topic(struct world *world, uint32_t number)
{
    struct rkb_dictionary *dictionary = rkb_dictionary_new();
    bool added;
    for (uint32_t i = 1; i <= number; i++) {
        const char *name = i < NEW ? world->topics[i - 1] : names[i];
        assert_int_equal(rkb_dictionary_add(dictionary, RKB_NAME_TOPIC, rkb_slice_text(name), &added), i);
    }
    size_t size = rkb_dictionary_record_size(dictionary, RKB_NAME_TOPIC, number);
    uint8_t *at = rkb_ring_reserve(world->ring, size, 0);
    assert_non_null(at);
    rkb_dictionary_record(dictionary, RKB_NAME_TOPIC, number, at, rkb_ring_salt(world->ring));
    rkb_ring_commit(world->ring, size);
    rkb_dictionary_free(dictionary);
}

static void put_to(struct world *world, uint32_t topic, int count)
{
    for (int i = 0; i < count; i++)
        world_put_record(world, (struct rkb_record){.kind = RKB_MESSAGE, .route = 1, .topic = topic, .epoch = 1,
                                                    .value = rkb_slice_text("value")});
    if (world->shipper != NULL)
        rkb_shipper_wake(world->shipper);
}

static void test_lanes_grow(void **state)
{
    struct world *world = *state;
    world->more_topics = 16;
    world_begin(world, 30);
    for (uint32_t number = NEW; number < NEW + 16; number++) {
        make_topic(world, number);
        name_topic(world, number);
        put_to(world, number, 10);
    }
    world_wait(world, all_delivered, 190, "the new topics");
    world_wait(world, all_settled, world->next, "all to be settled");
    assert_int_equal(rkb_shipped_topic_us(rkb_shipper_figures(world->shipper), NEW + 15), 0);
    assert_int_equal(dead_of(world, 1), 0);
}

/* A number that no name stands for is damage, never a guess. */
static void test_a_number_without_a_name(void **state)
{
    struct world *world = *state;
    struct rkb_error error;
    world->more_topics = 16;
    world_begin(world, 10);
    put_to(world, NEW, 1);
    world_wait(world, has_failed, 0, "the failure");
    assert_true(rkb_shipper_failed(world->shipper, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_non_null(strstr(error.text, "topic 4, which the journal does not name"));
    assert_false(rkb_shipper_stop(world->shipper, &error));
    world_drop(world);
}

/* One that came later goes on while another stands still, and that is noted for a start after a kill. */
static void test_its_low_is_kept(void **state)
{
    struct world *world = *state;
    world->more_topics = 16;
    make_topic(world, NEW);
    world_begin(world, 30);
    assert_int_equal(rd_kafka_mock_partition_set_leader(cluster(world), world->topics[0], 0, -1),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    put_to(world, 1, 1);
    name_topic(world, NEW);
    put_to(world, NEW, 100);
    world_wait(world, all_delivered, 130, "the new topic");
    assert_int_equal(delivered_of(world, 1), 120);
    world_by_hand(world);
    world_turn(world);
    assert_int_equal(rkb_ring_noted_topic_low(world->ring, NEW), world->next);
    assert_int_equal(rkb_ring_noted_low(world->ring), 31);
    world_drop(world);
    world_open(world);
    assert_string_equal(rkb_dictionary_name(rkb_journal_dictionary(world->journal), RKB_NAME_TOPIC, NEW), names[NEW]);
    assert_int_equal(rkb_ring_noted_topic_low(world->ring, NEW), world->next);
    assert_int_equal(rd_kafka_mock_partition_set_leader(cluster(world), world->topics[0], 0, 1),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* ---- asked for first ---- */

static struct rkb_config config;
static struct rkb_config_source source = {.max_message_size = 1000};
static struct rkb_config_route route = {.name = (char *)(uintptr_t)"first", .topic = (char *)(uintptr_t)"{{1}}",
                                        .topic_varies = true, .key = (char *)(uintptr_t)"k"};

static void on_ready(void *context)
{
    struct world *world = context;
    rkb_shipper_wake(world->shipper);
}

/* Until it is known to be there it waits, and nothing else does; then it goes without being asked for again. */
static void test_it_is_asked_for_first(void **state)
{
    struct world *world = *state;
    struct rkb_error error;
    struct rkb_log *log = rkb_log_new(2, RKB_LOG_ERROR, RKB_LOG_TEXT, NULL);
    config = (struct rkb_config){.sources = &source, .source_count = 1, .routes = &route, .route_count = 1};
    config.kafka.create_topics = 1;
    world->more_topics = 16;
    world->routes[1].names = &route;
    world->known = rkb_topics_new(&(struct rkb_topics_options){.config = &config, .properties = &world->given,
                                                                .log = log, .named = 20}, &error);
    assert_non_null(world->known);
    world_open(world);
    world_start(world);
    make_topic(world, NEW);
    name_topic(world, NEW);
    put_to(world, NEW, 10);
    world_put_mark(world);
    for (int i = 0; i < 10; i++)
        world_put_record(world, (struct rkb_record){.kind = RKB_MESSAGE, .route = 2, .topic = 2, .epoch = 1,
                                                    .value = rkb_slice_text("value")});
    rkb_shipper_wake(world->shipper);
    world_wait(world, all_delivered, 10, "the other topic");
    assert_int_equal(delivered_of(world, 1), 0);
    assert_false(rkb_topics_ready(world->known, names[NEW]));
    assert_true(rkb_topics_start(world->known, on_ready, world, &error));
    world_wait(world, all_delivered, 20, "the topic that was asked for");
    rkb_topics_quit(world->known);
    world_stop(world);
    rkb_topics_free(world->known);
    rkb_log_free(log, 1000);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_world(test_lanes_grow),
        in_world(test_a_number_without_a_name),
        in_world(test_its_low_is_kept),
        in_world(test_it_is_asked_for_first),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
