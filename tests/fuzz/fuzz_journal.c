/*
 * Fuzz target: a journal that was written, and then damaged: recovery, cursor, checkpoint, ledger, rkbctl's reading.
 *
 *     input   lines, up to an empty one, each a life of the journal, from its opening to its closing:
 *                 m and a byte: a message, of that size class     k, g: a mark, a gap     n: a new topic
 *                 s and a byte: one number is settled     t and a byte: all of a topic below the end
 *                 c: a checkpoint
 *             damages, of six bytes each: what, the file, the record, where in it, two arguments
 *
 * Claims, for any input: undamaged, exactly what is not settled is shown, and nothing is lost. Damaged: each
 * record that is shown, read or inspected is the one that was written under its number, they come in order,
 * and what is neither shown nor settled is said to be lost, or is the end that no file tells of; the journal
 * goes on behind what it showed, and the next start finds the same. A damage that writes a record nobody
 * wrote, checksum and all, breaks no bounds.
 */
#include "damage.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/inspect.h"
#include "journal/journal.h"
#include "journal/ledger.h"

#define MOST_RECORDS 200
#define MOST_LIVES 4
#define SEGMENT ((size_t)64 << 10)
#define LIMIT ((size_t)8 << 20)
#define SALT UINT64_C(0x1122334455667788)

enum size_class { SIZE_CLASSES = 8 };
static const size_t sizes[SIZE_CLASSES] = {0, 1, 40, 333, 4000, 9000, 20000, 60};

/* What was written under each number. */
struct written {
    enum rkb_kind kind;
    size_t size;
    uint32_t topic;
    bool settled;           /* by us */
    bool kept;              /* settled in a checkpoint that was written */
    bool shown;             /* by the last start */
};

struct world {
    char directory[200];
    struct rkb_sys sys;
    uint64_t random;
    int64_t now_us;
    struct written list[MOST_RECORDS + 8];
    uint64_t next;
    uint32_t topics;
    struct rkb_dictionary *dictionary;
    struct rkb_gap gaps[2 * MOST_RECORDS];
    size_t gap_count;
    uint64_t last_shown;
    uint64_t last_gap;
    bool no_checkpoint;     /* it was damaged: nobody knows what was before the oldest segment */
    bool forged;            /* a damage made a record with a good checksum: what it says is anything */
};

static struct world world;

/* ---- system calls that are the same each time ---- */

static int fixed_random(void *data, size_t size)
{
    uint8_t *out = data;
    for (size_t i = 0; i < size; i++) {
        world.random = world.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(world.random >> 56);
    }
    return 0;
}

static int64_t fixed_time(void)
{
    return world.now_us += 1000;
}

/* ---- what is written ---- */

static uint8_t byte_of(uint64_t sequence, size_t i)
{
    return (uint8_t)(sequence * 31 + i * 7 + 1);
}

static const uint8_t *value_of(uint64_t sequence, size_t size)
{
    static uint8_t value[20000];
    CLAIM(size <= sizeof value);
    for (size_t i = 0; i < size; i++)
        value[i] = byte_of(sequence, i);
    return value;
}

static struct rkb_record record_of(uint64_t sequence)
{
    const struct written *written = &world.list[sequence];
    struct rkb_record record = {.kind = written->kind, .sequence = sequence, .time_us = 1000000 + (int64_t)sequence,
                                .epoch = 3, .count = (uint32_t)sequence, .route = 1, .topic = written->topic,
                                .has_key = sequence % 2 == 0,
                                .value = {value_of(sequence, written->size), written->size}};
    if (record.has_key)
        record.key = rkb_slice_text("key");
    return record;
}

static bool is_written(const struct rkb_record *record)
{
    if (record->sequence == 0 || record->sequence >= world.next)
        return false;
    struct rkb_record wanted = record_of(record->sequence);
    return record->kind == wanted.kind && record->time_us == wanted.time_us && record->epoch == wanted.epoch
           && record->count == wanted.count && record->route == wanted.route && record->topic == wanted.topic
           && record->has_key == wanted.has_key && rkb_slice_equal(record->key, wanted.key)
           && record->headers.size == 0 && rkb_slice_equal(record->value, wanted.value);
}

static uint64_t sum(struct rkb_slice bytes)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes.size; i++)
        sum += bytes.data[i];
    return sum;
}

/* Each byte is looked at, whatever it says. */
static void touch(const struct rkb_record *record)
{
    size_t size = record->key.size + record->headers.size + record->value.size;
    CLAIM(sum(record->key) + sum(record->headers) + sum(record->value) <= 255 * (uint64_t)size);
}

static void look_at(const struct rkb_record *record)
{
    touch(record);
    CLAIM(world.forged || is_written(record));
}

static void on_shown(void *context, const struct rkb_record *record)
{
    (void)context;
    look_at(record);
    CLAIM(record->sequence > world.last_shown);
    world.last_shown = record->sequence;
    if (!world.forged)
        world.list[record->sequence].shown = true;
}

/* ---- a life ---- */

static struct rkb_journal *open_journal(struct rkb_recovery *recovery, struct rkb_error *error)
{
    struct rkb_journal_options options = {.directory = world.directory, .max_size = LIMIT, .segment_size = SEGMENT,
                                          .sys = &world.sys};
    for (uint64_t i = 0; i < MOST_RECORDS; i++)
        world.list[i].shown = false;
    world.last_shown = 0;
    *recovery = (struct rkb_recovery){0};
    return rkb_journal_open(&options, recovery, on_shown, NULL, error);
}

static void append_bytes(struct rkb_journal *journal, const struct rkb_buffer *bytes)
{
    struct rkb_error error = {0};
    size_t taken = 0;
    CLAIM(!bytes->failed && rkb_journal_append(journal, bytes->data, bytes->size, SALT, &taken, &error));
    CLAIM(taken == bytes->size);
}

static void append(struct rkb_journal *journal, enum rkb_kind kind, size_t size, uint32_t topic)
{
    struct rkb_buffer bytes = {0};
    if (world.next >= MOST_RECORDS)
        return;
    world.list[world.next] = (struct written){.kind = kind, .size = size, .topic = topic};
    struct rkb_record record = record_of(world.next++);
    uint8_t *at = rkb_buffer_reserve(&bytes, rkb_record_size(record.key.size, 0, size));
    CLAIM(at != NULL);
    bytes.size = rkb_record_write(at, &record, SALT);
    append_bytes(journal, &bytes);
    rkb_buffer_free(&bytes);
}

static void append_topic(struct rkb_journal *journal)
{
    char name[16];
    bool added;
    struct rkb_buffer bytes = {0};
    if (world.topics >= 12)
        return;
    snprintf(name, sizeof name, "topic %u", ++world.topics);
    uint32_t number = rkb_dictionary_add(world.dictionary, RKB_NAME_TOPIC, rkb_slice_text(name), &added);
    uint8_t *at = rkb_buffer_reserve(&bytes, rkb_dictionary_record_size(world.dictionary, RKB_NAME_TOPIC, number));
    CLAIM(at != NULL && number == world.topics);
    bytes.size = rkb_dictionary_record(world.dictionary, RKB_NAME_TOPIC, number, at, SALT);
    append_bytes(journal, &bytes);
    rkb_buffer_free(&bytes);
}

/* Each gap is written twice, open and closed: the ledger has what it was last. */
static void note_gap(struct rkb_ledger *ledger, uint64_t id)
{
    struct rkb_error error = {0};
    bool closes = world.gap_count > 0 && world.gaps[world.gap_count - 1].to_us == 0;
    if (world.gap_count == sizeof world.gaps / sizeof world.gaps[0])
        return;
    struct rkb_gap gap = {.id = id, .source = "legacy", .reason = "restart", .from_us = (int64_t)id * 1000000,
                          .bound = id % 3 == 0 ? RKB_BOUND_UNKNOWN : id};
    if (closes) {
        gap = world.gaps[world.gap_count - 1];
        gap.to_us = gap.from_us + 1000000;
    }
    CLAIM(rkb_ledger_append(ledger, &gap, &error));
    world.gaps[world.gap_count++] = gap;
}

static void settle(struct rkb_journal *journal, size_t back)
{
    if (world.next <= 1)
        return;
    uint64_t sequence = 1 + back % (world.next - 1);
    CLAIM(rkb_acks_add(rkb_journal_acks(journal), sequence, NULL));
    world.list[sequence].settled = true;
}

/* All that it has so far, as the shipper would: settled, and said to be. */
static void settle_topic(struct rkb_journal *journal, uint32_t topic)
{
    topic %= world.topics + 1;
    for (uint64_t i = 1; i < world.next; i++) {
        if ((world.list[i].kind == RKB_MESSAGE ? world.list[i].topic : 0) != topic)
            continue;
        CLAIM(rkb_acks_add(rkb_journal_acks(journal), i, NULL));
        world.list[i].settled = true;
    }
    rkb_journal_topic_low(journal, topic, world.next);
}

static void write_checkpoint(struct rkb_journal *journal)
{
    struct rkb_error error = {0};
    CLAIM(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    for (uint64_t i = 1; i < world.next; i++)
        world.list[i].kept = world.list[i].settled;
}

static void act(struct rkb_journal *journal, struct rkb_ledger *ledger, struct input *line)
{
    size_t what = take_number(line, 256);
    switch (what) {
    case 'm': {
        size_t argument = take_number(line, 256);
        append(journal, RKB_MESSAGE, sizes[argument % SIZE_CLASSES],
               world.topics > 0 ? 1 + (uint32_t)argument % world.topics : 0);
        break;
    }
    case 'k':
        append(journal, RKB_MARK, 72, 0);
        break;
    case 'g':
        append(journal, RKB_GAP, 2, 0);
        note_gap(ledger, world.next - 1);       /* its record's number */
        break;
    case 'n':
        append_topic(journal);
        break;
    case 's':
        settle(journal, take_number(line, 256));
        break;
    case 't':
        settle_topic(journal, (uint32_t)take_number(line, 256));
        break;
    case 'c':
        write_checkpoint(journal);
        break;
    default:
        break;
    }
}

/* Nothing was damaged so far: what is shown is what no checkpoint has, and the marks of the newest segment. */
static void check_whole(const struct rkb_recovery *recovery)
{
    CLAIM(recovery->damaged == 0 && recovery->torn_bytes == 0 && recovery->lost_first == 0);
    CLAIM(recovery->next_sequence == world.next && (recovery->fresh == (world.next == 1) || world.next == 1));
    for (uint64_t i = 1; i < world.next; i++) {
        struct written *written = &world.list[i];
        CLAIM(written->shown || written->kept);
        CLAIM(!written->shown || !written->kept || written->kind != RKB_MESSAGE);
        written->settled = written->kept;
    }
}

static void on_gap(void *context, const struct rkb_gap *gap)
{
    bool found = false;
    (void)context;
    for (size_t i = 0; i < world.gap_count && !found; i++) {
        const struct rkb_gap *known = &world.gaps[i];
        found = gap->id == known->id && strcmp(gap->source, known->source) == 0 && gap->bound == known->bound
                && strcmp(gap->reason, known->reason) == 0
                && gap->from_us == known->from_us && gap->to_us == known->to_us;
    }
    CLAIM(found || world.forged);
    CLAIM(gap->id > world.last_gap);
    world.last_gap = gap->id;
}

static struct rkb_ledger *open_ledger(const struct rkb_journal *journal, struct rkb_error *error)
{
    world.last_gap = 0;
    *error = (struct rkb_error){0};
    return rkb_ledger_open(world.directory, rkb_journal_id(journal), &world.sys, on_gap, NULL, error);
}

static void live(struct input *line)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct rkb_journal *journal = open_journal(&recovery, &error);
    CLAIM(journal != NULL);
    struct rkb_ledger *ledger = open_ledger(journal, &error);
    CLAIM(ledger != NULL && error.code == RKB_OK);
    check_whole(&recovery);
    while (line->rest.size > 0)
        act(journal, ledger, line);
    rkb_ledger_close(ledger);
    rkb_journal_close(journal);
}

/* ---- damages ---- */

/* False where nothing was damaged. */
static bool damage_journal(struct input *input)
{
    struct damages damages = {.directory = world.directory};
    bool any = damage_files(&damages, input);
    world.forged = world.forged || damages.forged;
    world.no_checkpoint = world.no_checkpoint || damages.checkpoint;
    return any;
}

/* ---- what is claimed of it ---- */

static void on_inspected(void *context, const struct rkb_record *record)
{
    uint64_t *last = context;
    touch(record);
    if (record->kind == RKB_DICTIONARY)
        return;
    CLAIM(world.forged || is_written(record));
    CLAIM(record->sequence > *last);
    *last = record->sequence;
}

static void inspect(void)
{
    struct rkb_error error = {0};
    struct rkb_inspection *inspection = rkb_inspect_open(world.directory, &world.sys, &error);
    static struct rkb_inspected_segment segment;
    if (inspection == NULL) {
        CLAIM(error.code != RKB_OK && error.text[0] != '\0');
        return;
    }
    for (size_t i = 0; i < rkb_inspect_segments(inspection); i++) {
        uint64_t last = 0;
        CLAIM(rkb_inspect_segment(inspection, i, &segment, on_inspected, &last, &error));
        CLAIM(segment.used <= segment.size || segment.size < RKB_SEGMENT_HEADER);
        CLAIM(segment.state != RKB_SEGMENT_DAMAGED || segment.reason[0] != '\0');
    }
    rkb_inspect_close(inspection);
}

/* Nothing is missing in silence. */
static void check_missing(const struct rkb_recovery *recovery)
{
    CLAIM((recovery->lost_first == 0) == (recovery->lost_last == 0) && recovery->lost_first <= recovery->lost_last);
    CLAIM(recovery->lost_first == 0 || (recovery->damaged > 0 && recovery->damage[0] != '\0'));
    CLAIM(recovery->next_sequence > world.last_shown && recovery->next_sequence > recovery->lost_last);
    for (uint64_t i = 1; i < world.next && !world.forged; i++) {
        const struct written *written = &world.list[i];
        bool lost = i >= recovery->lost_first && i <= recovery->lost_last;
        bool before = world.no_checkpoint && i < recovery->low;
        CLAIM(written->shown || written->settled || lost || before || i >= recovery->next_sequence);
    }
}

/* From the first on: what was shown is there, in order, and all of it is right. */
static void read_all(struct rkb_journal *journal, const bool *shown)
{
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error = {0};
    enum rkb_next next;
    bool seen[sizeof world.list / sizeof world.list[0]] = {false};
    uint64_t last = 0;
    size_t steps = 0;
    rkb_cursor_seek(&cursor, journal, rkb_acks_low(rkb_journal_acks(journal)));
    while ((next = rkb_cursor_next(&cursor, &record, &error)) != RKB_NEXT_END) {
        CLAIM(next != RKB_NEXT_FAILED && ++steps < 100000);
        if (next != RKB_NEXT_RECORD)
            continue;
        look_at(&record);
        CLAIM(record.sequence > last);
        last = record.sequence;
        if (!world.forged)
            seen[last] = true;
    }
    rkb_cursor_close(&cursor);
    for (uint64_t i = rkb_acks_low(rkb_journal_acks(journal)); i < world.next && !world.forged; i++)
        CLAIM(!shown[i] || seen[i]);
}

/* Behind a damage it goes on where it said, and a start finds what was there and what is new. */
static void go_on(struct rkb_journal *journal, const struct rkb_recovery *recovery)
{
    bool shown[sizeof world.list / sizeof world.list[0]];
    uint64_t first = recovery->next_sequence;
    struct rkb_recovery again;
    struct rkb_error error = {0};
    for (uint64_t i = 0; i < sizeof shown; i++)
        shown[i] = world.list[i].shown && world.list[i].kind == RKB_MESSAGE;
    bool room = first < MOST_RECORDS - 3;
    if (room && !world.forged) {
        world.next = first;
        for (int i = 0; i < 3; i++)
            append(journal, RKB_MESSAGE, 40, 1);
    }
    read_all(journal, shown);
    rkb_journal_close(journal);
    journal = open_journal(&again, &error);
    CLAIM(journal != NULL);
    CLAIM(again.next_sequence >= recovery->next_sequence);
    for (uint64_t i = 1; i < world.next && !world.forged; i++)
        if (world.list[i].kind == RKB_MESSAGE)
            CLAIM(world.list[i].shown == (i < first ? shown[i] : room));
    rkb_journal_close(journal);
}

static void recover(void)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    inspect();
    struct rkb_journal *journal = open_journal(&recovery, &error);
    if (journal == NULL) {
        CLAIM(error.code != RKB_OK && error.text[0] != '\0' && world.forged);
        return;
    }
    struct rkb_ledger *ledger = open_ledger(journal, &error);
    CLAIM(ledger != NULL && (error.code == RKB_OK || (error.code == RKB_DAMAGED && error.text[0] != '\0')));
    rkb_ledger_close(ledger);
    check_missing(&recovery);
    go_on(journal, &recovery);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {rkb_slice(data, size)}, line;
    world = (struct world){.next = 1, .random = 7, .now_us = 1795380667000000, .sys = rkb_sys_posix};
    world.sys.random = fixed_random;
    world.sys.realtime_us = world.sys.monotonic_us = fixed_time;
    world.sys.fsync = world.sys.fdatasync = no_sync;
    world.dictionary = rkb_dictionary_new();
    temporary_path(world.directory, sizeof world.directory, "journal");
    remove_directory(world.directory);
    for (size_t lives = 0; lives < MOST_LIVES; lives++) {
        line.rest = take_line(&input);
        if (line.rest.size == 0)
            break;
        live(&line);
    }
    struct stat there;
    if (stat(world.directory, &there) == 0) {
        if (damage_journal(&input)) {
            recover();
        } else {
            line.rest = rkb_slice(NULL, 0);
            live(&line);
        }
    }
    rkb_dictionary_free(world.dictionary);
    remove_directory(world.directory);
    return 0;
}
