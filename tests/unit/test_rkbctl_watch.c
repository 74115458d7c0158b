/* Tests of `rkbctl watch` where it is no terminal: lines, a bridge that goes away and comes back, a clean end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "control_fixture.h"
#include "tool/tool.h"

struct watcher {
    const char *path;
    int code;
    char *out_text, *err_text;
    size_t out_size, err_size;
    FILE *out, *err;
    _Atomic bool done;
    pthread_t thread;
};

static void *watch(void *context)
{
    struct watcher *watcher = context;
    char word[] = "watch", *words[] = {word};
    watcher->code = rkb_tool_watch(watcher->path, 1, words, watcher->out, watcher->err);
    watcher->done = true;
    return NULL;
}

static void begin(struct watcher *watcher, const char *path)
{
    *watcher = (struct watcher){.path = path};
    watcher->out = open_memstream(&watcher->out_text, &watcher->out_size);
    watcher->err = open_memstream(&watcher->err_text, &watcher->err_size);
    assert_int_equal(pthread_create(&watcher->thread, NULL, watch, watcher), 0);
}

/* Turns the loop until the stream has the text so many times; 20 s at most. */
static void until(const struct fixture *fixture, struct watcher *watcher, bool errors, const char *text, int times)
{
    for (int i = 0; i < 20000; i++) {
        FILE *file = errors ? watcher->err : watcher->out;
        turn(fixture);
        flockfile(file);
        fflush(file);
        const char *so_far = errors ? watcher->err_text : watcher->out_text;
        bool found = so_far != NULL && times_in(so_far, text) == times;
        funlockfile(file);
        if (found)
            return;
        usleep(1000);
    }
    fail_msg("no '%s' %d times in '%s' and '%s'", text, times, watcher->out_text, watcher->err_text);
}

/* Until it has asked once more. */
static void until_asked(const struct fixture *fixture)
{
    size_t before = fixture->asked;
    for (int i = 0; i < 20000 && fixture->asked == before; i++) {
        turn(fixture);
        usleep(1000);
    }
    assert_true(fixture->asked > before);
}

/* As ctrl-C does. */
static void interrupt(const struct fixture *fixture, struct watcher *watcher)
{
    kill(getpid(), SIGINT);
    for (int i = 0; i < 20000 && !watcher->done; i++) {
        turn(fixture);
        usleep(1000);
    }
    assert_true(watcher->done);
    pthread_join(watcher->thread, NULL);
    fclose(watcher->out);
    fclose(watcher->err);
    free(watcher->out_text);
    free(watcher->err_text);
}

static void test_lines(void **state)
{
    struct fixture *fixture = *state;
    struct watcher watcher;
    struct rkb_error error;
    begin(&watcher, fixture->path);
    until(fixture, &watcher, false, "verdict: OK all is well\n", 1);
    until_asked(fixture);
    fixture->snapshot.kafka.connected = false;
    until(fixture, &watcher, false, "verdict: WARN Kafka is not connected", 1);
    rkb_control_free(fixture->control);
    fixture->control = NULL;
    until(fixture, &watcher, true, "does not answer any more: it closed the connection; trying again\n", 1);
    fixture->snapshot.journal.full = true;
    fixture->control = new_control(fixture, fixture->path, 0660, &error);
    assert_non_null(fixture->control);
    until(fixture, &watcher, true, "answers again\n", 1);
    until(fixture, &watcher, false, "verdict: BAD the journal is full", 1);
    fixture->snapshot.journal.full = false;
    until(fixture, &watcher, false, "verdict: WARN Kafka is not connected", 2);
    until(fixture, &watcher, false, "verdict: OK all is well\n", 1);       /* a verdict that stays is one line */
    until(fixture, &watcher, true, "answers again\n", 1);
    interrupt(fixture, &watcher);
    assert_int_equal(watcher.code, 0);
}

static void test_nobody_there(void **state)
{
    struct fixture *fixture = *state;
    char path[128], word[] = "watch", wrong[] = "xml", *words[] = {word, wrong};
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    snprintf(path, sizeof path, "%s.not", fixture->path);
    assert_int_equal(rkb_tool_watch(path, 1, words, file, file), RKB_EXIT_UNREACHABLE);
    assert_int_equal(rkb_tool_watch(path, 2, words, file, file), RKB_EXIT_USAGE);
    fclose(file);
    assert_non_null(strstr(text, "cannot reach rkbridge at"));
    assert_non_null(strstr(text, "usage: rkbctl watch [--json]\n"));
    free(text);
}

int main(void)
{
    sigset_t interrupted;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&interrupted);
    sigaddset(&interrupted, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupted, NULL);     /* it is for the thread that watches */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, start, stop),
        cmocka_unit_test_setup_teardown(test_nobody_there, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
