/* ask: rkbctl's side of the control socket, exit codes and all. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "control_fixture.h"
#include "tool/tool.h"

struct asking {
    const char *path;
    char *words[4];
    int argc, code;
    FILE *out_file, *err_file;
    _Atomic bool done;
};

static void *ask(void *context)
{
    struct asking *asking = context;
    asking->code = rkb_tool_ask(asking->path, asking->argc, asking->words, asking->out_file, asking->err_file);
    asking->done = true;
    return NULL;
}

/* rkbctl's side in a thread of its own, while the loop turns here. */
static void check_ask(const struct fixture *fixture, const char *command, int code, const char *out, const char *err)
{
    char *out_text, *err_text, words[64];
    size_t out_size, err_size;
    struct asking asking = {.path = fixture->path, .out_file = open_memstream(&out_text, &out_size),
                            .err_file = open_memstream(&err_text, &err_size)};
    strcpy(words, command);
    for (char *save, *word = strtok_r(words, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
        asking.words[asking.argc++] = word;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask, &asking), 0);
    while (!asking.done)
        turn(fixture);
    pthread_join(thread, NULL);
    fclose(asking.out_file);
    fclose(asking.err_file);
    assert_int_equal(asking.code, code);
    if (strncmp(out_text, out, strlen(out)) != 0 || strstr(err_text, err) == NULL
        || (err[0] == '\0') != (err_size == 0))
        fail_msg("%s: '%s' and '%s'", command, out_text, err_text);
    assert_int_equal(times_in(out_text, "OK\n"), 0);
    free(out_text);
    free(err_text);
}

static void test_rkbctl(void **state)
{
    struct fixture *fixture = *state;
    check_ask(fixture, "version", 0, "rkbridge 1.2.3\n", "");
    check_ask(fixture, "stats json", 0, "{\"version\":\"1.2.3\",", "");
    check_ask(fixture, "gaps text", 0, "gaps:\n", "");
    check_ask(fixture, "gaps xml", 1, "", "rkbctl: usage: gaps [SINCE] [text|json] (usage)\n");
    check_ask(fixture, "nonsense", 1, "", "(unknown_command)\n");
    check_ask(fixture, "status", 0, "verdict: OK", "");
    fixture->snapshot.kafka.connected = false;
    check_ask(fixture, "status", 1, "verdict: WARN", "");
    fixture->snapshot.journal.full = true;
    check_ask(fixture, "status", 2, "verdict: BAD", "");
    check_ask(fixture, "status --json", 2, "{\"verdict\":{\"level\":\"BAD\"", "");
    fixture->snapshot.journal.full = false;
    check_ask(fixture, "status json", 1, "{\"verdict\":{\"level\":\"WARN\"", "");
    fixture->snapshot.kafka.connected = true;
    check_ask(fixture, "status --json", 0, "{\"verdict\":{\"level\":\"OK\"", "");
    check_ask(fixture, "stats text", 0, "version: 1.2.3\n", "");
    check_ask(fixture, "status now", RKB_EXIT_UNREACHABLE, "", "(usage)\n");
}

static void test_rkbctl_takes_answers_of_any_length(void **state)
{
    struct fixture *fixture = *state;
    show_gaps(fixture, 60000);
    check_ask(fixture, "gaps json", 0, "{\"gaps\":[{\"id\":101,", "");
    check_ask(fixture, "gaps text", 0, "gaps:\n", "");
}

static void test_rkbctl_without_rkbridge(void **state)
{
    struct fixture *fixture = *state;
    char two_lines[] = "version\nversion", *words[] = {two_lines};
    check_ask(fixture, "version", 0, "", "");
    fixture->free_when_asked = true;            /* it goes away in the middle of a long answer */
    show_gaps(fixture, 60000);
    check_ask(fixture, "gaps", RKB_EXIT_UNREACHABLE, "", "rkbridge closed the connection");
    fixture->control = NULL;
    check_ask(fixture, "version", RKB_EXIT_UNREACHABLE, "",
              "control.sock: No such file or directory\nIs rkbridge running?");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, fixture->path);
    int gone = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(gone, (struct sockaddr *)&address, sizeof address), 0);
    close(gone);
    check_ask(fixture, "version", RKB_EXIT_UNREACHABLE, "", "Connection refused\nNobody listens there");
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    assert_int_equal(rkb_tool_ask(fixture->path, 1, words, file, file), RKB_EXIT_USAGE);
    fclose(file);
    assert_non_null(strstr(text, "a command is one line"));
    free(text);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define EACH(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        EACH(test_rkbctl),
        EACH(test_rkbctl_takes_answers_of_any_length),
        EACH(test_rkbctl_without_rkbridge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
