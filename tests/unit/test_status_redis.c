/*
 * Tests of what stats and status say of the second connection: the stall budget, another bridge, and what is unknown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/output.h"
#include "control/stats.h"
#include "control/status.h"

static char *written(void (*write)(const struct rkb_snapshot *, struct rkb_output *), enum rkb_output_kind kind,
                     const struct rkb_source_snapshot *source)
{
    static char text[16384];
    const struct rkb_snapshot snapshot = {
        .version = "1", .instance = "i", .ready = true, .source_count = 1, .sources = source,
        .journal = {.seconds_to_full = -1}, .kafka = {.connected = true}};
    struct rkb_buffer out = {0};
    struct rkb_output output;
    rkb_output_begin(&output, kind, &out);
    write(&snapshot, &output);
    rkb_output_end(&output);
    assert_false(out.failed);
    assert_true(out.size < sizeof text);
    memcpy(text, out.data, out.size);
    text[out.size] = '\0';
    rkb_buffer_free(&out);
    return text;
}

static struct rkb_source_snapshot sample(void)
{
    return (struct rkb_source_snapshot){.name = "legacy", .url = "redis://h", .error = "", .connected = true,
                                        .rival = "", .stall = {45056, 33554432, 8388608, 60, 4300000, 6.2}};
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no '%s' in:\n%s", part, text);
}

static void figures(void **state)
{
    (void)state;
    struct rkb_source_snapshot source = sample();
    has(written(rkb_stats_write, RKB_OUTPUT_JSON, &source),
        "\"output_buffer_bytes\":45056,\"output_buffer_limit_bytes\":33554432,"
        "\"output_buffer_soft_limit_bytes\":8388608,\"output_buffer_soft_limit_seconds\":60,"
        "\"inflow_bytes_per_second\":4300000.0,\"stall_budget_seconds\":6.2,\"another_bridge\":false,\"held\":false");
    source.stall = (struct rkb_stall_snapshot){-1, -1, -1, -1, -1, -1};
    source.another_bridge = -1;
    has(written(rkb_stats_write, RKB_OUTPUT_JSON, &source),
        "\"output_buffer_bytes\":null,\"output_buffer_limit_bytes\":null,\"output_buffer_soft_limit_bytes\":null,"
        "\"output_buffer_soft_limit_seconds\":null,\"inflow_bytes_per_second\":null,\"stall_budget_seconds\":null,"
        "\"another_bridge\":null,\"held\":false");
}

static void the_budget_in_words(void **state)
{
    (void)state;
    static const struct {
        struct rkb_stall_snapshot stall;
        const char *budget, *limits;
    } rows[] = {
        {{45056, 33554432, 8388608, 60, 4194304, 6.2}, "  6.2 s at 4 MiB/s\n", "  32 MiB, or 8 MiB for 1 min  "},
        {{0, 33554432, 0, 0, 0, -1}, "  nothing comes\n", "  32 MiB  "},
        {{0, 0, 8388608, 10, 4194304, 12}, "  12 s at 4 MiB/s\n", "  8 MiB for 10 s  "},
        {{0, 0, 0, 0, 4194304, -1}, "  no limit\n", "  never  "},
        {{-1, -1, -1, -1, 4194304, -1}, "  unknown\n", "  unknown  "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_source_snapshot source = sample();
        source.stall = rows[i].stall;
        has(written(rkb_status_write, RKB_OUTPUT_TEXT, &source), rows[i].budget);
        has(written(rkb_status_write, RKB_OUTPUT_TEXT, &source), rows[i].limits);
    }
}

/* In figures and in words; a replica that has lost its master is a warning. */
static void the_role(void **state)
{
    (void)state;
    struct rkb_source_snapshot source = sample();
    has(written(rkb_stats_write, RKB_OUTPUT_JSON, &source), "\"role\":null,\"master\":null,\"master_link\":null");
    has(written(rkb_status_write, RKB_OUTPUT_TEXT, &source), "unknown");
    source.role = "master";
    has(written(rkb_stats_write, RKB_OUTPUT_JSON, &source), "\"role\":\"master\",\"master\":null,\"master_link\":null");
    source.role = "replica";
    source.master = "m:1";
    has(written(rkb_stats_write, RKB_OUTPUT_JSON, &source),
        "\"role\":\"replica\",\"master\":\"m:1\",\"master_link\":true");
    has(written(rkb_status_write, RKB_OUTPUT_TEXT, &source), "verdict: OK ");
    source.unlinked = true;
    has(written(rkb_stats_write, RKB_OUTPUT_JSON, &source), "\"master_link\":false");
    const char *text = written(rkb_status_write, RKB_OUTPUT_TEXT, &source);
    has(text, "verdict: WARN source legacy is a replica whose link to its master m:1 is down: what is published there "
        "is missed; next: doc/runbook.md#replica_link_down\n");
    has(text, "replica of m:1, link down");
}

static void another_bridge(void **state)
{
    (void)state;
    struct rkb_source_snapshot source = sample();
    has(written(rkb_status_write, RKB_OUTPUT_TEXT, &source), "verdict: OK ");
    source.another_bridge = 1;
    source.rival = "stop it";
    has(written(rkb_status_write, RKB_OUTPUT_TEXT, &source), "verdict: WARN source legacy is shipped twice: stop it; ");
    source.held = true;
    source.connected = false;
    has(written(rkb_status_write, RKB_OUTPUT_TEXT, &source),
        "verdict: WARN source legacy is not subscribed: stop it; ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures),
        cmocka_unit_test(the_budget_in_words),
        cmocka_unit_test(the_role),
        cmocka_unit_test(another_bridge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
