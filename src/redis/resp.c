/*
 * resp -- see resp.h.
 *
 * A whole message that stands between two replies is called for at once (plain). The rest goes the longer way, in
 * portions that end with their reply where they can, so that what follows is plain again.
 *
 * The reader's strings are good only while it calls us: its buffer moves with the next feed, and what is
 * consumed leaves it even in the middle of a reply. So the elements of an array are kept as they come, and
 * the last one makes the call:
 *
 *     createArray        createString [0]      createString [1 .. n-2]      createString or createInteger [n-1]
 *     how many there     which of `shapes`     kept[]                       message, confirmation, pong
 *     will be
 *
 * redisReader wants an object for each element and takes NULL for "out of memory": we give it one and the same
 * pointer, and NULL to make it stop. It moves its rest to the front of its buffer after each kilobyte consumed, hence
 * the small portions that it is fed. A payload that is too long never gets there: once it has passed, the reader is
 * fed an empty one in its place, and `is_stand_in` says so; what stood before it has made its calls by then, since
 * lengths hands on all that is before a skipped payload first.
 */
#include "redis/resp.h"

#include <ctype.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis/lengths.h"
#include "redis/plain.h"

/* hiredis 1.0 changed the type; what else it added (doubles, booleans, ...) only RESP3 sends. */
#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

enum {
    PORTION = 4096,                     /* bytes fed to the reader at a time */
    SHORT_PORTION = 32,                 /* likewise, where a bulk does not say how many are left of its reply */
    SPARE_BUFFER = 256 * 1024,          /* the reader keeps a buffer up to this when it is empty */
    KEPT_NAME = 64 * 1024,              /* a name's buffer above this is given back */
    LONGEST_LINE = 64 * 1024,
    MOST_ELEMENTS = 4
};
#define LONGEST_REPLY ((size_t)513 << 20)   /* Redis's own proto-max-bulk-len, 512 MB, and its frame */

enum shape { MESSAGE, PMESSAGE, SUBSCRIBE, PSUBSCRIBE, UNSUBSCRIBE, PUNSUBSCRIBE, PONG, SHAPES };

static const struct {
    const char *word;
    int elements;
} shapes[SHAPES] = {
    [MESSAGE] = {"message", 3},         [PMESSAGE] = {"pmessage", 4},
    [SUBSCRIBE] = {"subscribe", 3},     [PSUBSCRIBE] = {"psubscribe", 3},
    [UNSUBSCRIBE] = {"unsubscribe", 3}, [PUNSUBSCRIBE] = {"punsubscribe", 3},
    [PONG] = {"pong", 2},
};

struct rkb_resp {
    struct rkb_resp_events events;
    void *context;
    redisReader *reader;
    redisReplyObjectFunctions functions;
    int elements;                       /* of the array that is being read */
    enum shape shape;
    struct rkb_buffer kept[MOST_ELEMENTS - 2];
    bool named;                         /* kept[0] was a string, not nil */
    bool whole;                         /* the reply that was read made its call */
    bool stopped, paused;
    bool backlog;                       /* the reader may hold whole replies: it was paused among them */
    struct rkb_lengths lengths;
    enum rkb_lengths_found wrong;       /* what lengths gave up on, behind all that was fed */
    bool is_stand_in;                   /* the payload that the reader gets next is the empty one */
    struct rkb_error error;             /* code RKB_OK: none of ours */
};

static struct rkb_resp *owner(const redisReadTask *task)
{
    return task->privdata;
}

/* What an object function returns so that the reader stops, with our reason. */
static void *refuse(struct rkb_resp *resp, const char *why)
{
    rkb_fail(&resp->error, RKB_PROTOCOL, "%s", why);
    return NULL;
}

/* What an object function returns after it made its call. */
static void *called(struct rkb_resp *resp)
{
    resp->whole = true;
    return resp->stopped ? NULL : resp;
}

static struct rkb_slice kept(const struct rkb_resp *resp, int i)
{
    return rkb_slice(resp->kept[i].data, resp->kept[i].size);
}

static void *keep(struct rkb_resp *resp, int i, struct rkb_slice text)
{
    struct rkb_buffer *buffer = &resp->kept[i];
    if (buffer->capacity > KEPT_NAME && text.size <= KEPT_NAME)
        rkb_buffer_free(buffer);
    buffer->size = 0;
    rkb_buffer_add(buffer, text.data, text.size);
    resp->named = true;
    if (!buffer->failed)
        return resp;
    rkb_buffer_free(buffer);
    rkb_fail(&resp->error, RKB_NO_MEMORY, "no memory for a channel's name of %zu bytes", text.size);
    return NULL;
}

static void *start_shape(struct rkb_resp *resp, struct rkb_slice word)
{
    for (enum shape shape = 0; shape < SHAPES; shape++) {
        if (!rkb_slice_equal(word, rkb_slice_text(shapes[shape].word)))
            continue;
        if (resp->elements != shapes[shape].elements)
            return refuse(resp, "a Pub/Sub reply with a wrong number of elements");
        resp->shape = shape;
        return resp;
    }
    return refuse(resp, "an array that is no Pub/Sub reply we know");
}

/* The call of a message: with its payload, or, where that was too long, with its length. */
static void call_message(struct rkb_resp *resp, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         struct rkb_slice payload)
{
    if (resp->is_stand_in)
        resp->events.too_large(resp->context, is_pattern, pattern, channel, resp->lengths.size);
    else
        resp->events.message(resp->context, is_pattern, pattern, channel, payload);
}

static void *last_string(struct rkb_resp *resp, struct rkb_slice text)
{
    switch (resp->shape) {
    case MESSAGE:
        call_message(resp, false, rkb_slice(NULL, 0), kept(resp, 0), text);
        return called(resp);
    case PMESSAGE:
        call_message(resp, true, kept(resp, 0), kept(resp, 1), text);
        return called(resp);
    case PONG:
        resp->events.pong(resp->context);
        return called(resp);
    case SUBSCRIBE:
    case PSUBSCRIBE:
    case UNSUBSCRIBE:
    case PUNSUBSCRIBE:
    case SHAPES:
        break;
    }
    return refuse(resp, "a confirmation whose count is no number");
}

static const char line_too_long[] = "a line of more than 64 KiB";

static void *plain_reply(struct rkb_resp *resp, int type, struct rkb_slice text, long long integer)
{
    if ((type == REDIS_REPLY_STATUS || type == REDIS_REPLY_ERROR) && text.size > LONGEST_LINE)
        return refuse(resp, line_too_long);
    enum rkb_reply kind = type == REDIS_REPLY_STATUS    ? RKB_REPLY_STATUS
                          : type == REDIS_REPLY_ERROR   ? RKB_REPLY_ERROR
                          : type == REDIS_REPLY_INTEGER ? RKB_REPLY_INTEGER
                          : type == REDIS_REPLY_NIL     ? RKB_REPLY_NIL
                                                        : RKB_REPLY_STRING;
    resp->events.reply(resp->context, kind, text, integer);
    return called(resp);
}

static void *on_string(const redisReadTask *task, char *data, size_t size)
{
    struct rkb_resp *resp = owner(task);
    struct rkb_slice text = rkb_slice(data, size);
    if (task->parent == NULL)
        return plain_reply(resp, task->type, text, 0);
    if (task->type != REDIS_REPLY_STRING)
        return refuse(resp, "a Pub/Sub reply with a status or an error inside");
    if (task->idx == 0)
        return start_shape(resp, text);
    if (task->idx < resp->elements - 1)
        return keep(resp, (int)task->idx - 1, text);
    return last_string(resp, text);
}

static void *on_array(const redisReadTask *task, element_count elements)
{
    struct rkb_resp *resp = owner(task);
    if (task->parent != NULL)
        return refuse(resp, "an array inside an array, which is no Pub/Sub reply");
    if (elements < 2 || elements > MOST_ELEMENTS)
        return refuse(resp, "an array of a length that no Pub/Sub reply has");
    resp->elements = (int)elements;
    resp->named = false;
    return resp;
}

static bool confirms(const struct rkb_resp *resp)
{
    return resp->shape >= SUBSCRIBE && resp->shape <= PUNSUBSCRIBE;
}

static void *on_integer(const redisReadTask *task, long long value)
{
    struct rkb_resp *resp = owner(task);
    if (task->parent == NULL)
        return plain_reply(resp, task->type, rkb_slice(NULL, 0), value);
    if (task->idx != 2 || !confirms(resp))
        return refuse(resp, "a Pub/Sub reply with a number where a string belongs");
    const struct rkb_confirmation confirmation = {
        .is_pattern = resp->shape == PSUBSCRIBE || resp->shape == PUNSUBSCRIBE,
        .on = resp->shape == SUBSCRIBE || resp->shape == PSUBSCRIBE,
        .named = resp->named,
        .name = resp->named ? kept(resp, 0) : rkb_slice(NULL, 0),
        .count = value,
    };
    if (confirmation.on && !confirmation.named)
        return refuse(resp, "a subscription confirmed without a name");
    resp->events.confirmation(resp->context, &confirmation);
    return called(resp);
}

static void *on_nil(const redisReadTask *task)
{
    struct rkb_resp *resp = owner(task);
    if (task->parent == NULL)
        return plain_reply(resp, REDIS_REPLY_NIL, rkb_slice(NULL, 0), 0);
    if (task->idx != 1 || !confirms(resp))
        return refuse(resp, "a Pub/Sub reply with nothing where a string belongs");
    return resp;
}

static void on_free(void *object)
{
    (void)object;
}

struct rkb_resp *rkb_resp_new(const struct rkb_resp_events *events, uint64_t max_message_size, void *context)
{
    struct rkb_resp *resp = calloc(1, sizeof *resp);
    if (resp == NULL)
        return NULL;
    resp->events = *events;
    resp->context = context;
    resp->lengths = rkb_lengths(max_message_size, max_message_size > 0 ? RKB_RESP_LONGEST_NAME : 0);
    resp->functions = (redisReplyObjectFunctions){
        .createString = on_string,
        .createArray = on_array,
        .createInteger = on_integer,
        .createNil = on_nil,
        .freeObject = on_free,
    };
    if (!rkb_resp_reset(resp, NULL)) {
        rkb_resp_free(resp);
        return NULL;
    }
    return resp;
}

void rkb_resp_free(struct rkb_resp *resp)
{
    if (resp == NULL)
        return;
    if (resp->reader != NULL)
        redisReaderFree(resp->reader);
    for (int i = 0; i < MOST_ELEMENTS - 2; i++)
        rkb_buffer_free(&resp->kept[i]);
    free(resp);
}

bool rkb_resp_reset(struct rkb_resp *resp, struct rkb_error *error)
{
    redisReader *reader = redisReaderCreateWithFunctions(&resp->functions);
    if (reader == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a reader of replies");
    reader->maxbuf = SPARE_BUFFER;
    reader->privdata = resp;
    if (resp->reader != NULL)
        redisReaderFree(resp->reader);
    resp->reader = reader;
    rkb_lengths_reset(&resp->lengths);
    resp->wrong = RKB_LENGTHS_NOTHING;
    resp->stopped = resp->whole = resp->backlog = resp->is_stand_in = false;
    resp->error = (struct rkb_error){0};
    return true;
}

void rkb_resp_stop(struct rkb_resp *resp)
{
    resp->stopped = true;
}

/* Why the reader, or one of our functions, gave up. */
static bool give_up(const struct rkb_resp *resp, struct rkb_error *error)
{
    if (resp->stopped)
        return true;
    if (resp->error.code != RKB_OK)
        return rkb_fail(error, resp->error.code, "%s", resp->error.text);
    if (resp->reader->err == REDIS_ERR_OOM)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a reply");
    return rkb_fail(error, RKB_PROTOCOL, RKB_NO_RESP "%s", resp->reader->errstr);
}

/*
 * What the reader holds of a reply that is not whole yet must have bounds; a line the more so, since the reader looks
 * for its end from its beginning each time. A \n alone does not end it.
 */
static bool check_rest(struct rkb_resp *resp)
{
    const redisReader *reader = resp->reader;
    size_t rest = reader->len - reader->pos;
    if (rest > LONGEST_REPLY)
        return refuse(resp, "a reply of more than 512 MiB") != NULL;
    if (resp->lengths.in_line && rest > LONGEST_LINE + 2)     /* its type before it, and perhaps its \r */
        return refuse(resp, line_too_long) != NULL;
    return true;
}

/* Calls for what is whole in the reader, unless paused, or until. */
static bool take_replies(struct rkb_resp *resp)
{
    while (!resp->paused) {
        void *reply = NULL;
        if (redisReaderGetReply(resp->reader, &reply) != REDIS_OK)
            return false;
        resp->backlog = reply != NULL;
        if (reply == NULL)
            return check_rest(resp);
        if (!resp->whole)
            return refuse(resp, "a reply of a type that RESP2 does not have") != NULL;
        resp->whole = false;
    }
    return true;
}

static bool feed_reader(struct rkb_resp *resp, struct rkb_slice bytes)
{
    if (bytes.size == 0)
        return true;
    resp->backlog = true;
    return redisReaderFeed(resp->reader, (const char *)bytes.data, bytes.size) == REDIS_OK;
}

/* The empty payload takes the place of the one that was skipped. */
static bool stand_in(struct rkb_resp *resp)
{
    resp->is_stand_in = true;
    bool taken = feed_reader(resp, rkb_slice_text("$0\r\n\r\n")) && take_replies(resp);
    resp->is_stand_in = false;
    return taken;
}

/* What stands behind the replies is said when they have made their calls: paused among them, not yet. */
static bool found_wrong(struct rkb_resp *resp)
{
    if (resp->backlog)
        return false;
    if (resp->wrong == RKB_LENGTHS_MALFORMED)
        rkb_fail(&resp->error, RKB_PROTOCOL, RKB_NO_RESP "neither a type nor a length that RESP2 has");
    if (resp->wrong == RKB_LENGTHS_REFUSED)
        rkb_fail(&resp->error, RKB_PROTOCOL, "a name or reply of %llu bytes, over both max_message_size and 1 MiB: "
                 "raise max_message_size",
                 (unsigned long long)resp->lengths.size);
    return resp->error.code != RKB_OK;
}

/* As many bytes as end with the bulk that is being read, or only a few. */
static size_t portion(const struct rkb_resp *resp, size_t size)
{
    uint64_t bulk =
        resp->lengths.bulk > 0 ? resp->lengths.bulk : resp->lengths.skip > 0 ? resp->lengths.skip : SHORT_PORTION;
    size_t most = bulk < PORTION ? (size_t)bulk : PORTION;
    return size < most ? size : most;
}

/* One step: a piece that lengths has looked at goes to the reader. */
static bool feed_piece(struct rkb_resp *resp, struct rkb_slice *bytes)
{
    struct rkb_slice pass[2], piece = rkb_slice(bytes->data, portion(resp, bytes->size));
    size_t size = piece.size;
    enum rkb_lengths_found found = rkb_lengths_scan(&resp->lengths, &piece, pass);
    size -= piece.size;
    *bytes = rkb_slice(bytes->data + size, bytes->size - size);
    if (found == RKB_LENGTHS_SKIPPED)
        return stand_in(resp);
    resp->wrong = found;
    return feed_reader(resp, pass[0]) && feed_reader(resp, pass[1]) && take_replies(resp) && !resp->stopped
           && !found_wrong(resp);
}

/* True when a whole message stood there, and was called for. */
static bool take_plain(struct rkb_resp *resp, struct rkb_slice *bytes)
{
    struct rkb_plain message;
    if (!rkb_resp_between(resp))
        return false;
    size_t size = rkb_plain_message(*bytes, resp->lengths.most_payload, resp->lengths.most_name, &message);
    if (size == 0)
        return false;
    *bytes = rkb_slice(bytes->data + size, bytes->size - size);
    resp->events.message(resp->context, message.is_pattern, message.pattern, message.channel, message.payload);
    return true;
}

bool rkb_resp_feed(struct rkb_resp *resp, struct rkb_slice *bytes, struct rkb_error *error)
{
    if (resp->error.code != RKB_OK || resp->reader->err != 0)
        return give_up(resp, error);
    if (resp->backlog && !resp->stopped && (!take_replies(resp) || found_wrong(resp)))
        return give_up(resp, error);
    while (bytes->size > 0 && !resp->stopped && !resp->paused) {
        if (!take_plain(resp, bytes) && !feed_piece(resp, bytes))
            return give_up(resp, error);
    }
    return true;
}

void rkb_resp_pause(struct rkb_resp *resp, bool paused)
{
    resp->paused = paused;
}

bool rkb_resp_between(const struct rkb_resp *resp)
{
    return rkb_lengths_between(&resp->lengths) && !resp->backlog && resp->wrong == RKB_LENGTHS_NOTHING;
}
