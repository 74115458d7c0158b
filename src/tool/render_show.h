/*
 * render_show -- a rendering for people, or as a line of JSON.
 */
#ifndef RKB_TOOL_RENDER_SHOW_H
#define RKB_TOOL_RENDER_SHOW_H

#include "tool/rendering.h"

/* Only for a rendering that a route took. */
void rkb_rendering_text(const struct rkb_rendering *rendering, const struct rkb_config *config, FILE *out);
bool rkb_rendering_json(const struct rkb_rendering *rendering, const struct rkb_config *config, FILE *out);

/* What becomes of it, in a line without its newline: "a dead letter (require): ...". */
void rkb_rendering_words(const struct rkb_rendering *rendering, FILE *out);

#endif
