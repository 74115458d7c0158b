/*
 * Fuzz target: the file of dead letters, written, and then damaged.
 *
 *     input   lines, up to an empty one, each from an opening of the file to its closing:
 *                 d and a byte: a letter, of that size class     a and a byte: one of these numbers again     s: a sync
 *             damages, of six bytes each: what, the file, the record, where in it, two arguments
 *
 * Claims, for any input: undamaged, all letters are there, byte for byte, each once. Damaged: each that is read is one
 * that was written, none twice in a row, and a file that is not taken up is set aside as it is; letters go in behind,
 * and the next start finds the same and the new ones. A record nobody wrote, checksum and all, breaks no bounds.
 */
#include "damage.h"

#include "journal/dead.h"
#include "journal/used.h"

#define MOST_LETTERS 80
#define MOST_LIVES 4
#define LIMIT ((uint64_t)1 << 20)

static const size_t sizes[] = {0, 1, 40, 333, 3000, 60, 8, 64};
static const uint8_t id[16] = {3, 1, 4, 1, 5};

struct world {
    char directory[200], path[220];
    struct rkb_sys sys;
    uint64_t random;
    struct rkb_dead *dead;
    size_t list[MOST_LETTERS + 8];  /* by number / 3: the size of its value; numbers have holes here */
    size_t next;
    size_t found;                   /* letters in the file, and the highest of them */
    uint64_t last;
    bool forged;
};

static struct world world;

static int fixed_random(void *data, size_t size)
{
    memset(data, (int)(++world.random & 0x7F), size);
    return 0;
}

static uint64_t number_of(size_t index)
{
    return 3 * (uint64_t)index + 1;
}

static struct rkb_record record_of(size_t index, uint8_t header[32])
{
    static uint8_t value[4096];
    struct rkb_slice name = rkb_slice_text("rkb-error-code"), code = rkb_slice_text("TOO_LARGE");
    CLAIM(world.list[index] <= sizeof value);
    for (size_t i = 0; i < world.list[index]; i++)
        value[i] = (uint8_t)(index * 17 + i * 5 + 2);
    rkb_header_write(header, name, code);
    return (struct rkb_record){.kind = RKB_MESSAGE, .flags = RKB_FLAG_DEAD, .header_count = 1,
                               .sequence = number_of(index), .time_us = 9 + (int64_t)index, .epoch = 2,
                               .count = (uint32_t)index, .route = 1, .topic = 2,
                               .has_key = true, .key = rkb_slice_text("channel"),
                               .headers = rkb_slice(header, rkb_header_size(name, code)),
                               .value = rkb_slice(value, world.list[index])};
}

static bool is_written(const struct rkb_record *record)
{
    uint8_t header[32];
    size_t index = (size_t)(record->sequence / 3);
    if (record->sequence % 3 != 1 || index >= world.next)
        return false;
    struct rkb_record wanted = record_of(index, header);
    return record->kind == wanted.kind && record->flags == wanted.flags && record->time_us == wanted.time_us
           && record->epoch == wanted.epoch && record->count == wanted.count && record->has_key
           && rkb_slice_equal(record->key, wanted.key) && rkb_slice_equal(record->headers, wanted.headers)
           && rkb_slice_equal(record->value, wanted.value);
}

/* Walks the file; how it ended. */
static enum rkb_parse walk(void)
{
    struct file file = {.count = 0};
    struct rkb_record letter, message;
    struct rkb_segment_head head;
    const char *why = "";
    enum rkb_parse parse = RKB_PARSE_BAD;
    size_t offset = RKB_SEGMENT_HEADER;
    world.found = 0;
    world.last = 0;
    if (access(world.path, F_OK) != 0)
        return RKB_PARSE_BLANK;
    snprintf(file.path, sizeof file.path, "%s", world.path);
    read_file(&file);
    struct rkb_slice bytes = copy_exactly(rkb_slice(file.bytes.data, file.bytes.size));
    bool good = rkb_segment_head_parse(bytes.data, bytes.size, &head, NULL);
    while (good && (parse = rkb_dead_next(bytes.data, bytes.size, head.salt, &offset, &letter, &message, &why))
                       == RKB_PARSE_RECORD) {
        CLAIM(offset <= bytes.size);
        CLAIM(world.forged || (is_written(&message) && letter.sequence == message.sequence));
        CLAIM(world.forged || (letter.value.size > 0 && letter.value.data[0] == '{'));
        world.last = message.sequence > world.last ? message.sequence : world.last;
        world.found++;
    }
    CLAIM(!good || parse != RKB_PARSE_BAD || why[0] != '\0');
    free((void *)(uintptr_t)bytes.data);
    rkb_buffer_free(&file.bytes);
    return parse;
}

static void open_dead(struct rkb_error *error)
{
    *error = (struct rkb_error){0};
    world.dead = rkb_dead_open(world.directory, id, LIMIT, 0, &world.sys, error);
}

static uint64_t count(void)
{
    struct rkb_dead_figures figures;
    rkb_dead_figures(world.dead, &figures);
    return figures.count;
}

static void append(size_t index)
{
    uint8_t header[32];
    struct rkb_error error = {0};
    struct rkb_record record = record_of(index, header);
    CLAIM(rkb_dead_append(world.dead, &record, "route", "topic", "TOO_LARGE", "why \"so\"", 5000000, &error));
}

static void put(size_t class)
{
    if (world.next >= MOST_LETTERS)
        return;
    world.list[world.next] = sizes[class % (sizeof sizes / sizeof sizes[0])];
    append(world.next++);
}

static void live(struct input *line)
{
    struct rkb_error error;
    open_dead(&error);
    CLAIM(world.dead != NULL && error.code == RKB_OK && count() == world.next);
    while (line->rest.size > 0) {
        size_t what = take_number(line, 256);
        if (what == 'd')
            put(take_number(line, 256));
        else if (what == 'a' && world.next > 0)
            append(take_number(line, 256) % world.next);
        else if (what == 's')
            CLAIM(rkb_dead_sync(world.dead, &error));
    }
    CLAIM(count() == world.next);
    rkb_dead_close(world.dead);
    uint64_t highest;
    CLAIM(walk() == RKB_PARSE_BLANK && world.found == world.next);
    CLAIM(rkb_used_highest(world.directory, id, &world.sys, &highest, &error) && highest == world.last);
}

/* It is taken up as far as it counts, or set aside as it was; and used again. */
static void recover(void)
{
    struct rkb_error error;
    uint64_t highest;
    char aside[260];
    snprintf(aside, sizeof aside, "%s.damaged", world.path);
    (void)rkb_used_highest(world.directory, id, &world.sys, &highest, &error);
    bool was_there = access(world.path, F_OK) == 0;
    enum rkb_parse parse = walk();
    size_t found = world.found;
    open_dead(&error);
    if (world.dead == NULL) {
        CLAIM(error.code != RKB_OK && error.text[0] != '\0' && world.forged && access(world.path, F_OK) == 0);
        return;
    }
    CLAIM((error.code == RKB_OK && (!was_there || parse == RKB_PARSE_BLANK) && count() == found)
          || (error.code == RKB_DAMAGED && error.text[0] != '\0' && count() == 0 && access(aside, F_OK) == 0));
    size_t kept = (size_t)count();
    if (world.next < MOST_LETTERS) {
        put(3);
        CLAIM(world.forged || count() == kept + 1);
    }
    CLAIM(rkb_dead_sync(world.dead, &error));
    kept = (size_t)count();
    rkb_dead_close(world.dead);
    open_dead(&error);
    CLAIM(world.dead != NULL && error.code == RKB_OK && count() == kept);
    rkb_dead_close(world.dead);
    CLAIM(walk() == RKB_PARSE_BLANK && world.found == kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {rkb_slice(data, size)}, line;
    world = (struct world){.sys = rkb_sys_posix};
    world.sys.random = fixed_random;
    world.sys.fsync = world.sys.fdatasync = no_sync;
    temporary_path(world.directory, sizeof world.directory, "dead");
    snprintf(world.path, sizeof world.path, "%s/dead-letters", world.directory);
    remove_directory(world.directory);
    CLAIM(mkdir(world.directory, 0700) == 0);
    for (size_t lives = 0; lives < MOST_LIVES; lives++) {
        line.rest = take_line(&input);
        if (line.rest.size == 0)
            break;
        live(&line);
    }
    struct damages damages = {.directory = world.directory};
    bool damaged = damage_files(&damages, &input);
    world.forged = damages.forged;
    line.rest = rkb_slice(NULL, 0);
    if (damaged)
        recover();
    else
        live(&line);
    remove_directory(world.directory);
    return 0;
}
