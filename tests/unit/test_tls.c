/*
 * TLS: who is believed and who is not, in which words; that nothing is lost, late or out of order behind it; that bytes
 * in a record that is not whole never count as read.
 */
#include "transport_support.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tls_certificates.h"
#include "tls_peer.h"

/* Where the certificates are that all tests share: keys take their time. */
static char store[64];

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

static const char *in_store(const char *name, const char *end)
{
    static char paths[16][128];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s%s", store, name, end);
    return path;
}

static int make_store(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    snprintf(store, sizeof store, "%.40s/rkb-tls-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(store));
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++)
        make_certificate(store, &wishes[i]);
    return 0;
}

static int drop_store(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
        unlink(in_store(wishes[i].name, ".crt"));
        unlink(in_store(wishes[i].name, ".key"));
    }
    return rmdir(store);
}

/* A server with this certificate, and a client that believes `ca`; none of the options is set otherwise. */
static struct tls_peer *prepare(struct line *line, const char *server)
{
    static char ca[128], certificate[128], key[128];
    struct tls_peer *peer = tls_peer_new(line->base);
    snprintf(ca, sizeof ca, "%s/ca.crt", store);
    snprintf(certificate, sizeof certificate, "%s/%s.crt", store, server);
    snprintf(key, sizeof key, "%s/%s.key", store, server);
    line->options.tls = (struct rkb_tls_options){.ca_file = ca};
    *tls_peer_rules(peer) = (struct tls_peer_rules){.certificate = certificate, .key = key};
    return peer;
}

static void until_heard(struct line *line, struct tls_peer *peer, const char *text)
{
    for (int i = 0; i < 5000 && strstr(tls_peer_heard(peer), text) == NULL; i++)
        line_turn(line, 1);
    assert_non_null(strstr(tls_peer_heard(peer), text));
}

static void write_text(struct line *line, const char *text)
{
    struct rkb_error error;
    assert_true(rkb_transport_write(line->transport, text, strlen(text), &error));
}

static void assert_talks(struct line *line, struct tls_peer *peer)
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

static void talks_and_says_goodbye(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    rkb_transport_close(line->transport);
    until_heard(line, peer, "(goodbye)");
    assert_null(strstr(line_log(line), "broken"));
    tls_peer_free(peer);
}

/* A server that is believed. */
struct believed {
    const char *server, *host;
    int version;
    struct rkb_tls_options options;     /* over that of `prepare`; ca_file "-": none */
};

static void assert_believed(struct line *line, const struct believed *row)
{
    struct tls_peer *peer = prepare(line, row->server);
    struct rkb_tls_options *options = &line->options.tls;
    tls_peer_rules(peer)->version = row->version;
    options->server_name = row->options.server_name;
    options->unverified = row->options.unverified;
    if (row->options.ca_file != NULL)
        options->ca_file = row->options.ca_file[0] == '-' ? NULL : in_store(row->options.ca_file, ".crt");
    line_open(line, "rediss", row->host, tls_peer_port(peer));
    assert_talks(line, peer);
    tls_peer_free(peer);
}

static void believes(void **state)
{
    static const struct believed rows[] = {
        {"good", "redis.test", TLS1_2_VERSION, {0}},
        {"good", "redis.test", TLS1_3_VERSION, {0}},
        {"good", "127.0.0.1", 0, {0}},
        {"wild", "redis.test", 0, {.server_name = "a.wild.test"}},
        {"common", "redis.test", 0, {0}},
        {"elsewhere", "redis.test", 0, {.server_name = "b.example"}},
        {"elsewhere", "redis.test", 0, {.server_name = "b.example."}},
        {"elsewhere", "127.0.0.1", 0, {.server_name = "10.1.2.3"}},
        {"selfmade", "redis.test", 0, {.ca_file = "selfmade"}},
        {"selfmade", "redis.test", 0, {.ca_file = "-", .unverified = true}},
        {"expired", "redis.test", 0, {.unverified = true}},
        {"elsewhere", "redis.test", 0, {.unverified = true}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_believed(*state, &rows[i]);
}

static void believes_a_directory(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    const char *directory = line_path(line, "cas");
    assert_int_equal(mkdir(directory, 0700), 0);
    hash_certificate(store, "ca", directory);
    hash_certificate(store, "otherca", directory);
    line->options.tls = (struct rkb_tls_options){.ca_directory = directory};
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    tls_peer_free(peer);
}

static void shows_who_it_is(void **state)
{
    struct line *line = *state;
    static const char *const clients[] = {"client", "locked"};
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    line_write(line, "password", "pass-sEcReT\n");
    for (int i = 0; i < 4; i++) {
        const char *client = clients[i / 2];
        struct tls_peer *peer = prepare(line, "good");
        tls_peer_rules(peer)->client_ca = in_store("ca", ".crt");
        tls_peer_rules(peer)->version = versions[i % 2];
        line->options.tls.certificate_file = in_store(client, ".crt");
        line->options.tls.key_file = in_store(client, ".key");
        line->options.tls.key_password_file = line_path(line, "password");
        line_open(line, "rediss", "redis.test", tls_peer_port(peer));
        assert_talks(line, peer);
        tls_peer_free(peer);
    }
}

/* A server that is not believed, or does not believe us, and what is said then. */
struct refused {
    const char *server, *host, *client;         /* client: our certificate; NULL: none */
    bool asks;                                  /* for a client's */
    int version;
    const char *words[4];
};

static void assert_refused(struct line *line, const struct refused *row)
{
    struct tls_peer *peer = prepare(line, row->server);
    tls_peer_rules(peer)->version = row->version;
    if (row->asks)
        tls_peer_rules(peer)->client_ca = in_store("ca", ".crt");
    if (row->client != NULL) {
        line->options.tls.certificate_file = in_store(row->client, ".crt");
        line->options.tls.key_file = in_store(row->client, ".key");
    }
    line_open(line, "rediss", row->host, tls_peer_port(peer));
    line_until(line, "broken");
    for (int i = 0; i < 4 && row->words[i] != NULL; i++)
        if (strstr(line_log(line), row->words[i]) == NULL)
            fail_msg("not said: \"%s\", but:\n%s", row->words[i], line_log(line));
    assert_null(strstr(line_log(line), "bridge@"));
    tls_peer_free(peer);
}

static void says_why_not(void **state)
{
    static const struct refused rows[] = {
        {"expired", "redis.test", NULL, false, 0, {"TLS with rediss://redis.test:", "its certificate expired on 20", " UTC", "clock"}},
        {"early", "redis.test", NULL, false, 0, {"its certificate is not valid before 20", " UTC", "clock"}},
        {"elsewhere", "redis.test", NULL, false, 0,
         {"its certificate is for a.example, b.example, 10.1.2.3, and not for redis.test", "tls_server_name"}},
        {"elsewhere", "127.0.0.1", NULL, false, 0, {"is for a.example, b.example, 10.1.2.3, and not for 127.0.0.1"}},
        {"many", "redis.test", NULL, false, 0, {"is for a1, a2, a3, a4, ... (6 names), and not for redis.test"}},
        {"strange", "redis.test", NULL, false, 0,
         {"signed by Other CA, which is not among tls_ca_file and tls_ca_directory", "add its CA there"}},
        {"selfmade", "redis.test", NULL, false, 0, {"signed by itself", "tls_ca_file"}},
        {"good", "redis.test", NULL, true, TLS1_3_VERSION, {"asks for a client certificate", "tls_certificate_file and tls_key_file"}},
        {"good", "redis.test", NULL, true, TLS1_2_VERSION, {"client certificate", "tls_certificate_file"}},
        {"good", "redis.test", "oldclient", true, TLS1_3_VERSION, {"refuses our certificate", "expired", "renew"}},
        {"good", "redis.test", "oldclient", true, TLS1_2_VERSION, {"refuses our certificate", "expired", "renew"}},
        {"good", "redis.test", "strangeclient", true, 0, {"refuses our certificate", "CA"}},
        {"good", "redis.test", NULL, false, TLS1_1_VERSION, {"1.2", "tls-protocols"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_refused(*state, &rows[i]);
}

static void believes_no_stranger_without_a_ca(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    line->options.tls.ca_file = NULL;
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_until(line, "broken");
    assert_non_null(strstr(line_log(line), "signed by Test CA, which is not among the CAs of this system: name its CA in tls_ca_file"));
    tls_peer_free(peer);
}

static void knows_what_is_no_tls(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    tls_peer_rules(peer)->plain = "-ERR unknown command\r\n";
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_until(line, "broken");
    assert_non_null(strstr(line_log(line), "does not speak TLS: is it the port of a Redis without TLS"));
    tls_peer_rules(peer)->plain = NULL;
    tls_peer_rules(peer)->cut = true;
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_until(line, "broken");
    assert_non_null(strstr(line_log(line), "in the handshake: does it speak TLS on this port?"));
    tls_peer_free(peer);
}

/* A plain Redis says nothing at all to a handshake: the owner's deadline ends it, in these words. */
static void says_what_it_waited_for(void **state)
{
    struct line *line = *state;
    struct rkb_error error;
    struct tls_peer *peer = prepare(line, "good");
    tls_peer_rules(peer)->plain = "";
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_turn(line, 20);
    rkb_transport_overdue(line->transport, "5s", &error);
    assert_int_equal(error.code, RKB_TIMEOUT);
    assert_non_null(strstr(error.text, "no answer within 5s; a Redis without TLS on that port never answers"));
    assert_string_equal(line_log(line), "");
    tls_peer_free(peer);
}

static void files_that_cannot_be_used(void **state)
{
    struct line *line = *state;
    line_write(line, "empty", "");
    line_write(line, "text", "no PEM here\n");
    line_write(line, "broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    line_write(line, "wrong", "another-sEcReT\n");
    assert_int_equal(mkfifo(line_path(line, "fifo"), 0600), 0);
    assert_int_equal(mkdir(line_path(line, "directory"), 0700), 0);
    assert_int_equal(truncate(line_path(line, "empty"), 0), 0);
    line_write(line, "huge", "");
    assert_int_equal(truncate(line_path(line, "huge"), 2 << 20), 0);
    const char *crt = in_store("client", ".crt"), *key = in_store("client", ".key"), *locked = in_store("locked", ".key");
    const char *locked_crt = in_store("locked", ".crt");
    const struct {
        struct rkb_tls_options options;
        const char *setting, *words;
    } rows[] = {
        {{.ca_file = line_path(line, "none")}, "tls_ca_file", "none cannot be read: No such file"},
        {{.ca_file = line_path(line, "fifo")}, "tls_ca_file", "is a FIFO; a regular file is needed"},
        {{.ca_file = line_path(line, "directory")}, "tls_ca_file", "is a directory; a regular file is needed"},
        {{.ca_file = "/dev/zero"}, "tls_ca_file", "is a device; a regular file is needed"},
        {{.ca_file = line_path(line, "huge")}, "tls_ca_file", "is longer than 1048576 bytes"},
        {{.ca_file = line_path(line, "empty")}, "tls_ca_file", "has no certificate in PEM"},
        {{.ca_file = line_path(line, "text")}, "tls_ca_file", "has no certificate in PEM"},
        {{.ca_file = line_path(line, "broken")}, "tls_ca_file", "certificate 1 in "},
        {{.ca_directory = line_path(line, "none")}, "tls_ca_directory", "No such file"},
        {{.ca_directory = line_path(line, "directory")}, "tls_ca_directory", "openssl rehash"},
        {{.certificate_file = line_path(line, "none"), .key_file = key}, "tls_certificate_file", "No such file"},
        {{.certificate_file = crt, .key_file = line_path(line, "none")}, "tls_key_file", "No such file"},
        {{.certificate_file = crt, .key_file = line_path(line, "text")}, "tls_key_file", "has no private key in PEM"},
        {{.certificate_file = crt, .key_file = locked}, "tls_key_file", "is encrypted; name its password's file"},
        {{.certificate_file = in_store("good", ".crt"), .key_file = key}, "tls_key_file", "does not belong to the certificate"},
        {{.certificate_file = crt, .key_file = in_store("rsaclient", ".key")}, "tls_key_file", "does not belong to the certificate"},
        {{.certificate_file = locked_crt, .key_file = locked, .key_password_file = line_path(line, "wrong")},
         "tls_key_password_file", "is not the password of the key"},
        {{.certificate_file = locked_crt, .key_file = locked, .key_password_file = line_path(line, "empty")},
         "tls_key_password_file", "is empty"},
        {{.certificate_file = locked_crt, .key_file = locked, .key_password_file = line_path(line, "fifo")},
         "tls_key_password_file", "is a FIFO"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_error error = {0};
        const char *setting = NULL;
        assert_false(rkb_tls_check(&rows[i].options, &setting, &error));
        if (setting == NULL || strcmp(setting, rows[i].setting) != 0 || strstr(error.text, rows[i].words) == NULL)
            fail_msg("row %zu: %s: %s", i, setting != NULL ? setting : "-", error.text);
        assert_null(strstr(error.text, "sEcReT"));
    }
}

/* A file that went bad while we ran: said when the connection is made, with the setting's name. */
static void a_file_that_went_bad(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    line->options.tls.ca_file = line_path(line, "gone");
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_until(line, "broken");
    assert_non_null(strstr(line_log(line), "tls_ca_file: "));
    assert_non_null(strstr(line_log(line), "cannot be read: No such file"));
    tls_peer_free(peer);
}

static void copy_file(const char *from, const char *to)
{
    char text[8192];
    FILE *file = fopen(from, "r");
    assert_non_null(file);
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    file = fopen(to, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static void reads_its_files_at_each_connect(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    const char *ca = line_path(line, "ca.pem");
    copy_file(in_store("otherca", ".crt"), ca);
    line->options.tls.ca_file = ca;
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_until(line, "broken");
    copy_file(in_store("ca", ".crt"), ca);
    line->log.size = 0;
    rkb_transport_open(line->transport);
    assert_talks(line, peer);
    tls_peer_free(peer);
}

/* Bytes that are here but in a record that is not whole are bytes that Redis sent and nobody has: never caught up. */
static void half_a_record_is_not_caught_up(void **state)
{
    struct line *line = *state;
    static const size_t cuts[] = {1, 4, 5, 6, 20};
    struct tls_peer *peer = prepare(line, "good");
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    tls_peer_rules(peer)->held = true;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        line->bytes.size = line->log.size = 0;
        tls_peer_say(peer, "0123456789", 10);
        tls_peer_release(peer, cuts[i]);
        line_until(line, "idle\n");
        line_turn(line, 3);
        assert_null(strstr(line_log(line), "caught up"));
        assert_int_equal(line->bytes.size, 0);
        tls_peer_release(peer, tls_peer_waiting(peer));
        line_until(line, "caught up\n");
        assert_memory_equal(line->bytes.data, "0123456789", 10);
    }
    tls_peer_free(peer);
}

/* One whole record and half of the next. */
static void more_than_a_record_is_not_caught_up(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    line->bytes.size = line->log.size = 0;
    tls_peer_rules(peer)->held = true;
    tls_peer_say(peer, "first", 5);
    size_t first = tls_peer_waiting(peer);
    tls_peer_say(peer, "second", 6);
    tls_peer_release(peer, first + 7);
    line_until_bytes(line, 5);
    line_turn(line, 3);
    assert_null(strstr(line_log(line), "caught up"));
    assert_int_equal(line->bytes.size, 5);
    tls_peer_release(peer, tls_peer_waiting(peer));
    line_until(line, "caught up\n");
    assert_memory_equal(line->bytes.data, "firstsecond", 11);
    tls_peer_free(peer);
}

static uint8_t *numbered(size_t size)
{
    uint8_t *data = malloc(size);
    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    return data;
}

enum { MUCH = 3 * 1024 * 1024 };

static void much_arrives_whole(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    uint8_t *data = numbered(MUCH);
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    line->bytes.size = 0;
    tls_peer_say(peer, data, MUCH);
    line_until_bytes(line, MUCH);
    line_turn(line, 2);
    assert_true(line->caught_up_us != 0);
    assert_int_equal(line->bytes.size, MUCH);
    assert_memory_equal(line->bytes.data, data, MUCH);
    assert_null(strstr(line_log(line), "broken"));
    free(data);
    tls_peer_free(peer);
}

/* Pauses, lets the peer say `size` bytes and all of them come to our socket, and forgets what was logged. */
static void fill_the_socket(struct line *line, struct tls_peer *peer, const uint8_t *data, size_t size)
{
    line->bytes.size = line->log.size = 0;
    rkb_transport_pause(line->transport, true);
    tls_peer_say(peer, data, size);
    for (int i = 0; i < 2000 && !tls_peer_has_delivered(peer); i++)
        line_turn(line, 1);
    assert_true(tls_peer_has_delivered(peer));
    assert_int_equal(line->bytes.size, 0);
}

/* What OpenSSL holds makes no event on the socket: it must be handed on when reading goes on, and not before. */
static void rests_while_paused(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    uint8_t *data = numbered(MUCH);
    enum { SIZE = 70 * 1024 };
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    fill_the_socket(line, peer, data, SIZE);
    line->pause_in_bytes = true;
    rkb_transport_pause(line->transport, false);
    line_until_bytes(line, 1);
    size_t paused_at = line->bytes.size;
    line_turn(line, 5);
    assert_int_equal(line->bytes.size, paused_at);
    assert_true(paused_at < SIZE);
    assert_null(strstr(line_log(line), "caught up"));
    rkb_transport_pause(line->transport, false);
    line_until_bytes(line, SIZE);
    assert_memory_equal(line->bytes.data, data, SIZE);
    free(data);
    tls_peer_free(peer);
}

/* A turn of the loop ends with its budget; the rest, which only OpenSSL has, comes in the next. */
static void goes_on_after_a_turn(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    uint8_t *data = numbered(MUCH);
    enum { SIZE = 520 * 1024 };
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    fill_the_socket(line, peer, data, SIZE);
    rkb_transport_pause(line->transport, false);
    line_until_bytes(line, SIZE);
    assert_memory_equal(line->bytes.data, data, SIZE);
    assert_true(strncmp(line_log(line), "idle\n", 5) == 0);
    line_until(line, "caught up\n");
    free(data);
    tls_peer_free(peer);
}

static void takes_what_came_with_the_handshake(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    tls_peer_rules(peer)->version = TLS1_2_VERSION;
    tls_peer_rules(peer)->greeting = "greeting";
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_until_bytes(line, 8);
    assert_memory_equal(line->bytes.data, "greeting", 8);
    tls_peer_free(peer);
}

/* Redis's last words come before the end, although a write has failed meanwhile. */
static void a_failed_write_hides_no_words(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    tls_peer_rules(peer)->plain = "-ERR last words\r\n";
    line_open(line, "redis", "127.0.0.1", tls_peer_port(peer));
    line_until(line, "opened\n");
    rkb_transport_pause(line->transport, true);
    line_turn(line, 3);
    line->bytes.size = 0;
    tls_peer_cut(peer, false);
    for (int i = 0; i < 5; i++) {
        write_text(line, "PING\r\n");
        line_turn(line, 2);
    }
    rkb_transport_pause(line->transport, false);
    line_until(line, "broken");
    assert_int_equal(line->bytes.size, 17);
    assert_memory_equal(line->bytes.data, "-ERR last words\r\n", 17);
    assert_non_null(strstr(line_log(line), "writing to redis://127.0.0.1:"));
    tls_peer_free(peer);
}

static void opens_while_paused(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    rkb_transport_pause(line->transport, true);
    line_until(line, "opened\n");
    write_text(line, "question");
    until_heard(line, peer, "question");
    tls_peer_say(peer, "answer", 6);
    assert_true(line_turn(line, 5) < 20);       /* and does not turn in vain */
    assert_int_equal(line->bytes.size, 0);
    rkb_transport_pause(line->transport, false);
    line_until_bytes(line, 6);
    tls_peer_free(peer);
}

static void may_be_closed_in_the_middle(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = prepare(line, "good");
    uint8_t *data = numbered(MUCH);
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    line->bytes.size = line->log.size = 0;
    line->close_in_bytes = true;
    tls_peer_say(peer, data, MUCH);
    line_until_bytes(line, 1);
    line_turn(line, 3);
    assert_string_equal(line_log(line), "");
    free(data);
    tls_peer_free(peer);
}

/* What was sent before the end is handed on before the end is told, with a goodbye or without. */
static void ends_in_order(void **state)
{
    struct line *line = *state;
    for (int goodbye = 0; goodbye < 2; goodbye++) {
        struct tls_peer *peer = prepare(line, "good");
        line_open(line, "rediss", "redis.test", tls_peer_port(peer));
        assert_talks(line, peer);
        line->bytes.size = line->log.size = 0;
        tls_peer_rules(peer)->held = true;
        tls_peer_say(peer, "last words", 10);
        tls_peer_release(peer, tls_peer_waiting(peer));
        tls_peer_cut(peer, goodbye);
        line_until(line, "broken");
        assert_memory_equal(line->bytes.data, "last words", 10);
        assert_non_null(strstr(line_log(line), "Redis closed the connection\n"));
        tls_peer_free(peer);
    }
}

static void long_commands_arrive(void **state)
{
    struct line *line = *state;
    struct rkb_error error;
    struct tls_peer *peer = prepare(line, "good");
    char *text = malloc(MUCH);
    assert_non_null(text);
    memset(text, 'x', MUCH);
    memcpy(text + MUCH - 3, "end", 3);
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    assert_talks(line, peer);
    assert_true(rkb_transport_write(line->transport, text, MUCH, &error));
    until_heard(line, peer, "end");
    assert_int_equal(strlen(tls_peer_heard(peer)), strlen("question") + MUCH);
    free(text);
    tls_peer_free(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINE_TEST(talks_and_says_goodbye),
        LINE_TEST(believes),
        LINE_TEST(believes_a_directory),
        LINE_TEST(shows_who_it_is),
        LINE_TEST(says_why_not),
        LINE_TEST(believes_no_stranger_without_a_ca),
        LINE_TEST(knows_what_is_no_tls),
        LINE_TEST(says_what_it_waited_for),
        LINE_TEST(files_that_cannot_be_used),
        LINE_TEST(a_file_that_went_bad),
        LINE_TEST(reads_its_files_at_each_connect),
        LINE_TEST(half_a_record_is_not_caught_up),
        LINE_TEST(more_than_a_record_is_not_caught_up),
        LINE_TEST(much_arrives_whole),
        LINE_TEST(rests_while_paused),
        LINE_TEST(goes_on_after_a_turn),
        LINE_TEST(takes_what_came_with_the_handshake),
        LINE_TEST(a_failed_write_hides_no_words),
        LINE_TEST(opens_while_paused),
        LINE_TEST(may_be_closed_in_the_middle),
        LINE_TEST(ends_in_order),
        LINE_TEST(long_commands_arrive),
    };
    return cmocka_run_group_tests(tests, make_store, drop_store);
}
