/*
 * admins -- control.admins and control.admin_groups: names become numbers once, here, since asking for a name may wait.
 *
 * A name that this machine does not know gives nobody a right: it is warned about, and no reason not to run.
 */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#include "config/check.h"

#define NUMBER_DIGITS 10
#define NONE UINT32_MAX         /* no user's and no group's number */

/* A number as it stands there; false: it is a name. */
static bool read_number(const char *text, uint32_t *number)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > NUMBER_DIGITS || text[digits] != '\0')
        return false;
    unsigned long long value = strtoull(text, NULL, 10);
    *number = value < NONE ? (uint32_t)value : NONE;
    return true;
}

static uint32_t user_number(const char *name)
{
    const struct passwd *entry = getpwnam(name);
    return entry != NULL ? (uint32_t)entry->pw_uid : NONE;
}

static uint32_t group_number(const char *name)
{
    const struct group *entry = getgrnam(name);
    return entry != NULL ? (uint32_t)entry->gr_gid : NONE;
}

static void find_numbers(struct rkb_reading *reading, const char *path, const struct rkb_texts *names, const char *what,
                         uint32_t (*number_of)(const char *name), struct rkb_numbers *numbers)
{
    numbers->list = calloc(names->count + 1, sizeof *numbers->list);
    if (numbers->list == NULL) {
        reading->findings.failed = true;
        return;
    }
    for (size_t i = 0; i < names->count; i++) {
        uint32_t number;
        if (!read_number(names->texts[i], &number))
            number = number_of(names->texts[i]);
        if (number != NONE)
            numbers->list[numbers->count++] = number;
        else
            rkb_reading_warning(reading, &reading->global, path,
                                "there is no %s %.60s on this machine: it gives nobody a right; make it, or take its "
                                "name out", what, names->texts[i]);
    }
}

void rkb_check_admins(struct rkb_reading *reading)
{
    struct rkb_config *config = reading->config;
    find_numbers(reading, "control.admins", &config->control.admins, "user", user_number,
                 &config->control.admin_users);
    find_numbers(reading, "control.admin_groups", &config->control.admin_groups, "group", group_number,
                 &config->control.admin_group_numbers);
}
