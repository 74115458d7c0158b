/* canary -- see canary.h, also for the picture. */
#include "daemon/canary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

void rkb_canary_init(struct rkb_canary *canary, const struct rkb_sys *sys)
{
    uint64_t random = 0;
    *canary = (struct rkb_canary){.round_trip.kind = &rkb_histogram_delivery};
    (void)sys->random(&random, sizeof random);
    snprintf(canary->token, sizeof canary->token, "%016" PRIx64, random);
}

void rkb_canary_begin(struct rkb_canary *canary, int64_t now_us)
{
    for (int leg = 0; leg < RKB_CANARY_LEGS; leg++) {
        canary->legs[leg].proven = false;
        canary->legs[leg].since_us = now_us;
    }
}

void rkb_canary_excuse(struct rkb_canary *canary, enum rkb_canary_leg leg, int64_t now_us)
{
    canary->legs[leg].proven = canary->legs[leg].proven || canary->legs[leg].ever;
    canary->legs[leg].since_us = now_us;
}

void rkb_canary_trust(struct rkb_canary *canary, int64_t now_us)
{
    for (int leg = 0; leg < RKB_CANARY_LEGS; leg++) {
        canary->legs[leg].proven = true;
        canary->legs[leg].since_us = now_us;
    }
}

/* ---- sending ---- */

/* What all of ours begin with, up to the number. */
static int write_head(const struct rkb_canary *canary, char *out, size_t size)
{
    return snprintf(out, size, "{\"token\":\"%s\",\"number\":", canary->token);
}

struct rkb_slice rkb_canary_next(const struct rkb_canary *canary, const char *instance, const char *source,
                                 int64_t real_us, char out[RKB_CANARY_PAYLOAD])
{
    char time[24];
    int used = write_head(canary, out, RKB_CANARY_PAYLOAD);
    rkb_format_time(time, real_us);
    used += snprintf(out + used, RKB_CANARY_PAYLOAD - (size_t)used,
                     "%" PRIu64 ",\"instance\":\"%.64s\",\"source\":\"%.64s\",\"sent\":\"%.24s\"}", canary->sent + 1,
                     instance, source, time);
    return rkb_slice(out, (size_t)used);
}

static struct rkb_canary_flight *flight_of(struct rkb_canary *canary, uint64_t number)
{
    return &canary->flights[number % RKB_CANARIES];
}

void rkb_canary_sent(struct rkb_canary *canary, int64_t now_us, int64_t real_us)
{
    uint64_t number = ++canary->sent;
    *flight_of(canary, number) = (struct rkb_canary_flight){.number = number, .sent_us = now_us,
                                                            .sent_real_us = real_us};
}

void rkb_canary_unsent(struct rkb_canary *canary)
{
    flight_of(canary, canary->sent)->number = 0;
    canary->sent--;
}

/* ---- coming back ---- */

/* The number in a payload of ours; 0: it is none. */
static uint64_t number_in(const struct rkb_canary *canary, struct rkb_slice payload)
{
    char head[64], digits[21] = "";
    size_t used = (size_t)write_head(canary, head, sizeof head), count = 0;
    if (payload.size <= used || memcmp(payload.data, head, used) != 0)
        return 0;
    for (; used + count < payload.size && count < sizeof digits - 1; count++) {
        digits[count] = (char)payload.data[used + count];
        if (digits[count] < '0' || digits[count] > '9')
            break;
    }
    digits[count] = '\0';
    return strtoumax(digits, NULL, 10);
}

static void prove(struct rkb_canary *canary, enum rkb_canary_leg leg, const struct rkb_canary_flight *flight)
{
    canary->legs[leg].proven = canary->legs[leg].ever = true;
    if (flight->sent_us > canary->legs[leg].since_us)
        canary->legs[leg].since_us = flight->sent_us;
}

bool rkb_canary_came(struct rkb_canary *canary, struct rkb_slice payload, uint64_t record)
{
    uint64_t number = number_in(canary, payload);
    if (number <= canary->last || number > canary->sent)        /* not ours, come already, or not sent by us */
        return false;
    struct rkb_canary_flight *flight = flight_of(canary, number);
    canary->last = number;
    canary->received++;
    if (flight->number == number)
        prove(canary, RKB_CANARY_REDIS, flight);
    if (record == 0)
        return true;
    canary->taken++;
    if (flight->number == number) {
        flight->place = canary->taken;
        flight->record = record;
    }
    return true;
}

/* ---- acknowledged ---- */

/* Those that are acknowledged now, oldest first, but for the first `failed` of them: they became dead letters. */
static void time_them(struct rkb_canary *canary, uint64_t newest, int64_t newest_us, uint64_t failed)
{
    uint64_t first = canary->sent > RKB_CANARIES ? canary->sent - RKB_CANARIES + 1 : 1;
    for (uint64_t number = first; number <= canary->sent; number++) {
        const struct rkb_canary_flight *flight = flight_of(canary, number);
        if (flight->place <= canary->passed + failed || flight->record > newest)
            continue;
        rkb_histogram_add_span(&canary->round_trip, newest_us - flight->sent_us);
        prove(canary, RKB_CANARY_KAFKA, flight);
        canary->success_us = flight->sent_real_us;
    }
}

/* The highest place of those whose records are not above `newest`; `passed` where there is none. */
static uint64_t highest_place(const struct rkb_canary *canary, uint64_t newest)
{
    uint64_t place = canary->passed;
    for (size_t i = 0; i < RKB_CANARIES; i++) {
        const struct rkb_canary_flight *flight = &canary->flights[i];
        if (flight->place > place && flight->record <= newest)
            place = flight->place;
    }
    return place;
}

void rkb_canary_shipped(struct rkb_canary *canary, uint64_t newest, int64_t newest_us, uint64_t dead_letters)
{
    uint64_t place = highest_place(canary, newest), settled = place - canary->passed;
    if (canary->taken > canary->passed)         /* else it is one of a life before */
        canary->dead += dead_letters - canary->dead_seen;
    canary->dead_seen = dead_letters;
    if (settled == 0)
        return;
    uint64_t failed = canary->dead < settled ? canary->dead : settled - 1;
    time_them(canary, newest, newest_us, failed);
    canary->acknowledged += settled - failed;
    canary->passed = place;
    canary->dead = 0;
}

int64_t rkb_canary_age_us(const struct rkb_canary *canary, enum rkb_canary_leg leg, int64_t now_us)
{
    int64_t age_us = now_us - canary->legs[leg].since_us;
    return age_us > 0 ? age_us : 0;
}
