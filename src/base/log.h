/*
 * log -- lines to stderr that never make their caller wait.
 *
 *     rkb_log() --> queue (bounded) --> writer thread --> write(2), which may block
 *                      | full
 *                      +--> counted; said in the next line that fits
 *
 * A line names its object first (`source[legacy]: connection lost ...`). A line that an alert may
 * want carries an event word that never changes (`event=connection_lost`). No payload and no
 * secret ever reaches a log. Thread-safe: any thread may log; rkb_log never blocks on the descriptor.
 */
#ifndef RKB_BASE_LOG_H
#define RKB_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/sys.h"

enum rkb_log_level { RKB_LOG_ERROR, RKB_LOG_WARN, RKB_LOG_INFO, RKB_LOG_DEBUG };
enum rkb_log_format { RKB_LOG_TEXT, RKB_LOG_JSON };

struct rkb_log;
struct rkb_recent;

/* "error", "warn", "info", "debug". */
const char *rkb_log_level_word(enum rkb_log_level level);

/* Starts the writer thread on descriptor fd (not closed by us). NULL and *error when it cannot. */
struct rkb_log *rkb_log_new(int fd, enum rkb_log_level level, enum rkb_log_format format, struct rkb_error *error);
/* The same with the clocks of `sys` (tests turn them by hand). */
struct rkb_log *rkb_log_new_with(int fd, enum rkb_log_level level, enum rkb_log_format format,
                                 const struct rkb_sys *sys, struct rkb_error *error);

/*
 * Waits up to `milliseconds` for queued lines to be written, then frees. What could not be written by
 * then is lost. NULL is allowed.
 */
void rkb_log_free(struct rkb_log *log, int milliseconds);

/*
 * One line. object: "source[legacy]", "journal", "kafka", ...; event: a fixed word for alerts, or
 * NULL. The text is one line without newline; control bytes in it are escaped. Repeats of the same
 * object and event (without an event: of the same object and format) are limited to 10 in 10 seconds; how many were
 * suppressed is said in the next one. A line longer than 4096 bytes is cut, and ends in "...". NULL log: nothing.
 */
void rkb_log(struct rkb_log *log, enum rkb_log_level level, const char *object, const char *event, const char *format,
             ...) RKB_PRINTF(5, 6);

/* The last lines that were logged, of any object: those with an event word; warnings and errors. Freed with the log. */
enum rkb_log_kept { RKB_LOG_EVENTS, RKB_LOG_ERRORS };
struct rkb_recent *rkb_log_kept(const struct rkb_log *log, enum rkb_log_kept which);
/* From now on this eventfd (non-blocking) is written for each line with an event word, in whatever thread; -1: none. */
void rkb_log_watch(struct rkb_log *log, int fd);

#define RKB_LOG_OWN_LEVELS 16
#define RKB_LOG_OBJECT_SIZE 112
/*
 * From now on less important lines are not written: of this object, beside RKB_LOG_OWN_LEVELS others at the most
 * (false: there is no place); with object NULL of all, and none has a level of its own any more.
 */
bool rkb_log_set_level(struct rkb_log *log, enum rkb_log_level level, const char *object);
/* The level of all (i = 0, or there is no such), and of the objects with their own (from 1 on), named in object. */
enum rkb_log_level rkb_log_level_at(struct rkb_log *log, size_t i, char object[RKB_LOG_OBJECT_SIZE]);

/* Lines lost since the start: the queue was full, or the descriptor failed. NULL log: none. */
uint64_t rkb_log_lost(const struct rkb_log *log);

#endif
