/*
 * rights -- who may do what on the control socket: the kernel says who is at the other end (SO_PEERCRED,
 * SO_PEERGROUPS), as it was when that one connected; nothing a client sends counts.
 *
 * Whoever can open the socket may look. Root and the user that rkbridge runs as may do everything, and whom the
 * config names (control.admins, control.admin_groups).
 */
#ifndef RKB_CONTROL_RIGHTS_H
#define RKB_CONTROL_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum rkb_right { RKB_RIGHT_LOOK, RKB_RIGHT_ADMIN };

/* Who has the admin right beside root. The lists are lent. */
struct rkb_rights {
    uid_t own;                  /* the user rkbridge runs as */
    const uid_t *users;
    size_t user_count;
    const gid_t *groups;
    size_t group_count;
};

/* Who is at the other end. */
struct rkb_peer {
    uid_t uid;
    pid_t pid;
    enum rkb_right right;
};

/* "look" or "admin". */
const char *rkb_right_word(enum rkb_right right);
/* The right of a user who is in these groups. */
enum rkb_right rkb_right_of(const struct rkb_rights *rights, uid_t uid, const gid_t *groups, size_t count);
/* Who is at the other end of a connected unix socket. Where the kernel does not say it: nobody, who may look. */
struct rkb_peer rkb_peer_of(int fd, const struct rkb_rights *rights);

#endif
