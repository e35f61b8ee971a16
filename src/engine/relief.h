/* Relief: how long servers waited from need rising above what they had until they had it; percentiles of the latest. */
#pragma once
#include <stdint.h>

#define RELIEF_KEPT 1000

typedef struct {
    uint64_t samples_us[RELIEF_KEPT]; /* a ring */
    unsigned n, next;
} Relief;

void relief_add(Relief *relief, uint64_t duration_us);
/* relief_percentile: @permille 500 for the median; UINT64_MAX when there is none. Nearest rank. */
uint64_t relief_percentile(const Relief *relief, unsigned permille);
