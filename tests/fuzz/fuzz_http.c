/*
 * Fuzz target: the head of an HTTP request.
 *
 * Claims, for any bytes: a head ends in an empty line, and no shorter part of it does; what is refused has a code of
 * its own; what is taken is GET or HEAD, its path begins with a slash, lies within the head and holds nothing that ends
 * one; and what stands behind the head changes nothing.
 */
#include "fuzz.h"

#include "control/http_pages.h"
#include "control/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(struct rkb_slice head)
{
    struct rkb_http_request request;
    int code = rkb_http_request_read(head, &request);
    CLAIM(code == 0 || code == 400 || code == 405 || code == 413 || code == 505);
    if (code != 0)
        return;
    CLAIM(memcmp(head.data, request.head ? "HEAD " : "GET ", request.head ? 5 : 4) == 0);
    CLAIM(request.path.data >= head.data && request.path.data + request.path.size <= head.data + head.size);
    CLAIM(request.path.size > 0 && request.path.data[0] == '/');
    for (size_t i = 0; i < request.path.size; i++)
        CLAIM(request.path.data[i] > ' ' && request.path.data[i] != '?');
    (void)rkb_page_find(request.path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rkb_slice all = copy_exactly(rkb_slice(data, size));
    size_t head_size = rkb_http_head_size(all);
    CLAIM(head_size <= size);
    if (head_size > 0) {
        struct rkb_slice head = copy_exactly(rkb_slice(data, head_size));
        struct rkb_slice shorter = copy_exactly(rkb_slice(data, head_size - 1));
        CLAIM(rkb_http_head_size(head) == head_size && rkb_http_head_size(shorter) == 0);
        CLAIM(head.data[head_size - 1] == '\n');
        check_head(head);
        free((void *)(uintptr_t)head.data);
        free((void *)(uintptr_t)shorter.data);
    }
    free((void *)(uintptr_t)all.data);
    return 0;
}
