/*
 * dump -- see dump.h.
 *
 * Bytes that are UTF-8 are a JSON string in member "value" (or "key"), others are base64 in "value_base64"
 * ("key_base64").
 */
#include "tool/dump.h"

#include "base/units.h"
#include "message/base64.h"
#include "message/inverse.h"
#include "message/position.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

static const char *kind_name(enum rkb_kind kind)
{
    switch (kind) {
    case RKB_MESSAGE: return "message";
    case RKB_DICTIONARY: return "name";
    case RKB_MARK: return "mark";
    case RKB_GAP: return "gap";
    case RKB_DEAD: return "dead_letter";
    }
    return "";
}

void rkb_dump_bytes(struct json_t *object, const char *member, struct rkb_slice bytes)
{
    json_t *text = bytes.size == 0 ? json_string("") : json_stringn((const char *)bytes.data, bytes.size);
    if (text != NULL) {
        json_object_set_new(object, member, text);
        return;
    }
    size_t size = rkb_base64_size(bytes.size);
    uint8_t *coded = malloc(size + 1);
    char name[64];
    snprintf(name, sizeof name, "%s_base64", member);
    if (coded != NULL) {
        rkb_base64_encode(coded, bytes);
        json_object_set_new(object, name, json_stringn((const char *)coded, size));
    }
    free(coded);
}

static void set_hex(json_t *object, const char *member, const uint8_t bytes[16])
{
    char text[33] = "";
    rkb_hex(text, bytes, 16);
    json_object_set_new(object, member, json_string(text));
}

/* The name of a number, or the number where no name is known. */
static void set_name(json_t *object, const struct rkb_dump *dump, const char *member, enum rkb_name class,
                     uint32_t number)
{
    const char *name = rkb_dictionary_name(rkb_inspect_names(dump->inspection), class, number);
    json_object_set_new(object, member, name != NULL ? json_string(name) : json_integer(number));
}

static void set_time(json_t *object, int64_t time_us)
{
    char text[24];
    rkb_format_time(text, time_us);
    json_object_set_new(object, "time", json_stringn(text, sizeof text));
}

/* Those that Kafka gets, and those kept behind them. */
static void set_headers(json_t *object, const struct rkb_record *record)
{
    json_t *lists[2] = {json_array(), json_array()};
    struct rkb_reader area = rkb_reader(record->headers.data, record->headers.size);
    struct rkb_slice name, value;
    for (size_t i = 0; rkb_headers_next(&area, &name, &value); i++) {
        json_t *header = json_object();
        rkb_dump_bytes(header, "name", name);
        rkb_dump_bytes(header, "value", value);
        json_array_append_new(lists[i >= record->header_count], header);
    }
    json_object_set_new(object, "headers", lists[0]);
    if (json_array_size(lists[1]) > 0)
        json_object_set(object, "kept", lists[1]);
    json_decref(lists[1]);
}

/* "<mark>:<count>", where its mark is in the journal; epoch and count in any case. */
static void set_position(json_t *object, const struct rkb_dump *dump, const struct rkb_record *record)
{
    size_t from = dump->mark_count > RKB_DUMP_MARKS ? dump->mark_count - RKB_DUMP_MARKS : 0;
    for (size_t i = dump->mark_count; i > from; i--) {
        if (dump->marks[(i - 1) % RKB_DUMP_MARKS].epoch != record->epoch)
            continue;
        char text[48];
        snprintf(text, sizeof text, "%s:%" PRIu32, dump->marks[(i - 1) % RKB_DUMP_MARKS].random, record->count);
        json_object_set_new(object, "position", json_string(text));
        break;
    }
    json_object_set_new(object, "epoch", json_integer((json_int_t)record->epoch));
    json_object_set_new(object, "count", json_integer(record->count));
}

/* What its flags say, where they say something. */
static void set_flags(json_t *object, const struct rkb_record *record)
{
    static const char *const forms[] = {"", "raw", "event", "flat", "merge", "cloudevents", "cloudevents-json"};
    unsigned form = record->flags & RKB_FLAG_FORM;
    if ((record->flags & RKB_FLAG_DEAD) != 0)
        json_object_set_new(object, "dead", json_true());
    if ((record->flags & RKB_FLAG_CHANNEL) != 0)
        json_object_set_new(object, "key_is_channel", json_true());
    if (form != RKB_FORM_UNKNOWN && form < sizeof forms / sizeof forms[0])
        json_object_set_new(object, "form", json_string(forms[form]));
}

/* All but the names of route and topic. */
static void add_content(json_t *object, const struct rkb_dump *dump, const struct rkb_record *record)
{
    set_position(object, dump, record);
    set_flags(object, record);
    if (record->has_key)
        rkb_dump_bytes(object, "key", record->key);
    else
        json_object_set_new(object, "key", json_null());
    set_headers(object, record);
    if (dump->values)
        rkb_dump_bytes(object, "value", record->value);
    else
        json_object_set_new(object, "value_size", json_integer((json_int_t)record->value.size));
}

static void add_message(json_t *object, const struct rkb_dump *dump, const struct rkb_record *record)
{
    set_name(object, dump, "route", RKB_NAME_ROUTE, record->route);
    if (record->topic > 0)
        set_name(object, dump, "topic", RKB_NAME_TOPIC, record->topic);
    add_content(object, dump, record);
}

static void add_mark(json_t *object, struct rkb_dump *dump, const struct rkb_record *record)
{
    struct rkb_mark mark;
    set_name(object, dump, "source", RKB_NAME_SOURCE, record->route);
    if (!rkb_mark_parse(record->value, &mark, NULL)) {
        rkb_dump_bytes(object, "value", record->value);
        return;
    }
    set_hex(object, "mark", mark.random);
    set_hex(object, "before", mark.before);
    json_object_set_new(object, "epoch", json_integer((json_int_t)mark.epoch));
    json_object_set_new(object, "span_count", json_integer((json_int_t)mark.span_count));
    size_t at = dump->mark_count++ % RKB_DUMP_MARKS;
    dump->marks[at].epoch = mark.epoch;
    rkb_hex(dump->marks[at].random, mark.random, 16);
    dump->marks[at].random[32] = '\0';
}

static void add_gap(json_t *object, const struct rkb_dump *dump, const struct rkb_record *record)
{
    json_t *gap = json_loadb((const char *)record->value.data, record->value.size, 0, NULL);
    set_name(object, dump, "source", RKB_NAME_SOURCE, record->route);
    if (gap != NULL)
        json_object_set_new(object, "gap", gap);
    else
        rkb_dump_bytes(object, "value", record->value);
}

static void add_name(json_t *object, const struct rkb_record *record)
{
    static const char *const classes[] = {"", "route", "topic", "source"};
    struct rkb_reader reader = rkb_reader(record->value.data, record->value.size);
    uint8_t class = rkb_read_u8(&reader);
    uint32_t number = rkb_read_u32(&reader);
    json_object_set_new(object, "class", json_string(class <= RKB_NAME_SOURCE ? classes[class] : ""));
    json_object_set_new(object, "number", json_integer(number));
    rkb_dump_bytes(object, "name", rkb_read_slice(&reader, reader.size - reader.at));
}

static void write_line(const struct rkb_dump *dump, json_t *object)
{
    json_dumpf(object, dump->out, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', dump->out);
    json_decref(object);
}

void rkb_dump_dead(void *context, const struct rkb_record *letter, const struct rkb_record *message)
{
    static const char *const members[] = {"route", "topic", "code", "reason"};
    const struct rkb_dump *dump = context;
    json_t *object = json_object();
    json_t *why = json_loadb((const char *)letter->value.data, letter->value.size, 0, NULL);
    json_object_set_new(object, "sequence", json_integer((json_int_t)message->sequence));
    json_object_set_new(object, "kind", json_string(kind_name(letter->kind)));
    set_time(object, message->time_us);
    json_object_set(object, "refused", json_object_get(why, "time"));
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        json_object_set(object, members[i], json_object_get(why, members[i]));
    json_decref(why);
    add_content(object, dump, message);
    write_line(dump, object);
}

void rkb_dump_record(void *context, const struct rkb_record *record)
{
    struct rkb_dump *dump = context;
    json_t *object = json_object();
    if (record->kind != RKB_DICTIONARY) {
        json_object_set_new(object, "sequence", json_integer((json_int_t)record->sequence));
        json_object_set_new(object, "settled", json_boolean(rkb_inspect_settled(dump->inspection, record->sequence)));
    }
    json_object_set_new(object, "kind", json_string(kind_name(record->kind)));
    if (record->kind != RKB_DICTIONARY)
        set_time(object, record->time_us);
    switch (record->kind) {
    case RKB_MESSAGE: add_message(object, dump, record); break;
    case RKB_DICTIONARY: add_name(object, record); break;
    case RKB_MARK: add_mark(object, dump, record); break;
    case RKB_GAP: add_gap(object, dump, record); break;
    case RKB_DEAD: break;       /* none in a segment */
    }
    write_line(dump, object);
}
