/* journal_support -- see journal_support.h. */
#include "journal_support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *make_directory(void)
{
    const char *base = getenv("TMPDIR");
    char *path;
    if (base == NULL)
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";     /* thousands of files: memory is kinder */
    assert_true(asprintf(&path, "%s/rkbridge-test-XXXXXX", base) > 0);
    assert_non_null(mkdtemp(path));
    return path;
}

char *join(const char *directory, const char *name)
{
    char *path;
    assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
    return path;
}

/* Calls visit with the path of each plain file. */
static void each_file(const char *directory, void (*visit)(const char *path, const char *name, void *context),
                      void *context)
{
    DIR *open = opendir(directory);
    assert_non_null(open);
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = join(directory, entry->d_name);
        visit(path, entry->d_name, context);
        free(path);
    }
    closedir(open);
}

static void remove_file(const char *path, const char *name, void *context)
{
    (void)name;
    (void)context;
    unlink(path);
}

void empty_directory(const char *directory)
{
    each_file(directory, remove_file, NULL);
}

void remove_directory(char *directory)
{
    empty_directory(directory);
    assert_int_equal(rmdir(directory), 0);
    free(directory);
}

int directory_set_up(void **state)
{
    *state = make_directory();
    return 0;
}

int directory_tear_down(void **state)
{
    remove_directory(*state);
    return 0;
}

uint8_t *read_whole(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    *size = (size_t)status.st_size;
    uint8_t *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, *size, 0), status.st_size);
    close(fd);
    return bytes;
}

void write_whole(const char *path, const uint8_t *bytes, size_t size)
{
    unlink(path);       /* cutting a file and writing it again makes some file systems wait for the disk */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, 0), size);
    close(fd);
}

static void copy_file(const char *path, const char *name, void *context)
{
    size_t size;
    uint8_t *bytes = read_whole(path, &size);
    char *to = join(context, name);
    write_whole(to, bytes, size);
    free(to);
    free(bytes);
}

void damage_middle(const char *directory, const char *name)
{
    char *path = join(directory, name);
    size_t size;
    uint8_t *bytes = read_whole(path, &size);
    bytes[size / 2] ^= 1;
    write_whole(path, bytes, size);
    free(bytes);
    free(path);
}

void copy_directory(const char *from, const char *to)
{
    char *target = strdup(to);
    empty_directory(to);
    each_file(from, copy_file, target);
    free(target);
}

struct counting {
    const char *ending;
    size_t count;
};

static void count_file(const char *path, const char *name, void *context)
{
    struct counting *counting = context;
    (void)path;
    size_t size = strlen(name), ending = strlen(counting->ending);
    counting->count += size >= ending && strcmp(name + size - ending, counting->ending) == 0;
}

size_t count_files(const char *directory, const char *ending)
{
    struct counting counting = {ending, 0};
    each_file(directory, count_file, &counting);
    return counting.count;
}

void batch_free(struct batch *batch)
{
    rkb_buffer_free(&batch->bytes);
    rkb_dictionary_free(batch->dictionary);
    batch->dictionary = NULL;
}

void batch_clear(struct batch *batch)
{
    batch->bytes.size = 0;
}

static void add(struct batch *batch, const struct rkb_record *record)
{
    size_t size = rkb_record_size(record->key.size, record->headers.size, record->value.size);
    uint8_t *at = rkb_buffer_reserve(&batch->bytes, size);
    assert_non_null(at);
    batch->bytes.size += rkb_record_write(at, record, BATCH_SALT);
}

static void fill(uint8_t *at, size_t size, uint64_t sequence)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(sequence * 31 + i * 7 + 1);
}

void batch_message(struct batch *batch, uint64_t sequence, size_t size)
{
    batch_message_of(batch, sequence, size, 1);
}

void batch_message_of(struct batch *batch, uint64_t sequence, size_t size, uint32_t topic)
{
    uint8_t *value = malloc(size + 1);
    fill(value, size, sequence);
    struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = sequence, .time_us = 1000000 + (int64_t)sequence,
                                .epoch = 3, .count = (uint32_t)sequence, .route = 1, .topic = topic,
                                .has_key = sequence % 2 == 0, .value = {value, size}};
    if (record.has_key)
        record.key = rkb_slice_text("key");
    add(batch, &record);
    free(value);
}

void batch_mark(struct batch *batch, uint64_t sequence, uint64_t epoch, int64_t time_us)
{
    uint8_t value[72] = {1};
    struct rkb_record record = {.kind = RKB_MARK, .sequence = sequence, .time_us = time_us, .epoch = epoch, .route = 1,
                                .value = {value, sizeof value}};
    add(batch, &record);
}

void batch_gap(struct batch *batch, uint64_t sequence)
{
    struct rkb_record record = {.kind = RKB_GAP, .sequence = sequence, .time_us = 5, .route = 1,
                                .value = rkb_slice_text("{}")};
    add(batch, &record);
}

void batch_name(struct batch *batch, enum rkb_name class, const char *name)
{
    bool added;
    if (batch->dictionary == NULL)
        batch->dictionary = rkb_dictionary_new();
    uint32_t number = rkb_dictionary_add(batch->dictionary, class, rkb_slice_text(name), &added);
    uint8_t *at = rkb_buffer_reserve(&batch->bytes, rkb_dictionary_record_size(batch->dictionary, class, number));
    batch->bytes.size += rkb_dictionary_record(batch->dictionary, class, number, at, BATCH_SALT);
}

bool is_message(const struct rkb_record *record, size_t size)
{
    uint8_t *value = malloc(size + 1);
    fill(value, size, record->sequence);
    bool same = record->kind == RKB_MESSAGE && record->value.size == size &&
                memcmp(record->value.data, value, size) == 0 &&
                record->time_us == 1000000 + (int64_t)record->sequence && record->epoch == 3 &&
                record->count == (uint32_t)record->sequence && record->has_key == (record->sequence % 2 == 0) &&
                rkb_slice_equal(record->key, record->has_key ? rkb_slice_text("key") : rkb_slice(NULL, 0));
    free(value);
    return same;
}

struct rkb_journal_options options_for(const char *directory, uint64_t max_size, uint64_t segment_size,
                                       const struct rkb_sys *sys)
{
    return (struct rkb_journal_options){
        .directory = directory, .max_size = max_size, .segment_size = segment_size, .sys = sys};
}

struct rkb_journal *open_journal(const char *directory, uint64_t max_size, uint64_t segment_size,
                                 struct rkb_recovery *recovery)
{
    struct rkb_journal_options options = options_for(directory, max_size, segment_size, &rkb_sys_posix);
    struct rkb_recovery own;
    struct rkb_error error = {0};
    struct rkb_journal *journal = rkb_journal_open(&options, recovery != NULL ? recovery : &own, NULL, NULL, &error);
    if (journal == NULL)
        fail_msg("%s", error.text);
    return journal;
}

void append_batch(struct rkb_journal *journal, struct batch *batch)
{
    struct rkb_error error = {0};
    size_t taken = 0;
    if (!rkb_journal_append(journal, batch->bytes.data, batch->bytes.size, BATCH_SALT, &taken, &error))
        fail_msg("%s", error.text);
    assert_int_equal(taken, batch->bytes.size);
}

void append_messages(struct rkb_journal *journal, uint64_t first, uint64_t last, size_t size)
{
    struct batch batch = {0};
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        batch_clear(&batch);
        batch_message(&batch, sequence, size);
        append_batch(journal, &batch);
    }
    batch_free(&batch);
}

uint64_t read_messages(struct rkb_journal *journal, uint64_t first, size_t size)
{
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error = {0};
    rkb_cursor_seek(&cursor, journal, first);
    for (;; first++) {
        enum rkb_next next = rkb_cursor_next(&cursor, &record, &error);
        if (next == RKB_NEXT_END)
            break;
        if (next != RKB_NEXT_RECORD)
            fail_msg("%s", error.text);
        assert_int_equal(record.sequence, first);
        assert_true(is_message(&record, size));
    }
    rkb_cursor_close(&cursor);
    return first;
}

void settle(struct rkb_journal *journal, uint64_t first, uint64_t last)
{
    for (; first <= last; first++)
        assert_true(rkb_acks_add(rkb_journal_acks(journal), first, NULL));
}
