/*
 * Fuzz target: the JSON scanner, JSON Pointers, strings and templates.
 *
 *     input   5 numbers: envelope (0: the value's template, 1..: the presets), payload kind, missing, when_taken, depth
 *             lines: value, key, a header, name, channel, pointers (by a blank each)
 *             the payload
 *
 * Claims, for any input: the scanner and the search agree on what is JSON, and jansson agrees where it is not stricter;
 * what is found lies in the payload and is the value that jansson has there; what is measured is what is written; what
 * comes out of a JSON template is JSON; strings come back from being escaped; a preset's payload can be had back.
 */
#include "fuzz.h"

#include <jansson.h>

#include "base/headers.h"
#include "message/inverse.h"
#include "message/json.h"
#include "message/json_string.h"
#include "message/presets.h"
#include "message/rules.h"
#include "message/utf8.h"

#define MOST_POINTERS 8
#define MOST_FOR_JANSSON 65536
#define MOST_DEPTH 256              /* so that a payload in a template's own containers is JSON for the scanner still */

/* ---- JSON ---- */

static json_t *load(struct rkb_slice text, json_error_t *error)
{
    return json_loadb(text.size > 0 ? (const char *)text.data : "", text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, error);
}

/* What jansson refuses though it is JSON: numbers that C has no type for, lone surrogates, NUL in keys. */
static bool is_stricter(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key
           || strstr(error->text, "invalid Unicode") != NULL;
}

/* How deep valid JSON is nested. */
static size_t depth_of(struct rkb_slice json)
{
    size_t depth = 0, most = 0;
    bool string = false;
    for (size_t i = 0; i < json.size; i++) {
        uint8_t byte = json.data[i];
        if (string && byte == '\\')
            i++;
        else if (byte == '"')
            string = !string;
        else if (!string && (byte == '{' || byte == '['))
            most = ++depth > most ? depth : most;
        else if (!string && (byte == '}' || byte == ']'))
            depth--;
    }
    return most;
}

/* True if it is JSON. *tree is jansson's, where it took it. */
static bool check_json(struct rkb_slice payload, json_t **tree)
{
    size_t stopped = SIZE_MAX;
    bool valid = rkb_json_valid(payload, &stopped);
    CLAIM(stopped <= payload.size && (!valid || stopped == payload.size));
    CLAIM(!valid || rkb_utf8_valid(payload));
    *tree = NULL;
    if (payload.size > MOST_FOR_JANSSON)
        return valid;
    json_error_t error;
    *tree = load(payload, &error);
    /* A NUL behind a number or a word is lost in jansson, and it goes on as if there were none. */
    if (*tree != NULL)
        CLAIM(valid || memchr(payload.data, '\0', payload.size) != NULL);
    else
        CLAIM(!valid || is_stricter(&error));
    if (!valid)
        json_decref(*tree);
    if (!valid)
        *tree = NULL;
    return valid;
}

/* ---- pointers ---- */

/* One token of a pointer, ~0 and ~1 undone, into key. */
static const char *next_token(const char *pointer, char *key)
{
    for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++) {
        char byte = *pointer;
        if (byte == '~')
            byte = *++pointer == '0' ? '~' : '/';
        *key++ = byte;
    }
    *key = '\0';
    return pointer;
}

static json_t *element(json_t *array, const char *key)
{
    bool digits = key[0] != '\0' && strspn(key, "0123456789") == strlen(key);
    if (!digits || (key[0] == '0' && key[1] != '\0') || strlen(key) > 18)
        return NULL;
    return json_array_get(array, strtoull(key, NULL, 10));
}

/* What jansson's tree has there; NULL: nothing. */
static json_t *look_up(json_t *tree, const char *pointer)
{
    char *key = malloc(strlen(pointer) + 1);
    CLAIM(key != NULL);
    while (tree != NULL && *pointer == '/') {
        pointer = next_token(pointer, key);
        tree = json_is_object(tree) ? json_object_get(tree, key) : json_is_array(tree) ? element(tree, key) : NULL;
    }
    free(key);
    return tree;
}

/* What a string means is UTF-8, as keys and headers are to be, even where it holds lone surrogates. */
static void check_meaning(struct rkb_slice string)
{
    struct rkb_slice inside = rkb_slice(string.data + 1, string.size - 2);
    size_t size = rkb_json_unescaped_size(inside);
    uint8_t *plain = malloc(size + 1);
    CLAIM(plain != NULL && rkb_json_unescape(plain, inside) == plain + size);
    CLAIM(rkb_utf8_valid(rkb_slice(plain, size)) && rkb_json_means(inside, rkb_slice(plain, size)));
    free(plain);
}

static void check_found(struct rkb_slice payload, struct rkb_slice found, json_t *tree, const char *pointer)
{
    json_t *there = look_up(tree, pointer);
    CLAIM(tree == NULL || (there != NULL) == (found.data != NULL));
    if (found.data == NULL)
        return;
    CLAIM(found.size > 0 && found.data >= payload.data && found.data + found.size <= payload.data + payload.size);
    CLAIM(rkb_json_valid(found, NULL));
    CLAIM(strchr(" \t\r\n", found.data[0]) == NULL && strchr(" \t\r\n", found.data[found.size - 1]) == NULL);
    if (found.data[0] == '"')
        check_meaning(found);
    if (tree == NULL)
        return;
    json_error_t error;
    json_t *alone = load(found, &error);
    CLAIM(alone != NULL && json_equal(alone, there));
    json_decref(alone);
}

static void check_pointers(char *words, struct rkb_slice payload, size_t depth, bool valid, json_t *tree)
{
    struct rkb_pointers *set = rkb_pointers_new();
    struct rkb_slice found[MOST_POINTERS];
    const char *texts[MOST_POINTERS];
    struct rkb_error error;
    CLAIM(set != NULL);
    char *rest = words;
    for (size_t i = 0, place; i < MOST_POINTERS && rest != NULL; i++) {
        const char *word = strsep(&rest, " ");
        if (!rkb_pointers_add(set, rkb_slice_text(word), &place, &error))
            continue;
        CLAIM(place < rkb_pointers_count(set) && strcmp(rkb_pointers_text(set, place), word) == 0);
        texts[place] = word;
    }
    CLAIM(rkb_pointers_find(set, payload, RKB_JSON_DEPTH, found) == valid);
    for (size_t i = 0; i < rkb_pointers_count(set); i++) {
        CLAIM(valid || found[i].data == NULL);
        check_found(payload, found[i], valid ? tree : NULL, texts[i]);
    }
    CLAIM(rkb_pointers_find(set, payload, depth, found) == (valid && depth_of(payload) <= depth));
    rkb_pointers_free(set);
}

/* ---- strings ---- */

static void check_escaping(struct rkb_slice text)
{
    size_t size = rkb_json_escaped_size(text);
    uint8_t *quoted = malloc(size + 2);
    CLAIM(quoted != NULL);
    quoted[0] = quoted[size + 1] = '"';
    CLAIM(rkb_json_escape(quoted + 1, text) == quoted + 1 + size);
    CLAIM(rkb_json_valid(rkb_slice(quoted, size + 2), NULL));
    struct rkb_slice inside = rkb_slice(quoted + 1, size);
    size_t back = rkb_json_unescaped_size(inside);
    uint8_t *plain = malloc(back + 1);
    CLAIM(plain != NULL && rkb_json_unescape(plain, inside) == plain + back);
    CLAIM(rkb_utf8_valid(rkb_slice(plain, back)) && rkb_json_means(inside, rkb_slice(plain, back)));
    CLAIM(rkb_utf8_valid(text) == rkb_slice_equal(text, rkb_slice(plain, back)));
    free(plain);
    free(quoted);
}

/* A payload that is one string means what jansson says. */
static void check_string(struct rkb_slice payload, json_t *tree)
{
    const uint8_t *at = payload.data, *end = payload.data + payload.size;
    if (!json_is_string(tree))
        return;
    at = rkb_json_space(at, end) + 1;
    struct rkb_json_spot spot = rkb_json_string(at, end);
    CLAIM(spot.good);
    struct rkb_slice inside = rkb_slice(at, (size_t)(spot.at - at) - 1);
    CLAIM(rkb_json_means(inside, rkb_slice(json_string_value(tree), json_string_length(tree))));
    CLAIM(rkb_json_unescaped_size(inside) == json_string_length(tree));
}

/* ---- templates ---- */

struct route {
    char *value, *key, *header, *name, *channel;
    struct rkb_rules_spec spec;
};

/* Copies the name of the preset of this number; 0: none. */
static const char *preset_name(size_t number, char out[32])
{
    const char *at = rkb_preset_names;
    for (size_t i = 1; i < number && at != NULL; i++) {
        at = strstr(at, ", ");
        at = at == NULL ? NULL : at + 2;
    }
    if (number == 0 || at == NULL)
        return NULL;
    snprintf(out, 32, "%.*s", (int)strcspn(at, ","), at);
    return out;
}

static void check_headers(struct rkb_slice headers, size_t count)
{
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name, value;
    size_t seen = 0;
    while (rkb_headers_next(&area, &name, &value))
        seen++;
    CLAIM(!area.failed && seen == count);
}

static void check_inverse(enum rkb_form form, struct rkb_slice value, struct rkb_slice headers,
                          struct rkb_slice payload)
{
    struct rkb_buffer back = {0};
    bool inverted = rkb_inverse(form, value, headers, &back);
    CLAIM(inverted == (form != RKB_FORM_UNKNOWN));
    CLAIM(rkb_slice_equal(rkb_slice(back.data, back.size), inverted ? payload : rkb_slice(NULL, 0)));
    rkb_buffer_free(&back);
}

static void check_record(const struct rkb_rules *rules, const struct rkb_facts *facts, bool json_value)
{
    const struct rkb_envelope *envelope = rkb_rules_envelope(rules);
    struct rkb_envelope_sizes sizes;
    rkb_envelope_measure(envelope, facts, &sizes);
    size_t size = sizes.key + sizes.headers + sizes.value;
    uint8_t *record = malloc(size > 0 ? size : 1);
    CLAIM(record != NULL && rkb_envelope_render(envelope, facts, &sizes, record) == record + size);
    CLAIM(sizes.has_key == (sizes.key > 0));
    struct rkb_slice headers = rkb_slice(record + sizes.key, sizes.headers);
    struct rkb_slice value = rkb_slice(record + sizes.key + sizes.headers, sizes.value);
    check_headers(headers, sizes.header_count);
    if (json_value)
        CLAIM(rkb_json_valid(value, NULL));
    check_inverse(rkb_envelope_form(envelope), value, headers, facts->payload);
    free(record);
}

static void check_encoding(const struct route *route, const struct rkb_facts *facts)
{
    struct rkb_slice payload = facts->payload;
    bool json = rkb_json_valid(payload, NULL) && depth_of(payload) <= route->spec.depth;
    bool text = rkb_utf8_valid(payload);
    if (route->spec.payload == RKB_PAYLOAD_AUTO)
        CLAIM(facts->encoding == (json ? RKB_ENCODING_JSON : text ? RKB_ENCODING_TEXT : RKB_ENCODING_BASE64));
}

/* What makes JSON: a value of the route's own, or a preset's template; and not deeper than the scanner goes. */
static bool makes_json(const struct route *route)
{
    const struct rkb_preset *preset =
        route->spec.envelope.preset != NULL ? rkb_preset_find(route->spec.envelope.preset) : NULL;
    if (preset != NULL)
        return preset->value != NULL;
    return depth_of(rkb_slice_text(route->value)) < RKB_JSON_DEPTH - MOST_DEPTH;
}

static void check_templates(const struct route *route, struct rkb_slice payload)
{
    struct rkb_envelope_mistake mistake;
    struct rkb_error error = {0};
    struct rkb_rules *rules = rkb_rules_compile(&route->spec, &mistake, &error);
    if (rules == NULL) {
        CLAIM(error.code != RKB_OK && error.text[0] != '\0' && memchr(error.text, '\n', sizeof error.text) == NULL);
        return;
    }
    struct rkb_slice plain = copy_exactly(rkb_slice_text(route->channel));
    size_t size = rkb_json_escaped_size(plain);
    uint8_t *escaped = malloc(size + 1);
    CLAIM(escaped != NULL);
    rkb_json_escape(escaped, plain);
    struct rkb_name_forms forms = {plain, rkb_slice(escaped, size)}, captures[RKB_CAPTURES];
    for (size_t i = 0; i < RKB_CAPTURES; i++)
        captures[i] = forms;
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_verdict verdict;
    struct rkb_facts facts = {.channel = forms, .captures = captures, .payload = payload,
                              .uuid = "01890a5d-ac96-774b-bcce-b302099a805", .time = "2026-11-22T20:51:07.123",
                              .time_ms = rkb_slice_text("1795380667123"), .position = rkb_slice_text("00ff:1")};
    facts.uuid[sizeof facts.uuid - 1] = '7';
    facts.time[sizeof facts.time - 1] = 'Z';
    if (size % 2 == 1)
        facts.pattern = forms;
    rkb_rules_apply(rules, &facts, found, &verdict);
    check_encoding(route, &facts);
    if (verdict.kind == RKB_PASS)
        check_record(rules, &facts, makes_json(route));
    else
        CLAIM(verdict.kind != RKB_FILTERED && verdict.code != NULL && verdict.reason[0] != '\0');
    free(escaped);
    free((void *)(uintptr_t)plain.data);
    rkb_rules_free(rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {rkb_slice(data, size)};
    char preset[32];
    struct route route = {.spec = {.envelope = {.preset = preset_name(take_number(&input, 10), preset)}}};
    struct rkb_rules_spec *spec = &route.spec;
    spec->payload = (enum rkb_payload_kind)take_number(&input, 4);
    spec->missing = (enum rkb_missing)take_number(&input, 3);
    spec->envelope.when_taken = (enum rkb_when_taken)take_number(&input, 3);
    spec->depth = take_number(&input, MOST_DEPTH);
    route.value = take_text(&input);
    route.key = take_text(&input);
    route.header = take_text(&input);
    route.name = take_text(&input);
    route.channel = take_text(&input);
    char *pointers = take_text(&input);
    struct rkb_slice payload = copy_exactly(input.rest);
    struct rkb_envelope_header header = {"h", route.header};
    struct rkb_name_forms word = {rkb_slice_text("w"), rkb_slice_text("w")};
    spec->envelope.value = spec->envelope.preset == NULL ? route.value : NULL;
    spec->envelope.payload_name = spec->envelope.preset != NULL && route.value[0] != '\0' ? route.value : NULL;
    spec->envelope.key = route.key;
    spec->envelope.name = route.name[0] != '\0' ? route.name : NULL;
    spec->envelope.headers = &header;
    spec->envelope.header_count = 1;
    spec->envelope.scope = (struct rkb_template_scope){.route = word, .source = word, .instance = word,
                                                       .captures = RKB_CAPTURES};
    json_t *tree;
    bool valid = check_json(payload, &tree);
    check_pointers(pointers, payload, spec->depth, valid, tree);
    check_escaping(payload);
    check_string(payload, tree);
    json_decref(tree);
    check_templates(&route, payload);
    free(route.value);
    free(route.key);
    free(route.header);
    free(route.name);
    free(route.channel);
    free(pointers);
    free((void *)(uintptr_t)payload.data);
    return 0;
}
