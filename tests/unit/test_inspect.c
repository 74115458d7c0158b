/*
 * Tests of `rkbctl journal list|verify|dump`: what they say of sound and of damaged journals, and that they change
 * nothing.
 */
#include "journal_support.h"

#include "journal/dead.h"
#include "journal/scan.h"
#include "message/position.h"
#include "tool/tool.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEGMENT (64 * 1024)

/* What a command wrote and its exit code. */
struct result {
    int code;
    char *out, *err;
};

static struct result run(const char *command, const char *option, const char *directory)
{
    struct result result;
    size_t out_size, err_size;
    FILE *out = open_memstream(&result.out, &out_size), *err = open_memstream(&result.err, &err_size);
    char *words[5] = {strdup("journal"), strdup(command)};
    int count = 2;
    if (option != NULL)
        words[count++] = strdup(option);
    if (directory != NULL)
        words[count++] = strdup(directory);
    result.code = rkb_tool_journal(count, words, out, err);
    fclose(out);
    fclose(err);
    while (count > 0)
        free(words[--count]);
    return result;
}

static void free_result(struct result *result)
{
    free(result->out);
    free(result->err);
}

static void expect(const char *command, const char *option, const char *directory, int code, const char *words)
{
    struct result result = run(command, option, directory);
    if (result.code != code
        || (words != NULL && strstr(result.out, words) == NULL && strstr(result.err, words) == NULL))
        fail_msg("%s: code %d instead of %d, or no \"%s\" in:\n%s%s", command, result.code, code, words, result.out,
                 result.err);
    free_result(&result);
}

static void add_record(struct batch *batch, const struct rkb_record *record)
{
    size_t size = rkb_record_size(record->key.size, record->headers.size, record->value.size);
    uint8_t *at = rkb_buffer_reserve(&batch->bytes, size);
    batch->bytes.size += rkb_record_write(at, record, BATCH_SALT);
}

/*
 * Two segments: names, a mark, two messages (one not UTF-8), a gap; then more messages. The first two records are
 * settled.
 */
static void make_journal(const char *directory)
{
    static const char gap[] = "{\"id\":4,\"source\":\"legacy\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,"
                              "\"reason\":\"restart\",\"bound\":null}";
    struct rkb_mark mark = {.random = {0xab, 0xcd}, .epoch = 9, .time_ms = 1795380667123, .span_count = 17};
    uint8_t value[RKB_MARK_SIZE];
    struct rkb_error error;
    struct rkb_journal *journal = open_journal(directory, 8 * MIB, SEGMENT, NULL);
    struct batch batch = {0};
    batch_name(&batch, RKB_NAME_ROUTE, "users");
    batch_name(&batch, RKB_NAME_TOPIC, "user_activity");
    batch_name(&batch, RKB_NAME_SOURCE, "legacy");
    rkb_mark_write(&mark, value);
    add_record(&batch, &(struct rkb_record){.kind = RKB_MARK, .sequence = 1, .time_us = 1795380667123000, .epoch = 9,
                                            .route = 1, .value = {value, sizeof value}});
    add_record(&batch, &(struct rkb_record){.kind = RKB_MESSAGE, .sequence = 2, .time_us = 1795380667124000, .epoch = 9,
                                            .count = 1, .route = 1, .topic = 1, .header_count = 1, .has_key = true,
                                            .key = rkb_slice_text("k\xc3\xa4y"),
                                            .headers = rkb_slice("\1\0\2\0\0\0nvv", 9),
                                            .value = rkb_slice_text("{\"a\": 1}")});
    add_record(&batch, &(struct rkb_record){.kind = RKB_MESSAGE, .sequence = 3, .time_us = 1795380667125000, .epoch = 9,
                                            .count = 2, .route = 1, .topic = 7, .value = rkb_slice("\xff\0x", 3)});
    add_record(&batch, &(struct rkb_record){.kind = RKB_GAP, .sequence = 4, .time_us = 1795380667125000, .route = 1,
                                            .value = rkb_slice_text(gap)});
    append_batch(journal, &batch);
    settle(journal, 1, 2);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    journal = open_journal(directory, 8 * MIB, SEGMENT, NULL);
    append_messages(journal, 5, 14, 60);
    rkb_journal_close(journal);
    batch_free(&batch);
}

static void list_shows_segments_and_checkpoint(void **state)
{
    make_journal(*state);
    struct result result = run("list", NULL, *state);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "all below 3 is settled"));
    char *first = strstr(result.out, "00000000000000000001.seg");
    char *second = strstr(result.out, "00000000000000000005.seg");
    assert_non_null(first);
    assert_non_null(second);
    uint64_t last, messages, marks, gaps, names;
    char state_word[20];
    double size;
    assert_int_equal(sscanf(first, "%*s %lu %lf %*s %lu %lu %lu %lu %19s", &last, &size, &messages, &marks, &gaps,
                            &names, state_word), 7);
    assert_int_equal(last, 4);
    assert_int_equal(messages, 2);
    assert_int_equal(marks, 1);
    assert_int_equal(gaps, 1);
    assert_int_equal(names, 3);
    assert_string_equal(state_word, "sealed");
    assert_int_equal(sscanf(second, "%*s %lu %lf %*s %lu %lu %lu %lu %19s", &last, &size, &messages, &marks, &gaps,
                            &names, state_word), 7);
    assert_int_equal(last, 14);
    assert_int_equal(messages, 10);
    assert_int_equal(names, 3);
    assert_string_equal(state_word, "filling");
    free_result(&result);
}

static json_t *line_of(const char *text, int number)
{
    while (number-- > 0)
        text = strchr(text, '\n') + 1;
    json_t *object = json_loadb(text, strcspn(text, "\n"), 0, NULL);
    assert_non_null(object);
    return object;
}

static void assert_json(json_t *object, const char *expected)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    assert_string_equal(text, expected);
    free(text);
    json_decref(object);
}

static void dump_writes_one_object_a_line(void **state)
{
    make_journal(*state);
    struct result result = run("dump", NULL, *state);
    assert_int_equal(result.code, 0);
    assert_json(line_of(result.out, 0), "{\"kind\":\"name\",\"class\":\"route\",\"number\":1,\"name\":\"users\"}");
    assert_json(line_of(result.out, 3), "{\"sequence\":1,\"settled\":true,\"kind\":\"mark\","
                                        "\"time\":\"2026-11-22T20:51:07.123Z\",\"source\":\"legacy\","
                                        "\"mark\":\"abcd0000000000000000000000000000\","
                                        "\"before\":\"00000000000000000000000000000000\",\"epoch\":9,"
                                        "\"span_count\":17}");
    assert_json(line_of(result.out, 4), "{\"sequence\":2,\"settled\":true,\"kind\":\"message\","
                                        "\"time\":\"2026-11-22T20:51:07.124Z\",\"route\":\"users\","
                                        "\"topic\":\"user_activity\","
                                        "\"position\":\"abcd0000000000000000000000000000:1\",\"epoch\":9,\"count\":1,"
                                        "\"key\":\"k\xc3\xa4y\",\"headers\":[{\"name\":\"n\",\"value\":\"vv\"}],"
                                        "\"value\":\"{\\\"a\\\": 1}\"}");
    assert_json(line_of(result.out, 5), "{\"sequence\":3,\"settled\":false,\"kind\":\"message\","
                                        "\"time\":\"2026-11-22T20:51:07.125Z\",\"route\":\"users\",\"topic\":7,"
                                        "\"position\":\"abcd0000000000000000000000000000:2\",\"epoch\":9,\"count\":2,"
                                        "\"key\":null,\"headers\":[],\"value_base64\":\"/wB4\"}");
    assert_json(line_of(result.out, 6), "{\"sequence\":4,\"settled\":false,\"kind\":\"gap\","
                                        "\"time\":\"2026-11-22T20:51:07.125Z\",\"source\":\"legacy\",\"gap\":{\"id\":4,"
                                        "\"source\":\"legacy\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,"
                                        "\"reason\":\"restart\",\"bound\":null}}");
    free_result(&result);

    result = run("dump", "--no-values", *state);
    assert_int_equal(result.code, 0);
    assert_null(strstr(result.out, "\"value\":\"{"));
    assert_non_null(strstr(result.out, "\"value_size\":8"));
    free_result(&result);
}

static void flip(const char *directory, const char *name, size_t at)
{
    size_t size;
    char *path = join(directory, name);
    uint8_t *bytes = read_whole(path, &size);
    bytes[at] ^= 1;
    write_whole(path, bytes, size);
    free(bytes);
    free(path);
}

static void verify_tells_sound_from_damaged(void **state)
{
    static const char first[] = "00000000000000000001.seg", second[] = "00000000000000000005.seg";
    static const struct {
        const char *name;
        size_t at;
        int code;
        const char *words;
    } rows[] = {
        {first, 20, 73, "00000000000000000001.seg at 0: header's checksum does not hold"},
        {first, 20, 73, "records 3 to 4 are missing"},
        {first, 100, 73, "00000000000000000001.seg at 64: checksum does not hold"},
        {second, 300, 73, "00000000000000000005.seg at "},
        {second, 1735, 0, "an unfinished write"},
        {"checkpoint", 4096, 0, "sound"},           /* the other slot still counts */
        {"checkpoint", 10, 73, "its header does not read back"},
        {"lock", 3, 73, "the lock file does not hold the id"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        empty_directory(*state);
        make_journal(*state);
        expect("verify", NULL, *state, 0, "sound: 2 segments, 14 records");
        flip(*state, rows[i].name, rows[i].at);
        expect("verify", NULL, *state, rows[i].code, rows[i].words);
    }
    empty_directory(*state);
    make_journal(*state);
    char *path = join(*state, second);
    assert_int_equal(truncate(path, 700), 0);
    expect("verify", NULL, *state, 0, "sound");
    assert_int_equal(unlink(path), 0);
    expect("verify", NULL, *state, 0, "sound: 1 segments, 4 records");
    free(path);
}

static void put_aside(const char *directory)
{
    struct rkb_error error;
    struct rkb_journal *journal = open_journal(directory, 8 * MIB, SEGMENT, NULL);
    struct rkb_dead *dead = rkb_dead_open(directory, rkb_journal_id(journal), MIB, 0, &rkb_sys_posix, &error);
    const struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = 2, .time_us = 1795380667124000, .epoch = 9,
                                      .count = 1, .route = 5, .topic = 6, .value = rkb_slice_text("{\"a\": 1}")};
    assert_true(rkb_dead_append(dead, &record, "users", "user_activity", "MSG_SIZE_TOO_LARGE", "Broker: too large",
                                1795380668000000, &error));
    rkb_dead_close(dead);
    rkb_journal_close(journal);
}

/* A write that failed may leave whole records that could not be cut off: the next segment has their numbers. */
static void what_was_given_up_is_no_damage(void **state)
{
    const struct rkb_record again = {.kind = RKB_MESSAGE, .sequence = 5, .route = 1, .topic = 1};
    struct rkb_segment_head head;
    struct rkb_record record;
    struct rkb_error error;
    const char *why;
    size_t size;
    make_journal(*state);
    char *path = join(*state, "00000000000000000001.seg");
    uint8_t *bytes = read_whole(path, &size);
    assert_true(rkb_segment_head_parse(bytes, size, &head, &error));
    struct rkb_scan scan = rkb_scan(bytes, size, &head);
    while (rkb_scan_next(&scan, &record, &why) == RKB_PARSE_RECORD) {
    }
    bytes = realloc(bytes, size + MIB);
    size_t more = rkb_record_write(bytes + scan.offset, &again, head.salt);
    write_whole(path, bytes, scan.offset + more);
    expect("verify", NULL, *state, 0, "sound: 2 segments, 14 records");
    free(bytes);
    free(path);
}

static void dead_letters_are_shown_with_their_reasons(void **state)
{
    make_journal(*state);
    put_aside(*state);
    expect("list", NULL, *state, 0, "dead letters  1 in ");
    expect("verify", NULL, *state, 0, ", 1 dead letters\n");
    struct result result = run("dump", NULL, *state);
    const char *last = strstr(result.out, "{\"sequence\":2,\"kind\":\"dead_letter\"");
    assert_non_null(last);
    assert_json(line_of(last, 0),
                "{\"sequence\":2,\"kind\":\"dead_letter\",\"time\":\"2026-11-22T20:51:07.124Z\","
                "\"refused\":\"2026-11-22T20:51:08.000Z\",\"route\":\"users\",\"topic\":\"user_activity\","
                "\"code\":\"MSG_SIZE_TOO_LARGE\",\"reason\":\"Broker: too large\","
                "\"position\":\"abcd0000000000000000000000000000:1\",\"epoch\":9,\"count\":1,\"key\":null,"
                "\"headers\":[],\"value\":\"{\\\"a\\\": 1}\"}");
    free_result(&result);
    result = run("dump", "--no-values", *state);
    assert_null(strstr(result.out, "\"value\":\"{"));
    free_result(&result);

    /* Moved away, with the lock file beside it, it still reads. */
    char *away = make_directory();
    copy_directory(*state, away);
    char *paths[] = {join(away, "checkpoint"), join(away, "00000000000000000001.seg"),
                     join(away, "00000000000000000005.seg"), join(away, "00000000000000000015.seg")};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(unlink(paths[i]), 0);
        free(paths[i]);
    }
    assert_int_equal(count_files(away, ""), 2);
    expect("dump", NULL, away, 0, "\"code\":\"MSG_SIZE_TOO_LARGE\"");
    remove_directory(away);

    flip(*state, "dead-letters", 150);
    expect("verify", NULL, *state, 73, "dead-letters at 64: checksum does not hold");
    expect("dump", NULL, *state, 73, "dead-letters at 64: checksum does not hold");
    expect("list", NULL, *state, 0, "damaged at 64");
    flip(*state, "dead-letters", 150);
    flip(*state, "dead-letters", 3);
    expect("verify", NULL, *state, 73, "dead-letters at 0: ");
    flip(*state, "dead-letters", 3);
    char *path = join(*state, "dead-letters");
    assert_int_equal(truncate(path, 200), 0);
    expect("verify", NULL, *state, 0, "an unfinished write");
    expect("verify", NULL, *state, 0, "sound");
    free(path);
}

/* What a message's flags say is shown where they say something. */
static void dump_shows_flags(void **state)
{
    struct batch batch = {0};
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, SEGMENT, NULL);
    batch_name(&batch, RKB_NAME_ROUTE, "users");
    add_record(&batch, &(struct rkb_record){.kind = RKB_MESSAGE, .flags = RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | 1,
                                            .sequence = 1, .time_us = 1795380667124000, .epoch = 9, .count = 1,
                                            .route = 1, .has_key = true, .key = rkb_slice_text("c"),
                                            .value = rkb_slice_text("x")});
    append_batch(journal, &batch);
    rkb_journal_close(journal);
    batch_free(&batch);
    struct result result = run("dump", NULL, *state);
    assert_json(line_of(result.out, 1), "{\"sequence\":1,\"settled\":false,\"kind\":\"message\","
                                        "\"time\":\"2026-11-22T20:51:07.124Z\",\"route\":\"users\",\"epoch\":9,"
                                        "\"count\":1,\"dead\":true,\"key_is_channel\":true,\"form\":\"raw\","
                                        "\"key\":\"c\",\"headers\":[],\"value\":\"x\"}");
    free_result(&result);
}

/* Of a topic's records, those below its low are settled, though the checkpoint's low stands before them. */
static void a_topics_low_is_shown(void **state)
{
    struct rkb_error error;
    make_journal(*state);
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, SEGMENT, NULL);
    rkb_journal_topic_low(journal, 1, 10);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    expect("list", NULL, *state, 0, "all below 3 is settled; of 1 topics all up to a number of its own, at most 9\n");
    expect("verify", NULL, *state, 0, "sound");
    expect("dump", NULL, *state, 0, "{\"sequence\":3,\"settled\":false,");
    expect("dump", NULL, *state, 0, "{\"sequence\":9,\"settled\":true,");
    expect("dump", NULL, *state, 0, "{\"sequence\":10,\"settled\":false,");
}

static void a_missing_segment_is_told(void **state)
{
    make_journal(*state);
    rkb_journal_close(open_journal(*state, 8 * MIB, SEGMENT, NULL));
    char *path = join(*state, "00000000000000000005.seg");
    assert_int_equal(unlink(path), 0);
    expect("verify", NULL, *state, 73, "records 5 to 14 are missing behind");
    expect("list", NULL, *state, 0, "records 5 to 14 are missing");
    free(path);
    path = join(*state, "00000000000000000001.seg");
    assert_int_equal(unlink(path), 0);
    expect("verify", NULL, *state, 73, "records 3 to 14 are missing before the oldest segment");
    free(path);
}

static void a_newer_segment_is_told(void **state)
{
    size_t size;
    struct rkb_segment_head head;
    struct rkb_error error;
    make_journal(*state);
    char *path = join(*state, "00000000000000000001.seg");
    uint8_t *bytes = read_whole(path, &size);
    assert_true(rkb_segment_head_parse(bytes, size, &head, &error));
    head.version = RKB_FORMAT_VERSION + 1;
    rkb_segment_head_write(bytes, &head);
    write_whole(path, bytes, size);
    expect("verify", NULL, *state, 73, "by a newer rkbridge");
    free(bytes);
    free(path);
}

/* The id that the lock has lost is in every segment. */
static void list_shows_a_lost_id(void **state)
{
    char id[33] = "";
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, SEGMENT, NULL);
    rkb_hex(id, rkb_journal_id(journal), 16);
    rkb_journal_close(journal);
    char *path = join(*state, "lock");
    assert_int_equal(unlink(path), 0);
    expect("list", NULL, *state, 0, id);
    free(path);
}

/* While a bridge has the journal open, and without changing a byte of it. */
static void it_reads_along_and_changes_nothing(void **state)
{
    make_journal(*state);
    struct rkb_journal *journal = open_journal(*state, 8 * MIB, SEGMENT, NULL);
    append_messages(journal, 15, 20, 60);
    char *copy = make_directory();
    copy_directory(*state, copy);
    expect("verify", NULL, *state, 0, "sound: 3 segments, 20 records");
    expect("dump", NULL, *state, 0, "\"sequence\":20");
    rkb_journal_close(journal);
    static const char *const names[] = {"00000000000000000001.seg", "00000000000000000005.seg",
                                        "00000000000000000015.seg", "checkpoint", "lock"};
    assert_int_equal(count_files(*state, ""), 5);
    for (size_t i = 0; i < 5; i++) {
        size_t before_size, after_size;
        char *before_path = join(copy, names[i]), *after_path = join(*state, names[i]);
        uint8_t *before = read_whole(before_path, &before_size), *after = read_whole(after_path, &after_size);
        assert_int_equal(before_size, after_size);
        assert_memory_equal(before, after, before_size);
        free(before);
        free(after);
        free(before_path);
        free(after_path);
    }
    remove_directory(copy);
}

static void wrong_use_is_64(void **state)
{
    char *none = join(*state, "none");
    expect("list", NULL, NULL, 64, "usage:");
    expect("mend", NULL, *state, 64, "usage:");
    expect("list", "--no-values", *state, 64, "usage:");
    expect("list", NULL, *state, 64, "is no journal");
    expect("list", NULL, none, 64, "cannot read the directory");
    free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(list_shows_segments_and_checkpoint),
        in_directory(dump_writes_one_object_a_line),
        in_directory(dump_shows_flags),
        in_directory(verify_tells_sound_from_damaged),
        in_directory(what_was_given_up_is_no_damage),
        in_directory(dead_letters_are_shown_with_their_reasons),
        in_directory(a_topics_low_is_shown),
        in_directory(a_missing_segment_is_told),
        in_directory(a_newer_segment_is_told),
        in_directory(list_shows_a_lost_id),
        in_directory(it_reads_along_and_changes_nothing),
        in_directory(wrong_use_is_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
