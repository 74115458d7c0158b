/*
 * output -- see output.h.
 *
 * A format is three functions: enter, leave and value. Text keeps the cells of a table until the table ends, since only
 * then the widths of its columns are known; everything else goes straight to the buffer.
 */
#include "control/output.h"

#include <math.h>
#include <stdio.h>

#include "base/escape.h"
#include "base/units.h"

enum shape { WHOLE, OBJECT, TABLE, ROW };

struct value {
    enum { TEXT, NUMBER, REAL, TRUTH, NONE, SIZE, SECONDS, TEXTS } type;
    union {
        const char *text;               /* TEXT, NONE */
        uint64_t number;                /* NUMBER, SIZE */
        double real;                    /* REAL, SECONDS */
        bool truth;
        const char *const *texts;
    };
};

struct rkb_output_format {
    void (*enter)(struct rkb_output *output, enum shape shape, const char *name);
    void (*leave)(struct rkb_output *output, enum shape shape);
    void (*value)(struct rkb_output *output, const char *name, const struct value *value);
};

static void add_real(struct rkb_buffer *out, double value)
{
    char text[340];
    int size = snprintf(text, sizeof text, "%.6f", value);
    while (size > 2 && text[size - 1] == '0' && text[size - 2] != '.')
        size--;
    rkb_buffer_add(out, text, (size_t)size);
}

/* JSON */

static void json_string(struct rkb_buffer *out, const char *text)
{
    rkb_buffer_text(out, "\"");
    rkb_escape(RKB_ESCAPE_JSON, rkb_slice_text(text), out);
    rkb_buffer_text(out, "\"");
}

/* What stands before a value: a comma unless it is the first, and its name unless it has none. */
static void json_before(struct rkb_buffer *out, const char *name)
{
    uint8_t last = out->size > 0 ? out->data[out->size - 1] : '\n';
    if (last != '{' && last != '[' && last != '\n')
        rkb_buffer_text(out, ",");
    if (name != NULL) {
        json_string(out, name);
        rkb_buffer_text(out, ":");
    }
}

static void json_enter(struct rkb_output *output, enum shape shape, const char *name)
{
    json_before(output->out, name);
    rkb_buffer_text(output->out, shape == TABLE ? "[" : "{");
}

static void json_leave(struct rkb_output *output, enum shape shape)
{
    rkb_buffer_text(output->out, shape == WHOLE ? "}\n" : shape == TABLE ? "]" : "}");
}

static void json_texts(struct rkb_buffer *out, const char *const *texts)
{
    rkb_buffer_text(out, "[");
    for (; *texts != NULL; texts++) {
        json_before(out, NULL);
        json_string(out, *texts);
    }
    rkb_buffer_text(out, "]");
}

static void json_value(struct rkb_output *output, const char *name, const struct value *value)
{
    struct rkb_buffer *out = output->out;
    json_before(out, name);
    switch (value->type) {
    case TEXT: json_string(out, value->text); break;
    case NUMBER: case SIZE: rkb_buffer_format(out, "%llu", (unsigned long long)value->number); break;
    case REAL: case SECONDS:
        if (isfinite(value->real))
            add_real(out, value->real);
        else
            rkb_buffer_text(out, "null");
        break;
    case TRUTH: rkb_buffer_text(out, value->truth ? "true" : "false"); break;
    case NONE: rkb_buffer_text(out, "null"); break;
    case TEXTS: json_texts(out, value->texts); break;
    }
}

static const struct rkb_output_format json = {json_enter, json_leave, json_value};

/* Text */

static void text_enter(struct rkb_output *output, enum shape shape, const char *name)
{
    switch (shape) {
    case WHOLE:
        break;
    case OBJECT:
        output->path_sizes[output->depth++] = output->path.size;
        rkb_escape(RKB_ESCAPE_PLAIN, rkb_slice_text(name), &output->path);
        rkb_buffer_text(&output->path, ".");
        break;
    case TABLE:
        rkb_buffer_add(output->out, output->path.data, output->path.size);
        rkb_buffer_text(output->out, name);
        output->table.open = true;
        output->table.columns = output->table.rows = output->table.cells.size = 0;
        break;
    case ROW:
        output->table.column = 0;
        break;
    }
}

/* How many places text takes on the screen. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((uint8_t)*text & 0xc0) != 0x80;
    return width;
}

/* One cell of the table, two blanks before it; the last of a row gets no blanks behind it. */
static void text_cell(struct rkb_output *output, size_t column, const char *text)
{
    size_t width = width_of(text), widest = output->table.widths[column];
    int blanks = width < widest ? (int)(widest - width) : 0;
    bool to_the_right = output->table.to_the_right[column], last = column + 1 == output->table.columns;
    rkb_buffer_format(output->out, "  %*s%s%*s%s", to_the_right ? blanks : 0, "", text,
                      to_the_right || last ? 0 : blanks, "", last ? "\n" : "");
}

static void text_table(struct rkb_output *output)
{
    if (output->table.rows == 0 || output->table.cells.failed) {
        rkb_buffer_text(output->out, ": none\n");
        return;
    }
    rkb_buffer_text(output->out, ":\n");
    for (size_t column = 0; column < output->table.columns; column++)
        text_cell(output, column, output->table.names[column]);
    const char *cell = (const char *)output->table.cells.data;
    for (size_t i = 0; i < output->table.rows * output->table.columns; i++) {
        text_cell(output, i % output->table.columns, cell);
        cell += strlen(cell) + 1;
    }
}

static void text_leave(struct rkb_output *output, enum shape shape)
{
    switch (shape) {
    case WHOLE:
        break;
    case OBJECT:
        output->path.size = output->path_sizes[--output->depth];
        break;
    case TABLE:
        text_table(output);
        output->table.open = false;
        break;
    case ROW:
        output->table.rows++;
        break;
    }
}

static void add_texts(struct rkb_buffer *out, const char *const *texts)
{
    for (const char *const *text = texts; *text != NULL; text++) {
        if (text != texts)
            rkb_buffer_text(out, ", ");
        rkb_escape(RKB_ESCAPE_PLAIN, rkb_slice_text(*text), out);
    }
}

/* The value as people read it; "-" when that would be nothing. */
static void add_plain(struct rkb_buffer *out, const struct value *value)
{
    char text[64] = "";
    size_t before = out->size;
    switch (value->type) {
    case TEXT: case NONE: rkb_escape(RKB_ESCAPE_PLAIN, rkb_slice_text(value->text), out); break;
    case NUMBER: snprintf(text, sizeof text, "%llu", (unsigned long long)value->number); break;
    case REAL: add_real(out, value->real); break;
    case TRUTH: snprintf(text, sizeof text, "%s", value->truth ? "yes" : "no"); break;
    case SIZE: rkb_format_size(text, sizeof text, value->number); break;
    case SECONDS:
        if (fabs(value->real) < 1e12)
            rkb_format_duration(text, sizeof text, (int64_t)(value->real * 1e6));
        break;
    case TEXTS: add_texts(out, value->texts); break;
    }
    rkb_buffer_text(out, text);
    if (out->size == before)
        rkb_buffer_text(out, "-");
}

static void text_in_table(struct rkb_output *output, const char *name, const struct value *value)
{
    struct rkb_buffer *cells = &output->table.cells;
    size_t column = output->table.column++, before = cells->size;
    if (output->table.rows == 0) {
        output->table.columns = column + 1;
        output->table.names[column] = name;
        output->table.widths[column] = width_of(name);
        output->table.to_the_right[column] = true;
    }
    if (value->type == TEXT || value->type == TRUTH || value->type == TEXTS)
        output->table.to_the_right[column] = false;
    add_plain(cells, value);
    rkb_buffer_add(cells, "", 1);
    size_t width = cells->failed ? 0 : width_of((const char *)cells->data + before);
    if (width > output->table.widths[column])
        output->table.widths[column] = width;
}

static void text_value(struct rkb_output *output, const char *name, const struct value *value)
{
    if (output->table.open) {
        text_in_table(output, name, value);
        return;
    }
    rkb_buffer_add(output->out, output->path.data, output->path.size);
    rkb_escape(RKB_ESCAPE_PLAIN, rkb_slice_text(name), output->out);
    rkb_buffer_text(output->out, ": ");
    add_plain(output->out, value);
    rkb_buffer_text(output->out, "\n");
}

static const struct rkb_output_format text = {text_enter, text_leave, text_value};

/* What commands call */

void rkb_output_begin(struct rkb_output *output, enum rkb_output_kind kind, struct rkb_buffer *out)
{
    *output = (struct rkb_output){.format = kind == RKB_OUTPUT_JSON ? &json : &text, .out = out};
    output->format->enter(output, WHOLE, NULL);
}

void rkb_output_end(struct rkb_output *output)
{
    output->format->leave(output, WHOLE);
    if (output->path.failed || output->table.cells.failed)
        output->out->failed = true;
    rkb_buffer_free(&output->path);
    rkb_buffer_free(&output->table.cells);
}

bool rkb_output_is_text(const struct rkb_output *output)
{
    return output->format == &text;
}

void rkb_output_object(struct rkb_output *output, const char *name)
{
    output->format->enter(output, OBJECT, name);
}

void rkb_output_object_end(struct rkb_output *output)
{
    output->format->leave(output, OBJECT);
}

void rkb_output_table(struct rkb_output *output, const char *name)
{
    output->format->enter(output, TABLE, name);
}

void rkb_output_row(struct rkb_output *output)
{
    output->format->enter(output, ROW, NULL);
}

void rkb_output_row_end(struct rkb_output *output)
{
    output->format->leave(output, ROW);
}

void rkb_output_table_end(struct rkb_output *output)
{
    output->format->leave(output, TABLE);
}

void rkb_output_text(struct rkb_output *output, const char *name, const char *value)
{
    if (value == NULL)
        rkb_output_none(output, name, "-");
    else
        output->format->value(output, name, &(struct value){.type = TEXT, .text = value});
}

void rkb_output_number(struct rkb_output *output, const char *name, uint64_t value)
{
    output->format->value(output, name, &(struct value){.type = NUMBER, .number = value});
}

void rkb_output_real(struct rkb_output *output, const char *name, double value)
{
    output->format->value(output, name, &(struct value){.type = REAL, .real = value});
}

void rkb_output_truth(struct rkb_output *output, const char *name, bool value)
{
    output->format->value(output, name, &(struct value){.type = TRUTH, .truth = value});
}

void rkb_output_none(struct rkb_output *output, const char *name, const char *word)
{
    output->format->value(output, name, &(struct value){.type = NONE, .text = word});
}

void rkb_output_size(struct rkb_output *output, const char *name, uint64_t bytes)
{
    output->format->value(output, name, &(struct value){.type = SIZE, .number = bytes});
}

void rkb_output_seconds(struct rkb_output *output, const char *name, double seconds)
{
    output->format->value(output, name, &(struct value){.type = SECONDS, .real = seconds});
}

void rkb_output_time(struct rkb_output *output, const char *name, int64_t realtime_us)
{
    char text_of[25] = "";
    rkb_format_time(text_of, realtime_us);
    rkb_output_text(output, name, text_of);
}

void rkb_output_texts(struct rkb_output *output, const char *name, const char *const *values)
{
    output->format->value(output, name, &(struct value){.type = TEXTS, .texts = values});
}
