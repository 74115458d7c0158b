/* topic_name -- see topic_name.h. Allocates nothing. */
#include "message/topic_name.h"

static bool is_allowed(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '.'
        || byte == '_' || byte == '-';
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

const char *rkb_topic_name(const struct rkb_template *template, const struct rkb_facts *facts,
                           char name[RKB_TOPIC_NAME + 1])
{
    if (!rkb_template_whole(template, facts))
        return "a slot of the topic's template finds nothing";
    size_t size = rkb_template_size(template, facts);
    if (size == 0)
        return "the topic's name is empty";
    if (size > RKB_TOPIC_NAME)
        return "the topic's name is longer than 249 bytes";
    rkb_template_render(template, facts, (uint8_t *)name);
    for (size_t i = 0; i < size; i++)
        if (!is_allowed((uint8_t)name[i]))
            name[i] = '_';
    name[size] = '\0';
    return is_dots(name) ? "the topic's name is . or .., which Kafka does not take" : NULL;
}

bool rkb_topic_name_taken(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < size; i++)
        if (!is_allowed((uint8_t)name[i]))
            return false;
    return size > 0 && size <= RKB_TOPIC_NAME && !is_dots(name);
}
