/*
 * metrics -- the table of metrics: one row each, from which /metrics, `stats prom` and doc/metrics.md are made.
 *
 * Names begin with rkbridge_ (or process_, as Prometheus's own libraries have them), units are base units, counters end
 * in _total. A sum over any label means something: what is shown twice, in total and by parts, has two names. A figure
 * that is not known has no sample. Loop thread.
 */
#ifndef RKB_CONTROL_METRICS_H
#define RKB_CONTROL_METRICS_H

#include "control/prometheus.h"
#include "control/stats.h"

enum rkb_metric_type { RKB_METRIC_COUNTER, RKB_METRIC_GAUGE, RKB_METRIC_HISTOGRAM, RKB_METRIC_SUMMARY };
/* What has one figure each. */
enum rkb_metric_per { RKB_PER_ALL, RKB_PER_ROUTE, RKB_PER_SOURCE, RKB_PER_BROKER };
/* How the figure is kept in the snapshot. KNOWN: below 0 it is unknown. */
enum rkb_metric_form {
    RKB_FORM_U64, RKB_FORM_U32, RKB_FORM_TRUTH, RKB_FORM_KNOWN_TRUTH, RKB_FORM_KNOWN, RKB_FORM_REAL,
    RKB_FORM_KNOWN_REAL, RKB_FORM_HISTOGRAM
};

struct rkb_metric {
    const char *name;
    enum rkb_metric_type type;
    enum rkb_metric_per per;
    enum rkb_metric_form form;
    size_t offset;              /* in the snapshot, or in what there is for each route, source, broker */
    /* Where that does not do: writes the samples; NULL otherwise. */
    void (*write)(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
    const char *labels;         /* names, for people; "" for none */
    const char *help;           /* one sentence */
};

extern const struct rkb_metric rkb_metrics[];
extern const size_t rkb_metric_count;

/* The label value of all routes that have no metrics of their own, together: no route can be called so. */
#define RKB_OTHER_ROUTES "(other)"

/*
 * Appends all metrics. Routes that are among the others are summed, of ages the oldest; each of the rest has samples of
 * its own.
 */
void rkb_metrics_write(const struct rkb_snapshot *snapshot, struct rkb_buffer *out);
/* Appends the table of doc/metrics.md. */
void rkb_metrics_table(struct rkb_buffer *out);

#endif
