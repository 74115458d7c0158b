/*
 * check_rights -- the rights that a config needs, as lines to be pasted: what the bridge asks of the servers, and no
 * more. Never: a password.
 */
#ifndef RKB_TOOL_CHECK_RIGHTS_H
#define RKB_TOOL_CHECK_RIGHTS_H

#include "config/config.h"

/* ACL SETUSER ..., for redis-cli; lines that begin with # are for people. */
void rkb_rights_redis(const struct rkb_config *config, struct rkb_buffer *out);
/* kafka-acls.sh ..., for a shell; likewise. */
void rkb_rights_kafka(const struct rkb_config *config, struct rkb_buffer *out);
/* "User:bridge": who Kafka takes us for, as far as the config tells; "User:NAME" where it does not. */
#define RKB_PRINCIPAL 320
void rkb_rights_principal(const struct rkb_config *config, char out[RKB_PRINCIPAL]);

#endif
