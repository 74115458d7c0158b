/*
 * position -- marks in a stream, and where each message stands: (mark, count since the mark).
 *
 * A stream is one connection to one node in one role. Its marks are local: cut when it starts and each second,
 * never published. Mark times go strictly forward over all streams of an instance and over its restarts, so no two
 * marks share a millisecond; epochs count marks. One rkb_mark_clock per instance keeps both. Loop thread.
 */
#ifndef RKB_MESSAGE_POSITION_H
#define RKB_MESSAGE_POSITION_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/sys.h"

/*
 * The value of a mark record: random 16, u64 epoch, u64 time_ms, before 16, u64 fingerprint,
 * u64 span count, u64 span hash. What stands behind is the source's (journal-format.md), and passed over here.
 */
#define RKB_MARK_SIZE 72

struct rkb_mark {
    uint8_t random[16];
    uint64_t epoch;             /* highest seen + 1 */
    uint64_t time_ms;           /* milliseconds since 1970, strictly after the mark made before it */
    uint8_t before[16];         /* random of the mark before it in this stream, zeros for the first */
    uint64_t fingerprint;       /* of subscriptions and routes */
    uint64_t span_count;        /* messages received between the mark before and this one */
    uint64_t span_hash;         /* rolling hash over them */
};

void rkb_mark_write(const struct rkb_mark *mark, uint8_t out[RKB_MARK_SIZE]);
bool rkb_mark_parse(struct rkb_slice value, struct rkb_mark *mark, struct rkb_error *error) RKB_MUST_CHECK;

struct rkb_mark_clock {
    const struct rkb_sys *sys;
    uint64_t last_epoch, last_ms;   /* from recovery, then of the last mark cut */
};

struct rkb_stream {
    struct rkb_mark mark;           /* the last one */
    char mark_text[32];             /* its random bits in hexadecimal */
    uint64_t seed;                  /* of the hashes: from the mark's random bits and the stream's name */
    uint32_t count;                 /* messages received since it */
    uint64_t span_hash;
};

/*
 * Cuts the next mark. False when no random bits could be had (the old mark stays). name: the
 * stream's, today its source's name.
 */
bool rkb_stream_mark(struct rkb_stream *stream, struct rkb_mark_clock *clock, struct rkb_slice name,
                     uint64_t fingerprint, struct rkb_error *error) RKB_MUST_CHECK;

/* A new stream begins: the next mark has nothing before it. */
void rkb_stream_begin(struct rkb_stream *stream);

/*
 * Counts one received message and makes its UUID. subscription: the bytes of the channel or pattern we subscribed with;
 * is_pattern tells the two apart; copy: the copy's number on that subscription since the mark, from 0. `copy` must stay
 * below RKB_UUID_COUNT_LIMIT: cut a mark before it runs out.
 */
void rkb_stream_count(struct rkb_stream *stream, bool is_pattern, struct rkb_slice subscription, uint32_t copy,
                      struct rkb_slice channel, struct rkb_slice payload, uint8_t uuid[16]);

/*
 * Likewise one of which only the length is known, since its payload was too long to be held: it has its place in the
 * count and in the span's hash, by its length and as if it had no bytes. It never becomes a record, so it gets no
 * UUID; and whoever took its payload counts otherwise, which is as it should be.
 */
void rkb_stream_count_unread(struct rkb_stream *stream, bool is_pattern, struct rkb_slice subscription, uint32_t copy,
                             struct rkb_slice channel, uint64_t size);

/* "<32 hex digits>:<count>": the longest text a position takes. */
#define RKB_POSITION_TEXT 43
/* Writes the position of the message counted last, no NUL; returns its length. */
size_t rkb_position_text(char out[RKB_POSITION_TEXT], const struct rkb_stream *stream);

#endif
