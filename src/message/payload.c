/* payload -- see payload.h. Each byte is looked at once for JSON, and a second time only where it is none. */
#include "message/payload.h"

#include <stdio.h>

#include "message/utf8.h"

static bool refuse(struct rkb_verdict *verdict, const char *reason)
{
    *verdict = (struct rkb_verdict){.kind = RKB_REJECTED, .code = "payload"};
    snprintf(verdict->reason, sizeof verdict->reason, "%s", reason);
    return false;
}

bool rkb_payload_read(enum rkb_payload_kind kind, const struct rkb_pointers *pointers, size_t depth,
                      bool needs_json, struct rkb_slice bytes, struct rkb_slice *found, struct rkb_payload *payload,
                      struct rkb_verdict *verdict)
{
    bool wanted = needs_json || kind == RKB_PAYLOAD_AUTO || kind == RKB_PAYLOAD_JSON
                  || rkb_pointers_count(pointers) > 0;
    payload->is_json = wanted && rkb_pointers_find(pointers, bytes, depth, found);
    payload->encoding = RKB_ENCODING_BASE64;
    if (kind == RKB_PAYLOAD_BASE64)
        return true;
    if (kind != RKB_PAYLOAD_TEXT && payload->is_json)
        payload->encoding = RKB_ENCODING_JSON;
    else if (kind == RKB_PAYLOAD_JSON)
        return refuse(verdict, "the payload is not JSON, and the route's payload is json");
    else if (rkb_utf8_valid(bytes))
        payload->encoding = RKB_ENCODING_TEXT;
    else if (kind == RKB_PAYLOAD_TEXT)
        return refuse(verdict, "the payload is not UTF-8, and the route's payload is text");
    return true;
}
