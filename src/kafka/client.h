/*
 * client -- the producer's configuration: our defaults, the user's properties, and what would break a rule.
 *
 * Ours: idempotent, acks=all, message.timeout.ms=0 (what waits, waits in the journal), partitioner murmur2_random (as
 * Java's), a small queue. A property that would break one of these is refused with the reason.
 */
#ifndef RKB_KAFKA_CLIENT_H
#define RKB_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

#include "base/error.h"

struct rkb_property {
    const char *name, *value;
};

/*
 * Is this a property librdkafka knows, with a value it takes, that breaks no rule of ours? Never repeats the value of a
 * secret (password, secret, key).
 */
bool rkb_kafka_property_check(const char *name, const char *value, struct rkb_error *error) RKB_MUST_CHECK;

/* Is the value of this property one that nobody may see? */
bool rkb_kafka_property_secret(const char *name);
/* Does text (librdkafka's words) repeat one of the secrets among these, or a part of it? */
bool rkb_kafka_holds_secret(const char *text, const struct rkb_property *properties, size_t count);

/*
 * A configuration for a producer; the caller owns it. NULL and *error where the properties do not go
 * together. Connects to nothing.
 */
rd_kafka_conf_t *rkb_kafka_conf(const struct rkb_property *properties, size_t count, struct rkb_error *error);

#endif
