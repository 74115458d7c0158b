/* times_in -- how often words stand in a text. For tests. */
#ifndef RKB_TEST_TIMES_IN_H
#define RKB_TEST_TIMES_IN_H

#include <string.h>

static inline int times_in(const char *text, const char *words)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

#endif
