/*
 * mailbox -- hands the newest copy of a struct from one thread to another, without a lock and without waiting.
 *
 *     writer: fill its slot --> exchange with the middle --> reader: take the middle if it is newer
 *
 * Three slots: the writer's, the reader's, and the newest finished one between them. So a reader sees one moment of
 * the writer's figures, never half of two: that is what lets the books balance at any moment. One writer, one reader.
 */
#ifndef RKB_DAEMON_MAILBOX_H
#define RKB_DAEMON_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct rkb_mailbox {
    void *slots[3];
    unsigned writer, reader;        /* each its own thread's */
    _Atomic unsigned middle;        /* slot number, and whether it is new */
};

/* Three zeroed slots of `size` bytes. */
bool rkb_mailbox_init(struct rkb_mailbox *mailbox, size_t size);
void rkb_mailbox_free(struct rkb_mailbox *mailbox);
/* Writer: the slot to fill, whole (it holds an older copy) ... */
void *rkb_mailbox_draft(struct rkb_mailbox *mailbox);
/* ... and hand over. */
void rkb_mailbox_post(struct rkb_mailbox *mailbox);
/* Reader: the newest copy, valid until the next call. */
const void *rkb_mailbox_read(struct rkb_mailbox *mailbox);

#endif
