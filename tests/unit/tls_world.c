/* tls_world -- see tls_world.h. */
#include "tls_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char tls_store[64];

static const struct certificate_wish wishes[] = {
    {"ca", "Test CA", NULL, NULL, -1, 10, true, NULL, false},
    {"otherca", "Other CA", NULL, NULL, -1, 10, true, NULL, false},
    {"good", "redis", "ca", "DNS:redis.test,IP:127.0.0.1", -1, 10, false, NULL, false},
    {"wild", "redis", "ca", "DNS:*.wild.test", -1, 10, false, NULL, false},
    {"common", "redis.test", "ca", NULL, -1, 10, false, NULL, false},
    {"expired", "redis", "ca", "DNS:redis.test", -10, -1, false, NULL, false},
    {"early", "redis", "ca", "DNS:redis.test", 2, 10, false, NULL, false},
    {"elsewhere", "redis", "ca", "DNS:a.example,DNS:b.example,IP:10.1.2.3", -1, 10, false, NULL, false},
    {"many", "redis", "ca", "DNS:a1,DNS:a2,DNS:a3,DNS:a4,DNS:a5,DNS:a6", -1, 10, false, NULL, false},
    {"strange", "redis", "otherca", "DNS:redis.test", -1, 10, false, NULL, false},
    {"selfmade", "redis.test", NULL, "DNS:redis.test", -1, 10, false, NULL, false},
    {"client", "bridge", "ca", NULL, -1, 10, false, NULL, false},
    {"oldclient", "bridge", "ca", NULL, -10, -1, false, NULL, false},
    {"strangeclient", "bridge", "otherca", NULL, -1, 10, false, NULL, false},
    {"locked", "bridge", "ca", NULL, -1, 10, false, "pass-sEcReT", false},
    {"rsaclient", "bridge", "ca", NULL, -1, 10, false, NULL, true},
};

const char *tls_in_store(const char *name, const char *end)
{
    static char paths[16][128];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s%s", tls_store, name, end);
    return path;
}

int tls_make_store(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(tls_store, sizeof tls_store, "%.40s/rkb-tls-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(tls_store));
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++)
        make_certificate(tls_store, &wishes[i]);
    return 0;
}

int tls_drop_store(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
        unlink(tls_in_store(wishes[i].name, ".crt"));
        unlink(tls_in_store(wishes[i].name, ".key"));
    }
    return rmdir(tls_store);
}

struct tls_peer *tls_prepare(struct line *line, const char *server)
{
    static char ca[128], certificate[128], key[128];
    struct tls_peer *peer = tls_peer_new(line->base);
    snprintf(ca, sizeof ca, "%s/ca.crt", tls_store);
    snprintf(certificate, sizeof certificate, "%s/%s.crt", tls_store, server);
    snprintf(key, sizeof key, "%s/%s.key", tls_store, server);
    line->options.tls = (struct rkb_tls_options){.ca_file = ca};
    *tls_peer_rules(peer) = (struct tls_peer_rules){.certificate = certificate, .key = key};
    return peer;
}

void until_heard(struct line *line, struct tls_peer *peer, const char *text)
{
    for (int i = 0; i < 5000 && strstr(tls_peer_heard(peer), text) == NULL; i++)
        line_turn(line, 1);
    assert_non_null(strstr(tls_peer_heard(peer), text));
}

void write_text(struct line *line, const char *text)
{
    struct rkb_error error;
    assert_true(rkb_transport_write(line->transport, text, strlen(text), &error));
}

void assert_talks(struct line *line, struct tls_peer *peer)
{
    struct rkb_error error;
    line_until(line, "opened\n");
    assert_true(rkb_transport_write(line->transport, "question", 8, &error));
    until_heard(line, peer, "question");
    tls_peer_say(peer, "answer", 6);
    line_until_bytes(line, 6);
    assert_memory_equal(line->bytes.data, "answer", 6);
    line_until(line, "caught up\n");
}

