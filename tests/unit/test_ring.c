/* Tests of the ring: wrap-around, two threads, what outlives a kill, what is refused. */
#include "journal_support.h"

#include "journal/raw.h"
#include "journal/ring.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA 12288             /* where it begins in the file */
#define AT_HEAD 64
#define AT_TAIL 128

static const uint8_t id[16] = {0xab, 0xcd, 1, 2, 3};

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

static struct rkb_ring *try_open(const char *directory, size_t size, const struct rkb_sys *sys, struct rkb_error *error)
{
    struct rkb_ring_options options = {directory, size, id, sys, NULL};
    return rkb_ring_open(&options, error);
}

static struct rkb_ring *must_open(const char *directory, size_t size)
{
    struct rkb_error error = {0};
    struct rkb_ring *ring = try_open(directory, size, &rkb_sys_posix, &error);
    if (ring == NULL)
        fail_msg("%s", error.text);
    return ring;
}

static void must_refuse(const char *directory, enum rkb_code code, const char *words)
{
    struct rkb_error error = {0};
    assert_null(try_open(directory, 8192, &rkb_sys_posix, &error));
    assert_int_equal(error.code, code);
    if (strstr(error.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void set_note(uint8_t *page, size_t at, uint64_t value)
{
    for (size_t copy = 0; copy < 3; copy++)
        rkb_raw_set_u64(page + at + 8 * copy, value);
}

static char *file_of(const char *directory)
{
    return join(directory, "rkbridge-abcd0102030000000000000000000000.ring");
}

/* How long the value of a message is, from its number: all remainders, from short to many times a page. */
static size_t size_for(uint64_t sequence)
{
    return (size_t)(sequence * 37 % 301 + (sequence % 50 == 0 ? 2000 : 0));
}

static bool put(struct rkb_ring *ring, uint64_t sequence, size_t keep)
{
    struct batch batch = {0};
    batch_message(&batch, sequence, size_for(sequence));
    uint8_t *at = rkb_ring_reserve(ring, batch.bytes.size, keep);
    if (at != NULL) {
        memcpy(at, batch.bytes.data, batch.bytes.size);
        rkb_record_resalt(at, BATCH_SALT, rkb_ring_salt(ring));
        rkb_ring_commit(ring, batch.bytes.size);
    }
    batch_free(&batch);
    return at != NULL;
}

/* Takes one record if there is one, and checks that it is number `sequence`. */
static bool get(struct rkb_ring *ring, uint64_t sequence)
{
    const uint8_t *at;
    struct rkb_record record;
    size_t size = rkb_ring_peek(ring, &at);
    if (size == 0)
        return false;
    assert_int_equal(rkb_record_parse(at, size, rkb_ring_salt(ring), &record, NULL), RKB_PARSE_RECORD);
    assert_int_equal(record.sequence, sequence);
    assert_true(is_message(&record, size_for(sequence)));
    rkb_ring_consume(ring, rkb_record_length(at));
    return true;
}

static void records_wrap_around_whole(void **state)
{
    (void)state;
    struct rkb_ring *ring = must_open(NULL, 8192);
    uint64_t written = 1, read = 1;
    for (int round = 0; round < 2000; round++) {
        while (put(ring, written, 0))
            written++;
        assert_true(rkb_ring_room(ring) < 8192 / 2);
        for (int i = 0; i <= round % 7; i++)
            read += get(ring, read);
    }
    while (get(ring, read))
        read++;
    assert_int_equal(read, written);
    assert_int_equal(rkb_ring_room(ring), 8192);
    rkb_ring_close(ring);
}

static void it_can_be_filled_to_the_last_byte(void **state)
{
    (void)state;
    struct rkb_ring *ring = must_open(NULL, 100);
    const uint8_t *at;
    assert_int_equal(rkb_ring_size(ring), 4096);
    for (int i = 0; i < 64; i++) {
        assert_non_null(rkb_ring_reserve(ring, 64, 0));
        rkb_ring_commit(ring, 64);
    }
    assert_null(rkb_ring_reserve(ring, 8, 0));
    assert_int_equal(rkb_ring_room(ring), 0);
    assert_int_equal(rkb_ring_peek(ring, &at), 4096);
    rkb_ring_consume(ring, 8);
    assert_non_null(rkb_ring_reserve(ring, 8, 0));
    assert_null(rkb_ring_reserve(ring, 16, 0));
    rkb_ring_close(ring);
}

static void what_is_kept_stays_free(void **state)
{
    (void)state;
    struct rkb_ring *ring = must_open(NULL, 4096);
    assert_null(rkb_ring_reserve(ring, 4096, 8));
    assert_null(rkb_ring_reserve(ring, 8, SIZE_MAX));
    assert_null(rkb_ring_reserve(ring, SIZE_MAX, 8));
    assert_non_null(rkb_ring_reserve(ring, 3072, 1024));
    rkb_ring_commit(ring, 3072);
    assert_null(rkb_ring_reserve(ring, 8, 1024));
    assert_non_null(rkb_ring_reserve(ring, 1024, 0));
    rkb_ring_close(ring);
}

#define MANY 200000

static void *produce(void *context)
{
    for (uint64_t sequence = 1; sequence <= MANY;)
        if (put(context, sequence, 0))
            sequence++;
        else
            sched_yield();
    return NULL;
}

static void two_threads_without_a_lock(void **state)
{
    (void)state;
    struct rkb_ring *ring = must_open(NULL, 16384);
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
    for (uint64_t sequence = 1; sequence <= MANY;) {
        assert_in_range(rkb_ring_room(ring), 0, 16384);     /* either thread may ask: the thread sanitizer sees to it */
        if (get(ring, sequence))
            sequence++;
        else
            sched_yield();
    }
    pthread_join(producer, NULL);
    rkb_ring_close(ring);
}

struct visited {
    uint64_t next;
    bool wrong;
};

static void visit(void *context, const struct rkb_record *record)
{
    struct visited *visited = context;
    if (record->sequence != visited->next || !is_message(record, size_for(record->sequence)))
        visited->wrong = true;
    visited->next++;
}

static void what_was_not_consumed_is_found_again(void **state)
{
    struct rkb_ring *ring = must_open(*state, 8192);
    struct rkb_error error;
    struct stat status;
    uint64_t read = 1, written = 1, salt = rkb_ring_salt(ring);
    char *path = file_of(*state);
    assert_true(rkb_ring_outlives(ring));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_size, DATA + 8192);
    assert_true(status.st_blocks * 512 >= 8192 + DATA);
    for (int restart = 0; restart < 40; restart++) {
        while (put(ring, written, 0))
            written++;
        for (int i = 0; i <= restart % 9; i++)
            read += get(ring, read);
        rkb_ring_note_read(ring, 1000 + restart);
        rkb_ring_note_low(ring, read);
        rkb_ring_close(ring);

        ring = must_open(*state, restart % 2 ? 8192 : 65536);   /* keeps its size while there are records in it */
        struct visited visited = {read, false};
        assert_int_equal(rkb_ring_size(ring), 8192);
        assert_int_equal(rkb_ring_salt(ring), salt);
        assert_true(rkb_ring_visit(ring, visit, &visited, &error));
        assert_false(visited.wrong);
        assert_int_equal(visited.next, written);
        assert_int_equal(rkb_ring_noted_read(ring), 1000 + restart);
        assert_int_equal(rkb_ring_noted_low(ring), read);
    }
    rkb_ring_close(ring);
    free(path);
}

static void an_empty_ring_of_another_size_is_made_anew_with_its_notes(void **state)
{
    struct rkb_ring *ring = must_open(*state, 8192);
    assert_true(put(ring, 1, 0));
    assert_true(get(ring, 1));
    rkb_ring_note_read(ring, 77);
    rkb_ring_note_low(ring, 2);
    rkb_ring_note_topic_low(ring, RKB_RING_TOPICS - 1, 3);
    rkb_ring_close(ring);
    ring = must_open(*state, 20000);
    assert_int_equal(rkb_ring_size(ring), 20480);
    assert_int_equal(rkb_ring_noted_read(ring), 77);
    assert_int_equal(rkb_ring_noted_low(ring), 2);
    assert_int_equal(rkb_ring_noted_topic_low(ring, RKB_RING_TOPICS - 1), 3);
    assert_true(put(ring, 2, 0));
    rkb_ring_close(ring);
    assert_int_equal(count_files(*state, ".new"), 0);
    ring = must_open(*state, 20000);
    assert_true(get(ring, 2));
    rkb_ring_close(ring);
}

static void each_topics_low_is_noted_for_the_next_start(void **state)
{
    struct rkb_ring *ring = must_open(*state, 8192);
    assert_true(put(ring, 1, 0));
    for (uint32_t topic = 0; topic < RKB_RING_TOPICS + 10; topic++)
        rkb_ring_note_topic_low(ring, topic, topic * 3 + 1);
    rkb_ring_note_topic_low(ring, 100, 7);      /* lower: it knows better */
    for (int restart = 0; restart < 2; restart++) {
        for (uint32_t topic = 0; topic < RKB_RING_TOPICS + 10; topic++)
            assert_int_equal(rkb_ring_noted_topic_low(ring, topic), topic < RKB_RING_TOPICS ? topic * 3 + 1 : 0);
        rkb_ring_close(ring);
        ring = must_open(*state, 8192);
    }
    rkb_ring_note_low(ring, 60);
    rkb_ring_limit_notes(ring, 50);
    for (uint32_t topic = 0; topic < RKB_RING_TOPICS; topic++)
        assert_int_equal(rkb_ring_noted_topic_low(ring, topic), topic * 3 + 1 < 50 ? topic * 3 + 1 : 50);
    assert_int_equal(rkb_ring_noted_low(ring), 50);
    assert_true(get(ring, 1));                  /* what is in it is as it was */
    rkb_ring_close(ring);
}

/* A child appends as fast as it can until it is killed; what it committed is whole. */
static void it_outlives_kill_9(void **state)
{
    for (unsigned round = 0; round < 10; round++) {
        int *progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct rkb_error error;
        assert_true(progress != MAP_FAILED);
        pid_t child = fork();
        if (child == 0) {
            struct rkb_ring *ring = try_open(*state, 1 << 20, &rkb_sys_posix, &error);
            for (uint64_t sequence = 1;; sequence++)
                if (ring == NULL)
                    _exit(1);
                else if (put(ring, sequence, 0))
                    __atomic_store_n(progress, (int)sequence, __ATOMIC_SEQ_CST);
                else
                    pause();            /* full before the kill came */
        }
        while (__atomic_load_n(progress, __ATOMIC_SEQ_CST) < (int)(300 + round * 71))
            sched_yield();
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);

        struct rkb_ring *ring = must_open(*state, 1 << 20);
        struct visited visited = {1, false};
        assert_true(rkb_ring_visit(ring, visit, &visited, &error));
        assert_false(visited.wrong);
        assert_true(visited.next > (uint64_t)*progress);
        for (uint64_t sequence = 1; sequence < visited.next; sequence++)
            assert_true(get(ring, sequence));
        rkb_ring_close(ring);
        empty_directory(*state);
        munmap(progress, 4096);
    }
}

static void what_is_not_ours_is_refused_and_left_alone(void **state)
{
    char *path = file_of(*state), *elsewhere = join(*state, "elsewhere");
    size_t size, after;
    struct rkb_ring *ring = must_open(*state, 8192);
    for (uint64_t i = 1; i < 10; i++)
        assert_true(put(ring, i, 0));
    rkb_ring_close(ring);
    uint8_t *good = read_whole(path, &size);

    for (size_t i = 0; i < 56; i++) {       /* the fixed part of the page, and one record */
        good[i] ^= 0x10;
        write_whole(path, good, size);
        must_refuse(*state, RKB_DAMAGED, path);
        good[i] ^= 0x10;
    }
    good[DATA + 70] ^= 1;
    write_whole(path, good, size);
    must_refuse(*state, RKB_DAMAGED, "offset 12288 does not count: checksum");
    good[DATA + 70] ^= 1;
    set_note(good, AT_TAIL, 8);             /* in the midst of a record */
    write_whole(path, good, size);
    must_refuse(*state, RKB_DAMAGED, "offset 12296 does not count");
    set_note(good, AT_TAIL, 0);
    uint64_t head = rkb_raw_u64(good + AT_HEAD);
    set_note(good, AT_HEAD, head + (UINT64_C(1) << 32));
    write_whole(path, good, size);
    must_refuse(*state, RKB_DAMAGED, "do not belong together");
    set_note(good, AT_HEAD, head);
    rkb_raw_set_u64(good + AT_HEAD, 1);     /* three copies, three answers */
    rkb_raw_set_u64(good + AT_HEAD + 8, 2);
    write_whole(path, good, size);
    must_refuse(*state, RKB_DAMAGED, "does not say where its records begin and end");
    set_note(good, AT_HEAD, head);
    write_whole(path, good, size - 1);
    must_refuse(*state, RKB_DAMAGED, "20479 bytes long");
    write_whole(path, good, 20);
    must_refuse(*state, RKB_DAMAGED, "shorter than its first page");

    write_whole(path, good, size);
    assert_int_equal(chmod(path, 0644), 0);
    must_refuse(*state, RKB_DAMAGED, "mode 644");
    assert_int_equal(chmod(path, 0600), 0);
    uint8_t *same = read_whole(path, &after);
    assert_int_equal(after, size);
    assert_memory_equal(same, good, size);
    ring = must_open(*state, 8192);
    assert_true(get(ring, 1));
    rkb_ring_close(ring);

    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    must_refuse(*state, RKB_SYSTEM, path);
    free(same);
    free(good);
    free(path);
    free(elsewhere);
}

static int no_room(int fd, off_t offset, off_t size)
{
    (void)fd;
    (void)offset;
    (void)size;
    errno = ENOSPC;
    return -1;
}

static int no_rename(const char *from, const char *to)
{
    (void)from;
    (void)to;
    errno = EIO;
    return -1;
}

static void failures_leave_nothing_behind(void **state)
{
    struct rkb_sys sys = rkb_sys_posix;
    struct rkb_error error = {0};
    sys.allocate = no_room;
    assert_null(try_open(*state, 8192, &sys, &error));
    assert_int_equal(error.code, RKB_FULL);
    assert_null(try_open(NULL, 8192, &sys, &error));
    assert_int_equal(error.code, RKB_FULL);
    sys.allocate = rkb_sys_posix.allocate;
    sys.rename = no_rename;
    assert_null(try_open(*state, 8192, &sys, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    assert_int_equal(count_files(*state, ""), 0);

    struct rkb_ring *ring = must_open(*state, 8192);
    rkb_ring_note_low(ring, 5);
    rkb_ring_close(ring);
    assert_null(try_open(*state, 16384, &sys, &error));     /* the old one stays when a new one cannot be made */
    assert_int_equal(count_files(*state, ""), 1);
    ring = must_open(*state, 8192);
    assert_int_equal(rkb_ring_noted_low(ring), 5);
    rkb_ring_close(ring);
}

static void a_half_made_file_of_an_earlier_start_is_no_hindrance(void **state)
{
    char *path = file_of(*state), *half;
    assert_true(asprintf(&half, "%s.new", path) > 0);
    write_whole(half, (const uint8_t *)"half", 4);
    struct rkb_ring *ring = must_open(*state, 8192);
    assert_int_equal(count_files(*state, ".new"), 0);
    rkb_ring_close(ring);
    free(half);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_wrap_around_whole),
        cmocka_unit_test(it_can_be_filled_to_the_last_byte),
        cmocka_unit_test(what_is_kept_stays_free),
        cmocka_unit_test(two_threads_without_a_lock),
        cmocka_unit_test_setup_teardown(what_was_not_consumed_is_found_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_topics_low_is_noted_for_the_next_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_ring_of_another_size_is_made_anew_with_its_notes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_outlives_kill_9, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_ours_is_refused_and_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_leave_nothing_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_half_made_file_of_an_earlier_start_is_no_hindrance, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
