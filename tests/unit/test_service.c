/* What a service manager hears: when READY comes, that what was not taken is told later, the watchdog, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/service.h"

#define SECOND 1000000

struct world {
    char directory[64], path[96];
    int manager;                        /* our end, as systemd's */
    struct event_base *base;
    struct rkb_snapshot snapshot;
    struct rkb_service *service;
};

static int64_t clock_us;

static int64_t turned_by_hand(void)
{
    return clock_us;
}

static const struct rkb_snapshot *give(void *context)
{
    struct world *world = context;
    return &world->snapshot;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    strcpy(world->directory, "/tmp/rkb-service-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    snprintf(world->path, sizeof world->path, "%s/notify", world->directory);
    world->manager = listen_at(world->path);
    world->base = event_base_new();
    world->snapshot.kafka.connected = true;
    world->snapshot.journal.seconds_to_full = -1;
    clock_us = 77 * SECOND;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    rkb_service_free(world->service);
    event_base_free(world->base);
    close(world->manager);
    unlink(world->path);
    rmdir(world->directory);
    free(world);
    return 0;
}

static void begin(struct world *world, const char *socket, int64_t watchdog_us)
{
    static struct rkb_sys sys;
    sys = rkb_sys_posix;
    sys.monotonic_us = turned_by_hand;
    struct rkb_service_options options = {.socket = socket, .watchdog_us = watchdog_us, .sys = &sys};
    world->service = rkb_service_new(world->base, &options);
    rkb_service_watch(world->service, give, world);
}

/* The next datagram; "" when there is none. */
static const char *heard(const struct world *world)
{
    static char text[600];
    ssize_t size = recv(world->manager, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    return text;
}

static void deaf(const struct world *world)
{
    while (heard(world)[0] != '\0')
        ;
}

/* Fills what the manager has not read, until no more is taken. */
static void stop_reading(struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->path);
    while (sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address) == 1)
        ;
    assert_int_equal(errno, EAGAIN);
    close(fd);
}

static void tick_after(struct world *world, int64_t us)
{
    clock_us += us;
    rkb_service_tick(world->service);
}

static void is_ready_when_all_is_subscribed(void **state)
{
    struct world *world = *state;
    begin(world, world->path, 0);
    assert_string_equal(heard(world), "STATUS=starting: reading the journal");
    tick_after(world, SECOND);
    assert_non_null(strstr(heard(world), "STATUS=WARN: "));
    tick_after(world, SECOND);
    assert_string_equal(heard(world), "");      /* nothing new */
    world->snapshot.ready = true;
    tick_after(world, SECOND);
    assert_non_null(strstr(heard(world), "STATUS=OK: "));
    assert_string_equal(heard(world), "READY=1");
    tick_after(world, 60 * SECOND);
    assert_string_equal(heard(world), "");
}

static void is_ready_all_the_same_after_ten_seconds(void **state)
{
    struct world *world = *state;
    begin(world, world->path, 0);
    deaf(world);
    tick_after(world, 9 * SECOND);
    assert_non_null(strstr(heard(world), "STATUS=WARN"));
    assert_string_equal(heard(world), "");
    tick_after(world, SECOND);
    assert_string_equal(heard(world), "READY=1");
}

static void says_how_it_is_every_five_seconds_where_that_changes(void **state)
{
    struct world *world = *state;
    world->snapshot.ready = true;
    begin(world, world->path, 0);
    tick_after(world, SECOND);
    deaf(world);
    world->snapshot.journal.disk_error = "odd\nbytes \xc3\xa9";
    tick_after(world, 4 * SECOND);
    assert_string_equal(heard(world), "");
    tick_after(world, SECOND);
    const char *status = heard(world);
    assert_non_null(strstr(status, "STATUS=BAD: "));
    assert_non_null(strstr(status, "odd?bytes ??"));
    assert_null(strchr(status, '\n'));
}

static void brackets_a_reload(void **state)
{
    struct world *world = *state;
    begin(world, world->path, 0);
    deaf(world);
    rkb_service_reloading(world->service);      /* while it starts: the start goes on */
    rkb_service_reloaded(world->service);
    assert_string_equal(heard(world), "");
    world->snapshot.ready = true;
    tick_after(world, SECOND);
    deaf(world);
    rkb_service_reloading(world->service);
    assert_string_equal(heard(world), "RELOADING=1\nMONOTONIC_USEC=78000000");
    rkb_service_reloaded(world->service);
    assert_string_equal(heard(world), "READY=1");
}

static void asks_for_the_time_that_its_end_takes(void **state)
{
    struct world *world = *state;
    world->snapshot.ready = true;
    begin(world, world->path, 0);
    tick_after(world, SECOND);
    deaf(world);
    rkb_service_stopping(world->service, 30 * SECOND);
    assert_string_equal(heard(world), "STOPPING=1\nEXTEND_TIMEOUT_USEC=45000000");
    rkb_service_stopping(world->service, 0);
    rkb_service_reloading(world->service);
    rkb_service_reloaded(world->service);
    assert_string_equal(heard(world), "");
}

static void tells_later_what_is_not_taken_now(void **state)
{
    struct world *world = *state;
    world->snapshot.ready = true;
    begin(world, world->path, 0);
    deaf(world);
    stop_reading(world);
    tick_after(world, SECOND);                  /* READY is not taken, and nobody waits */
    deaf(world);
    tick_after(world, SECOND);
    assert_string_equal(heard(world), "READY=1");
    stop_reading(world);
    rkb_service_reloading(world->service);
    rkb_service_stopping(world->service, SECOND);
    rkb_service_stopping(world->service, 0);    /* said again as the loop ends: the first word counts */
    deaf(world);
    tick_after(world, SECOND);                  /* only what is true now */
    assert_string_equal(heard(world), "STOPPING=1\nEXTEND_TIMEOUT_USEC=16000000");
}

static void finds_a_manager_that_was_made_anew(void **state)
{
    struct world *world = *state;
    world->snapshot.ready = true;
    begin(world, world->path, 0);
    close(world->manager);
    unlink(world->path);
    tick_after(world, SECOND);
    world->manager = listen_at(world->path);
    tick_after(world, SECOND);
    tick_after(world, SECOND);
    assert_string_equal(heard(world), "READY=1");
}

static void pings_from_the_loop_only(void **state)
{
    struct world *world = *state;
    begin(world, world->path, 4000);
    deaf(world);
    usleep(10000);
    assert_string_equal(heard(world), "");      /* the loop does not turn */
    for (int pings = 0; pings < 3;) {
        event_base_loop(world->base, EVLOOP_ONCE);
        for (const char *text = heard(world); text[0] != '\0'; text = heard(world), pings++)
            assert_string_equal(text, "WATCHDOG=1");
    }
}

static int note_when(const struct event_base *base, const struct event *event, void *context)
{
    (void)base;
    return event_pending(event, EV_TIMEOUT, context) ? 0 : -1;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* At half the manager's period, so that one late ping is none too late. */
static void pings_at_half_the_period(void **state)
{
    struct world *world = *state;
    struct timeval before, after, when;
    evutil_gettimeofday(&before, NULL);
    begin(world, world->path, 30 * SECOND);
    evutil_gettimeofday(&after, NULL);
    assert_int_equal(event_base_foreach_event(world->base, note_when, &when), 0);
    assert_true(seconds_of(when) - seconds_of(before) > 14.5);
    assert_true(seconds_of(when) - seconds_of(after) < 15.5);
}

static void pings_nobody_who_does_not_ask(void **state)
{
    struct world *world = *state;
    begin(world, world->path, 0);
    deaf(world);
    assert_int_equal(event_base_loop(world->base, EVLOOP_NONBLOCK), 1);     /* 1: no event is pending */
    assert_string_equal(heard(world), "");
}

static void takes_an_abstract_address(void **state)
{
    struct world *world = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[100];
    int size = snprintf(name, sizeof name, "@%s", world->directory + 5);
    memcpy(address.sun_path + 1, name + 1, (size_t)size - 1);
    close(world->manager);
    world->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(world->manager, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size)), 0);
    begin(world, name, 0);
    assert_string_equal(heard(world), "STATUS=starting: reading the journal");
}

static void runs_without_a_manager(void **state)
{
    struct world *world = *state;
    static const char *const sockets[] = {NULL, "", "relative", "/nowhere/notify"};
    for (size_t i = 0; i < sizeof sockets / sizeof sockets[0]; i++) {
        begin(world, sockets[i], 1000);
        assert_null(world->service);
    }
    rkb_service_tick(NULL);
    rkb_service_reloading(NULL);
    rkb_service_reloaded(NULL);
    rkb_service_stopping(NULL, 1);
    rkb_service_free(NULL);
}

static void believes_a_period_that_is_meant_for_it(void **state)
{
    (void)state;
    struct rkb_service_options options = {0};
    char pid[32];
    setenv("NOTIFY_SOCKET", "/x", 1);
    setenv("WATCHDOG_USEC", "30000000", 1);
    unsetenv("WATCHDOG_PID");
    rkb_service_environment(&options);
    assert_string_equal(options.socket, "/x");
    assert_int_equal(options.watchdog_us, 30 * SECOND);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    rkb_service_environment(&options);
    assert_int_equal(options.watchdog_us, 30 * SECOND);
    setenv("WATCHDOG_PID", "1", 1);
    rkb_service_environment(&options);
    assert_int_equal(options.watchdog_us, 0);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    rkb_service_environment(&options);
    assert_null(options.socket);
    assert_int_equal(options.watchdog_us, 0);
}

#define WITH_A_MANAGER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_A_MANAGER(is_ready_when_all_is_subscribed),
        WITH_A_MANAGER(is_ready_all_the_same_after_ten_seconds),
        WITH_A_MANAGER(says_how_it_is_every_five_seconds_where_that_changes),
        WITH_A_MANAGER(brackets_a_reload),
        WITH_A_MANAGER(asks_for_the_time_that_its_end_takes),
        WITH_A_MANAGER(tells_later_what_is_not_taken_now),
        WITH_A_MANAGER(finds_a_manager_that_was_made_anew),
        WITH_A_MANAGER(pings_from_the_loop_only),
        WITH_A_MANAGER(pings_at_half_the_period),
        WITH_A_MANAGER(pings_nobody_who_does_not_ask),
        WITH_A_MANAGER(takes_an_abstract_address),
        WITH_A_MANAGER(runs_without_a_manager),
        cmocka_unit_test(believes_a_period_that_is_meant_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
