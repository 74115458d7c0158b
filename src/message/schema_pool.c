/* schema_pool -- what a compiled schema keeps: memory that goes all at once, and names found by their hash. */
#include <stdlib.h>

#include "message/schema_state.h"

struct rkb_pool_block {
    struct rkb_pool_block *next;
    max_align_t data[];
};

void *rkb_pool_add(struct rkb_pool *pool, size_t size)
{
    struct rkb_pool_block *block = calloc(1, sizeof *block + size);
    if (block == NULL)
        return NULL;
    block->next = pool->blocks;
    pool->blocks = block;
    return block->data;
}

void rkb_pool_free(struct rkb_pool *pool)
{
    while (pool->blocks != NULL) {
        struct rkb_pool_block *block = pool->blocks;
        pool->blocks = block->next;
        free(block);
    }
}

bool rkb_names_make(struct rkb_names *names, struct rkb_pool *pool, size_t count)
{
    size_t slots = 2;
    while (slots < 2 * count)
        slots *= 2;
    names->mask = (uint32_t)(slots - 1);
    names->slots = rkb_pool_add(pool, slots * sizeof *names->slots);
    return names->slots != NULL;
}

struct rkb_name *rkb_names_add(struct rkb_names *names, struct rkb_slice text, uint32_t hash)
{
    uint32_t slot = hash & names->mask;
    for (; names->slots[slot].text.data != NULL; slot = (slot + 1) & names->mask)
        if (names->slots[slot].hash == hash && rkb_slice_equal(names->slots[slot].text, text))
            return &names->slots[slot];
    names->slots[slot] = (struct rkb_name){.text = text, .hash = hash, .link = RKB_NONE};
    return &names->slots[slot];
}
