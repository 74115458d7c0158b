/* prometheus -- see prometheus.h. */
#include "control/prometheus.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/escape.h"

#define DIGITS 20
#define MICROS 1000000
#define FIXED_MOST 1e12             /* below this a real is written with 6 decimals, without printf */

static void add(struct rkb_prometheus *writer, const char *text)
{
    rkb_buffer_add(writer->out, text, strlen(text));
}

/* Text that stands for itself, quickly; anything else by rkb_escape's rules first, so that what is left is UTF-8. */
static bool is_simple(const char *text, size_t *size)
{
    size_t at = 0;
    for (; text[at] != '\0'; at++)
        if ((unsigned char)text[at] < ' ' || (unsigned char)text[at] >= 0x7f || text[at] == '\\' || text[at] == '"')
            return false;
    *size = at;
    return true;
}

static void add_value(struct rkb_prometheus *writer, const char *value)
{
    size_t size;
    struct rkb_buffer plain = {0};
    if (is_simple(value, &size)) {
        rkb_buffer_add(writer->out, value, size);
        return;
    }
    rkb_escape(RKB_ESCAPE_PLAIN, rkb_slice_text(value), &plain);
    for (size_t i = 0; i < plain.size; i++) {
        if (plain.data[i] == '\\' || plain.data[i] == '"')
            rkb_buffer_add(writer->out, "\\", 1);
        rkb_buffer_add(writer->out, plain.data + i, 1);
    }
    writer->out->failed = writer->out->failed || plain.failed;
    rkb_buffer_free(&plain);
}

static void add_label(struct rkb_prometheus *writer, struct rkb_label label)
{
    add(writer, label.name);
    rkb_buffer_add(writer->out, "=\"", 2);
    add_value(writer, label.value);
    rkb_buffer_add(writer->out, "\"", 1);
}

static uint8_t *put(uint8_t *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

/* `name{label="value"} ` where nothing is to be escaped, in one go: what nearly all lines are. */
static bool begin_simple(struct rkb_prometheus *writer, const char *suffix, struct rkb_label label)
{
    size_t value_size;
    if (label.name == NULL || !is_simple(label.value, &value_size))
        return false;
    size_t suffix_size = strlen(suffix), label_size = strlen(label.name);
    size_t size = writer->name_size + suffix_size + label_size + value_size + 6;
    uint8_t *at = rkb_buffer_reserve(writer->out, size);
    if (at == NULL)
        return true;
    at = put(at, writer->name, writer->name_size);
    at = put(at, suffix, suffix_size);
    at = put(at, "{", 1);
    at = put(at, label.name, label_size);
    at = put(at, "=\"", 2);
    at = put(at, label.value, value_size);
    put(at, "\"} ", 3);
    writer->out->size += size;
    return true;
}

/* Everything of a sample that stands before its value. */
static void begin_sample(struct rkb_prometheus *writer, const char *suffix, struct rkb_label label)
{
    if (begin_simple(writer, suffix, label))
        return;
    add(writer, writer->name);
    add(writer, suffix);
    if (label.name != NULL) {
        rkb_buffer_add(writer->out, "{", 1);
        add_label(writer, label);
        rkb_buffer_add(writer->out, "}", 1);
    }
    rkb_buffer_add(writer->out, " ", 1);
}

/* From behind; returns where they begin in out. */
static size_t write_digits(char out[DIGITS + 1], uint64_t value)
{
    size_t at = DIGITS;
    do {
        out[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return at;
}

static void add_number(struct rkb_prometheus *writer, uint64_t value)
{
    char digits[DIGITS + 1];
    size_t at = write_digits(digits, value);
    rkb_buffer_add(writer->out, digits + at, DIGITS - at);
}

/* A number that ends its line. */
static void end_with_number(struct rkb_prometheus *writer, uint64_t value)
{
    char digits[DIGITS + 1];
    size_t at = write_digits(digits, value);
    digits[DIGITS] = '\n';
    rkb_buffer_add(writer->out, digits + at, DIGITS + 1 - at);
}

/* As many decimals as it takes, at most 6. */
static void add_fixed(struct rkb_prometheus *writer, double value)
{
    uint64_t micros = (uint64_t)(fabs(value) * MICROS + 0.5), rest = micros % MICROS;
    char decimals[7];
    size_t count = 6;
    if (value < 0 && micros > 0)
        rkb_buffer_add(writer->out, "-", 1);
    add_number(writer, micros / MICROS);
    if (rest == 0)
        return;
    for (size_t i = 6; i > 0; i--, rest /= 10)
        decimals[i] = (char)('0' + rest % 10);
    while (decimals[count] == '0')
        count--;
    decimals[0] = '.';
    rkb_buffer_add(writer->out, decimals, count + 1);
}

static void add_real(struct rkb_prometheus *writer, double value)
{
    char text[40];
    if (isnan(value))
        add(writer, "NaN");
    else if (isinf(value))
        add(writer, value > 0 ? "+Inf" : "-Inf");
    else if (fabs(value) < FIXED_MOST)
        add_fixed(writer, value);
    else {
        snprintf(text, sizeof text, "%.17g", value);
        add(writer, text);
    }
}

static void add_help(struct rkb_prometheus *writer, const char *help)
{
    for (; *help != '\0'; help++) {
        if (*help == '\\')
            add(writer, "\\\\");
        else if (*help == '\n')
            add(writer, "\\n");
        else
            rkb_buffer_add(writer->out, help, 1);
    }
}

void rkb_prometheus_family(struct rkb_prometheus *writer, const char *name, const char *type, const char *help)
{
    writer->name = name;
    writer->name_size = strlen(name);
    add(writer, "# HELP ");
    add(writer, name);
    add(writer, " ");
    add_help(writer, help);
    add(writer, "\n# TYPE ");
    add(writer, name);
    add(writer, " ");
    add(writer, type);
    add(writer, "\n");
}

void rkb_prometheus_number(struct rkb_prometheus *writer, const char *suffix, struct rkb_label label, uint64_t value)
{
    begin_sample(writer, suffix, label);
    end_with_number(writer, value);
}

void rkb_prometheus_real(struct rkb_prometheus *writer, const char *suffix, struct rkb_label label, double value)
{
    begin_sample(writer, suffix, label);
    add_real(writer, value);
    rkb_buffer_add(writer->out, "\n", 1);
}

void rkb_prometheus_info(struct rkb_prometheus *writer, struct rkb_label first, struct rkb_label second)
{
    add(writer, writer->name);
    add(writer, "{");
    add_label(writer, first);
    add(writer, ",");
    add_label(writer, second);
    add(writer, "} 1\n");
}

static void write_bucket(struct rkb_prometheus *writer, struct rkb_label label, double bound, uint64_t count)
{
    add(writer, writer->name);
    add(writer, "_bucket{");
    if (label.name != NULL) {
        add_label(writer, label);
        add(writer, ",");
    }
    add(writer, "le=\"");
    add_real(writer, bound);
    add(writer, "\"} ");
    add_number(writer, count);
    add(writer, "\n");
}

void rkb_prometheus_histogram(struct rkb_prometheus *writer, struct rkb_label label,
                              const struct rkb_histogram *histogram)
{
    const struct rkb_histogram_kind *kind = histogram->kind;
    uint64_t count = 0;
    for (unsigned i = 0; i <= kind->count; i++) {
        count += histogram->counts[i];
        write_bucket(writer, label, i < kind->count ? (double)kind->bounds[i] * kind->unit : INFINITY, count);
    }
    rkb_prometheus_real(writer, "_sum", label, (double)histogram->sum * kind->unit);
    rkb_prometheus_number(writer, "_count", label, count);
}
