/*
 * records -- what stands in a topic at this moment, each record once, without a consumer group: for the tools.
 *
 * A consumer of its own, which commits nothing and makes no topic. Every call waits for Kafka, for as long as it is
 * given. One thread.
 */
#ifndef RKB_KAFKA_RECORDS_H
#define RKB_KAFKA_RECORDS_H

#include "base/bytes.h"
#include "kafka/client.h"

struct rkb_records;

/* properties: as for a producer, lent for the call. NULL and *error where no client can be made. */
struct rkb_records *rkb_records_new(const struct rkb_property *properties, size_t count, struct rkb_error *error);
/* NULL is allowed. */
void rkb_records_free(struct rkb_records *records);

/* Lent for the call of visit. */
struct rkb_read_record {
    const char *topic;
    int32_t partition;
    int64_t offset;
    bool has_key;
    struct rkb_slice key, value;
    struct rkb_slice headers;           /* as in a journal: base/headers.h */
};

/*
 * Visits each record of the topic from its first to the last that it has when asked, partition by partition as they
 * come. False: RKB_USAGE there is no such topic; RKB_REFUSED not authorised; RKB_TIMEOUT nothing came for timeout_ms;
 * RKB_NO_MEMORY.
 */
bool rkb_records_visit(struct rkb_records *records, const char *topic, int timeout_ms,
                       void (*visit)(void *context, const struct rkb_read_record *record), void *context,
                       struct rkb_error *error) RKB_MUST_CHECK;

#endif
