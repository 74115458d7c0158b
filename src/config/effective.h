/*
 * effective -- what each setting is and where that comes from: a line of the file, the environment, or the default.
 *
 * Noted while the file is read, since only then its places are known; only what is given is kept. Secrets are not:
 * their value is RKB_HIDDEN from the start, and a url is shown without its password.
 */
#ifndef RKB_CONFIG_EFFECTIVE_H
#define RKB_CONFIG_EFFECTIVE_H

#include "config/config.h"

#define RKB_HIDDEN "(hidden)"

struct rkb_reading;

/* One that is given. */
struct rkb_written {
    const struct rkb_setting *row;
    const char *section;            /* the name of its source or route, as in the config; NULL: of none */
    char *name;                     /* behind the path: a property's; NULL: none */
    char *value;
    char *variable;                 /* of the environment, the first in it; NULL: none */
    size_t line;
};

struct rkb_givens {
    struct rkb_written *list;         /* section by section: everything else, the sources, the routes */
    size_t count, capacity;
};

/* Takes them from what was read, without mistakes. False: memory ran out. */
bool rkb_givens_note(struct rkb_reading *reading, struct rkb_givens *givens) RKB_MUST_CHECK;
void rkb_givens_free(struct rkb_givens *givens);

/*
 * Visits each setting of the config, in the order of the table: its path ("redis.legacy.url"), its value ("-": none),
 * and its origin ("line 12", "environment NAME, line 12", "default"). changed: only what is given and not as the
 * default.
 */
void rkb_effective_each(const struct rkb_config *config, bool changed,
                        void (*visit)(void *context, const char *path, const char *value, const char *origin),
                        void *context);

#endif
