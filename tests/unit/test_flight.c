/* What the producer holds: a fixed number of places, given in order, free again only when nothing older is open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/flight.h"

#define SIZE 8

static struct rkb_flight *take_off(struct rkb_flights *flights, uint64_t sequence)
{
    struct rkb_flight *flight = rkb_flights_open(flights);
    if (flight == NULL)
        return NULL;
    flight->sequence = sequence;
    rkb_flights_keep(flights, flight);
    return flight;
}

static uint64_t oldest(const struct rkb_flights *flights)
{
    const struct rkb_flight *flight = rkb_flights_oldest(flights);
    return flight != NULL ? flight->sequence : 0;
}

static void test_landing_in_any_order(void **state)
{
    struct rkb_flights flights;
    struct rkb_flight *all[4];
    (void)state;
    assert_true(rkb_flights_init(&flights, SIZE));
    assert_int_equal(oldest(&flights), 0);
    for (uint64_t i = 0; i < 4; i++)
        all[i] = take_off(&flights, i + 1);
    assert_int_equal(flights.count, 4);
    rkb_flights_land(&flights, all[1]);
    assert_int_equal(oldest(&flights), 1);
    assert_int_equal(flights.count, 3);
    rkb_flights_land(&flights, all[0]);
    assert_int_equal(oldest(&flights), 3);
    rkb_flights_land(&flights, all[3]);
    assert_int_equal(oldest(&flights), 3);
    rkb_flights_land(&flights, all[2]);
    assert_int_equal(oldest(&flights), 0);
    assert_int_equal(flights.count, 0);
    rkb_flights_free(&flights);
}

/* A place that was asked for but not kept is given again. */
static void test_not_kept(void **state)
{
    struct rkb_flights flights;
    (void)state;
    assert_true(rkb_flights_init(&flights, SIZE));
    struct rkb_flight *place = rkb_flights_open(&flights);
    assert_ptr_equal(rkb_flights_open(&flights), place);
    assert_int_equal(flights.count, 0);
    assert_null(rkb_flights_oldest(&flights));
    rkb_flights_free(&flights);
}

/* Full while the oldest is open, however many behind it have landed. */
static void test_full(void **state)
{
    struct rkb_flights flights;
    struct rkb_flight *all[SIZE];
    (void)state;
    assert_true(rkb_flights_init(&flights, SIZE));
    for (uint64_t i = 0; i < SIZE; i++)
        assert_non_null(all[i] = take_off(&flights, i + 1));
    assert_null(rkb_flights_open(&flights));
    for (size_t i = SIZE - 1; i > 0; i--) {
        rkb_flights_land(&flights, all[i]);
        assert_null(rkb_flights_open(&flights));
    }
    rkb_flights_land(&flights, all[0]);
    for (uint64_t i = 0; i < SIZE; i++)
        assert_non_null(take_off(&flights, 100 + i));
    assert_null(rkb_flights_open(&flights));
    assert_int_equal(oldest(&flights), 100);
    rkb_flights_free(&flights);
}

/* Round and round: an open flight's place is never given to another. */
static void test_many_rounds(void **state)
{
    struct rkb_flights flights;
    struct rkb_flight *open[3] = {0};
    (void)state;
    assert_true(rkb_flights_init(&flights, SIZE));
    for (uint64_t i = 1; i < 10000; i++) {
        struct rkb_flight **slot = &open[(i * 7 + i / 3) % 3];
        if (*slot != NULL)
            rkb_flights_land(&flights, *slot);
        *slot = NULL;
        if (rkb_flights_open(&flights) == NULL) {       /* an old one is still open: let all land */
            for (size_t j = 0; j < 3; j++) {
                if (open[j] != NULL)
                    rkb_flights_land(&flights, open[j]);
                open[j] = NULL;
            }
        }
        *slot = take_off(&flights, i);
        assert_non_null(*slot);
        uint64_t least = UINT64_MAX;
        uint32_t count = 0;
        for (size_t j = 0; j < 3; j++) {
            if (open[j] == NULL)
                continue;
            assert_false(open[j]->landed);
            count++;
            least = open[j]->sequence < least ? open[j]->sequence : least;
        }
        assert_int_equal(oldest(&flights), least);
        assert_int_equal(flights.count, count);
    }
    rkb_flights_free(&flights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_landing_in_any_order),
        cmocka_unit_test(test_not_kept),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_many_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
