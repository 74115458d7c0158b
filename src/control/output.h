/*
 * output -- one interface for what a command says, two formats behind it: text for people, JSON on one line.
 *
 * A command names what it shows; the format decides how it looks. Text shows a value as `path.name: value` and
 * a table in aligned columns under its name; JSON shows an object in an object and a table as an array of
 * objects. Bytes in names and values may be any; they come out escaped. Memory running out is seen in the
 * buffer's `failed`, once, at the end.
 */
#ifndef RKB_CONTROL_OUTPUT_H
#define RKB_CONTROL_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum rkb_output_kind { RKB_OUTPUT_TEXT, RKB_OUTPUT_JSON };

#define RKB_OUTPUT_COLUMNS 16
#define RKB_OUTPUT_DEPTH 4

struct rkb_output {
    const struct rkb_output_format *format;
    struct rkb_buffer *out;
    struct rkb_buffer path;                         /* text: "journal." */
    size_t path_sizes[RKB_OUTPUT_DEPTH], depth;     /* text: what the path was before each open object */
    struct {                                        /* text: the table being collected */
        bool open;
        struct rkb_buffer cells;                    /* NUL-terminated, row by row */
        const char *names[RKB_OUTPUT_COLUMNS];
        size_t widths[RKB_OUTPUT_COLUMNS];
        bool to_the_right[RKB_OUTPUT_COLUMNS];
        size_t columns, column, rows;
    } table;
};

/* Begins the whole (in JSON: an object) at the end of out, which must outlive it; end closes it with a newline. */
void rkb_output_begin(struct rkb_output *output, enum rkb_output_kind kind, struct rkb_buffer *out);
void rkb_output_end(struct rkb_output *output);
/* For the few places where people and programs are told the same otherwise. */
bool rkb_output_is_text(const struct rkb_output *output);

/* Objects nest at most RKB_OUTPUT_DEPTH deep; none within a table. */
void rkb_output_object(struct rkb_output *output, const char *name);
void rkb_output_object_end(struct rkb_output *output);

/*
 * A table of rows, each with the same values in the same order (at most RKB_OUTPUT_COLUMNS;
 * names are lent until its end).
 */
void rkb_output_table(struct rkb_output *output, const char *name);
void rkb_output_row(struct rkb_output *output);
void rkb_output_row_end(struct rkb_output *output);
void rkb_output_table_end(struct rkb_output *output);

void rkb_output_text(struct rkb_output *output, const char *name, const char *value);   /* NULL: as none */
void rkb_output_number(struct rkb_output *output, const char *name, uint64_t value);
void rkb_output_real(struct rkb_output *output, const char *name, double value);        /* up to 6 decimals */
void rkb_output_truth(struct rkb_output *output, const char *name, bool value);         /* yes or no; true or false */
void rkb_output_none(struct rkb_output *output, const char *name, const char *word);    /* text: the word; JSON: null */
void rkb_output_size(struct rkb_output *output, const char *name, uint64_t bytes);      /* text: 1.5 MiB; JSON: bytes */
void rkb_output_seconds(struct rkb_output *output, const char *name, double seconds);   /* text: 1.5 s; JSON: seconds */
void rkb_output_time(struct rkb_output *output, const char *name, int64_t realtime_us);    /* RFC 3339 */
void rkb_output_texts(struct rkb_output *output, const char *name, const char *const *values); /* NULL-terminated */

#endif
