/* A dead letter's headers, written and read; and back from a record to payload and UUID. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "message/inverse.h"
#include "message/letter.h"

#define UUID "018bcfe5-6801-7000-8001-0123456789ab"

static void headers_come_back(void **state)
{
    (void)state;
    uint8_t area[200];
    uint16_t count;
    struct rkb_letter letter = {.of = {[RKB_LETTER_CODE] = rkb_slice_text("expect"),
                                       [RKB_LETTER_CHANNEL] = rkb_slice("a\0b", 3),
                                       [RKB_LETTER_TOPIC] = rkb_slice_text("")}}, back;
    size_t size = rkb_letter_size(&letter, &count);
    assert_int_equal(count, 3);
    memset(area, 0xee, sizeof area);
    assert_ptr_equal(rkb_letter_write(&letter, area), area + size);
    assert_int_equal(area[size], 0xee);
    rkb_letter_read(rkb_slice(area, size), &back);
    for (size_t i = 0; i < RKB_LETTER_HEADERS; i++) {
        assert_int_equal(back.of[i].data != NULL, letter.of[i].data != NULL);
        assert_true(rkb_slice_equal(back.of[i], letter.of[i]));
    }
    /* cut short anywhere: what is whole before it counts, and nothing behind it is looked at */
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *exact = malloc(cut + 1);
        memcpy(exact, area, cut);
        rkb_letter_read(rkb_slice(exact, cut), &back);
        assert_null(back.of[RKB_LETTER_TOPIC].data);
        free(exact);
    }
}

static void the_first_of_a_name_counts(void **state)
{
    (void)state;
    static const char area[] = "\x06\0\1\0\0\0rkb-id1" "\1\0\1\0\0\0xy" "\x06\0\1\0\0\0rkb-id2";
    struct rkb_letter letter;
    rkb_letter_read(rkb_slice(area, sizeof area - 1), &letter);
    assert_true(rkb_slice_equal(letter.of[RKB_LETTER_ID], rkb_slice_text("1")));
    assert_true(rkb_letter_names(rkb_slice_text("rkb-error-code")));
    assert_true(rkb_letter_names(rkb_slice_text("rkb-form")));
    assert_false(rkb_letter_names(rkb_slice_text("rkb-encoding")));
    assert_false(rkb_letter_names(rkb_slice_text("")));
}

static void raw_is_its_own_inverse(void **state)
{
    (void)state;
    struct rkb_buffer payload = {0};
    struct rkb_slice none = {0}, value = rkb_slice("\0\xff{", 3);
    assert_true(rkb_inverse(RKB_FORM_RAW, value, none, &payload));
    assert_true(rkb_slice_equal(rkb_slice(payload.data, payload.size), value));
    assert_false(rkb_inverse(RKB_FORM_UNKNOWN, value, none, &payload));
    assert_int_equal(payload.size, 3);
    rkb_buffer_free(&payload);
    assert_true(rkb_inverse(RKB_FORM_RAW, none, none, &payload));
    assert_int_equal(payload.size, 0);
    rkb_buffer_free(&payload);
}

static void expect_id(enum rkb_form form, const char *value, const char *headers, size_t size, const char *wanted)
{
    struct rkb_slice id;
    bool found = rkb_inverse_id(form, rkb_slice_text(value), rkb_slice(headers, size), &id);
    assert_int_equal(found, wanted != NULL);
    if (found)
        assert_true(rkb_slice_equal(id, rkb_slice_text(wanted)));
}

static void a_uuid_is_found_where_we_wrote_it(void **state)
{
    (void)state;
    static const char both[] = "\5\0\1\0\0\0ce_idc" "\6\0\1\0\0\0rkb-idr", ce[] = "\5\0\1\0\0\0ce_idc";
    static const char event[] = "{\"name\":\"n\",\"data\":{\"id\":\"" UUID "\",\"user\":{\"id\":1}}}";
    static const char flat[] = "{\"name\":\"n\",\"id\":\"" UUID "\",\"user\":1}";
    static const char structured[] = "{\"specversion\":\"1.0\",\"id\":\"" UUID "\",\"source\":\"/redis/a\"}";
    static const char merged[] = " {\"id\":\"" UUID "\",\"channel\":\"c\"}";
    expect_id(RKB_FORM_RAW, "x", both, sizeof both - 1, "r");
    expect_id(RKB_FORM_CLOUDEVENTS, "x", ce, sizeof ce - 1, "c");
    expect_id(RKB_FORM_EVENT, event, NULL, 0, UUID);
    expect_id(RKB_FORM_FLAT, flat, NULL, 0, UUID);
    expect_id(RKB_FORM_CLOUDEVENTS_JSON, structured, NULL, 0, UUID);
    expect_id(RKB_FORM_MERGE, merged, NULL, 0, UUID);
    expect_id(RKB_FORM_MERGE, flat, NULL, 0, NULL);         /* the payload's own: there would be an rkb-id */
    expect_id(RKB_FORM_UNKNOWN, flat, NULL, 0, NULL);
    expect_id(RKB_FORM_EVENT, flat, NULL, 0, NULL);
    expect_id(RKB_FORM_FLAT, "{\"id\":7}", NULL, 0, NULL);
    expect_id(RKB_FORM_FLAT, "no JSON", NULL, 0, NULL);
    expect_id(RKB_FORM_FLAT, "{\"name\":\"n\",\"id\":\"short\",\"user\":1}", NULL, 0, NULL);
}

/* Records that no envelope of ours made: told, and never half a payload. */
static void what_is_not_of_the_form_has_no_inverse(void **state)
{
    static const char text[] = "\x0c\0\4\0\0\0rkb-encodingtext", base64[] = "\x0c\0\6\0\0\0rkb-encodingbase64",
                      other[] = "\x0c\0\4\0\0\0rkb-encodinggzip";
    static const struct {
        const char *rest, *headers;
        size_t size;
        bool good;
    } cases[] = {
        {"1}", NULL, 0, true}, {"1 }", NULL, 0, true}, {"}", NULL, 0, false}, {"x}", NULL, 0, false},
        {"1", NULL, 0, false},
        {"1]", NULL, 0, false}, {"1,\"a\":2}", NULL, 0, false}, {"\"a\"}", text, sizeof text - 1, true},
        {"\"a\"b\"}", text, sizeof text - 1, false}, {"1}", text, sizeof text - 1, false},
        {"\"\\x\"}", text, sizeof text - 1, false}, {"\"}", text, sizeof text - 1, false},
        {"\"YQ==\"}", base64, sizeof base64 - 1, true}, {"\"YR==\"}", base64, sizeof base64 - 1, false},
        {"\"YQ=\"}", base64, sizeof base64 - 1, false}, {"\"a\"}", other, sizeof other - 1, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rkb_buffer value = {0}, payload = {0};
        rkb_buffer_text(&value, "{\"name\":\"n\",\"id\":\"" UUID "\",\"user\":");
        rkb_buffer_text(&value, cases[i].rest);
        if (rkb_inverse(RKB_FORM_FLAT, rkb_slice(value.data, value.size), rkb_slice(cases[i].headers, cases[i].size),
                        &payload) != cases[i].good)
            fail_msg("%s", cases[i].rest);
        assert_int_equal(payload.size > 0, cases[i].good);
        rkb_buffer_free(&value);
        rkb_buffer_free(&payload);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_come_back), cmocka_unit_test(the_first_of_a_name_counts),
        cmocka_unit_test(raw_is_its_own_inverse), cmocka_unit_test(a_uuid_is_found_where_we_wrote_it),
        cmocka_unit_test(what_is_not_of_the_form_has_no_inverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
