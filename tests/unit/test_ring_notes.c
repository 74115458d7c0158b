/*
 * The notes before a ring's data: every bit of them flipped after a kill, a kill between the stores of one, a ring of
 * version 1, one whose journal is gone.
 */
#include "journal_support.h"

#include "journal/raw.h"
#include "journal/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SIZE 8192u
#define DATA 12288u
#define FIXED 56u
#define FIRST_TOPIC 432u                /* of the file: topic 0's low, three times */
#define TOPIC_BYTES 24u
#define FIRST 4u                        /* records 1 to 3 were consumed */
#define NEXT 11u

static const uint8_t id[16] = {9, 8, 7};

static int set_up(void **state)
{
    *state = make_directory();
    return 0;
}

static int tear_down(void **state)
{
    remove_directory(*state);
    return 0;
}

static struct rkb_ring *try_open(const char *directory, size_t size, const char *journal, const struct rkb_sys *sys,
                                 struct rkb_error *error)
{
    struct rkb_ring_options options = {directory, size, id, sys, journal};
    return rkb_ring_open(&options, error);
}

static char *file_of(const char *directory)
{
    return join(directory, "rkbridge-09080700000000000000000000000000.ring");
}

static void put(struct rkb_ring *ring, uint64_t sequence)
{
    struct batch batch = {0};
    batch_message(&batch, sequence, 200 + sequence % 5 * 8);
    uint8_t *at = rkb_ring_reserve(ring, batch.bytes.size, 0);
    assert_non_null(at);
    memcpy(at, batch.bytes.data, batch.bytes.size);
    rkb_record_resalt(at, BATCH_SALT, rkb_ring_salt(ring));
    rkb_ring_commit(ring, batch.bytes.size);
    batch_free(&batch);
}

static void consume(struct rkb_ring *ring)
{
    const uint8_t *at;
    assert_true(rkb_ring_peek(ring, &at) > 0);
    rkb_ring_consume(ring, rkb_record_length(at));
}

/* A ring with records 4 to 10 in it and all notes, as a kill leaves it. */
static void make_ring(const char *directory, const char *journal)
{
    struct rkb_error error = {0};
    struct rkb_ring *ring = try_open(directory, SIZE, journal, &rkb_sys_posix, &error);
    assert_non_null(ring);
    for (uint64_t i = 1; i < NEXT; i++)
        put(ring, i);
    for (uint64_t i = 1; i < FIRST; i++)
        consume(ring);
    rkb_ring_note_read(ring, 1700000000000000);
    rkb_ring_note_clock(ring, -77, 5);
    rkb_ring_note_low(ring, 3);
    rkb_ring_note_next(ring, FIRST);
    rkb_ring_note_not_durable(ring, 0);
    for (uint32_t topic = 0; topic < RKB_RING_TOPICS; topic++)
        rkb_ring_note_topic_low(ring, topic, topic % 4);
    rkb_ring_close(ring);
}

static void expect_next(void *context, const struct rkb_record *record)
{
    uint64_t *next = context;
    assert_int_equal(record->sequence, *next);
    *next = record->sequence + 1;
}

static void check_ring(struct rkb_ring *ring, int64_t clock)
{
    uint64_t next = FIRST;
    struct rkb_error error = {0};
    assert_true(rkb_ring_visit(ring, expect_next, &next, &error));
    assert_int_equal(next, NEXT);
    assert_int_equal(rkb_ring_noted_read(ring), 1700000000000000);
    assert_int_equal(rkb_ring_noted_clock(ring, 5), clock);
    assert_int_equal(rkb_ring_noted_clock(ring, 6), 0);
    assert_int_equal(rkb_ring_noted_low(ring), 3);
    assert_int_equal(rkb_ring_noted_not_durable(ring), 0);
    for (uint32_t topic = 0; topic < RKB_RING_TOPICS; topic++)
        assert_int_equal(rkb_ring_noted_topic_low(ring, topic), topic % 4);
}

static void check_notes(const char *directory)
{
    struct rkb_ring_notes notes;
    assert_true(rkb_ring_read_notes(directory, id, &rkb_sys_posix, &notes));
    assert_int_equal(notes.low, 3);
    assert_int_equal(notes.next, FIRST);
    assert_int_equal(notes.read_us, 1700000000000000);
}

/* What lies between two notes belongs to nobody: the bits there are kept as they are, and looked at by nobody. */
static bool is_note(size_t at)
{
    return (at >= 64 && at < 88) || (at >= 128 && at < 152) || (at >= 192 && at < 240) || (at >= 256 && at < 328)
        || (at >= 384 && at < FIRST_TOPIC + RKB_RING_TOPICS * TOPIC_BYTES);
}

/*
 * One bit: in the fixed part the ring is refused, in words; anywhere else not even that: all that was committed is
 * there, and each note says what it said. And it is well again: the same bit of the next copy does no more.
 */
static void a_flipped_bit_changes_nothing(void **state)
{
    char *path = file_of(*state);
    size_t size;
    struct rkb_error error = {0};
    make_ring(*state, NULL);
    uint8_t *good = read_whole(path, &size);
    assert_int_equal(size, DATA + SIZE);
    for (size_t bit = 0; bit < 8 * (size_t)(FIRST_TOPIC + 6 * TOPIC_BYTES); bit++) {
        good[bit / 8] ^= (uint8_t)(1 << bit % 8);
        write_whole(path, good, size);
        struct rkb_ring_notes notes;
        if (bit >= 8 * FIXED)
            check_notes(*state);
        else
            assert_false(rkb_ring_read_notes(*state, id, &rkb_sys_posix, &notes));
        struct rkb_ring *ring = try_open(*state, SIZE, NULL, &rkb_sys_posix, &error);
        assert_true((ring != NULL) == (bit >= 8 * FIXED));
        if (ring == NULL)
            assert_true(error.code == RKB_DAMAGED && strstr(error.text, path) != NULL);
        else
            check_ring(ring, -77);
        rkb_ring_close(ring);
        good[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (bit < 8 * FIXED)
            continue;
        uint8_t *healed = read_whole(path, &size);
        assert_true(!is_note(bit / 8) || memcmp(healed, good, DATA) == 0);
        free(healed);
    }
    free(good);
    free(path);
}

/* The first stores of a change were made, or the first two: what counts is what was, or what is to be. */
static void a_kill_between_two_stores(void **state)
{
    static const struct {
        size_t at;
        uint64_t before, after;
    } changes[] = {{192, 1700000000000000, 1700000000500000}, {256, 3, 9}, {280, FIRST, 8}, {304, 0, 55}};
    char *path = file_of(*state);
    struct rkb_error error = {0};
    size_t size;
    make_ring(*state, NULL);
    uint8_t *good = read_whole(path, &size);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        assert_true(is_note(changes[i].at));
        assert_int_equal(rkb_raw_u64(good + changes[i].at), changes[i].before);
        for (size_t stores = 1; stores <= 2; stores++) {
            uint8_t *page = malloc(size);
            memcpy(page, good, size);
            for (size_t copy = 1; copy <= stores; copy++)       /* in this order: the first copy comes last */
                rkb_raw_set_u64(page + changes[i].at + 8 * copy, changes[i].after);
            write_whole(path, page, size);
            struct rkb_ring *ring = try_open(*state, SIZE, NULL, &rkb_sys_posix, &error);
            assert_non_null(ring);
            rkb_ring_close(ring);
            free(page);
            page = read_whole(path, &size);
            for (size_t copy = 0; copy < 3; copy++)
                assert_int_equal(rkb_raw_u64(page + changes[i].at + 8 * copy),
                                 stores == 1 ? changes[i].before : changes[i].after);
            free(page);
        }
    }
    free(good);
    free(path);
}

/* What all three say differently says least. */
static void three_answers(void **state)
{
    char *path = file_of(*state);
    struct rkb_error error = {0};
    size_t size;
    make_ring(*state, NULL);
    uint8_t *page = read_whole(path, &size);
    rkb_raw_set_u64(page + 256, 700);
    rkb_raw_set_u64(page + 256 + 8, 2);
    write_whole(path, page, size);
    struct rkb_ring *ring = try_open(*state, SIZE, NULL, &rkb_sys_posix, &error);
    assert_non_null(ring);
    assert_int_equal(rkb_ring_noted_low(ring), 2);
    rkb_ring_close(ring);
    free(page);
    free(path);
}

/* The same ring as version 1 wrote it: one page, each note once. */
static void write_old(const char *path, bool empty)
{
    size_t size;
    uint8_t *now = read_whole(path, &size), *old = calloc(1, 4096 + SIZE);
    memcpy(old, now, FIXED);
    rkb_raw_set_u32(old + 8, 1);
    rkb_raw_set_u32(old + 12, 4096);
    rkb_raw_set_u64(old + 48, XXH3_64bits(old, 48));
    rkb_raw_set_u64(old + 64, rkb_raw_u64(now + 64));
    rkb_raw_set_u64(old + 128, rkb_raw_u64(now + (empty ? 64 : 128)));
    rkb_raw_set_u64(old + 192, rkb_raw_u64(now + 192));
    for (size_t i = 0; i < 3; i++)
        rkb_raw_set_u64(old + 256 + 8 * i, rkb_raw_u64(now + 256 + 24 * i));
    for (size_t i = 0; i < RKB_RING_TOPICS; i++)
        rkb_raw_set_u64(old + 320 + 8 * i, rkb_raw_u64(now + FIRST_TOPIC + TOPIC_BYTES * i));
    memcpy(old + 4096, now + DATA, SIZE);
    write_whole(path, old, 4096 + SIZE);
    free(old);
    free(now);
}

static void a_ring_of_version_1_is_taken_over(void **state)
{
    char *path = file_of(*state);
    struct rkb_error error = {0};
    make_ring(*state, NULL);
    write_old(path, false);
    check_notes(*state);
    struct rkb_ring *ring = try_open(*state, 4 * SIZE, NULL, &rkb_sys_posix, &error);
    if (ring == NULL)
        fail_msg("%s", error.text);
    assert_int_equal(rkb_ring_size(ring), SIZE);
    check_ring(ring, 0);
    put(ring, NEXT);            /* and used: across its end, and again */
    for (uint64_t i = FIRST; i <= NEXT; i++)
        consume(ring);
    for (uint64_t i = NEXT + 1; i < 200; i++) {
        put(ring, i);
        consume(ring);
    }
    rkb_ring_close(ring);
    ring = try_open(*state, SIZE, NULL, &rkb_sys_posix, &error);
    assert_non_null(ring);
    rkb_ring_close(ring);
    assert_int_equal(count_files(*state, ""), 1);
    free(path);
}

static void an_empty_ring_of_version_1_gets_the_size_that_is_wanted(void **state)
{
    char *path = file_of(*state);
    struct rkb_error error = {0};
    const uint8_t *at;
    make_ring(*state, NULL);
    write_old(path, true);
    struct rkb_ring *ring = try_open(*state, 4 * SIZE, NULL, &rkb_sys_posix, &error);
    assert_non_null(ring);
    assert_int_equal(rkb_ring_size(ring), 4 * SIZE);
    assert_int_equal(rkb_ring_peek(ring, &at), 0);
    assert_int_equal(rkb_ring_noted_low(ring), 3);
    check_notes(*state);
    rkb_ring_close(ring);
    free(path);
}

static off_t most;

static int little_room(int fd, off_t offset, off_t size)
{
    (void)fd;
    if (offset + size <= most)
        return 0;
    errno = ENOSPC;
    return -1;
}

/* Without it a start would go on with a ring in anonymous memory, and what the old one holds would be left out. */
static void no_room_to_take_one_over_is_said(void **state)
{
    char *path = file_of(*state);
    struct rkb_sys sys = rkb_sys_posix;
    struct rkb_error error = {0};
    size_t size, after;
    make_ring(*state, NULL);
    write_old(path, false);
    uint8_t *old = read_whole(path, &size);
    sys.allocate = little_room;
    most = 4096 + SIZE;
    assert_null(try_open(*state, SIZE, NULL, &sys, &error));
    assert_int_equal(error.code, RKB_VERSION);
    assert_non_null(strstr(error.text, "make room"));
    uint8_t *same = read_whole(path, &after);
    assert_int_equal(after, size);
    assert_memory_equal(same, old, size);
    assert_int_equal(count_files(*state, ""), 1);
    free(same);
    free(old);
    free(path);
}

/* What a ring says of a journal that is not there any more; and when nobody has it open. */
static void a_ring_that_was_left_is_found(void **state)
{
    static const uint8_t other[16] = {1};
    struct rkb_ring_left left;
    struct rkb_error error = {0};
    char *journal = join(*state, "journal"), *elsewhere = join(*state, "elsewhere"), *path = file_of(*state);
    assert_true(mkdir(journal, 0700) == 0 && mkdir(elsewhere, 0700) == 0);
    make_ring(*state, journal);
    assert_false(rkb_ring_find_left(*state, elsewhere, other, &rkb_sys_posix, &left));
    assert_false(rkb_ring_find_left(*state, journal, id, &rkb_sys_posix, &left));
    assert_false(rkb_ring_find_left(NULL, journal, other, &rkb_sys_posix, &left));
    assert_true(rkb_ring_find_left(*state, journal, other, &rkb_sys_posix, &left));
    assert_string_equal(left.path, path);
    assert_int_equal(left.notes.low, 3);
    assert_int_equal(left.notes.next, FIRST);
    assert_int_equal(left.notes.read_us, 1700000000000000);
    assert_in_range(left.bytes, 7 * 264, 7 * 400);
    struct rkb_ring *ring = try_open(*state, SIZE, journal, &rkb_sys_posix, &error);
    assert_false(rkb_ring_find_left(*state, journal, other, &rkb_sys_posix, &left));
    rkb_ring_close(ring);
    assert_true(rmdir(journal) == 0 && rmdir(elsewhere) == 0);
    free(journal);
    free(elsewhere);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_flipped_bit_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kill_between_two_stores, set_up, tear_down),
        cmocka_unit_test_setup_teardown(three_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ring_of_version_1_is_taken_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_ring_of_version_1_gets_the_size_that_is_wanted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_room_to_take_one_over_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ring_that_was_left_is_found, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
