/*
 * yaml -- see yaml.h.
 *
 *     file --> bytes (size, NUL, UTF-8) --> events (depth, one document) --> document
 *
 * The events are read once before the document is built, because libyaml builds whatever it is given.
 */
#include "config/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message/utf8.h"

static const struct rkb_place whole_file = {0, 0};

static struct rkb_place place_of_mark(yaml_mark_t mark)
{
    return (struct rkb_place){mark.line + 1, mark.column + 1};
}

/* Columns count characters: continuation bytes do not move them. */
static struct rkb_place place_of_byte(const char *bytes, size_t at)
{
    struct rkb_place place = {1, 1};
    for (size_t i = 0; i < at; i++) {
        if (bytes[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)bytes[i] & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

/* Reads until there is no more, or more than RKB_YAML_SIZE. The buffer never grows: that would leave a copy behind. */
static bool read_all(int fd, struct rkb_buffer *out)
{
    (void)rkb_buffer_reserve(out, RKB_YAML_SIZE + 65536 + 1);
    while (out->size <= RKB_YAML_SIZE) {
        uint8_t *at = rkb_buffer_reserve(out, 65536);
        ssize_t got = at == NULL ? -1 : read(fd, at, 65536);
        if (at == NULL)
            errno = ENOMEM;
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        out->size += (size_t)got;
    }
    return true;
}

static bool read_file(struct rkb_yaml *yaml, const char *path, struct rkb_findings *findings)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct rkb_buffer bytes = {0};
    bool read = fd >= 0 && read_all(fd, &bytes);
    if (!read)
        rkb_findings_add(findings, whole_file, "cannot be read: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    yaml->bytes = (char *)bytes.data;
    yaml->size = bytes.size;
    if (read && yaml->size > RKB_YAML_SIZE) {
        rkb_findings_add(findings, whole_file, "is longer than %zu MiB; that is no configuration", RKB_YAML_SIZE >> 20);
        return false;
    }
    return read;
}

static void drop_byte_order_mark(struct rkb_yaml *yaml)
{
    if (yaml->size >= 3 && memcmp(yaml->bytes, "\xef\xbb\xbf", 3) == 0) {
        yaml->size -= 3;
        memmove(yaml->bytes, yaml->bytes + 3, yaml->size);
    }
}

static bool check_bytes(const struct rkb_yaml *yaml, struct rkb_findings *findings)
{
    const char *nul = memchr(yaml->bytes, '\0', yaml->size);
    if (nul != NULL) {
        rkb_findings_add(findings, place_of_byte(yaml->bytes, (size_t)(nul - yaml->bytes)),
                         "a NUL byte; the file must be UTF-8 text");
        return false;
    }
    for (size_t at = 0, skip, step; at < yaml->size; at += step) {
        step = rkb_utf8_step(rkb_slice(yaml->bytes + at, yaml->size - at), &skip);
        if (step == 0) {
            rkb_findings_add(findings, place_of_byte(yaml->bytes, at), "not UTF-8");
            return false;
        }
    }
    return true;
}

/* What people most often mean when they meet these. */
static const char *advice(const struct rkb_yaml *yaml, const yaml_parser_t *parser)
{
    struct rkb_place place = place_of_mark(parser->problem_mark);
    for (size_t i = 0; i < yaml->size && place.line > 1; i++)
        if (yaml->bytes[i] == '\n' && --place.line == 1)
            place.column += i + 1;
    size_t at = place.column - 1;
    if (at < yaml->size && yaml->bytes[at] == '\t')
        return "; indent with spaces, YAML takes no tabs";
    if (parser->error == YAML_COMPOSER_ERROR || (parser->context != NULL && strstr(parser->context, "alias") != NULL))
        return "; put quotes around text that begins with * or &";
    return "";
}

static void add_syntax(const struct rkb_yaml *yaml, const yaml_parser_t *parser, struct rkb_findings *findings)
{
    const char *problem = parser->problem != NULL ? parser->problem : "out of memory";
    if (parser->error == YAML_READER_ERROR)
        rkb_findings_add(findings, place_of_byte(yaml->bytes, parser->problem_offset), "not YAML: %s", problem);
    else if (parser->context != NULL && parser->context_mark.index != parser->problem_mark.index)
        rkb_findings_add(findings, place_of_mark(parser->problem_mark), "not YAML: %s (%s, line %zu)%s", problem,
                         parser->context, parser->context_mark.line + 1, advice(yaml, parser));
    else
        rkb_findings_add(findings, place_of_mark(parser->problem_mark), "not YAML: %s%s", problem,
                         advice(yaml, parser));
}

/* What the parser has read holds the file's secrets; its memory goes back to malloc as it is. */
static void end_parser(yaml_parser_t *parser)
{
    explicit_bzero(parser->raw_buffer.start, (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
    explicit_bzero(parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
    yaml_parser_delete(parser);
}

static void end_event(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        explicit_bzero(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}

static void end_document(yaml_document_t *document)
{
    for (yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++)
        if (node->type == YAML_SCALAR_NODE)
            explicit_bzero(node->data.scalar.value, node->data.scalar.length);
    yaml_document_delete(document);
}

static bool start_parser(yaml_parser_t *parser, const struct rkb_yaml *yaml, struct rkb_findings *findings)
{
    if (!yaml_parser_initialize(parser)) {
        findings->failed = true;
        return false;
    }
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)yaml->bytes, yaml->size);
    return true;
}

/* What is wrong with the document's shape once this event is in it, or NULL. */
static const char *count_event(const yaml_event_t *event, size_t *depth, size_t *documents)
{
    switch (event->type) {
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return ++*depth > RKB_YAML_DEPTH ? "nested too deep" : NULL;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        --*depth;
        return NULL;
    case YAML_DOCUMENT_START_EVENT:
        return ++*documents > 1 ? "a second document; a file holds one" : NULL;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_ALIAS_EVENT:
    case YAML_SCALAR_EVENT:
        return NULL;
    }
    return NULL;
}

static bool check_shape(const struct rkb_yaml *yaml, struct rkb_findings *findings)
{
    yaml_parser_t parser;
    if (!start_parser(&parser, yaml, findings))
        return false;
    size_t depth = 0, documents = 0;
    bool good = true, end = false;
    while (good && !end) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            add_syntax(yaml, &parser, findings);
            good = false;
            break;
        }
        const char *mistake = count_event(&event, &depth, &documents);
        if (mistake != NULL)
            rkb_findings_add(findings, place_of_mark(event.start_mark), "%s", mistake);
        good = mistake == NULL;
        end = event.type == YAML_STREAM_END_EVENT;
        end_event(&event);
    }
    end_parser(&parser);
    return good;
}

static bool build(struct rkb_yaml *yaml, struct rkb_findings *findings)
{
    yaml_parser_t parser;
    if (!start_parser(&parser, yaml, findings))
        return false;
    yaml->loaded = yaml_parser_load(&parser, &yaml->document);
    if (!yaml->loaded)
        add_syntax(yaml, &parser, findings);
    end_parser(&parser);
    return yaml->loaded;
}

bool rkb_yaml_load(struct rkb_yaml *yaml, const char *path, struct rkb_findings *findings)
{
    *yaml = (struct rkb_yaml){0};
    if (!read_file(yaml, path, findings))
        return false;
    drop_byte_order_mark(yaml);
    return check_bytes(yaml, findings) && check_shape(yaml, findings) && build(yaml, findings);
}

void rkb_yaml_free(struct rkb_yaml *yaml)
{
    if (yaml->loaded)
        end_document(&yaml->document);
    if (yaml->bytes != NULL)
        explicit_bzero(yaml->bytes, yaml->size);
    free(yaml->bytes);
    *yaml = (struct rkb_yaml){0};
}

const yaml_node_t *rkb_yaml_root(struct rkb_yaml *yaml)
{
    return yaml_document_get_root_node(&yaml->document);
}

const yaml_node_t *rkb_yaml_node(struct rkb_yaml *yaml, int number)
{
    return yaml_document_get_node(&yaml->document, number);
}

struct rkb_place rkb_yaml_place(const yaml_node_t *node)
{
    return place_of_mark(node->start_mark);
}

bool rkb_yaml_nothing(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
           node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

const char *rkb_yaml_text(const yaml_node_t *scalar)
{
    return (const char *)scalar->data.scalar.value;
}
