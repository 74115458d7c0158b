/*
 * http_pages -- see http_pages.h.
 *
 * /healthz asks one question: does the loop turn? It is the loop that answers, so where it hangs there is no answer,
 * and that is the answer: who asks waits 30 s for it and then counts it as dead. Nothing else may end a bridge that
 * lives, since a restart is a gap.
 */
#include "control/http_pages.h"

#include "control/metrics.h"
#include "control/output.h"
#include "control/ready.h"

#define TEXT "text/plain; charset=utf-8"
#define OK 200
#define UNAVAILABLE 503

static int write_metrics(const struct rkb_snapshot *snapshot, struct rkb_buffer *out)
{
    rkb_metrics_write(snapshot, out);
    return OK;
}

static int write_stats(const struct rkb_snapshot *snapshot, struct rkb_buffer *out)
{
    struct rkb_output output;
    rkb_output_begin(&output, RKB_OUTPUT_JSON, out);
    rkb_stats_write(snapshot, &output);
    rkb_output_end(&output);
    return OK;
}

static int write_health(const struct rkb_snapshot *snapshot, struct rkb_buffer *out)
{
    (void)snapshot;
    rkb_buffer_text(out, "the loop turns\n");
    return OK;
}

static int write_ready(const struct rkb_snapshot *snapshot, struct rkb_buffer *out)
{
    if (!snapshot->ready) {
        if (rkb_ready(snapshot, out))
            rkb_buffer_text(out, "not ready: just beginning, or just ending\n");
        return UNAVAILABLE;
    }
    rkb_buffer_text(out, "ready: every subscription is confirmed, the journal takes records, Kafka is there or was not "
                         "long ago\n");
    return OK;
}

static const struct rkb_page pages[] = {
    {"/metrics", RKB_PROMETHEUS_TYPE, true, false, false, write_metrics},
    {"/stats", "application/json", true, true, false, write_stats},
    {"/healthz", TEXT, false, false, true, write_health},
    {"/readyz", TEXT, false, false, false, write_ready},
};

const struct rkb_page *rkb_page_find(struct rkb_slice path)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (rkb_slice_equal(path, rkb_slice_text(pages[i].path)))
            return &pages[i];
    return NULL;
}
