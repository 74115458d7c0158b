/* Tests of the view: the verdict is looked at each second, asked for or not, and its changes are in the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/recent.h"
#include "control/verdict.h"
#include "relay_world.h"

/* The last line of the log that tells of a verdict; false: there is none. */
static bool last_said(struct world *world, struct rkb_recent_line *said)
{
    struct rkb_recent_line line;
    bool found = false;
    struct rkb_recent *events = rkb_log_kept(world->log, RKB_LOG_EVENTS);
    for (uint64_t seen = 0; rkb_recent_next(events, seen, &line); seen = line.number) {
        if (strncmp(line.event, "verdict_", 8) == 0) {
            *said = line;
            found = true;
        }
    }
    return found;
}

static void tick(struct world *world, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        now_us += SECOND;
        rkb_view_tick(world->view);
    }
}

/* Nobody is connected in a world by hand: a WARN at once, BAD after ten seconds; then somebody asks it to end. */
static void test_changes_are_said(void **state)
{
    struct world *world = *state;
    struct rkb_recent_line said;
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    int64_t began_us = now_us + SECOND;
    tick(world, 10);
    assert_false(last_said(world, &said));
    assert_int_equal(rkb_view_snapshot(world->view)->verdict->severity, RKB_SEVERITY_WARN);
    tick(world, 1);
    assert_true(last_said(world, &said));
    assert_string_equal(said.event, "verdict_bad");
    assert_int_equal(said.level, RKB_LOG_ERROR);
    assert_string_equal(said.object, "verdict");
    assert_string_equal(said.text,
                        "BAD, it was OK: source legacy is not connected; next: doc/runbook.md#not_subscribed");
    const struct rkb_judgement *verdict = rkb_view_snapshot(world->view)->verdict;
    assert_int_equal(verdict->since_us, began_us);
    assert_true(verdict->seconds == 10);
    tick(world, 100);
    struct rkb_recent_line again;
    assert_true(last_said(world, &again));
    assert_int_equal(again.number, said.number);
    rkb_view_draining(world->view);
    tick(world, 11);
    assert_true(last_said(world, &said));
    assert_string_equal(said.event, "verdict_warn");
    assert_int_equal(said.level, RKB_LOG_WARN);
    assert_non_null(strstr(said.text, "WARN, it was BAD: "));
}

/* The config as it was taken last, until a reload is taken; why the last one was refused. */
static void test_what_became_of_a_reload(void **state)
{
    struct world *world = *state;
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    const struct rkb_snapshot *snapshot = rkb_view_snapshot(world->view);
    double began = snapshot->config.taken_seconds;
    assert_true(began > 0);
    assert_false(snapshot->config.refused);
    assert_null(snapshot->pauses_unread);
    assert_false(snapshot->lingering || snapshot->ending_seconds > 0);
    now_us += 7 * SECOND;
    rkb_view_reloaded(world->view, "r.yaml:3:5: routes.users.topc: unknown setting");
    snapshot = rkb_view_snapshot(world->view);
    assert_true(snapshot->config.refused);
    assert_string_equal(snapshot->config.why, "r.yaml:3:5: routes.users.topc: unknown setting");
    assert_true(snapshot->config.taken_seconds <= began);
    rkb_view_reloaded(world->view, NULL);
    snapshot = rkb_view_snapshot(world->view);
    assert_false(snapshot->config.refused);
    assert_null(snapshot->config.why);
    assert_true(snapshot->config.taken_seconds > began + 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes_are_said, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_what_became_of_a_reload, world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
