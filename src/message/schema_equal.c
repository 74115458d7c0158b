/*
 * schema_equal -- when two JSON values are the same (draft-07 core, section 4.2.2): numbers by their value, strings by
 * their characters, arrays item by item, objects whatever the order of their members.
 */
#include "message/schema_state.h"

#define BYTES_PER_STEP 64

size_t rkb_check_weight(const struct rkb_value *value, uint32_t at)
{
    return value->next - at + value->size / BYTES_PER_STEP;
}

static bool same_number(const struct rkb_value *a, const struct rkb_value *b)
{
    struct rkb_number left, right;
    if (rkb_slice_equal(rkb_value_text(a), rkb_value_text(b)))
        return true;
    return rkb_number_read(rkb_value_text(a), &left) && rkb_number_read(rkb_value_text(b), &right) &&
           rkb_number_compare(&left, &right) == 0;
}

static bool same_items(struct rkb_check *check, const struct rkb_value *a_values, uint32_t a,
                       const struct rkb_value *b_values, uint32_t b)
{
    uint32_t left = a + 1, right = b + 1;
    for (; left < a_values[a].next; left = a_values[left].next, right = b_values[right].next)
        if (!rkb_check_equal(check, a_values, left, b_values, right))
            return false;
    return true;
}

/* The same key in the other object, first looked for at the same place, as members mostly come in one order; 0. */
static uint32_t find_member(struct rkb_check *check, const struct rkb_value *key, const struct rkb_value *values,
                            uint32_t object, uint32_t guess)
{
    struct rkb_slice text = rkb_value_text(key);
    if (guess < values[object].next && values[guess].hash == key->hash && !values[guess].shadowed &&
        rkb_slice_equal(rkb_value_text(&values[guess]), text))
        return guess + 1;
    if (!rkb_check_spend(check, values[object].count))
        return 0;
    return rkb_values_member(values, object, text, key->hash);
}

static bool same_members(struct rkb_check *check, const struct rkb_value *a_values, uint32_t a,
                         const struct rkb_value *b_values, uint32_t b)
{
    uint32_t guess = b + 1;
    for (uint32_t key = a + 1; key < a_values[a].next; key = a_values[key + 1].next) {
        if (a_values[key].shadowed)
            continue;
        uint32_t other = find_member(check, &a_values[key], b_values, b, guess);
        if (other == 0 || !rkb_check_equal(check, a_values, key + 1, b_values, other))
            return false;
        guess = b_values[other].next;
    }
    return true;
}

bool rkb_check_equal(struct rkb_check *check, const struct rkb_value *a_values, uint32_t a,
                     const struct rkb_value *b_values, uint32_t b)
{
    const struct rkb_value *left = &a_values[a], *right = &b_values[b];
    if (!rkb_check_spend(check, 1) || left->kind != right->kind)
        return false;
    switch ((enum rkb_kind)left->kind) {
    case RKB_KIND_NULL:
        return true;
    case RKB_KIND_BOOLEAN:
        return *left->data == *right->data;
    case RKB_KIND_NUMBER:
        return rkb_check_spend(check, (left->size + right->size) / BYTES_PER_STEP) && same_number(left, right);
    case RKB_KIND_STRING:
        return left->size == right->size && rkb_check_spend(check, left->size / BYTES_PER_STEP) &&
               rkb_slice_equal(rkb_value_text(left), rkb_value_text(right));
    case RKB_KIND_ARRAY:
        return left->count == right->count && same_items(check, a_values, a, b_values, b);
    case RKB_KIND_OBJECT:
        return left->count == right->count && same_members(check, a_values, a, b_values, b);
    }
    return false;
}

static uint64_t mix(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static uint64_t scalar_hash(const struct rkb_value *value)
{
    struct rkb_number number;
    if (value->kind == RKB_KIND_STRING)
        return rkb_key_hash(rkb_value_text(value));
    if (value->kind == RKB_KIND_NUMBER)
        return rkb_number_read(rkb_value_text(value), &number) ? rkb_number_hash(&number) : 0;
    return value->size;         /* null, true; false */
}

uint64_t rkb_value_hash(const struct rkb_value *values, uint32_t at)
{
    const struct rkb_value *value = &values[at];
    uint64_t hash = mix(value->kind, value->count);
    if (value->kind == RKB_KIND_ARRAY) {
        for (uint32_t item = at + 1; item < value->next; item = values[item].next)
            hash = mix(hash, rkb_value_hash(values, item));
        return hash;
    }
    if (value->kind != RKB_KIND_OBJECT)
        return mix(hash, scalar_hash(value));
    uint64_t sum = 0;           /* the order of members does not count */
    for (uint32_t key = at + 1; key < value->next; key = values[key + 1].next)
        if (!values[key].shadowed)
            sum += mix(values[key].hash, rkb_value_hash(values, key + 1));
    return mix(hash, sum);
}
