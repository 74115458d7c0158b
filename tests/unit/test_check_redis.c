/*
 * Tests of `rkbctl check`'s Redis: what it asks, what it makes of odd, hostile and missing answers, in which words, and
 * that it ends. The fake serves one client at a time, so that two connections at once would be seen.
 */
#include "config_files.h"

#include "fake_redis.h"
#include "tool/check_redis.h"

#define NOPERM "-NOPERM this user has no permissions to run the 'x' command\r\n"

struct world {
    struct event_base *base;
    struct fake_redis *fake;
    struct rkb_config *config;
    struct rkb_places places;
    struct rkb_report report;
    struct fake_script scripts[24];
    size_t script_count;
    bool runs, is_silent;               /* is_silent: an answer will be waited for in vain */
    char replies[24][600];
};

static int begin(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->base = event_base_new();
    world->fake = fake_redis_new(world->base, NULL, false);
    world->report = (struct rkb_report){.file = "f", .places = &world->places};
    fake_redis_rules(world->fake)->scripts = world->scripts;
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;
    fake_redis_free(world->fake);
    rkb_report_free(&world->report);
    rkb_config_free(world->config);
    event_base_loop(world->base, EVLOOP_NONBLOCK);
    event_base_free(world->base);
    free(world);
    return 0;
}

/* The command's answer: as it stands, or, where it begins with none of RESP's signs, as a bulk. */
static void answers(struct world *world, const char *command, const char *reply)
{
    char *text = world->replies[world->script_count];
    if (strchr("-+:*$", reply[0]) != NULL && reply[0] != '\0')
        snprintf(text, sizeof world->replies[0], "%s", reply);
    else
        snprintf(text, sizeof world->replies[0], "$%zu\r\n%s\r\n", strlen(reply), reply);
    world->scripts[world->script_count++] = (struct fake_script){command, text};
}

/* What Redis 7 would say, where a test says nothing else before. */
static void answers_all(struct world *world)
{
    answers(world, "CONFIG GET client-output-buffer-limit",
            "*2\r\n$26\r\nclient-output-buffer-limit\r\n$67\r\n"
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60\r\n");
    answers(world, "INFO server", "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n");
    answers(world, "INFO replication", "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n");
    answers(world, "INFO stats", "# Stats\r\ninstantaneous_input_kbps:10.00\r\n");
    answers(world, "CONFIG GET dir", "*2\r\n$3\r\ndir\r\n$8\r\n/nowhere\r\n");
    answers(world, "CLIENT LIST ID 7", "id=7 addr=127.0.0.1:1 name=rkbctl-check omem=0\n");
    answers(world, "CLIENT LIST TYPE pubsub", "");
    answers(world, "CLIENT LIST TYPE normal", "");
}

/* Runs it with this source (more: further settings of it), for these channels and patterns. */
static void check_names(struct world *world, const char *more, const char *names)
{
    char text[1000];
    struct rkb_mistakes mistakes;
    answers_all(world);
    snprintf(text, sizeof text,
             "instance: shop\n"
             "redis: {legacy: {url: 'redis://bridge@127.0.0.1:%d', password: s3cret-and-long, connect_timeout: %s%s}}\n"
             "routes: {users: {source: legacy, %s, topic: t}}\n", fake_redis_port(world->fake),
             world->is_silent ? "1s" : "10s", more, names);
    fake_redis_rules(world->fake)->user = "bridge";
    if (fake_redis_rules(world->fake)->password == NULL)
        fake_redis_rules(world->fake)->password = "s3cret-and-long";
    write_completed(&files, text);
    world->config = rkb_config_read_placed(files.config, false, &mistakes, &world->places);
    if (world->config == NULL)
        fail_msg("%.*s", (int)mistakes.text.size, (char *)mistakes.text.data);
    rkb_mistakes_free(&mistakes);
    const struct rkb_check_redis_options options = {.config = world->config, .runs = world->runs, .journal = "/",
                                                    .limit_us = 20000000, .base = world->base, .sys = &rkb_sys_posix};
    rkb_check_redis(&options, &world->report);
    rkb_places_free(&world->places);
    assert_false(world->report.failed);
    for (size_t i = 0; i < world->report.count; i++) {
        const struct rkb_report_line *line = &world->report.list[i];
        assert_null(strstr(line->text, "s3cret"));
        assert_true((line->grade == RKB_GRADE_OK) == (line->change == NULL));
    }
}

static void check(struct world *world)
{
    check_names(world, "", "channels: [a, 'b c'], patterns: 'u.*'");
}

static const char *all_lines(const struct world *world)
{
    static char text[16384];
    static const char *const grades[] = {"BAD", "WARN", "OK"};
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < world->report.count && used < sizeof text; i++) {
        const struct rkb_report_line *line = &world->report.list[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %s: %s%s%s\n", grades[line->grade],
                                 line->setting != NULL ? line->setting : "", line->text,
                                 line->change != NULL ? " => " : "", line->change != NULL ? line->change : "");
    }
    return text;
}

/* There is a line that begins so, and holds that too. */
static void finds(const struct world *world, const char *begins, const char *holds)
{
    const char *all = all_lines(world);
    size_t size = strlen(begins);
    for (const char *line = all; *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *found = strstr(line, holds);
        if (strncmp(line, begins, size) == 0 && found != NULL && found < strchr(line, '\n'))
            return;
    }
    fail_msg("no \"%s ... %s\" in\n%s", begins, holds, all);
}

static void finds_no(const struct world *world, const char *part)
{
    if (strstr(all_lines(world), part) != NULL)
        fail_msg("\"%s\" in\n%s", part, all_lines(world));
}

/* ---- all is well ---- */

static void test_all_is_well(void **state)
{
    struct world *world = *state;
    check(world);
    assert_int_equal(rkb_report_verdict(&world->report), RKB_GRADE_OK);
    finds(world, "OK redis.legacy.url: ", "logged in at redis://bridge@127.0.0.1");
    finds(world, "OK redis.legacy: ", "3 of 3 subscriptions tried and left again");
    finds(world, "OK redis.legacy.url: ", "version 7.0.15");
    finds(world, "OK redis.legacy.url: ", "a master");
    finds(world, "OK redis.legacy.watch: ",
          "holds 32 MiB for it (client-output-buffer-limit pubsub): a standstill of 3.4 s");
    finds(world, "OK redis.legacy: ", "no bridge is subscribed there");
    const char *heard = fake_redis_heard(world->fake);
    assert_non_null(strstr(heard, "SUBSCRIBE a\nUNSUBSCRIBE a\nSUBSCRIBE b c\nUNSUBSCRIBE b c\nPSUBSCRIBE u.*\n"
                                  "PUNSUBSCRIBE u.*\n"));
    assert_non_null(strstr(heard, "CLIENT SETNAME rkbctl-check"));
    assert_null(strstr(heard, "CLIENT SETNAME rkbridge"));
    assert_null(strstr(heard, "PUBLISH"));
    assert_null(strstr(heard, "TYPE normal"));
}

static void test_watch_none_asks_nothing_more(void **state)
{
    struct world *world = *state;
    check_names(world, ", watch: none", "channels: a");
    assert_int_equal(rkb_report_verdict(&world->report), RKB_GRADE_OK);
    finds(world, "OK redis.legacy.watch: ", "it is none");
    assert_null(strstr(fake_redis_heard(world->fake), "INFO"));
}

/* ---- no login ---- */

static void test_wrong_password(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->password = "another";
    check(world);
    finds(world, "BAD redis.legacy.url: ", "Redis refused AUTH: WRONGPASS");
    assert_int_equal(world->report.count, 1);
}

static void test_silence_ends_in_words(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->mute = world->is_silent = true;
    check(world);
    finds(world, "BAD redis.legacy.url: ", "the answer to the login did not come within 1 s");
    assert_int_equal(world->report.count, 1);
}

static void test_nobody_listens(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->cut_at = "CONNECT";
    fake_redis_rules(world->fake)->cuts = 1;
    check(world);
    finds(world, "BAD redis.legacy.url: ", "no login at redis://bridge@127.0.0.1");
}

static void test_no_redis_at_all(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->greeting = "SSH-2.0-OpenSSH_9.2\r\n";
    check(world);
    finds(world, "BAD redis.legacy.url: ", "is this the port of a Redis");
}

/* ---- subscriptions ---- */

static void test_each_refused_name_has_its_rule(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->refused = " b c  ~u.* ";
    check(world);
    finds(world, "BAD routes.users.channels[1]: ", "refuses SUBSCRIBE b c: NOPERM");
    finds(world, "BAD routes.users.channels[1]: ", "=> ACL SETUSER bridge &b?c");
    finds(world, "BAD routes.users.patterns[0]: ", "=> ACL SETUSER bridge &u.*");
    finds(world, "OK redis.legacy: ", "1 of 3 subscriptions");
    finds(world, "OK redis.legacy.url: ", "a master");
}

static void test_a_command_that_is_refused(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->refused_command = "PSUBSCRIBE";
    check(world);
    finds(world, "BAD routes.users.patterns[0]: ", "=> ACL SETUSER bridge +psubscribe");
    finds(world, "OK redis.legacy: ", "2 of 3 subscriptions");
}

/* No right is missing where there is no such command. */
static void test_a_command_that_is_not_known(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->subscribe_reply = "-ERR unknown command 'SUBSCRIBE'\r\n";
    check_names(world, "", "channels: a");
    finds(world, "BAD routes.users.channels", "ERR unknown command");
    finds(world, "BAD routes.users.channels", "=> look at what stands between");
    finds_no(world, "+subscribe");
}

static void test_no_ping_and_no_way_out(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->ping_reply = NOPERM;
    fake_redis_rules(world->fake)->unsubscribe_reply = NOPERM;
    check(world);
    finds(world, "WARN redis.legacy.user: ", "=> ACL SETUSER bridge +ping");
    finds(world, "WARN redis.legacy.user: ", "=> ACL SETUSER bridge +unsubscribe");
    finds(world, "WARN redis.legacy.user: ", "=> ACL SETUSER bridge +punsubscribe");
    finds(world, "OK redis.legacy: ", "3 of 3 subscriptions");
}

static void test_messages_that_come_meanwhile(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->before_unsubscribe = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n";
    check(world);
    assert_int_equal(rkb_report_verdict(&world->report), RKB_GRADE_OK);
    finds(world, "OK redis.legacy: ", "3 of 3 subscriptions");
}

static void test_nonsense_in_the_place_of_an_answer(void **state)
{
    static const char *const replies[] = {":1\r\n", "+OK\r\n", "$2\r\nno\r\n", "*0\r\n",
                                          "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n",
                                          "*3\r\n$10\r\npsubscribe\r\n$1\r\na\r\n:1\r\n", "\r\n", "*1000000000\r\n"};
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        struct world *world = *state;
        fake_redis_rules(world->fake)->subscribe_reply = replies[i];
        check(world);
        finds(world, "BAD redis.legacy.url: ", "the connection ended while the subscriptions were tried");
        if (i + 1 == sizeof replies / sizeof replies[0])
            return;
        end(state);
        begin(state);
    }
}

static void test_more_answers_than_questions(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->ping_reply = "+PONG\r\n+PONG\r\n:7\r\n";
    check(world);
    finds(world, "BAD redis.legacy.url: ", "does not belong to what it was asked");
}

static void test_silence_in_the_middle(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->confirmations = 3;
    world->is_silent = true;
    check(world);
    finds(world, "BAD redis.legacy.url: ", "the answer to what was tried did not come within 1 s");
}

static void test_cut_in_the_middle(void **state)
{
    struct world *world = *state;
    fake_redis_rules(world->fake)->cut_at = "PSUBSCRIBE";
    fake_redis_rules(world->fake)->cuts = 1;
    check(world);
    finds(world, "BAD redis.legacy.url: ", "the connection ended while the subscriptions were tried");
}

static void test_more_names_than_go_at_once(void **state)
{
    struct world *world = *state;
    struct rkb_buffer names = {0};
    rkb_buffer_text(&names, "channels: [x");
    for (int i = 0; i < 99; i++)
        rkb_buffer_format(&names, ",%d", i);
    rkb_buffer_text(&names, "], patterns: [y, z]");
    rkb_buffer_add(&names, "", 1);
    fake_redis_rules(world->fake)->one_byte = false;
    fake_redis_rules(world->fake)->refused = " 98  ~z ";
    check_names(world, "", (char *)names.data);
    finds(world, "OK redis.legacy: ", "100 of 102 subscriptions");
    finds(world, "BAD routes.users.channels[99]: ", "refuses SUBSCRIBE 98");
    finds(world, "BAD routes.users.patterns[1]: ", "refuses PSUBSCRIBE z");
    rkb_buffer_free(&names);
}

/* ---- the second connection ---- */

static void test_refused_questions_name_their_rights_once(void **state)
{
    struct world *world = *state;
    answers(world, "INFO server", NOPERM);
    answers(world, "INFO replication", NOPERM);
    answers(world, "INFO stats", NOPERM);
    answers(world, "CONFIG GET client-output-buffer-limit", NOPERM);
    answers(world, "CONFIG GET dir", NOPERM);
    answers(world, "CLIENT LIST ID 7", NOPERM);
    answers(world, "CLIENT LIST TYPE pubsub", NOPERM);
    answers(world, "CLIENT ID", NOPERM);
    check(world);
    finds(world, "WARN redis.legacy.watch: ", "=> ACL SETUSER bridge +info");
    finds(world, "WARN redis.legacy.watch: ",
          "the stall budget is unknown; whether Redis shares the journal's disk is unknown "
          "=> ACL SETUSER bridge +config|get");
    finds(world, "WARN redis.legacy.watch: ",
          "whether another bridge is there is unknown => ACL SETUSER bridge +client|list");
    finds(world, "WARN redis.legacy.user: ", "=> ACL SETUSER bridge +client|id");
    size_t warnings = 0;
    for (size_t i = 0; i < world->report.count; i++)
        warnings += world->report.list[i].grade == RKB_GRADE_WARN;
    assert_int_equal(warnings, 4);
    finds_no(world, "no bridge is subscribed");
}

static void test_an_older_redis_lacks_commands_not_rights(void **state)
{
    struct world *world = *state;
    answers(world, "CLIENT LIST ID 7", "-ERR syntax error\r\n");
    check(world);
    finds(world, "WARN redis.legacy.watch: ", "=> nothing, where this Redis is too old for it");
    finds_no(world, "+client|list");
}

static void test_silence_of_the_second_connection(void **state)
{
    struct world *world = *state;
    world->scripts[world->script_count++] = (struct fake_script){"CLIENT LIST TYPE pubsub", NULL};
    world->is_silent = true;
    check(world);
    finds(world, "WARN redis.legacy.watch: ",
          "did not get all its answers: the answer to what was asked did not come within");
    finds(world, "OK redis.legacy.url: ", "a master");
}

static void test_odd_values(void **state)
{
    struct world *world = *state;
    answers(world, "INFO stats", "instantaneous_input_kbps:-5\r\ninstantaneous_input_kbps:1e999\r\n"
                                 "instantaneous_input_kbps:nan\r\ninstantaneous_input_kbps:\r\n");
    answers(world, "INFO server", "redis_version:\x1b[2J7\nredis_mode:a very long mode that fits nowhere at all\r\n");
    answers(world, "INFO replication", "role:emperor\r\n");
    answers(world, "CONFIG GET client-output-buffer-limit", "*2\r\n$1\r\nx\r\n$22\r\npubsub many 8388608 60\r\n");
    answers(world, "CONFIG GET dir", "*0\r\n");
    check(world);
    assert_int_equal(rkb_report_verdict(&world->report), RKB_GRADE_OK);
    finds_no(world, "\x1b");
    finds_no(world, "standstill");
    finds_no(world, "journal.directory");
}

static void test_roles(void **state)
{
    struct world *world = *state;
    answers(world, "INFO replication",
            "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:down\r\n");
    check(world);
    finds(world, "BAD redis.legacy.url: ", "a replica of 10.0.0.1:6379, and its link to that is down");
    end(state);
    begin(state);
    world = *state;
    answers(world, "INFO replication",
            "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\n"
            "master_last_io_seconds_ago:0\r\nmaster_sync_in_progress:0\r\n");
    answers(world, "INFO server", "redis_version:7.2.4\r\nserver_name:valkey\r\nredis_mode:cluster\r\n");
    check(world);
    finds(world, "OK redis.legacy.url: ", "a replica of 10.0.0.1:6379, which it hears");
    finds(world, "OK redis.legacy.url: ", "valkey, a node of a cluster, version 7.2.4");
    end(state);
    begin(state);
    world = *state;
    answers(world, "INFO server", "redis_version:7.0.15\r\nredis_mode:sentinel\r\n");
    check(world);
    finds(world, "BAD redis.legacy.url: ", "this is a Sentinel");
}

static void test_limits(void **state)
{
    struct world *world = *state;
    answers(world, "CONFIG GET client-output-buffer-limit", "*2\r\n$1\r\nx\r\n$12\r\npubsub 0 0 0\r\n");
    check(world);
    finds(world, "OK redis.legacy.watch: ", "Redis sets no limit");
    end(state);
    begin(state);
    world = *state;
    answers(world, "CONFIG GET client-output-buffer-limit", "*2\r\n$1\r\nx\r\n$18\r\npubsub 8388608 0 0\r\n");
    answers(world, "INFO stats", "instantaneous_input_kbps:10240.00\r\ninstantaneous_input_repl_kbps:1.00\r\n");
    check(world);
    finds(world, "WARN redis.legacy.watch: ",
          "and of 0.8 s at the least where all that comes in there now, 10 MiB a second");
    finds(world, "WARN redis.legacy.max_message_size: ", "two messages of 8 MiB are more");
}

static void test_keyspace_events(void **state)
{
    struct world *world = *state;
    answers(world, "CONFIG GET notify-keyspace-events", "*2\r\n$1\r\nx\r\n$0\r\n\r\n");
    check_names(world, "", "patterns: '__keyevent@0__:*'");
    finds(world, "WARN redis.legacy: ", "routes ask for keyspace events, and Redis sends none");
    end(state);
    begin(state);
    world = *state;
    answers(world, "CONFIG GET notify-keyspace-events", "*2\r\n$1\r\nx\r\n$3\r\nKEA\r\n");
    check_names(world, "", "patterns: '__keyevent@0__:*'");
    finds_no(world, "keyspace");
}

#define OTHER "id=3 addr=10.0.0.9:5000 name=rkbridge:%s age=9 idle=0 sub=1 psub=0 omem=0\n"
#define ITS_WATCHER "id=4 addr=10.0.0.9:5001 name=rkbridge:%s:01234567:5000:3 age=9 idle=%d sub=0 psub=0 omem=0\n"

static void with_rival(struct world *world, const char *instance, int idle, const char *more)
{
    char pubsub[200], normal[200];
    snprintf(pubsub, sizeof pubsub, OTHER, instance);
    snprintf(normal, sizeof normal, ITS_WATCHER, instance, idle);
    answers(world, "CLIENT LIST TYPE pubsub", pubsub);
    answers(world, "CLIENT LIST TYPE normal", normal);
    check_names(world, more, "channels: a");
}

static void test_another_bridge(void **state)
{
    struct world *world = *state;
    with_rival(world, "other", 1, "");
    finds(world, "BAD redis.legacy.allow_parallel: ", "another bridge, instance other at 10.0.0.9:5000, is subscribed");
    end(state);
    begin(state);
    world = *state;
    with_rival(world, "other", 1, ", allow_parallel: yes");
    finds(world, "OK redis.legacy.allow_parallel: ", "allow_parallel is yes");
    end(state);
    begin(state);
    world = *state;
    with_rival(world, "other", 300, "");
    finds(world, "OK redis.legacy: ", "no bridge is subscribed there");
    end(state);
    begin(state);
    world = *state;
    with_rival(world, "shop", 1, "");
    finds(world, "BAD redis.legacy.allow_parallel: ", "instance shop");
    end(state);
    begin(state);
    world = *state;
    world->runs = true;
    with_rival(world, "shop", 1, "");
    finds(world, "OK redis.legacy: ", "this instance, shop, is subscribed there");
}

static void test_its_disk(void **state)
{
    struct world *world = *state;
    char reply[300];
    snprintf(reply, sizeof reply, "*2\r\n$3\r\ndir\r\n$1\r\n/\r\n");
    answers(world, "CONFIG GET dir", reply);
    check(world);
    finds(world, "WARN journal.directory: ", "on one file system with the dir of Redis legacy, /");
    end(state);
    begin(state);
    world = *state;
    answers(world, "CONFIG GET dir", "*2\r\n$3\r\ndir\r\n$5\r\n/proc\r\n");
    check(world);
    finds(world, "OK journal.directory: ", "on another file system");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_is_well, begin, end),
        cmocka_unit_test_setup_teardown(test_watch_none_asks_nothing_more, begin, end),
        cmocka_unit_test_setup_teardown(test_wrong_password, begin, end),
        cmocka_unit_test_setup_teardown(test_silence_ends_in_words, begin, end),
        cmocka_unit_test_setup_teardown(test_nobody_listens, begin, end),
        cmocka_unit_test_setup_teardown(test_no_redis_at_all, begin, end),
        cmocka_unit_test_setup_teardown(test_each_refused_name_has_its_rule, begin, end),
        cmocka_unit_test_setup_teardown(test_a_command_that_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_a_command_that_is_not_known, begin, end),
        cmocka_unit_test_setup_teardown(test_no_ping_and_no_way_out, begin, end),
        cmocka_unit_test_setup_teardown(test_messages_that_come_meanwhile, begin, end),
        cmocka_unit_test_setup_teardown(test_nonsense_in_the_place_of_an_answer, begin, end),
        cmocka_unit_test_setup_teardown(test_more_answers_than_questions, begin, end),
        cmocka_unit_test_setup_teardown(test_silence_in_the_middle, begin, end),
        cmocka_unit_test_setup_teardown(test_cut_in_the_middle, begin, end),
        cmocka_unit_test_setup_teardown(test_more_names_than_go_at_once, begin, end),
        cmocka_unit_test_setup_teardown(test_refused_questions_name_their_rights_once, begin, end),
        cmocka_unit_test_setup_teardown(test_an_older_redis_lacks_commands_not_rights, begin, end),
        cmocka_unit_test_setup_teardown(test_silence_of_the_second_connection, begin, end),
        cmocka_unit_test_setup_teardown(test_odd_values, begin, end),
        cmocka_unit_test_setup_teardown(test_roles, begin, end),
        cmocka_unit_test_setup_teardown(test_limits, begin, end),
        cmocka_unit_test_setup_teardown(test_keyspace_events, begin, end),
        cmocka_unit_test_setup_teardown(test_another_bridge, begin, end),
        cmocka_unit_test_setup_teardown(test_its_disk, begin, end),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
