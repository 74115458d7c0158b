/* Tests of `rkbctl check`'s journal: what it says of a directory, a lock, a disk: full, slow, broken or silent. */
#include "config_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <time.h>

#include "tool/check_journal.h"

#define LIMIT_MS 30000
#define MIB (UINT64_C(1) << 20)

static const struct rkb_places no_places;

struct world {
    struct files files;
    char directory[260];
    struct rkb_config *config;
    struct rkb_report report;
    struct rkb_journal_found found;
};

static int begin(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    files_make(&world->files);
    world->config = read_good(&world->files, "journal: {directory: @/journal, max_size: 64MiB, segment_size: 8MiB, "
                                             "min_free: 0, ring_size: 4MiB}\n");
    snprintf(world->directory, sizeof world->directory, "%s/journal", world->files.directory);
    world->report = (struct rkb_report){.file = "f", .places = &no_places};
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;
    char lock[300];
    snprintf(lock, sizeof lock, "%s/lock", world->directory);
    unlink(lock);
    rmdir(world->directory);
    files_drop(&world->files);
    rkb_report_free(&world->report);
    rkb_config_free(world->config);
    free(world);
    return 0;
}

static void finds(const struct world *world, enum rkb_grade grade, const char *setting, const char *holds)
{
    for (size_t i = 0; i < world->report.count; i++) {
        const struct rkb_report_line *line = &world->report.list[i];
        assert_true((line->grade == RKB_GRADE_OK) == (line->change == NULL));
        if (line->grade == grade && strcmp(line->setting, setting) == 0 && strstr(line->text, holds) != NULL)
            return;
    }
    for (size_t i = 0; i < world->report.count; i++)
        print_error("%d %s: %s\n", world->report.list[i].grade, world->report.list[i].setting,
                    world->report.list[i].text);
    fail_msg("no \"%s\" of %s", holds, setting);
}

static bool check(struct world *world, const struct rkb_sys *sys)
{
    return rkb_check_journal(world->config, sys, LIMIT_MS, &world->found, &world->report);
}

/* Nothing stays: the directory goes with rmdir. */
static void test_not_there_yet(void **state)
{
    struct world *world = *state;
    assert_false(check(world, &rkb_sys_posix));
    assert_string_equal(world->found.where, world->files.directory);
    finds(world, RKB_GRADE_OK, "journal.directory", "is not there yet");
    finds(world, RKB_GRADE_OK, "journal.max_size", "free; it may take 64 MiB");
    assert_true(world->found.write.code == RKB_OK && world->found.in_time);
    assert_int_equal(access(world->directory, F_OK), -1);
}

static void test_there_and_free(void **state)
{
    struct world *world = *state;
    assert_int_equal(mkdir(world->directory, 0700), 0);
    assert_false(check(world, &rkb_sys_posix));
    finds(world, RKB_GRADE_OK, "journal.directory", "no bridge has it open");
    assert_int_equal(rmdir(world->directory), 0);
}

static void test_in_use(void **state)
{
    static const char text[] = "rkbridge journal 00112233445566778899aabbccddeeff\npid 4711      \n";
    struct world *world = *state;
    char path[300];
    assert_int_equal(mkdir(world->directory, 0700), 0);
    snprintf(path, sizeof path, "%s/lock", world->directory);
    files_write(path, text, sizeof text - 1);
    assert_false(check(world, &rkb_sys_posix));
    finds(world, RKB_GRADE_OK, "journal.directory", "no bridge has it open");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    assert_true(check(world, &rkb_sys_posix));
    finds(world, RKB_GRADE_OK, "journal.directory", "is in use by a running bridge (process 4711)");
    close(fd);
    assert_false(check(world, &rkb_sys_posix));
}

static int fails_to_sync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

static ssize_t has_no_space(int fd, const void *data, size_t size, off_t offset)
{
    (void)fd;
    (void)data;
    (void)size;
    (void)offset;
    errno = ENOSPC;
    return -1;
}

static void test_a_disk_that_fails(void **state)
{
    struct world *world = *state;
    struct rkb_sys sys = rkb_sys_posix;
    sys.fdatasync = fails_to_sync;
    check(world, &sys);
    finds(world, RKB_GRADE_BAD, "journal.directory", "could not be written and synced there");
    sys = rkb_sys_posix;
    sys.pwrite = has_no_space;
    check(world, &sys);
    finds(world, RKB_GRADE_BAD, "journal.directory", "No space left on device");
}

static int opens_no_nameless(const char *path, int flags, mode_t mode)
{
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return rkb_sys_posix.open(path, flags, mode);
}

static void test_a_disk_without_nameless_files(void **state)
{
    struct world *world = *state;
    struct rkb_sys sys = rkb_sys_posix;
    sys.open = opens_no_nameless;
    assert_int_equal(mkdir(world->directory, 0700), 0);
    check(world, &sys);
    assert_int_equal(world->found.write.code, RKB_OK);
    assert_int_equal(rmdir(world->directory), 0);
}

static atomic_bool released, ended;

static int hangs(int fd)
{
    (void)fd;
    const struct timespec turn = {0, 1000000};
    while (!atomic_load(&released))
        nanosleep(&turn, NULL);
    return 0;
}

/* The last that the thread does before it is done. */
static int notes_its_end(int fd)
{
    int result = rkb_sys_posix.close(fd);
    if (atomic_load(&released))
        atomic_store(&ended, true);
    return result;
}

static void test_a_disk_that_hangs(void **state)
{
    struct world *world = *state;
    const struct timespec turn = {0, 1000000};
    static struct rkb_sys sys;
    sys = rkb_sys_posix;
    sys.fdatasync = hangs;
    sys.close = notes_its_end;
    assert_false(rkb_check_journal(world->config, &sys, 50, &world->found, &world->report));
    finds(world, RKB_GRADE_BAD, "journal.directory", "did not answer in time");
    assert_int_equal(world->report.count, 1);
    atomic_store(&released, true);
    for (int i = 0; i < 20000 && !atomic_load(&ended); i++)
        nanosleep(&turn, NULL);
    assert_true(atomic_load(&ended));
}

/* ---- figures ---- */

static void judge(struct world *world, uint64_t available, uint64_t used)
{
    world->found = (struct rkb_journal_found){
        .in_time = true, .is_there = true, .has_room = true, .size = 1000 * MIB, .available = available, .used = used,
        .ring_lies = RKB_IN_MEMORY, .ring_available = UINT64_MAX, .write_us = 1000, .sync_us = 1000};
    rkb_judge_journal(world->config, &world->found, &world->report);
}

static void test_room(void **state)
{
    struct world *world = *state;
    world->config->journal.min_free = (struct rkb_share){.percent = 10};
    judge(world, 164 * MIB, 0);
    finds(world, RKB_GRADE_OK, "journal.max_size", "has 164 MiB free; it may take 64 MiB and leaves 100 MiB");
    judge(world, 163 * MIB, 0);
    finds(world, RKB_GRADE_WARN, "journal.max_size", "it would be full at 63 MiB");
    judge(world, 163 * MIB, 1 * MIB);
    finds(world, RKB_GRADE_OK, "journal.max_size", "has 163 MiB free");
    judge(world, 115 * MIB, 0);
    finds(world, RKB_GRADE_BAD, "journal.min_free", "has 115 MiB free and is to keep 100 MiB");
    judge(world, 20 * MIB, 0);
    finds(world, RKB_GRADE_BAD, "journal.min_free", "has 20 MiB free");
    size_t before = world->report.count;        /* a bridge that runs has its segments already */
    world->found.locked = true;
    rkb_judge_journal(world->config, &world->found, &world->report);
    for (size_t i = before; i < world->report.count; i++)
        assert_int_not_equal(world->report.list[i].grade, RKB_GRADE_BAD);
}

static void test_room_of_the_ring(void **state)
{
    struct world *world = *state;
    free(world->config->journal.ring_directory);
    world->config->journal.ring_directory = strdup("/dev/shm");
    world->found = (struct rkb_journal_found){.in_time = true, .is_there = true, .ring_available = 4 * MIB - 1};
    rkb_judge_journal(world->config, &world->found, &world->report);
    finds(world, RKB_GRADE_BAD, "journal.ring_size", "the ring takes 4 MiB in /dev/shm");
    size_t before = world->report.count;
    world->found.locked = true;
    rkb_judge_journal(world->config, &world->found, &world->report);
    for (size_t i = before; i < world->report.count; i++)
        assert_string_not_equal(world->report.list[i].setting, "journal.ring_size");
}

static void finds_nothing_of(const struct world *world, enum rkb_grade grade)
{
    for (size_t i = 0; i < world->report.count; i++)
        if (world->report.list[i].grade == grade)
            fail_msg("%s", world->report.list[i].text);
}

/* Memory goes with the machine, a container's own layer with the container. */
static void test_where_it_lies(void **state)
{
    struct world *world = *state;
    judge(world, 500 * MIB, 0);
    finds_nothing_of(world, RKB_GRADE_WARN);
    world->found.lies = RKB_IN_MEMORY;
    rkb_judge_journal(world->config, &world->found, &world->report);
    finds(world, RKB_GRADE_WARN, "journal.directory", "/journal is in memory (tmpfs)");
    world->found.lies = RKB_IN_A_LAYER;
    rkb_judge_journal(world->config, &world->found, &world->report);
    finds(world, RKB_GRADE_WARN, "journal.directory", "/journal is in the container's own layer (overlayfs)");
}

static void test_where_the_ring_lies(void **state)
{
    struct world *world = *state;
    free(world->config->journal.ring_directory);
    world->config->journal.ring_directory = strdup("/var/tmp");
    judge(world, 500 * MIB, 0);
    finds_nothing_of(world, RKB_GRADE_WARN);
    world->found.ring_lies = RKB_ON_A_DISK;
    rkb_judge_journal(world->config, &world->found, &world->report);
    finds(world, RKB_GRADE_WARN, "journal.ring_directory", "/var/tmp is on a disk");
}

/* /dev/shm and /proc are what they are on every Linux; and nobody but root owns /proc. */
static void test_file_systems_and_owners_are_known(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *directory;
        enum rkb_file_system lies;
    } rows[] = {{"/dev/shm", RKB_IN_MEMORY}, {"/proc", RKB_ON_A_DISK}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        free(world->config->journal.directory);
        free(world->config->journal.ring_directory);
        world->config->journal.directory = strdup(rows[i].directory);
        world->config->journal.ring_directory = strdup(rows[i].directory);
        check(world, &rkb_sys_posix);
        assert_int_equal(world->found.lies, rows[i].lies);
        assert_int_equal(world->found.ring_lies, rows[i].lies);
        assert_string_equal(world->found.owner, geteuid() == 0 ? "" : "root");
    }
}

static void test_a_directory_of_another_user(void **state)
{
    struct world *world = *state;
    if (geteuid() != 0) {
        print_message("NOT RUN: only root gives a directory to another user\n");
        skip();
    }
    assert_int_equal(mkdir(world->directory, 0700), 0);
    check(world, &rkb_sys_posix);
    assert_string_equal(world->found.owner, "");
    assert_int_equal(chown(world->directory, 4294967, (gid_t)-1), 0);
    check(world, &rkb_sys_posix);
    finds(world, RKB_GRADE_WARN, "journal.directory", "/journal belongs to user 4294967, and this check runs as");
    assert_int_equal(chown(world->directory, 65534, (gid_t)-1), 0);
    check(world, &rkb_sys_posix);
    finds(world, RKB_GRADE_WARN, "journal.directory", "/journal belongs to user nobody");
}

static void test_speed(void **state)
{
    struct world *world = *state;
    world->found = (struct rkb_journal_found){.in_time = true, .is_there = true, .ring_available = UINT64_MAX,
                                              .write_us = 100000, .sync_us = 100000};
    rkb_judge_journal(world->config, &world->found, &world->report);
    finds(world, RKB_GRADE_OK, "journal.directory", "its disk took 4 MiB in 100 ms and synced them in 100 ms: 20 MiB");
    world->found.write_us = 200000;
    rkb_judge_journal(world->config, &world->found, &world->report);
    finds(world, RKB_GRADE_WARN, "journal.directory", "its disk took 4 MiB in 200 ms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_not_there_yet, begin, end),
        cmocka_unit_test_setup_teardown(test_there_and_free, begin, end),
        cmocka_unit_test_setup_teardown(test_in_use, begin, end),
        cmocka_unit_test_setup_teardown(test_a_disk_that_fails, begin, end),
        cmocka_unit_test_setup_teardown(test_a_disk_without_nameless_files, begin, end),
        cmocka_unit_test_setup_teardown(test_a_disk_that_hangs, begin, end),
        cmocka_unit_test_setup_teardown(test_room, begin, end),
        cmocka_unit_test_setup_teardown(test_room_of_the_ring, begin, end),
        cmocka_unit_test_setup_teardown(test_where_it_lies, begin, end),
        cmocka_unit_test_setup_teardown(test_where_the_ring_lies, begin, end),
        cmocka_unit_test_setup_teardown(test_file_systems_and_owners_are_known, begin, end),
        cmocka_unit_test_setup_teardown(test_a_directory_of_another_user, begin, end),
        cmocka_unit_test_setup_teardown(test_speed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
