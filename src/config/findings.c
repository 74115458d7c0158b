/* findings -- see findings.h. */
#include "config/findings.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct rkb_finding *more(struct rkb_findings *findings)
{
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity ? 2 * findings->capacity : 16;
        struct rkb_finding *list = realloc(findings->list, capacity * sizeof *list);
        if (list == NULL)
            return NULL;
        findings->list = list;
        findings->capacity = capacity;
    }
    return &findings->list[findings->count];
}

static void on_one_line(char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            *text = '?';
}

void rkb_findings_add(struct rkb_findings *findings, struct rkb_place place, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct rkb_finding *finding = more(findings);
    if (finding == NULL || vasprintf(&finding->text, format, arguments) < 0) {
        findings->failed = true;
    } else {
        on_one_line(finding->text);
        finding->place = place;
        finding->order = findings->count++;
    }
    va_end(arguments);
}

static int by_place(const void *a, const void *b)
{
    const struct rkb_finding *x = a, *y = b;
    if (x->place.line != y->place.line)
        return x->place.line < y->place.line ? -1 : 1;
    if (x->place.column != y->place.column)
        return x->place.column < y->place.column ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static void write_line(struct rkb_buffer *out, const char *file, const char *kind, const struct rkb_finding *finding)
{
    struct rkb_place place = finding->place;
    if (place.line == 0)
        rkb_buffer_format(out, "%s: %s%s\n", file, kind, finding->text);
    else
        rkb_buffer_format(out, "%s:%zu:%zu: %s%s\n", file, place.line, place.column, kind, finding->text);
}

size_t rkb_findings_finish(struct rkb_findings *findings, const char *file, const char *kind, struct rkb_buffer *out)
{
    size_t count = findings->count + findings->failed;
    if (findings->failed)
        rkb_buffer_format(out, "%s: out of memory\n", file);
    if (findings->count > 0)
        qsort(findings->list, findings->count, sizeof *findings->list, by_place);
    for (size_t i = 0; i < findings->count; i++) {
        write_line(out, file, kind, &findings->list[i]);
        free(findings->list[i].text);
    }
    free(findings->list);
    *findings = (struct rkb_findings){0};
    return count;
}
