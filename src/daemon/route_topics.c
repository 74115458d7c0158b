/*
 * route_topics -- see route_topics.h.
 *
 * Promise: a number is given only when its dictionary record stands in the ring; a route never names a topic for dead
 * letters. Never: allocates for a name that is known; lets names take more of a segment than leaves room for others.
 */
#include "daemon/route_topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/topic_name.h"

struct rkb_route_topics {
    const struct rkb_template *template;
    bool per_channel;
    uint32_t most, count, topic_limit;
    uint8_t named[];                    /* a bit for each number up to topic_limit */
};

static size_t size_of(uint32_t topic_limit)
{
    return sizeof(struct rkb_route_topics) + topic_limit / 8 + 1;
}

struct rkb_route_topics *rkb_route_topics_new(const struct rkb_template *template, uint32_t max_topics,
                                              uint32_t topic_limit)
{
    struct rkb_route_topics *topics = calloc(1, size_of(topic_limit));
    if (topics == NULL)
        return NULL;
    topics->template = template;
    topics->per_channel = rkb_template_per_channel(template);
    topics->most = max_topics;
    topics->topic_limit = topic_limit;
    return topics;
}

bool rkb_route_topics_widen(struct rkb_route_topics **topics, uint32_t topic_limit)
{
    size_t size = size_of((*topics)->topic_limit), wider = size_of(topic_limit);
    if (topic_limit <= (*topics)->topic_limit)
        return true;
    struct rkb_route_topics *grown = realloc(*topics, wider);
    if (grown == NULL)
        return false;
    memset((uint8_t *)grown + size, 0, wider - size);
    grown->topic_limit = topic_limit;
    *topics = grown;
    return true;
}

void rkb_route_topics_inherit(struct rkb_route_topics *to, const struct rkb_route_topics *from)
{
    uint32_t limit = from->topic_limit < to->topic_limit ? from->topic_limit : to->topic_limit;
    memcpy(to->named, from->named, limit / 8 + 1);
    to->count = from->count;
}

uint32_t rkb_route_topics_left(const struct rkb_route_topics *topics, uint32_t max_topics)
{
    uint32_t count = topics != NULL ? topics->count : 0;
    return max_topics > count ? max_topics - count : 0;
}

void rkb_route_topics_free(struct rkb_route_topics *topics)
{
    free(topics);
}

bool rkb_route_topics_has(const struct rkb_route_topics *topics, uint32_t topic)
{
    return topics != NULL && topic <= topics->topic_limit && (topics->named[topic / 8] >> topic % 8 & 1) != 0;
}

static uint32_t refuse(struct rkb_verdict *verdict, enum rkb_verdict_kind kind, const char *code, const char *why)
{
    verdict->kind = kind;
    verdict->code = code;
    snprintf(verdict->reason, sizeof verdict->reason, "%.199s", why);
    return 0;
}

static bool is_for_letters(const struct rkb_relay *relay, uint32_t topic)
{
    for (size_t i = 0; i < relay->options.config->route_count; i++)
        if (topic != 0 && relay->routes[i].dead_topic == topic)
            return true;
    return false;
}

/* Gives it a number. Half of what the journal can bear is left to the names of later starts. */
static uint32_t give_number(struct rkb_relay *relay, struct rkb_slice name, struct rkb_verdict *verdict)
{
    struct rkb_error error;
    if (rkb_dictionary_bytes(relay->dictionary) + rkb_dictionary_new_size(name) > relay->names_limit)
        return refuse(verdict, RKB_REJECTED, "topic", "a new topic, and the names of topics take a quarter of a "
                      "segment already; make journal.segment_size larger");
    uint32_t topic = rkb_relay_name(relay, RKB_NAME_TOPIC, name, RKB_RELAY_KEEP, &error);
    if (topic != 0)
        return topic;
    return refuse(verdict, RKB_DROPPED, error.code == RKB_FULL ? "journal_full" : "no_memory", error.text);
}

/* A topic that the route has not named yet. topic: its number, 0 where nobody has named it. */
static uint32_t take_up(struct rkb_relay *relay, struct rkb_route_topics *topics, uint32_t topic, struct rkb_slice name,
                        struct rkb_verdict *verdict)
{
    if (is_for_letters(relay, topic))
        return refuse(verdict, RKB_REJECTED, "topic", RKB_TOPIC_FOR_LETTERS);
    if (topics->count >= topics->most) {
        refuse(verdict, RKB_REJECTED, "topic", "");
        snprintf(verdict->reason, sizeof verdict->reason,
                 "a new topic, and the route has named %u already (max_topics)", topics->count);
        return 0;
    }
    /* A change of routes that failed has taken numbers for its names. */
    uint32_t number = topic != 0 ? topic : rkb_dictionary_count(relay->dictionary, RKB_NAME_TOPIC) + 1;
    if (number > relay->topic_limit || number > topics->topic_limit)
        return refuse(verdict, RKB_REJECTED, "topic", "a new topic, and there is no place for more; reload or restart");
    if (topic == 0)
        topic = give_number(relay, name, verdict);
    if (topic == 0)
        return 0;
    topics->named[topic / 8] |= (uint8_t)(1u << topic % 8);
    topics->count++;
    return topic;
}

uint32_t rkb_route_topic(struct rkb_relay *relay, const struct rkb_relay_route *route, struct rkb_channel *channel,
                         const struct rkb_facts *facts, struct rkb_verdict *verdict)
{
    struct rkb_route_topics *topics = route->topics;
    char text[RKB_TOPIC_NAME + 1];
    if (topics->per_channel && channel->topic != 0)
        return channel->topic;
    const char *why = rkb_topic_name(topics->template, facts, text);
    if (why != NULL)
        return refuse(verdict, RKB_REJECTED, "topic", why);
    struct rkb_slice name = rkb_slice_text(text);
    uint32_t topic = rkb_dictionary_number(relay->dictionary, RKB_NAME_TOPIC, name);
    if (!rkb_route_topics_has(topics, topic))       /* of 0 it has none */
        topic = take_up(relay, topics, topic, name, verdict);
    if (topics->per_channel)
        channel->topic = topic;
    return topic;
}
