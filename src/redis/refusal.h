/*
 * refusal -- what Redis said no to, in its own words, with what to do where that is simple.
 *
 * Never: a secret (Redis repeats the arguments of a command it does not know), a control byte, more than fits one line.
 */
#ifndef RKB_REDIS_REFUSAL_H
#define RKB_REDIS_REFUSAL_H

#include "base/bytes.h"
#include "base/error.h"

/*
 * Fills *error, RKB_REFUSED. command: "AUTH", "SUBSCRIBE a, b"; words: the error reply;
 * secret: "", or what not to show.
 */
void rkb_refusal(struct rkb_error *error, const char *command, struct rkb_slice words, const char *secret);
/* What a NOPERM says is missing. */
enum rkb_lack {
    RKB_LACKS_NOTHING,          /* it is no NOPERM */
    RKB_LACKS_COMMAND,          /* the right to run it at all */
    RKB_LACKS_CHANNEL,          /* the right to one of its channels; Redis does not say which */
    RKB_LACKS_EITHER            /* words that we do not know */
};

/*
 * words: the error reply. In Redis 6.0 "NOPERM this user has no permissions to run the 'psubscribe' command or its
 * subcommand", 6.2 and 7.0 without "or its subcommand", 7.2 "NOPERM User x has no permissions to run ..."; and from 6.2
 * "... to access one of the channels used as arguments", 7.2 "NOPERM No permissions to access a channel".
 */
enum rkb_lack rkb_refusal_lack(struct rkb_slice words);

#define RKB_RULE_SIZE 512

/*
 * The ACL rule that is missing, to be pasted into redis-cli: "ACL SETUSER bridge &user.*". user NULL or "": the default
 * one. A pattern is wanted literally; a channel's own * and ? are escaped. A rule cannot have blanks: in a channel each
 * becomes ?, a pattern with blanks needs &*. A name too long for one line is not repeated.
 */
void rkb_refusal_rule(char out[RKB_RULE_SIZE], const char *user, bool is_pattern, struct rkb_slice name,
                      enum rkb_lack lack);

/* The same for longer rules, part by part: "ACL SETUSER bridge"; " &user.*". A rule may have any number of them. */
void rkb_refusal_begin(struct rkb_buffer *out, const char *user);
void rkb_refusal_add_name(struct rkb_buffer *out, bool is_pattern, struct rkb_slice name);

/* The right to a command: "ACL SETUSER bridge +ping". user and RKB_RULE_SIZE as above. */
void rkb_refusal_command_rule(char out[RKB_RULE_SIZE], const char *user, const char *command);

/* The slice as printable ASCII, the rest as \xNN, cut with "..." where out is too small. size is at least 8. */
void rkb_printable(char *out, size_t size, struct rkb_slice text);

#endif
