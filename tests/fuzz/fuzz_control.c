/*
 * Fuzz target: what a client of the control socket sends, through a real socket.
 *
 *     input   a number: how it is cut
 *             what is sent, before the sending side is closed; 0x01, 0x02 and a byte n stand for n times 256 'x'
 *
 * Claims, for any bytes: each command has one answer, in its order, that ends in OK or is one line ERROR; so many as a
 * plain reading of the lines says; a dead letter that is handed over has the bytes that were sent; nothing is left.
 */
#include "fuzz.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/commands.h"
#include "control/socket.h"
#include "../unit/sample_snapshot.h"

#define UPLOAD_LIMIT 5000
#define MOST_BYTES ((size_t)128 << 10)  /* less than a socket takes at once */

struct world {
    struct event_base *base;
    struct rkb_control *control;
    struct rkb_snapshot snapshot;
    char path[96];
    struct rkb_buffer letters;          /* that were handed over: their sizes and bytes */
    size_t taken;
};

static const struct rkb_snapshot *give_snapshot(void *context)
{
    struct world *world = context;
    return &world->snapshot;
}

static void note_letter(struct rkb_buffer *letters, struct rkb_slice headers, struct rkb_slice payload)
{
    rkb_buffer_format(letters, "%zu %zu ", headers.size, payload.size);
    rkb_buffer_add(letters, headers.data, headers.size);
    rkb_buffer_add(letters, payload.data, payload.size);
}

/* Every other one is refused. */
static bool take_letter(void *context, struct rkb_slice headers, struct rkb_slice payload, struct rkb_buffer *out,
                        const char **code, struct rkb_error *error)
{
    struct world *world = context;
    note_letter(&world->letters, headers, payload);
    if (world->taken++ % 2 == 0) {
        rkb_buffer_text(out, "taken\n");
        return true;
    }
    *code = "refused";
    return rkb_fail(error, RKB_FULL, "not\nthis one");
}

static struct world *get_world(void)
{
    static struct world world;
    struct rkb_error error = {0};
    if (world.base != NULL)
        return &world;
    temporary_path(world.path, sizeof world.path, "control");
    signal(SIGPIPE, SIG_IGN);
    world.base = event_base_new();
    world.snapshot = sample_snapshot();
    struct rkb_control_options options = {.path = world.path, .mode = 0600, .rights = {.own = geteuid()},
                                          .snapshot = give_snapshot, .context = &world,
                                          .retry = take_letter, .retry_context = &world, .upload_limit = UPLOAD_LIMIT,
                                          .share_us = INT64_MAX / 2 /* the loop does nothing else */};
    world.control = rkb_control_new(world.base, &options, &error);
    CLAIM(world.control != NULL);
    return &world;
}

static void turn(struct world *world)
{
    CLAIM(event_base_loop(world->base, EVLOOP_NONBLOCK) >= 0);
}

static int dial(const struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CLAIM(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

/* True at its end. */
static bool hear(int fd, struct rkb_buffer *heard)
{
    char bytes[16384];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
        rkb_buffer_add(heard, bytes, (size_t)got);
    return got == 0 || errno != EAGAIN;
}

/* Sends all, in pieces, and hears what is answered, to the end. */
static void talk(struct world *world, struct rkb_slice bytes, size_t pieces, struct rkb_buffer *heard)
{
    int fd = dial(world);
    bool ended = false;
    for (size_t at = 0, number = 0; at < bytes.size && !ended; number++) {
        size_t most = pieces == 0 ? bytes.size : number * pieces % 97 * (bytes.size / 2048 + 1) + 1;
        size_t size = bytes.size - at < most ? bytes.size - at : most;
        ssize_t sent = send(fd, bytes.data + at, size, MSG_NOSIGNAL);
        at += sent > 0 ? (size_t)sent : 0;
        turn(world);
        ended = hear(fd, heard) || (sent < 0 && errno != EAGAIN);
    }
    shutdown(fd, SHUT_WR);
    for (int turns = 0; !ended; turns++) {
        CLAIM(turns < 10000);
        turn(world);
        ended = hear(fd, heard);
    }
    close(fd);
    turn(world);
}

/* ---- a plain reading of what was sent ---- */

struct reading {
    size_t answers;                     /* so many are due; the last of them is that of a client that is closed */
    struct rkb_buffer letters;
};

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* The number that a word is; false: it is none. */
static bool read_number(const char *word, size_t *number)
{
    size_t size = strlen(word);
    if (size == 0 || size > 15 || strspn(word, "0123456789") != size)
        return false;
    *number = strtoull(word, NULL, 10);
    return true;
}

/* True for a `retry` with two sizes, in the line's own bytes. */
static bool is_upload(struct rkb_slice line, size_t *headers, size_t *payload)
{
    char words[4][24] = {""};
    size_t count = 0;
    for (size_t i = 0; i < line.size; i++) {
        if (is_blank(line.data[i]))
            continue;
        size_t size = 0, from = i;
        while (i < line.size && !is_blank(line.data[i]))
            i++;
        size = i - from;
        if (count == 4 || size >= sizeof words[0] || memchr(line.data + from, '\0', size) != NULL)
            return false;
        memcpy(words[count], line.data + from, size);
        words[count++][size] = '\0';
    }
    return count == 3 && strcmp(words[0], "retry") == 0 &&
           read_number(words[1], headers) && read_number(words[2], payload);
}

static bool take_letter_bytes(struct rkb_slice *rest, size_t headers, size_t payload, struct rkb_buffer *letters)
{
    if (headers + payload > UPLOAD_LIMIT || headers + payload > rest->size)
        return false;
    note_letter(letters, rkb_slice(rest->data, headers), rkb_slice(rest->data + headers, payload));
    *rest = rkb_slice(rest->data + headers + payload, rest->size - headers - payload);
    return true;
}

static void read_plainly(struct rkb_slice rest, struct reading *reading)
{
    while (rest.size > 0) {
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        struct rkb_slice line = rkb_slice(rest.data, end == NULL ? rest.size : (size_t)(end - rest.data));
        size_t headers, payload;
        reading->answers++;
        if (end == NULL)
            return;
        rest = rkb_slice(end + 1, rest.size - line.size - 1);
        if (line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        if (line.size > RKB_CONTROL_LINE_MAX)
            return;
        if (is_upload(line, &headers, &payload) && !take_letter_bytes(&rest, headers, payload, &reading->letters))
            return;
    }
}

/* How many answers there are, each of them whole. */
static size_t count_answers(struct rkb_slice heard)
{
    size_t answers = 0;
    bool inside = false;
    while (heard.size > 0) {
        const uint8_t *end = memchr(heard.data, '\n', heard.size);
        CLAIM(end != NULL);
        struct rkb_slice line = rkb_slice(heard.data, (size_t)(end - heard.data));
        bool is_error = line.size > 6 && memcmp(line.data, "ERROR ", 6) == 0;
        CLAIM(!is_error || !inside);
        inside = !is_error && !rkb_slice_equal(line, rkb_slice_text("OK"));
        answers += !inside;
        heard = rkb_slice(end + 1, heard.size - line.size - 1);
    }
    CLAIM(!inside);
    return answers;
}

static void check(struct rkb_slice bytes, size_t pieces)
{
    struct world *world = get_world();
    struct rkb_buffer heard = {0};
    struct reading reading = {0};
    world->letters.size = world->taken = 0;
    talk(world, bytes, pieces, &heard);
    read_plainly(bytes, &reading);
    CLAIM(count_answers(rkb_slice(heard.data, heard.size)) == reading.answers);
    CLAIM(rkb_slice_equal(rkb_slice(world->letters.data, world->letters.size),
                          rkb_slice(reading.letters.data, reading.letters.size)));
    rkb_buffer_free(&heard);
    rkb_buffer_free(&reading.letters);
}

static void unpack(struct rkb_slice bytes, struct rkb_buffer *out)
{
    for (size_t i = 0; i < bytes.size && out->size < MOST_BYTES; i++) {
        bool fills = i + 2 < bytes.size && bytes.data[i] == 0x01 && bytes.data[i + 1] == 0x02;
        for (size_t n = fills ? 256u * bytes.data[i + 2] : 0; n > 0; n--)
            rkb_buffer_text(out, "x");
        if (!fills)
            rkb_buffer_add(out, bytes.data + i, 1);
        i += fills ? 2 : 0;
    }
    CLAIM(!out->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {rkb_slice(data, size)};
    struct rkb_buffer unpacked = {0};
    size_t pieces = take_number(&input, 32);
    unpack(input.rest, &unpacked);
    if (unpacked.size <= MOST_BYTES)
        check(rkb_slice(unpacked.data, unpacked.size), pieces);
    rkb_buffer_free(&unpacked);
    return 0;
}
