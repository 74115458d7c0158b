/*
 * regex -- a PCRE2 pattern, searched for in a text, in bounded time and memory whatever pattern and text are.
 *
 * Patterns are UTF-8 and match characters; nothing is anchored that does not say so, and `$` is the very end: it does
 * not match before a last newline, as it does elsewhere, for these patterns are guards. A text that is not UTF-8 is
 * matched by no pattern. One match at a time: the loop thread, or a tool.
 */
#ifndef RKB_MESSAGE_REGEX_H
#define RKB_MESSAGE_REGEX_H

#include "base/bytes.h"
#include "base/error.h"

/* How many steps a search may take: so many, and some more for each byte of the text. About 1 ns to 5 ns each. */
#define RKB_REGEX_STEPS 1000000
#define RKB_REGEX_STEPS_PER_BYTE 8
/* What a search may keep of the ways that it has yet to try, in KiB. */
#define RKB_REGEX_HEAP 4096

enum rkb_regex_result {
    RKB_REGEX_MATCH,
    RKB_REGEX_NO_MATCH,
    RKB_REGEX_LIMIT         /* given up: neither is known */
};

struct rkb_regex;

/* NULL and *error (RKB_USAGE, RKB_NO_MEMORY) where it is no pattern; *at is the offset where reading it stopped. */
struct rkb_regex *rkb_regex_compile(struct rkb_slice pattern, size_t *at, struct rkb_error *error);
/*
 * The same, as PCRE2 has it, or nearer to ECMA 262: \u0041 is A; [] matches nothing; a group that took no part matches
 * the empty text.
 */
enum rkb_regex_dialect { RKB_REGEX_PERL, RKB_REGEX_ECMA };
struct rkb_regex *rkb_regex_compile_as(enum rkb_regex_dialect dialect, struct rkb_slice pattern, size_t *at,
                                       struct rkb_error *error);
void rkb_regex_free(struct rkb_regex *regex);

/* Whether the pattern matches anywhere in the text. Allocates only where it must keep more than any search before. */
enum rkb_regex_result rkb_regex_match(const struct rkb_regex *regex, struct rkb_slice text);

/* The same with *steps left, for many searches that together must end in time; takes what it used from *steps. */
enum rkb_regex_result rkb_regex_match_within(const struct rkb_regex *regex, struct rkb_slice text, uint64_t *steps);

#endif
