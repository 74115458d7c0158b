/* budget -- see budget.h. */
#include "redis/budget.h"

#define NEAR_SECONDS 1.0                /* a budget below this, while the buffer grows, is an alarm ... */
#define FAR_SECONDS 2.0                 /* ... that ends above this */

void rkb_budget_begin(struct rkb_budget *budget)
{
    budget->buffer = -1;
    budget->rate = 0;
    budget->growing = false;
    budget->above_soft_us = budget->sampled_us = 0;
}

static bool above_soft(const struct rkb_budget *budget)
{
    return budget->has_limits && budget->limits.soft > 0 && budget->buffer > (int64_t)budget->limits.soft;
}

void rkb_budget_sample(struct rkb_budget *budget, int64_t now_us, int64_t buffer, uint64_t read)
{
    int64_t passed_us = now_us - budget->sampled_us, known = buffer >= 0 && budget->buffer >= 0;
    if (budget->sampled_us != 0 && passed_us > 0) {
        double more = (double)(read - budget->read) + (known ? (double)(buffer - budget->buffer) : 0);
        budget->rate = more > 0 ? more * 1e6 / (double)passed_us : 0;
    }
    budget->growing = buffer > 0 && buffer > budget->buffer;
    budget->buffer = buffer;
    budget->read = read;
    budget->sampled_us = now_us;
    if (!above_soft(budget))
        budget->above_soft_us = 0;
    else if (budget->above_soft_us == 0)
        budget->above_soft_us = now_us;
}

static double time_to(const struct rkb_budget *budget, uint64_t limit)
{
    double left = (double)limit - (double)budget->buffer;
    return left > 0 ? left / budget->rate : 0;
}

double rkb_budget_seconds(const struct rkb_budget *budget, int64_t now_us)
{
    double seconds = -1;
    if (!budget->has_limits || budget->buffer < 0 || budget->rate <= 0)
        return -1;
    if (budget->limits.hard > 0)
        seconds = time_to(budget, budget->limits.hard);
    if (budget->limits.soft > 0) {
        double above = budget->above_soft_us != 0 ? (double)(now_us - budget->above_soft_us) / 1e6 : 0;
        double soft = time_to(budget, budget->limits.soft) + (double)budget->limits.soft_seconds - above;
        soft = soft > 0 ? soft : 0;
        seconds = seconds < 0 || soft < seconds ? soft : seconds;
    }
    return seconds;
}

/* level 1: to raise the alarm; 0.5: to keep it. */
static bool is_high(const struct rkb_budget *budget, double level, int64_t now_us)
{
    const struct rkb_output_limits *limits = &budget->limits;
    double seconds = rkb_budget_seconds(budget, now_us), buffer = (double)budget->buffer;
    double near = level < 1 ? FAR_SECONDS : NEAR_SECONDS;
    if (!budget->has_limits || budget->buffer <= 0)
        return false;
    if (limits->hard > 0 && buffer > (double)limits->hard / 2 * level)
        return true;
    if (limits->soft > 0 && buffer > (double)limits->soft * level && (level < 1 || (budget->above_soft_us != 0 &&
        now_us - budget->above_soft_us > limits->soft_seconds * 500000)))
        return true;
    return budget->growing && seconds >= 0 && seconds < near;
}

bool rkb_budget_alarm(struct rkb_budget *budget, int64_t now_us)
{
    budget->alarm = is_high(budget, budget->alarm ? 0.5 : 1, now_us);
    return budget->alarm;
}

bool rkb_budget_was_high(const struct rkb_budget *budget)
{
    return budget->has_limits && budget->buffer > 0 &&
           (above_soft(budget) || (budget->limits.hard > 0 && budget->buffer > (int64_t)budget->limits.hard / 2));
}

bool rkb_budget_filling(const struct rkb_budget *budget)
{
    uint64_t limit = budget->limits.soft > 0 ? budget->limits.soft : budget->limits.hard;
    return budget->has_limits && limit > 0 && budget->buffer > (int64_t)(limit / 16);
}
