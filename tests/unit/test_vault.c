/* The vault: what it keeps is marked for no core dump; what repeats a secret is found. */
#include "base/vault.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Does the mapping that holds this address carry the flag `dd`? */
static bool left_out_of_dumps(const void *address)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    char line[512];
    uint64_t begin, end, at = (uint64_t)(uintptr_t)address;
    bool here = false, found = false;
    while (fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &begin, &end) == 2)
            here = begin <= at && at < end;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    return found;
}

static void test_kept_out_of_dumps(void **state)
{
    (void)state;
    char *text = rkb_vault_keep("a password");
    assert_string_equal(text, "a password");
    assert_true(left_out_of_dumps(text));
    char *ordinary = strdup("no secret");
    assert_false(left_out_of_dumps(ordinary));
    rkb_wipe_free(ordinary);
    rkb_vault_drop(text);
    rkb_vault_drop(NULL);
    rkb_wipe_free(NULL);
}

static void test_a_long_one(void **state)
{
    (void)state;
    char long_text[20000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    char *text = rkb_vault_keep(long_text);
    assert_string_equal(text, long_text);
    assert_true(left_out_of_dumps(text + sizeof long_text - 2));
    rkb_vault_drop(text);
}

static bool repeats(const char *text, const char *secret)
{
    return rkb_vault_repeats(rkb_slice_text(text), secret);
}

static void test_repeated(void **state)
{
    (void)state;
    assert_true(repeats("-ERR AUTH hush-hush is wrong", "hush-hush"));
    assert_true(repeats("begins with hush-h", "hush-hush"));
    assert_true(repeats("ends with h-hush", "hush-hush"));
    assert_true(repeats("h-hush", "hush-hush"));
    assert_false(repeats("hush-", "hush-hush"));
    assert_false(repeats("hush and hush", "hush-hush"));
    assert_true(repeats("a short one: abc", "abc"));
    assert_false(repeats("a short one: ab", "abc"));
    assert_false(repeats("anything", ""));
    assert_false(repeats("", "abc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_out_of_dumps),
        cmocka_unit_test(test_a_long_one),
        cmocka_unit_test(test_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
