/* Weighted max-min fairness by bisection over the servers that are not yet decided. */
#include "policy/allocation.h"
#include "base/u64.h"

/* 2^-53 of the first bracket: below it a double cannot tell two levels apart. */
#define LEVEL_STEPS 120

/* The bracket [low, high] of the level, and what the servers decided so far take at any level within it. */
typedef struct {
    double low_level, high_level;
    double decided_bytes; /* of those that stay at their low or high throughout the bracket */
    double linear_weight; /* of those that follow the level throughout the bracket */
    double middle_bytes;  /* of the others, at the bracket's middle */
} Bracket;

static double share_at(const Share *share, double level)
{
    double bytes = level * share->weight;
    if (bytes <= (double)share->low_bytes)
        return (double)share->low_bytes;
    return bytes >= (double)share->high_bytes ? (double)share->high_bytes : bytes;
}

static double middle_of(const Bracket *bracket)
{
    return bracket->low_level + (bracket->high_level - bracket->low_level) / 2;
}

/* Drops the servers that the narrowed bracket decides, and sums up the others; returns how many stay open. Where
 * levels would be compared, the bytes at that level are: no division. */
static size_t narrow(const Share *shares, uint32_t *open, size_t n_open, Bracket *bracket)
{
    const double low_level = bracket->low_level, high_level = bracket->high_level,
                 middle = middle_of(bracket);
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

static double find_level(const Share *shares, size_t n, double budget, double top_level, uint32_t *open)
{
    Bracket bracket = {.high_level = top_level};
    for (size_t i = 0; i < n; i++)
        open[i] = (uint32_t)i;
    size_t n_open = narrow(shares, open, n, &bracket);
    for (int step = 0; step < LEVEL_STEPS && n_open > 0; step++) {
        double middle = middle_of(&bracket);
        if (bracket.decided_bytes + bracket.linear_weight * middle + bracket.middle_bytes > budget)
            bracket.high_level = middle;
        else
            bracket.low_level = middle;
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

/* The level at which the last one is full. */
static double highest_level(const Share *shares, size_t n)
{
    double top_level = 0;
    for (size_t i = 0; i < n; i++) {
        double full_at = (double)shares[i].high_bytes / shares[i].weight;
        top_level = full_at > top_level ? full_at : top_level;
    }
    return top_level;
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
    double level = find_level(shares, n, (double)budget, highest_level(shares, n), scratch);
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
