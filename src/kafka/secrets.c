/* secrets -- see secrets.h. */
#include "kafka/secrets.h"

#include <stdlib.h>

#include "base/vault.h"

bool rkb_secrets_keep(struct rkb_secrets *secrets, const struct rkb_property *properties, size_t count,
                      struct rkb_error *error)
{
    *secrets = (struct rkb_secrets){.kept = calloc(count + 1, sizeof *secrets->kept)};
    bool good = secrets->kept != NULL;
    for (size_t i = 0; good && i < count; i++)
        if (rkb_kafka_property_secret(properties[i].name))
            good = (secrets->kept[secrets->count++] = rkb_vault_keep(properties[i].value)) != NULL;
    return good || rkb_fail(error, RKB_NO_MEMORY, "no memory for the secrets of Kafka's properties");
}

void rkb_secrets_free(struct rkb_secrets *secrets)
{
    for (size_t i = 0; i < secrets->count; i++)
        rkb_vault_drop(secrets->kept[i]);
    free(secrets->kept);
    *secrets = (struct rkb_secrets){0};
}

const char *rkb_secrets_without(const struct rkb_secrets *secrets, const char *words)
{
    for (size_t i = 0; i < secrets->count; i++)
        if (rkb_vault_repeats(rkb_slice_text(words), secrets->kept[i]))
            return "(librdkafka's words are not shown: they hold a secret)";
    return words;
}
