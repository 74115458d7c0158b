/*
 * yaml -- the file as libyaml's document, with the place of whatever is in it.
 *
 * One document, UTF-8 without NUL bytes, at most 4 MiB, nested at most 32 deep. Aliases are followed by libyaml, so a
 * document may be a graph: whoever walks it must bound its steps by something else than its end.
 */
#ifndef RKB_CONFIG_YAML_H
#define RKB_CONFIG_YAML_H

#include <yaml.h>

#include "config/findings.h"

#define RKB_YAML_SIZE ((size_t)4 << 20)
#define RKB_YAML_DEPTH 32

struct rkb_yaml {
    char *bytes;                /* the file, without a byte order mark */
    size_t size;
    yaml_document_t document;
    bool loaded;
};

/* False, and one finding, where the file cannot be read or is not YAML. rkb_yaml_free is needed in any case. */
bool rkb_yaml_load(struct rkb_yaml *yaml, const char *path, struct rkb_findings *findings) RKB_MUST_CHECK;
void rkb_yaml_free(struct rkb_yaml *yaml);

/* NULL for an empty document. */
const yaml_node_t *rkb_yaml_root(struct rkb_yaml *yaml);
const yaml_node_t *rkb_yaml_node(struct rkb_yaml *yaml, int number);

struct rkb_place rkb_yaml_place(const yaml_node_t *node);
/* Where the byte at `offset` of a scalar's value is written; the place of the scalar where it is a folded block. */
struct rkb_place rkb_yaml_place_in(const struct rkb_yaml *yaml, const yaml_node_t *scalar, size_t offset);

/* True for a scalar that is nothing at all, as in `log:` with nothing behind it. */
bool rkb_yaml_nothing(const yaml_node_t *node);
/* The scalar's bytes; libyaml puts a NUL behind them. */
const char *rkb_yaml_text(const yaml_node_t *scalar);

#endif
