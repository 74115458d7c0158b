/*
 * dictionary -- see dictionary.h.
 *
 * Three lists of names, numbered from 1, and one open-addressed table from (class, name) to number.
 * Promise: a number, once given, keeps its name. Never: shared between threads.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/dictionary.h"

#include <stdlib.h>

#define CLASSES 3
#define VALUE_HEAD 5        /* u8 class, u32 number, before the name in a record's value */
#define LONGEST_NAME 65535

struct entry {
    char *name;             /* NUL-terminated */
    size_t size;
};

struct list {
    struct entry *entries;  /* number n is entries[n - 1] */
    uint32_t count, capacity;
};

struct slot {
    uint32_t class, number; /* number 0: free */
};

struct rkb_dictionary {
    struct list lists[CLASSES];
    struct slot *slots;
    size_t slot_count;      /* a power of two, at least twice as many as names */
    size_t used;
    size_t bytes;           /* of the records of all names */
};

struct rkb_dictionary *rkb_dictionary_new(void)
{
    struct rkb_dictionary *dictionary = calloc(1, sizeof *dictionary);
    if (dictionary == NULL)
        return NULL;
    dictionary->slot_count = 64;
    dictionary->slots = calloc(dictionary->slot_count, sizeof *dictionary->slots);
    if (dictionary->slots == NULL) {
        free(dictionary);
        return NULL;
    }
    return dictionary;
}

void rkb_dictionary_free(struct rkb_dictionary *dictionary)
{
    if (dictionary == NULL)
        return;
    for (int class = 0; class < CLASSES; class++) {
        struct list *list = &dictionary->lists[class];
        for (uint32_t i = 0; i < list->count; i++)
            free(list->entries[i].name);
        free(list->entries);
    }
    free(dictionary->slots);
    free(dictionary);
}

static const struct list *list_of(const struct rkb_dictionary *dictionary, enum rkb_name class)
{
    return &dictionary->lists[class - RKB_NAME_ROUTE];
}

static const struct entry *entry_of(const struct rkb_dictionary *dictionary, enum rkb_name class, uint32_t number)
{
    const struct list *list = list_of(dictionary, class);
    return number == 0 || number > list->count ? NULL : &list->entries[number - 1];
}

/* The slot that holds a name, or the free one where it would go. */
static struct slot *find(const struct rkb_dictionary *dictionary, enum rkb_name class, struct rkb_slice name)
{
    size_t at = XXH3_64bits_withSeed(name.data, name.size, (XXH64_hash_t)class);
    for (;; at++) {
        struct slot *slot = &dictionary->slots[at & (dictionary->slot_count - 1)];
        if (slot->number == 0)
            return slot;
        const struct entry *entry = entry_of(dictionary, class, slot->number);
        if (slot->class == class && rkb_slice_equal(name, rkb_slice(entry->name, entry->size)))
            return slot;
    }
}

static bool grow_table(struct rkb_dictionary *dictionary)
{
    struct slot *old = dictionary->slots;
    size_t old_count = dictionary->slot_count;
    struct slot *slots = calloc(old_count * 2, sizeof *slots);
    if (slots == NULL)
        return false;
    dictionary->slots = slots;
    dictionary->slot_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].number == 0)
            continue;
        const struct entry *entry = entry_of(dictionary, old[i].class, old[i].number);
        *find(dictionary, old[i].class, rkb_slice(entry->name, entry->size)) = old[i];
    }
    free(old);
    return true;
}

static bool grow_list(struct list *list)
{
    uint32_t capacity = list->capacity ? list->capacity * 2 : 16;
    struct entry *entries = realloc(list->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return false;
    list->entries = entries;
    list->capacity = capacity;
    return true;
}

uint32_t rkb_dictionary_number(const struct rkb_dictionary *dictionary, enum rkb_name class, struct rkb_slice name)
{
    return find(dictionary, class, name)->number;
}

uint32_t rkb_dictionary_add(struct rkb_dictionary *dictionary, enum rkb_name class, struct rkb_slice name, bool *added)
{
    struct list *list = &dictionary->lists[class - RKB_NAME_ROUTE];
    uint32_t number = rkb_dictionary_number(dictionary, class, name);
    *added = false;
    if (number != 0)
        return number;
    if (dictionary->used * 2 >= dictionary->slot_count && !grow_table(dictionary))
        return 0;
    if (list->count == list->capacity && !grow_list(list))
        return 0;
    char *text = malloc(name.size + 1);
    if (text == NULL)
        return 0;
    if (name.size > 0)
        memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    list->entries[list->count++] = (struct entry){text, name.size};
    *find(dictionary, class, name) = (struct slot){class, list->count};
    dictionary->used++;
    dictionary->bytes += rkb_dictionary_new_size(name);
    *added = true;
    return list->count;
}

struct rkb_dictionary *rkb_dictionary_copy(const struct rkb_dictionary *from)
{
    struct rkb_dictionary *to = rkb_dictionary_new();
    for (enum rkb_name class = RKB_NAME_ROUTE; to != NULL && class <= RKB_NAME_SOURCE; class++) {
        const struct list *list = list_of(from, class);
        for (uint32_t i = 0; i < list->count; i++) {
            bool added;
            if (rkb_dictionary_add(to, class, rkb_slice(list->entries[i].name, list->entries[i].size), &added) == 0) {
                rkb_dictionary_free(to);
                return NULL;
            }
        }
    }
    return to;
}

const char *rkb_dictionary_name(const struct rkb_dictionary *dictionary, enum rkb_name class, uint32_t number)
{
    const struct entry *entry = entry_of(dictionary, class, number);
    return entry == NULL ? NULL : entry->name;
}

uint32_t rkb_dictionary_count(const struct rkb_dictionary *dictionary, enum rkb_name class)
{
    return list_of(dictionary, class)->count;
}

size_t rkb_dictionary_new_size(struct rkb_slice name)
{
    return rkb_record_size(0, 0, VALUE_HEAD + name.size);
}

size_t rkb_dictionary_bytes(const struct rkb_dictionary *dictionary)
{
    return dictionary->bytes;
}

size_t rkb_dictionary_record_size(const struct rkb_dictionary *dictionary, enum rkb_name class, uint32_t number)
{
    const struct entry *entry = entry_of(dictionary, class, number);
    return entry == NULL ? 0 : rkb_dictionary_new_size(rkb_slice(entry->name, entry->size));
}

size_t rkb_dictionary_record(const struct rkb_dictionary *dictionary, enum rkb_name class, uint32_t number, uint8_t *at,
                             uint64_t salt)
{
    const struct entry *entry = entry_of(dictionary, class, number);
    if (entry == NULL)
        return 0;
    struct rkb_record record = {.kind = RKB_DICTIONARY, .value = {NULL, VALUE_HEAD + entry->size}};
    size_t size = rkb_record_begin(at, &record);
    struct rkb_writer writer = rkb_writer(at + RKB_RECORD_HEADER, record.value.size);
    rkb_write_u8(&writer, (uint8_t)class);
    rkb_write_u32(&writer, number);
    rkb_write_bytes(&writer, entry->name, entry->size);
    rkb_record_seal(at, salt);
    return size;
}

bool rkb_dictionary_learn(struct rkb_dictionary *dictionary, const struct rkb_record *record, struct rkb_error *error)
{
    struct rkb_reader reader = rkb_reader(record->value.data, record->value.size);
    enum rkb_name class = rkb_read_u8(&reader);
    uint32_t number = rkb_read_u32(&reader);
    struct rkb_slice name = rkb_read_slice(&reader, reader.failed ? 0 : reader.size - reader.at);
    if (reader.failed || class < RKB_NAME_ROUTE || class > RKB_NAME_SOURCE || number == 0)
        return rkb_fail(error, RKB_DAMAGED, "a dictionary record makes no sense");
    if (name.size == 0 || name.size > LONGEST_NAME || memchr(name.data, 0, name.size) != NULL)
        return rkb_fail(error, RKB_DAMAGED, "a dictionary record holds a name that is none");

    const struct entry *known = entry_of(dictionary, class, number);
    if (known != NULL && rkb_slice_equal(name, rkb_slice(known->name, known->size)))
        return true;
    if (known != NULL || number != list_of(dictionary, class)->count + 1 ||
        rkb_dictionary_number(dictionary, class, name) != 0)
        return rkb_fail(error, RKB_DAMAGED,
                        "a dictionary record gives the number %u or its name a second meaning, or skips a number",
                        number);
    bool added;
    if (rkb_dictionary_add(dictionary, class, name, &added) == 0)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for one more name");
    return true;
}
