/* refusal -- see refusal.h. */
#include "redis/refusal.h"

#include <stdio.h>

static const struct {
    const char *begin, *hint;
} hints[] = {
    {"NOAUTH", "the source needs a password"},
    {"WRONGPASS", "check the source's user and password"},
    {"NOPERM", "the user's ACL does not allow it"},
    {"LOADING", "Redis still loads its data"},
    {"MASTERDOWN", "this replica has lost its master"},
    {"DENIED", "Redis is in protected mode: give it a password or bind it to an address"},
    {"ERR max number of clients", "raise maxclients in Redis or close idle clients"},
    {"ERR AUTH <password> called without", "this Redis has no password: take it out of the source"},
    {"ERR Client sent AUTH, but no password", "this Redis has no password: take it out of the source"},
};

void rkb_printable(char *out, size_t size, struct rkb_slice text)
{
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        bool plain = byte >= 0x20 && byte < 0x7f;
        if (used + (plain ? 1 : 4) + 4 > size) {
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        used += (size_t)snprintf(out + used, size - used, plain ? "%c" : "\\x%02x", byte);
    }
    out[used] = '\0';
}

/*
 * Redis's words without the arguments that it repeats: "ERR unknown command 'AUTH', with
 * args beginning with: 'secret'".
 */
static struct rkb_slice without_arguments(struct rkb_slice words)
{
    static const char unknown[] = "ERR unknown ", with[] = "with args";
    if (words.size < sizeof unknown || memcmp(words.data, unknown, sizeof unknown - 1) != 0)
        return words;
    const uint8_t *cut = memmem(words.data, words.size, with, sizeof with - 1);
    if (cut != NULL)
        words.size = (size_t)(cut - words.data);
    while (words.size > 0 && (words.data[words.size - 1] == ' ' || words.data[words.size - 1] == ','))
        words.size--;
    return words;
}

static const char *find_hint(struct rkb_slice words)
{
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        size_t length = strlen(hints[i].begin);
        if (words.size >= length && memcmp(words.data, hints[i].begin, length) == 0)
            return hints[i].hint;
    }
    return NULL;
}

void rkb_refusal(struct rkb_error *error, const char *command, struct rkb_slice words, const char *secret)
{
    char text[224];
    const char *hint = find_hint(words);
    words = without_arguments(words);
    if (secret[0] != '\0' && memmem(words.data, words.size, secret, strlen(secret)) != NULL)
        snprintf(text, sizeof text, "(Redis's words repeat the secret and are not shown)");
    else
        rkb_printable(text, sizeof text, words);
    if (hint == NULL)
        rkb_fail(error, RKB_REFUSED, "Redis refused %s: %s", command, text);
    else
        rkb_fail(error, RKB_REFUSED, "Redis refused %s: %s (%s)", command, text, hint);
}
