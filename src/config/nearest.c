/* nearest -- see nearest.h. */
#include "config/nearest.h"

#include <stdbool.h>
#include <string.h>

#define LONGEST 64

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/*
 * Edits (one byte added, removed, changed, or two neighbours swapped) from a to b, by the usual
 * table, three rows of it at a time.
 */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST + 1];
    size_t a_size = strlen(a), b_size = strlen(b);
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *now = rows[i % 3], *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            now[j] = smaller(smaller(now[j - 1], above[j]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = smaller(now[j], before[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

void rkb_nearest_offer(struct rkb_nearest *nearest, const char *wrong, const char *candidate)
{
    size_t size = strlen(wrong);
    if (size > LONGEST || strlen(candidate) > LONGEST)
        return;
    size_t edits = distance(wrong, candidate);
    size_t allowed = size <= 5 ? 1 : size <= 11 ? 2 : 3;
    if (edits <= allowed && edits < size && (nearest->name == NULL || edits < nearest->distance))
        *nearest = (struct rkb_nearest){candidate, edits};
}
