/* Tests of the watcher: what it asks, what becomes of each answer, and that it comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fake_redis.h"
#include "redis/watcher.h"

struct test {
    struct event_base *base;
    struct fake_redis *fake;
    struct rkb_redis_url url;
    struct rkb_watcher *watcher;
    struct rkb_buffer log;
    const char *free_at;
    int64_t deadline_us, backoff_us;
};

static const char *text_of(struct test *test)
{
    uint8_t *end = rkb_buffer_reserve(&test->log, 1);
    assert_non_null(end);
    *end = '\0';
    return (const char *)test->log.data;
}

static void note(struct test *test, const char *event)
{
    if (test->free_at == NULL || strcmp(test->free_at, event) != 0 || test->watcher == NULL)
        return;
    rkb_watcher_free(test->watcher);
    test->watcher = NULL;
}

static void on_ready(void *context, uint64_t id)
{
    struct test *test = context;
    rkb_buffer_format(&test->log, "ready %llu\n", (unsigned long long)id);
    note(test, "ready");
}

static void on_client(void *context, enum rkb_question question, const struct rkb_client *client)
{
    struct test *test = context;
    rkb_buffer_format(&test->log, "%s: client %llu holds %lld\n", rkb_question_text(question),
                      (unsigned long long)client->id, (long long)client->output_buffer);
    note(test, "client");
}

static void on_line(void *context, enum rkb_question question, struct rkb_slice line)
{
    struct test *test = context;
    rkb_buffer_format(&test->log, "%s: %.*s\n", rkb_question_text(question), (int)line.size, (const char *)line.data);
    note(test, "line");
}

static void on_number(void *context, enum rkb_question question, long long integer)
{
    struct test *test = context;
    rkb_buffer_format(&test->log, "%s: number %lld\n", rkb_question_text(question), integer);
    note(test, "number");
}

static void on_answered(void *context, enum rkb_question question, const struct rkb_error *refused)
{
    struct test *test = context;
    rkb_buffer_format(&test->log, "%s answered%s%s\n", rkb_question_text(question), refused != NULL ? ": " : "",
                      refused != NULL ? refused->text : "");
    note(test, "answered");
}

static void on_lost(void *context, const struct rkb_error *error)
{
    struct test *test = context;
    rkb_buffer_format(&test->log, "lost %d: %s\n", (int)error->code, error->text);
    note(test, "lost");
}

static int start(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    test->base = event_base_new();
    test->fake = fake_redis_new(test->base, NULL, false);
    test->url = (struct rkb_redis_url){.host = "127.0.0.1", .port = fake_redis_port(test->fake)};
    test->deadline_us = 20000000;
    test->backoff_us = 1000;
    *state = test;
    return 0;
}

static int end(void **state)
{
    struct test *test = *state;
    rkb_watcher_free(test->watcher);
    fake_redis_free(test->fake);
    event_base_loop(test->base, EVLOOP_NONBLOCK);
    event_base_free(test->base);
    rkb_buffer_free(&test->log);
    free(test);
    return 0;
}

static void begin(struct test *test)
{
    static const struct rkb_watcher_events events = {.ready = on_ready, .client = on_client, .line = on_line,
                                                     .number = on_number, .answered = on_answered, .lost = on_lost};
    const struct rkb_watcher_options options = {
        .url = &test->url, .deadline_us = test->deadline_us, .backoff_min_us = test->backoff_us,
        .backoff_max_us = 4 * test->backoff_us,
        .sys = &rkb_sys_posix};
    test->watcher = rkb_watcher_new(test->base, &options, &events, test);
    assert_non_null(test->watcher);
    rkb_watcher_rename(test->watcher, "rkbridge:test:01234567:5000:0");
    rkb_watcher_start(test->watcher);
}

static void too_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

/* Turns the loop until the log has the text. */
static void until(struct test *test, const char *text)
{
    bool late = false;
    const struct timeval limit = {15, 0};
    struct event *timer = evtimer_new(test->base, too_late, &late);
    event_add(timer, &limit);
    while (!late && strstr(text_of(test), text) == NULL)
        event_base_loop(test->base, EVLOOP_ONCE);
    event_free(timer);
    if (late)
        fail_msg("no \"%s\" in time; log:\n%sheard:\n%s", text, text_of(test), fake_redis_heard(test->fake));
}

static const struct fake_script scripts[] = {
    {"CONFIG GET client-output-buffer-limit", "*2\r\n$26\r\nclient-output-buffer-limit\r\n$12\r\npubsub 1 2 3\r\n"},
    {"CONFIG GET dir", "-NOPERM this user has no permissions to run the 'config|get' command\r\n"},
    {"CLIENT LIST ID 42", "$25\r\nid=42 omem=17 name=x:1:2\n\r\n"},
    {"CLIENT LIST ID 1 2", "$0\r\n\r\n"},
    {"CLIENT LIST TYPE pubsub", "$21\r\nid=1 omem=2\nid=3\nodd\n\r\n"},
    {"CLIENT LIST TYPE normal", "-ERR unknown client type 'normal'\r\n"},
    {"PUBSUB CHANNELS", "*2\r\n$1\r\na\r\n$3\r\nb c\r\n"},
    {"PUBSUB NUMSUB a b c", "*4\r\n$1\r\na\r\n:2\r\n$3\r\nb c\r\n:0\r\n"},
    {"INFO stats", "$14\r\n# Stats\r\na:1\r\n\r\n"},
    {"INFO replication", "$13\r\nrole:master\r\n\r\n"},
    {"INFO server", "$12\r\nrun_id:abc\r\n\r\n"},
    {"INFO modules", "$11\r\n# Modules\r\n\r\n"},
    {"CONFIG GET notify-keyspace-events", "*2\r\n$22\r\nnotify-keyspace-events\r\n$0\r\n\r\n"},
    {"INFO commandstats", "$22\r\ncmdstat_info:calls=1\r\n\r\n"},
    {NULL, NULL},
};

/* A PUBLISH that is open keeps nobody from asking. */
static void a_publish_keeps_nothing_busy(void **state)
{
    struct test *test = *state;
    const struct rkb_slice names[] = {rkb_slice_text("a"), rkb_slice_text("b c")};
    fake_redis_rules(test->fake)->publish_reply = "";
    begin(test);
    until(test, "ready");
    rkb_watcher_ask_names(test->watcher, RKB_ASK_PUBLISH, names, 2);
    assert_false(rkb_watcher_busy(test->watcher));
    rkb_watcher_ask(test->watcher, RKB_ASK_LIMITS, NULL);
    assert_true(rkb_watcher_busy(test->watcher));
}

static void each_question_and_its_answer(void **state)
{
    struct test *test = *state;
    const struct rkb_slice names[] = {rkb_slice_text("a"), rkb_slice_text("b c")};
    for (int one_byte = 0; one_byte < 2; one_byte++) {
        fake_redis_rules(test->fake)->scripts = scripts;
        fake_redis_rules(test->fake)->one_byte = one_byte;
        test->log.size = 0;
        begin(test);
        until(test, "ready");
        assert_string_equal(text_of(test), "ready 7\n");
        assert_true(rkb_watcher_is_local(test->watcher));
        for (enum rkb_question question = 0; question < RKB_QUESTIONS; question++) {
            const uint64_t ids[2] = {question == RKB_ASK_OURS ? 42 : 1, question == RKB_ASK_OURS ? 0 : 2};
            bool by_id = question >= RKB_ASK_OURS && question <= RKB_ASK_OTHERS;
            if (question == RKB_ASK_LISTENERS || question == RKB_ASK_PUBLISH)
                rkb_watcher_ask_names(test->watcher, question, names, 2);
            else
                rkb_watcher_ask(test->watcher, question, by_id ? ids : NULL);
        }
        assert_true(rkb_watcher_busy(test->watcher));
        until(test, "CLIENT LIST TYPE normal answered");
        assert_false(rkb_watcher_busy(test->watcher));
        assert_string_equal(text_of(test),
            "ready 7\n"
            "CLIENT SETNAME answered\n"
            "CONFIG GET client-output-buffer-limit: client-output-buffer-limit\n"
            "CONFIG GET client-output-buffer-limit: pubsub 1 2 3\n"
            "CONFIG GET client-output-buffer-limit answered\n"
            "CONFIG GET dir answered: Redis refused CONFIG GET dir: NOPERM this user has no permissions to run the "
            "'config|get' command (the user's ACL does not allow it)\n"
            "INFO stats: # Stats\n"
            "INFO stats: a:1\n"
            "INFO stats answered\n"
            "INFO replication: role:master\n"
            "INFO replication answered\n"
            "INFO server: run_id:abc\n"
            "INFO server answered\n"
            "INFO replication: role:master\n"
            "INFO replication answered\n"
            "INFO stats: # Stats\n"
            "INFO stats: a:1\n"
            "INFO stats answered\n"
            "INFO modules: # Modules\n"
            "INFO modules answered\n"
            "CONFIG GET notify-keyspace-events: notify-keyspace-events\n"
            "CONFIG GET notify-keyspace-events answered\n"
            "INFO commandstats: cmdstat_info:calls=1\n"
            "INFO commandstats answered\n"
            "PUBSUB CHANNELS: a\n"
            "PUBSUB CHANNELS: b c\n"
            "PUBSUB CHANNELS answered\n"
            "PUBSUB NUMSUB: a\n"
            "PUBSUB NUMSUB: number 2\n"
            "PUBSUB NUMSUB: b c\n"
            "PUBSUB NUMSUB: number 0\n"
            "PUBSUB NUMSUB answered\n"
            "PUBLISH: number 1\n"
            "PUBLISH answered\n"
            "CLIENT LIST ID: client 42 holds 17\n"
            "CLIENT LIST ID answered\n"
            "CLIENT LIST ID answered\n"
            "CLIENT LIST ID answered\n"
            "CLIENT LIST TYPE pubsub: client 1 holds 2\n"
            "CLIENT LIST TYPE pubsub: client 3 holds -1\n"
            "CLIENT LIST TYPE pubsub answered\n"
            "CLIENT LIST TYPE normal answered: Redis refused CLIENT LIST TYPE normal: ERR unknown "
            "client type 'normal'\n");
        assert_non_null(strstr(fake_redis_heard(test->fake),
                               "CLIENT SETNAME rkbridge:test:01234567:5000:0\nCLIENT ID\n"));
        rkb_watcher_free(test->watcher);
        test->watcher = NULL;
    }
}

static void without_a_number(void **state)
{
    struct test *test = *state;
    static const struct fake_script none[] = {{"CLIENT ID", "-NOPERM no\r\n"}, {NULL, NULL}};
    fake_redis_rules(test->fake)->scripts = none;
    begin(test);
    until(test, "ready 0\n");
}

/* Ten megabytes of clients, each in turn. */
static void a_huge_list(void **state)
{
    struct test *test = *state;
    struct rkb_buffer reply = {0};
    char line[512];
    int size = snprintf(line, sizeof line, "id=5 name=%0400d\n", 7), count = 10 * 1024 * 1024 / size;
    rkb_buffer_format(&reply, "$%d\r\n", size * count);
    for (int i = 0; i < count; i++)
        rkb_buffer_add(&reply, line, (size_t)size);
    rkb_buffer_add(&reply, "\r\n", 3);
    const struct fake_script huge[] = {{"CLIENT LIST TYPE normal", (const char *)reply.data}, {NULL, NULL}};
    fake_redis_rules(test->fake)->scripts = huge;
    begin(test);
    until(test, "ready");
    rkb_watcher_ask(test->watcher, RKB_ASK_NORMAL, NULL);
    until(test, "answered");
    size_t each = strlen("CLIENT LIST TYPE normal: client 5 holds -1\n");
    assert_int_equal(test->log.size, strlen("ready 7\nCLIENT LIST TYPE normal answered\n") + each * (size_t)count);
    rkb_buffer_free(&reply);
}

/* Garbage, a reply too many, silence, a cut: the connection is lost, all that was open with it, and made anew. */
static void lost_and_back(void **state)
{
    struct test *test = *state;
    static const struct fake_script bad[][2] = {
        {{"INFO stats", "hello\r\n"}, {NULL, NULL}},
        {{"INFO stats", "$2\r\na\n\r\n:1\r\n"}, {NULL, NULL}},
        {{"INFO stats", NULL}, {NULL, NULL}},
    };
    static const char *const losses[] = {"lost 7: no RESP", "lost 7: Redis sent a reply that nothing asked for",
                                         "lost 10: the answer to"};
    for (int i = 0; i < 3; i++) {
        test->log.size = 0;
        test->deadline_us = i == 2 ? 300000 : 20000000;
        fake_redis_rules(test->fake)->scripts = bad[i];
        begin(test);
        until(test, "ready");
        rkb_watcher_ask(test->watcher, RKB_ASK_CUTS, NULL);
        rkb_watcher_ask(test->watcher, RKB_ASK_LIMITS, NULL);
        until(test, losses[i]);
        assert_false(rkb_watcher_busy(test->watcher));
        assert_false(rkb_watcher_ready(test->watcher));
        rkb_watcher_ask(test->watcher, RKB_ASK_LIMITS, NULL);
        if (i != 1)         /* there a reply too many was taken for its answer */
            assert_null(strstr(text_of(test), "limit answered"));
        test->log.size = 0;
        fake_redis_rules(test->fake)->scripts = scripts;
        until(test, "ready");
        rkb_watcher_ask(test->watcher, RKB_ASK_LIMITS, NULL);
        until(test, "limit answered\n");
        rkb_watcher_free(test->watcher);
        test->watcher = NULL;
    }
}

/* It would have waited for an hour. */
static void told_to_hurry(void **state)
{
    struct test *test = *state;
    test->backoff_us = INT64_C(3600000000);
    begin(test);
    until(test, "ready");
    rkb_watcher_hurry(test->watcher);           /* in vain, it is there */
    fake_redis_cut(test->fake);
    until(test, "lost");
    test->log.size = 0;
    rkb_watcher_hurry(test->watcher);
    until(test, "ready");
}

/* What comes behind the greeting, unasked, must not reach functions that are not there. */
static void unasked_behind_the_greeting(void **state)
{
    struct test *test = *state;
    static const char *const extra[] = {":7\r\n+OK\r\n", ":7\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
                                        ":7\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
                                        ":7\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"};
    for (size_t i = 0; i < sizeof extra / sizeof extra[0]; i++) {
        const struct fake_script script[] = {{"CLIENT ID", extra[i]}, {NULL, NULL}};
        test->log.size = 0;
        fake_redis_rules(test->fake)->scripts = script;
        begin(test);
        until(test, "lost 7");
        fake_redis_rules(test->fake)->scripts = NULL;
        rkb_watcher_free(test->watcher);
        test->watcher = NULL;
    }
}

static void freed_inside_each_event(void **state)
{
    struct test *test = *state;
    static const char *const events[] = {"ready", "client", "line", "answered", "lost"};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        test->log.size = 0;
        test->free_at = events[i];
        fake_redis_rules(test->fake)->scripts = scripts;
        begin(test);
        until(test, "ready");
        for (enum rkb_question question = RKB_ASK_LIMITS; test->watcher != NULL && question < RKB_QUESTIONS; question++)
            rkb_watcher_ask(test->watcher, question, NULL);
        if (i == 4)
            fake_redis_cut(test->fake);
        for (int turn = 0; test->watcher != NULL && turn < 10000; turn++)
            event_base_loop(test->base, EVLOOP_ONCE);
        assert_null(test->watcher);
        event_base_loop(test->base, EVLOOP_NONBLOCK);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_question_and_its_answer),
        TEST(a_publish_keeps_nothing_busy),
        TEST(without_a_number),
        TEST(a_huge_list),
        TEST(lost_and_back),
        TEST(told_to_hurry),
        TEST(unasked_behind_the_greeting),
        TEST(freed_inside_each_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
