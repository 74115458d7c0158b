/* kafka_reader -- reads back, from the embedded Kafka, what stands in a partition of a topic. */
#ifndef TEST_KAFKA_READER_H
#define TEST_KAFKA_READER_H

#include "kafka/mock.h"

struct kafka_reader;

struct kafka_reader *kafka_reader_new(struct rkb_mock *mock);
void kafka_reader_free(struct kafka_reader *reader);
/*
 * Each record from the first to the last there is now, in order; how many there are. Ends the test where one does not
 * come.
 */
size_t kafka_read(struct kafka_reader *reader, const char *topic, int partition,
                  void (*visit)(void *context, const rd_kafka_message_t *message), void *context);

#endif
