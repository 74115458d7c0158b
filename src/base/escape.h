/*
 * escape -- any bytes as text that a terminal or a JSON parser can take.
 *
 * Valid UTF-8 stays as it is; control characters are escaped (PLAIN: \n, \x1b; JSON: \n, \u001b), and a byte that is
 * not UTF-8 becomes the visible text \xff in both. One line stays one line.
 */
#ifndef RKB_BASE_ESCAPE_H
#define RKB_BASE_ESCAPE_H

#include "base/bytes.h"

#define RKB_ESCAPE_MAX 12   /* no character needs more */

enum rkb_escape_style { RKB_ESCAPE_PLAIN, RKB_ESCAPE_JSON };

/*
 * Puts the first character of rest (not empty), escaped, into out, its length into *size; returns how
 * many bytes it took from rest.
 */
size_t rkb_escape_step(enum rkb_escape_style style, struct rkb_slice rest, char out[RKB_ESCAPE_MAX], size_t *size);

/* All of text, escaped, appended to out. No quotes around it. */
void rkb_escape(enum rkb_escape_style style, struct rkb_slice text, struct rkb_buffer *out);

/* The same, plain, into out, NUL-terminated; what does not fit is cut off, behind a whole character. size: not 0. */
void rkb_escape_line(char *out, size_t size, const char *text);

#endif
