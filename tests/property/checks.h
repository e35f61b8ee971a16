/* G1 to G9 as src/policy/decide.h states them, checked after every decision from what the world knows. */
#pragma once
#include "world.h"

typedef struct {
    const char *only; /* nothing else counts, when set */
    bool found;
    char guarantee[4];
    int step, guest;
    char text[240];
} Violation;

/* What the checks remember of each guest, gathered apart from the policy's own memory. */
typedef struct {
    uint64_t boot_count;
    int64_t sample_us, rate_us, faulting_until_us, rest_us, rest_until_us, asked_us;
    uint64_t swap_in_bytes, major_faults, rest_bytes, asked_balloon_bytes, target_bytes;
    int64_t reclaimed_sample_us;
    bool swap_known;           /* the last sample was of this boot, and said what was swapped out ... */
    uint64_t swapped_out;      /* ... so much */
    int64_t wrote_us;          /* the last sample that found it had written to swap; 0 = none ... */
    bool wrote;                /* ... and that was the very last one */
    uint64_t swap_floor_bytes; /* of the last sample: below this lies what it may need while it faults */
    bool still;                /* at the last beat nothing could be asked of it */
} Memory;

typedef struct {
    Memory guests[GUESTS_MAX];
} Checks;

/* How often a guest that faulted gave what it left unused: without that the checks of it say nothing. */
extern uint64_t reclaims_while_faulting;

/* To be called between world_decide() and world_act(). */
void checks_run(Checks *checks, const World *world, const bool *ooms, Violation *violation);
/* The same for grants between two decisions: between world_look() and world_act_look(). */
void checks_look(const World *world, Violation *violation);
/* Every server that can be is within 1 % of its allocation, or above it with nobody waiting. */
void checks_settled(const World *world, Violation *violation);
void violate(Violation *violation, const char *guarantee, const World *world, int k, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
