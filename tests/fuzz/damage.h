/*
 * damage -- what can become of a journal's files: for the targets that write some, and then damage them.
 *
 * A damage is six bytes of the input: what, the file, the record, where in it, two arguments.
 */
#ifndef FUZZ_DAMAGE_H
#define FUZZ_DAMAGE_H

#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/format.h"
#include "journal/raw.h"

#define MOST_PLACES 200
#define MOST_DAMAGES 6
#define MOST_FILES 24

struct damages {
    const char *directory;
    bool forged;            /* a record was made with a good checksum: what it says is anything */
    bool checkpoint;        /* the checkpoint was damaged */
};

struct file {
    char path[300];
    struct rkb_buffer bytes;
    size_t records[MOST_PLACES];       /* where each begins, the head first; and the end of the last */
    size_t count;
    bool gone;
};

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

/* With the files in it, where it is there. */
static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    char file[500];
    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        unlink(file);
    }
    if (directory != NULL)
        closedir(directory);
    rmdir(path);
}

static bool is_file(const char *name)
{
    return name[0] != '.' && strcmp(name, "lock") != 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void read_file(struct file *file)
{
    struct stat status;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    CLAIM(fd >= 0 && fstat(fd, &status) == 0);
    uint8_t *at = rkb_buffer_reserve(&file->bytes, (size_t)status.st_size);
    CLAIM(at != NULL && read(fd, at, (size_t)status.st_size) == status.st_size);
    file->bytes.size = (size_t)status.st_size;
    close(fd);
    file->records[file->count++] = 0;
    if (strstr(file->path, "/checkpoint") != NULL) {
        file->records[file->count++] = 4096;
        file->records[file->count++] = 4096 + 65536;
        return;
    }
    for (size_t here = RKB_SEGMENT_HEADER; file->count < MOST_PLACES && here + RKB_RECORD_HEADER <= file->bytes.size;) {
        file->records[file->count++] = here;
        size_t length = rkb_record_length(file->bytes.data + here);
        if (length < RKB_RECORD_HEADER || length > file->bytes.size - here)
            break;
        here += length;
    }
}

static size_t list_files(const char *under, struct file *files)
{
    size_t count = 0;
    DIR *directory = opendir(under);
    CLAIM(directory != NULL);
    for (const struct dirent *entry; count < MOST_FILES && (entry = readdir(directory)) != NULL;)
        if (is_file(entry->d_name))
            snprintf(files[count++].path, sizeof files->path, "%s/%s", under, entry->d_name);
    closedir(directory);
    qsort(files, count, sizeof *files, by_path);
    for (size_t i = 0; i < count; i++)
        read_file(&files[i]);
    return count;
}

static void write_file(const struct file *file)
{
    int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CLAIM(fd >= 0 && write(fd, file->bytes.data, file->bytes.size) == (ssize_t)file->bytes.size);
    close(fd);
}

/* A segment's record whose checksum holds though something in it was changed; a head likewise. */
static bool seal(struct file *file, size_t record)
{
    struct rkb_segment_head head;
    size_t at = file->records[record], size = file->bytes.size;
    bool sealed = strstr(file->path, ".seg") != NULL || strstr(file->path, "/dead-letters") != NULL;
    if (!sealed || size < RKB_SEGMENT_HEADER || at + RKB_RECORD_HEADER > size)
        return false;
    head.salt = rkb_raw_u64(file->bytes.data + 32);
    size_t length = rkb_record_length(file->bytes.data + at);
    if (at >= RKB_SEGMENT_HEADER && length >= RKB_RECORD_HEADER && length <= size - at)
        rkb_record_seal(file->bytes.data + at, head.salt);
    return true;
}

static void move_bytes(struct file *to, size_t at, const struct file *from, size_t source, size_t size)
{
    if (from->gone || source >= from->bytes.size || at >= to->bytes.size)
        return;
    size_t most = from->bytes.size - source < to->bytes.size - at ? from->bytes.size - source : to->bytes.size - at;
    memmove(to->bytes.data + at, from->bytes.data + source, size < most ? size : most);
}

/* What the six bytes say is done to a file. */
static void damage(struct damages *damages, struct file *files, size_t count, struct input *input)
{
    size_t what = take_number(input, 256), number = take_number(input, 256), place = take_number(input, 256);
    size_t within = take_number(input, 256), a = take_number(input, 256), b = take_number(input, 256);
    struct file *file = &files[number % count];
    damages->checkpoint |= strstr(file->path, "/checkpoint") != NULL;
    size_t record = place % file->count, at = file->records[record] + within, size = file->bytes.size;
    switch (what % 9) {
    case 0:     /* a bit, or several of one byte */
        if (at < size)
            file->bytes.data[at] ^= (uint8_t)(a > 0 ? a : 1);
        break;
    case 1:     /* cut off */
        if (at < size)
            file->bytes.size = at;
        break;
    case 2:     /* never written */
        if (at < size)
            memset(file->bytes.data + at, 0, size - at < 8 * a ? size - at : 8 * a);
        break;
    case 3:     /* another record, or half of it, in its place */
        move_bytes(file, file->records[record], file, file->records[a % file->count], 8 * (b + within));
        break;
    case 4:     /* bytes of another file */
        move_bytes(file, at, &files[a % count], at, 64 * (b + 1));
        break;
    case 5:     /* gone */
        file->gone = true;
        break;
    case 6:     /* longer */
        for (size_t i = 0; i < 64 * a; i++)
            rkb_buffer_add(&file->bytes, b % 2 == 0 ? "" : "x", 1);
        break;
    case 7:     /* one record taken out: what is behind moves up */
        if (record + 1 < file->count)
            memmove(file->bytes.data + file->records[record], file->bytes.data + file->records[record + 1],
                    size > file->records[record + 1] ? size - file->records[record + 1] : 0);
        break;
    default:    /* a field that nobody wrote, with its checksum */
        at = file->records[record] + within % RKB_RECORD_HEADER;
        if (at < size)
            file->bytes.data[at] = (uint8_t)a;
        damages->forged |= seal(file, record);
        break;
    }
}

/* False where nothing was damaged. */
static bool damage_files(struct damages *damages, struct input *input)
{
    static struct file files[MOST_FILES];
    bool any = false;
    size_t count = list_files(damages->directory, files);
    for (size_t i = 0; count > 0 && i < MOST_DAMAGES && input->rest.size >= 6; i++) {
        struct file *file = &files[input->rest.data[1] % count];
        if (file->gone)
            break;
        damage(damages, files, count, input);
        any = true;
    }
    for (size_t i = 0; i < count; i++) {
        if (files[i].gone)
            unlink(files[i].path);
        else if (any)
            write_file(&files[i]);
        rkb_buffer_free(&files[i].bytes);
        files[i] = (struct file){.count = 0};
    }
    return any;
}

#endif
