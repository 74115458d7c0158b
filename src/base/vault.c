/* vault -- see vault.h. */
#include "base/vault.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PART 6

/* Stands before the text. */
struct head {
    size_t mapped;
};

char *rkb_vault_keep(const char *text)
{
    size_t size = strlen(text) + 1;
    size_t mapped = sizeof(struct head) + size;
    struct head *head = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (head == MAP_FAILED)
        return NULL;
    (void)madvise(head, mapped, MADV_DONTDUMP);     /* where the kernel knows no such thing there is nothing better */
    head->mapped = mapped;
    return memcpy(head + 1, text, size);
}

void rkb_vault_drop(char *text)
{
    if (text == NULL)
        return;
    struct head *head = (struct head *)(void *)(text - sizeof *head);
    size_t mapped = head->mapped;
    explicit_bzero(head, mapped);
    munmap(head, mapped);
}

void rkb_wipe_free(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

bool rkb_vault_repeats(struct rkb_slice text, const char *secret)
{
    size_t size = strlen(secret), part = size < PART ? size : PART;
    if (size == 0 || text.size < part)
        return false;
    for (size_t i = 0; i + part <= size; i++)
        if (memmem(text.data, text.size, secret + i, part) != NULL)
            return true;
    return false;
}
