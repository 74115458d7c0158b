/* secrets -- the secret values among a client's properties, kept to be found in what librdkafka says of it. */
#ifndef RKB_KAFKA_SECRETS_H
#define RKB_KAFKA_SECRETS_H

#include "kafka/client.h"

struct rkb_secrets {
    char **kept;                /* in the vault */
    size_t count;
};

/* Copies; *secrets is to be freed in any case. */
bool rkb_secrets_keep(struct rkb_secrets *secrets, const struct rkb_property *properties, size_t count,
                      struct rkb_error *error) RKB_MUST_CHECK;
void rkb_secrets_free(struct rkb_secrets *secrets);

/* The words, or others where they repeat a secret or a part of one. */
const char *rkb_secrets_without(const struct rkb_secrets *secrets, const char *words);

#endif
