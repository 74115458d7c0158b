/*
 * rights -- see rights.h.
 *
 * Never: asks a name service, which may wait; the config's names became numbers when it was read.
 */
#include "control/rights.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define NOBODY ((uid_t)-1)      /* no user's number */

const char *rkb_right_word(enum rkb_right right)
{
    return right == RKB_RIGHT_ADMIN ? "admin" : "look";
}

static bool has_group(const struct rkb_rights *rights, gid_t group)
{
    for (size_t i = 0; i < rights->group_count; i++)
        if (rights->groups[i] == group)
            return true;
    return false;
}

enum rkb_right rkb_right_of(const struct rkb_rights *rights, uid_t uid, const gid_t *groups, size_t count)
{
    if (uid == NOBODY)
        return RKB_RIGHT_LOOK;
    if (uid == 0 || uid == rights->own)
        return RKB_RIGHT_ADMIN;
    for (size_t i = 0; i < rights->user_count; i++)
        if (rights->users[i] == uid)
            return RKB_RIGHT_ADMIN;
    for (size_t i = 0; i < count; i++)
        if (has_group(rights, groups[i]))
            return RKB_RIGHT_ADMIN;
    return RKB_RIGHT_LOOK;
}

/* The peer's own group first, then its others; to be freed. NULL: no memory. Of others that cannot be had: none. */
static gid_t *groups_of(int fd, gid_t own, size_t *count)
{
    socklen_t size = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
        size = 0;
    gid_t *groups = malloc(sizeof own + size);
    if (groups == NULL)
        return NULL;
    if (size > 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) != 0)
        size = 0;
    groups[0] = own;
    *count = 1 + size / sizeof own;
    return groups;
}

struct rkb_peer rkb_peer_of(int fd, const struct rkb_rights *rights)
{
    struct ucred who;
    socklen_t size = sizeof who;
    size_t count = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
        return (struct rkb_peer){NOBODY, -1, RKB_RIGHT_LOOK};
    gid_t *groups = rights->group_count > 0 ? groups_of(fd, who.gid, &count) : NULL;
    struct rkb_peer peer = {who.uid, who.pid, rkb_right_of(rights, who.uid, groups, count)};
    free(groups);
    return peer;
}
