/*
 * units -- sizes and durations as people write them.
 *
 * Sizes: a whole number with B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of
 * 1024); no unit is bytes. Durations: a number with us, ms, s, m, h or d; a bare 0 is allowed,
 * any other bare number is refused, since nobody knows its unit.
 */
#ifndef RKB_BASE_UNITS_H
#define RKB_BASE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

bool rkb_parse_size(const char *text, uint64_t *bytes, struct rkb_error *error) RKB_MUST_CHECK;
bool rkb_parse_duration(const char *text, int64_t *microseconds, struct rkb_error *error) RKB_MUST_CHECK;

/* A part of something: so many percent of it, or (percent 0) so many bytes. */
struct rkb_share {
    uint64_t bytes;
    uint32_t percent;
};
/* A size, or a whole percentage up to 99 ("10%"). */
bool rkb_parse_share(const char *text, struct rkb_share *share, struct rkb_error *error) RKB_MUST_CHECK;
/* Its bytes, of a whole of so many. */
uint64_t rkb_share_of(const struct rkb_share *share, uint64_t whole);
/* "10 %", "1 GiB" into out, NUL-terminated. */
void rkb_format_share(char *out, size_t size, const struct rkb_share *share);

/* "4 GiB", "1.5 MiB", "812 B" into out, NUL-terminated. */
void rkb_format_size(char *out, size_t size, uint64_t bytes);
/* "250 ms", "1.5 s", "3 min 20 s", "2 h 5 min" into out, NUL-terminated. */
void rkb_format_duration(char *out, size_t size, int64_t microseconds);

/* RFC 3339 in UTC with milliseconds, "2026-11-22T20:51:07.123Z": exactly 24 bytes, no NUL. */
void rkb_format_time(char out[24], int64_t realtime_us);
/* Back from that, to the millisecond. False for anything that rkb_format_time does not write. */
bool rkb_parse_time(struct rkb_slice text, int64_t *realtime_us) RKB_MUST_CHECK;
/* RFC 3339 as people write it: with or without a fraction of a second, in UTC (Z) or with an offset (+02:00). */
bool rkb_read_time(const char *text, int64_t *realtime_us) RKB_MUST_CHECK;

#endif
