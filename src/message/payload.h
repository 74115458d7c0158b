/*
 * payload -- what the bytes of a payload are: JSON, text or neither; and the pointers' values in it.
 */
#ifndef RKB_MESSAGE_PAYLOAD_H
#define RKB_MESSAGE_PAYLOAD_H

#include "message/template.h"
#include "message/verdict.h"

/* What a route's `payload` setting says: auto takes the first of json, text, base64 that fits. */
enum rkb_payload_kind { RKB_PAYLOAD_AUTO, RKB_PAYLOAD_JSON, RKB_PAYLOAD_TEXT, RKB_PAYLOAD_BASE64 };

struct rkb_payload {
    enum rkb_encoding encoding;
    bool is_json;               /* false where nobody asked */
};

/*
 * Looks at a payload once. `pointers` may have none, and found may then be NULL; depth: nested deeper it is not JSON;
 * needs_json: somebody asks whether it is, whatever its kind.
 * False, with the verdict's code and reason, where it is not what kind demands.
 */
bool rkb_payload_read(enum rkb_payload_kind kind, const struct rkb_pointers *pointers, size_t depth,
                      bool needs_json, struct rkb_slice bytes, struct rkb_slice *found, struct rkb_payload *payload,
                      struct rkb_verdict *verdict);

#endif
