/* Tests of the journal's bytes: records, segment heads, headers, the dictionary; and that the format is what it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal/dictionary.h"
#include "journal/format.h"
#include "journal/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SALT UINT64_C(0xfedcba9876543210)

static struct rkb_record sample(void)
{
    return (struct rkb_record){.kind = RKB_MESSAGE, .flags = RKB_FLAG_CHANNEL | 2, .header_count = 1, .sequence = 42,
                               .time_us = 1234567890123456, .epoch = 7, .count = 99, .route = 3, .topic = 5,
                               .has_key = true, .key = rkb_slice_text("the key"),
                               .headers = rkb_slice("\1\0\2\0\0\0nvv", 9),
                               .value = rkb_slice_text("{\"a\": 1}")};
}

static void assert_same(const struct rkb_record *a, const struct rkb_record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->header_count, b->header_count);
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->time_us, b->time_us);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->route, b->route);
    assert_int_equal(a->topic, b->topic);
    assert_int_equal(a->has_key, b->has_key);
    assert_true(rkb_slice_equal(a->key, b->key));
    assert_true(rkb_slice_equal(a->headers, b->headers));
    assert_true(rkb_slice_equal(a->value, b->value));
}

static void a_record_comes_back_as_it_was(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct rkb_record record = sample(), back;
    for (size_t length = 0; length < 20; length++) {
        record.value.size = length < 8 ? length : 8;
        record.key.size = length % 7;
        record.has_key = length % 3 != 0;
        if (!record.has_key)
            record.key.size = 0;
        memset(bytes, 0xee, sizeof bytes);
        size_t size = rkb_record_write(bytes, &record, SALT);
        assert_int_equal(size % 8, 0);
        assert_int_equal(size, rkb_record_size(record.key.size, record.headers.size, record.value.size));
        assert_int_equal(size, rkb_record_length(bytes));
        assert_int_equal(bytes[size], 0xee);
        assert_int_equal(rkb_record_parse(bytes, size, SALT, &back, NULL), RKB_PARSE_RECORD);
        assert_same(&record, &back);
        assert_int_equal(rkb_record_parse(bytes, sizeof bytes, SALT, &back, NULL), RKB_PARSE_RECORD);
    }
}

static void extremes_come_back(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct rkb_record record = {.kind = RKB_MARK, .header_count = UINT16_MAX, .sequence = UINT64_MAX,
                                .time_us = INT64_MIN, .epoch = UINT64_MAX, .count = UINT32_MAX, .route = UINT32_MAX,
                                .topic = UINT32_MAX};
    struct rkb_record back;
    assert_int_equal(rkb_record_write(bytes, &record, SALT), 64);
    assert_int_equal(rkb_record_parse(bytes, 64, SALT, &back, NULL), RKB_PARSE_RECORD);
    assert_same(&record, &back);
    record.has_key = true;      /* an empty key is not the same as none */
    rkb_record_write(bytes, &record, SALT);
    assert_int_equal(rkb_record_parse(bytes, 64, SALT, &back, NULL), RKB_PARSE_RECORD);
    assert_true(back.has_key);
    assert_int_equal(back.key.size, 0);
}

static void written_in_place_is_the_same(void **state)
{
    (void)state;
    uint8_t whole[256] = {0}, parts[256];
    struct rkb_record record = sample();
    memset(parts, 0xaa, sizeof parts);
    size_t size = rkb_record_write(whole, &record, SALT);
    assert_int_equal(rkb_record_begin(parts, &record), size);
    uint8_t *at = parts + RKB_RECORD_HEADER;
    memcpy(at, record.key.data, record.key.size);
    memcpy(at += record.key.size, record.headers.data, record.headers.size);
    memcpy(at += record.headers.size, record.value.data, record.value.size);
    rkb_record_seal(parts, SALT);
    assert_memory_equal(whole, parts, size);
}

static void another_salt_is_exchanged_without_hashing(void **state)
{
    (void)state;
    uint8_t bytes[256], again[256];
    struct rkb_record record = sample(), back;
    size_t size = rkb_record_write(bytes, &record, SALT);
    rkb_record_write(again, &record, 77);
    assert_int_equal(rkb_record_parse(bytes, size, 77, &back, NULL), RKB_PARSE_BAD);
    rkb_record_resalt(bytes, SALT, 77);
    assert_memory_equal(bytes, again, size);
}

static void every_flip_and_every_cut_is_seen(void **state)
{
    (void)state;
    struct rkb_record record = sample(), back;
    size_t size = rkb_record_size(record.key.size, record.headers.size, record.value.size);
    const char *why = NULL;
    for (size_t bit = 0; bit < size * 8; bit++) {
        uint8_t *bytes = malloc(size);      /* exactly as long, so that a sanitizer sees a step beyond it */
        rkb_record_write(bytes, &record, SALT);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(rkb_record_parse(bytes, size, SALT, &back, &why), RKB_PARSE_BAD);
        assert_non_null(why);
        free(bytes);
    }
    for (size_t cut = 1; cut < size; cut++) {
        uint8_t whole[256], *bytes = malloc(cut);
        rkb_record_write(whole, &record, SALT);
        memcpy(bytes, whole, cut);
        assert_int_equal(rkb_record_parse(bytes, cut, SALT, &back, &why), RKB_PARSE_BAD);
        free(bytes);
    }
}

/* Lengths that add up only when they overflow must not be believed. */
static void lengths_do_not_overflow(void **state)
{
    (void)state;
    uint8_t bytes[128] = {0};
    struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = 1}, back;
    rkb_record_write(bytes, &record, SALT);
    memset(bytes + 56, 0xff, 8);            /* headers and value of 4 GiB each */
    rkb_record_seal(bytes, SALT);
    assert_int_equal(rkb_record_parse(bytes, 128, SALT, &back, NULL), RKB_PARSE_BAD);
    memset(bytes + 8, 0xff, 4);             /* and a length near 4 GiB */
    assert_int_equal(rkb_record_parse(bytes, 128, SALT, &back, NULL), RKB_PARSE_BAD);
}

/* A length that is not what the parts add up to is refused even where the checksum holds. */
static void a_longer_length_than_its_parts_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[256] = {0};
    struct rkb_record record = sample(), back;
    size_t size = rkb_record_write(bytes, &record, SALT);
    bytes[8] = (uint8_t)(size + 8);
    rkb_record_seal(bytes, SALT);
    assert_int_equal(rkb_record_parse(bytes, sizeof bytes, SALT, &back, NULL), RKB_PARSE_BAD);
    bytes[8] = (uint8_t)(size - 8);
    rkb_record_seal(bytes, SALT);
    assert_int_equal(rkb_record_parse(bytes, sizeof bytes, SALT, &back, NULL), RKB_PARSE_BAD);
}

static void blank_is_told_from_bad(void **state)
{
    (void)state;
    uint8_t bytes[128] = {0};
    struct rkb_record back;
    assert_int_equal(rkb_record_parse(bytes, 128, SALT, &back, NULL), RKB_PARSE_BLANK);
    assert_int_equal(rkb_record_parse(bytes, 63, SALT, &back, NULL), RKB_PARSE_BLANK);
    assert_int_equal(rkb_record_parse(bytes, 0, SALT, &back, NULL), RKB_PARSE_BLANK);
    bytes[62] = 1;
    assert_int_equal(rkb_record_parse(bytes, 63, SALT, &back, NULL), RKB_PARSE_BAD);
    bytes[0] = 1;
    assert_int_equal(rkb_record_parse(bytes, 128, SALT, &back, NULL), RKB_PARSE_BAD);
}

static void peek_leaves_the_checksum_alone(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct rkb_record record = sample(), back;
    size_t size = rkb_record_write(bytes, &record, SALT);
    bytes[0] ^= 1;
    assert_int_equal(rkb_record_peek(bytes, size, &back, NULL), RKB_PARSE_RECORD);
    assert_same(&record, &back);
    bytes[12] = 5;
    assert_int_equal(rkb_record_peek(bytes, size, &back, NULL), RKB_PARSE_BAD);
}

static void a_segment_head_comes_back_and_flips_are_seen(void **state)
{
    (void)state;
    uint8_t bytes[RKB_SEGMENT_HEADER];
    struct rkb_segment_head head = {.version = 2, .journal_id = "0123456789abcde", .salt = SALT, .first_sequence = 77,
                                    .created_us = -5}, back;
    struct rkb_error error;
    rkb_segment_head_write(bytes, &head);
    assert_true(rkb_segment_head_parse(bytes, sizeof bytes, &back, &error));
    assert_int_equal(back.version, 2);
    assert_memory_equal(back.journal_id, head.journal_id, 16);
    assert_int_equal(back.salt, SALT);
    assert_int_equal(back.first_sequence, 77);
    assert_int_equal(back.created_us, -5);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(rkb_segment_head_parse(bytes, sizeof bytes, &back, &error));
        assert_int_equal(error.code, RKB_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_false(rkb_segment_head_parse(bytes, sizeof bytes - 1, &back, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    head.version = 1;       /* an older one reads */
    rkb_segment_head_write(bytes, &head);
    assert_true(rkb_segment_head_parse(bytes, sizeof bytes, &back, &error));
    assert_int_equal(back.version, 1);
    head.version = 3;
    rkb_segment_head_write(bytes, &head);
    assert_false(rkb_segment_head_parse(bytes, sizeof bytes, &back, &error));
    assert_int_equal(error.code, RKB_VERSION);
    assert_string_equal(error.text, "written in format version 3 by a newer rkbridge; this one reads up to version 2");
    head.version = 0;
    rkb_segment_head_write(bytes, &head);
    assert_false(rkb_segment_head_parse(bytes, sizeof bytes, &back, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
}

static void a_headers_area_is_stepped_through(void **state)
{
    (void)state;
    /* the last is cut short */
    static const uint8_t area[] = "\2\0\3\0\0\0abxyz" "\1\0\0\0\0\0q" "\1\0\4\0\0\0nval";
    struct rkb_reader reader = rkb_reader(area, sizeof area - 1);
    struct rkb_slice name, value;
    assert_true(rkb_headers_next(&reader, &name, &value));
    assert_true(rkb_slice_equal(name, rkb_slice_text("ab")));
    assert_true(rkb_slice_equal(value, rkb_slice_text("xyz")));
    assert_true(rkb_headers_next(&reader, &name, &value));
    assert_true(rkb_slice_equal(name, rkb_slice_text("q")));
    assert_int_equal(value.size, 0);
    assert_false(rkb_headers_next(&reader, &name, &value));
    assert_false(rkb_headers_next(&reader, &name, &value));
    reader = rkb_reader(area, 0);
    assert_false(rkb_headers_next(&reader, &name, &value));
}

/*
 * The format as it was released: a segment with fixed salt and one record of each kind. If this fails, the format
 * has changed: follow doc/journal-format.md, "Changing the format". In version 1 there were no flags.
 */
static const char golden_v1[] =
#include "golden/segment_v1.inc"
    ;
static const char golden[] =
#include "golden/segment_v2.inc"
    ;

static size_t build_golden(uint8_t *bytes)
{
    static const uint8_t mark[72] = {[0] = 0xa0, [15] = 0xaf, [16] = 9, [24] = 0x10, [25] = 0x27};
    struct rkb_segment_head head = {.version = RKB_FORMAT_VERSION, .salt = SALT, .first_sequence = 1000,
                                    .created_us = 1790000000000000};
    struct rkb_dictionary *names = rkb_dictionary_new();
    bool added;
    size_t at = RKB_SEGMENT_HEADER;
    for (uint8_t i = 0; i < 16; i++)
        head.journal_id[i] = (uint8_t)(i * 17);
    rkb_segment_head_write(bytes, &head);
    assert_int_equal(rkb_dictionary_add(names, RKB_NAME_ROUTE, rkb_slice_text("users"), &added), 1);
    assert_int_equal(rkb_dictionary_add(names, RKB_NAME_TOPIC, rkb_slice_text("user_activity"), &added), 1);
    at += rkb_dictionary_record(names, RKB_NAME_ROUTE, 1, bytes + at, SALT);
    at += rkb_dictionary_record(names, RKB_NAME_TOPIC, 1, bytes + at, SALT);
    rkb_dictionary_free(names);
    struct rkb_record record = {.kind = RKB_MARK, .sequence = 1000, .time_us = 10000000, .epoch = 9, .route = 1,
                                .value = {mark, sizeof mark}};
    at += rkb_record_write(bytes + at, &record, SALT);
    record = sample();
    record.sequence = 1001;
    at += rkb_record_write(bytes + at, &record, SALT);
    record = (struct rkb_record){.kind = RKB_GAP, .sequence = 1002, .time_us = 5, .route = 1,
                                 .value = rkb_slice_text("{\"id\":1002}")};
    at += rkb_record_write(bytes + at, &record, SALT);
    record = (struct rkb_record){.kind = RKB_MESSAGE, .flags = RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | 1, .sequence = 1003,
                                 .epoch = 9, .count = 1, .route = 1};
    at += rkb_record_write(bytes + at, &record, SALT);
    return at;
}

static void the_format_is_what_it_was(void **state)
{
    (void)state;
    uint8_t bytes[2048];
    char hex[4096] = "";
    size_t size = build_golden(bytes);
    rkb_hex(hex, bytes, size);
    if (getenv("PRINT_GOLDEN") != NULL)
        for (size_t i = 0; i < size * 2; i += 64)
            printf("    \"%.64s\"\n", hex + i);
    assert_string_equal(hex, golden);
}

/* Its messages' flags are these. */
static void read_golden(const char *golden_hex, uint32_t version, uint8_t first, uint8_t second)
{
    uint8_t bytes[2048] = {0};
    size_t size = strlen(golden_hex) / 2;
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(golden_hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    struct rkb_segment_head head;
    struct rkb_record record;
    struct rkb_error error;
    const char *why = "";
    assert_true(rkb_segment_head_parse(bytes, size, &head, &error));
    assert_int_equal(head.version, version);
    assert_int_equal(head.first_sequence, 1000);
    struct rkb_scan scan = rkb_scan(bytes, sizeof bytes, &head);
    static const enum rkb_kind kinds[] = {RKB_DICTIONARY, RKB_DICTIONARY, RKB_MARK, RKB_MESSAGE, RKB_GAP, RKB_MESSAGE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(rkb_scan_next(&scan, &record, &why), RKB_PARSE_RECORD);
        assert_int_equal(record.kind, kinds[i]);
        assert_int_equal(record.flags, i == 3 ? first : i == 5 ? second : 0);
    }
    assert_int_equal(rkb_scan_next(&scan, &record, &why), RKB_PARSE_BLANK);
    assert_int_equal(scan.next, 1004);
    assert_int_equal(scan.offset, size);
}

static void the_golden_segments_read(void **state)
{
    (void)state;
    read_golden(golden_v1, 1, 0, 0);
    read_golden(golden, 2, RKB_FLAG_CHANNEL | 2, RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | 1);
}

static void a_number_out_of_turn_does_not_count(void **state)
{
    (void)state;
    uint8_t bytes[512] = {0};
    struct rkb_segment_head head = {.version = 1, .salt = SALT, .first_sequence = 10};
    struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = 10};
    const char *why = "";
    size_t at = RKB_SEGMENT_HEADER + rkb_record_write(bytes + RKB_SEGMENT_HEADER, &record, SALT);
    record.sequence = 12;
    rkb_record_write(bytes + at, &record, SALT);
    struct rkb_scan scan = rkb_scan(bytes, sizeof bytes, &head);
    assert_int_equal(rkb_scan_next(&scan, &record, &why), RKB_PARSE_RECORD);
    assert_int_equal(rkb_scan_next(&scan, &record, &why), RKB_PARSE_BAD);
    assert_non_null(strstr(why, "does not follow"));
    assert_int_equal(scan.offset, at);
    assert_true(rkb_scan_ahead(&scan, sizeof bytes, &record));
    assert_int_equal(record.sequence, 12);
}

static void names_get_numbers_and_keep_them(void **state)
{
    (void)state;
    struct rkb_dictionary *names = rkb_dictionary_new();
    bool added;
    for (uint32_t i = 1; i <= 500; i++) {
        char name[32];
        snprintf(name, sizeof name, "topic-%u", i);
        assert_int_equal(rkb_dictionary_add(names, RKB_NAME_TOPIC, rkb_slice_text(name), &added), i);
        assert_true(added);
        assert_int_equal(rkb_dictionary_add(names, RKB_NAME_TOPIC, rkb_slice_text(name), &added), i);
        assert_false(added);
        assert_int_equal(rkb_dictionary_number(names, RKB_NAME_ROUTE, rkb_slice_text(name)), 0);
    }
    assert_int_equal(rkb_dictionary_add(names, RKB_NAME_ROUTE, rkb_slice_text("topic-7"), &added), 1);
    struct rkb_dictionary *copy = rkb_dictionary_copy(names);
    rkb_dictionary_free(names);
    assert_int_equal(rkb_dictionary_count(copy, RKB_NAME_TOPIC), 500);
    assert_int_equal(rkb_dictionary_count(copy, RKB_NAME_SOURCE), 0);
    assert_int_equal(rkb_dictionary_number(copy, RKB_NAME_TOPIC, rkb_slice_text("topic-333")), 333);
    assert_string_equal(rkb_dictionary_name(copy, RKB_NAME_TOPIC, 500), "topic-500");
    assert_null(rkb_dictionary_name(copy, RKB_NAME_TOPIC, 501));
    assert_null(rkb_dictionary_name(copy, RKB_NAME_TOPIC, 0));
    rkb_dictionary_free(copy);
}

/* A dictionary record of any content. */
static bool learn(struct rkb_dictionary *names, const char *value, size_t size, enum rkb_code *code)
{
    struct rkb_record record = {.kind = RKB_DICTIONARY, .value = rkb_slice(value, size)};
    struct rkb_error error = {0};
    bool good = rkb_dictionary_learn(names, &record, &error);
    *code = error.code;
    return good;
}

static void names_are_learned_from_records_that_make_sense(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        size_t size;
        bool good;
    } rows[] = {
        {"\2\1\0\0\0one", 8, true},
        {"\2\1\0\0\0one", 8, true},     /* each segment repeats it */
        {"\2\1\0\0\0two", 8, false},    /* the number means something else */
        {"\2\2\0\0\0one", 8, false},    /* the name has a number */
        {"\2\3\0\0\0two", 8, false},    /* skips a number */
        {"\2\2\0\0\0two", 8, true},
        {"\1\1\0\0\0one", 8, true},     /* another class */
        {"\2\0\0\0\0xyz", 8, false},
        {"\0\1\0\0\0xyz", 8, false},
        {"\4\1\0\0\0xyz", 8, false},
        {"\3\1\0\0\0", 5, false},
        {"\3\1\0\0", 4, false},
        {"\3\1\0\0\0a\0b", 8, false},
        {"", 0, false},
    };
    struct rkb_dictionary *names = rkb_dictionary_new();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum rkb_code code;
        assert_int_equal(learn(names, rows[i].value, rows[i].size, &code), rows[i].good);
        assert_int_equal(code, rows[i].good ? RKB_OK : RKB_DAMAGED);
    }
    assert_int_equal(rkb_dictionary_count(names, RKB_NAME_TOPIC), 2);
    assert_string_equal(rkb_dictionary_name(names, RKB_NAME_TOPIC, 2), "two");
    rkb_dictionary_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(extremes_come_back),
        cmocka_unit_test(written_in_place_is_the_same),
        cmocka_unit_test(another_salt_is_exchanged_without_hashing),
        cmocka_unit_test(every_flip_and_every_cut_is_seen),
        cmocka_unit_test(lengths_do_not_overflow),
        cmocka_unit_test(a_longer_length_than_its_parts_is_refused),
        cmocka_unit_test(blank_is_told_from_bad),
        cmocka_unit_test(peek_leaves_the_checksum_alone),
        cmocka_unit_test(a_segment_head_comes_back_and_flips_are_seen),
        cmocka_unit_test(a_headers_area_is_stepped_through),
        cmocka_unit_test(the_format_is_what_it_was),
        cmocka_unit_test(the_golden_segments_read),
        cmocka_unit_test(a_number_out_of_turn_does_not_count),
        cmocka_unit_test(names_get_numbers_and_keep_them),
        cmocka_unit_test(names_are_learned_from_records_that_make_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
