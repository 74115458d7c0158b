/* Redis's no in words, with what to do, and the ACL rule that is missing, as redis-cli takes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "redis/refusal.h"

static void each_says_what_to_do(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"NOAUTH Authentication required.", "password"},
        {"WRONGPASS invalid username-password pair or user is disabled.", "ACL LIST"},
        {"NOPERM this user has no permissions to run the 'ping' command", "ACL"},
        {"LOADING Redis is loading the dataset in memory", "tried again"},
        {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "lost its master"},
        {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
         "SCRIPT KILL ends it"},
        {"DENIED Redis is running in protected mode because protected mode is enabled, no bind address was specified, "
         "no authentication password is requested to clients. In this mode connections are only accepted from the "
         "loopback interface.", "give it a password"},
        {"ERR max number of clients reached", "maxclients"},
        {"ERR wrong number of arguments for 'auth' command", "take the user out"},
        {"ERR invalid password", "check the source's password"},
        {"ERR Client sent AUTH, but no password is set", "take it out"},
        {"ERR AUTH <password> called without any password configured for the default user. Are you sure your "
         "configuration is correct?", "take it out"},
        {"ERR unknown command `SUBSCRIBE`, with args beginning with: `a`, ", "rename-command"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rkb_error error;
        rkb_refusal(&error, "AUTH", rkb_slice_text(cases[i][0]), "");
        assert_int_equal(error.code, RKB_REFUSED);
        assert_memory_equal(error.text, "Redis refused AUTH: ", 20);
        if (strstr(error.text, cases[i][1]) == NULL)
            fail_msg("%s", error.text);
        assert_int_equal(error.text[strlen(error.text) - 1], ')');
    }
}

static void knows_what_is_lacking(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum rkb_lack lack;
    } cases[] = {
        {"NOPERM this user has no permissions to run the 'psubscribe' command or its subcommand", RKB_LACKS_COMMAND},
        {"NOPERM this user has no permissions to run the 'psubscribe' command", RKB_LACKS_COMMAND},
        {"NOPERM User bridge has no permissions to run the 'psubscribe' command", RKB_LACKS_COMMAND},
        {"NOPERM this user has no permissions to access one of the channels used as arguments", RKB_LACKS_CHANNEL},
        {"NOPERM No permissions to access a channel", RKB_LACKS_CHANNEL},
        {"NOPERM no", RKB_LACKS_EITHER},
        {"ERR no permissions to access a channel", RKB_LACKS_NOTHING},
        {"NOPER", RKB_LACKS_NOTHING},
        {"", RKB_LACKS_NOTHING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(rkb_refusal_lack(rkb_slice_text(cases[i].words)), cases[i].lack);
}

static void the_rule_can_be_pasted(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        bool is_pattern;
        const char *name;
        enum rkb_lack lack;
        const char *rule;
    } cases[] = {
        {"bridge", true, "user.*", RKB_LACKS_CHANNEL, "ACL SETUSER bridge &user.*"},
        {"bridge", false, "user_created", RKB_LACKS_CHANNEL, "ACL SETUSER bridge &user_created"},
        {"bridge", true, "user.*", RKB_LACKS_COMMAND, "ACL SETUSER bridge +psubscribe"},
        {"bridge", false, "a", RKB_LACKS_COMMAND, "ACL SETUSER bridge +subscribe"},
        {"bridge", true, "u*", RKB_LACKS_EITHER, "ACL SETUSER bridge +psubscribe &u*"},
        {NULL, false, "a", RKB_LACKS_CHANNEL, "ACL SETUSER default &a"},
        {"", false, "a", RKB_LACKS_CHANNEL, "ACL SETUSER default &a"},
        {"b\"x", false, "a", RKB_LACKS_CHANNEL, "ACL SETUSER \"b\\\"x\" &a"},
        {"b", false, "what?*[x]", RKB_LACKS_CHANNEL, "ACL SETUSER b \"&what\\\\?\\\\*\\\\[x]\""},
        {"b", true, "what?*[x]\\*", RKB_LACKS_CHANNEL, "ACL SETUSER b \"&what?*[x]\\\\*\""},
        {"b", false, "two words\t", RKB_LACKS_CHANNEL, "ACL SETUSER b &two?words?"},
        {"b", true, "two words*", RKB_LACKS_CHANNEL, "ACL SETUSER b &*"},
        {"b", true, "caf\xc3\xa9'*", RKB_LACKS_CHANNEL, "ACL SETUSER b \"&caf\\xc3\\xa9'*\""},
        {"b", false, "\x01$x", RKB_LACKS_CHANNEL, "ACL SETUSER b \"&\\x01$x\""},
    };
    char rule[RKB_RULE_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rkb_refusal_rule(rule, cases[i].user, cases[i].is_pattern, rkb_slice_text(cases[i].name), cases[i].lack);
        assert_string_equal(rule, cases[i].rule);
    }
    rkb_refusal_command_rule(rule, "b", "client|list");
    assert_string_equal(rule, "ACL SETUSER b +client|list");
    rkb_refusal_command_rule(rule, NULL, "ping");
    assert_string_equal(rule, "ACL SETUSER default +ping");
    rkb_refusal_command_rule(rule, "a b", "ping");
    assert_string_equal(rule, "ACL SETUSER \"a b\" +ping");
    rkb_refusal_rule(rule, "b", false, rkb_slice("a\0b", 3), RKB_LACKS_CHANNEL);
    assert_string_equal(rule, "ACL SETUSER b &a?b");
}

static void a_long_name_is_not_cut_to_another(void **state)
{
    (void)state;
    char name[600], rule[RKB_RULE_SIZE];
    memset(name, 'n', sizeof name);
    rkb_refusal_rule(rule, "b", false, rkb_slice(name, sizeof name), RKB_LACKS_CHANNEL);
    assert_string_equal(rule, "ACL SETUSER, with & and a name of 600 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_says_what_to_do),
        cmocka_unit_test(knows_what_is_lacking),
        cmocka_unit_test(the_rule_can_be_pasted),
        cmocka_unit_test(a_long_name_is_not_cut_to_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
