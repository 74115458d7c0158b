/*
 * The mailbox: one thread posts, one reads; what is read is always one post, whole, and never one older than the one
 * before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/mailbox.h"

#define WORDS 512
#define POSTS 200000

struct figures {
    uint64_t words[WORDS];
};

static void post(struct rkb_mailbox *mailbox, uint64_t number)
{
    struct figures *draft = rkb_mailbox_draft(mailbox);
    for (size_t i = 0; i < WORDS; i++)
        draft->words[i] = number;
    rkb_mailbox_post(mailbox);
}

/* Reads backwards, so that a writer in the same slot would be met halfway. */
static uint64_t read_whole(struct rkb_mailbox *mailbox)
{
    const volatile struct figures *figures = rkb_mailbox_read(mailbox);
    uint64_t number = figures->words[WORDS - 1];
    for (size_t i = WORDS; i-- > 0;) {
        if (figures->words[i] != number)
            fail_msg("word %zu is of post %llu, the last of post %llu", i, (unsigned long long)figures->words[i],
                     (unsigned long long)number);
    }
    return number;
}

static void test_zeros_before_the_first_post(void **state)
{
    struct rkb_mailbox mailbox;
    (void)state;
    assert_true(rkb_mailbox_init(&mailbox, sizeof(struct figures)));
    assert_int_equal(read_whole(&mailbox), 0);
    assert_int_equal(read_whole(&mailbox), 0);
    rkb_mailbox_free(&mailbox);
}

static void test_the_newest_wins(void **state)
{
    struct rkb_mailbox mailbox;
    (void)state;
    assert_true(rkb_mailbox_init(&mailbox, sizeof(struct figures)));
    for (uint64_t number = 1; number < 100; number += 3) {
        post(&mailbox, number);
        assert_int_equal(read_whole(&mailbox), number);
        assert_int_equal(read_whole(&mailbox), number);     /* nothing new: the same once more */
        post(&mailbox, number + 1);
        post(&mailbox, number + 2);
        assert_int_equal(read_whole(&mailbox), number + 2);
    }
    rkb_mailbox_free(&mailbox);
}

/* What was read stays as it is however often the writer posts. */
static void test_a_copy_in_use_is_left_alone(void **state)
{
    struct rkb_mailbox mailbox;
    (void)state;
    assert_true(rkb_mailbox_init(&mailbox, sizeof(struct figures)));
    post(&mailbox, 1);
    const struct figures *first = rkb_mailbox_read(&mailbox);
    for (uint64_t number = 2; number < 10; number++) {
        post(&mailbox, number);
        assert_int_equal(first->words[0], 1);
        assert_int_equal(first->words[WORDS - 1], 1);
    }
    assert_int_equal(read_whole(&mailbox), 9);
    rkb_mailbox_free(&mailbox);
}

struct writer {
    struct rkb_mailbox mailbox;
    atomic_bool done;
};

static void *post_many(void *context)
{
    struct writer *writer = context;
    for (uint64_t number = 1; number <= POSTS; number++)
        post(&writer->mailbox, number);
    atomic_store(&writer->done, true);
    return NULL;
}

static void test_two_threads(void **state)
{
    struct writer writer = {.done = false};
    pthread_t thread;
    uint64_t last = 0;
    (void)state;
    assert_true(rkb_mailbox_init(&writer.mailbox, sizeof(struct figures)));
    assert_int_equal(pthread_create(&thread, NULL, post_many, &writer), 0);
    while (!atomic_load(&writer.done)) {
        uint64_t number = read_whole(&writer.mailbox);
        assert_true(number >= last);
        last = number;
    }
    pthread_join(thread, NULL);
    assert_int_equal(read_whole(&writer.mailbox), POSTS);
    rkb_mailbox_free(&writer.mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeros_before_the_first_post),
        cmocka_unit_test(test_the_newest_wins),
        cmocka_unit_test(test_a_copy_in_use_is_left_alone),
        cmocka_unit_test(test_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
