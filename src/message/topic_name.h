/*
 * topic_name -- the name that a topic's template makes of a message, as one that Kafka takes.
 *
 * The rule: each byte outside A-Z a-z 0-9 . _ - becomes _, so two names may come to be one. What is no name even then
 * (empty, "." or "..", longer than 249, or a slot of the template finds nothing) is none.
 */
#ifndef RKB_MESSAGE_TOPIC_NAME_H
#define RKB_MESSAGE_TOPIC_NAME_H

#include "message/template.h"

#define RKB_TOPIC_NAME 249
/* Why a name that is one is not for a route's records: it is some route's dead_letter. */
#define RKB_TOPIC_FOR_LETTERS "the topic is one for dead letters"

/* Writes the name with its NUL. NULL: it is one; else why there is none, without a word of the message. */
const char *rkb_topic_name(const struct rkb_template *template, const struct rkb_facts *facts,
                           char name[RKB_TOPIC_NAME + 1]);
/* True for what Kafka takes as it stands. */
bool rkb_topic_name_taken(const char *name);

#endif
