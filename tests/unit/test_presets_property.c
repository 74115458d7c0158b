/*
 * presets, by property: whatever was published, every preset gives JSON where it promises to, takes the room that was
 * measured, and its inverse gives the payload back byte for byte, and the UUID.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/headers.h"
#include "message/attribute.h"
#include "message/inverse.h"
#include "message/json.h"
#include "message/json_string.h"
#include "message/rules.h"

#define UUID "01a0c450-6c00-7000-8001-7ef5d20f7c56"
#define ROUNDS 2000

/* ---- payloads by chance, always the same ---- */

static uint64_t seed;

static uint32_t chance(uint32_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % limit;
}

static void add_one_of(struct rkb_buffer *out, const char *const *texts, uint32_t count)
{
    rkb_buffer_text(out, texts[chance(count)]);
}

#define ADD_ONE_OF(out, texts) add_one_of(out, texts, sizeof texts / sizeof texts[0])

static void add_space(struct rkb_buffer *out)
{
    static const char *const spaces[] = {"", "", "", "", " ", "\n", "\t", "\r\n  "};
    ADD_ONE_OF(out, spaces);
}

static void add_key(struct rkb_buffer *out)
{
    static const char *const keys[] = {
        "a", "b", "user", "", "id", "channel", "time", "i\\u0064", "\\u0074ime", "payload", "ID", "id ", "name", "data",
        "\\\"id\\\":\\\"", "\\u0000", "\xC3\xA9", "}", ",", "\\ud800"};
    rkb_buffer_text(out, "\"");
    ADD_ONE_OF(out, keys);
    rkb_buffer_text(out, "\"");
}

static void add_value(struct rkb_buffer *out, unsigned depth);

static void add_members(struct rkb_buffer *out, unsigned depth, bool object)
{
    for (uint32_t left = chance(5); left > 0; left--) {
        add_space(out);
        if (object) {
            add_key(out);
            add_space(out);
            rkb_buffer_text(out, ":");
            add_space(out);
        }
        add_value(out, depth - 1);
        add_space(out);
        rkb_buffer_text(out, left > 1 ? "," : "");
    }
}

static void add_value(struct rkb_buffer *out, unsigned depth)
{
    static const char *const scalars[] = {
        "1", "1.0", "-0", "1e400", "12345678901234567890", "0.10E+5", "true", "false", "null", "\"\"", "\"hello\"",
        "\"\\ud800\"", "\"\\u0000\\n\"", "\"\x7F\"", "\"{}[],:\"", "\"\xF0\x9F\x98\x80\"", "\"aGVsbG8=\"", "7"};
    uint32_t kind = depth == 0 ? 2 : chance(4);
    if (kind > 1) {
        ADD_ONE_OF(out, scalars);
        return;
    }
    rkb_buffer_text(out, kind == 0 ? "{" : "[");
    add_members(out, depth, kind == 0);
    add_space(out);
    rkb_buffer_text(out, kind == 0 ? "}" : "]");
}

static void add_object(struct rkb_buffer *out)
{
    rkb_buffer_text(out, "{");
    add_members(out, 2, true);
    add_space(out);
    rkb_buffer_text(out, "}");
}

static void add_text(struct rkb_buffer *out)
{
    static const char *const pieces[] = {
        "hello", " ", "\"", "\\", "\n", "\x01", "\xC3\xA9", "{\"a\":", "}", "\xE2\x80\xA8", "\x7F", "\xF4\x8F\xBF\xBF",
        "\\u0041", "null", "/", "\xEF\xBB\xBF", "{{uuid}}"};
    for (uint32_t left = chance(8); left > 0; left--)
        ADD_ONE_OF(out, pieces);
    if (chance(6) == 0)
        rkb_buffer_add(out, "", 1);
}

static void add_bytes(struct rkb_buffer *out)
{
    for (uint32_t left = chance(20); left > 0; left--) {
        uint8_t byte = (uint8_t)chance(256);
        rkb_buffer_add(out, &byte, 1);
    }
}

/* Something valid, and then a byte of it is another, is gone, or is the last. */
static void add_broken(struct rkb_buffer *out)
{
    add_object(out);
    size_t at = chance((uint32_t)out->size);
    switch (chance(3)) {
    case 0:
        out->data[at] = (uint8_t)chance(256);
        break;
    case 1:
        memmove(out->data + at, out->data + at + 1, out->size - at - 1);
        out->size--;
        break;
    case 2:
        out->size = at;
        break;
    }
}

static void make_payload(struct rkb_buffer *out)
{
    *out = (struct rkb_buffer){0};
    switch (chance(7)) {
    case 0:
    case 1:
    case 2:
        add_space(out);
        add_object(out);
        add_space(out);
        break;
    case 3:
        add_space(out);
        add_value(out, 3);
        add_space(out);
        break;
    case 4:
        add_text(out);
        break;
    case 5:
        add_bytes(out);
        break;
    case 6:
        add_broken(out);
        break;
    }
    assert_false(out->failed);
}

/* ---- a record and back ---- */

struct world {
    const char *preset;
    enum rkb_payload_kind kind;
    enum rkb_when_taken when_taken;
    bool rkb_headers;
    const char *name;
    struct rkb_rules *rules;
    size_t passed, rejected, kept, cut, members, followed;
};

static struct rkb_name_forms forms(const char *text)
{
    return (struct rkb_name_forms){rkb_slice_text(text), rkb_slice_text(text)};
}

static struct rkb_rules *compile(const struct world *world)
{
    struct rkb_rules_spec spec = {
        .envelope = {
            .preset = world->preset, .name = world->name, .payload_name = "u\"s}", .key = "{{channel}}",
            .when_taken = world->when_taken, .rkb_headers = world->rkb_headers,
            .scope = {.route = forms("r"), .source = forms("legacy"), .instance = forms("i")},
        },
        .payload = world->kind, .depth = RKB_JSON_DEPTH,
    };
    struct rkb_envelope_mistake mistake;
    struct rkb_error error = {.text = ""};
    struct rkb_rules *rules = rkb_rules_compile(&spec, &mistake, &error);
    if (rules == NULL)
        fail_msg("%s: %s", world->preset, error.text);
    return rules;
}

static bool header(struct rkb_slice headers, const char *wanted, struct rkb_slice *value)
{
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name;
    while (rkb_headers_next(&area, &name, value))
        if (rkb_slice_equal(name, rkb_slice_text(wanted)))
            return true;
    assert_false(area.failed);
    return false;
}

/* Slices of a copy that ends where they end, so that a byte read behind it is seen. */
static struct rkb_slice exact(struct rkb_slice from, uint8_t **copy)
{
    *copy = malloc(from.size + (from.size == 0));
    assert_non_null(*copy);
    if (from.size > 0)
        memcpy(*copy, from.data, from.size);
    return rkb_slice(*copy, from.size);
}

static void check_inverse(const struct world *world, struct rkb_slice payload, struct rkb_slice value,
                          struct rkb_slice headers)
{
    enum rkb_form form = rkb_envelope_form(rkb_rules_envelope(world->rules));
    struct rkb_buffer back = {0};
    struct rkb_slice id;
    uint8_t *copies[2];
    value = exact(value, &copies[0]);
    headers = exact(headers, &copies[1]);
    rkb_buffer_text(&back, "before");
    if (!rkb_inverse(form, value, headers, &back))
        fail_msg("%s: no inverse of %.*s", world->preset, (int)value.size, (const char *)value.data);
    if (back.size - 6 != payload.size || (payload.size > 0 && memcmp(back.data + 6, payload.data, payload.size) != 0))
        fail_msg("%s: \"%.*s\" comes back as \"%.*s\" from %.*s", world->preset, (int)payload.size,
                 (const char *)payload.data, (int)back.size - 6, (const char *)back.data + 6, (int)value.size,
                 (const char *)value.data);
    assert_true(rkb_inverse_id(form, value, headers, &id));
    assert_true(rkb_slice_equal(id, rkb_slice_text(UUID)));
    rkb_buffer_free(&back);
    free(copies[0]);
    free(copies[1]);
}

/* Of what nobody rendered it may say anything, but reads only what is there and adds nothing where it says no. */
static void check_inverse_of_broken(const struct world *world, struct rkb_slice value, struct rkb_slice headers)
{
    enum rkb_form form = rkb_envelope_form(rkb_rules_envelope(world->rules));
    struct rkb_buffer back = {0};
    struct rkb_slice id;
    uint8_t *bytes;
    size_t size = chance(2) == 0 ? value.size : chance((uint32_t)value.size + 1);
    struct rkb_slice broken = exact(rkb_slice(value.data, size), &bytes);
    if (size > 0)
        bytes[chance((uint32_t)size)] ^= (uint8_t)(1u << chance(8));
    if (!rkb_inverse(form, broken, chance(2) == 0 ? headers : rkb_slice(NULL, 0), &back))
        assert_int_equal(back.size, 0);
    rkb_inverse_id(form, broken, rkb_slice(NULL, 0), &id);
    rkb_buffer_free(&back);
    free(bytes);
}

/* The member of the value at its top, the last of that name. */
static struct rkb_slice member(struct rkb_slice value, const char *pointer)
{
    struct rkb_pointers *pointers = rkb_pointers_new();
    struct rkb_slice found = {0};
    struct rkb_error error;
    size_t place;
    assert_true(rkb_pointers_add(pointers, rkb_slice_text(pointer), &place, &error));
    assert_true(rkb_pointers_find(pointers, value, RKB_JSON_DEPTH, &found));
    rkb_pointers_free(pointers);
    return found;
}

static void check_cloudevent(struct rkb_slice headers)
{
    static const char *const names[] = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time",
                                        "content-type"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct rkb_slice value;
        assert_true(header(headers, names[i], &value));
        assert_true(value.size > 0 && rkb_attribute_allows(value));
    }
}

static void check_structured(struct rkb_slice value)
{
    static const char *const pointers[] = {"/specversion", "/id", "/source", "/type", "/subject", "/time",
                                           "/datacontenttype"};
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        struct rkb_slice found = member(value, pointers[i]);
        uint8_t plain[8192];
        assert_true(found.size > 2 && found.size < sizeof plain && found.data[0] == '"');
        uint8_t *end = rkb_json_unescape(plain, rkb_slice(found.data + 1, found.size - 2));
        assert_true(rkb_attribute_allows(rkb_slice(plain, (size_t)(end - plain))));
    }
    bool binary = member(value, "/data_base64").data != NULL;
    assert_true(binary != (member(value, "/data").data != NULL));
}

static void check_merged(struct world *world, const struct rkb_facts *facts, struct rkb_slice value)
{
    const struct rkb_merge *merge = facts->merge;
    struct rkb_slice id = member(value, "/id");
    bool ours = id.size == RKB_UUID_TEXT + 2 && memcmp(id.data + 1, UUID, RKB_UUID_TEXT) == 0;
    assert_int_equal(ours, (merge->kept & RKB_MERGE_ID) == 0);
    world->kept += merge->kept != 0;
    world->cut += merge->cut_count > 0;
    world->members += !merge->object;
    world->followed += merge->object && merge->followed;
}

static void check_record(struct world *world, const struct rkb_facts *facts)
{
    const struct rkb_envelope *envelope = rkb_rules_envelope(world->rules);
    struct rkb_envelope_sizes sizes;
    rkb_envelope_measure(envelope, facts, &sizes);
    size_t size = sizes.key + sizes.headers + sizes.value;
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    memset(bytes, 0xA5, size + 1);
    if (rkb_envelope_render(envelope, facts, &sizes, bytes) != bytes + size || bytes[size] != 0xA5)
        fail_msg("%s: not the size that was measured", world->preset);
    struct rkb_slice headers = rkb_slice(bytes + sizes.key, sizes.headers);
    struct rkb_slice value = rkb_slice(headers.data + headers.size, sizes.value), found;
    header(headers, "", &found);
    switch (rkb_envelope_form(envelope)) {
    case RKB_FORM_MERGE:
        assert_true(rkb_json_valid(value, NULL));
        check_merged(world, facts, value);
        break;
    case RKB_FORM_EVENT:
    case RKB_FORM_FLAT:
        assert_true(rkb_json_valid(value, NULL));
        break;
    case RKB_FORM_CLOUDEVENTS_JSON:
        assert_true(rkb_json_valid(value, NULL));
        check_structured(value);
        break;
    case RKB_FORM_CLOUDEVENTS:
        check_cloudevent(headers);
        assert_true(rkb_slice_equal(value, facts->payload));
        break;
    case RKB_FORM_RAW:
        assert_true(rkb_slice_equal(value, facts->payload));
        break;
    case RKB_FORM_UNKNOWN:
        fail();
    }
    check_inverse(world, facts->payload, value, headers);
    check_inverse_of_broken(world, value, headers);
    free(bytes);
}

static void check_rejected(struct world *world, const struct rkb_facts *facts, const struct rkb_verdict *verdict)
{
    assert_int_equal(verdict->kind, RKB_REJECTED);
    world->rejected++;
    if (strcmp(verdict->code, "payload") == 0)
        return;
    assert_string_equal(verdict->code, "merge");
    assert_int_not_equal(world->when_taken, RKB_TAKEN_KEEP);
    assert_true(member(facts->payload, "/id").data != NULL || member(facts->payload, "/channel").data != NULL
                || member(facts->payload, "/time").data != NULL);
}

static void run(struct world *world)
{
    uint8_t escaped[200];
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    world->rules = compile(world);
    for (int round = 0; round < ROUNDS; round++) {
        struct rkb_buffer payload, channel = {0};
        struct rkb_verdict verdict;
        uint8_t *copy;
        make_payload(&payload);
        if (chance(3) > 0)
            rkb_buffer_text(&channel, "user_created");
        else
            add_bytes(&channel);
        struct rkb_facts facts = {.time_ms = rkb_slice_text("1790000000123"), .position = rkb_slice_text("p:1")};
        facts.payload = exact(rkb_slice(payload.data, payload.size), &copy);
        facts.channel.plain = rkb_slice(channel.data, channel.size);
        facts.channel.json = rkb_slice(escaped, (size_t)(rkb_json_escape(escaped, facts.channel.plain) - escaped));
        memcpy(facts.uuid, UUID, RKB_UUID_TEXT);
        memcpy(facts.time, "2026-09-21T14:13:20.123Z", 24);
        rkb_rules_apply(world->rules, &facts, found, &verdict);
        if (verdict.kind == RKB_PASS)
            check_record(world, &facts);
        else
            check_rejected(world, &facts, &verdict);
        world->passed += verdict.kind == RKB_PASS;
        free(copy);
        rkb_buffer_free(&payload);
        rkb_buffer_free(&channel);
    }
    rkb_rules_free(world->rules);
}

static void with_each_kind(const char *preset, enum rkb_when_taken when_taken, struct world *sum)
{
    static const char *const names[] = {NULL, "{{payload}}", "a{{payload:/a}}b{{channel}}", "{{payload:/user}}"};
    *sum = (struct world){0};
    for (unsigned i = 0; i < 16; i++) {
        struct world world = {.preset = preset, .kind = (enum rkb_payload_kind)(i % 4), .when_taken = when_taken,
                              .rkb_headers = i % 3 == 0, .name = names[i / 4]};
        seed = i + 1;
        run(&world);
        sum->passed += world.passed;
        sum->rejected += world.rejected;
        sum->kept += world.kept;
        sum->cut += world.cut;
        sum->members += world.members;
        sum->followed += world.followed;
    }
    assert_true(sum->passed > ROUNDS && sum->rejected > ROUNDS / 4);
}

static void every_preset_comes_back(void **state)
{
    static const char *const presets[] = {"event", "flat", "raw", "cloudevents", "cloudevents-json"};
    struct world sum;
    (void)state;
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        with_each_kind(presets[i], RKB_TAKEN_KEEP, &sum);
}

/* And the cases that matter did come up. */
static void merge_comes_back(void **state)
{
    struct world sum;
    (void)state;
    with_each_kind("merge", RKB_TAKEN_KEEP, &sum);
    assert_true(sum.kept > 1000 && sum.cut == 0 && sum.members > 1000 && sum.followed > 1000);
    with_each_kind("merge", RKB_TAKEN_OVERWRITE, &sum);
    assert_true(sum.kept == 0 && sum.cut > 1000 && sum.members > 1000 && sum.followed > 1000);
    with_each_kind("merge", RKB_TAKEN_DEAD_LETTER, &sum);
    assert_true(sum.kept == 0 && sum.cut == 0 && sum.members > 1000 && sum.followed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_preset_comes_back), cmocka_unit_test(merge_comes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
