/*
 * Allocation: divides the pool among servers by weighted max-min fairness (progressive filling).
 *
 * A tier lifts every server from low to at most high so that the smallest share per weight is as large as it
 * can be: share_i = clamp(level * weight_i, low_i, high_i) with the one level that uses up the budget
 * (Bertsekas & Gallager, Data Networks, section 6.5; weights and floors as in Waldspurger OSDI'02).
 * The level is found by regula falsi over the servers not yet decided, one step in three a halving: O(n log n)
 * at worst.
 */
#pragma once
#include "policy/facts.h"

typedef struct {
    uint64_t low_bytes;
    uint64_t high_bytes; /* >= low_bytes */
    double weight;       /* > 0, finite */
} Share;

/*
 * allocation_fill:
 * @shares:    (array length=n)
 * @budget:    bytes for all together, low included
 * @scratch:   (array length=n): overwritten
 * @ret_bytes: (out) (array length=n): the share of each
 * Returns the sum handed out. Holds: low <= ret <= high; sum <= max(budget, sum of low); each share within
 * one byte of exact weighted max-min. A budget below the sum of low gives everyone exactly low.
 */
uint64_t allocation_fill(const Share *shares, size_t n, uint64_t budget, uint32_t *scratch,
                         uint64_t *ret_bytes);

/* allocation_taxed_weight: weight / (f + k (1 - f)) with k = 1 / (1 - tau); ESX's idle-adjusted shares. */
double allocation_taxed_weight(uint32_t weight, uint32_t active_permille, uint32_t tax_permille);
