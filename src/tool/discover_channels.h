/*
 * discover_channels -- what was seen of each channel, in bounded memory, however many channels there are.
 *
 *     a name --known--> its figures
 *            \--new---> room? a place of its own
 *                       none? the names are grouped (discover_names.h), each pattern takes the figures of its channels,
 *                       and there is room again; from then on it counts what it matches
 *                       still none? counted among the others, without a name
 *
 * So a flood of channels with ids in their names costs one pattern, and a channel that comes late still has a name.
 * Never: keeps a payload.
 */
#ifndef RKB_TOOL_DISCOVER_CHANNELS_H
#define RKB_TOOL_DISCOVER_CHANNELS_H

#include "base/bytes.h"

#define RKB_CHANNELS_MOST 10000
#define RKB_PATTERNS_MOST 64            /* that took channels */
#define RKB_CHANNEL_NAME_MOST 1024      /* bytes; a longer name is counted among the others */

enum rkb_payload_form { RKB_FORM_OBJECT, RKB_FORM_JSON, RKB_FORM_TEXT, RKB_FORM_BINARY, RKB_FORMS };

struct rkb_figures {
    uint64_t messages, bytes, largest;  /* of payloads */
    uint64_t forms[RKB_FORMS];          /* of those that were looked into */
    int64_t listeners;                  /* clients subscribed to it by its name; -1: unknown */
};
void rkb_figures_add(struct rkb_figures *sum, const struct rkb_figures *more);

/* A channel, or a pattern that took some. */
struct rkb_seen {
    struct rkb_buffer name;
    struct rkb_figures figures;
    uint64_t taken;                     /* of a pattern: how many channels it took; 0: a channel */
    uint64_t looked;                    /* how often into a payload */
    int64_t looked_us;                  /* monotonic: when last */
};

struct rkb_channels;

/* NULL when memory ran out. */
struct rkb_channels *rkb_channels_new(void);
void rkb_channels_free(struct rkb_channels *channels);

/* Whoever keeps numbers of channels is told of their new ones; `of` has one for each number before. */
typedef void rkb_channels_moved(void *context, const uint32_t *of, size_t count);
void rkb_channels_on_move(struct rkb_channels *channels, rkb_channels_moved *moved, void *context);

#define RKB_CHANNEL_NONE UINT32_MAX
/* The number of the channel, or of the pattern that counts it; NONE: it is among the others. */
uint32_t rkb_channels_number(struct rkb_channels *channels, struct rkb_slice name);
/* Counts a message; number: as above, of a moment ago. */
void rkb_channels_count(struct rkb_channels *channels, uint32_t number, uint64_t size);
/* Whether a payload of it is to be looked into: the first few, then some over time; fewer where there are many. */
bool rkb_channels_look(struct rkb_channels *channels, uint32_t number, int64_t now_us, int64_t pause_us);

/* Numbers go from 0 to size - 1; those of patterns come first. Lent until the next message. */
size_t rkb_channels_size(const struct rkb_channels *channels);
struct rkb_seen *rkb_channels_at(struct rkb_channels *channels, uint32_t number);
/* What has no name here: beyond what is kept. */
const struct rkb_figures *rkb_channels_others(const struct rkb_channels *channels);

#endif
