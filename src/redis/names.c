/* names -- see names.h. */
#include "redis/names.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"

enum { LONGEST_FILE = 1 << 20, MOST_DOTS = 15 };

static const char blanks[] = " \t\r";

bool rkb_address_parse(const char *text, int port, struct rkb_address *address)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    *address = (struct rkb_address){.size = 0};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
        address->size = sizeof four;
        memcpy(&address->storage, &four, sizeof four);
    } else if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1) {
        address->size = sizeof six;
        memcpy(&address->storage, &six, sizeof six);
    }
    return address->size > 0;
}

/* The file's text, NUL-terminated, to be freed; NULL where it cannot be read. */
static char *read_text(const char *path)
{
    size_t size;
    struct rkb_error error;
    char *text = malloc(LONGEST_FILE + 1);
    if (text == NULL || !rkb_file_read(path, text, LONGEST_FILE, &size, &error)) {
        free(text);
        return NULL;
    }
    text[size] = '\0';
    return text;
}

/* The next line without its comment; NULL at the end. */
static char *next_line(char **rest)
{
    char *line = strsep(rest, "\n");
    if (line != NULL)
        line[strcspn(line, "#;")] = '\0';
    return line;
}

static bool same_name(const char *a, const char *b)
{
    size_t length = strlen(b);
    return strncasecmp(a, b, length) == 0 && (a[length] == '\0' || strcmp(a + length, ".") == 0);
}

/* "127.0.0.1 localhost alias": whether the host is among the names. *address: the first word. */
static bool line_names(char *line, const char *host, const char **address)
{
    char *rest = NULL;
    *address = strtok_r(line, blanks, &rest);
    for (const char *name; *address != NULL && (name = strtok_r(NULL, blanks, &rest)) != NULL;)
        if (same_name(host, name))
            return true;
    return false;
}

size_t rkb_hosts_find(const char *path, const char *host, int port, struct rkb_address *out, size_t most)
{
    char *text = read_text(path), *rest = text;
    size_t count = 0;
    for (char *line; count < most && (line = next_line(&rest)) != NULL;) {
        const char *address;
        if (line_names(line, host, &address) && rkb_address_parse(address, port, &out[count]))
            count++;
    }
    free(text);
    if (count == 0 && most >= 2 && same_name(host, "localhost"))
        count = (size_t)rkb_address_parse("127.0.0.1", port, &out[0]) + (size_t)rkb_address_parse("::1", port, &out[1]);
    return count;
}

static void add_domain(struct rkb_search *search, const char *domain)
{
    size_t length = strlen(domain);
    if (length > 0 && domain[length - 1] == '.')
        length--;
    if (length == 0 || length >= sizeof search->domains[0] || search->count == RKB_SEARCH_MOST)
        return;
    memcpy(search->domains[search->count], domain, length);
    search->domains[search->count++][length] = '\0';
}

/* The last of the lines "search a b c" and "domain a" counts. */
static void read_line(struct rkb_search *search, char *line)
{
    char *rest = NULL;
    const char *word = strtok_r(line, blanks, &rest);
    bool domains = word != NULL && (strcmp(word, "search") == 0 || strcmp(word, "domain") == 0);
    bool options = word != NULL && strcmp(word, "options") == 0;
    if (domains)
        search->count = 0;
    while ((domains || options) && (word = strtok_r(NULL, blanks, &rest)) != NULL) {
        if (domains)
            add_domain(search, word);
        else if (strncmp(word, "ndots:", 6) == 0)
            search->ndots = (unsigned)strtoul(word + 6, NULL, 10);
    }
}

void rkb_search_read(const char *path, struct rkb_search *search)
{
    char *text = read_text(path), *rest = text;
    search->count = 0;
    search->ndots = 1;
    for (char *line; (line = next_line(&rest)) != NULL;)
        read_line(search, line);
    if (search->ndots > MOST_DOTS)
        search->ndots = MOST_DOTS;
    free(text);
}

bool rkb_search_name(const struct rkb_search *search, const char *host, unsigned which, char *out, size_t size)
{
    unsigned dots = 0;
    size_t length = strlen(host);
    for (const char *at = host; (at = strchr(at, '.')) != NULL; at++)
        dots++;
    bool absolute = length > 0 && host[length - 1] == '.';
    unsigned as_it_is = absolute || dots >= search->ndots ? 0 : search->count;
    unsigned domain = which > as_it_is ? which - 1 : which;
    if (which > (absolute ? 0 : search->count))
        return false;
    if (which == as_it_is)
        snprintf(out, size, "%s", host);
    else
        snprintf(out, size, "%s.%s", host, search->domains[domain]);
    return true;
}
