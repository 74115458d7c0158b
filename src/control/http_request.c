/* http_request -- see http_request.h. */
#include "control/http_request.h"

#include <string.h>
#include <strings.h>

#define BAD 400
#define WRONG_METHOD 405
#define HAS_BODY 413
#define WRONG_VERSION 505

size_t rkb_http_head_size(struct rkb_slice input)
{
    const uint8_t *at = input.data, *end = input.data + input.size;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        if (at < end && *at == '\n')
            return (size_t)(at + 1 - input.data);
        if (at + 1 < end && at[0] == '\r' && at[1] == '\n')
            return (size_t)(at + 2 - input.data);
    }
    return 0;
}

/* What comes before the next such byte, or all; the byte goes with it. */
static struct rkb_slice take_until(struct rkb_slice *rest, char byte)
{
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, byte, rest->size) : NULL;
    struct rkb_slice part = {rest->data, end != NULL ? (size_t)(end - rest->data) : rest->size};
    size_t taken = part.size + (end != NULL);
    *rest = rkb_slice(rest->data + taken, rest->size - taken);
    return part;
}

/* The next line, without its end; of an empty rest an empty one. */
static struct rkb_slice take_line(struct rkb_slice *rest)
{
    struct rkb_slice line = take_until(rest, '\n');
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    return line;
}

static struct rkb_slice take_word(struct rkb_slice *line)
{
    return take_until(line, ' ');
}

/* RFC 9110, 5.6.2. */
static bool is_token(struct rkb_slice text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || strchr(others, c) == NULL))
            return false;
    }
    return text.size > 0;
}

/* No control characters but tabs. */
static bool is_text(struct rkb_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f)
            return false;
    return true;
}

static bool is_word(struct rkb_slice text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

static struct rkb_slice trim(struct rkb_slice text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = rkb_slice(text.data + 1, text.size - 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* Of "http://host:9464/metrics" the path, which is what counts (RFC 9112, 3.2.2); other targets as they are. */
static struct rkb_slice without_authority(struct rkb_slice target)
{
    static const char scheme[] = "http://";
    size_t size = sizeof scheme - 1;
    if (target.size < size || strncasecmp((const char *)target.data, scheme, size) != 0)
        return target;
    const uint8_t *path = memchr(target.data + size, '/', target.size - size);
    size_t gone = path != NULL ? (size_t)(path - target.data) : target.size;
    bool has_host = gone > size && memchr(target.data + size, '?', gone - size) == NULL;
    return has_host ? rkb_slice(target.data + gone, target.size - gone) : rkb_slice(target.data, 0);
}

/* "GET /metrics?x HTTP/1.1" */
static int read_first_line(struct rkb_slice line, struct rkb_http_request *request, bool *old)
{
    if (!is_text(line) || (line.size > 0 && memchr(line.data, '\t', line.size) != NULL))
        return BAD;
    struct rkb_slice method = take_word(&line), target = without_authority(take_word(&line));
    if (!is_token(method) || target.size == 0 || target.data[0] != '/')
        return BAD;
    if (line.size != 8 || memcmp(line.data, "HTTP/", 5) != 0)
        return BAD;
    if (memcmp(line.data + 5, "1.", 2) != 0 || line.data[7] < '0' || line.data[7] > '9')
        return WRONG_VERSION;
    *old = line.data[7] == '0';
    request->head = rkb_slice_equal(method, rkb_slice_text("HEAD"));
    const uint8_t *query = memchr(target.data, '?', target.size);
    request->path = rkb_slice(target.data, query != NULL ? (size_t)(query - target.data) : target.size);
    return request->head || rkb_slice_equal(method, rkb_slice_text("GET")) ? 0 : WRONG_METHOD;
}

/* Connection: a list of words. */
static void read_connection(struct rkb_slice value, struct rkb_http_request *request)
{
    while (value.size > 0) {
        const uint8_t *comma = memchr(value.data, ',', value.size);
        size_t size = comma != NULL ? (size_t)(comma - value.data) : value.size;
        size_t taken = comma != NULL ? size + 1 : size;
        struct rkb_slice word = trim(rkb_slice(value.data, size));
        if (is_word(word, "close"))
            request->keep = false;
        else if (is_word(word, "keep-alive"))
            request->keep = true;
        value = rkb_slice(value.data + taken, value.size - taken);
    }
}

static bool is_nought(struct rkb_slice digits)
{
    for (size_t i = 0; i < digits.size; i++)
        if (digits.data[i] != '0')
            return false;
    return digits.size > 0;
}

static int read_field(struct rkb_slice line, struct rkb_http_request *request, unsigned *hosts)
{
    const uint8_t *colon = memchr(line.data, ':', line.size);
    if (colon == NULL || !is_text(line))
        return BAD;
    struct rkb_slice name = {line.data, (size_t)(colon - line.data)};
    struct rkb_slice value = trim(rkb_slice(colon + 1, line.size - name.size - 1));
    if (!is_token(name))        /* which a line that goes on from the one before does not begin with either */
        return BAD;
    if (is_word(name, "host"))
        ++*hosts;
    else if (is_word(name, "connection"))
        read_connection(value, request);
    else if (is_word(name, "transfer-encoding") || (is_word(name, "content-length") && !is_nought(value)))
        return HAS_BODY;
    return 0;
}

int rkb_http_request_read(struct rkb_slice head, struct rkb_http_request *request)
{
    bool old = false;
    unsigned hosts = 0;
    *request = (struct rkb_http_request){0};
    int code = read_first_line(take_line(&head), request, &old);
    request->keep = !old;
    for (struct rkb_slice line = take_line(&head); code == 0 && line.size > 0; line = take_line(&head))
        code = read_field(line, request, &hosts);
    if (code == 0 && (hosts > 1 || (hosts == 0 && !old)))
        return BAD;
    return code;
}
