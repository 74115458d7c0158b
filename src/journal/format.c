/*
 * format -- see format.h for the bytes, doc/journal-format.md for the document.
 *
 * Promise: what parse hands out was checked against its checksum, and every slice lies within the record.
 * Never: reads beyond `available`, allocates, or looks at more than one record at a time.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/format.h"
#include "journal/raw.h"

enum {
    AT_CHECKSUM = 0, AT_LENGTH = 8, AT_KIND = 12, AT_FLAGS = 13, AT_HEADER_COUNT = 14, AT_SEQUENCE = 16, AT_TIME = 24,
    AT_EPOCH = 32, AT_COUNT = 40, AT_ROUTE = 44, AT_TOPIC = 48, AT_KEY = 52, AT_HEADERS = 56, AT_VALUE = 60
};

#define NO_KEY UINT32_MAX
#define HEAD_CHECKED 56

static const uint8_t magic[8] = {'R', 'K', 'B', 'S', 'E', 'G', '\r', '\n'};

size_t rkb_record_size(size_t key, size_t headers, size_t value)
{
    return (RKB_RECORD_HEADER + key + headers + value + 7) & ~(size_t)7;
}

size_t rkb_record_begin(uint8_t *at, const struct rkb_record *record)
{
    size_t used = RKB_RECORD_HEADER + record->key.size + record->headers.size + record->value.size;
    size_t size = (used + 7) & ~(size_t)7;

    rkb_raw_set_u64(at + AT_CHECKSUM, 0);
    rkb_raw_set_u32(at + AT_LENGTH, (uint32_t)size);
    at[AT_KIND] = (uint8_t)record->kind;
    at[AT_FLAGS] = record->flags;
    rkb_raw_set_u16(at + AT_HEADER_COUNT, record->header_count);
    rkb_raw_set_u64(at + AT_SEQUENCE, record->sequence);
    rkb_raw_set_u64(at + AT_TIME, (uint64_t)record->time_us);
    rkb_raw_set_u64(at + AT_EPOCH, record->epoch);
    rkb_raw_set_u32(at + AT_COUNT, record->count);
    rkb_raw_set_u32(at + AT_ROUTE, record->route);
    rkb_raw_set_u32(at + AT_TOPIC, record->topic);
    rkb_raw_set_u32(at + AT_KEY, record->has_key ? (uint32_t)record->key.size : NO_KEY);
    rkb_raw_set_u32(at + AT_HEADERS, (uint32_t)record->headers.size);
    rkb_raw_set_u32(at + AT_VALUE, (uint32_t)record->value.size);
    memset(at + used, 0, size - used);
    return size;
}

static uint64_t checksum(const uint8_t *at, size_t size, uint64_t salt)
{
    return XXH3_64bits(at + AT_LENGTH, size - AT_LENGTH) ^ salt;
}

void rkb_record_seal(uint8_t *at, uint64_t salt)
{
    rkb_raw_set_u64(at + AT_CHECKSUM, checksum(at, rkb_raw_u32(at + AT_LENGTH), salt));
}

void rkb_record_resalt(uint8_t *at, uint64_t from, uint64_t to)
{
    rkb_raw_set_u64(at + AT_CHECKSUM, rkb_raw_u64(at + AT_CHECKSUM) ^ from ^ to);
}

static uint8_t *copy(uint8_t *to, struct rkb_slice from)
{
    if (from.size > 0)
        memcpy(to, from.data, from.size);
    return to + from.size;
}

size_t rkb_record_write(uint8_t *at, const struct rkb_record *record, uint64_t salt)
{
    size_t size = rkb_record_begin(at, record);
    uint8_t *to = at + RKB_RECORD_HEADER;
    to = copy(to, record->key);
    to = copy(to, record->headers);
    copy(to, record->value);
    rkb_record_seal(at, salt);
    return size;
}

uint32_t rkb_record_length(const uint8_t *at)
{
    return rkb_raw_u32(at + AT_LENGTH);
}

static enum rkb_parse bad(const char **why, const char *reason)
{
    if (why != NULL)
        *why = reason;
    return RKB_PARSE_BAD;
}

static enum rkb_parse short_of_a_header(const uint8_t *at, size_t available, const char **why)
{
    for (size_t i = 0; i < available; i++)
        if (at[i] != 0)
            return bad(why, "cut short within a record's header");
    return RKB_PARSE_BLANK;
}

static void take_apart(const uint8_t *at, size_t key, size_t headers, size_t value, struct rkb_record *record)
{
    record->kind = (enum rkb_kind)at[AT_KIND];
    record->flags = at[AT_FLAGS];
    record->header_count = (uint16_t)rkb_raw_u16(at + AT_HEADER_COUNT);
    record->sequence = rkb_raw_u64(at + AT_SEQUENCE);
    record->time_us = (int64_t)rkb_raw_u64(at + AT_TIME);
    record->epoch = rkb_raw_u64(at + AT_EPOCH);
    record->count = rkb_raw_u32(at + AT_COUNT);
    record->route = rkb_raw_u32(at + AT_ROUTE);
    record->topic = rkb_raw_u32(at + AT_TOPIC);
    record->key = rkb_slice(at + RKB_RECORD_HEADER, key);
    record->headers = rkb_slice(record->key.data + key, headers);
    record->value = rkb_slice(record->headers.data + headers, value);
}

static inline enum rkb_parse peek(const uint8_t *at, size_t available, enum rkb_kind last, struct rkb_record *record,
                                  const char **why)
{
    if (available < RKB_RECORD_HEADER)
        return short_of_a_header(at, available, why);

    size_t length = rkb_raw_u32(at + AT_LENGTH);
    if (length == 0 && rkb_raw_u64(at + AT_CHECKSUM) == 0)
        return RKB_PARSE_BLANK;
    if (length < RKB_RECORD_HEADER || length % 8 != 0)
        return bad(why, "impossible length");
    if (length > available)
        return bad(why, "cut short");
    if (at[AT_KIND] < RKB_MESSAGE || at[AT_KIND] > last)
        return bad(why, "unknown kind");

    uint32_t key = rkb_raw_u32(at + AT_KEY);
    size_t headers = rkb_raw_u32(at + AT_HEADERS), value = rkb_raw_u32(at + AT_VALUE);
    record->has_key = key != NO_KEY;
    if (!record->has_key)
        key = 0;
    if (rkb_record_size(key, headers, value) != length)
        return bad(why, "length is not what its parts add up to");
    take_apart(at, key, headers, value, record);
    return RKB_PARSE_RECORD;
}

enum rkb_parse rkb_record_peek(const uint8_t *at, size_t available, struct rkb_record *record, const char **why)
{
    return peek(at, available, RKB_GAP, record, why);
}

static enum rkb_parse check(const uint8_t *at, uint64_t salt, const char **why)
{
    if (rkb_raw_u64(at + AT_CHECKSUM) != checksum(at, rkb_record_length(at), salt))
        return bad(why, "checksum does not hold");
    return RKB_PARSE_RECORD;
}

enum rkb_parse rkb_record_parse(const uint8_t *at, size_t available, uint64_t salt, struct rkb_record *record,
                                const char **why)
{
    enum rkb_parse result = peek(at, available, RKB_GAP, record, why);
    return result == RKB_PARSE_RECORD ? check(at, salt, why) : result;
}

enum rkb_parse rkb_record_parse_any(const uint8_t *at, size_t available, uint64_t salt, struct rkb_record *record,
                                    const char **why)
{
    enum rkb_parse result = peek(at, available, RKB_DEAD, record, why);
    return result == RKB_PARSE_RECORD ? check(at, salt, why) : result;
}

void rkb_segment_head_write(uint8_t at[RKB_SEGMENT_HEADER], const struct rkb_segment_head *head)
{
    struct rkb_writer writer = rkb_writer(at, RKB_SEGMENT_HEADER);
    rkb_write_bytes(&writer, magic, sizeof magic);
    rkb_write_u32(&writer, head->version);
    rkb_write_u32(&writer, RKB_SEGMENT_HEADER);
    rkb_write_bytes(&writer, head->journal_id, sizeof head->journal_id);
    rkb_write_u64(&writer, head->salt);
    rkb_write_u64(&writer, head->first_sequence);
    rkb_write_u64(&writer, (uint64_t)head->created_us);
    rkb_write_u64(&writer, XXH3_64bits(at, HEAD_CHECKED));
}

bool rkb_segment_head_parse(const uint8_t *at, size_t available, struct rkb_segment_head *head, struct rkb_error *error)
{
    struct rkb_reader reader = rkb_reader(at, available);
    if (available < RKB_SEGMENT_HEADER)
        return rkb_fail(error, RKB_DAMAGED, "shorter than its header");
    if (!rkb_slice_equal(rkb_read_slice(&reader, sizeof magic), rkb_slice(magic, sizeof magic)))
        return rkb_fail(error, RKB_DAMAGED, "header does not begin as one of ours");

    head->version = rkb_read_u32(&reader);
    uint32_t size = rkb_read_u32(&reader);
    memcpy(head->journal_id, rkb_read_slice(&reader, sizeof head->journal_id).data, sizeof head->journal_id);
    head->salt = rkb_read_u64(&reader);
    head->first_sequence = rkb_read_u64(&reader);
    head->created_us = (int64_t)rkb_read_u64(&reader);
    if (rkb_read_u64(&reader) != XXH3_64bits(at, HEAD_CHECKED))
        return rkb_fail(error, RKB_DAMAGED, "header's checksum does not hold");
    if (head->version > RKB_FORMAT_VERSION)
        return rkb_fail(error, RKB_VERSION,
                        "written in format version %u by a newer rkbridge; this one reads up to version %d",
                        head->version, RKB_FORMAT_VERSION);
    if (head->version == 0 || size != RKB_SEGMENT_HEADER)
        return rkb_fail(error, RKB_DAMAGED, "header states version %u and size %u, which never were written",
                        head->version, size);
    return true;
}
