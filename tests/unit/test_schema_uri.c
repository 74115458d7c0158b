/* schema_uri: the examples of RFC 3986, section 5.4, and escapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "message/schema_uri.h"

static void resolves(const char *base, const char *reference, const char *expected)
{
    struct rkb_buffer out = {0};
    rkb_uri_resolve(rkb_slice_text(base), rkb_slice_text(reference), &out);
    if (!rkb_slice_equal(rkb_slice(out.data, out.size), rkb_slice_text(expected)))
        fail_msg("%s from %s is %.*s, not %s", reference, base, (int)out.size, out.size > 0 ? (char *)out.data : "",
                 expected);
    rkb_buffer_free(&out);
}

/* Those with a fragment are here without it, as a fragment is not part of the answer. */
static void as_the_rfc_has_it(void **state)
{
    (void)state;
    static const char *const examples[][2] = {
        {"g:h", "g:h"}, {"g", "http://a/b/c/g"}, {"./g", "http://a/b/c/g"}, {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"}, {"//g", "http://g"}, {"?y", "http://a/b/c/d;p?y"}, {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"}, {"g#s", "http://a/b/c/g"}, {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"}, {"g;x", "http://a/b/c/g;x"}, {"", "http://a/b/c/d;p?q"}, {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"}, {"..", "http://a/b/"}, {"../", "http://a/b/"}, {"../g", "http://a/b/g"},
        {"../..", "http://a/"}, {"../../", "http://a/"}, {"../../g", "http://a/g"}, {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"}, {"/./g", "http://a/g"}, {"/../g", "http://a/g"}, {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"}, {"g..", "http://a/b/c/g.."}, {"..g", "http://a/b/c/..g"},
        {"./../g", "http://a/b/g"}, {"./g/.", "http://a/b/c/g/"}, {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"}, {"g;x=1/./y", "http://a/b/c/g;x=1/y"}, {"g;x=1/../y", "http://a/b/c/y"},
        {"g?y/./x", "http://a/b/c/g?y/./x"}, {"g#s/../x", "http://a/b/c/g"}, {"http:g", "http:g"}};
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        resolves("http://a/b/c/d;p?q", examples[i][0], examples[i][1]);
}

static void from_other_bases(void **state)
{
    (void)state;
    resolves("", "#/definitions/a", "");
    resolves("", "a.json#x", "a.json");
    resolves("", "./a.json", "a.json");
    resolves("a.json", "b.json", "b.json");
    resolves("http://a", "b", "http://a/b");
    resolves("urn:example:schema", "#x", "urn:example:schema");
}

static void escapes(void **state)
{
    (void)state;
    uint8_t out[32];
    size_t size = rkb_uri_decode(rkb_slice_text("a%25b%2fc%4G%"), out);
    assert_true(rkb_slice_equal(rkb_slice(out, size), rkb_slice_text("a%b/c%4G%")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_the_rfc_has_it), cmocka_unit_test(from_other_bases),
                                       cmocka_unit_test(escapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
