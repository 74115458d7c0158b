/* http_request: heads as RFC 9112 has them, and everything that is none. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "control/http_request.h"

/* In memory of just that size, so that a step too far is seen. */
static int read_head(const char *text, size_t size, struct rkb_http_request *request, char path[64])
{
    char *copy = malloc(size + 1);
    memcpy(copy, text, size);
    int code = rkb_http_request_read(rkb_slice(copy, size), request);
    size_t length = code == 0 && request->path.size < 63 ? request->path.size : 0;
    memcpy(path, length > 0 ? (const char *)request->path.data : "", length);
    path[length] = '\0';
    free(copy);
    return code;
}

static void test_good(void **state)
{
    (void)state;
    static const struct { const char *text, *path; bool head, keep; } rows[] = {
        {"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "/metrics", false, true},
        {"GET /metrics HTTP/1.1\nhost:a\n\n", "/metrics", false, true},
        {"HEAD /stats?x=1&y HTTP/1.1\r\nHost: [::1]:9464\r\nAccept: */*\r\n\r\n", "/stats", true, true},
        {"GET / HTTP/1.1\r\nHost:\r\nConnection: Close\r\n\r\n", "/", false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, \tclose\r\n\r\n", "/", false, false},
        {"GET / HTTP/1.0\r\n\r\n", "/", false, false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "/", false, true},
        {"GET / HTTP/1.9\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "/", false, true},
        {"GET http://127.0.0.1:9464/metrics?x HTTP/1.1\r\nHost: a\r\n\r\n", "/metrics", false, true},
        {"HEAD HTTP://a/ HTTP/1.0\r\n\r\n", "/", true, false},
        {"GET /%2e HTTP/1.1\r\nHost: a\r\nX: \t y \xff\r\n\r\n", "/%2e", false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_http_request request;
        char path[64];
        size_t size = strlen(rows[i].text);
        assert_int_equal(rkb_http_head_size(rkb_slice(rows[i].text, size)), size);
        if (read_head(rows[i].text, size, &request, path) != 0)
            fail_msg("refused: %s", rows[i].text);
        assert_string_equal(path, rows[i].path);
        assert_int_equal(request.head, rows[i].head);
        assert_int_equal(request.keep, rows[i].keep);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct { const char *text; int code; } rows[] = {
        {"\r\n\r\n", 400}, {"GET\r\n\r\n", 400}, {"GET /\r\n\r\n", 400}, {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400}, {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n", 400}, {"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 400}, {"GET http:///metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET http://a?/metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", 400}, {"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET http://a/ HTTP/1.1\r\n\r\n", 400}, {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / http/1.1\r\nHost: a\r\n\r\n", 400}, {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"GET / HTTP/1.x\r\nHost: a\r\n\r\n", 505}, {"PRI * HTTP/2.0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405}, {"get / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
        {"GET / HTTP/1.1\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", 400}, {"GET / HTTP/1.1\r\nHost: a\r\n goes on\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", 413},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n", 413},
        {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 413},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_http_request request;
        char path[64];
        int code = read_head(rows[i].text, strlen(rows[i].text), &request, path);
        if (code != rows[i].code)
            fail_msg("%d, not %d: %s", code, rows[i].code, rows[i].text);
    }
}

static void test_nul_bytes(void **state)
{
    (void)state;
    static const char first[] = "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", name[] = "GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n";
    struct rkb_http_request request;
    char path[64];
    assert_int_equal(read_head(first, sizeof first - 1, &request, path), 400);
    assert_int_equal(read_head(name, sizeof name - 1, &request, path), 400);
}

/* A head that has not come to its end is none, wherever it is cut. */
static void test_cut(void **state)
{
    (void)state;
    static const char text[] = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    struct rkb_http_request request;
    char path[64];
    for (size_t size = 0; size < sizeof text - 1; size++) {
        char *copy = malloc(size + 1);
        memcpy(copy, text, size);
        assert_int_equal(rkb_http_head_size(rkb_slice(copy, size)), 0);
        free(copy);
        (void)read_head(text, size, &request, path);
    }
    assert_int_equal(rkb_http_head_size(rkb_slice_text("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n")), 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_nul_bytes), cmocka_unit_test(test_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
