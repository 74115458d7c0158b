/* control_fixture -- a control socket in a directory of its own, with the sample figures behind it. For tests. */
#ifndef RKB_TEST_CONTROL_FIXTURE_H
#define RKB_TEST_CONTROL_FIXTURE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/socket.h"
#include "sample_snapshot.h"
#include "times_in.h"

struct fixture {
    char directory[64], path[96];
    struct event_base *base;
    struct rkb_control *control;
    struct rkb_snapshot snapshot;
    size_t asked;
    bool free_when_asked;
};

static const struct rkb_snapshot *give_snapshot(void *context)
{
    struct fixture *fixture = context;
    fixture->asked++;
    if (fixture->free_when_asked)
        rkb_control_free(fixture->control);
    return &fixture->snapshot;
}

static struct rkb_control_options options_of(struct fixture *fixture)
{
    return (struct rkb_control_options){.share_us = INT64_MAX, .path = fixture->path, .mode = 0660,
                                        .snapshot = give_snapshot, .context = fixture, .rights = {.own = geteuid()}};
}

static struct rkb_control *new_control(struct fixture *fixture, const char *path, mode_t mode, struct rkb_error *error)
{
    struct rkb_control_options options = options_of(fixture);
    options.path = path;
    options.mode = mode;
    return rkb_control_new(fixture->base, &options, error);
}

/* The control socket anew, with these options; 0, or -1 as a test's setup has it. */
static inline int reopen(struct fixture *fixture, const struct rkb_control_options *options)
{
    struct rkb_error error;
    rkb_control_free(fixture->control);
    fixture->control = rkb_control_new(fixture->base, options, &error);
    return fixture->control == NULL ? -1 : 0;
}

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const char *temporary = getenv("TMPDIR");
    bool is_short = temporary != NULL && strlen(temporary) < 32;
    snprintf(fixture->directory, sizeof fixture->directory, "%s/rkb-control-XXXXXX", is_short ? temporary : "/tmp");
    if (mkdtemp(fixture->directory) == NULL)
        return -1;
    snprintf(fixture->path, sizeof fixture->path, "%s/control.sock", fixture->directory);
    fixture->base = event_base_new();
    fixture->snapshot = sample_snapshot();
    struct rkb_error error = {0};
    fixture->control = new_control(fixture, fixture->path, 0660, &error);
    *state = fixture;
    return fixture->control == NULL ? -1 : 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;
    rkb_control_free(fixture->control);
    event_base_free(fixture->base);
    unlink(fixture->path);
    int left = rmdir(fixture->directory);
    free(fixture);
    return left;
}

/* From now on the answer to `gaps` has so many lines. */
static inline void show_gaps(struct fixture *fixture, size_t lines)
{
    static struct rkb_gap_snapshot gaps[60000];
    for (size_t i = 0; i < lines; i++)
        gaps[i] = sample_gaps[0];
    fixture->snapshot.gaps = gaps;
    fixture->snapshot.gap_count = lines;
}

static void turn(const struct fixture *fixture)
{
    event_base_loop(fixture->base, EVLOOP_NONBLOCK);
}

#endif
