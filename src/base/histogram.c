/*
 * histogram -- see histogram.h.
 *
 * Bounds are where an operator draws lines: the usual milliseconds, a second, what a consumer notices, and the minutes
 * and hours of an outage.
 */
#include "base/histogram.h"

#define MS(n) ((uint64_t)(n) * 1000)
#define SECONDS(n) (MS(n) * 1000)
#define KIB(n) ((uint64_t)(n) << 10)
#define MICROSECONDS 1e-6

const struct rkb_histogram_kind rkb_histogram_delivery = {
    14, {MS(1), MS(2), MS(5), MS(10), MS(20), MS(50), MS(100), MS(250), SECONDS(1), SECONDS(5), SECONDS(30),
         SECONDS(300), SECONDS(1800), SECONDS(7200)}, MICROSECONDS};
const struct rkb_histogram_kind rkb_histogram_produce = {
    12, {MS(1), MS(2), MS(5), MS(10), MS(20), MS(50), MS(100), MS(250), SECONDS(1), SECONDS(5), SECONDS(30),
         SECONDS(120)}, MICROSECONDS};
const struct rkb_histogram_kind rkb_histogram_sync = {
    11, {500, MS(1), MS(2), MS(5), MS(10), MS(25), MS(50), MS(100), MS(500), SECONDS(2), SECONDS(10)}, MICROSECONDS};
const struct rkb_histogram_kind rkb_histogram_turn = {
    12, {50, 100, 250, 500, MS(1), MS(2), MS(5), MS(10), MS(50), MS(250), SECONDS(1), SECONDS(5)}, MICROSECONDS};
const struct rkb_histogram_kind rkb_histogram_size = {
    10, {64, 256, KIB(1), KIB(4), KIB(16), KIB(64), KIB(256), KIB(1024), KIB(4096), KIB(8192)}, 1};

void rkb_histogram_find(struct rkb_histogram *histogram, uint64_t value)
{
    const struct rkb_histogram_kind *kind = histogram->kind;
    unsigned at = 0;
    while (at < kind->count && value > kind->bounds[at])
        at++;
    histogram->last = at;
    histogram->least = at == 0 ? 0 : kind->bounds[at - 1] + 1;
    histogram->most = at == kind->count ? UINT64_MAX : kind->bounds[at];
}
