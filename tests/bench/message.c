/*
 * message -- see message.h.
 */
#include "message.h"

#include <string.h>

enum { TEXT_SIZE = 1 << 16 };

/* Words and figures in a fixed pseudo-random order: they compress about as real JSON does. */
static char *make_text(size_t size)
{
    static const char *const words[] = {"basket", "parcel", "shelf", "paid", "open", "false", "true", "north",
                                        "harbour", "unit", "kilogram", "colour", "blue", "customer", "invoice",
                                        "refund", "EUR", "null", "depot", "arrived", "carrier", "weight", "label",
                                        "stock", "moved", "counted", "price", "item"};
    char *text = malloc(size + 32);
    if (text == NULL)
        bench_die("out of memory");
    uint32_t state = 12345;
    for (size_t at = 0; at < size;) {
        state = state * 1664525u + 1013904223u;
        const char *word = words[(state >> 8) % (sizeof words / sizeof *words)];
        int length = state >> 30 == 0 ? sprintf(text + at, "%u ", (state >> 10) & 0xffff)
                                      : sprintf(text + at, "%s ", word);
        at += (size_t)length;
    }
    return text;
}

struct bench_writer bench_writer_new(const char *prefix, unsigned channels, size_t size)
{
    struct bench_writer self = {.channels = channels, .size = size, .text = make_text(TEXT_SIZE + size)};
    self.heads = calloc(channels, sizeof *self.heads);
    if (self.heads == NULL)
        bench_die("out of memory");
    for (unsigned channel = 0; channel < channels; channel++) {
        char name[96];
        int length = snprintf(name, sizeof name, "%s.%u", prefix, channel);
        snprintf(self.heads[channel], BENCH_HEAD_SIZE, "*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%s\r\n$%zu\r\n", length, name,
                 size);
    }
    return self;
}

void bench_writer_free(struct bench_writer *self)
{
    free(self->heads);
    free(self->text);
}

size_t bench_command_size(const struct bench_writer *self)
{
    return self->size + BENCH_HEAD_SIZE;
}

static char *put(char *at, const char *text)
{
    size_t length = strlen(text);
    memcpy(at, text, length);
    return at + length;
}

static char *put_number(char *at, uint64_t value)
{
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(at, digits + first, sizeof digits - first);
    return at + sizeof digits - first;
}

static char *put_short(char *at, uint64_t number)
{
    uint64_t time = bench_now() / 1000 % BENCH_SHORT_TIMES;
    at = put_number(at, BENCH_SHORT_FIRST + number);
    for (uint64_t place = BENCH_SHORT_TIMES / 10; place > 0; place /= 10)
        *at++ = (char)('0' + time / place % 10);
    return put(at, "\r\n");
}

char *bench_put_command(const struct bench_writer *self, char *at, uint64_t number)
{
    unsigned channel = (unsigned)(number % self->channels);
    char *payload = put(at, self->heads[channel]);
    if (self->size == BENCH_SHORT_SIZE)
        return put_short(payload, number);
    at = put_number(put(payload, BENCH_NUMBER), number);
    at = put_number(put(at, BENCH_CHANNEL), channel);
    at = put_number(put(at, BENCH_AT), bench_now());
    at = put(at, BENCH_TEXT);
    size_t left = self->size - (size_t)(at - payload) - strlen(BENCH_END);
    memcpy(at, self->text + number * 7919 % TEXT_SIZE, left);
    return put(put(at + left, BENCH_END), "\r\n");
}

/* The number after a literal, which must stand right there; NULL where it does not. */
static const char *take(const char *at, const char *limit, const char *literal, uint64_t *number)
{
    size_t size = strlen(literal);
    if (at == NULL || (size_t)(limit - at) <= size || memcmp(at, literal, size) != 0)
        return NULL;
    at += size;
    const char *digits = at;
    for (*number = 0; at < limit && *at >= '0' && *at <= '9'; at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return at == digits ? NULL : at;
}

static uint64_t since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

/* The channel's number at the end of a record's key. */
static bool key_channel(struct bench_bytes key, uint64_t *channel)
{
    const char *dot = key.at == NULL ? NULL : memrchr(key.at, '.', key.size);
    return take(dot, key.at + key.size, ".", channel) != NULL;
}

/* The long shape, anywhere in a value; under another channel's key it is none of ours. */
static bool find_long(struct bench_bytes key, struct bench_bytes value, uint64_t now, struct bench_message *message)
{
    const char *limit = value.at + value.size;
    const char *number = &BENCH_NUMBER[1];      /* without its brace: other members may stand before it */
    const char *at = memmem(value.at, value.size, number, strlen(number));
    uint64_t then, channel;
    at = take(at, limit, number, &message->number);
    at = take(at, limit, BENCH_CHANNEL, &message->channel);
    if (take(at, limit, BENCH_AT, &then) == NULL || !key_channel(key, &channel) || channel != message->channel)
        return false;
    message->us = since(now, then) / 1000;
    return true;
}

/* The short shape: the first run of just so many digits; a UUID has none that is as long. */
static const char *find_digits(struct bench_bytes value)
{
    size_t run = 0;
    for (size_t i = 0; i <= value.size; i++) {
        if (i < value.size && value.at[i] >= '0' && value.at[i] <= '9') {
            run++;
        } else {
            if (run == BENCH_SHORT_SIZE)
                return value.at + i - run;
            run = 0;
        }
    }
    return NULL;
}

static uint64_t take_digits(const char *at, size_t count)
{
    uint64_t number = 0;
    while (count-- > 0)
        number = number * 10 + (uint64_t)(*at++ - '0');
    return number;
}

static bool find_short(struct bench_bytes key, struct bench_bytes value, uint64_t now, struct bench_message *message)
{
    const char *at = find_digits(value);
    if (at == NULL || !key_channel(key, &message->channel))
        return false;
    message->number = take_digits(at, 8) - BENCH_SHORT_FIRST;
    uint64_t then = take_digits(at + 8, BENCH_SHORT_SIZE - 8);
    message->us = (now / 1000 % BENCH_SHORT_TIMES + BENCH_SHORT_TIMES - then) % BENCH_SHORT_TIMES;
    return true;
}

bool bench_find(struct bench_bytes key, struct bench_bytes value, uint64_t now, struct bench_message *message)
{
    return value.at != NULL && (find_long(key, value, now, message) || find_short(key, value, now, message));
}
