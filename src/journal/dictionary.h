/*
 * dictionary -- numbers for the names of routes, topics and sources, so that a waiting record goes
 * where it was meant to go whatever the config says now.
 *
 * Numbers start at 1 for each class and are given by the loop; the journal learns them from
 * dictionary records and writes all it knows at the head of every segment. The loop and the shipper have
 * a dictionary each: nothing here is shared between threads. Record value: u8 class, u32 number, name.
 */
#ifndef RKB_JOURNAL_DICTIONARY_H
#define RKB_JOURNAL_DICTIONARY_H

#include "journal/format.h"

enum rkb_name { RKB_NAME_ROUTE = 1, RKB_NAME_TOPIC = 2, RKB_NAME_SOURCE = 3 };

struct rkb_dictionary;

struct rkb_dictionary *rkb_dictionary_new(void);
/* NULL when memory ran out. */
struct rkb_dictionary *rkb_dictionary_copy(const struct rkb_dictionary *from);
void rkb_dictionary_free(struct rkb_dictionary *dictionary);

/* The number of a name, 0 when it has none. */
uint32_t rkb_dictionary_number(const struct rkb_dictionary *dictionary, enum rkb_name class, struct rkb_slice name);
/* Gives a name the next number of its class, or returns the one it has; *added says which. 0 when memory ran out. */
uint32_t rkb_dictionary_add(struct rkb_dictionary *dictionary, enum rkb_name class, struct rkb_slice name, bool *added);
/* The name of a number, NUL-terminated, valid as long as the dictionary; NULL when unknown. */
const char *rkb_dictionary_name(const struct rkb_dictionary *dictionary, enum rkb_name class, uint32_t number);
/* The highest number of a class. */
uint32_t rkb_dictionary_count(const struct rkb_dictionary *dictionary, enum rkb_name class);

/*
 * Writes the dictionary record for one number at `at` (at least rkb_dictionary_record_size bytes), sealed. Returns its
 * size.
 */
size_t rkb_dictionary_record(const struct rkb_dictionary *dictionary, enum rkb_name class, uint32_t number, uint8_t *at,
                             uint64_t salt);
size_t rkb_dictionary_record_size(const struct rkb_dictionary *dictionary, enum rkb_name class, uint32_t number);
/* The size of the record that a new name will have, and of all there are together. */
size_t rkb_dictionary_new_size(struct rkb_slice name);
size_t rkb_dictionary_bytes(const struct rkb_dictionary *dictionary);
/* Learns from a dictionary record. False with RKB_DAMAGED when it makes no sense. */
bool rkb_dictionary_learn(struct rkb_dictionary *dictionary, const struct rkb_record *record,
                          struct rkb_error *error) RKB_MUST_CHECK;

#endif
