/* power -- see power.h. */
#include "power.h"

#include "journal_support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define NAME 48
#define MOST 512                /* files, names and changes */

/* A file, by whatever name. */
struct file {
    ino_t number;
    int fd;                     /* of our own, so that the number stays its own */
    uint8_t *bytes;             /* durable */
    size_t size;
    uint8_t *dirty;             /* by sector: written since */
    size_t sectors;
};

struct entry {
    char name[NAME];
    struct file *file;
};

/* A change of the directory that is not durable: a name is this file's now (NULL: nobody's), and is `from` no more. */
struct change {
    struct entry entry;
    char from[NAME];
};

struct power {
    char *directory;
    void (*before)(void *context);
    void (*meanwhile)(void *context);
    void *context;
    struct power *outer;
    struct file *files[MOST];
    size_t file_count;
    struct entry entries[MOST];     /* durable */
    size_t entry_count;
    struct change changes[MOST];
    size_t change_count;
    bool lies;
    unsigned honest, syncs;
};

static struct power *now;
static int64_t clock_us = 1000000000, time_us;

uint64_t power_dice(uint64_t *seed, uint64_t below)
{
    *seed += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *seed;
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (z ^ z >> 31) % below;
}

/* ---- what is durable ---- */

static size_t live_size(const struct file *file)
{
    struct stat status;
    assert_int_equal(fstat(file->fd, &status), 0);
    return (size_t)status.st_size;
}

static struct file *file_of(struct power *power, int fd)
{
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    for (size_t i = 0; i < power->file_count; i++)
        if (power->files[i]->number == status.st_ino)
            return power->files[i];
    return NULL;
}

static struct file *add_file(struct power *power, const char *path)
{
    struct stat status;
    struct file *file = calloc(1, sizeof *file);
    assert_true(file != NULL && power->file_count < MOST);
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file->fd >= 0);
    assert_int_equal(fstat(file->fd, &status), 0);
    file->number = status.st_ino;
    power->files[power->file_count++] = file;
    return file;
}

static void make_durable(struct file *file)
{
    file->size = live_size(file);
    file->bytes = realloc(file->bytes, file->size + 1);
    assert_int_equal(pread(file->fd, file->bytes, file->size, 0), file->size);
    if (file->sectors > 0)
        memset(file->dirty, 0, file->sectors);
}

static void written(struct file *file, size_t from, size_t to)
{
    size_t sectors = (to + SECTOR - 1) / SECTOR;
    if (sectors > file->sectors) {
        file->dirty = realloc(file->dirty, sectors);
        memset(file->dirty + file->sectors, 0, sectors - file->sectors);
        file->sectors = sectors;
    }
    for (size_t i = from / SECTOR; i < sectors; i++)
        file->dirty[i] = 1;
}

static void forget_name(struct entry *entries, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            entries[i] = entries[--*count];
            return;
        }
    }
}

static void apply(struct entry *entries, size_t *count, const struct change *change)
{
    forget_name(entries, count, change->from);
    forget_name(entries, count, change->entry.name);
    assert_true(*count < MOST);
    if (change->entry.file != NULL)
        entries[(*count)++] = change->entry;
}

static void make_names_durable(struct power *power)
{
    for (size_t i = 0; i < power->change_count; i++)
        apply(power->entries, &power->entry_count, &power->changes[i]);
    power->change_count = 0;
}

static void changed(struct power *power, const char *name, struct file *file, const char *from)
{
    assert_true(power->change_count < MOST && strlen(name) < NAME && strlen(from) < NAME);
    struct change *change = &power->changes[power->change_count++];
    *change = (struct change){.entry.file = file};
    memcpy(change->entry.name, name, strlen(name));
    memcpy(change->from, from, strlen(from));
}

/* ---- the calls ---- */

/* The name of a path in the directory of the disk in use; NULL: it is elsewhere. */
static const char *name_of(const char *path)
{
    size_t size = now == NULL ? 0 : strlen(now->directory);
    return now != NULL && strncmp(path, now->directory, size) == 0 && path[size] == '/' ? path + size + 1 : NULL;
}

static struct file *known(int fd)
{
    return now == NULL ? NULL : file_of(now, fd);
}

static void announce(void)
{
    struct power *power = power_pause();
    if (power->before != NULL)
        power->before(power->context);
    power_go_on(power);
}

static int power_open(const char *path, int flags, mode_t mode)
{
    const char *name = name_of(path);
    bool makes = name != NULL && (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
    if (makes)
        announce();
    int fd = rkb_sys_posix.open(path, flags, mode);
    if (makes && fd >= 0)
        changed(now, name, add_file(now, path), "");
    return fd;
}

static ssize_t power_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    struct file *file = known(fd);
    if (file != NULL)
        announce();
    ssize_t done = pwrite(fd, data, size, offset);
    if (file != NULL && done > 0)
        written(file, (size_t)offset, (size_t)offset + (size_t)done);
    return done;
}

static bool is_directory(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

static int power_sync(int fd)
{
    struct file *file = known(fd);
    if (now == NULL)
        return 0;
    announce();
    now->syncs++;
    if (!now->lies || (now->honest > 0 && now->syncs % now->honest == 0)) {
        if (is_directory(fd))
            make_names_durable(now);
        else if (file != NULL)
            make_durable(file);
    }
    if (now->meanwhile != NULL)
        now->meanwhile(now->context);
    return 0;
}

static int power_allocate(int fd, off_t offset, off_t size)
{
    if (known(fd) != NULL)
        announce();
    return ftruncate(fd, offset + size);        /* quicker than room that is really reserved */
}

static int power_ftruncate(int fd, off_t size)
{
    if (known(fd) != NULL)
        announce();
    return ftruncate(fd, size);
}

static int power_rename(const char *from, const char *to)
{
    const char *name = name_of(to), *before = name_of(from);
    if (name == NULL || before == NULL)
        return rename(from, to);
    announce();
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    struct file *file = fd < 0 ? NULL : known(fd);
    close(fd);
    if (rename(from, to) != 0)
        return -1;
    changed(now, name, file, before);
    return 0;
}

static int power_unlink(const char *path)
{
    const char *name = name_of(path);
    if (name == NULL || access(path, F_OK) != 0)
        return unlink(path);
    announce();
    changed(now, name, NULL, "");
    return unlink(path);
}

static int64_t power_real(void)
{
    return time_us;
}

static int64_t power_clock(void)
{
    return clock_us;
}

void power_set_time(int64_t realtime_us)
{
    time_us = realtime_us;
}

void power_turn_clock(int64_t microseconds)
{
    clock_us += microseconds;
}

const struct rkb_sys *power_sys(void)
{
    static struct rkb_sys sys;
    sys = rkb_sys_posix;
    sys.open = power_open;
    sys.pwrite = power_pwrite;
    sys.fdatasync = sys.fsync = power_sync;
    sys.allocate = power_allocate;
    sys.ftruncate = power_ftruncate;
    sys.rename = power_rename;
    sys.unlink = power_unlink;
    sys.monotonic_us = power_clock;
    sys.realtime_us = power_real;
    return &sys;
}

struct power *power_pause(void)
{
    struct power *power = now;
    now = NULL;
    return power;
}

void power_go_on(struct power *power)
{
    now = power;
}

/* ---- on, off, lost ---- */

struct power *power_on(const char *directory, void (*before)(void *context), void *context)
{
    struct power *power = calloc(1, sizeof *power);
    DIR *open = opendir(directory);
    assert_true(power != NULL && open != NULL);
    power->directory = strdup(directory);
    power->before = before;
    power->context = context;
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = join(directory, entry->d_name);
        struct file *file = add_file(power, path);
        make_durable(file);
        changed(power, entry->d_name, file, "");
        free(path);
    }
    closedir(open);
    make_names_durable(power);
    power->outer = now;
    now = power;
    return power;
}

void power_off(struct power *power)
{
    now = power->outer;
    for (size_t i = 0; i < power->file_count; i++) {
        close(power->files[i]->fd);
        free(power->files[i]->bytes);
        free(power->files[i]->dirty);
        free(power->files[i]);
    }
    free(power->directory);
    free(power);
}

void power_lie(struct power *power, unsigned honest)
{
    power->lies = true;
    power->honest = honest;
}

void power_meanwhile(struct power *power, void (*meanwhile)(void *context))
{
    power->meanwhile = meanwhile;
}

/* The file as it would be found: its durable bytes, and of the others those that chance has kept. */
static void leave_file(const struct file *file, enum power_loss how, uint64_t *seed, uint64_t share, const char *path)
{
    size_t live = live_size(file), size = file->size;
    if (how == POWER_LOSES_NOTHING || (how == POWER_LOSES_SOME && power_dice(seed, 2) == 1))
        size = live;
    uint8_t *bytes = calloc(1, size + 1), sector[SECTOR];
    if (file->size > 0)
        memcpy(bytes, file->bytes, size < file->size ? size : file->size);
    for (size_t i = 0; i < file->sectors && i * SECTOR < size && how != POWER_LOSES_ALL; i++) {
        if (file->dirty[i] == 0 || (how == POWER_LOSES_SOME && power_dice(seed, 100) >= share))
            continue;
        ssize_t got = pread(file->fd, sector, SECTOR, (off_t)(i * SECTOR));
        size_t room = size - i * SECTOR;
        if (got > 0)
            memcpy(bytes + i * SECTOR, sector, (size_t)got < room ? (size_t)got : room);
    }
    write_whole(path, bytes, size);
    free(bytes);
}

void power_lose(const struct power *power, enum power_loss how, uint64_t seed, const char *to)
{
    static struct entry entries[MOST];
    static const uint64_t shares[] = {5, 50, 95};
    size_t count = power->entry_count;
    uint64_t share = shares[power_dice(&seed, 3)];
    memcpy(entries, power->entries, count * sizeof entries[0]);
    for (size_t i = 0; i < power->change_count; i++)
        if (how == POWER_LOSES_NOTHING || (how == POWER_LOSES_SOME && power_dice(&seed, 100) < share))
            apply(entries, &count, &power->changes[i]);
    empty_directory(to);
    for (size_t i = 0; i < count; i++) {
        char *path = join(to, entries[i].name);
        leave_file(entries[i].file, how, &seed, share, path);
        free(path);
    }
}
