/*
 * presets: example records of each, against golden/envelope_<preset>.txt byte for byte; doc/envelopes.md shows the
 * same.
 *
 * A golden file is one block for each example, and a blank line between them:
 *
 *     channel  where it was published         these two: the message
 *     payload  what was published
 *     key      ...                            from here: the record; a header a line
 *     header   name: value
 *     value    ...
 *
 * What is no UTF-8 stands there in base64, and says so.
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
#include "config_files.h"
#include "message/base64.h"
#include "message/json_string.h"
#include "message/rules.h"
#include "message/utf8.h"

struct message {
    const char *channel, *payload_name;
    struct rkb_slice payload;
};

#define PAYLOAD(text) {(const uint8_t *)(text), sizeof(text) - 1}

static const struct message user = {"user_created", "user", PAYLOAD("{\"id\": 42, \"email\": \"ada@example.com\"}")};
static const struct message inventory = {
    "product_inventory_updates", "update", PAYLOAD("{\"product_code\": \"ABC-123\", \"inventory_count\": 7.0}")};
static const struct message text = {"notes", "note", PAYLOAD("back at \"noon\"")};
static const struct message binary = {"thumbnails", "image", PAYLOAD("\x89PNG\r\n\x1A\n")};

static struct rkb_name_forms forms(const char *name)
{
    return (struct rkb_name_forms){rkb_slice_text(name), rkb_slice_text(name)};
}

static void add_line(struct rkb_buffer *out, const char *label, struct rkb_slice bytes)
{
    rkb_buffer_format(out, "%-9s", label);
    if (rkb_utf8_valid(bytes)) {
        rkb_buffer_add(out, bytes.data, bytes.size);
        rkb_buffer_text(out, "\n");
        return;
    }
    uint8_t *room = rkb_buffer_reserve(out, rkb_base64_size(bytes.size));
    assert_non_null(room);
    rkb_base64_encode(room, bytes);
    out->size += rkb_base64_size(bytes.size);
    rkb_buffer_text(out, " (no UTF-8: base64)\n");
}

static void add_headers(struct rkb_buffer *out, struct rkb_slice headers)
{
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name, value;
    while (rkb_headers_next(&area, &name, &value)) {
        struct rkb_buffer line = {0};
        rkb_buffer_add(&line, name.data, name.size);
        rkb_buffer_text(&line, ": ");
        rkb_buffer_add(&line, value.data, value.size);
        add_line(out, "header", rkb_slice(line.data, line.size));
        rkb_buffer_free(&line);
    }
    assert_false(area.failed);
}

static void add_record(struct rkb_buffer *out, const struct rkb_envelope *envelope, const struct rkb_facts *facts)
{
    struct rkb_envelope_sizes sizes;
    rkb_envelope_measure(envelope, facts, &sizes);
    uint8_t *bytes = malloc(sizes.key + sizes.headers + sizes.value);
    assert_non_null(bytes);
    rkb_envelope_render(envelope, facts, &sizes, bytes);
    add_line(out, "key", rkb_slice(bytes, sizes.key));
    add_headers(out, rkb_slice(bytes + sizes.key, sizes.headers));
    add_line(out, "value", rkb_slice(bytes + sizes.key + sizes.headers, sizes.value));
    free(bytes);
}

static void add_example(struct rkb_buffer *out, const char *preset, enum rkb_when_taken when_taken,
                        const struct message *message)
{
    bool names_it = strcmp(preset, "event") == 0 || strcmp(preset, "flat") == 0 || strcmp(preset, "merge") == 0;
    struct rkb_rules_spec spec = {
        .envelope = {.preset = preset, .payload_name = names_it ? message->payload_name : NULL, .key = "{{channel}}",
                     .when_taken = when_taken,
                     .scope = {.route = forms("users"), .source = forms("legacy"), .instance = forms("bridge-1")}},
        .depth = 512};
    struct rkb_facts facts = {.channel = forms(message->channel), .payload = message->payload,
                              .time_ms = rkb_slice_text("1769083067123"),
                              .position = rkb_slice_text("00112233445566778899aabbccddeeff:42")};
    struct rkb_envelope_mistake mistake;
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_verdict verdict;
    struct rkb_error error = {.text = ""};
    struct rkb_rules *rules = rkb_rules_compile(&spec, &mistake, &error);
    if (rules == NULL)
        fail_msg("%s", error.text);
    memcpy(facts.uuid, "019be5b4-87b3-7000-8001-5f0c9d3e7a11", RKB_UUID_TEXT);
    memcpy(facts.time, "2026-01-22T11:57:47.123Z", sizeof facts.time);
    rkb_rules_apply(rules, &facts, found, &verdict);
    assert_int_equal(verdict.kind, RKB_PASS);
    rkb_buffer_text(out, out->size > 0 ? "\n" : "");
    add_line(out, "channel", rkb_slice_text(message->channel));
    add_line(out, "payload", message->payload);
    add_record(out, rkb_rules_envelope(rules), &facts);
    rkb_rules_free(rules);
}

static void compare(const char *preset, const struct rkb_buffer *made)
{
    char name[80];
    snprintf(name, sizeof name, "tests/unit/golden/envelope_%s.txt", preset);
    char *golden = source_file(name), *page = source_file("doc/envelopes.md");
    assert_false(made->failed);
    if (strcmp(golden, (const char *)made->data) != 0) {
        fprintf(stderr, "--- %s should be\n%s---\n", name, (const char *)made->data);     /* too long for fail_msg */
        fail_msg("%s is not what is made", name);
    }
    if (strstr(page, golden) == NULL)
        fail_msg("doc/envelopes.md does not show %s as it is", name);
    free(golden);
    free(page);
}

static void examples(const char *preset)
{
    static const struct message *const messages[] = {&user, &inventory, &text, &binary};
    struct rkb_buffer made = {0};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        add_example(&made, preset, RKB_TAKEN_KEEP, messages[i]);
    if (strcmp(preset, "merge") == 0)
        add_example(&made, preset, RKB_TAKEN_OVERWRITE, &user);
    rkb_buffer_add(&made, "", 1);
    compare(preset, &made);
    rkb_buffer_free(&made);
}

static void event(void **state)
{
    (void)state;
    examples("event");
}

static void flat(void **state)
{
    (void)state;
    examples("flat");
}

static void merge(void **state)
{
    (void)state;
    examples("merge");
}

static void raw(void **state)
{
    (void)state;
    examples("raw");
}

static void cloudevents(void **state)
{
    (void)state;
    examples("cloudevents");
}

static void cloudevents_json(void **state)
{
    (void)state;
    examples("cloudevents-json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event), cmocka_unit_test(flat), cmocka_unit_test(merge),
        cmocka_unit_test(raw), cmocka_unit_test(cloudevents), cmocka_unit_test(cloudevents_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
