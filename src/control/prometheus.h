/*
 * prometheus -- writes figures in Prometheus's text format 0.0.4.
 * (https://prometheus.io/docs/instrumenting/exposition_formats/)
 *
 * A family is begun once, with its help and type, and all its samples follow it. Help and label values may be any
 * bytes: they come out escaped, what is not UTF-8 as the visible text \xff. Memory running out is seen in the buffer's
 * `failed`, once, at the end. Thousands of lines are usual, so nothing here goes through printf.
 */
#ifndef RKB_CONTROL_PROMETHEUS_H
#define RKB_CONTROL_PROMETHEUS_H

#include "base/bytes.h"
#include "base/histogram.h"

#define RKB_PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct rkb_prometheus {
    struct rkb_buffer *out;
    const char *name;               /* of the family that is open */
    size_t name_size;
};

/* name and label names: constants of ours, made of a-z, 0-9 and _. type: "counter", "gauge", "histogram", "summary". */
void rkb_prometheus_family(struct rkb_prometheus *writer, const char *name, const char *type, const char *help);

struct rkb_label {
    const char *name, *value;       /* name NULL: no label */
};

/* One sample with one label at the most; suffix: "" or "_sum" and the like. */
void rkb_prometheus_number(struct rkb_prometheus *writer, const char *suffix, struct rkb_label label, uint64_t value);
/* The same; to 6 decimals, and +Inf, -Inf, NaN. */
void rkb_prometheus_real(struct rkb_prometheus *writer, const char *suffix, struct rkb_label label, double value);
/* With two labels and the value 1: for what only names something. */
void rkb_prometheus_info(struct rkb_prometheus *writer, struct rkb_label first, struct rkb_label second);
/* All of a histogram: _bucket for each bound, +Inf, _sum, _count; each with the label, where there is one. */
void rkb_prometheus_histogram(struct rkb_prometheus *writer, struct rkb_label label,
                              const struct rkb_histogram *histogram);

#endif
