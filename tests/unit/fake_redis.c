/* fake_redis -- see fake_redis.h. */
#include "fake_redis.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"

enum { MOST_WORDS = 256, MOST_NAMES = 1024 };

struct fake_redis {
    struct event_base *base;
    struct evconnlistener *listener;
    struct bufferevent *client;
    struct evbuffer *waiting;           /* to be said, a byte a turn */
    struct event *next_byte;
    struct fake_rules rules;
    struct rkb_buffer heard;
    char *channels[MOST_NAMES], *patterns[MOST_NAMES];
    int channel_count, pattern_count;
};

static void need(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    abort();
}

static void forget(char **names, int *count)
{
    while (*count > 0)
        free(names[--*count]);
}

void fake_redis_cut(struct fake_redis *fake)
{
    if (fake->client != NULL)
        bufferevent_free(fake->client);
    fake->client = NULL;
    evbuffer_drain(fake->waiting, evbuffer_get_length(fake->waiting));
    forget(fake->channels, &fake->channel_count);
    forget(fake->patterns, &fake->pattern_count);
}

static void say_byte(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct fake_redis *fake = arg;
    const struct timeval now = {0, 0};
    char byte;
    if (fake->client == NULL || evbuffer_remove(fake->waiting, &byte, 1) != 1)
        return;
    if (write(bufferevent_getfd(fake->client), &byte, 1) == 1 && evbuffer_get_length(fake->waiting) > 0)
        event_add(fake->next_byte, &now);
}

static void say(struct fake_redis *fake, const void *data, size_t size)
{
    const struct timeval now = {0, 0};
    if (fake->client == NULL || fake->rules.mute)
        return;
    if (!fake->rules.one_byte) {
        bufferevent_write(fake->client, data, size);
        return;
    }
    evbuffer_add(fake->waiting, data, size);
    event_add(fake->next_byte, &now);
}

void fake_redis_say(struct fake_redis *fake, const char *bytes)
{
    say(fake, bytes, strlen(bytes));
}

void fake_redis_publish(struct fake_redis *fake, const char *pattern, const char *channel, const char *payload)
{
    struct rkb_buffer text = {0};
    if (pattern == NULL)
        rkb_buffer_text(&text, "*3\r\n$7\r\nmessage\r\n");
    else
        rkb_buffer_format(&text, "*4\r\n$8\r\npmessage\r\n$%zu\r\n%s\r\n", strlen(pattern), pattern);
    rkb_buffer_format(&text, "$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(channel), channel, strlen(payload), payload);
    say(fake, text.data, text.size);
    rkb_buffer_free(&text);
}

static void confirm(struct fake_redis *fake, const char *word, const char *name)
{
    struct rkb_buffer text = {0};
    if (fake->rules.confirmations == 0)
        return;
    if (fake->rules.confirmations > 0)
        fake->rules.confirmations--;
    rkb_buffer_format(&text, "*3\r\n$%zu\r\n%s\r\n", strlen(word), word);
    if (name == NULL)
        rkb_buffer_text(&text, "$-1\r\n");
    else
        rkb_buffer_format(&text, "$%zu\r\n%s\r\n", strlen(name), name);
    rkb_buffer_format(&text, ":%d\r\n", fake->channel_count + fake->pattern_count);
    say(fake, text.data, text.size);
    rkb_buffer_free(&text);
}

static bool is_refused(const struct fake_redis *fake, bool is_pattern, const char *name)
{
    char shown[256];
    snprintf(shown, sizeof shown, " %s%s ", is_pattern ? "~" : "", name);
    return fake->rules.refused != NULL && strstr(fake->rules.refused, shown) != NULL;
}

static void refuse_command(struct fake_redis *fake, const char *word)
{
    fake_redis_say(fake, "-NOPERM this user has no permissions to run the '");
    fake_redis_say(fake, word);
    fake_redis_say(fake, "' command\r\n");
}

static void subscribe(struct fake_redis *fake, const char *word, char **names, int *count, char **words, int size)
{
    if (fake->rules.subscribe_reply != NULL) {
        fake_redis_say(fake, fake->rules.subscribe_reply);
        return;
    }
    if (fake->rules.refused_command != NULL && strcmp(fake->rules.refused_command, words[0]) == 0) {
        refuse_command(fake, word);
        return;
    }
    for (int i = 1; i < size; i++) {
        if (is_refused(fake, word[0] == 'p', words[i])) {
            fake_redis_say(fake,
                           "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n");
            return;
        }
    }
    for (int i = 1; i < size; i++) {
        const char *name = words[fake->rules.reversed ? size - i : i];
        need(*count < MOST_NAMES, "names");
        names[(*count)++] = strdup(name);
        confirm(fake, word, name);
    }
}

static void forget_name(char **names, int *count, const char *name)
{
    for (int i = 0; i < *count; i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        free(names[i]);
        names[i] = names[--*count];
    }
}

static void unsubscribe(struct fake_redis *fake, const char *word, char **names, int *count, char **words, int size)
{
    if (fake->rules.refused_command != NULL && strcmp(fake->rules.refused_command, words[0]) == 0) {
        refuse_command(fake, word);
        return;
    }
    if (fake->rules.unsubscribe_reply != NULL) {
        fake_redis_say(fake, fake->rules.unsubscribe_reply);
        return;
    }
    for (int i = 1; i < size; i++) {
        forget_name(names, count, words[i]);
        confirm(fake, word, words[i]);
    }
    if (size > 1)
        return;
    if (*count == 0)
        confirm(fake, word, NULL);
    while (*count > 0) {
        char *name = names[--*count];
        confirm(fake, word, name);
        free(name);
    }
}

static void log_in(struct fake_redis *fake, char **words, int count)
{
    const char *user = count == 3 ? words[1] : NULL, *password = words[count - 1];
    const struct fake_rules *rules = &fake->rules;
    bool good = rules->password != NULL && strcmp(rules->password, password) == 0 &&
                (rules->user == NULL ? user == NULL : user != NULL && strcmp(rules->user, user) == 0);
    if (rules->auth_reply != NULL)
        fake_redis_say(fake, rules->auth_reply);
    else
        fake_redis_say(fake, good ? "+OK\r\n" : "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
}

static void answer_ping(struct fake_redis *fake)
{
    if (fake->rules.mute_pings)
        return;
    if (fake->rules.ping_reply != NULL)
        fake_redis_say(fake, fake->rules.ping_reply);
    else
        fake_redis_say(fake, fake->channel_count + fake->pattern_count > 0 ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
                                                                           : "+PONG\r\n");
}

/* False: there is no script for it. */
static bool follow_script(struct fake_redis *fake, char **words, int count)
{
    char command[512] = "";
    for (int i = 0; i < count; i++)
        snprintf(command + strlen(command), sizeof command - strlen(command), "%s%s", i > 0 ? " " : "", words[i]);
    for (const struct fake_script *script = fake->rules.scripts; script != NULL && script->command != NULL; script++) {
        if (strcmp(script->command, command) != 0)
            continue;
        if (script->reply != NULL)
            fake_redis_say(fake, script->reply);
        return true;
    }
    return false;
}

static void answer(struct fake_redis *fake, char **words, int count)
{
    const struct fake_rules *rules = &fake->rules;
    if (follow_script(fake, words, count))
        return;
    if (strcmp(words[0], "AUTH") == 0)
        log_in(fake, words, count);
    else if (strcmp(words[0], "CLIENT") == 0 && count == 2 && strcmp(words[1], "ID") == 0)
        fake_redis_say(fake, ":7\r\n");
    else if (strcmp(words[0], "CLIENT") == 0)
        fake_redis_say(fake, rules->setname_reply != NULL ? rules->setname_reply : "+OK\r\n");
    else if (strcmp(words[0], "PING") == 0)
        answer_ping(fake);
    else if (strcmp(words[0], "PUBLISH") == 0)
        fake_redis_say(fake, rules->publish_reply != NULL ? rules->publish_reply : ":1\r\n");
    else if (strcmp(words[0], "SUBSCRIBE") == 0)
        subscribe(fake, "subscribe", fake->channels, &fake->channel_count, words, count);
    else if (strcmp(words[0], "PSUBSCRIBE") == 0)
        subscribe(fake, "psubscribe", fake->patterns, &fake->pattern_count, words, count);
    else if (strcmp(words[0], "UNSUBSCRIBE") == 0)
        unsubscribe(fake, "unsubscribe", fake->channels, &fake->channel_count, words, count);
    else if (strcmp(words[0], "PUNSUBSCRIBE") == 0)
        unsubscribe(fake, "punsubscribe", fake->patterns, &fake->pattern_count, words, count);
    else
        fake_redis_say(fake, "-ERR unknown command\r\n");
}

static bool must_cut(struct fake_redis *fake, const char *command)
{
    if (fake->rules.cuts == 0 || fake->rules.cut_at == NULL || strcmp(fake->rules.cut_at, command) != 0)
        return false;
    fake->rules.cuts--;
    return true;
}

/* False: the client is gone. */
static bool take_command(struct fake_redis *fake, char **words, int count)
{
    for (int i = 0; i < count; i++)
        rkb_buffer_format(&fake->heard, "%s%s", words[i], i + 1 < count ? " " : "\n");
    if (must_cut(fake, words[0])) {
        fake_redis_cut(fake);
        return false;
    }
    if (strcmp(words[0], "UNSUBSCRIBE") == 0 && fake->rules.before_unsubscribe != NULL)
        fake_redis_say(fake, fake->rules.before_unsubscribe);
    answer(fake, words, count);
    return true;
}

/* The number behind a '*' or '$' and where its line ends; -1 where the line is not whole. */
static long take_number(const char *data, size_t size, size_t *at)
{
    const char *end = *at < size ? memchr(data + *at, '\n', size - *at) : NULL;
    if (end == NULL)
        return -1;
    long value = strtol(data + *at + 1, NULL, 10);
    *at = (size_t)(end - data) + 1;
    return value;
}

/* One whole command at the front of the input: its words, copied, and its size; -1 where it is not whole. */
static int read_words(const char *data, size_t size, char **words, size_t *used)
{
    size_t at = 0;
    long count = take_number(data, size, &at);
    need(count < MOST_WORDS, "words");
    for (int i = 0; i < count; i++) {
        long length = take_number(data, size, &at);
        if (length < 0 || at + (size_t)length + 2 > size) {
            forget(words, &i);
            return -1;
        }
        words[i] = strndup(data + at, (size_t)length);
        at += (size_t)length + 2;
    }
    *used = at;
    return (int)count;
}

static void on_input(struct bufferevent *client, void *arg)
{
    struct fake_redis *fake = arg;
    struct evbuffer *input = bufferevent_get_input(client);
    for (bool there = true; there && evbuffer_get_length(input) > 0;) {
        char *words[MOST_WORDS];
        size_t size = evbuffer_get_length(input), used = 0;
        int count = read_words((const char *)evbuffer_pullup(input, -1), size, words, &used);
        if (count <= 0)
            return;
        evbuffer_drain(input, used);
        there = take_command(fake, words, count);
        forget(words, &count);
    }
}

static void on_end(struct bufferevent *client, short what, void *arg)
{
    (void)client;
    (void)what;
    struct fake_redis *fake = arg;
    rkb_buffer_text(&fake->heard, "(closed)\n");
    fake_redis_cut(fake);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *arg)
{
    (void)listener;
    (void)address;
    (void)size;
    struct fake_redis *fake = arg;
    fake_redis_cut(fake);
    fake->client = bufferevent_socket_new(fake->base, fd, BEV_OPT_CLOSE_ON_FREE);
    need(fake->client != NULL, "bufferevent");
    bufferevent_setcb(fake->client, on_input, NULL, on_end, fake);
    bufferevent_enable(fake->client, EV_READ | EV_WRITE);
    if (must_cut(fake, "CONNECT"))
        fake_redis_cut(fake);
    else if (fake->rules.greeting != NULL)
        fake_redis_say(fake, fake->rules.greeting);
}

static socklen_t fill_address(struct sockaddr_storage *storage, const char *path, bool six)
{
    if (path != NULL) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
        memcpy(storage, &un, sizeof un);
        return sizeof un;
    }
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    memcpy(storage, six ? (void *)&in6 : (void *)&in, six ? sizeof in6 : sizeof in);
    return six ? sizeof in6 : sizeof in;
}

struct fake_redis *fake_redis_new(struct event_base *base, const char *path, bool six)
{
    struct fake_redis *fake = calloc(1, sizeof *fake);
    struct sockaddr_storage storage = {0};
    socklen_t size = fill_address(&storage, path, six);
    need(fake != NULL, "fake");
    signal(SIGPIPE, SIG_IGN);       /* as the daemon does: either side may be gone when the other writes */
    fake->base = base;
    fake->rules.confirmations = -1;
    fake->waiting = evbuffer_new();
    fake->next_byte = evtimer_new(base, say_byte, fake);
    fake->listener = evconnlistener_new_bind(base, on_accept, fake, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 16,
                                             (struct sockaddr *)&storage, (int)size);
    need(fake->waiting != NULL && fake->next_byte != NULL && fake->listener != NULL, "listen");
    return fake;
}

void fake_redis_free(struct fake_redis *fake)
{
    if (fake == NULL)
        return;
    fake_redis_cut(fake);
    evconnlistener_free(fake->listener);
    event_free(fake->next_byte);
    evbuffer_free(fake->waiting);
    rkb_buffer_free(&fake->heard);
    free(fake);
}

int fake_redis_port(const struct fake_redis *fake)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    need(getsockname(evconnlistener_get_fd(fake->listener), (struct sockaddr *)&address, &size) == 0, "getsockname");
    /* The port stands in the same place for both families. */
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

struct fake_rules *fake_redis_rules(struct fake_redis *fake)
{
    return &fake->rules;
}

const char *fake_redis_heard(struct fake_redis *fake)
{
    uint8_t *end = rkb_buffer_reserve(&fake->heard, 1);
    need(end != NULL, "memory");
    *end = '\0';
    return (const char *)fake->heard.data;
}
