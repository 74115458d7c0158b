/*
 * Fuzz target: the ring's file, as a killed process left it, and then damaged.
 *
 *     input   a number: pages of the ring
 *             a line: what was done with it: m and a byte: a message of that size class
 *                     c and a byte: so many are consumed      n and a byte: a note of that kind
 *                     r: closed and opened again
 *             damages, of six bytes each: what, where (3 bytes), two arguments
 *
 * Claims, for any input: undamaged, all that was committed and not consumed is there, byte for byte, wherever
 * it wraps. Damaged, the ring is refused in words, or each record in it is the one that was committed, in
 * order; and it can be used, and found again. Head and tail may say anything; a page or a record with a good
 * checksum that nobody wrote breaks no bounds.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/raw.h"
#include "journal/ring.h"

#define PAGE ((size_t)4096)
#define MOST_RECORDS 400
#define MOST_DAMAGES 5
#define DATA ((size_t)12288)     /* where it begins */
#define FIXED 56                /* bytes of the page under its checksum, which is their last eight */
#define AT_HEAD 64
#define AT_TAIL 128

static const size_t sizes[] = {0, 1, 9, 60, 333, 1000, 2500, 3900};
static const uint8_t id[16] = {1, 2, 3, 4};

struct world {
    char directory[200], path[260];
    struct rkb_sys sys;
    struct rkb_ring *ring;
    size_t size;                        /* of the ring that is asked for */
    size_t list[MOST_RECORDS + 8];      /* the size of each record's value */
    uint64_t next, first;               /* committed next; the first that is not consumed */
    uint64_t seen;                      /* the next that is expected, 0: any */
    uint64_t low, topic_low, next_note;
    int64_t read_us, not_durable;
    bool forged;
};

static struct world world;

static int fixed_random(void *data, size_t size)
{
    memset(data, 0x5A, size);
    return 0;
}

static const uint8_t *value_of(uint64_t sequence, size_t size)
{
    static uint8_t value[PAGE];
    CLAIM(size <= sizeof value);
    for (size_t i = 0; i < size; i++)
        value[i] = (uint8_t)(sequence * 13 + i * 3 + 1);
    return value;
}

static struct rkb_record record_of(uint64_t sequence)
{
    return (struct rkb_record){.kind = RKB_MESSAGE, .sequence = sequence, .time_us = 5 + (int64_t)sequence, .epoch = 7,
                               .count = (uint32_t)sequence, .route = 1, .topic = 2,
                               .has_key = true, .key = rkb_slice_text("k"),
                               .value = {value_of(sequence, world.list[sequence]), world.list[sequence]}};
}

static bool is_written(const struct rkb_record *record)
{
    if (record->sequence == 0 || record->sequence >= world.next)
        return false;
    struct rkb_record wanted = record_of(record->sequence);
    return record->kind == wanted.kind && record->time_us == wanted.time_us && record->epoch == wanted.epoch
           && record->count == wanted.count && record->has_key && rkb_slice_equal(record->key, wanted.key)
           && rkb_slice_equal(record->value, wanted.value);
}

static void look_at(const struct rkb_record *record)
{
    CLAIM(XXH3_64bits(record->value.data, record->value.size) != 0 || record->value.size > 0);
    if (world.forged)
        return;
    CLAIM(is_written(record));
    CLAIM(world.seen == 0 || record->sequence == world.seen);
    world.seen = record->sequence + 1;
}

static void on_record(void *context, const struct rkb_record *record)
{
    (void)context;
    look_at(record);
}

static bool open_ring(struct rkb_error *error)
{
    struct rkb_ring_options options = {.directory = world.directory, .size = world.size, .journal_id = id,
                                       .sys = &world.sys};
    world.ring = rkb_ring_open(&options, error);
    return world.ring != NULL;
}

/* ---- what is done with it ---- */

static bool put(size_t class)
{
    if (world.next >= MOST_RECORDS)
        return false;
    world.list[world.next] = sizes[class % (sizeof sizes / sizeof sizes[0])];
    struct rkb_record record = record_of(world.next);
    size_t size = rkb_record_size(1, 0, record.value.size), room = rkb_ring_room(world.ring);
    uint8_t *at = rkb_ring_reserve(world.ring, size, 0);
    CLAIM((at != NULL) == (size <= room));
    if (at == NULL)
        return false;
    CLAIM(rkb_record_write(at, &record, rkb_ring_salt(world.ring)) == size);
    rkb_ring_commit(world.ring, size);
    world.next++;
    return true;
}

/* Takes records as the shipper does, and looks at each. */
static void consume(size_t count)
{
    const uint8_t *at;
    struct rkb_record record;
    size_t here = rkb_ring_peek(world.ring, &at), done = 0;
    world.seen = world.forged ? 0 : world.first;
    for (; count > 0 && done < here; count--) {
        if (rkb_record_parse(at + done, here - done, rkb_ring_salt(world.ring), &record, NULL) != RKB_PARSE_RECORD) {
            CLAIM(world.forged);
            break;
        }
        look_at(&record);
        done += rkb_record_length(at + done);
        world.first++;
    }
    rkb_ring_consume(world.ring, done);
}

static void note(size_t argument)
{
    uint64_t value = argument / 5;
    switch (argument % 5) {
    case 0:
        rkb_ring_note_low(world.ring, world.low = value);
        break;
    case 1:
        rkb_ring_note_topic_low(world.ring, 3, value);
        world.topic_low = value > world.topic_low ? value : world.topic_low;
        break;
    case 2:
        rkb_ring_note_next(world.ring, world.next_note = value);
        break;
    case 3:
        rkb_ring_note_read(world.ring, world.read_us = (int64_t)value);
        break;
    default:
        rkb_ring_note_not_durable(world.ring, world.not_durable = (int64_t)value);
        break;
    }
}

/* Nothing is damaged: all is found that was committed and not consumed, and all that was noted. */
static void check_whole(void)
{
    struct rkb_error error = {0};
    struct rkb_ring_notes notes;
    world.seen = world.first;
    CLAIM(rkb_ring_visit(world.ring, on_record, NULL, &error));
    CLAIM(world.seen == world.next);
    CLAIM(rkb_ring_noted_low(world.ring) == world.low && rkb_ring_noted_read(world.ring) == world.read_us);
    CLAIM(rkb_ring_noted_topic_low(world.ring, 3) == world.topic_low);
    CLAIM(rkb_ring_noted_not_durable(world.ring) == world.not_durable);
    CLAIM(rkb_ring_read_notes(world.directory, id, &world.sys, &notes));
    CLAIM(notes.low == world.low && notes.next == world.next_note && notes.read_us == world.read_us);
}

static void use(struct input *line)
{
    struct rkb_error error = {0};
    while (line->rest.size > 0) {
        size_t what = take_number(line, 256);
        if (what == 'm') {
            (void)put(take_number(line, 256));
        } else if (what == 'c') {
            consume(take_number(line, 256));
        } else if (what == 'n') {
            note(take_number(line, 256));
        } else if (what == 'r') {
            rkb_ring_close(world.ring);
            CLAIM(open_ring(&error));
            check_whole();
        }
    }
}

/* ---- damages ---- */

static uint8_t *read_file(size_t *size)
{
    struct stat status;
    int fd = open(world.path, O_RDONLY | O_CLOEXEC);
    CLAIM(fd >= 0 && fstat(fd, &status) == 0);
    *size = (size_t)status.st_size;
    uint8_t *bytes = malloc(*size);
    CLAIM(bytes != NULL && read(fd, bytes, *size) == status.st_size);
    close(fd);
    return bytes;
}

/* Gives a record at this place of the data a checksum that holds, where its length can be one. */
static void seal(uint8_t *bytes, size_t size, size_t at)
{
    size_t length = at + RKB_RECORD_HEADER <= size ? rkb_record_length(bytes + at) : 0;
    if (length >= RKB_RECORD_HEADER && length <= size - at)
        rkb_record_seal(bytes + at, rkb_raw_u64(bytes + 32));
}

static void move_bytes(uint8_t *bytes, size_t size, size_t to, size_t from, size_t count)
{
    size_t most = size - (to > from ? to : from);
    memmove(bytes + to, bytes + from, count < most ? count : most);
}

static void set_note(uint8_t *bytes, size_t at, uint64_t value, size_t copies)
{
    for (size_t copy = 0; copy <= copies % 3; copy++)
        rkb_raw_set_u64(bytes + at + 8 * copy, value);
}

static void damage(uint8_t *bytes, size_t *size, struct input *input)
{
    size_t what = take_number(input, 256), at = take_number(input, 256) + 256 * take_number(input, 256);
    size_t low = take_number(input, 256), a = take_number(input, 256), b = take_number(input, 256);
    at = (at + low) % *size;
    switch (what % 7) {
    case 0:
        bytes[at] ^= (uint8_t)(a > 0 ? a : 1);
        break;
    case 1:
        *size = at > 0 ? at : 1;
        break;
    case 2:     /* head or tail elsewhere, or a whole lap more: in one copy, two of them, all three */
        if (*size >= DATA && b % 5 == 4)
            set_note(bytes, AT_HEAD, rkb_raw_u64(bytes + AT_HEAD) + (*size - DATA), a);
        else if (*size >= DATA)
            set_note(bytes, b % 2 == 0 ? AT_HEAD : AT_TAIL, b % 5 < 2 ? at / 8 * 8 : UINT64_MAX - at, a);
        break;
    case 3:
        memset(bytes + at, 0, *size - at < 8 * a ? *size - at : 8 * a);
        break;
    case 4:     /* bytes of another place */
        move_bytes(bytes, *size, at, a * 64 % *size, 8 * b);
        break;
    case 5:     /* a page that nobody wrote */
        if (*size >= FIXED) {
            bytes[a % (FIXED - 8)] = (uint8_t)b;
            rkb_raw_set_u64(bytes + FIXED - 8, XXH3_64bits(bytes, FIXED - 8));
            world.forged = true;
        }
        break;
    default:    /* a record that nobody wrote */
        if (*size > DATA + RKB_RECORD_HEADER) {
            at = DATA + at % (*size - DATA) / 8 * 8;
            if (at + a % RKB_RECORD_HEADER < *size)
                bytes[at + a % RKB_RECORD_HEADER] = (uint8_t)b;
            seal(bytes, *size, at);
            world.forged = true;
        }
        break;
    }
}

static bool damage_file(struct input *input)
{
    size_t size;
    bool any = false;
    uint8_t *bytes = read_file(&size);
    for (size_t i = 0; i < MOST_DAMAGES && input->rest.size >= 6; i++, any = true)
        damage(bytes, &size, input);
    int fd = open(world.path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    CLAIM(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
    free(bytes);
    return any;
}

static void check_damaged(void)
{
    struct rkb_error error = {0};
    struct rkb_ring_notes notes;
    (void)rkb_ring_read_notes(world.directory, id, &world.sys, &notes);
    if (!open_ring(&error)) {
        CLAIM(error.code != RKB_OK && error.text[0] != '\0' && access(world.path, F_OK) == 0);
        return;
    }
    world.seen = 0;
    CLAIM(rkb_ring_visit(world.ring, on_record, NULL, &error));
    /* It is used: what is in it is taken, and it is found again with what was put in. */
    const uint8_t *at;
    rkb_ring_consume(world.ring, rkb_ring_peek(world.ring, &at));
    world.first = world.next;
    bool is_put = put(3);
    rkb_ring_close(world.ring);
    CLAIM(open_ring(&error));
    world.seen = world.first;
    CLAIM(rkb_ring_visit(world.ring, on_record, NULL, &error));
    CLAIM(world.forged || world.seen == world.first + is_put);
    rkb_ring_close(world.ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {rkb_slice(data, size)};
    struct rkb_error error = {0};
    const char *under = getenv("TMPDIR");
    char hex[33] = "";
    world = (struct world){.sys = rkb_sys_posix, .next = 1, .first = 1};
    world.sys.random = fixed_random;
    snprintf(world.directory, sizeof world.directory, "%s", under != NULL ? under : "/tmp");
    rkb_hex(hex, id, sizeof id);
    snprintf(world.path, sizeof world.path, "%s/rkbridge-%s.ring", world.directory, hex);
    unlink(world.path);
    world.size = PAGE * (1 + take_number(&input, 4));
    CLAIM(open_ring(&error));
    struct input line = {take_line(&input)};
    use(&line);
    rkb_ring_close(world.ring);
    if (damage_file(&input)) {
        check_damaged();
    } else {
        CLAIM(open_ring(&error));
        check_whole();
        rkb_ring_close(world.ring);
    }
    unlink(world.path);
    return 0;
}
