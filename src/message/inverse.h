/*
 * inverse -- from a record back to the message: the payload byte for byte as it arrived, and its UUID.
 *
 * A record's form says which envelope made it; it stands in the journal beside the record (RKB_FLAG_FORM). What has no
 * inverse (a value template of the config's own, a record from before there were forms) is told, not guessed. So is a
 * record that no envelope of ours made.
 */
#ifndef RKB_MESSAGE_INVERSE_H
#define RKB_MESSAGE_INVERSE_H

#include "base/bytes.h"
#include "message/form.h"

/*
 * Adds the payload to the buffer. False, with nothing added, where this form has no inverse, value and headers are not
 * of this form, or memory ran out (payload->failed).
 */
bool rkb_inverse(enum rkb_form form, struct rkb_slice value, struct rkb_slice headers, struct rkb_buffer *payload);

/*
 * The UUID's text, lent from the record: its headers (rkb-id, else ce_id), else where this form has it in the value.
 * False where it does not tell.
 */
bool rkb_inverse_id(enum rkb_form form, struct rkb_slice value, struct rkb_slice headers, struct rkb_slice *id);

#endif
