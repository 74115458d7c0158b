/* secret -- see secret.h. */
#include "config/secret.h"

#include <string.h>

#include "base/file.h"

bool rkb_secret_read(const char *path, char *out, size_t size, struct rkb_error *error)
{
    size_t length;
    if (path[0] != '/')
        return rkb_fail(error, RKB_USAGE, "this is not an absolute path (not shown: it may be the secret itself)");
    if (!rkb_file_read(path, out, size - 1, &length, error))
        return false;
    if (length > 0 && out[length - 1] == '\n')
        length--;
    out[length] = '\0';
    if (length == 0)
        return rkb_fail(error, RKB_USAGE, "%.200s is empty", path);
    if (memchr(out, '\0', length) != NULL)
        return rkb_fail(error, RKB_USAGE, "%.200s has a NUL byte", path);
    return true;
}
