/* scan -- see scan.h. */
#include "journal/scan.h"

struct rkb_scan rkb_scan(const uint8_t *data, size_t size, const struct rkb_segment_head *head)
{
    return (struct rkb_scan){data, size, RKB_SEGMENT_HEADER, head->salt, head->first_sequence, 0};
}

static void step(struct rkb_scan *scan, const struct rkb_record *record)
{
    scan->offset += rkb_record_length(scan->data + scan->offset);
    if (record->kind != RKB_DICTIONARY)
        scan->next = record->sequence + 1;
}

enum rkb_parse rkb_scan_next(struct rkb_scan *scan, struct rkb_record *record, const char **why)
{
    enum rkb_parse result = rkb_record_parse(scan->data + scan->offset, scan->size - scan->offset, scan->salt, record,
                                             why);
    if (result != RKB_PARSE_RECORD)
        return result;
    if (record->sequence != (record->kind == RKB_DICTIONARY ? 0 : scan->next)) {
        *why = "its sequence number does not follow the one before";
        return RKB_PARSE_BAD;
    }
    if (record->kind != RKB_DICTIONARY && scan->end != 0 && record->sequence >= scan->end)
        return RKB_PARSE_BLANK;
    step(scan, record);
    return RKB_PARSE_RECORD;
}

/* Could a record with this number stand here? No number is higher than as many shortest records as fit. */
static bool plausible(const struct rkb_scan *scan, const struct rkb_record *record)
{
    if (record->kind == RKB_DICTIONARY)
        return record->sequence == 0;
    return record->sequence >= scan->next && record->sequence - scan->next <= scan->size / RKB_RECORD_HEADER;
}

bool rkb_scan_ahead(struct rkb_scan *scan, size_t end, struct rkb_record *record)
{
    for (; scan->offset < end && scan->size - scan->offset >= RKB_RECORD_HEADER; scan->offset += 8) {
        const uint8_t *at = scan->data + scan->offset;
        size_t available = scan->size - scan->offset;
        if (rkb_record_peek(at, available, record, NULL) != RKB_PARSE_RECORD || !plausible(scan, record))
            continue;
        if (rkb_record_parse(at, available, scan->salt, record, NULL) == RKB_PARSE_RECORD) {
            step(scan, record);
            return true;
        }
    }
    return false;
}
