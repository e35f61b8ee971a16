/* Percentiles over the latest relief times. */
#include "engine/relief.h"
#include <stdlib.h>
#include <string.h>

void relief_add(Relief *relief, uint64_t duration_us)
{
    relief->samples_us[relief->next] = duration_us;
    relief->next = (relief->next + 1) % RELIEF_KEPT;
    if (relief->n < RELIEF_KEPT)
        relief->n++;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t relief_percentile(const Relief *relief, unsigned permille)
{
    if (relief->n == 0)
        return UINT64_MAX;
    uint64_t sorted[RELIEF_KEPT];
    memcpy(sorted, relief->samples_us, relief->n * sizeof *sorted);
    qsort(sorted, relief->n, sizeof *sorted, compare);
    unsigned rank = (relief->n * permille + 999) / 1000;
    return sorted[rank > 0 ? rank - 1 : 0];
}
