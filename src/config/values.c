/* values -- see values.h. */
#include "config/values.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "base/vault.h"
#include "config/rules.h"

static void *member(const struct rkb_setting *row, void *base)
{
    return (char *)base + row->offset;
}

bool rkb_value_is_name(const char *text, size_t longest)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t size = strlen(text);
    return size >= 1 && size <= longest && strspn(text, allowed) == size;
}

/* Appends " a, b" behind what is in out. */
static void append_words(const char *const *words, const char *glue, char *out, size_t size)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        size_t used = strlen(out);
        snprintf(out + used, size - used, "%s%s", i == 0 ? "" : glue, words[i]);
    }
}

void rkb_value_describe(const struct rkb_setting *row, char *out, size_t size)
{
    static const char *const nouns[] = {
        [RKB_SETTING_TEXT] = "text", [RKB_SETTING_TEMPLATE] = "a template", [RKB_SETTING_PATH] = "an absolute path",
        [RKB_SETTING_FILE] = "a file",
        [RKB_SETTING_URL] = "a url", [RKB_SETTING_LISTEN] = "host:port", [RKB_SETTING_SIZE] = "a size",
        [RKB_SETTING_SHARE] = "a size or a percentage", [RKB_SETTING_DURATION] = "a duration",
        [RKB_SETTING_SYNC] = "a duration", [RKB_SETTING_MODE] = "permissions in octal", [RKB_SETTING_WORD] = "a word",
        [RKB_SETTING_LIST] = "a list", [RKB_SETTING_NUMBER] = "a whole number",
        [RKB_SETTING_MAP] = "a mapping of names to text",
        [RKB_SETTING_EXPECT] = "a rule or a list of rules", [RKB_SETTING_FILTER] = "a condition or a list of them",
        [RKB_SETTING_PROPERTIES] = "a mapping of librdkafka's properties",
    };
    bool only_words = row->type == RKB_SETTING_WORD || (row->type == RKB_SETTING_TEXT && row->words != NULL);
    snprintf(out, size, "%s", only_words ? "one of " : nouns[row->type]);
    if (row->words == NULL)
        return;
    if (!only_words) {
        size_t used = strlen(out);
        snprintf(out + used, size - used, " or ");
    }
    append_words(row->words, only_words ? ", " : " or ", out, size);
}

static void format_amount(const struct rkb_setting *row, int64_t amount, char *out, size_t size)
{
    if (row->type == RKB_SETTING_SIZE)
        rkb_format_size(out, size, (uint64_t)amount);
    else if (row->type == RKB_SETTING_NUMBER)
        snprintf(out, size, "%lld", (long long)amount);
    else
        rkb_format_duration(out, size, amount);
}

void rkb_value_range(const struct rkb_setting *row, char *out, size_t size)
{
    char least[32], most[32];
    format_amount(row, row->least, least, sizeof least);
    format_amount(row, row->most, most, sizeof most);
    if (row->most > 0 && row->least > 0)
        snprintf(out, size, "%s to %s", least, most);
    else if (row->most > 0)
        snprintf(out, size, "at most %s", most);
    else if (row->least > 0)
        snprintf(out, size, "at least %s", least);
    else
        snprintf(out, size, "%s", "");
}

static bool check_range(const struct rkb_setting *row, int64_t value, const char *text, struct rkb_error *error)
{
    if (value >= row->least && (row->most == 0 || value <= row->most))
        return true;
    char range[80];
    rkb_value_range(row, range, sizeof range);
    return rkb_fail(error, RKB_USAGE, "%.80s is out of range: %s", text, range);
}

static bool set_size(const struct rkb_setting *row, const char *text, uint64_t *out, struct rkb_error *error)
{
    uint64_t bytes;
    if (!rkb_parse_size(text, &bytes, error))
        return false;
    if (!check_range(row, bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes, text, error))
        return false;
    *out = bytes;
    return true;
}

static bool set_duration(const struct rkb_setting *row, const char *text, int64_t *out, struct rkb_error *error)
{
    int64_t microseconds;
    if (!rkb_parse_duration(text, &microseconds, error) || !check_range(row, microseconds, text, error))
        return false;
    *out = microseconds;
    return true;
}

static bool set_sync(const struct rkb_setting *row, const char *text, int64_t *out, struct rkb_error *error)
{
    for (const char *const *word = row->words; *word != NULL; word++) {
        if (strcmp(text, *word) == 0) {
            *out = strcmp(text, "none") == 0 ? RKB_SYNC_NONE : RKB_SYNC_ALWAYS;
            return true;
        }
    }
    return set_duration(row, text, out, error);
}

static bool set_mode(const char *text, unsigned *out, struct rkb_error *error)
{
    size_t digits = strspn(text, "01234567");
    unsigned long mode = strtoul(text, NULL, 8);
    if (digits == 0 || digits > 4 || text[digits] != '\0' || mode > 0777)
        return rkb_fail(error, RKB_USAGE, "\"%.80s\" is not permissions in octal, 0000 to 0777", text);
    *out = (unsigned)mode;
    return true;
}

/* The word's index, or -1 and *error with the words there are. */
static int find_word(const struct rkb_setting *row, const char *text, struct rkb_error *error)
{
    for (int i = 0; row->words[i] != NULL; i++)
        if (strcmp(row->words[i], text) == 0)
            return i;
    char words[160] = "";
    append_words(row->words, ", ", words, sizeof words);
    (void)rkb_fail(error, RKB_USAGE, "\"%.80s\" is not one of %s", text, words);
    return -1;
}

static bool set_word(const struct rkb_setting *row, const char *text, int *out, struct rkb_error *error)
{
    int word = find_word(row, text, error);
    if (word >= 0)
        *out = word;
    return word >= 0;
}

static bool set_number(const struct rkb_setting *row, const char *text, int64_t *out, struct rkb_error *error)
{
    if (row->words != NULL && strcmp(text, row->words[0]) == 0) {
        *out = -1;
        return true;
    }
    size_t digits = strspn(text, "0123456789");
    char wanted[80];
    rkb_value_describe(row, wanted, sizeof wanted);
    if (digits == 0 || digits > 18 || text[digits] != '\0')
        return rkb_fail(error, RKB_USAGE, "\"%.80s\" is not %s", text, wanted);
    int64_t number = strtoll(text, NULL, 10);
    if (!check_range(row, number, text, error))
        return false;
    *out = number;
    return true;
}

static void drop_text(const struct rkb_setting *row, char **text)
{
    if (row->secret)
        rkb_vault_drop(*text);
    else
        free(*text);
    *text = NULL;
}

static bool set_text(const struct rkb_setting *row, const char *text, char **out, struct rkb_error *error)
{
    char *copy = row->secret ? rkb_vault_keep(text) : strdup(text);
    if (copy == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "out of memory");
    drop_text(row, out);
    *out = copy;
    return true;
}

static bool set_path(const struct rkb_setting *row, const char *text, char **out, struct rkb_error *error)
{
    if (text[0] != '/' && (row->words == NULL || find_word(row, text, NULL) < 0)) {
        char wanted[80];
        rkb_value_describe(row, wanted, sizeof wanted);
        if (row->secret)
            return rkb_fail(error, RKB_USAGE, "this is not %s (not shown: it may be the secret itself)", wanted);
        return rkb_fail(error, RKB_USAGE, "\"%.80s\" is not %s", text, wanted);
    }
    return set_text(row, text, out, error);
}

static bool is_host(const char *host)
{
    unsigned char address[16];
    size_t size = strlen(host);
    if (host[0] == '[') {
        char inner[64];
        if (size < 3 || size - 2 >= sizeof inner || host[size - 1] != ']')
            return false;
        memcpy(inner, host + 1, size - 2);
        inner[size - 2] = '\0';
        return inet_pton(AF_INET6, inner, address) == 1;
    }
    return strcmp(host, "localhost") == 0 || inet_pton(AF_INET, host, address) == 1;
}

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits >= 1 && digits <= 5 && text[digits] == '\0' && strtoul(text, NULL, 10) <= 65535;
}

static bool set_listen(const struct rkb_setting *row, const char *text, char **out, struct rkb_error *error)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    bool good = size > 0 && size < sizeof host && is_port(colon + 1);
    if (good) {
        memcpy(host, text, size);
        host[size] = '\0';
        good = is_host(host);
    }
    if (!good)
        return rkb_fail(error, RKB_USAGE,
                        "\"%.80s\" is not host:port, the host an IPv4 address, "
                        "an IPv6 address in brackets or localhost",
                        text);
    return set_text(row, text, out, error);
}

bool rkb_value_set(const struct rkb_setting *row, const char *text, void *base, struct rkb_error *error)
{
    void *at = member(row, base);
    switch (row->type) {
    case RKB_SETTING_TEXT:
        if (row->words != NULL && find_word(row, text, error) < 0)
            return false;
        return set_text(row, text, at, error);
    case RKB_SETTING_TEMPLATE:
    case RKB_SETTING_FILE:
    case RKB_SETTING_URL:
        return set_text(row, text, at, error);
    case RKB_SETTING_PATH:
        return set_path(row, text, at, error);
    case RKB_SETTING_LISTEN:
        return set_listen(row, text, at, error);
    case RKB_SETTING_SIZE:
        return set_size(row, text, at, error);
    case RKB_SETTING_SHARE:
        return rkb_parse_share(text, at, error);
    case RKB_SETTING_DURATION:
        return set_duration(row, text, at, error);
    case RKB_SETTING_SYNC:
        return set_sync(row, text, at, error);
    case RKB_SETTING_MODE:
        return set_mode(text, at, error);
    case RKB_SETTING_WORD:
        return set_word(row, text, at, error);
    case RKB_SETTING_NUMBER:
        return set_number(row, text, at, error);
    case RKB_SETTING_LIST:
    case RKB_SETTING_MAP:
    case RKB_SETTING_EXPECT:
    case RKB_SETTING_FILTER:
    case RKB_SETTING_PROPERTIES:
        break;
    }
    return rkb_fail(error, RKB_USAGE, "is not one text");
}

bool rkb_value_add_text(struct rkb_texts *texts, const char *text)
{
    char **more = realloc(texts->texts, (texts->count + 2) * sizeof *more);
    if (more == NULL)
        return false;
    texts->texts = more;
    more[texts->count] = strdup(text);
    if (more[texts->count] == NULL)
        return false;
    more[++texts->count] = NULL;
    return true;
}

static void free_texts(struct rkb_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->texts[i]);
    free(texts->texts);
    *texts = (struct rkb_texts){0};
}

void rkb_value_free(const struct rkb_setting *row, void *base)
{
    void *at = member(row, base);
    switch (row->type) {
    case RKB_SETTING_TEXT:
    case RKB_SETTING_TEMPLATE:
    case RKB_SETTING_PATH:
    case RKB_SETTING_FILE:
    case RKB_SETTING_URL:
    case RKB_SETTING_LISTEN:
        drop_text(row, at);
        break;
    case RKB_SETTING_LIST:
        free_texts(at);
        break;
    case RKB_SETTING_MAP:
    case RKB_SETTING_PROPERTIES:
        rkb_properties_free(at);
        break;
    case RKB_SETTING_EXPECT:
        rkb_expects_free(at);
        break;
    case RKB_SETTING_FILTER:
        rkb_filters_free(at);
        break;
    case RKB_SETTING_SIZE:
    case RKB_SETTING_SHARE:
    case RKB_SETTING_DURATION:
    case RKB_SETTING_SYNC:
    case RKB_SETTING_MODE:
    case RKB_SETTING_WORD:
    case RKB_SETTING_NUMBER:
        break;
    }
}
