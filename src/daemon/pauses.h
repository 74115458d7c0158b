/*
 * pauses -- which routes and topics rest because somebody asked for it: what comes for them is journaled, and waits.
 *
 *     loop: set --list, version--> shipper: takes the list, writes it to the file `paused` --kept--> loop: answers
 *
 * The list is short and has a lock of its own; the file, beside the journal, is read at the start: what rests goes on
 * resting over a restart, until it is resumed. A record goes out when neither its route nor its topic rests.
 */
#ifndef RKB_DAEMON_PAUSES_H
#define RKB_DAEMON_PAUSES_H

#include "base/error.h"
#include "base/sys.h"
#include "journal/dictionary.h"

#define RKB_PAUSES_MOST 64
#define RKB_PAUSE_NAME 256

struct rkb_pause {
    bool is_topic;              /* else a route */
    uint32_t number;            /* of the dictionary */
    int64_t since_us;           /* realtime */
    char name[RKB_PAUSE_NAME];
};

struct rkb_pause_list {
    size_t count;
    struct rkb_pause list[RKB_PAUSES_MOST];
};

struct rkb_pauses;

/* directory: the journal's. NULL: no memory. */
struct rkb_pauses *rkb_pauses_new(const char *directory, const struct rkb_sys *sys);
void rkb_pauses_free(struct rkb_pauses *pauses);
/*
 * Before the threads run: reads the file. What the dictionary does not know any more has nothing that could wait, and
 * is left out; `forgotten` counts it. False and *error where the file is there and cannot be read: nothing rests then.
 */
bool rkb_pauses_load(struct rkb_pauses *pauses, const struct rkb_dictionary *dictionary, size_t *forgotten,
                     struct rkb_error *error) RKB_MUST_CHECK;

/*
 * Any thread: the file could not be read at the start, and stands there still; *error: why. False once it is written
 * anew, or rkb_pauses_look did not find it.
 */
bool rkb_pauses_unread(struct rkb_pauses *pauses, struct rkb_error *error);
/* Shipper, now and then: has somebody removed a file that could not be read? True: it is gone. Waits for the disk. */
bool rkb_pauses_look(struct rkb_pauses *pauses);

/* Loop: one more, or one less; the version that this makes. 0: there are RKB_PAUSES_MOST (or there was none such). */
uint64_t rkb_pauses_add(struct rkb_pauses *pauses, const struct rkb_pause *pause);
uint64_t rkb_pauses_remove(struct rkb_pauses *pauses, bool is_topic, uint32_t number);
/* Any thread: the list as it is; returns its version. */
uint64_t rkb_pauses_list(struct rkb_pauses *pauses, struct rkb_pause_list *list);
/* Any thread, cheap: the version. */
uint64_t rkb_pauses_version(const struct rkb_pauses *pauses);
bool rkb_pauses_has(const struct rkb_pause_list *list, bool is_topic, uint32_t number);

/* Shipper: writes this list, of this version, to the file; waits for the disk. */
bool rkb_pauses_keep(struct rkb_pauses *pauses, uint64_t version, const struct rkb_pause_list *list,
                     struct rkb_error *error) RKB_MUST_CHECK;
/* Loop: the last version that was tried to keep; *error: of that one. True: it is kept. */
bool rkb_pauses_kept(struct rkb_pauses *pauses, uint64_t *version, struct rkb_error *error);

#endif
