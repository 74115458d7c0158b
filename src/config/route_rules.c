/* route_rules -- see route_rules.h. */
#include "config/route_rules.h"

#include "message/glob.h"

/* Names of ours are plain words: their JSON form is themselves. */
static struct rkb_name_forms forms(const char *name)
{
    struct rkb_slice text = rkb_slice_text(name == NULL ? "" : name);
    return (struct rkb_name_forms){text, text};
}

/* A route's messages have as many captures as the poorest of its subscriptions; an exact channel has none. */
static void count_captures(const struct rkb_config_route *route, struct rkb_template_scope *scope)
{
    scope->captures = route->channels.count > 0 ? 0 : RKB_CAPTURES;
    scope->captures_of = route->channels.count > 0 ? route->channels.texts[0] : NULL;
    for (size_t i = 0; i < route->patterns.count; i++) {
        size_t stars = rkb_glob_stars(rkb_slice_text(route->patterns.texts[i]));
        if (stars < scope->captures) {
            scope->captures = stars;
            scope->captures_of = route->patterns.texts[i];
        }
    }
}

void rkb_route_rules(const struct rkb_config_route *route, struct rkb_name_forms instance,
                     struct rkb_route_rules *rules)
{
    size_t headers = route->headers.count < RKB_ROUTE_HEADERS ? route->headers.count : RKB_ROUTE_HEADERS;
    for (size_t i = 0; i < headers; i++)
        rules->headers[i] = (struct rkb_envelope_header){route->headers.list[i].name, route->headers.list[i].value};
    rules->spec = (struct rkb_rules_spec){
        .envelope = {
            .preset = route->envelope,
            .value = route->value,
            .name = route->name_template,
            .payload_name = route->payload_name,
            .when_taken = (enum rkb_when_taken)route->when_taken,
            .key = route->key,
            .topic = route->topic,
            .headers = rules->headers,
            .header_count = headers,
            .rkb_headers = route->rkb_headers,
            .scope = {.route = forms(route->name), .source = forms(route->source), .instance = instance},
        },
        .checks = rkb_config_checks(route),
        .payload = (enum rkb_payload_kind)route->payload,
        .missing = (enum rkb_missing)route->missing,
        .depth = (size_t)route->max_depth,
    };
    count_captures(route, &rules->spec.envelope.scope);
}
