/* rights: who has the admin right on the control socket, by the kernel's word and the config's lists. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <grp.h>
#include <signal.h>
#include <sys/stat.h>

#include "control_talk.h"
#include "daemon/admin.h"

#define OWN 990
#define STRANGER 65533

static const uid_t users[] = {1000, 1001};
static const gid_t groups[] = {50, 51};
static const struct rkb_rights lists = {OWN, users, 2, groups, 2};

static void test_who_is_admin(void **state)
{
    static const gid_t none[] = {7, 8}, last[] = {7, 8, 51};
    struct rkb_rights alone = {.own = OWN};
    (void)state;
    assert_int_equal(rkb_right_of(&alone, 0, NULL, 0), RKB_RIGHT_ADMIN);
    assert_int_equal(rkb_right_of(&alone, OWN, none, 2), RKB_RIGHT_ADMIN);
    assert_int_equal(rkb_right_of(&alone, 1000, none, 2), RKB_RIGHT_LOOK);
    assert_int_equal(rkb_right_of(&alone, OWN + 1, last, 3), RKB_RIGHT_LOOK);
    assert_int_equal(rkb_right_of(&lists, 1001, none, 2), RKB_RIGHT_ADMIN);
    assert_int_equal(rkb_right_of(&lists, 1002, none, 2), RKB_RIGHT_LOOK);
    assert_int_equal(rkb_right_of(&lists, 1002, last, 2), RKB_RIGHT_LOOK);
    assert_int_equal(rkb_right_of(&lists, 1002, last, 3), RKB_RIGHT_ADMIN);
    /* Nobody's number is nobody's, whatever a list says. */
    assert_int_equal(rkb_right_of(&(struct rkb_rights){.own = (uid_t)-1}, (uid_t)-1, NULL, 0), RKB_RIGHT_LOOK);
}

static struct rkb_peer peer_here(const struct rkb_rights *rights)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct rkb_peer peer = rkb_peer_of(pair[0], rights);
    close(pair[0]);
    close(pair[1]);
    return peer;
}

static void test_the_kernel_says_who(void **state)
{
    (void)state;
    struct rkb_rights own = {.own = geteuid()};
    struct rkb_peer peer = peer_here(&own);
    assert_int_equal(peer.uid, geteuid());
    assert_int_equal(peer.pid, getpid());
    assert_int_equal(peer.right, RKB_RIGHT_ADMIN);
    peer = rkb_peer_of(-1, &own);       /* it cannot say */
    assert_int_equal(peer.right, RKB_RIGHT_LOOK);
}

/* Root becomes somebody else for a moment; who is not root is a stranger where it is not the owner. */
static void become(uid_t uid)
{
    if (getuid() == 0)
        assert_int_equal(seteuid(uid), 0);
}

static void test_groups_of_the_peer(void **state)
{
    (void)state;
    bool root = getuid() == 0;
    gid_t own[] = {root ? 1234 : getegid()}, extra[] = {4321}, before[64];
    int had = getgroups(64, before);
    assert_true(!root || setegid(own[0]) == 0);
    become(STRANGER);
    struct rkb_peer first = peer_here(&(struct rkb_rights){STRANGER + 1, NULL, 0, own, 1});
    struct rkb_peer without = peer_here(&(struct rkb_rights){STRANGER + 1, NULL, 0, extra, 1});
    become(0);
    assert_true(!root || setegid(getgid()) == 0);
    assert_int_equal(first.right, RKB_RIGHT_ADMIN);
    assert_int_equal(without.right, RKB_RIGHT_LOOK);
    if (!root) {
        print_message("NOT TRIED: other groups of a peer; only root can give itself some\n");
        return;
    }
    assert_int_equal(setgroups(1, extra), 0);
    become(STRANGER);
    struct rkb_peer other = peer_here(&(struct rkb_rights){STRANGER + 1, NULL, 0, extra, 1});
    become(0);
    assert_int_equal(setgroups((size_t)had, before), 0);
    assert_int_equal(other.right, RKB_RIGHT_ADMIN);
}

static size_t acted;

static enum rkb_outcome act(void *context, const struct rkb_action *action, struct rkb_buffer *out, const char **code,
                            struct rkb_error *error)
{
    (void)context;
    (void)action;
    (void)code;
    (void)error;
    acted++;
    rkb_buffer_text(out, "done\n");
    return RKB_DONE;
}

/* The fixture's control in another's name: we are admin only where we are root. */
static int dial_as_stranger(struct fixture *fixture)
{
    struct rkb_control_options options = options_of(fixture);
    options.mode = 0666;
    options.act = act;
    options.rights = (struct rkb_rights){.own = STRANGER + 1};
    options.upload_limit = 100;
    assert_int_equal(reopen(fixture, &options), 0);
    assert_int_equal(chmod(fixture->directory, 0755), 0);
    become(STRANGER);
    int fd = dial(fixture);
    turn(fixture);
    become(0);
    return fd;
}

static void test_a_stranger_may_look_only(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial_as_stranger(fixture);
    size_t rows;
    const struct rkb_command *commands = rkb_commands(&rows);
    acted = 0;
    check_answer(fixture, fd, "version\n", "rkbridge 1.2.3\nOK\n");
    for (size_t i = 0; i < rows; i++) {
        char line[64];
        if (commands[i].right == RKB_RIGHT_LOOK)
            continue;
        snprintf(line, sizeof line, "%s\n", commands[i].word);
        say(fixture, fd, line);
        char *heard = hear_answer(fixture, fd);
        snprintf(line, sizeof line, "ERROR not_allowed %s needs the admin right: root has it", commands[i].word);
        assert_int_equal(strncmp(heard, line, strlen(line)), 0);
        assert_non_null(strstr(heard, "control.admins"));
        free(heard);
    }
    assert_int_equal(acted, 0);
    say(fixture, fd, "retry 1 1\n");        /* what follows is no command */
    char *heard = hear_end(fixture, fd);
    assert_int_equal(strncmp(heard, "ERROR not_allowed retry", 23), 0);
    free(heard);
    close(fd);
}

/* A reload: who is connected has what the new config says, from the next order on. */
static void test_rights_that_change(void **state)
{
    static const uid_t strangers[] = {STRANGER};
    struct fixture *fixture = *state;
    struct rkb_rights with = {.own = STRANGER + 1, .users = strangers, .user_count = 1};
    struct rkb_rights without = {.own = STRANGER + 1};
    int fd = dial_as_stranger(fixture);
    bool root = getuid() == 0;      /* else the stranger is who runs this, with another number */
    uid_t own[] = {geteuid()};
    if (!root)
        with.users = own;
    acted = 0;
    for (size_t i = 0; i < 2; i++) {
        say(fixture, fd, "pause x\n");
        char *heard = hear_answer(fixture, fd);
        assert_int_equal(strncmp(heard, "ERROR not_allowed ", 18), 0);
        free(heard);
        rkb_control_rights(fixture->control, &with);
        check_answer(fixture, fd, "pause x\n", "done\nOK\n");
        assert_int_equal(acted, i + 1);
        rkb_control_rights(fixture->control, &without);
    }
    close(fd);
}

static void test_what_no_run_does_the_daemon_does(void **state)
{
    size_t rows;
    const struct rkb_command *commands = rkb_commands(&rows);
    (void)state;
    for (size_t i = 0; i < rows; i++)
        if ((commands[i].run == NULL) != rkb_admin_knows(commands[i].word))
            fail_msg("%s is done by both, or by nobody", commands[i].word);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_admin),
        cmocka_unit_test(test_the_kernel_says_who),
        cmocka_unit_test(test_groups_of_the_peer),
        cmocka_unit_test_setup_teardown(test_a_stranger_may_look_only, start, stop),
        cmocka_unit_test_setup_teardown(test_rights_that_change, start, stop),
        cmocka_unit_test(test_what_no_run_does_the_daemon_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
