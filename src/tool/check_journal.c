/*
 * check_journal -- see check_journal.h. Who is done with the looking last, the asker or the thread, frees it.
 */
#include "tool/check_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "journal/lock.h"

#define TRIED_BYTES (UINT64_C(4) << 20)
#define SLOW_RATE 20e6                  /* bytes a second: less, and a busy Redis is faster than the disk */
#define TURN_MS 10

struct looking {
    char directory[PATH_MAX], ring_directory[PATH_MAX];
    const struct rkb_sys *sys;
    struct rkb_journal_found found;
    atomic_bool done;
    atomic_int holders;
};

/* ---- the thread ---- */

static void find_place(struct looking *looking)
{
    struct stat status;
    struct rkb_journal_found *found = &looking->found;
    memcpy(found->where, looking->directory, sizeof found->where);
    found->is_there = stat(found->where, &status) == 0;
    size_t size = strlen(found->where);
    while (!found->is_there && size > 1 && found->where[size - 1] == '/')
        found->where[--size] = '\0';
    char *slash = found->is_there ? NULL : strrchr(found->where, '/');
    if (slash != NULL)
        slash[slash == found->where ? 1 : 0] = '\0';
}

static void find_owner(struct looking *looking)
{
    char buffer[1024];
    struct stat status;
    struct passwd entry, *user = NULL;
    struct rkb_journal_found *found = &looking->found;
    if (!found->is_there || stat(found->where, &status) != 0 || status.st_uid == geteuid())
        return;
    if (getpwuid_r(status.st_uid, &entry, buffer, sizeof buffer, &user) == 0 && user != NULL)
        snprintf(found->owner, sizeof found->owner, "%s", user->pw_name);
    else
        snprintf(found->owner, sizeof found->owner, "%ld", (long)status.st_uid);
}

static enum rkb_file_system where_lies(const char *path)
{
    struct statfs status;
    if (statfs(path, &status) != 0)
        return RKB_ON_A_DISK;
    if (status.f_type == TMPFS_MAGIC || (unsigned long)status.f_type == RAMFS_MAGIC)
        return RKB_IN_MEMORY;
    return status.f_type == OVERLAYFS_SUPER_MAGIC ? RKB_IN_A_LAYER : RKB_ON_A_DISK;
}

/* What lies in the directory, as far as it can be read: the journal's own part of max_size. */
static uint64_t sum_of(const char *path)
{
    uint64_t sum = 0;
    struct stat status;
    DIR *open = opendir(path);
    for (struct dirent *entry = open != NULL ? readdir(open) : NULL; entry != NULL; entry = readdir(open))
        if (fstatat(dirfd(open), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode))
            sum += (uint64_t)status.st_blocks * 512;
    if (open != NULL)
        closedir(open);
    return sum;
}

static void find_room(struct looking *looking)
{
    struct rkb_journal_found *found = &looking->found;
    struct statvfs ring;
    int fd = looking->sys->open(found->where, O_RDONLY | O_DIRECTORY, 0);
    found->has_room = fd >= 0 && looking->sys->space(fd, &found->size, &found->available) == 0;
    if (fd >= 0)
        looking->sys->close(fd);
    if (found->is_there)
        found->used = sum_of(found->where);
    found->lies = where_lies(found->where);
    found->ring_lies = looking->ring_directory[0] != '\0' ? where_lies(looking->ring_directory) : RKB_IN_MEMORY;
    found->ring_available = UINT64_MAX;
    if (looking->ring_directory[0] != '\0' && statvfs(looking->ring_directory, &ring) == 0)
        found->ring_available = (uint64_t)ring.f_bavail * ring.f_frsize;
}

/* Without a name from the start, or for no longer than it takes to remove that. */
static int open_nameless(const struct looking *looking)
{
    char path[PATH_MAX + 32];
    int fd = looking->sys->open(looking->found.where, O_TMPFILE | O_RDWR, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    snprintf(path, sizeof path, "%s/.rkbctl-check-%ld", looking->found.where, (long)getpid());
    fd = looking->sys->open(path, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0600);
    if (fd >= 0)
        looking->sys->unlink(path);
    return fd;
}

/* Bytes that do not compress: some file systems would store nothing else. */
static bool write_some(const struct looking *looking, int fd)
{
    static const size_t part = 256 << 10;
    uint8_t *bytes = malloc(part);
    bool good = bytes != NULL && looking->sys->random(bytes, part) == 0;
    for (uint64_t at = 0; good && at < TRIED_BYTES; at += part)
        good = rkb_sys_write(looking->sys, fd, bytes, part, at);
    free(bytes);
    return good;
}

static void try_writing(struct looking *looking)
{
    struct rkb_journal_found *found = &looking->found;
    const struct rkb_sys *sys = looking->sys;
    int fd = open_nameless(looking);
    int64_t begin_us = sys->monotonic_us(), written_us = begin_us;
    found->write.code = RKB_OK;
    bool good = fd >= 0 && write_some(looking, fd);
    written_us = sys->monotonic_us();
    good = good && sys->fdatasync(fd) == 0;
    if (!good)
        rkb_fail_errno(&found->write, "%.300s", found->where);
    found->write_us = written_us - begin_us;
    found->sync_us = sys->monotonic_us() - written_us;
    if (fd >= 0)
        sys->close(fd);
}

static void let_go(struct looking *looking)
{
    if (atomic_fetch_sub(&looking->holders, 1) == 1)
        free(looking);
}

static void *look(void *context)
{
    struct looking *looking = context;
    find_place(looking);
    if (looking->found.is_there && !rkb_lock_look(looking->directory, looking->sys, &looking->found.locked,
                                                  &looking->found.pid))
        looking->found.locked = false;
    find_owner(looking);
    find_room(looking);
    try_writing(looking);
    looking->found.in_time = true;
    atomic_store(&looking->done, true);
    let_go(looking);
    return NULL;
}

/* ---- what it is worth ---- */

static void judge_lock(const struct rkb_config *config, const struct rkb_journal_found *found,
                       struct rkb_report *report)
{
    if (found->locked)
        rkb_report_add(report, RKB_GRADE_OK, "journal.directory",
                       "%s is in use by a running bridge (process %ld)", config->journal.directory, found->pid);
    else if (found->is_there)
        rkb_report_add(report, RKB_GRADE_OK, "journal.directory",
                       "%s is there, and no bridge has it open", config->journal.directory);
    else
        rkb_report_add(report, RKB_GRADE_OK, "journal.directory",
                       "%s is not there yet; the bridge makes it, and this user may", config->journal.directory);
}

static void judge_owner(const struct rkb_config *config, const struct rkb_journal_found *found,
                        struct rkb_report *report)
{
    if (found->owner[0] == '\0')
        return;
    rkb_report_add(report, RKB_GRADE_WARN, "journal.directory", "%s belongs to user %s, and this check runs as "
                   "another: what the bridge itself may do, there and with the files that the config names, was not "
                   "seen", config->journal.directory, found->owner);
    rkb_report_change(report, "as root: runuser -u %s -- rkbctl check ...", found->owner);
}

static void judge_place(const struct rkb_config *config, const struct rkb_journal_found *found,
                        struct rkb_report *report)
{
    if (found->lies == RKB_ON_A_DISK)
        return;
    if (found->lies == RKB_IN_MEMORY)
        rkb_report_add(report, RKB_GRADE_WARN, "journal.directory", "%s is in memory (tmpfs): whatever waits there for "
                       "Kafka is lost when the machine ends", config->journal.directory);
    else
        rkb_report_add(report, RKB_GRADE_WARN, "journal.directory", "%s is in the container's own layer (overlayfs): "
                       "whatever waits there for Kafka is lost when the container is replaced",
                       config->journal.directory);
    rkb_report_change(report, "give the journal a disk, or a volume, that stays");
}

static void judge_room(const struct rkb_config *config, const struct rkb_journal_found *found,
                       struct rkb_report *report)
{
    char free_text[32], keep_text[32], most_text[32], limit_text[32];
    uint64_t keep = rkb_share_of(&config->journal.min_free, found->size);
    uint64_t spare = found->available > keep ? found->available - keep : 0;
    uint64_t most = spare + found->used;
    if (!found->has_room)
        return;
    rkb_format_size(free_text, sizeof free_text, found->available);
    rkb_format_size(keep_text, sizeof keep_text, keep);
    rkb_format_size(most_text, sizeof most_text, most);
    rkb_format_size(limit_text, sizeof limit_text, config->journal.max_size);
    if (!found->locked && most < 2 * config->journal.segment_size) {
        rkb_report_add(report, RKB_GRADE_BAD, "journal.min_free",
                       "its disk has %s free and is to keep %s: there is no room for two segments",
                       free_text, keep_text);
        rkb_report_change(report, "make room there, or lower journal.min_free");
    } else if (most < config->journal.max_size) {
        rkb_report_add(report, RKB_GRADE_WARN, "journal.max_size",
                       "the journal may take %s, and its disk has %s free and is to keep %s: it would be full at %s",
                       limit_text, free_text, keep_text, most_text);
        rkb_report_change(report, "make room there, or lower journal.max_size, so that an outage of Kafka "
                                  "lasts no longer than you think");
    } else {
        rkb_report_add(report, RKB_GRADE_OK, "journal.max_size",
                       "its disk has %s free; it may take %s and leaves %s", free_text, limit_text, keep_text);
    }
}

static void judge_ring(const struct rkb_config *config, const struct rkb_journal_found *found,
                       struct rkb_report *report)
{
    char free_text[32], size_text[32];
    rkb_format_size(size_text, sizeof size_text, config->journal.ring_size);
    if (config->journal.ring_directory == NULL) {
        rkb_report_add(report, RKB_GRADE_OK, "journal.ring_directory",
                       "the ring, %s, is memory of the process: what is in it at a kill -9 is lost", size_text);
        return;
    }
    if (found->ring_lies != RKB_IN_MEMORY) {
        rkb_report_add(report, RKB_GRADE_WARN, "journal.ring_directory", "%s is on a disk: each time that is busy the "
                       "bridge would wait for it, and read nothing from Redis", config->journal.ring_directory);
        rkb_report_change(report, "name a tmpfs there, as /dev/shm");
    }
    if (found->locked || found->ring_available >= config->journal.ring_size)
        return;
    rkb_format_size(free_text, sizeof free_text, found->ring_available);
    rkb_report_add(report, RKB_GRADE_BAD, "journal.ring_size",
                   "the ring takes %s in %s, which has %s free", size_text, config->journal.ring_directory, free_text);
    rkb_report_change(report, "give that file system more (a container's /dev/shm has 64 MiB as a "
                              "rule), or lower journal.ring_size");
}

static void judge_speed(const struct rkb_journal_found *found, struct rkb_report *report)
{
    char rate_text[32], write_text[32], sync_text[32];
    if (found->write.code != RKB_OK) {
        rkb_report_add(report, RKB_GRADE_BAD, "journal.directory",
                       "4 MiB could not be written and synced there: %s", found->write.text);
        rkb_report_change(report, "mend the disk, make room on it, or run this check as the bridge's user");
        return;
    }
    int64_t all_us = found->write_us + found->sync_us;
    double rate = (double)TRIED_BYTES * 1e6 / (double)(all_us > 0 ? all_us : 1);
    bool slow = rate < SLOW_RATE;
    rkb_format_size(rate_text, sizeof rate_text, (uint64_t)rate);
    rkb_format_duration(write_text, sizeof write_text, found->write_us);
    rkb_format_duration(sync_text, sizeof sync_text, found->sync_us);
    rkb_report_add(report, slow ? RKB_GRADE_WARN : RKB_GRADE_OK, "journal.directory",
                   "its disk took 4 MiB in %s and synced them in %s: %s a second", write_text, sync_text, rate_text);
    if (slow)
        rkb_report_change(report, "give the journal a faster disk, or one that is less busy; a slow one is met by the "
                                  "ring first (journal.ring_size)");
}

void rkb_judge_journal(const struct rkb_config *config, const struct rkb_journal_found *found,
                       struct rkb_report *report)
{
    if (!found->in_time) {
        rkb_report_add(report, RKB_GRADE_BAD, "journal.directory", "its disk did not answer in time");
        rkb_report_change(report, "look at that disk, or at the server behind it");
        return;
    }
    judge_lock(config, found, report);
    judge_owner(config, found, report);
    judge_place(config, found, report);
    judge_room(config, found, report);
    judge_ring(config, found, report);
    judge_speed(found, report);
}

/* ---- the whole ---- */

static bool start(struct looking *looking)
{
    pthread_attr_t detached;
    pthread_t thread;
    if (pthread_attr_init(&detached) != 0)
        return false;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    bool started = pthread_create(&thread, &detached, look, looking) == 0;
    pthread_attr_destroy(&detached);
    return started;
}

bool rkb_check_journal(const struct rkb_config *config, const struct rkb_sys *sys, int limit_ms,
                       struct rkb_journal_found *found, struct rkb_report *report)
{
    const struct timespec turn = {0, TURN_MS * 1000000L};
    struct looking *looking = calloc(1, sizeof *looking);
    *found = (struct rkb_journal_found){0};
    if (looking == NULL) {
        report->failed = true;
        return false;
    }
    const char *ring = config->journal.ring_directory;
    snprintf(looking->directory, sizeof looking->directory, "%s", config->journal.directory);
    snprintf(looking->ring_directory, sizeof looking->ring_directory, "%s", ring != NULL ? ring : "");
    looking->sys = sys;
    atomic_init(&looking->done, false);
    atomic_init(&looking->holders, 2);
    if (!start(looking))
        atomic_store(&looking->holders, 1);
    else
        for (int waited = 0; waited < limit_ms && !atomic_load(&looking->done); waited += TURN_MS)
            nanosleep(&turn, NULL);
    if (atomic_load(&looking->done))
        *found = looking->found;
    else
        snprintf(found->where, sizeof found->where, "%s", config->journal.directory);
    let_go(looking);
    rkb_judge_journal(config, found, report);
    return found->locked;
}
