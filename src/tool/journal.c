/*
 * journal -- `rkbctl journal list|verify|dump DIR`: a journal offline, while a bridge runs on it or not.
 *
 * Never: locks, changes or repairs. verify's exit code is 0 for a sound journal (an unfinished write at its end
 * included) and 73 for a damaged one.
 */
#include "journal/inspect.h"
#include "tool/dump.h"
#include "tool/tool.h"

#include "base/units.h"

#include <inttypes.h>
#include <string.h>

#define EXIT_DAMAGED 73

static const char *state_name(enum rkb_segment_state state)
{
    switch (state) {
    case RKB_SEGMENT_SEALED: return "sealed";
    case RKB_SEGMENT_FILLING: return "filling";
    case RKB_SEGMENT_TORN: return "torn";
    case RKB_SEGMENT_DAMAGED: return "damaged";
    case RKB_SEGMENT_NEWER: return "newer";
    case RKB_SEGMENT_GONE: return "gone";
    }
    return "";
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static int failed(FILE *err, const struct rkb_error *error)
{
    fprintf(err, "rkbctl: %s\n", error->text);
    return error->code == RKB_DAMAGED || error->code == RKB_VERSION ? EXIT_DAMAGED : RKB_EXIT_USAGE;
}

static void print_id(const struct rkb_inspection *inspection, FILE *out)
{
    char id[33] = "";
    const uint8_t *bytes = rkb_inspect_id(inspection);
    if (bytes != NULL)
        rkb_hex(id, bytes, 16);
    fprintf(out, "journal     %s\n", bytes != NULL ? id : "unknown: the lock file does not hold the id");
}

static void print_checkpoint(const struct rkb_inspection *inspection, FILE *out)
{
    const struct rkb_inspected_checkpoint *checkpoint = rkb_inspect_checkpoint(inspection);
    if (!checkpoint->reads) {
        fprintf(out, "checkpoint  does not read: %s\n", checkpoint->reason);
        return;
    }
    fprintf(out, "checkpoint  all below %" PRIu64 " is settled", checkpoint->low);
    if (checkpoint->range_count > 0)
        fprintf(out, ", and %" PRIu64 " above it, up to %" PRIu64, checkpoint->settled_above, checkpoint->high);
    if (checkpoint->topic_count > 0)
        fprintf(out, "; of %" PRIu32 " topics all up to a number of its own, at most %" PRIu64,
                checkpoint->topic_count, checkpoint->topic_high);
    fputc('\n', out);
}

static void print_segment(const struct rkb_inspected_segment *segment, FILE *out)
{
    char size[32];
    rkb_format_size(size, sizeof size, segment->size);
    fprintf(out, "%-24s  %20" PRIu64 "  %10s  %9" PRIu64 "  %6" PRIu64 "  %5" PRIu64 "  %5" PRIu64 "  %s",
            file_name(segment->path), segment->last, size, segment->records[RKB_MESSAGE], segment->records[RKB_MARK],
            segment->records[RKB_GAP], segment->records[RKB_DICTIONARY], state_name(segment->state));
    if (segment->reason[0] != '\0')
        fprintf(out, " at %" PRIu64 ": %s", segment->offset, segment->reason);
    fputc('\n', out);
}

/* The id that the segments state, where the lock file has lost it. */
static void print_lost_id(const struct rkb_inspection *inspection, const struct rkb_inspected_segment *segment,
                          FILE *out)
{
    char id[33] = "";
    if (rkb_inspect_id(inspection) != NULL || !segment->head_reads)
        return;
    rkb_hex(id, segment->head.journal_id, 16);
    fprintf(out, "                          belongs to journal %s\n", id);
}

static void print_dead(const struct rkb_inspected_dead *dead, FILE *out)
{
    char size[32];
    rkb_format_size(size, sizeof size, dead->size);
    fprintf(out, "\ndead letters  %" PRIu64 " in %s, %s", dead->count, size, state_name(dead->state));
    if (dead->reason[0] != '\0')
        fprintf(out, " at %" PRIu64 ": %s", dead->offset, dead->reason);
    fputc('\n', out);
}

static int list(struct rkb_inspection *inspection, FILE *out, FILE *err)
{
    struct rkb_inspected_segment segment;
    struct rkb_inspected_dead dead;
    struct rkb_error error;
    print_id(inspection, out);
    print_checkpoint(inspection, out);
    fprintf(out, "\n%-24s  %20s  %10s  %9s  %6s  %5s  %5s  %s\n", "segment", "last record", "size", "messages", "marks",
            "gaps", "names", "state");
    for (size_t i = 0; i < rkb_inspect_segments(inspection); i++) {
        if (!rkb_inspect_segment(inspection, i, &segment, NULL, NULL, &error))
            return failed(err, &error);
        print_segment(&segment, out);
        print_lost_id(inspection, &segment, out);
        if (segment.missing_first != 0)
            fprintf(out, "                          records %" PRIu64 " to %" PRIu64 " are missing\n",
                    segment.missing_first, segment.missing_last);
    }
    if (!rkb_inspect_dead(inspection, &dead, NULL, NULL, &error))
        return failed(err, &error);
    if (dead.there)
        print_dead(&dead, out);
    return 0;
}

/* Says what is wrong with one segment; true when that is damage. */
static bool tell(const struct rkb_inspected_segment *segment, FILE *out)
{
    bool damage = segment->state == RKB_SEGMENT_DAMAGED || segment->state == RKB_SEGMENT_NEWER ||
                  segment->missing_first != 0;
    if (segment->reason[0] != '\0')
        fprintf(out, "%s at %" PRIu64 ": %s%s\n", segment->path, segment->offset, segment->reason,
                segment->state == RKB_SEGMENT_TORN ? " (an unfinished write, cut off at the next start)" : "");
    if (segment->missing_first != 0)
        fprintf(out, "records %" PRIu64 " to %" PRIu64 " are missing behind %s\n", segment->missing_first,
                segment->missing_last, segment->path);
    return damage;
}

static bool tell_dead(const struct rkb_inspected_dead *dead, FILE *out)
{
    if (dead->reason[0] != '\0')
        fprintf(out, "%s at %" PRIu64 ": %s%s\n", dead->path, dead->offset, dead->reason,
                dead->state == RKB_SEGMENT_TORN ? " (an unfinished write, cut off at the next start)" : "");
    return dead->state == RKB_SEGMENT_DAMAGED || dead->state == RKB_SEGMENT_NEWER;
}

static int verify(struct rkb_inspection *inspection, FILE *out, FILE *err)
{
    struct rkb_inspected_segment segment;
    struct rkb_inspected_dead dead;
    struct rkb_error error;
    uint64_t records = 0, first, last;
    const struct rkb_inspected_checkpoint *checkpoint = rkb_inspect_checkpoint(inspection);
    bool damage = !checkpoint->reads || rkb_inspect_id(inspection) == NULL;
    if (rkb_inspect_id(inspection) == NULL)
        print_id(inspection, out);
    if (!checkpoint->reads)
        print_checkpoint(inspection, out);
    if (rkb_inspect_missing_before(inspection, &first, &last)) {
        fprintf(out, "records %" PRIu64 " to %" PRIu64 " are missing before the oldest segment\n", first, last);
        damage = true;
    }
    for (size_t i = 0; i < rkb_inspect_segments(inspection); i++) {
        if (!rkb_inspect_segment(inspection, i, &segment, NULL, NULL, &error))
            return failed(err, &error);
        damage = tell(&segment, out) || damage;
        records += segment.records[RKB_MESSAGE] + segment.records[RKB_MARK] + segment.records[RKB_GAP];
    }
    if (!rkb_inspect_dead(inspection, &dead, NULL, NULL, &error))
        return failed(err, &error);
    damage = tell_dead(&dead, out) || damage;
    fprintf(out, "%s: %zu segments, %" PRIu64 " records", damage ? "DAMAGED" : "sound",
            rkb_inspect_segments(inspection), records);
    if (dead.there)
        fprintf(out, ", %" PRIu64 " dead letters", dead.count);
    fputc('\n', out);
    return damage ? EXIT_DAMAGED : 0;
}

static int dump(struct rkb_inspection *inspection, bool values, FILE *out, FILE *err)
{
    struct rkb_inspected_segment segment;
    struct rkb_inspected_dead dead;
    struct rkb_error error;
    struct rkb_dump dump = {.out = out, .inspection = inspection, .values = values};
    bool damage = false;
    for (size_t i = 0; i < rkb_inspect_segments(inspection); i++) {
        if (!rkb_inspect_segment(inspection, i, &segment, rkb_dump_record, &dump, &error))
            return failed(err, &error);
        damage = tell(&segment, err) || damage;
    }
    if (!rkb_inspect_dead(inspection, &dead, rkb_dump_dead, &dump, &error))
        return failed(err, &error);
    damage = tell_dead(&dead, err) || damage;
    return damage ? EXIT_DAMAGED : 0;
}

static int wrong_use(FILE *err)
{
    fputs("usage: rkbctl journal list DIR\n"
          "       rkbctl journal verify DIR\n"
          "       rkbctl journal dump [--no-values] DIR\n", err);
    return RKB_EXIT_USAGE;
}

int rkb_tool_journal(int argc, char **argv, FILE *out, FILE *err)
{
    struct rkb_error error;
    bool values = true;
    const char *command = argc > 1 ? argv[1] : "", *directory = NULL;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--no-values") == 0 && strcmp(command, "dump") == 0)
            values = false;
        else if (argv[i][0] == '-' || directory != NULL)
            return wrong_use(err);
        else
            directory = argv[i];
    }
    bool known = strcmp(command, "list") == 0 || strcmp(command, "verify") == 0 || strcmp(command, "dump") == 0;
    if (!known || directory == NULL)
        return wrong_use(err);

    struct rkb_inspection *inspection = rkb_inspect_open(directory, &rkb_sys_posix, &error);
    if (inspection == NULL)
        return failed(err, &error);
    int code = command[0] == 'l' ? list(inspection, out, err)
             : command[0] == 'v' ? verify(inspection, out, err) : dump(inspection, values, out, err);
    rkb_inspect_close(inspection);
    return code;
}
