/*
 * power -- a disk that can lose its power: it knows, for each file of one directory, what was written and what was
 * synced, and what of the directory itself was.
 *
 *     open, pwrite, allocate, ftruncate, rename, unlink --> as seen now (the real directory)
 *     fdatasync, fsync                                  --> durable (in memory), unless the disk lies
 *     power_lose                                        --> durable, and any part of the rest, in another directory
 *
 * Strict as POSIX allows: a file's name is durable only with a sync of its directory, its bytes and its length only
 * with a sync of the file; what was not synced may be there or not, sector by sector, change by change, in any order.
 * Disks may be nested (a recovery that loses power too): the one that was turned on last is in use. One thread.
 */
#ifndef RKB_TEST_POWER_H
#define RKB_TEST_POWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sys.h"

struct power;

/* All that is in the directory now is durable. `before`, if given, is called before each call that changes anything. */
struct power *power_on(const char *directory, void (*before)(void *context), void *context);
void power_off(struct power *power);
/* Syncs promise, and do nothing; but for every `honest`th, where that is not 0. */
void power_lie(struct power *power, unsigned honest);
/* While a file is synced others go on: called inside each fdatasync, behind what that is for. */
void power_meanwhile(struct power *power, void (*meanwhile)(void *context));

/* The table of the disk in use; both clocks are set by hand. */
const struct rkb_sys *power_sys(void);
void power_set_time(int64_t realtime_us);
void power_turn_clock(int64_t microseconds);
/* Between these nothing is noticed: for the test's own business in the middle of a call. */
struct power *power_pause(void);
void power_go_on(struct power *power);

/* What a power loss now would leave, in the directory `to`, which is emptied before. */
enum power_loss { POWER_LOSES_ALL, POWER_LOSES_NOTHING, POWER_LOSES_SOME };
void power_lose(const struct power *power, enum power_loss how, uint64_t seed, const char *to);

/* A number from a seed, below `below`. */
uint64_t power_dice(uint64_t *seed, uint64_t below);

#endif
