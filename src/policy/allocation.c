/* Weighted max-min fairness: the level is searched over the servers that are not yet decided. */
#include "policy/allocation.h"
#include "base/u64.h"

/* 2^-53 of the first bracket: below it a double cannot tell two levels apart. One step in HALVING halves it for sure. */
#define LEVEL_STEPS 240
#define HALVING     3
/* A step that leaves less of the bracket than this on one side says too little about the other. */
#define LEAST_PART (1.0 / 16)

/* The bracket [low, high] of the level, and what the servers decided so far take at any level within it. */
typedef struct {
    double low_level, high_level, middle;
    double low_rest,
        high_rest; /* what the low level leaves of the budget, and the high one asks beyond it; or part of it */
    bool was_low;         /* the last step has moved the low level */
    double decided_bytes; /* of those that stay at their low or high throughout the bracket */
    double linear_weight; /* of those that follow the level throughout the bracket */
    double middle_bytes;  /* of the others, at the middle */
} Bracket;

static double share_at(const Share *share, double level)
{
    double bytes = level * share->weight;
    if (bytes <= (double)share->low_bytes)
        return (double)share->low_bytes;
    return bytes >= (double)share->high_bytes ? (double)share->high_bytes : bytes;
}

/* Where a straight line between both ends meets the budget, and now and then the very middle. */
static double middle_of(const Bracket *bracket, int step)
{
    double width = bracket->high_level - bracket->low_level, part = 0.5;
    if (step % HALVING != HALVING - 1)
        part = bracket->low_rest / (bracket->low_rest + bracket->high_rest);
    part = part < LEAST_PART ? LEAST_PART : (part > 1 - LEAST_PART ? 1 - LEAST_PART : part);
    return bracket->low_level + part * width;
}

/* The middle becomes one of the ends. The other one, when it stays twice in a row, counts half, which draws the next
 * middle over to it: the Illinois algorithm (Dowell and Jarratt, BIT 11, 1971). */
static void halve(Bracket *bracket, double budget)
{
    double rest =
        budget - (bracket->decided_bytes + bracket->linear_weight * bracket->middle + bracket->middle_bytes);
    bool low = rest >= 0;
    if (low) {
        bracket->low_level = bracket->middle;
        bracket->low_rest = rest;
        bracket->high_rest /= bracket->was_low ? 2 : 1;
    } else {
        bracket->high_level = bracket->middle;
        bracket->high_rest = -rest;
        bracket->low_rest /= bracket->was_low ? 1 : 2;
    }
    bracket->was_low = low;
}

/* Drops the servers that the narrowed bracket decides, and sums up the others; returns how many stay open. Where
 * levels would be compared, the bytes at that level are: no division. */
static size_t narrow(const Share *shares, uint32_t *open, size_t n_open, Bracket *bracket)
{
    const double low_level = bracket->low_level, high_level = bracket->high_level, middle = bracket->middle;
    /* Sums in registers: through memory each step would wait for the one before. */
    double decided = bracket->decided_bytes, linear = bracket->linear_weight, sum = 0;
    size_t kept = 0;
    for (size_t k = 0; k < n_open; k++) {
        const Share *share = &shares[open[k]];
        double low = (double)share->low_bytes, high = (double)share->high_bytes;
        double least = low_level * share->weight, most = high_level * share->weight;
        if (low >= most) {
            decided += low;
        } else if (high <= least) {
            decided += high;
        } else if (low <= least && high >= most) {
            linear += share->weight;
        } else {
            sum += share_at(share, middle);
            open[kept++] = open[k];
        }
    }
    bracket->decided_bytes = decided;
    bracket->linear_weight = linear;
    bracket->middle_bytes = sum;
    return kept;
}

/* From the level at which the first begins to get more to that at which the last is full. A division only where it widens. */
static void first_bracket(const Share *shares, size_t n, Bracket *bracket)
{
    double low_level = (double)shares[0].low_bytes / shares[0].weight, high_level = 0;
    for (size_t i = 0; i < n; i++) {
        double low = (double)shares[i].low_bytes, high = (double)shares[i].high_bytes;
        if (low < low_level * shares[i].weight)
            low_level = low / shares[i].weight;
        if (high > high_level * shares[i].weight)
            high_level = high / shares[i].weight;
    }
    bracket->low_level = low_level;
    bracket->high_level = high_level;
}

/* @low_sum, @high_sum: what all take at the lowest and at the highest level; the budget is between the two. */
static double find_level(const Share *shares, size_t n, double budget, double low_sum, double high_sum,
                         uint32_t *open)
{
    Bracket bracket = {.low_rest = budget - low_sum,
                       .high_rest = high_sum - budget,
                       .was_low = low_sum + high_sum < 2 * budget};
    for (size_t i = 0; i < n; i++)
        open[i] = (uint32_t)i;
    first_bracket(shares, n, &bracket);
    bracket.middle = middle_of(&bracket, 0);
    size_t n_open = narrow(shares, open, n, &bracket);
    for (int step = 1; step <= LEVEL_STEPS && n_open > 0; step++) {
        halve(&bracket, budget);
        bracket.middle = middle_of(&bracket, step);
        n_open = narrow(shares, open, n_open, &bracket);
    }
    for (size_t k = 0; k < n_open; k++)
        bracket.decided_bytes += share_at(&shares[open[k]], bracket.low_level);
    if (!(bracket.linear_weight > 0))
        return bracket.low_level;
    double level = (budget - bracket.decided_bytes) / bracket.linear_weight;
    if (level < bracket.low_level)
        return bracket.low_level;
    return level > bracket.high_level ? bracket.high_level : level;
}

/* Rounding in doubles may hand out a few bytes too many: takes them back where a share exceeds its low. */
static uint64_t trim(const Share *shares, size_t n, uint64_t sum, uint64_t budget, uint64_t *bytes)
{
    for (size_t i = 0; i < n && sum > budget; i++) {
        uint64_t cut = u64_min(sum - budget, bytes[i] - shares[i].low_bytes);
        bytes[i] -= cut;
        sum -= cut;
    }
    return sum;
}

uint64_t allocation_fill(const Share *shares, size_t n, uint64_t budget, uint32_t *scratch,
                         uint64_t *ret_bytes)
{
    uint64_t low_sum = 0, high_sum = 0;
    for (size_t i = 0; i < n; i++) {
        low_sum = u64_add_sat(low_sum, shares[i].low_bytes);
        high_sum = u64_add_sat(high_sum, shares[i].high_bytes);
    }
    if (low_sum >= budget || high_sum <= budget) {
        bool all = high_sum <= budget;
        for (size_t i = 0; i < n; i++)
            ret_bytes[i] = all ? shares[i].high_bytes : shares[i].low_bytes;
        return all ? high_sum : low_sum;
    }
    double level = find_level(shares, n, (double)budget, (double)low_sum, (double)high_sum, scratch);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        ret_bytes[i] = u64_clamp(u64_from_double(share_at(&shares[i], level)), shares[i].low_bytes,
                                 shares[i].high_bytes);
        sum = u64_add_sat(sum, ret_bytes[i]);
    }
    return trim(shares, n, sum, budget, ret_bytes);
}

double allocation_taxed_weight(uint32_t weight, uint32_t active_permille, uint32_t tax_permille)
{
    double active = active_permille > 1000 ? 1.0 : active_permille / 1000.0;
    double kept = tax_permille > 999 ? 0.001 : 1 - tax_permille / 1000.0;
    return weight * kept / (active * kept + 1 - active);
}
