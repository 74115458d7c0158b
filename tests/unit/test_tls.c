/* TLS: who is believed and who is not, in which words; which files can be used. */
#include "tls_world.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void talks_and_says_goodbye(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
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
    struct tls_peer *peer = tls_prepare(line, row->server);
    struct rkb_tls_options *options = &line->options.tls;
    tls_peer_rules(peer)->version = row->version;
    options->server_name = row->options.server_name;
    options->unverified = row->options.unverified;
    if (row->options.ca_file != NULL)
        options->ca_file = row->options.ca_file[0] == '-' ? NULL : tls_in_store(row->options.ca_file, ".crt");
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
    struct tls_peer *peer = tls_prepare(line, "good");
    const char *directory = line_path(line, "cas");
    assert_int_equal(mkdir(directory, 0700), 0);
    hash_certificate(tls_store, "ca", directory);
    hash_certificate(tls_store, "otherca", directory);
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
        struct tls_peer *peer = tls_prepare(line, "good");
        tls_peer_rules(peer)->client_ca = tls_in_store("ca", ".crt");
        tls_peer_rules(peer)->version = versions[i % 2];
        line->options.tls.certificate_file = tls_in_store(client, ".crt");
        line->options.tls.key_file = tls_in_store(client, ".key");
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
    struct tls_peer *peer = tls_prepare(line, row->server);
    tls_peer_rules(peer)->version = row->version;
    if (row->asks)
        tls_peer_rules(peer)->client_ca = tls_in_store("ca", ".crt");
    if (row->client != NULL) {
        line->options.tls.certificate_file = tls_in_store(row->client, ".crt");
        line->options.tls.key_file = tls_in_store(row->client, ".key");
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
        {"expired", "redis.test", NULL, false, 0,
         {"TLS with rediss://redis.test:", "its certificate expired on 20", " UTC", "clock"}},
        {"early", "redis.test", NULL, false, 0, {"its certificate is not valid before 20", " UTC", "clock"}},
        {"elsewhere", "redis.test", NULL, false, 0,
         {"its certificate is for a.example, b.example, 10.1.2.3, and not for redis.test", "tls_server_name"}},
        {"elsewhere", "127.0.0.1", NULL, false, 0, {"is for a.example, b.example, 10.1.2.3, and not for 127.0.0.1"}},
        {"many", "redis.test", NULL, false, 0, {"is for a1, a2, a3, a4, ... (6 names), and not for redis.test"}},
        {"strange", "redis.test", NULL, false, 0,
         {"signed by Other CA, which is not among tls_ca_file and tls_ca_directory", "add its CA there"}},
        {"selfmade", "redis.test", NULL, false, 0, {"signed by itself", "tls_ca_file"}},
        {"good", "redis.test", NULL, true, TLS1_3_VERSION,
         {"asks for a client certificate", "tls_certificate_file and tls_key_file"}},
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
    struct tls_peer *peer = tls_prepare(line, "good");
    line->options.tls.ca_file = NULL;
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_until(line, "broken");
    assert_non_null(strstr(line_log(line),
                           "signed by Test CA, which is not among the CAs of this system: name its CA in tls_ca_file"));
    tls_peer_free(peer);
}

static void knows_what_is_no_tls(void **state)
{
    struct line *line = *state;
    struct tls_peer *peer = tls_prepare(line, "good");
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
    struct tls_peer *peer = tls_prepare(line, "good");
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
    const char *crt = tls_in_store("client", ".crt"), *key = tls_in_store("client", ".key");
    const char *locked = tls_in_store("locked", ".key");
    const char *locked_crt = tls_in_store("locked", ".crt");
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
        {{.certificate_file = tls_in_store("good", ".crt"), .key_file = key}, "tls_key_file",
         "does not belong to the certificate"},
        {{.certificate_file = crt, .key_file = tls_in_store("rsaclient", ".key")}, "tls_key_file",
         "does not belong to the certificate"},
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
    struct tls_peer *peer = tls_prepare(line, "good");
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
    struct tls_peer *peer = tls_prepare(line, "good");
    const char *ca = line_path(line, "ca.pem");
    copy_file(tls_in_store("otherca", ".crt"), ca);
    line->options.tls.ca_file = ca;
    line_open(line, "rediss", "redis.test", tls_peer_port(peer));
    line_until(line, "broken");
    copy_file(tls_in_store("ca", ".crt"), ca);
    line->log.size = 0;
    rkb_transport_open(line->transport);
    assert_talks(line, peer);
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
    };
    return cmocka_run_group_tests(tests, tls_make_store, tls_drop_store);
}
