/* aside -- see aside.h. */
#include "journal/aside.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOST_ASIDE 99

bool rkb_aside_head(const char *what, const char *path, const uint8_t *data, size_t size, const uint8_t journal_id[16],
                    uint64_t *salt, struct rkb_error *error)
{
    struct rkb_segment_head head;
    struct rkb_error trouble;
    if (!rkb_segment_head_parse(data, size, &head, &trouble))
        return rkb_fail(error, trouble.code, "%s: %s: %.300s", what, path, trouble.text);
    if (memcmp(head.journal_id, journal_id, sizeof head.journal_id) != 0)
        return rkb_fail(error, RKB_DAMAGED, "%s: %s belongs to another journal", what, path);
    *salt = head.salt;
    return true;
}

bool rkb_aside_set(const char *what, const char *path, const struct rkb_sys *sys, struct rkb_error *error)
{
    char aside[PATH_MAX + 32];
    snprintf(aside, sizeof aside, "%s.damaged", path);
    for (int number = 2; access(aside, F_OK) == 0 && number <= MOST_ASIDE; number++)
        snprintf(aside, sizeof aside, "%s.damaged.%d", path, number);
    if (access(aside, F_OK) == 0)
        return rkb_fail(error, RKB_FULL, "%s: %s and all such names before it are taken: move them away", what, aside);
    return sys->rename(path, aside) == 0 || rkb_fail_errno(error, "%s: cannot set aside %s", what, path);
}
