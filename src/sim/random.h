/* Random numbers that are the same on every machine: splitmix64 (Steele, Lea, Flood, OOPSLA'14). */
#pragma once
#include <stdint.h>

typedef struct {
    uint64_t state;
} Random;

static inline uint64_t random_next(Random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* In [low, high). */
static inline double random_between(Random *random, double low, double high)
{
    return low + (high - low) * ((double)(random_next(random) >> 11) / 9007199254740992.0);
}

static inline int random_chance(Random *random, uint32_t permille)
{
    return random_next(random) % 1000 < permille;
}
