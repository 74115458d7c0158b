/* mailbox -- see mailbox.h. */
#include "daemon/mailbox.h"

#include <stdlib.h>

#define NEW 4u      /* beside the slot number: nobody has read it yet */

bool rkb_mailbox_init(struct rkb_mailbox *mailbox, size_t size)
{
    mailbox->writer = 0;
    mailbox->reader = 1;
    atomic_init(&mailbox->middle, 2);
    bool made = true;
    for (size_t i = 0; i < 3; i++) {
        mailbox->slots[i] = calloc(1, size);
        made = made && mailbox->slots[i] != NULL;
    }
    return made;
}

void rkb_mailbox_free(struct rkb_mailbox *mailbox)
{
    for (size_t i = 0; i < 3; i++) {
        free(mailbox->slots[i]);
        mailbox->slots[i] = NULL;
    }
}

void *rkb_mailbox_draft(struct rkb_mailbox *mailbox)
{
    return mailbox->slots[mailbox->writer];
}

void rkb_mailbox_post(struct rkb_mailbox *mailbox)
{
    mailbox->writer = atomic_exchange_explicit(&mailbox->middle, mailbox->writer | NEW, memory_order_acq_rel) & 3u;
}

const void *rkb_mailbox_read(struct rkb_mailbox *mailbox)
{
    if (atomic_load_explicit(&mailbox->middle, memory_order_relaxed) & NEW)
        mailbox->reader = atomic_exchange_explicit(&mailbox->middle, mailbox->reader, memory_order_acq_rel) & 3u;
    return mailbox->slots[mailbox->reader];
}
