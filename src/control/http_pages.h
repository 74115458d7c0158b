/* http_pages -- what is answered at which path: one row each. */
#ifndef RKB_CONTROL_HTTP_PAGES_H
#define RKB_CONTROL_HTTP_PAGES_H

#include "base/bytes.h"
#include "control/stats.h"

struct rkb_page {
    const char *path;
    const char *type;           /* of its content */
    bool large;                 /* building it takes long, with many routes: it is given less often */
    bool local;                 /* off loopback only where http.expose is all */
    bool plain;                 /* needs no figures */
    /* Appends the body; returns the code. snapshot: NULL for a plain one. */
    int (*write)(const struct rkb_snapshot *snapshot, struct rkb_buffer *out);
};

/* NULL: there is none. */
const struct rkb_page *rkb_page_find(struct rkb_slice path);

#endif
