/*
 * http_request -- reads the head of one HTTP/1 request (RFC 9112), strictly: what two readers could understand
 * differently is refused. No request of ours has a body.
 */
#ifndef RKB_CONTROL_HTTP_REQUEST_H
#define RKB_CONTROL_HTTP_REQUEST_H

#include "base/bytes.h"

struct rkb_http_request {
    struct rkb_slice path;      /* without a query; lent from the head */
    bool head;                  /* HEAD: the answer has no body */
    bool keep;                  /* the connection may be used again */
};

/* The size of the head that stands at the beginning, its empty line included; 0: it has not come to its end. */
size_t rkb_http_head_size(struct rkb_slice input);

/*
 * 0, or the code to refuse it with: 400 malformed, 405 another method, 413 it has a body, 505 another version. What is
 * refused closes the connection.
 */
int rkb_http_request_read(struct rkb_slice head, struct rkb_http_request *request);

#endif
