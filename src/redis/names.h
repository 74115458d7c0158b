/*
 * names -- what this machine's files say about host names: addresses in the hosts file (hosts(5)), search domains and
 * ndots in resolv.conf (resolv.conf(5)).
 *
 * Both files are read whole and bounded (base/file.h); one that cannot be read says nothing.
 */
#ifndef RKB_REDIS_NAMES_H
#define RKB_REDIS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct rkb_address {
    struct sockaddr_storage storage;
    socklen_t size;
};

/* The address as text, with the port, into *address. False where it is none. */
bool rkb_address_parse(const char *text, int port, struct rkb_address *address);

/* How many addresses the file has for host, case apart, at most `most`, and these in out. localhost needs no file. */
size_t rkb_hosts_find(const char *path, const char *host, int port, struct rkb_address *out, size_t most);

enum { RKB_SEARCH_MOST = 6, RKB_NAME_SIZE = 256 };

struct rkb_search {
    char domains[RKB_SEARCH_MOST][RKB_NAME_SIZE];
    unsigned count, ndots;
};

void rkb_search_read(const char *path, struct rkb_search *search);
/*
 * The name to ask DNS for at the `which`th try, from 0, into out; false: no more. A host with ndots dots or more is
 * asked for as it is first, then with each domain; with fewer the other way round; one that ends with a dot only as it
 * is.
 */
bool rkb_search_name(const struct rkb_search *search, const char *host, unsigned which, char *out, size_t size);

#endif
