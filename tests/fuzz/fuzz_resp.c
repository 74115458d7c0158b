/*
 * Fuzz target: what Redis sends: the scanner of lengths, the parser, what is subscribed to.
 *
 *     input   a number: the limit of a payload (0: none)
 *             a line: names that are subscribed to, by a blank each; a * in one makes a pattern of it
 *             what Redis sends; 0x01, 0x02 and a byte n stand for n times 4096 zeros
 *
 * Claims, for any bytes: however they are cut and wherever it is paused, the same calls are made, and it ends alike;
 * these are the replies that hiredis's own reader has, with `too large` where one is; where hiredis refuses the bytes,
 * so do we; a payload that is too long takes no memory; the scanner passes all bytes but those of such payloads.
 */
#include "fuzz.h"

#include <hiredis/hiredis.h>
#include <sanitizer/allocator_interface.h>

#include "redis/lengths.h"
#include "redis/resp.h"
#include "redis/subscriptions.h"

#define MOST_BYTES ((size_t)3 << 19)
#define MOST_SMALL ((size_t)4 << 10)            /* so much is tried cut byte by byte */
#define MOST_REFERENCE_ELEMENTS 64

/* ---- what was called, as text ---- */

struct calls {
    struct rkb_buffer text;
    struct rkb_resp *resp;
    struct rkb_subscriptions *wishes;           /* NULL: nothing is subscribed to */
    bool pausing;
};

static void say(struct calls *calls, const char *word)
{
    rkb_buffer_text(&calls->text, word);
    rkb_buffer_text(&calls->text, "\n");
}

static void say_text(struct calls *calls, struct rkb_slice text)
{
    rkb_buffer_format(&calls->text, "  %zu ", text.size);
    rkb_buffer_add(&calls->text, text.data, text.size);
    rkb_buffer_text(&calls->text, "\n");
}

static void pause_now(struct calls *calls)
{
    if (calls->pausing)
        rkb_resp_pause(calls->resp, true);
}

static void say_message(struct calls *calls, const char *word, bool is_pattern, struct rkb_slice pattern,
                        struct rkb_slice channel)
{
    say(calls, word);
    if (is_pattern)
        say_text(calls, pattern);
    say_text(calls, channel);
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload)
{
    say_message(context, is_pattern ? "pmessage" : "message", is_pattern, pattern, channel);
    say_text(context, payload);
    pause_now(context);
}

static void on_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         uint64_t size)
{
    struct calls *calls = context;
    say_message(calls, is_pattern ? "large pmessage" : "large message", is_pattern, pattern, channel);
    rkb_buffer_format(&calls->text, "  %llu\n", (unsigned long long)size);
    pause_now(calls);
}

static void say_confirmation(struct calls *calls, const char *word, bool named, struct rkb_slice name, long long count)
{
    say(calls, word);
    if (named)
        say_text(calls, name);
    rkb_buffer_format(&calls->text, "  %lld\n", count);
}

/* What is asked is confirmed name by name, in any order; nobody else's. */
static void confirm(struct rkb_subscriptions *wishes, const struct rkb_confirmation *confirmation)
{
    size_t standing = wishes->standing;
    struct rkb_wish *wish = rkb_subscriptions_confirm(wishes, confirmation->is_pattern, confirmation->name);
    CLAIM(wishes->standing == standing + (wish != NULL) && wishes->standing + wishes->refused <= wishes->size);
    CLAIM(wish == NULL || (wish->stands && !wish->refused && rkb_slice_equal(rkb_wish_name(wish), confirmation->name)));
}

static void on_confirmation(void *context, const struct rkb_confirmation *confirmation)
{
    static const char *const words[] = {"unsubscribe", "subscribe", "punsubscribe", "psubscribe"};
    struct calls *calls = context;
    say_confirmation(calls, words[2 * confirmation->is_pattern + confirmation->on], confirmation->named,
                     confirmation->name, confirmation->count);
    if (calls->wishes != NULL && confirmation->on)
        confirm(calls->wishes, confirmation);
    pause_now(calls);
}

static void on_pong(void *context)
{
    say(context, "pong");
    pause_now(context);
}

/* Redis refuses the command in turn: in halves until it is one name. */
static void refuse(struct rkb_subscriptions *wishes)
{
    if (rkb_subscriptions_first(wishes) == NULL)
        return;
    struct rkb_asked taken = rkb_subscriptions_take(wishes);
    CLAIM(taken.from < taken.end && taken.end <= wishes->size);
    size_t middle = taken.from + (taken.end - taken.from) / 2;
    if (taken.end - taken.from == 1 && !wishes->list[taken.from].stands) {
        (void)rkb_subscriptions_refuse(wishes, &wishes->list[taken.from], RKB_LACKS_CHANNEL);
    } else if (taken.confirmed == 0 && taken.end - taken.from > 1) {
        rkb_subscriptions_ask(wishes, taken.from, middle);
        rkb_subscriptions_ask(wishes, middle, taken.end);
    }
}

static const char *const reply_words[] = {[RKB_REPLY_STATUS] = "status", [RKB_REPLY_ERROR] = "error",
                                          [RKB_REPLY_STRING] = "string", [RKB_REPLY_INTEGER] = "integer",
                                          [RKB_REPLY_NIL] = "nil"};

static void say_reply(struct calls *calls, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    say(calls, reply_words[kind]);
    if (kind == RKB_REPLY_INTEGER)
        rkb_buffer_format(&calls->text, "  %lld\n", integer);
    else if (kind != RKB_REPLY_NIL)
        say_text(calls, text);
}

static void on_reply(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    struct calls *calls = context;
    say_reply(calls, kind, text, integer);
    if (calls->wishes != NULL && kind == RKB_REPLY_ERROR)
        refuse(calls->wishes);
    pause_now(calls);
}

static const struct rkb_resp_events events = {on_message, on_confirmation, on_pong, on_reply, on_too_large};

/* ---- cut in pieces ---- */

enum cut { WHOLE, BYTES, UNEVEN, PAUSED, CUTS };

static size_t next_piece(enum cut cut, size_t left, size_t number)
{
    size_t uneven = left > MOST_SMALL ? number * 7919 % 16384 + 1 : number * 7 % 61 + 1;
    size_t size = cut == BYTES ? 1 : cut == UNEVEN ? uneven : left;
    return size < left ? size : left;
}

/* Feeds a piece; paused in each call it is woken until it took all. False: it is refused. */
static bool feed_piece(struct calls *calls, struct rkb_slice piece, struct rkb_error *error)
{
    for (;;) {
        size_t before = piece.size, said = calls->text.size;
        if (!rkb_resp_feed(calls->resp, &piece, error))
            return false;
        if (!calls->pausing)
            CLAIM(piece.size == 0);
        if (piece.size == 0 && (!calls->pausing || said == calls->text.size))
            return true;
        CLAIM(piece.size < before || said < calls->text.size);
        rkb_resp_pause(calls->resp, false);
    }
}

/* True when all was taken; *held is what it took of memory at most. */
static bool feed(struct calls *calls, struct rkb_slice bytes, enum cut cut, size_t *held)
{
    struct rkb_error error = {0};
    size_t before = __sanitizer_get_current_allocated_bytes(), number = 0;
    bool good = true;
    calls->pausing = cut == PAUSED;
    *held = 0;
    while (good && bytes.size > 0) {
        struct rkb_slice piece = rkb_slice(bytes.data, next_piece(cut, bytes.size, number++));
        bytes = rkb_slice(bytes.data + piece.size, bytes.size - piece.size);
        good = feed_piece(calls, piece, &error);
        size_t now = __sanitizer_get_current_allocated_bytes();
        if (now > before + calls->text.capacity && now - before - calls->text.capacity > *held)
            *held = now - before - calls->text.capacity;
    }
    CLAIM(good == (error.code == RKB_OK) && (good || error.text[0] != '\0'));
    return good;
}

/* ---- the scanner alone ---- */

/* How many bytes pass and how many payloads are skipped; *ends: malformed or refused. */
struct scanned {
    size_t passed, skipped_bytes, skipped;
    bool ends;
};

static struct scanned scan(struct rkb_slice bytes, uint64_t limit, enum cut cut)
{
    struct scanned scanned = {0};
    struct rkb_lengths lengths = rkb_lengths(limit, RKB_RESP_LONGEST_NAME);
    size_t number = 0;
    while (bytes.size > 0 && !scanned.ends) {
        struct rkb_slice piece = rkb_slice(bytes.data, next_piece(cut, bytes.size, number++)), pass[2];
        bytes = rkb_slice(bytes.data + piece.size, bytes.size - piece.size);
        while (piece.size > 0 && !scanned.ends) {
            size_t before = piece.size;
            enum rkb_lengths_found found = rkb_lengths_scan(&lengths, &piece, pass);
            CLAIM(piece.size < before);
            scanned.passed += pass[0].size + pass[1].size;
            scanned.skipped += found == RKB_LENGTHS_SKIPPED;
            scanned.skipped_bytes += found == RKB_LENGTHS_SKIPPED ? (size_t)lengths.size : 0;
            scanned.ends = found == RKB_LENGTHS_REFUSED || found == RKB_LENGTHS_MALFORMED;
            CLAIM(found != RKB_LENGTHS_SKIPPED || (lengths.size > limit && pass[0].size + pass[1].size == 0));
        }
    }
    return scanned;
}

static struct scanned check_scanner(struct rkb_slice bytes, uint64_t limit)
{
    struct scanned whole = scan(bytes, limit, WHOLE), cut = scan(bytes, limit, UNEVEN);
    CLAIM(whole.passed == cut.passed && whole.skipped == cut.skipped && whole.ends == cut.ends);
    CLAIM(whole.passed + whole.skipped_bytes <= bytes.size);
    if (bytes.size <= MOST_SMALL) {
        cut = scan(bytes, limit, BYTES);
        CLAIM(whole.passed == cut.passed && whole.skipped_bytes == cut.skipped_bytes && whole.ends == cut.ends);
    }
    return whole;
}

/* ---- what hiredis's own reader says ---- */

static const redisReplyObjectFunctions *default_functions(void)
{
    static redisReplyObjectFunctions functions;
    redisReader *reader = redisReaderCreate();
    CLAIM(reader != NULL);
    functions = *reader->fn;
    redisReaderFree(reader);
    return &functions;
}

/* Not to ask for gigabytes: no reply of ours has so many. */
static void *bounded_array(const redisReadTask *task, int elements)
{
    return elements > MOST_REFERENCE_ELEMENTS ? NULL : default_functions()->createArray(task, elements);
}

static struct rkb_slice string_of(const redisReply *reply)
{
    return rkb_slice(reply->str, (size_t)reply->len);
}

static bool is_string(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

static bool says(const redisReply *reply, const char *word)
{
    return is_string(reply) && rkb_slice_equal(string_of(reply), rkb_slice_text(word));
}

/* A message whose names are no strings is none; nil as a payload or a name is empty. */
static bool expect_message(struct calls *calls, const redisReply *reply, uint64_t limit)
{
    bool is_pattern = says(reply->element[0], "pmessage");
    if (reply->elements != (is_pattern ? 4u : 3u))
        return false;
    for (size_t i = 1; i < reply->elements; i++)
        if (!is_string(reply->element[i]) && reply->element[i]->type != REDIS_REPLY_NIL)
            return false;
    struct rkb_slice payload = string_of(reply->element[reply->elements - 1]);
    struct rkb_slice pattern = is_pattern ? string_of(reply->element[1]) : payload;
    struct rkb_slice channel = string_of(reply->element[reply->elements - 2]);
    if (payload.size <= limit)
        on_message(calls, is_pattern, pattern, channel, payload);
    else
        on_too_large(calls, is_pattern, pattern, channel, payload.size);
    return true;
}

static bool expect_confirmation(struct calls *calls, const redisReply *reply)
{
    if (reply->elements != 3 || reply->element[2]->type != REDIS_REPLY_INTEGER)
        return false;
    bool named = is_string(reply->element[1]);
    if (!named && reply->element[1]->type != REDIS_REPLY_NIL)
        return false;
    char word[16];
    snprintf(word, sizeof word, "%s", reply->element[0]->str);
    say_confirmation(calls, word, named, string_of(reply->element[1]), reply->element[2]->integer);
    return true;
}

/* False: nothing that Pub/Sub sends. */
static bool expect_array(struct calls *calls, const redisReply *reply, uint64_t limit)
{
    static const char *const confirmations[] = {"subscribe", "psubscribe", "unsubscribe", "punsubscribe"};
    if (reply->elements < 2)
        return false;
    if (says(reply->element[0], "message") || says(reply->element[0], "pmessage"))
        return expect_message(calls, reply, limit);
    for (size_t i = 0; i < 4; i++)
        if (says(reply->element[0], confirmations[i]))
            return expect_confirmation(calls, reply);
    if (!says(reply->element[0], "pong") || reply->elements != 2)
        return false;
    on_pong(calls);
    return true;
}

static bool expect_reply(struct calls *calls, const redisReply *reply, uint64_t limit)
{
    switch (reply->type) {
    case REDIS_REPLY_ARRAY:
        return expect_array(calls, reply, limit);
    case REDIS_REPLY_STATUS:
        return say_reply(calls, RKB_REPLY_STATUS, string_of(reply), 0), true;
    case REDIS_REPLY_ERROR:
        return say_reply(calls, RKB_REPLY_ERROR, string_of(reply), 0), true;
    case REDIS_REPLY_STRING:
        return say_reply(calls, RKB_REPLY_STRING, string_of(reply), 0), true;
    case REDIS_REPLY_INTEGER:
        return say_reply(calls, RKB_REPLY_INTEGER, rkb_slice(NULL, 0), reply->integer), true;
    default:
        return say_reply(calls, RKB_REPLY_NIL, rkb_slice(NULL, 0), 0), true;
    }
}

/* The calls that are due for what hiredis reads; true when it took all, and all is Pub/Sub's. */
static bool expect(struct calls *calls, struct rkb_slice bytes, uint64_t limit)
{
    redisReplyObjectFunctions functions = *default_functions();
    functions.createArray = bounded_array;
    redisReader *reader = redisReaderCreate();
    CLAIM(reader != NULL);
    reader->fn = &functions;
    reader->maxbuf = 0;
    void *reply = NULL;
    bool good = redisReaderFeed(reader, (const char *)bytes.data, bytes.size) == REDIS_OK;
    while (good && (good = redisReaderGetReply(reader, &reply) == REDIS_OK) && reply != NULL) {
        good = expect_reply(calls, reply, limit);
        freeReplyObject(reply);
    }
    redisReaderFree(reader);
    return good;
}

static bool begins_with(const struct rkb_buffer *all, const struct rkb_buffer *part)
{
    return part->size <= all->size && (part->size == 0 || memcmp(all->data, part->data, part->size) == 0);
}

/* ---- all of it ---- */

static bool play(struct rkb_slice bytes, uint64_t limit, enum cut cut, struct rkb_subscriptions *wishes,
                 struct calls *calls, size_t *held)
{
    *calls = (struct calls){.wishes = wishes, .resp = rkb_resp_new(&events, limit, calls)};
    CLAIM(calls->resp != NULL);
    bool good = feed(calls, bytes, cut, held);
    rkb_resp_free(calls->resp);
    return good;
}

static void check(struct rkb_slice bytes, uint64_t limit, struct rkb_subscriptions *wishes)
{
    uint64_t most = limit > 0 ? limit : UINT64_MAX;
    struct calls whole, other, expected = {0};
    size_t held;
    struct scanned scanned = check_scanner(bytes, most);
    bool good = play(bytes, limit, WHOLE, wishes, &whole, &held);
    for (enum cut cut = BYTES; cut < CUTS; cut++) {
        if (cut == BYTES && bytes.size > MOST_SMALL)
            continue;
        bool also = play(bytes, limit, cut, NULL, &other, &held);
        CLAIM(also == good && rkb_slice_equal(rkb_slice(whole.text.data, whole.text.size),
                                              rkb_slice(other.text.data, other.text.size)));
        /* hiredis lets its buffer grow to twice what it needs, and keeps one of 256 KiB. */
        CLAIM(held <= 4 * scanned.passed + ((size_t)384 << 10));
        rkb_buffer_free(&other.text);
    }
    bool reference = expect(&expected, bytes, most);
    CLAIM(begins_with(&expected.text, &whole.text));
    CLAIM(!good || expected.text.size == whole.text.size);
    CLAIM(!good || reference || scanned.skipped > 0);
    rkb_buffer_free(&whole.text);
    rkb_buffer_free(&expected.text);
}

static struct rkb_slice unpack(struct rkb_slice bytes, struct rkb_buffer *out)
{
    static const uint8_t zeros[4096];
    for (size_t i = 0; i < bytes.size && out->size < MOST_BYTES; i++) {
        bool fills = i + 2 < bytes.size && bytes.data[i] == 0x01 && bytes.data[i + 1] == 0x02;
        for (size_t n = fills ? bytes.data[i + 2] : 0; n > 0; n--)
            rkb_buffer_add(out, zeros, sizeof zeros);
        if (!fills)
            rkb_buffer_add(out, bytes.data + i, 1);
        i += fills ? 2 : 0;
    }
    CLAIM(!out->failed);
    return copy_exactly(rkb_slice(out->data, out->size));
}

static void wish(struct rkb_subscriptions *wishes, struct rkb_slice line)
{
    struct rkb_error error;
    for (size_t at = 0, from = 0; at <= line.size; at++) {
        if (at < line.size && line.data[at] != ' ')
            continue;
        struct rkb_slice name = rkb_slice(line.data + from, at - from);
        CLAIM(rkb_subscriptions_add(wishes, memchr(name.data, '*', name.size) != NULL, name, &error));
        from = at + 1;
    }
    for (size_t from = 0, end; from < wishes->size; from = end) {
        end = rkb_subscriptions_batch_end(wishes, from);
        CLAIM(end > from && end <= wishes->size);
        rkb_subscriptions_ask(wishes, from, end);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t limits[] = {0, 1, 10, 100, 4096, 65536, 1 << 21};
    struct input input = {rkb_slice(data, size)};
    struct rkb_subscriptions wishes = {0};
    struct rkb_buffer unpacked = {0};
    uint64_t limit = limits[take_number(&input, sizeof limits / sizeof limits[0])];
    struct rkb_slice line = take_line(&input);
    if (line.size > 0)
        wish(&wishes, line);
    struct rkb_slice bytes = unpack(input.rest, &unpacked);
    rkb_buffer_free(&unpacked);
    check(bytes, limit, line.size > 0 ? &wishes : NULL);
    rkb_subscriptions_reset(&wishes);
    rkb_subscriptions_free(&wishes);
    free((void *)(uintptr_t)bytes.data);
    return 0;
}
