/*
 * position -- see position.h.
 *
 * Two hashes are part of the format: whoever counts the same message from the same mark, on whatever machine, makes
 * the same UUID. XXH3 is XXH3_64bits_withSeed; integers are little-endian.
 *
 *     seed of a stream   XXH3(name of the stream, seed XXH3(the mark's 16 random bytes, seed 0))
 *     hash of a message  XXH3(the 48 bytes below, seed of the stream)
 *
 *         0  8  XXH3(subscription, seed of the stream)        24  8  length of the subscription
 *         8  8  XXH3(channel, seed of the stream)             32  4  length of the channel
 *        16  8  XXH3(payload, seed of the stream)             36  4  copy
 *                                                             40  8  length of the payload, its top bit 1 for a pattern
 *
 *     span hash          of a span without messages 0;
 *                        each message: s = (s ^ hash) * 0x9E3779B97F4A7C15; s = s ^ s >> 29
 *
 * Each part is hashed on its own and stands at a place of its own, with its length, so no byte can move from one part
 * to the next unseen. Never allocates; mark times and epochs never go back, whatever the system clock does.
 */
#include "message/position.h"

#include <endian.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "message/uuid.h"

#define MESSAGE_BLOCK 48
#define SPAN_FACTOR UINT64_C(0x9E3779B97F4A7C15)

void rkb_mark_write(const struct rkb_mark *mark, uint8_t out[RKB_MARK_SIZE])
{
    struct rkb_writer writer = rkb_writer(out, RKB_MARK_SIZE);
    rkb_write_bytes(&writer, mark->random, sizeof mark->random);
    rkb_write_u64(&writer, mark->epoch);
    rkb_write_u64(&writer, mark->time_ms);
    rkb_write_bytes(&writer, mark->before, sizeof mark->before);
    rkb_write_u64(&writer, mark->fingerprint);
    rkb_write_u64(&writer, mark->span_count);
    rkb_write_u64(&writer, mark->span_hash);
}

bool rkb_mark_parse(struct rkb_slice value, struct rkb_mark *mark, struct rkb_error *error)
{
    if (value.size < RKB_MARK_SIZE)
        return rkb_fail(error, RKB_DAMAGED, "a mark of %zu bytes, where %d are the least", value.size, RKB_MARK_SIZE);
    struct rkb_reader reader = rkb_reader(value.data, value.size);
    memcpy(mark->random, rkb_read_slice(&reader, sizeof mark->random).data, sizeof mark->random);
    mark->epoch = rkb_read_u64(&reader);
    mark->time_ms = rkb_read_u64(&reader);
    memcpy(mark->before, rkb_read_slice(&reader, sizeof mark->before).data, sizeof mark->before);
    mark->fingerprint = rkb_read_u64(&reader);
    mark->span_count = rkb_read_u64(&reader);
    mark->span_hash = rkb_read_u64(&reader);
    return true;
}

/* The time of the next mark: now, but after the last one. */
static uint64_t next_ms(const struct rkb_mark_clock *clock)
{
    int64_t now_us = clock->sys->realtime_us();
    uint64_t now_ms = now_us < 0 ? 0 : (uint64_t)now_us / 1000;
    return now_ms > clock->last_ms ? now_ms : clock->last_ms + 1;
}

bool rkb_stream_mark(struct rkb_stream *stream, struct rkb_mark_clock *clock, struct rkb_slice name,
                     uint64_t fingerprint, struct rkb_error *error)
{
    struct rkb_mark next = {
        .epoch = clock->last_epoch + 1,
        .time_ms = next_ms(clock),
        .fingerprint = fingerprint,
        .span_count = stream->count,
        .span_hash = stream->span_hash,
    };
    memcpy(next.before, stream->mark.random, sizeof next.before);
    if (clock->sys->random(next.random, sizeof next.random) != 0)
        return rkb_fail_errno(error, "cannot get random bits for a mark");
    clock->last_epoch = next.epoch;
    clock->last_ms = next.time_ms;
    stream->mark = next;
    rkb_hex(stream->mark_text, next.random, sizeof next.random);
    stream->seed = XXH3_64bits_withSeed(name.data, name.size, XXH3_64bits(next.random, sizeof next.random));
    stream->count = 0;
    stream->span_hash = 0;
    return true;
}

void rkb_stream_begin(struct rkb_stream *stream)
{
    *stream = (struct rkb_stream){0};
}

static inline void put_u32(uint8_t *out, uint32_t value)
{
    uint32_t bytes = htole32(value);
    memcpy(out, &bytes, sizeof bytes);
}

static inline void put_u64(uint8_t *out, uint64_t value)
{
    uint64_t bytes = htole64(value);
    memcpy(out, &bytes, sizeof bytes);
}

static inline uint64_t hash_of(struct rkb_slice part, uint64_t seed)
{
    return XXH3_64bits_withSeed(part.data, part.size, seed);
}

/* A message as the hashes see it; the payload by its own hash and its size. */
static uint64_t count_one(struct rkb_stream *stream, bool is_pattern, struct rkb_slice subscription, uint32_t copy,
                          struct rkb_slice channel, uint64_t payload_hash, uint64_t payload_size)
{
    uint8_t block[MESSAGE_BLOCK];
    put_u64(block, hash_of(subscription, stream->seed));
    put_u64(block + 8, hash_of(channel, stream->seed));
    put_u64(block + 16, payload_hash);
    put_u64(block + 24, subscription.size);
    put_u32(block + 32, (uint32_t)channel.size);
    put_u32(block + 36, copy);
    put_u64(block + 40, payload_size | (uint64_t)is_pattern << 63);
    uint64_t hash = XXH3_64bits_withSeed(block, sizeof block, stream->seed);
    uint64_t span = (stream->span_hash ^ hash) * SPAN_FACTOR;
    stream->span_hash = span ^ span >> 29;
    stream->count++;
    return hash;
}

void rkb_stream_count(struct rkb_stream *stream, bool is_pattern, struct rkb_slice subscription, uint32_t copy,
                      struct rkb_slice channel, struct rkb_slice payload, uint8_t uuid[16])
{
    uint64_t hash = count_one(stream, is_pattern, subscription, copy, channel, hash_of(payload, stream->seed),
                              payload.size);
    rkb_uuid_make(uuid, stream->mark.time_ms, copy, hash);
}

void rkb_stream_count_unread(struct rkb_stream *stream, bool is_pattern, struct rkb_slice subscription, uint32_t copy,
                             struct rkb_slice channel, uint64_t size)
{
    (void)count_one(stream, is_pattern, subscription, copy, channel, hash_of(rkb_slice(NULL, 0), stream->seed), size);
}

size_t rkb_position_text(char out[RKB_POSITION_TEXT], const struct rkb_stream *stream)
{
    char digits[10];
    size_t count = 0;
    uint32_t rest = stream->count;
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    memcpy(out, stream->mark_text, sizeof stream->mark_text);
    out[sizeof stream->mark_text] = ':';
    for (size_t i = 0; i < count; i++)
        out[sizeof stream->mark_text + 1 + i] = digits[count - 1 - i];
    return sizeof stream->mark_text + 1 + count;
}
