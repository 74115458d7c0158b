/* dead_world -- see dead_world.h. */
#include "dead_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void refuse_next(struct world *world, size_t count, rd_kafka_resp_err_t error)
{
    for (size_t i = 0; i < count; i++)
        rd_kafka_mock_push_request_errors_array(rkb_mock_cluster(world->mock), PRODUCE, 1, &error);
}

void open_by_hand(struct world *world)
{
    world_open(world);
    world_start(world);
    world_by_hand(world);
}

void begin(struct world *world)
{
    world->letters = true;
    open_by_hand(world);
}

bool low_is(struct world *world, uint64_t wanted)
{
    return rkb_acks_low(rkb_journal_acks(world->journal)) == wanted;
}

bool low_is_at_last(struct world *world, uint64_t wanted)
{
    world->hand_us += SECOND;
    return low_is(world, wanted);
}

bool in_flight(struct world *world, uint64_t wanted)
{
    return world->shipper->lanes.in_flight == wanted;
}

void settle_all(struct world *world)
{
    rkb_shipper_take(world->shipper);
    world_turn_until(world, low_is, world->next, "all to be settled");
}

const struct rkb_shipped_route *books(struct world *world, uint32_t route)
{
    const struct rkb_shipped_route *books = &world->shipper->figures->routes[route];
    assert_int_equal(books->delivered + books->dead_lettered, books->settled);
    return books;
}

void expect_books(struct world *world, uint64_t delivered, uint64_t dead_lettered)
{
    assert_int_equal(books(world, 1)->delivered + books(world, 2)->delivered, delivered);
    assert_int_equal(books(world, 1)->dead_lettered + books(world, 2)->dead_lettered, dead_lettered);
}

/* ---- dead letters as they come from the ring ---- */

static size_t headers_of(uint8_t *at, const char *code, const char *reason, uint16_t *count)
{
    struct rkb_letter letter = {.of = {[RKB_LETTER_CODE] = rkb_slice_text(code),
                                       [RKB_LETTER_REASON] = rkb_slice_text(reason),
                                       [RKB_LETTER_ROUTE] = rkb_slice_text("first"),
                                       [RKB_LETTER_CHANNEL] = rkb_slice_text("chan"),
                                       [RKB_LETTER_ID] = rkb_slice_text("the id")}};
    size_t size = rkb_letter_size(&letter, count);
    rkb_letter_write(&letter, at);
    return size;
}

void put_letter(struct world *world, uint32_t topic, const char *value)
{
    uint8_t headers[200];
    uint16_t count;
    size_t size = headers_of(headers, "require", "/id is missing", &count);
    world_put_record(world, (struct rkb_record){
        .kind = RKB_MESSAGE, .flags = RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | 1, .header_count = count, .route = 1,
        .topic = topic, .has_key = true, .key = rkb_slice_text("chan"), .headers = rkb_slice(headers, size),
        .value = rkb_slice_text(value)});
}

static void note(char *out, size_t size, struct rkb_slice bytes)
{
    snprintf(out, size, "%.*s", (int)bytes.size, bytes.data != NULL ? (const char *)bytes.data : "");
}

static struct found *add_found(struct pile *pile, struct rkb_slice key, struct rkb_slice value,
                               struct rkb_slice headers)
{
    assert_true(pile->count < MOST_FOUND);
    struct found *found = &pile->letters[pile->count++];
    struct rkb_letter letter;
    memset(found, 0, sizeof *found);
    note(found->key, sizeof found->key, key);
    note(found->value, sizeof found->value, value);
    rkb_letter_read(headers, &letter);
    for (size_t i = 0; i < RKB_LETTER_HEADERS; i++) {
        found->has[i] = letter.of[i].data != NULL;
        note(found->of[i], sizeof found->of[i], letter.of[i]);
    }
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name, content;
    while (rkb_headers_next(&area, &name, &content)) {
        found->headers++;
        if (rkb_letter_names(name))
            continue;
        size_t used = strlen(found->others);
        snprintf(found->others + used, sizeof found->others - used, "%.*s=%.*s;", (int)name.size, name.data,
                 (int)content.size, content.data);
    }
    return found;
}

static void see(void *context, const rd_kafka_message_t *message)
{
    struct rkb_buffer area = {0};
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    assert_int_equal(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        struct rkb_slice slices[] = {rkb_slice_text(name), rkb_slice(value, size)};
        uint8_t *at = rkb_buffer_reserve(&area, rkb_header_size(slices[0], slices[1]));
        rkb_header_write(at, slices[0], slices[1]);
        area.size += rkb_header_size(slices[0], slices[1]);
    }
    add_found(context, rkb_slice(message->key, message->key_len), rkb_slice(message->payload, message->len),
              rkb_slice(area.data, area.size));
    rkb_buffer_free(&area);
}

const struct pile *in_topic(struct world *world)
{
    static struct pile pile;
    pile.count = 0;
    world_read_letters(world, see, &pile);
    return &pile;
}

/* The member of the JSON line, which has no escapes in these tests. */
static void member(struct rkb_slice json, const char *name, char *out, size_t size)
{
    char text[600], wanted[40];
    note(text, sizeof text, json);
    snprintf(wanted, sizeof wanted, "\"%s\":\"", name);
    const char *at = strstr(text, wanted);
    assert_non_null(at);
    at += strlen(wanted);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\""), at);
}

const struct pile *in_file(struct world *world)
{
    static struct pile pile;
    char *path = join(world->directory, "dead-letters");
    pile.count = 0;
    if (count_files(world->directory, "dead-letters") > 0) {
        size_t size, offset = RKB_SEGMENT_HEADER;
        uint8_t *bytes = read_whole(path, &size);
        struct rkb_segment_head head;
        struct rkb_record letter, message;
        assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
        while (rkb_dead_next(bytes, size, head.salt, &offset, &letter, &message, NULL) == RKB_PARSE_RECORD) {
            struct found *found = add_found(&pile, message.key, message.value, message.headers);
            found->flags = message.flags;
            found->sequence = message.sequence;
            member(letter.value, "code", found->code, sizeof found->code);
            member(letter.value, "reason", found->reason, sizeof found->reason);
            member(letter.value, "topic", found->topic, sizeof found->topic);
        }
        free(bytes);
    }
    free(path);
    return &pile;
}

void expect_letter(const struct found *found, const char *value)
{
    assert_string_equal(found->value, value);
    assert_string_equal(found->key, "chan");
    assert_string_equal(found->of[RKB_LETTER_CODE], "require");
    assert_string_equal(found->of[RKB_LETTER_REASON], "/id is missing");
    assert_string_equal(found->of[RKB_LETTER_CHANNEL], "chan");
    assert_string_equal(found->of[RKB_LETTER_ID], "the id");
    assert_false(found->has[RKB_LETTER_TOPIC]);
    assert_false(found->has[RKB_LETTER_FORM]);
}
