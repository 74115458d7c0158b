/* inverse -- see inverse.h. */
#include "message/inverse.h"

#include "base/headers.h"
#include "message/pointer.h"
#include "message/uuid.h"

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

/* Where a form has the UUID; NULL: nowhere that only we write to. */
static const char *place_of_id(enum rkb_form form)
{
    switch (form) {
    case RKB_FORM_EVENT:
        return "/data/id";
    case RKB_FORM_FLAT:
    case RKB_FORM_CLOUDEVENTS_JSON:
        return "/id";
    case RKB_FORM_MERGE:            /* the payload may have an id of its own */
    case RKB_FORM_RAW:
    case RKB_FORM_CLOUDEVENTS:
    case RKB_FORM_UNKNOWN:
        return NULL;
    }
    return NULL;
}

/* The content of the JSON string there, which a UUID's needs no unescaping. */
static bool find_in_value(const char *place, struct rkb_slice value, struct rkb_slice *id)
{
    struct rkb_pointers *pointers = rkb_pointers_new();
    struct rkb_slice found = {0};
    struct rkb_error error;
    size_t index;
    bool there = pointers != NULL && rkb_pointers_add(pointers, rkb_slice_text(place), &index, &error)
                 && rkb_pointers_find(pointers, value, SIZE_MAX, &found) && found.size == RKB_UUID_TEXT + 2;
    rkb_pointers_free(pointers);
    if (there)
        *id = rkb_slice(found.data + 1, RKB_UUID_TEXT);
    return there;
}

bool rkb_inverse_id(enum rkb_form form, struct rkb_slice value, struct rkb_slice headers, struct rkb_slice *id)
{
    const char *place = place_of_id(form);
    return find(headers, "rkb-id", id) || find(headers, "ce_id", id)
        || (place != NULL && find_in_value(place, value, id));
}
