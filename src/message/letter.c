/*
 * letter -- see letter.h.
 *
 * Promise: size and write walk the same rows, so they cannot disagree. Never: allocates; reads beyond an area.
 */
#include "message/letter.h"

static const char *const names[RKB_LETTER_HEADERS] = {
    [RKB_LETTER_CODE] = "rkb-error-code",
    [RKB_LETTER_REASON] = "rkb-error",
    [RKB_LETTER_ERROR_TIME] = "rkb-error-time",
    [RKB_LETTER_ROUTE] = "rkb-route",
    [RKB_LETTER_SOURCE] = "rkb-source",
    [RKB_LETTER_CHANNEL] = "rkb-channel",
    [RKB_LETTER_PATTERN] = "rkb-pattern",
    [RKB_LETTER_ID] = "rkb-id",
    [RKB_LETTER_POSITION] = "rkb-position",
    [RKB_LETTER_TIME] = "rkb-time",
    [RKB_LETTER_TOPIC] = "rkb-topic",
    [RKB_LETTER_FORM] = "rkb-form",
};

size_t rkb_letter_size(const struct rkb_letter *letter, uint16_t *count)
{
    size_t size = 0;
    *count = 0;
    for (size_t i = 0; i < RKB_LETTER_HEADERS; i++) {
        if (letter->of[i].data == NULL)
            continue;
        size += rkb_header_size(rkb_slice_text(names[i]), letter->of[i]);
        ++*count;
    }
    return size;
}

uint8_t *rkb_letter_write(const struct rkb_letter *letter, uint8_t *out)
{
    for (size_t i = 0; i < RKB_LETTER_HEADERS; i++)
        if (letter->of[i].data != NULL)
            out = rkb_header_write(out, rkb_slice_text(names[i]), letter->of[i]);
    return out;
}

static size_t row_of(struct rkb_slice name)
{
    size_t row = 0;
    while (row < RKB_LETTER_HEADERS && !rkb_slice_equal(rkb_slice_text(names[row]), name))
        row++;
    return row;
}

void rkb_letter_read(struct rkb_slice headers, struct rkb_letter *letter)
{
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name, value;
    *letter = (struct rkb_letter){0};
    while (rkb_headers_next(&area, &name, &value)) {
        size_t row = row_of(name);
        if (row < RKB_LETTER_HEADERS && letter->of[row].data == NULL)
            letter->of[row] = value;
    }
}

bool rkb_letter_names(struct rkb_slice name)
{
    return row_of(name) < RKB_LETTER_HEADERS;
}
