/* Tests of gaps as JSON and of the ledger that keeps them. */
#include "disks.h"
#include "journal_support.h"

#include "journal/gap.h"
#include "journal/ledger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t id[16] = {5, 6, 7};

static struct rkb_gap gap_for(uint64_t number, bool closed)
{
    struct rkb_gap gap = {.id = number, .source = "old redis", .reason = "connection_lost",
                          .from_us = 1795380667123000 + (int64_t)number * 1000,
                          .bound = number % 2 ? number * 3 : RKB_BOUND_UNKNOWN};
    gap.to_us = closed ? gap.from_us + 5000 : 0;
    return gap;
}

static void assert_same(const struct rkb_gap *a, const struct rkb_gap *b)
{
    assert_int_equal(a->id, b->id);
    assert_string_equal(a->source, b->source);
    assert_string_equal(a->reason, b->reason);
    assert_int_equal(a->from_us, b->from_us);
    assert_int_equal(a->to_us, b->to_us);
    assert_true(a->bound == b->bound);
}

static void a_gap_as_json(void **state)
{
    (void)state;
    struct rkb_gap gap = gap_for(2, false), back;
    struct rkb_buffer json = {0};
    struct rkb_error error = {0};
    rkb_gap_write(&gap, &json);
    rkb_buffer_add(&json, "", 1);
    assert_string_equal((char *)json.data,
                        "{\"id\":2,\"source\":\"old redis\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,"
                        "\"reason\":\"connection_lost\",\"bound\":null,\"position_before\":null,"
                        "\"position_after\":null}");
    assert_true(rkb_gap_parse(rkb_slice(json.data, json.size - 1), &back, &error));
    assert_same(&gap, &back);
    rkb_buffer_free(&json);

    gap = gap_for(3, true);
    gap.to_us += 1;             /* the end is rounded up, so that the gap never shrinks */
    rkb_gap_write(&gap, &json);
    assert_true(rkb_gap_parse(rkb_slice(json.data, json.size), &back, &error));
    assert_int_equal(back.to_us, gap.to_us + 999);
    assert_int_equal(back.bound, 9);
    rkb_buffer_free(&json);
}

/* Positions and anchor come back; others do not see the anchor; what an older rkbridge wrote has none of them. */
static void a_gap_with_positions_as_json(void **state)
{
    (void)state;
    static const char old[] = "{\"id\":2,\"source\":\"s\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,"
                              "\"reason\":\"r\",\"bound\":4}";
    struct rkb_gap gap = gap_for(2, true), back;
    struct rkb_buffer json = {0};
    struct rkb_error error = {0};
    strcpy(gap.before, "00112233445566778899aabbccddeeff:4294967295");
    strcpy(gap.after, "ffeeddccbbaa99887766554433221100:0");
    gap.has_anchor = true;
    for (size_t i = 0; i < sizeof gap.anchor; i++)
        gap.anchor[i] = (uint8_t)(i * 7 + 129);
    rkb_gap_write(&gap, &json);
    assert_true(rkb_gap_parse(rkb_slice(json.data, json.size), &back, &error));
    assert_same(&gap, &back);
    assert_string_equal(back.before, gap.before);
    assert_string_equal(back.after, gap.after);
    assert_true(back.has_anchor);
    assert_memory_equal(back.anchor, gap.anchor, sizeof gap.anchor);
    rkb_buffer_free(&json);
    rkb_gap_show(&gap, &json);
    assert_null(memmem(json.data, json.size, "anchor", 6));
    assert_non_null(memmem(json.data, json.size, gap.after, strlen(gap.after)));
    rkb_buffer_free(&json);
    assert_true(rkb_gap_parse(rkb_slice_text(old), &back, &error));
    assert_string_equal(back.before, "");
    assert_string_equal(back.after, "");
    assert_false(back.has_anchor);
}

static void json_that_is_no_gap_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "{}", "[1]", "{\"id\":2",
        "{\"id\":-2,\"source\":\"s\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,\"reason\":\"r\","
        "\"bound\":null}",
        "{\"id\":2,\"source\":\"s\",\"from\":\"2026-11-22\",\"to\":null,\"reason\":\"r\",\"bound\":null}",
        "{\"id\":2,\"source\":\"s\",\"from\":\"2026-11-22T20:51:07.125Zx\",\"to\":null,\"reason\":\"r\","
        "\"bound\":null}",
        "{\"id\":2,\"source\":\"s\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":5,\"reason\":\"r\",\"bound\":null}",
        "{\"id\":2,\"source\":\"s\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,\"reason\":\"r\","
        "\"bound\":\"x\"}",
        "{\"id\":2,\"source\":\"s\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,\"reason\":\"r\",\"bound\":-1}",
        "{\"id\":2,\"source\":\"s\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,\"reason\":\"a reason that is "
        "longer than it may be\",\"bound\":null}",
        "{\"id\":2,\"source\":\"s\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,\"reason\":\"r\",\"bound\":1,"
        "\"position_before\":7}",
        "{\"id\":2,\"source\":\"s\",\"from\":\"2026-11-22T20:51:07.125Z\",\"to\":null,\"reason\":\"r\",\"bound\":1,"
        "\"position_after\":\"00112233445566778899aabbccddeeff:42949672950\"}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_gap gap;
        struct rkb_error error = {0};
        assert_false(rkb_gap_parse(rkb_slice_text(rows[i]), &gap, &error));
        assert_int_equal(error.code, RKB_DAMAGED);
    }
}

struct seen {
    struct rkb_gap gaps[8192];
    size_t count;
};

static void see(void *context, const struct rkb_gap *gap)
{
    struct seen *seen = context;
    if (seen->count < sizeof seen->gaps / sizeof seen->gaps[0])
        seen->gaps[seen->count++] = *gap;
}

static struct seen seen;

static struct rkb_ledger *try_open(const char *directory, const struct rkb_sys *sys, struct rkb_error *error)
{
    seen.count = 0;
    return rkb_ledger_open(directory, id, sys, see, &seen, error);
}

static struct rkb_ledger *must_open(const char *directory)
{
    struct rkb_error error = {0};
    struct rkb_ledger *ledger = try_open(directory, &rkb_sys_posix, &error);
    if (ledger == NULL || error.code != RKB_OK)
        fail_msg("%s", error.text);
    return ledger;
}

static void append(struct rkb_ledger *ledger, uint64_t number, bool closed)
{
    struct rkb_gap gap = gap_for(number, closed);
    struct rkb_error error = {0};
    if (!rkb_ledger_append(ledger, &gap, &error))
        fail_msg("%s", error.text);
}

static void the_latest_state_of_each_is_kept_in_order(void **state)
{
    struct rkb_ledger *ledger = must_open(*state);
    assert_int_equal(seen.count, 0);
    append(ledger, 7, false);
    append(ledger, 3, false);
    append(ledger, 9, true);
    append(ledger, 3, true);
    for (int restart = 0; restart < 3; restart++) {
        rkb_ledger_close(ledger);
        ledger = must_open(*state);
        static const uint64_t ids[] = {3, 7, 9};
        assert_int_equal(seen.count, 3);
        for (size_t i = 0; i < 3; i++) {
            struct rkb_gap expected = gap_for(ids[i], ids[i] != 7);
            assert_same(&seen.gaps[i], &expected);
        }
    }
    rkb_ledger_close(ledger);
}

/* A ledger of three gaps, closed, as bytes in memory. */
struct file {
    char *path;
    uint8_t *bytes;
    size_t size, record;        /* of the whole, of each of the three */
};

static struct file make_three(const char *directory)
{
    struct file file = {.path = join(directory, "ledger")};
    struct rkb_ledger *ledger = must_open(directory);
    for (uint64_t i = 1; i <= 3; i++)
        append(ledger, i, true);
    rkb_ledger_close(ledger);
    file.bytes = read_whole(file.path, &file.size);
    file.record = (file.size - RKB_SEGMENT_HEADER) / 3;
    return file;
}

static void free_file(struct file *file)
{
    free(file->path);
    free(file->bytes);
}

/* The ledger has shown what is whole, takes another, and shows that too when it opens again. Closes it. */
static void goes_on(struct rkb_ledger *ledger, const char *directory, size_t whole)
{
    assert_non_null(ledger);
    assert_int_equal(seen.count, whole);
    append(ledger, 9, false);
    rkb_ledger_close(ledger);
    ledger = must_open(directory);
    assert_int_equal(seen.count, whole + 1);
    rkb_ledger_close(ledger);
}

static void every_cut_keeps_what_is_whole_and_goes_on(void **state)
{
    struct file file = make_three(*state);
    for (size_t cut = RKB_SEGMENT_HEADER; cut <= file.size; cut++) {
        write_whole(file.path, file.bytes, cut);
        goes_on(must_open(*state), *state, (cut - RKB_SEGMENT_HEADER) / file.record);
    }
    free_file(&file);
}

static void every_flip_is_told_or_a_torn_tail(void **state)
{
    struct file file = make_three(*state);
    for (size_t flip = 0; flip < file.size; flip++) {
        struct rkb_error error = {0};
        empty_directory(*state);
        file.bytes[flip] ^= 1;
        write_whole(file.path, file.bytes, file.size);
        file.bytes[flip] ^= 1;
        struct rkb_ledger *ledger = try_open(*state, &rkb_sys_posix, &error);
        bool head = flip < RKB_SEGMENT_HEADER;
        size_t whole = head ? 0 : (flip - RKB_SEGMENT_HEADER) / file.record;
        size_t within = head ? 0 : (flip - RKB_SEGMENT_HEADER) % file.record;
        bool length = within >= 9 && within < 12;
        if (whole < 2 && !length)           /* a length that reaches beyond the file looks torn */
            assert_int_equal(error.code, RKB_DAMAGED);
        assert_int_equal(count_files(*state, ".damaged"), error.code == RKB_DAMAGED);
        goes_on(ledger, *state, whole);
    }
    free_file(&file);
}

static void a_second_damaged_ledger_does_not_replace_the_first(void **state)
{
    struct file file = make_three(*state);
    file.bytes[RKB_SEGMENT_HEADER + 70] ^= 1;
    for (int round = 0; round < 3; round++) {
        struct rkb_error error = {0};
        write_whole(file.path, file.bytes, file.size);
        rkb_ledger_close(try_open(*state, &rkb_sys_posix, &error));
        assert_int_equal(error.code, RKB_DAMAGED);
    }
    assert_int_equal(count_files(*state, ".damaged"), 1);
    assert_int_equal(count_files(*state, ".damaged.2"), 1);
    assert_int_equal(count_files(*state, ".damaged.3"), 1);
    free_file(&file);
}

static void a_newer_ledger_is_refused(void **state)
{
    struct rkb_segment_head head;
    struct rkb_error error = {0};
    struct file file = make_three(*state);
    assert_true(rkb_segment_head_parse(file.bytes, file.size, &head, &error));
    head.version++;
    rkb_segment_head_write(file.bytes, &head);
    write_whole(file.path, file.bytes, file.size);
    assert_null(try_open(*state, &rkb_sys_posix, &error));
    assert_int_equal(error.code, RKB_VERSION);
    free_file(&file);
}

static void it_stays_small_and_keeps_the_open_ones(void **state)
{
    struct rkb_error error = {0};
    struct stat status;
    char *path = join(*state, "ledger");
    struct rkb_ledger *ledger = try_open(*state, quick_disk(), &error);
    off_t most = 0;
    append(ledger, 1, false);
    for (uint64_t i = 2; i <= 20000; i++) {
        append(ledger, i, i != 5000);
        if (i % 100 == 0) {
            assert_int_equal(stat(path, &status), 0);
            most = status.st_size > most ? status.st_size : most;
        }
    }
    assert_true(most > 900 * 1024 && most <= 1024 * 1024 + 1024);
    rkb_ledger_close(ledger);
    ledger = must_open(*state);
    assert_int_equal(seen.gaps[0].id, 1);
    assert_int_equal(seen.gaps[1].id, 5000);
    assert_int_equal(seen.gaps[seen.count - 1].id, 20000);
    assert_true(seen.count > 2000 && seen.count < 6000);
    for (size_t i = 2; i < seen.count; i++)
        assert_int_equal(seen.gaps[i].id, 20000 - (seen.count - 1 - i));
    rkb_ledger_close(ledger);
    free(path);
}

static void what_append_promised_is_there_whatever_fails(void **state)
{
    static const enum call calls[] = {CALL_PWRITE, CALL_FDATASYNC, CALL_FSYNC, CALL_RENAME, CALL_OPEN};
    const struct rkb_sys *sys = faulty_disk();
    for (size_t kind = 0; kind < sizeof calls / sizeof calls[0]; kind++) {
        int point = 1;
        for (bool fired = true; fired; point++) {
            struct rkb_error error = {0};
            bool promised[10] = {false};
            empty_directory(*state);
            fail_call(calls[kind], point, EIO);
            struct rkb_ledger *ledger = try_open(*state, sys, &error);
            for (uint64_t i = 1; ledger != NULL && i < 10; i++) {
                struct rkb_gap gap = gap_for(i, true);
                promised[i] = rkb_ledger_append(ledger, &gap, &error);
            }
            fired = call_failed();
            rkb_ledger_close(ledger);
            ledger = must_open(*state);
            for (uint64_t i = 1, at = 0; i < 10; i++) {
                bool there = at < seen.count && seen.gaps[at].id == i;
                assert_true(there || !promised[i]);
                at += there;
            }
            rkb_ledger_close(ledger);
        }
        assert_true(point > 2);
    }
}

/* After a failed sync the file is not trusted: the next append writes all anew, into another one. */
static void a_failed_sync_is_not_just_repeated(void **state)
{
    struct rkb_error error = {0};
    struct stat before, after;
    char *path = join(*state, "ledger");
    struct rkb_ledger *ledger = try_open(*state, faulty_disk(), &error);
    append(ledger, 1, true);
    assert_int_equal(stat(path, &before), 0);
    struct rkb_gap gap = gap_for(2, true);
    fail_call(CALL_FDATASYNC, 1, EIO);
    assert_false(rkb_ledger_append(ledger, &gap, &error));
    append(ledger, 3, true);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino != after.st_ino);
    rkb_ledger_close(ledger);
    ledger = must_open(*state);
    assert_int_equal(seen.count, 3);
    rkb_ledger_close(ledger);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_as_json),
        cmocka_unit_test(a_gap_with_positions_as_json),
        cmocka_unit_test(json_that_is_no_gap_is_refused),
        in_directory(the_latest_state_of_each_is_kept_in_order),
        in_directory(every_cut_keeps_what_is_whole_and_goes_on),
        in_directory(every_flip_is_told_or_a_torn_tail),
        in_directory(a_second_damaged_ledger_does_not_replace_the_first),
        in_directory(a_newer_ledger_is_refused),
        in_directory(it_stays_small_and_keeps_the_open_ones),
        in_directory(what_append_promised_is_there_whatever_fails),
        in_directory(a_failed_sync_is_not_just_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
