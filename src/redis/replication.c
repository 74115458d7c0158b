/* replication -- see replication.h. */
#include "redis/replication.h"

#include <stdio.h>
#include <stdlib.h>

void rkb_replication_begin(struct rkb_replication *replication)
{
    *replication = (struct rkb_replication){.role = RKB_ROLE_UNKNOWN, .silent_seconds = -1};
}

/* The value of the line's field, where it is this one; else NULL data. */
static struct rkb_slice value_of(struct rkb_slice line, const char *field)
{
    size_t length = strlen(field);
    if (line.size <= length || memcmp(line.data, field, length) != 0 || line.data[length] != ':')
        return rkb_slice(NULL, 0);
    return rkb_slice(line.data + length + 1, line.size - length - 1);
}

static bool is(struct rkb_slice text, const char *word)
{
    return rkb_slice_equal(text, rkb_slice_text(word));
}

static void copy(char *out, size_t size, struct rkb_slice text)
{
    if (text.size >= size)
        text.size = size - 1;
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
}

/* Forty zeros are none. */
static void copy_history(char out[RKB_HISTORY + 1], struct rkb_slice text)
{
    copy(out, RKB_HISTORY + 1, text);
    if (strspn(out, "0") == strlen(out))
        out[0] = '\0';
}

static int64_t number(struct rkb_slice text)
{
    char digits[24];
    copy(digits, sizeof digits, text);
    return strtoll(digits, NULL, 10);
}

void rkb_replication_line(struct rkb_replication *replication, struct rkb_slice line)
{
    struct rkb_slice value;
    if ((value = value_of(line, "role")).data != NULL)
        replication->role = is(value, "master")  ? RKB_ROLE_MASTER
                            : is(value, "slave") ? RKB_ROLE_REPLICA
                                                 : RKB_ROLE_UNKNOWN;
    else if ((value = value_of(line, "master_link_status")).data != NULL)
        replication->linked = is(value, "up");
    else if ((value = value_of(line, "master_last_io_seconds_ago")).data != NULL)
        replication->silent_seconds = number(value);
    else if ((value = value_of(line, "master_host")).data != NULL)
        copy(replication->host, sizeof replication->host, value);
    else if ((value = value_of(line, "master_port")).data != NULL)
        copy(replication->port, sizeof replication->port, value);
    else if ((value = value_of(line, "master_replid")).data != NULL)
        copy_history(replication->history, value);
    else if ((value = value_of(line, "master_replid2")).data != NULL)
        copy_history(replication->before, value);
}

enum rkb_role_news rkb_replication_news(const struct rkb_replication *old, const struct rkb_replication *now)
{
    if (old->role == RKB_ROLE_UNKNOWN || now->role == RKB_ROLE_UNKNOWN)
        return RKB_ROLE_SAME;
    if (old->role != now->role)
        return RKB_ROLE_CHANGED;
    bool other_history = strcmp(old->history, now->history) != 0;
    if (now->role == RKB_ROLE_MASTER) {
        bool remembers = now->before[0] != '\0' && strcmp(old->before, now->before) != 0;
        return other_history && remembers ? RKB_ROLE_WAS_ANOTHER : RKB_ROLE_SAME;
    }
    bool other_master = strcmp(old->host, now->host) != 0 || strcmp(old->port, now->port) != 0;
    return old->linked && (other_master || other_history) ? RKB_ROLE_REFILLED : RKB_ROLE_SAME;
}

void rkb_replication_describe(const struct rkb_replication *replication, char out[RKB_ROLE_TEXT])
{
    switch (replication->role) {
    case RKB_ROLE_UNKNOWN:
        snprintf(out, RKB_ROLE_TEXT, "of an unknown role");
        break;
    case RKB_ROLE_MASTER:
        snprintf(out, RKB_ROLE_TEXT, "a master");
        break;
    case RKB_ROLE_REPLICA:
        snprintf(out, RKB_ROLE_TEXT, "a replica of %s:%s", replication->host, replication->port);
        break;
    }
}
