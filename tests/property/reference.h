/* Weighted max-min fairness once more: slow, exact, and written without a look at the policy's own. */
#pragma once
#include "world.h"

/* Progressive filling over the sorted corners of every share's curve, in long double: O(n^2). */
void reference_fill(const long double *low, const long double *high, const long double *weight, int n,
                    long double budget, long double *ret_share);

/* The four tiers over the world's latest decision; demands and holds are taken as decided. */
void reference_allocate(const World *world, long double *ret_share);
