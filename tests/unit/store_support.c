/* A store to be killed and opened again; see store_support.h. */
#include "store_support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

bool append_nothing(void *context, struct rkb_gap *gap)
{
    (void)context;
    (void)gap;
    return false;
}

int set_up(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    test->parent = make_directory();
    test->ring_directory = make_directory();
    test->config.journal.directory = test->parent;
    test->config.journal.ring_directory = test->ring_directory;
    test->config.journal.max_size = 64 * MIB;
    test->config.journal.segment_size = MIB;
    test->config.journal.ring_size = 256 * 1024;
    test->config.journal.dead_letter_size = MIB;
    test->next = 1;
    char *path = join(test->ring_directory, "log");
    test->log_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    test->log = rkb_log_new(test->log_fd, RKB_LOG_DEBUG, RKB_LOG_TEXT, NULL);
    *state = test;
    return test->log == NULL;
}

void open_store(struct test *test)
{
    struct rkb_error error = {0};
    test->store = (struct rkb_store){0};
    if (!rkb_store_open(&test->store, &test->config, append_nothing, NULL, test->log, &error))
        fail_msg("%s", error.text);
}

void close_store(struct test *test)
{
    rkb_store_close(&test->store, false);
    test->store = (struct rkb_store){0};
}

void reopen_store(struct test *test)
{
    close_store(test);
    open_store(test);
}

int tear_down(void **state)
{
    struct test *test = *state;
    close_store(test);
    rkb_log_free(test->log, 1000);
    close(test->log_fd);
    remove_directory(test->parent);
    remove_directory(test->ring_directory);
    free(test);
    return 0;
}

char *read_log(struct test *test)
{
    rkb_log_free(test->log, 1000);
    test->log = NULL;
    char *path = join(test->ring_directory, "log");
    size_t size;
    char *text = (char *)read_whole(path, &size);
    text[size] = '\0';
    free(path);
    return text;
}

/* ---- records, as the loop puts them into the ring ---- */

bool put(struct test *test, const struct rkb_record *record)
{
    size_t size = rkb_record_size(0, 0, record->value.size);
    uint8_t *at = rkb_ring_reserve(test->store.ring, size, 0);
    if (at == NULL)
        return false;
    rkb_record_write(at, record, rkb_ring_salt(test->store.ring));
    rkb_ring_commit(test->store.ring, size);
    return true;
}

bool put_message_for(struct test *test, uint32_t route, uint32_t topic)
{
    static const uint8_t value[1000];
    const struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = test->next, .time_us = 5000, .epoch = 1,
                                      .route = route, .topic = topic, .value = {value, sizeof value}};
    if (!put(test, &record))
        return false;
    test->next++;
    return true;
}

bool put_message(struct test *test, uint32_t route)
{
    return put_message_for(test, route, 1);
}

void put_messages(struct test *test, uint32_t route, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(put_message(test, route));
}

void put_gap(struct test *test, const struct rkb_gap *gap)
{
    struct rkb_buffer json = {0};
    rkb_gap_write(gap, &json);
    const struct rkb_record record = {.kind = RKB_GAP, .sequence = test->next++, .route = 1,
                                      .value = {json.data, json.size}};
    assert_true(put(test, &record));
    rkb_buffer_free(&json);
}

void put_name(struct test *test, enum rkb_name class, const char *name)
{
    bool added;
    uint32_t number = rkb_dictionary_add(test->store.dictionary, class, rkb_slice_text(name), &added);
    size_t size = rkb_dictionary_record_size(test->store.dictionary, class, number);
    uint8_t *at = rkb_ring_reserve(test->store.ring, size, 0);
    assert_non_null(at);
    rkb_dictionary_record(test->store.dictionary, class, number, at, rkb_ring_salt(test->store.ring));
    rkb_ring_commit(test->store.ring, size);
}

void put_names(struct test *test)
{
    put_name(test, RKB_NAME_ROUTE, "first");
    put_name(test, RKB_NAME_ROUTE, "second");
    put_name(test, RKB_NAME_TOPIC, "topic");
    put_name(test, RKB_NAME_SOURCE, "legacy");
}

bool take(struct test *test)
{
    const uint8_t *records;
    size_t bytes = rkb_ring_peek(test->store.ring, &records), taken;
    struct rkb_error error;
    bool all = rkb_journal_append(test->store.journal, records, bytes, rkb_ring_salt(test->store.ring), &taken, &error);
    rkb_ring_consume(test->store.ring, taken);
    assert_true(all || error.code == RKB_FULL);
    return all;
}

uint64_t waiting(const struct test *test, uint32_t route)
{
    return route <= test->store.waiting_count && test->store.waiting != NULL ? test->store.waiting[route] : 0;
}

size_t ring_bytes(const struct test *test)
{
    const uint8_t *at;
    return rkb_ring_peek(test->store.ring, &at);
}
