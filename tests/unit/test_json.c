/*
 * json: every file of a set, every cut of a rich document, and a plain recursive reading of the grammar as the judge.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/json.h"
#include "message/json_string.h"
#include "message/scan.h"
#include "message/utf8.h"

static struct rkb_slice read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct rkb_buffer content = {0};
    for (;;) {
        uint8_t *room = rkb_buffer_reserve(&content, 4096);
        assert_non_null(room);
        size_t got = fread(room, 1, 4096, file);
        content.size += got;
        if (got == 0)
            break;
    }
    fclose(file);
    /* Exactly its bytes, so that a sanitizer sees a read behind the end. */
    uint8_t *exact = malloc(content.size > 0 ? content.size : 1);
    assert_non_null(exact);
    memcpy(exact, content.data, content.size);
    struct rkb_slice slice = rkb_slice(exact, content.size);
    rkb_buffer_free(&content);
    return slice;
}

static void free_slice(struct rkb_slice slice)
{
    free((void *)(uintptr_t)slice.data);
}

static void data_path(char *path, size_t size, const char *rest)
{
    const char *srcdir = getenv("srcdir");
    snprintf(path, size, "%s/tests/unit/data/json/%s", srcdir == NULL ? "." : srcdir, rest);
}

/* ---- the judge: the grammar of RFC 8259 read aloud; gives the place behind, or NULL ---- */

struct judge {
    const uint8_t *end;
    int depth;
};

static const uint8_t *judge_value(struct judge *judge, const uint8_t *at);

static const uint8_t *judge_space(const struct judge *judge, const uint8_t *at)
{
    while (at != NULL && at < judge->end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

static const uint8_t *judge_byte(const struct judge *judge, const uint8_t *at, uint8_t byte)
{
    return at != NULL && at < judge->end && *at == byte ? at + 1 : NULL;
}

static const uint8_t *judge_utf8(const struct judge *judge, const uint8_t *at)
{
    uint32_t point;
    int more;
    if (*at >= 0xC0 && *at < 0xE0) {
        point = *at & 0x1F;
        more = 1;
    } else if (*at >= 0xE0 && *at < 0xF0) {
        point = *at & 0x0F;
        more = 2;
    } else if (*at >= 0xF0 && *at < 0xF8) {
        point = *at & 0x07;
        more = 3;
    } else {
        return NULL;
    }
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    for (int i = 1; i <= more; i++) {
        if (at + i >= judge->end || (at[i] & 0xC0) != 0x80)
            return NULL;
        point = point << 6 | (at[i] & 0x3F);
    }
    bool good = point >= least[more] && point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
    return good ? at + 1 + more : NULL;
}

static const uint8_t *judge_escape(const struct judge *judge, const uint8_t *at)
{
    if (at >= judge->end || *at == 0 || strchr("\"\\/bfnrtu", *at) == NULL)
        return NULL;
    if (*at != 'u')
        return at + 1;
    for (int i = 1; i <= 4; i++)
        if (at + i >= judge->end || at[i] == 0 || strchr("0123456789abcdefABCDEF", at[i]) == NULL)
            return NULL;
    return at + 5;
}

static const uint8_t *judge_string(const struct judge *judge, const uint8_t *at)
{
    at = judge_byte(judge, at, '"');
    while (at != NULL && at < judge->end && *at != '"') {
        if (*at < 0x20)
            return NULL;
        at = *at == '\\' ? judge_escape(judge, at + 1) : *at < 0x80 ? at + 1 : judge_utf8(judge, at);
    }
    return judge_byte(judge, at, '"');
}

static const uint8_t *judge_digits(const struct judge *judge, const uint8_t *at)
{
    const uint8_t *start = at;
    while (at < judge->end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : NULL;
}

static const uint8_t *judge_number(const struct judge *judge, const uint8_t *at)
{
    if (judge_byte(judge, at, '-') != NULL)
        at++;
    at = judge_byte(judge, at, '0') != NULL ? at + 1 : judge_digits(judge, at);
    if (at != NULL && judge_byte(judge, at, '.') != NULL)
        at = judge_digits(judge, at + 1);
    if (at != NULL && at < judge->end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < judge->end && (*at == '+' || *at == '-'))
            at++;
        at = judge_digits(judge, at);
    }
    return at;
}

static const uint8_t *judge_container(struct judge *judge, const uint8_t *at, bool object)
{
    uint8_t close = object ? '}' : ']';
    if (++judge->depth > RKB_JSON_DEPTH)
        return NULL;
    at = judge_space(judge, at + 1);
    if (judge_byte(judge, at, close) == NULL) {
        for (;;) {
            if (object)
                at = judge_byte(judge, judge_space(judge, judge_string(judge, judge_space(judge, at))), ':');
            at = at == NULL ? NULL : judge_space(judge, judge_value(judge, judge_space(judge, at)));
            if (judge_byte(judge, at, ',') == NULL)
                break;
            at++;
        }
    }
    judge->depth--;
    return judge_byte(judge, at, close);
}

static const uint8_t *judge_value(struct judge *judge, const uint8_t *at)
{
    static const char *const words[] = {"true", "false", "null"};
    if (at == NULL || at >= judge->end)
        return NULL;
    if (*at == '{' || *at == '[')
        return judge_container(judge, at, *at == '{');
    if (*at == '"')
        return judge_string(judge, at);
    for (size_t i = 0; i < 3; i++)
        if ((size_t)(judge->end - at) >= strlen(words[i]) && memcmp(at, words[i], strlen(words[i])) == 0)
            return at + strlen(words[i]);
    return judge_number(judge, at);
}

static bool judge_text(struct rkb_slice text)
{
    struct judge judge = {text.data + text.size, 0};
    return judge_space(&judge, judge_value(&judge, judge_space(&judge, text.data))) == judge.end;
}

/* ---- tests ---- */

/* What must hold for any text; the verdict. */
static bool check(struct rkb_slice text)
{
    size_t stopped_at = SIZE_MAX, prefix_stopped_at = SIZE_MAX;
    bool valid = rkb_json_valid(text, &stopped_at);
    assert_int_equal(valid, rkb_json_valid(text, NULL));
    assert_int_equal(valid, judge_text(text));
    assert_true(stopped_at <= text.size);
    if (valid)
        assert_int_equal(stopped_at, text.size);
    /* The first byte that cannot be: without it and what follows, nothing is wrong but the end. */
    rkb_json_valid(rkb_slice(text.data, stopped_at), &prefix_stopped_at);
    assert_int_equal(prefix_stopped_at, stopped_at);
    return valid;
}

static void check_directory(const char *name, size_t least, bool (*expected)(const char *file))
{
    char path[1024], file[1400];
    size_t files = 0;
    data_path(path, sizeof path, name);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strstr(entry->d_name, ".json") == NULL)
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        struct rkb_slice text = read_file(file);
        if (check(text) != expected(entry->d_name))
            fail_msg("%s: %s", file, expected(entry->d_name) ? "refused" : "accepted");
        free_slice(text);
        files++;
    }
    closedir(directory);
    assert_true(files >= least);
}

static bool yes(const char *file)
{
    (void)file;
    return true;
}

static bool no(const char *file)
{
    (void)file;
    return false;
}

static bool by_name(const char *file)
{
    bool accepted = strncmp(file, "accepted-", 9) == 0;
    assert_true(accepted || strncmp(file, "refused-", 8) == 0);
    return accepted;
}

static void every_valid_file_is_accepted(void **state)
{
    (void)state;
    check_directory("valid", 70, yes);
}

static void every_invalid_file_is_refused(void **state)
{
    (void)state;
    check_directory("invalid", 130, no);
}

static void every_odd_file_is_as_its_name_says(void **state)
{
    (void)state;
    check_directory("odd", 30, by_name);
}

static struct rkb_slice read_rich(void)
{
    char path[1024];
    data_path(path, sizeof path, "valid/rich.json");
    return read_file(path);
}

static void a_rich_document_cut_anywhere_is_refused_at_its_end(void **state)
{
    (void)state;
    struct rkb_slice rich = read_rich();
    size_t whole = rich.size - 1;       /* a newline behind it */
    assert_int_equal(rich.data[whole], '\n');
    for (size_t size = 0; size < whole; size++) {
        uint8_t *cut = malloc(size > 0 ? size : 1);
        size_t stopped_at = SIZE_MAX;
        memcpy(cut, rich.data, size);
        assert_false(rkb_json_valid(rkb_slice(cut, size), &stopped_at));
        /* Inside a UTF-8 sequence too: nothing before the end is wrong. */
        assert_int_equal(stopped_at, size);
        free(cut);
    }
    assert_true(check(rkb_slice(rich.data, whole)));
    free_slice(rich);
}

static void every_byte_of_a_rich_document_replaced_is_judged_right(void **state)
{
    (void)state;
    struct rkb_slice rich = read_rich();
    uint8_t *copy = malloc(rich.size);
    memcpy(copy, rich.data, rich.size);
    size_t refused = 0;
    for (size_t at = 0; at < rich.size; at++) {
        for (int byte = 0; byte < 256; byte += 1 + (byte >= 0x80) * 2) {
            copy[at] = (uint8_t)byte;
            refused += !check(rkb_slice(copy, rich.size));
        }
        copy[at] = rich.data[at];
    }
    assert_true(refused > 10000);
    free(copy);
    free_slice(rich);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void random_token_soup_is_judged_right(void **state)
{
    (void)state;
    static const char *const tokens[] = {"{", "}", "[", "]", ",", ":", "\"a\"", "\"\"", "0", "-1", "1.5e3", "true",
        "null", " ", "\n", "\"", "\\", "x", "\x01", "\xC3\xA9", "{\"k\":1}", "[1]", ",\"k\":"};
    uint64_t seed = 1;
    size_t accepted = 0;
    for (int round = 0; round < 200000; round++) {
        struct rkb_buffer text = {0};
        for (uint32_t count = next_random(&seed) % 8; count > 0; count--)
            rkb_buffer_text(&text, tokens[next_random(&seed) % (sizeof tokens / sizeof tokens[0])]);
        rkb_buffer_reserve(&text, 1);
        accepted += check(rkb_slice(text.data, text.size));
        rkb_buffer_free(&text);
    }
    assert_true(accepted > 1000);
}

static void where_it_stops(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } cases[] = {
        {"", 0}, {"x", 0}, {" x", 1}, {"[1 2]", 3}, {"{\"a\" 1}", 5}, {"01", 1}, {"1.x", 2}, {"\"\\x\"", 2},
        {"\"\\u00g0\"", 5},
        {"\"\x80\"", 1}, {"\"\xC3(\"", 2}, {"\"\xE2\x82\"", 3}, {"\"\xED\xA0\x80\"", 2}, {"\"\xFF\"", 1},
        {"\"a\nb\"", 2}, {"nul1", 3}, {"{} x", 3}, {"[1,]", 3}, {"[", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t at = SIZE_MAX;
        assert_false(rkb_json_valid(rkb_slice_text(cases[i].text), &at));
        assert_int_equal(at, cases[i].at);
    }
}

static void nothing_at_all_is_not_json(void **state)
{
    (void)state;
    size_t at = 1;
    assert_false(rkb_json_valid(rkb_slice(NULL, 0), &at));
    assert_int_equal(at, 0);
    assert_int_equal(rkb_json_escaped_size(rkb_slice(NULL, 0)), 0);
}

static void nesting_has_its_limit(void **state)
{
    (void)state;
    uint8_t text[2 * (RKB_JSON_DEPTH + 1)];
    for (size_t depth = 1; depth <= RKB_JSON_DEPTH + 1; depth++) {
        size_t at;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(rkb_json_valid(rkb_slice(text, 2 * depth), &at), depth <= RKB_JSON_DEPTH);
        if (depth > RKB_JSON_DEPTH)
            assert_int_equal(at, RKB_JSON_DEPTH);
    }
}

static void check_escape(struct rkb_slice text, struct rkb_slice expected)
{
    uint8_t out[256];
    assert_int_equal(rkb_json_escaped_size(text), expected.size);
    uint8_t *end = rkb_json_escape(out, text);
    assert_int_equal(end - out, expected.size);
    assert_memory_equal(out, expected.data, expected.size);
}

static void escapes(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain text / with no need", "plain text / with no need"}, {"\"\\", "\\\"\\\\"},
        {"\b\f\n\r\t", "\\b\\f\\n\\r\\t"},
        {"\x01\x1f\x7f", "\\u0001\\u001f\x7f"},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"a\xFFz", "a\xEF\xBF\xBDz"}, {"\xE2\x82", "\xEF\xBF\xBD"}, {"\xE2\x82z", "\xEF\xBF\xBDz"},
        {"\xF0\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"0123456789abcde\"", "0123456789abcde\\\""}, {"0123456789abcdef\n", "0123456789abcdef\\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_escape(rkb_slice_text(cases[i][0]), rkb_slice_text(cases[i][1]));
    check_escape(rkb_slice("\0", 1), rkb_slice_text("\\u0000"));
}

static void whatever_is_escaped_is_a_json_string(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (int round = 0; round < 20000; round++) {
        size_t size = next_random(&seed) % 60;
        bool mostly_ascii = (next_random(&seed) & 1) != 0;
        uint8_t *text = malloc(size + 1);
        for (size_t i = 0; i < size; i++)
            text[i] = (uint8_t)(next_random(&seed) % (mostly_ascii && next_random(&seed) % 8 != 0 ? 128 : 256));
        size_t escaped = rkb_json_escaped_size(rkb_slice(text, size));
        uint8_t *out = malloc(escaped + 2);
        out[0] = '"';
        assert_ptr_equal(rkb_json_escape(out + 1, rkb_slice(text, size)), out + 1 + escaped);
        out[escaped + 1] = '"';
        assert_true(rkb_json_valid(rkb_slice(out, escaped + 2), NULL));
        free(out);
        free(text);
    }
}

/* The portable and the SSE2 scans against a loop over bytes, with every byte at every place. */
static void scans_stop_where_a_simple_loop_does(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 40; size++) {
        uint8_t *text = malloc(size > 0 ? size : 1);
        for (size_t at = 0; at <= size; at++) {
            for (int byte = 0; byte < 256; byte++) {
                memset(text, 'a', size);
                if (at < size)
                    text[at] = (uint8_t)byte;
                bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                size_t plain_run = at < size && !plain ? at : size, ascii_run = at < size && byte >= 0x80 ? at : size;
                assert_true(rkb_scan_plain_portable(text, size) == plain_run);
                assert_true(rkb_scan_ascii_portable(text, size) == ascii_run);
                assert_true(rkb_scan_plain(text, size) == plain_run);
                assert_true(rkb_scan_ascii(text, size) == ascii_run);
            }
        }
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_valid_file_is_accepted),
        cmocka_unit_test(every_invalid_file_is_refused),
        cmocka_unit_test(every_odd_file_is_as_its_name_says),
        cmocka_unit_test(a_rich_document_cut_anywhere_is_refused_at_its_end),
        cmocka_unit_test(every_byte_of_a_rich_document_replaced_is_judged_right),
        cmocka_unit_test(random_token_soup_is_judged_right),
        cmocka_unit_test(where_it_stops),
        cmocka_unit_test(nothing_at_all_is_not_json),
        cmocka_unit_test(nesting_has_its_limit),
        cmocka_unit_test(escapes),
        cmocka_unit_test(whatever_is_escaped_is_a_json_string),
        cmocka_unit_test(scans_stop_where_a_simple_loop_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
