/* inverse -- see inverse.h. */
#include "message/inverse.h"

#include "base/headers.h"

bool rkb_inverse(enum rkb_form form, struct rkb_slice value, struct rkb_slice headers, struct rkb_buffer *payload)
{
    (void)headers;
    if (form != RKB_FORM_RAW)
        return false;
    rkb_buffer_add(payload, value.data, value.size);
    return !payload->failed;
}

static bool find(struct rkb_slice headers, const char *wanted, struct rkb_slice *value)
{
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name;
    while (rkb_headers_next(&area, &name, value))
        if (rkb_slice_equal(name, rkb_slice_text(wanted)))
            return true;
    return false;
}

bool rkb_inverse_id(struct rkb_slice headers, struct rkb_slice *id)
{
    return find(headers, "rkb-id", id) || find(headers, "ce_id", id);
}
