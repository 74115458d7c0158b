/* refusal -- see refusal.h. */
#include "redis/refusal.h"

#include <stdio.h>

#include "base/vault.h"

static const struct {
    const char *begin, *hint;
} hints[] = {
    {"NOAUTH", "give this source a password, and a user where Redis has such"},
    {"WRONGPASS", "check the source's user and password, and that ACL LIST has that user on"},
    {"NOPERM", "the user's ACL does not allow it"},
    {"LOADING", "Redis still loads its data; nothing to do, it is tried again"},
    {"MASTERDOWN", "this replica has lost its master: mend their link, or set replica-serve-stale-data yes"},
    {"BUSY", "a script keeps Redis busy; SCRIPT KILL ends it"},
    {"DENIED", "Redis is in protected mode: give it a password, or bind it to an address"},
    {"ERR max number of clients", "raise maxclients in Redis, or close idle clients"},
    {"ERR AUTH <password> called without", "this Redis has no password: take it out of the source"},
    {"ERR Client sent AUTH, but no password", "this Redis has no password: take it out of the source"},
    {"ERR wrong number of arguments for 'auth'", "a Redis before 6 knows no users: take the user out of the source"},
    {"ERR invalid password", "check the source's password"},
    {"ERR unknown command", "Redis, or a proxy before it, does not know the command: look for rename-command"},
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
    if (rkb_vault_repeats(words, secret))
        snprintf(text, sizeof text, "(Redis's words repeat the secret and are not shown)");
    else
        rkb_printable(text, sizeof text, words);
    if (hint == NULL)
        rkb_fail(error, RKB_REFUSED, "Redis refused %s: %s", command, text);
    else
        rkb_fail(error, RKB_REFUSED, "Redis refused %s: %s (%s)", command, text, hint);
}

static bool has(struct rkb_slice words, const char *text)
{
    return memmem(words.data, words.size, text, strlen(text)) != NULL;
}

enum rkb_lack rkb_refusal_lack(struct rkb_slice words)
{
    if (words.size < 6 || memcmp(words.data, "NOPERM", 6) != 0)
        return RKB_LACKS_NOTHING;
    if (has(words, " to run the "))
        return RKB_LACKS_COMMAND;
    return has(words, "channel") ? RKB_LACKS_CHANNEL : RKB_LACKS_EITHER;
}

static bool is_blank(uint8_t byte)
{
    return byte == 0 || byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool has_blank(struct rkb_slice name)
{
    for (size_t i = 0; i < name.size; i++)
        if (is_blank(name.data[i]))
            return true;
    return false;
}

/* The name as ACL SETUSER takes it. */
static void write_name(struct rkb_buffer *out, bool is_pattern, struct rkb_slice name)
{
    rkb_buffer_text(out, "&");
    if (is_pattern && has_blank(name)) {
        rkb_buffer_text(out, "*");
        return;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = is_blank(name.data[i]) ? '?' : name.data[i];
        if (!is_pattern && memchr("*?[\\", name.data[i], 4) != NULL)
            rkb_buffer_text(out, "\\");
        rkb_buffer_add(out, &byte, 1);
    }
}

/* One word as redis-cli reads it: as it is, or in quotes. */
static void quote(struct rkb_buffer *out, struct rkb_slice word)
{
    bool plain = word.size > 0;
    for (size_t i = 0; i < word.size; i++)
        plain = plain && word.data[i] > ' ' && word.data[i] < 0x7f && memchr("\"'\\", word.data[i], 3) == NULL;
    if (plain) {
        rkb_buffer_add(out, word.data, word.size);
        return;
    }
    rkb_buffer_text(out, "\"");
    for (size_t i = 0; i < word.size; i++) {
        uint8_t byte = word.data[i];
        if (byte < ' ' || byte >= 0x7f)
            rkb_buffer_format(out, "\\x%02x", byte);
        else
            rkb_buffer_format(out, byte == '"' || byte == '\\' ? "\\%c" : "%c", byte);
    }
    rkb_buffer_text(out, "\"");
}

void rkb_refusal_begin(struct rkb_buffer *out, const char *user)
{
    rkb_buffer_text(out, "ACL SETUSER ");
    quote(out, rkb_slice_text(user != NULL && user[0] != '\0' ? user : "default"));
}

void rkb_refusal_add_name(struct rkb_buffer *out, bool is_pattern, struct rkb_slice name)
{
    struct rkb_buffer word = {0};
    write_name(&word, is_pattern, name);
    rkb_buffer_text(out, " ");
    quote(out, rkb_slice(word.data, word.size));
    out->failed = out->failed || word.failed;
    rkb_buffer_free(&word);
}

void rkb_refusal_command_rule(char out[RKB_RULE_SIZE], const char *user, const char *command)
{
    struct rkb_buffer rule = {0};
    rkb_refusal_begin(&rule, user);
    rkb_buffer_format(&rule, " +%s", command);
    if (rule.failed || rule.size >= RKB_RULE_SIZE)
        snprintf(out, RKB_RULE_SIZE, "ACL SETUSER, with +%s", command);
    else
        snprintf(out, RKB_RULE_SIZE, "%.*s", (int)rule.size, (const char *)rule.data);
    rkb_buffer_free(&rule);
}

void rkb_refusal_rule(char out[RKB_RULE_SIZE], const char *user, bool is_pattern, struct rkb_slice name,
                      enum rkb_lack lack)
{
    struct rkb_buffer rule = {0};
    rkb_refusal_begin(&rule, user);
    if (lack != RKB_LACKS_CHANNEL)
        rkb_buffer_text(&rule, is_pattern ? " +psubscribe" : " +subscribe");
    if (lack != RKB_LACKS_COMMAND)
        rkb_refusal_add_name(&rule, is_pattern, name);
    if (rule.failed || rule.size >= RKB_RULE_SIZE)
        snprintf(out, RKB_RULE_SIZE, "ACL SETUSER, with & and a name of %zu bytes", name.size);
    else
        snprintf(out, RKB_RULE_SIZE, "%.*s", (int)rule.size, (const char *)rule.data);
    rkb_buffer_free(&rule);
}
