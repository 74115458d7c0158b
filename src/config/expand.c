/* expand -- see expand.h. */
#include "config/expand.h"

#include <stdlib.h>

/* The length of the plain text at the start: up to the next ${ or $${. */
static size_t plain_size(const char *text, size_t size)
{
    for (size_t i = 0; i + 1 < size; i++) {
        if (text[i] != '$')
            continue;
        if (text[i + 1] == '{' || (text[i + 1] == '$' && i + 2 < size && text[i + 2] == '{'))
            return i;
    }
    return size;
}

static size_t name_size(const char *text, size_t size)
{
    size_t i = 0;
    while (i < size && (text[i] == '_' || ((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z') ||
                        (i > 0 && text[i] >= '0' && text[i] <= '9')))
        i++;
    return i;
}

/* The variable's value, or NULL; a long name is none. */
static const char *look_up(const char *name, size_t size)
{
    char buffer[256];
    if (size >= sizeof buffer)
        return NULL;
    memcpy(buffer, name, size);
    buffer[size] = '\0';
    return getenv(buffer);
}

static void give_value(struct rkb_piece *piece, const char *value, size_t size)
{
    piece->value = value;
    piece->value_size = size;
}

/* text stands on ${, and piece->at is set. */
static void read_variable(const char *text, size_t size, struct rkb_piece *piece)
{
    const char *close = memchr(text, '}', size);
    piece->size = close == NULL ? size : (size_t)(close - text) + 1;
    if (close == NULL) {
        piece->mistake = "${ without its }; a literal ${ is written $${";
        return;
    }
    piece->name = text + 2;
    piece->name_size = name_size(text + 2, piece->size - 3);
    const char *rest = piece->name + piece->name_size;
    size_t rest_size = (size_t)(close - rest);
    bool has_default = rest_size >= 2 && rest[0] == ':' && rest[1] == '-';
    if (piece->name_size == 0 || (rest_size > 0 && !has_default)) {
        piece->mistake = "not ${NAME} or ${NAME:-default}; a literal ${ is written $${";
        return;
    }
    const char *value = look_up(piece->name, piece->name_size);
    if (has_default && (value == NULL || *value == '\0'))
        give_value(piece, rest + 2, rest_size - 2);
    else if (value != NULL)
        give_value(piece, value, strlen(value));
    else
        piece->mistake = "not set in the environment, and no default is given";
}

bool rkb_expand_next(const char *text, size_t size, struct rkb_piece *piece)
{
    size_t at = piece->at + piece->size;
    if (at >= size)
        return false;
    *piece = (struct rkb_piece){.at = at};
    text += at;
    size -= at;
    size_t plain = plain_size(text, size);
    if (plain > 0) {
        piece->size = plain;
        give_value(piece, text, plain);
    } else if (text[1] == '$') {
        piece->size = 3;
        give_value(piece, text + 1, 2);
    } else {
        read_variable(text, size, piece);
    }
    return true;
}

size_t rkb_expand_origin(const char *text, size_t size, size_t offset)
{
    struct rkb_piece piece = {0};
    while (rkb_expand_next(text, size, &piece)) {
        if (offset < piece.value_size)
            return piece.name == NULL && piece.size == piece.value_size ? piece.at + offset : piece.at;
        offset -= piece.value_size;
    }
    return size;
}
