/* check_report -- see check_report.h. */
#include "tool/check_report.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"

static const char *const grades[] = {"BAD", "WARN", "OK"};

/* ---- adding ---- */

static char *escaped(const char *text)
{
    struct rkb_buffer line = {0};
    rkb_escape(RKB_ESCAPE_PLAIN, rkb_slice_text(text), &line);
    rkb_buffer_add(&line, "", 1);
    return (char *)line.data;
}

static struct rkb_report_line *more(struct rkb_report *report)
{
    if (report->count == report->capacity) {
        size_t capacity = report->capacity > 0 ? 2 * report->capacity : 32;
        struct rkb_report_line *list = realloc(report->list, capacity * sizeof *list);
        if (list == NULL)
            return NULL;
        report->list = list;
        report->capacity = capacity;
    }
    return &report->list[report->count];
}

static void add(struct rkb_report *report, enum rkb_grade grade, const char *setting, struct rkb_place place,
                const char *text)
{
    struct rkb_report_line *line = more(report);
    if (line == NULL) {
        report->failed = true;
        return;
    }
    *line = (struct rkb_report_line){.grade = grade, .place = place, .text = escaped(text),
                                     .setting = setting != NULL ? escaped(setting) : NULL};
    report->failed = report->failed || line->text == NULL || (setting != NULL && line->setting == NULL);
    report->count++;
}

void rkb_report_add(struct rkb_report *report, enum rkb_grade grade, const char *setting, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const struct rkb_place none = {0, 0};
    add(report, grade, setting, setting != NULL ? rkb_places_find(report->places, setting) : none, text);
}

void rkb_report_change(struct rkb_report *report, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (report->count == 0)
        return;
    struct rkb_report_line *line = &report->list[report->count - 1];
    free(line->change);
    line->change = escaped(text);
    report->failed = report->failed || line->change == NULL;
}

/* "12:7: what" behind the file's name; false: the line names no place. */
static bool read_place(const char **text, struct rkb_place *place)
{
    char *end;
    size_t line = strtoul(*text, &end, 10);
    if (end == *text || *end != ':')
        return false;
    const char *second = end + 1;
    size_t column = strtoul(second, &end, 10);
    if (end == second || strncmp(end, ": ", 2) != 0)
        return false;
    *place = (struct rkb_place){line, column};
    *text = end + 2;
    return true;
}

static void add_mistake(struct rkb_report *report, enum rkb_grade grade, const char *text)
{
    static const char warning[] = "warning: ";
    struct rkb_place place = {0, 0};
    size_t file = strlen(report->file);
    if (strncmp(text, report->file, file) == 0 && text[file] == ':') {
        text += file + 1;
        text += *text == ' ';
        (void)read_place(&text, &place);
    }
    if (strncmp(text, warning, sizeof warning - 1) == 0)
        text += sizeof warning - 1;
    add(report, grade, NULL, place, text);
}

/* The line that begins at *at, without its end; *at moves behind it. False: there is none. */
static bool next_line(const struct rkb_buffer *lines, size_t *at, struct rkb_slice *line)
{
    if (*at >= lines->size)
        return false;
    *line = rkb_slice(lines->data + *at, lines->size - *at);
    const uint8_t *end = memchr(line->data, '\n', line->size);
    if (end != NULL)
        line->size = (size_t)(end - line->data);
    *at += line->size + 1;
    return true;
}

void rkb_report_mistakes(struct rkb_report *report, enum rkb_grade grade, const struct rkb_buffer *lines)
{
    struct rkb_slice line;
    for (size_t at = 0; next_line(lines, &at, &line);) {
        char *text = strndup((const char *)line.data, line.size);
        if (text != NULL)
            add_mistake(report, grade, text);
        report->failed = report->failed || text == NULL;
        free(text);
    }
}

/* ---- showing ---- */

enum rkb_grade rkb_report_verdict(const struct rkb_report *report)
{
    enum rkb_grade worst = report->failed ? RKB_GRADE_BAD : RKB_GRADE_OK;
    for (size_t i = 0; i < report->count; i++)
        if (report->list[i].grade < worst)
            worst = report->list[i].grade;
    return worst;
}

static void count_grades(const struct rkb_report *report, size_t counts[3])
{
    memset(counts, 0, 3 * sizeof *counts);
    for (size_t i = 0; i < report->count; i++)
        counts[report->list[i].grade]++;
}

static void print_line(const struct rkb_report *report, const struct rkb_report_line *line, FILE *out)
{
    fprintf(out, "%-4s %s:", grades[line->grade], report->file);
    if (line->place.line > 0)
        fprintf(out, "%zu:%zu:", line->place.line, line->place.column);
    if (line->setting != NULL)
        fprintf(out, " %s:", line->setting);
    fprintf(out, " %s%s%s\n", line->text, line->change != NULL ? "; to change: " : "",
            line->change != NULL ? line->change : "");
}

static void print_rights(const char *title, const struct rkb_buffer *lines, FILE *out)
{
    if (lines->size == 0)
        return;
    fprintf(out, "\n%s\n", title);
    fwrite(lines->data, 1, lines->size, out);
}

void rkb_report_text(struct rkb_report *report, FILE *out)
{
    size_t counts[3];
    for (int grade = RKB_GRADE_BAD; grade <= RKB_GRADE_OK; grade++)
        for (size_t i = 0; i < report->count; i++)
            if (report->list[i].grade == (enum rkb_grade)grade)
                print_line(report, &report->list[i], out);
    print_rights("# The rights that Redis has to give, for redis-cli:", &report->redis_rights, out);
    print_rights("# The rights that Kafka has to give, where it asks for rights at all:", &report->kafka_rights, out);
    count_grades(report, counts);
    if (report->count > 0)
        fputc('\n', out);
    if (report->failed)
        fputs("memory ran out: what stands above is not all\n", out);
    fprintf(out, "%s: %s: %zu BAD, %zu WARN, %zu OK\n", report->file, grades[rkb_report_verdict(report)], counts[0],
            counts[1], counts[2]);
}

static json_t *json_line(const char *file, const struct rkb_report_line *line)
{
    return json_pack("{s:s, s:s, s:I, s:I, s:s?, s:s, s:s?}", "grade", grades[line->grade], "file", file,
                     "line", (json_int_t)line->place.line, "column", (json_int_t)line->place.column, "setting",
                     line->setting, "text", line->text, "change", line->change);
}

/* Those that can be pasted. */
static json_t *json_rights(const struct rkb_buffer *lines)
{
    json_t *list = json_array();
    struct rkb_slice line;
    for (size_t at = 0; next_line(lines, &at, &line);)
        if (line.size > 0 && line.data[0] != '#')
            json_array_append_new(list, json_stringn((const char *)line.data, line.size));
    return list;
}

void rkb_report_json(struct rkb_report *report, FILE *out)
{
    json_t *findings = json_array();
    char *file = escaped(report->file);
    for (int grade = RKB_GRADE_BAD; grade <= RKB_GRADE_OK; grade++)
        for (size_t i = 0; i < report->count; i++)
            if (report->list[i].grade == (enum rkb_grade)grade)
                json_array_append_new(findings, json_line(file != NULL ? file : "", &report->list[i]));
    json_t *whole = json_pack("{s:s, s:o, s:o, s:o}", "verdict", grades[rkb_report_verdict(report)], "findings",
                              findings, "redis_rights", json_rights(&report->redis_rights), "kafka_rights",
                              json_rights(&report->kafka_rights));
    char *text = whole != NULL ? json_dumps(whole, JSON_COMPACT) : NULL;
    if (text != NULL)
        fprintf(out, "%s\n", text);
    report->failed = report->failed || text == NULL;
    free(text);
    free(file);
    json_decref(whole);
}

void rkb_report_free(struct rkb_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        free(report->list[i].setting);
        free(report->list[i].text);
        free(report->list[i].change);
    }
    free(report->list);
    rkb_buffer_free(&report->redis_rights);
    rkb_buffer_free(&report->kafka_rights);
}
