/* headers -- see headers.h. */
#include "base/headers.h"

static uint8_t *copy(uint8_t *out, struct rkb_slice bytes)
{
    if (bytes.size > 0)
        memcpy(out, bytes.data, bytes.size);
    return out + bytes.size;
}

uint8_t *rkb_header_write(uint8_t *out, struct rkb_slice name, struct rkb_slice value)
{
    struct rkb_writer writer = rkb_writer(out, RKB_HEADER_PREFIX);
    rkb_write_u16(&writer, (uint16_t)name.size);
    rkb_write_u32(&writer, (uint32_t)value.size);
    return copy(copy(out + RKB_HEADER_PREFIX, name), value);
}

bool rkb_headers_next(struct rkb_reader *area, struct rkb_slice *name, struct rkb_slice *value)
{
    if (area->failed || area->at == area->size)
        return false;
    size_t name_size = rkb_read_u16(area), value_size = rkb_read_u32(area);
    *name = rkb_read_slice(area, name_size);
    *value = rkb_read_slice(area, value_size);
    return !area->failed;
}
