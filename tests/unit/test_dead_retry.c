/*
 * `rkbctl dead list|retry` on a file of dead letters, and a control socket that answers as the test wants: each letter
 * goes once, and what could not go waits.
 */
#include "control_fixture.h"
#include "journal_support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "journal/dead.h"
#include "message/letter.h"
#include "tool/tool.h"

#define ID "018bcfe5-6800-7000-8000-%012d"
#define MOST 40

struct desk {
    struct fixture *fixture;
    char *directory;
    char config[300];
    char came[MOST][64];                /* "route id payload" of each that was handed over */
    size_t count;
    int busy;                           /* so many times */
    size_t last;                        /* then rkbridge is about to end; 0: never */
    const char *code;                   /* refused with it; NULL: taken */
    const char *outcome;
    struct rkb_buffer out, err;         /* of the last command */
};

static bool take_letter(void *context, struct rkb_slice headers, struct rkb_slice payload, struct rkb_buffer *out,
                        const char **code, struct rkb_error *error)
{
    struct desk *desk = context;
    struct rkb_letter letter;
    rkb_letter_read(headers, &letter);
    if (desk->busy > 0) {
        desk->busy--;
        *code = "busy";
        return rkb_fail(error, RKB_FULL, "no room now");
    }
    if (desk->last > 0 && desk->count == desk->last) {
        *code = "stopping";
        return rkb_fail(error, RKB_CLOSED, "rkbridge is about to end");
    }
    assert_true(desk->count < MOST);
    snprintf(desk->came[desk->count++], sizeof desk->came[0], "%.*s %.*s %.*s",
             (int)letter.of[RKB_LETTER_ROUTE].size, letter.of[RKB_LETTER_ROUTE].data,
             (int)letter.of[RKB_LETTER_ID].size, letter.of[RKB_LETTER_ID].data, (int)payload.size, payload.data);
    if (desk->code != NULL) {
        *code = desk->code;
        return rkb_fail(error, RKB_USAGE, "not so");
    }
    rkb_buffer_text(out, desk->outcome);
    return true;
}

/*
 * The file of dead letters: numbers 1 to 6; 1 and 2 are of route a, 3 and 4 of b, 4 again the message of 3, 5 has no
 * payload, 6 is of version 1 and says nothing. 7 is the message of 1 and of later than any command.
 */
static void put_letter(struct rkb_dead *dead, int number)
{
    char id[40];
    uint8_t headers[400];
    struct rkb_error error;
    snprintf(id, sizeof id, ID, number == 4 ? 3 : number == 7 ? 1 : number);
    struct rkb_letter letter = {.of = {
        [RKB_LETTER_CODE] = rkb_slice_text("expect"), [RKB_LETTER_REASON] = rkb_slice_text("/n: less than 0"),
        [RKB_LETTER_ERROR_TIME] = rkb_slice_text(number == 7 ? "2999-01-01T00:00:00.000Z" : "2023-11-01T10:00:01.000Z"),
        [RKB_LETTER_ROUTE] = rkb_slice_text(number <= 2 ? "a" : "b"), [RKB_LETTER_CHANNEL] = rkb_slice_text("c"),
        [RKB_LETTER_ID] = rkb_slice_text(id), [RKB_LETTER_TIME] = rkb_slice_text("2023-11-01T10:00:00.123Z"),
        [RKB_LETTER_FORM] = number == 5 ? rkb_slice_text("record") : rkb_slice(NULL, 0)}};
    struct rkb_record record = {.kind = RKB_MESSAGE, .flags = RKB_FLAG_DEAD, .sequence = (uint64_t)number,
                                .time_us = 1, .value = rkb_slice_text(number % 2 == 0 ? "even" : "odd")};
    record.headers = rkb_slice(headers, rkb_letter_size(&letter, &record.header_count));
    rkb_letter_write(&letter, headers);
    if (number == 6) {
        record.flags = 0;
        record.headers = rkb_slice(NULL, 0);
        record.header_count = 0;
    }
    assert_true(rkb_dead_append(dead, &record, number <= 2 ? "a" : "b", "", "expect", "less", 1, &error));
}

static void put_letters(struct desk *desk, int first, int last)
{
    struct rkb_error error;
    struct rkb_journal *journal = open_journal(desk->directory, 64 * MIB, MIB, NULL);
    struct rkb_dead *dead = rkb_dead_open(desk->directory, rkb_journal_id(journal), MIB, 0, &rkb_sys_posix, &error);
    assert_non_null(dead);
    for (int number = first; number <= last; number++)
        put_letter(dead, number);
    rkb_dead_close(dead);
    rkb_journal_close(journal);
}

static void write_config(struct desk *desk)
{
    snprintf(desk->config, sizeof desk->config, "%s/rkbridge.yaml", desk->directory);
    FILE *file = fopen(desk->config, "w");
    fprintf(file, "instance: here\nredis: {r: {url: \"redis://127.0.0.1:1\"}}\n"
            "kafka: {properties: {bootstrap.servers: \"127.0.0.1:1\"}}\n"
            "journal: {directory: \"%s\"}\ncontrol: {socket: \"%s\"}\nroutes:\n"
            "  a: {source: r, channels: [c], topic: t, envelope: raw}\n", desk->directory, desk->fixture->path);
    assert_int_equal(fclose(file), 0);
}

static void listen_at_desk(struct desk *desk)
{
    struct rkb_control_options options = options_of(desk->fixture);
    options.retry = take_letter;
    options.retry_context = desk;
    options.upload_limit = 10000;
    assert_int_equal(reopen(desk->fixture, &options), 0);
}

static int open_desk(void **state)
{
    struct desk *desk = calloc(1, sizeof *desk);
    if (start((void **)&desk->fixture) != 0)
        return -1;
    desk->directory = make_directory();
    desk->outcome = "taken\n";
    listen_at_desk(desk);
    write_config(desk);
    put_letters(desk, 1, 6);
    *state = desk;
    return 0;
}

static int close_desk(void **state)
{
    struct desk *desk = *state;
    remove_directory(desk->directory);
    rkb_buffer_free(&desk->out);
    rkb_buffer_free(&desk->err);
    int failed = stop((void **)&desk->fixture);
    free(desk);
    return failed;
}

/* ---- a command ---- */

struct command {
    char *words[10];
    int count, code;
    FILE *out, *err;
    _Atomic bool done;
};

static void *run_command(void *context)
{
    struct command *command = context;
    command->code = rkb_tool_dead(command->count, command->words, command->out, command->err);
    command->done = true;
    return NULL;
}

static void keep(struct rkb_buffer *buffer, char *text, size_t size)
{
    buffer->size = 0;
    rkb_buffer_add(buffer, text, size + 1);
    free(text);
}

/* rkbctl's side in a thread of its own, while the loop turns here. */
static int run(struct desk *desk, const char *line)
{
    char words[200], *out, *err;
    size_t out_size, err_size;
    struct command command = {.out = open_memstream(&out, &out_size), .err = open_memstream(&err, &err_size)};
    pthread_t thread;
    snprintf(words, sizeof words, "dead %s", line);
    for (char *save, *word = strtok_r(words, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
        command.words[command.count++] = word;
    command.words[command.count++] = (char *)(uintptr_t)"-c";
    command.words[command.count++] = desk->config;
    assert_int_equal(pthread_create(&thread, NULL, run_command, &command), 0);
    while (!command.done)
        turn(desk->fixture);
    pthread_join(thread, NULL);
    fclose(command.out);
    fclose(command.err);
    keep(&desk->out, out, out_size);
    keep(&desk->err, err, err_size);
    return command.code;
}

static const char *last_line(const struct desk *desk)
{
    static char line[300];
    const char *text = (const char *)desk->out.data;
    size_t size = strlen(text);
    assert_true(size > 0 && text[size - 1] == '\n');
    const char *before = memrchr(text, '\n', size - 1);
    snprintf(line, sizeof line, "%s", before != NULL ? before + 1 : text);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void expect(struct desk *desk, const char *line, int code, const char *last)
{
    int got = run(desk, line);
    if (got != code || strcmp(last_line(desk), last) != 0)
        fail_msg("%s: %d, and\n%s\n%s", line, got, desk->out.data, desk->err.data);
}

static void expect_list(struct desk *desk, const char *line, int lines)
{
    if (run(desk, line) != 0 || times_in((const char *)desk->out.data, "\n") != lines)
        fail_msg("%s:\n%s\n%s", line, desk->out.data, desk->err.data);
}

/* ---- the tests ---- */

/* Each message once, in the order of the file; the twin of one is done with it. */
static void test_all(void **state)
{
    static const char *const expected[] = {"a 018bcfe5-6800-7000-8000-000000000001 odd",
                                           "a 018bcfe5-6800-7000-8000-000000000002 even",
                                           "b 018bcfe5-6800-7000-8000-000000000003 odd"};
    struct desk *desk = *state;
    expect_list(desk, "list --json", 6);
    expect(desk, "retry --all", 1, "sent 3; 1 more were letters of the same messages; 2 cannot be sent");
    assert_int_equal(desk->count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(desk->came[i], expected[i]);
    assert_non_null(strstr((char *)desk->out.data, "0005: its value is a record"));
    assert_non_null(strstr((char *)desk->out.data, "file/6 -: its value is a record"));
    expect(desk, "retry --all", 1, "sent 0; 4 were sent before; 2 cannot be sent");
    assert_int_equal(desk->count, 3);
    expect_list(desk, "list --json", 2);
    expect_list(desk, "list --json --all", 6);
    assert_int_equal(times_in((char *)desk->out.data, "\"retried\":\"20"), 4);
    expect_list(desk, "list --all", 7);
    assert_int_equal(times_in((char *)desk->out.data, "  retried 20"), 4);
    assert_int_equal(times_in((char *)desk->out.data, "  waiting"), 2);
}

static void test_chosen(void **state)
{
    struct desk *desk = *state;
    expect(desk, "retry --route a", 0, "sent 2");
    expect(desk, "retry --route a", 0, "nothing to do: no dead letter waits among these; 2 were sent before");
    expect(desk, "retry --route none", 0, "nothing to do: no dead letter waits of this route");
    expect(desk, "retry file/4", 0, "sent 1");
    assert_string_equal(desk->came[2], "b 018bcfe5-6800-7000-8000-000000000003 even");
    expect_list(desk, "list --json", 3);
    expect(desk, "retry file/1 018bcfe5-6800-7000-8000-000000000003 file/99", 1, "sent 1; 2 were sent before");
    assert_non_null(strstr((char *)desk->err.data, "no dead letter with this id or place: file/99"));
    assert_int_equal(desk->count, 4);
    assert_int_equal(run(desk, "retry"), 64);
    assert_int_equal(run(desk, "retry --all file/1"), 64);
    assert_int_equal(run(desk, "retry --some"), 64);
    assert_int_equal(run(desk, "list --dry-run"), 64);
}

static void test_dry_run(void **state)
{
    struct desk *desk = *state;
    char *path = join(desk->directory, "dead-letters.retried");
    struct stat status;
    expect(desk, "retry --dry-run --route a", 0, "would send 2");
    assert_int_equal(times_in((char *)desk->out.data, ": would go to route a\n"), 2);
    assert_int_equal(desk->count, 0);
    assert_int_equal(stat(path, &status), -1);
    free(path);
}

static void test_outcomes(void **state)
{
    struct desk *desk = *state;
    desk->outcome = "dead_letter expect\n";
    expect(desk, "retry file/1", 0, "sent 1; 1 of them failed again and are new dead letters");
    desk->outcome = "filtered\n";
    expect(desk, "retry file/2", 0, "sent 1; 1 of them are filtered now");
    desk->outcome = "dropped missing\n";
    expect(desk, "retry file/3", 0, "sent 1; 1 of them are dropped now (missing: drop)");
}

/* What failed again while the command ran is a letter of its own, and waits for the next one. */
static void test_no_loop(void **state)
{
    struct desk *desk = *state;
    put_letters(desk, 7, 7);
    expect(desk, "retry file/1 file/7", 0, "sent 1");
    expect_list(desk, "list --json", 6);
    assert_non_null(strstr((char *)desk->out.data, "\"file/7\""));
    expect(desk, "retry file/1 file/7", 0, "sent 1; 1 were sent before");
    assert_int_equal(desk->count, 2);
    assert_string_equal(desk->came[0] + 2, "018bcfe5-6800-7000-8000-000000000001 odd");
    assert_string_equal(desk->came[1] + 2, "018bcfe5-6800-7000-8000-000000000001 odd");
}

/* No room for a while: it waits and goes on; no letter goes twice. */
static void test_busy(void **state)
{
    struct desk *desk = *state;
    desk->busy = 2;
    expect(desk, "retry --route a", 0, "sent 2");
    assert_int_equal(desk->count, 2);
}

static void test_refused(void **state)
{
    struct desk *desk = *state;
    desk->code = "unknown_route";
    expect(desk, "retry --route a", 1, "sent 0; 2 cannot be sent");
    assert_int_equal(times_in((char *)desk->out.data, ": unknown_route not so\n"), 2);
    desk->code = NULL;
    expect(desk, "retry --route a", 0, "sent 2");
}

/* It ends in the middle: what it took is noted, the rest waits. */
static void test_it_ends(void **state)
{
    struct desk *desk = *state;
    desk->last = 1;
    expect(desk, "retry --route a", 69, "sent 1");
    assert_non_null(strstr((char *)desk->err.data, "about to end"));
    desk->last = 0;
    expect(desk, "retry --route a", 0, "sent 1; 1 were sent before");
    assert_string_equal(desk->came[1], "a 018bcfe5-6800-7000-8000-000000000002 even");
    rkb_control_free(desk->fixture->control);
    desk->fixture->control = NULL;
    assert_int_equal(run(desk, "retry file/3"), 69);
    assert_non_null(strstr((char *)desk->err.data, "cannot reach rkbridge"));
    listen_at_desk(desk);
    expect(desk, "retry file/3", 0, "sent 1");
}

/* Where it may not note what it did it does nothing. */
static void test_no_right(void **state)
{
    struct desk *desk = *state;
    char *path = join(desk->directory, "dead-letters.retried");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(run(desk, "retry --all"), 1);
    assert_non_null(strstr((char *)desk->err.data, "nothing was sent"));
    assert_int_equal(desk->count, 0);
    assert_int_equal(rmdir(path), 0);
    free(path);
}

#define at_desk(test) cmocka_unit_test_setup_teardown(test, open_desk, close_desk)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        at_desk(test_all),  at_desk(test_chosen),  at_desk(test_dry_run), at_desk(test_outcomes),
        at_desk(test_no_loop),
        at_desk(test_busy), at_desk(test_refused), at_desk(test_it_ends), at_desk(test_no_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
