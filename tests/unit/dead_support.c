/* dead_support -- see dead_support.h. */
#include "dead_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED_US INT64_C(1795380667123000)

const uint8_t dead_journal[16] = {5, 6, 7};

struct rkb_dead *dead_try_open(const char *directory, const struct rkb_sys *sys, struct rkb_error *error)
{
    return rkb_dead_open(directory, dead_journal, DEAD_ROOM, 0, sys, error);
}

struct rkb_dead *dead_must_open(const char *directory)
{
    struct rkb_error error = {0};
    struct rkb_dead *dead = dead_try_open(directory, quick_disk(), &error);
    if (dead == NULL || error.code != RKB_OK)
        fail_msg("%s", error.text);
    return dead;
}

const struct rkb_record *dead_letter_for(struct dead_letter *letter, uint64_t sequence)
{
    static const uint8_t header[] = {1, 0, 2, 0, 0, 0, 'h', 'v', 'w'};
    snprintf(letter->key, sizeof letter->key, "key %u", (unsigned)sequence);
    memcpy(letter->headers, header, sizeof header);
    memset(letter->value, (int)(sequence * 7 + 1), sizeof letter->value);
    letter->record = (struct rkb_record){
        .kind = RKB_MESSAGE, .header_count = 1, .sequence = sequence, .time_us = 1000 + (int64_t)sequence, .epoch = 4,
        .count = (uint32_t)sequence + 2, .route = 3, .topic = 6, .has_key = sequence % 2 == 0,
        .headers = {letter->headers, sizeof header}, .value = {letter->value, sequence % 40},
    };
    if (letter->record.has_key)
        letter->record.key = rkb_slice_text(letter->key);
    return &letter->record;
}

bool dead_try_append(struct rkb_dead *dead, uint64_t sequence, struct rkb_error *error)
{
    struct dead_letter letter;
    return rkb_dead_append(dead, dead_letter_for(&letter, sequence), "users", "user_activity", "MSG_SIZE_TOO_LARGE",
                           "larger than the \"topic\" takes", REFUSED_US, error);
}

void dead_append_one(struct rkb_dead *dead, uint64_t sequence)
{
    struct rkb_error error = {0};
    if (!dead_try_append(dead, sequence, &error))
        fail_msg("%s", error.text);
}

void dead_sync_now(struct rkb_dead *dead)
{
    struct rkb_error error = {0};
    if (!rkb_dead_sync(dead, &error))
        fail_msg("%s", error.text);
}

uint64_t dead_count(const struct rkb_dead *dead)
{
    struct rkb_dead_figures figures;
    rkb_dead_figures(dead, &figures);
    return figures.count;
}

void dead_assert_letter(const struct rkb_record *letter, const struct rkb_record *message, uint64_t sequence)
{
    struct dead_letter expected;
    char json[300];
    uint8_t bytes[2][256];
    dead_letter_for(&expected, sequence);
    snprintf(json, sizeof json,
             "{\"sequence\":%u,\"time\":\"2026-11-22T20:51:07.123Z\",\"route\":\"users\",\"topic\":\"user_activity\","
             "\"code\":\"MSG_SIZE_TOO_LARGE\",\"reason\":\"larger than the \\\"topic\\\" takes\"}", (unsigned)sequence);
    assert_int_equal(letter->kind, RKB_DEAD);
    assert_int_equal(letter->sequence, sequence);
    assert_int_equal(letter->time_us, REFUSED_US);
    assert_true(rkb_slice_equal(letter->value, rkb_slice_text(json)));
    assert_int_equal(rkb_record_write(bytes[0], &expected.record, 9), rkb_record_write(bytes[1], message, 9));
    assert_memory_equal(bytes[0], bytes[1], rkb_record_length(bytes[0]));
}

void dead_holds(const char *directory, const uint64_t *numbers, size_t count)
{
    char *path = join(directory, "dead-letters");
    size_t size, offset = RKB_SEGMENT_HEADER;
    uint8_t *bytes = read_whole(path, &size);
    struct rkb_segment_head head;
    struct rkb_record letter, message;
    const char *why;
    assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rkb_dead_next(bytes, size, head.salt, &offset, &letter, &message, &why), RKB_PARSE_RECORD);
        dead_assert_letter(&letter, &message, numbers[i]);
    }
    assert_int_equal(rkb_dead_next(bytes, size, head.salt, &offset, &letter, &message, &why), RKB_PARSE_BLANK);
    assert_int_equal(offset, size);
    free(bytes);
    free(path);
}

struct dead_file dead_make_three(const char *directory)
{
    struct dead_file file = {.path = join(directory, "dead-letters")};
    struct rkb_dead *dead = dead_must_open(directory);
    for (uint64_t i = 1; i <= 3; i++)
        dead_append_one(dead, i);
    rkb_dead_close(dead);
    file.bytes = read_whole(file.path, &file.size);
    for (size_t i = 0, at = RKB_SEGMENT_HEADER; i < 6; i++)
        file.ends[i] = at += rkb_record_length(file.bytes + at);
    assert_int_equal(file.ends[5], file.size);
    return file;
}

void dead_file_free(struct dead_file *file)
{
    free(file->path);
    free(file->bytes);
}
