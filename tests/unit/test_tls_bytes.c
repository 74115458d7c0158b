/*
 * The bytes behind TLS: nothing is lost, late or out of order, and what stands in a record that is not whole never
 * counts as read.
 */
#include "tls_world.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that are here but in a record that is not whole are bytes that Redis sent and nobody has: never caught up. */
static void half_a_record_is_not_caught_up(void **state)
{
    struct line *line = *state;
    static const size_t cuts[] = {1, 4, 5, 6, 20};
    struct tls_peer *peer = tls_prepare(line, "good");
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    tls_peer_rules(peer)->held = true;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        line->bytes.size = line->log.size = 0;
        tls_peer_say(peer, "0123456789", 10);
        tls_peer_release(peer, cuts[i]);
        line_until(line, "idle\n");
        line_turn(line, 3);
        assert_null(strstr(line_log(line), "caught up"));
        assert_int_equal(line->bytes.size, 0);
        tls_peer_release(peer, tls_peer_waiting(peer));
        line_until(line, "caught up\n");
        assert_memory_equal(line->bytes.data, "0123456789", 10);
    }
    tls_peer_free(peer);
}

/* One whole record and half of the next. */
static void more_than_a_record_is_not_caught_up(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    line->bytes.size = line->log.size = 0;
    tls_peer_rules(peer)->held = true;
    tls_peer_say(peer, "first", 5);
    size_t first = tls_peer_waiting(peer);
    tls_peer_say(peer, "second", 6);
    tls_peer_release(peer, first + 7);
    line_until_bytes(line, 5);
    line_turn(line, 3);
    assert_null(strstr(line_log(line), "caught up"));
    assert_int_equal(line->bytes.size, 5);
    tls_peer_release(peer, tls_peer_waiting(peer));
    line_until(line, "caught up\n");
    assert_memory_equal(line->bytes.data, "firstsecond", 11);
    tls_peer_free(peer);
}

static uint8_t *numbered(size_t size)
{
    uint8_t *data = malloc(size);
    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    return data;
}

enum { MUCH = 3 * 1024 * 1024 };

static void much_arrives_whole(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
    uint8_t *data = numbered(MUCH);
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    line->bytes.size = 0;
    tls_peer_say(peer, data, MUCH);
    line_until_bytes(line, MUCH);
    line_turn(line, 2);
    assert_true(line->caught_up_us != 0);
    assert_int_equal(line->bytes.size, MUCH);
    assert_memory_equal(line->bytes.data, data, MUCH);
    assert_null(strstr(line_log(line), "broken"));
    free(data);
    tls_peer_free(peer);
}

enum { RECORD = 1000 };         /* so that records and reads do not end in the same place */

static void say_in_records(struct tls_peer *peer, const uint8_t *data, size_t size)
{
    for (size_t said = 0, piece; said < size; said += piece) {
        piece = size - said < RECORD ? size - said : RECORD;
        tls_peer_say(peer, data + said, piece);
    }
}

/*
 * A little more than fits into one read, or into one turn: how much of it is then in OpenSSL alone is OpenSSL's matter.
 */
static const size_t little_more[] = {1, 100, 1000, 4000, 16000, 40000};
enum { LITTLES = sizeof little_more / sizeof little_more[0], READ = 64 * 1024, TURN = 512 * 1024 };

/* What OpenSSL holds makes no event on the socket: it must be handed on when reading goes on, and not before. */
static void rests_while_paused(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
    uint8_t *data = numbered(MUCH);
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    for (size_t i = 0; i < LITTLES; i++) {
        size_t size = READ + little_more[i];
        line->bytes.size = line->log.size = 0;
        rkb_transport_pause(line->transport, true);
        say_in_records(peer, data, size);
        for (int turn = 0; turn < 2000 && !tls_peer_has_delivered(peer); turn++)
            line_turn(line, 1);
        line->pause_in_bytes = true;
        rkb_transport_pause(line->transport, false);
        line_until_bytes(line, 1);
        line_turn(line, 3);
        assert_int_equal(line->bytes.size, READ);
        assert_null(strstr(line_log(line), "caught up"));
        rkb_transport_pause(line->transport, false);
        line_until_bytes(line, size);
        assert_memory_equal(line->bytes.data, data, size);
    }
    free(data);
    tls_peer_free(peer);
}

/* Sends a little more than what one read takes, and from the last but one on all there is. */
static void feed(struct line *line, void *peer)
{
    tls_peer_release(peer, line->bytes.size < TURN - READ ? READ + 4000 : MUCH);
}

/* A turn of the loop ends with its budget; the rest, which only OpenSSL may have, comes in the next. */
static void goes_on_after_a_turn(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
    uint8_t *data = numbered(MUCH);
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    tls_peer_rules(peer)->held = true;
    line->argument = peer;
    line->in_bytes = feed;
    for (size_t i = 0; i < LITTLES; i++) {
        size_t size = TURN + little_more[i];
        line->bytes.size = line->log.size = 0;
        say_in_records(peer, data, size);
        feed(line, peer);
        line_until_bytes(line, size);
        assert_memory_equal(line->bytes.data, data, size);
        line_turn(line, 1);
        assert_true(line->caught_up_us != 0);
    }
    free(data);
    tls_peer_free(peer);
}

static void takes_what_came_with_the_handshake(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
    tls_peer_rules(peer)->version = TLS1_2_VERSION;
    tls_peer_rules(peer)->greeting = "greeting";
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_until_bytes(line, 8);
    assert_memory_equal(line->bytes.data, "greeting", 8);
    tls_peer_free(peer);
}

/* Redis's last words come before the end, although a write has failed meanwhile. */
static void a_failed_write_hides_no_words(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
    tls_peer_rules(peer)->plain = "-ERR last words\r\n";
    line_open(line, "redis", "127.0.0.1", tls_peer_port(peer));
    line_until(line, "opened\n");
    rkb_transport_pause(line->transport, true);
    line_turn(line, 3);
    line->bytes.size = 0;
    tls_peer_cut(peer, false);
    for (int i = 0; i < 5; i++) {
        write_text(line, "PING\r\n");
        line_turn(line, 2);
    }
    rkb_transport_pause(line->transport, false);
    line_until(line, "broken");
    assert_int_equal(line->bytes.size, 17);
    assert_memory_equal(line->bytes.data, "-ERR last words\r\n", 17);
    assert_non_null(strstr(line_log(line), "writing to redis://127.0.0.1:"));
    tls_peer_free(peer);
}

static void opens_while_paused(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    rkb_transport_pause(line->transport, true);
    line_until(line, "opened\n");
    write_text(line, "question");
    until_heard(line, peer, "question");
    tls_peer_say(peer, "answer", 6);
    assert_true(line_turn(line, 5) < 20);       /* and does not turn in vain */
    assert_int_equal(line->bytes.size, 0);
    rkb_transport_pause(line->transport, false);
    line_until_bytes(line, 6);
    tls_peer_free(peer);
}

static void may_be_closed_in_the_middle(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
    uint8_t *data = numbered(MUCH);
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    line->bytes.size = line->log.size = 0;
    line->close_in_bytes = true;
    tls_peer_say(peer, data, MUCH);
    line_until_bytes(line, 1);
    line_turn(line, 3);
    assert_string_equal(line_log(line), "");
    free(data);
    tls_peer_free(peer);
}

/* What was sent before the end is handed on before the end is told, with a goodbye or without. */
static void ends_in_order(void **state)
{
    struct line *line = *state;
    for (int goodbye = 0; goodbye < 2; goodbye++) {
        struct tls_peer *peer = tls_prepare(line, "good");
        line_open(line, "rediss", "redis.test", tls_peer_port(peer));
        assert_talks(line, peer);
        line->bytes.size = line->log.size = 0;
        tls_peer_rules(peer)->held = true;
        tls_peer_say(peer, "last words", 10);
        tls_peer_release(peer, tls_peer_waiting(peer));
        tls_peer_cut(peer, goodbye);
        line_until(line, "broken");
        assert_memory_equal(line->bytes.data, "last words", 10);
        assert_non_null(strstr(line_log(line), "Redis closed the connection\n"));
        tls_peer_free(peer);
    }
}

/* Also what is written by the other way, which overwrites it once sent, goes through TLS. */
static void secrets_are_encrypted(void **state)
{
    struct line *line = *state;
    struct rkb_error error;
    struct tls_peer *peer = tls_prepare(line, "good");
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_false(rkb_transport_write_secret(line->transport, "too early", 9, &error));
    assert_false(rkb_transport_write(line->transport, "too early", 9, &error));
    assert_talks(line, peer);
    assert_true(rkb_transport_write_secret(line->transport, "-sEcReT", 7, &error));
    until_heard(line, peer, "question-sEcReT");
    assert_null(strstr(tls_peer_heard(peer), "early"));
    tls_peer_free(peer);
}

static void long_commands_arrive(void **state)
{
    struct line *line = *state;
    struct rkb_error error;
    struct tls_peer *peer = tls_prepare(line, "good");
    char *text = malloc(MUCH);
    assert_non_null(text);
    memset(text, 'x', MUCH);
    memcpy(text + MUCH - 3, "end", 3);
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    assert_true(rkb_transport_write(line->transport, text, MUCH, &error));
    until_heard(line, peer, "end");
    assert_int_equal(strlen(tls_peer_heard(peer)), strlen("question") + MUCH);
    free(text);
    tls_peer_free(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINE_TEST(half_a_record_is_not_caught_up),
        LINE_TEST(more_than_a_record_is_not_caught_up),
        LINE_TEST(much_arrives_whole),
        LINE_TEST(rests_while_paused),
        LINE_TEST(goes_on_after_a_turn),
        LINE_TEST(takes_what_came_with_the_handshake),
        LINE_TEST(a_failed_write_hides_no_words),
        LINE_TEST(opens_while_paused),
        LINE_TEST(may_be_closed_in_the_middle),
        LINE_TEST(ends_in_order),
        LINE_TEST(secrets_are_encrypted),
        LINE_TEST(long_commands_arrive),
    };
    return cmocka_run_group_tests(tests, tls_make_store, tls_drop_store);
}
