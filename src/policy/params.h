/* Every constant of the policy, with its unit in its name and its reason beside it. */
#pragma once
#include <stdint.h>
#include "policy/facts.h"

typedef struct {
    /* Headroom above the working set: covers what a guest touches in one reaction time. */
    uint64_t
        headroom_bytes; /* 96 MiB, at most 1/8 of the maximum: measured to prevent swapping at 200 MiB/s */
    uint32_t headroom_permille; /* 100: 10 % of the working set */
    int64_t reaction_us; /* 700,000: a sample's age plus a grant's way; growth rate times this is added */
    /* G2's margin: the part of the headroom no reclaim may touch. */
    uint32_t margin_permille; /* 500: half of the headroom without growth */
    /* Demand falls slowly. */
    int64_t comfort_half_life_us; /* 20 s: "tens of seconds" */
    int64_t growth_half_life_us;  /* 2 s */
    int64_t faulting_hold_us;    /* 5 s after swap-in or major faults nothing is taken that could come back */
    uint32_t major_faults_per_s; /* 50: above this a guest counts as faulting */
    uint64_t swap_in_bytes_per_s; /* 256 KiB: above this a guest counts as swapping */
    uint32_t refaults_per_s;      /* 500 pages (2 MB/s) read back from disk after eviction */
    uint32_t stall_permille; /* 10: pressure stall of more than 1 % of the time counts as faulting (senpai) */
    int64_t probe_memory_us; /* 10 s: faulting this soon after a shrink means the shrink was too much */
    uint32_t probe_permille; /* 10: levelling takes at most 1 % of the balloon size per sample (senpai) */
    uint64_t residency_margin_bytes; /* 16 MiB: what a residency reading and a sample may be apart in time */
    int64_t stale_us;                /* 3 periods of 1 s; three of the guest's own where they are longer */
    /* Idle tax: Waldspurger OSDI'02, section 5.2: k = 1/(1 - tau). */
    uint32_t tax_permille; /* 750 */
    /* Surplus. */
    uint32_t ready_permille; /* 500: half of what nobody needs stays in the pool where not all can have their
                                maximum, and is granted without waiting for a donor; half is lent as cache */
    /* Moves. */
    uint64_t quantum_bytes;    /* 1 MiB: the driver works in 256 pages of 4 KiB */
    uint32_t band_permille;    /* 5: targets this near (0.5 % of the allocation) are left alone ... */
    int64_t settle_us;         /* 10 s: ... and a deviation within 2 % is moved only after this long */
    uint32_t settle_permille;  /* 20 */
    uint64_t pace_bytes_per_s; /* 48 MiB/s per donor while nobody waits, four times as much of what it leaves
                                    unused while much was needed of late (more than half of the slack and
                                    64 MiB) and little is free: giving costs it the same in all ... */
    int64_t needed_half_life_us; /* 20 s: half of what was needed counts after this; while it is little ... */
    uint64_t working_pace_bytes_per_s; /* ... 6 MiB/s from one that works, or more as it gives fast: giving
                                          was seen to cost an emulated guest 4 to 13 ms of its processor
                                          per MiB, and it is to lose a tenth of its work at most. For both
                                          1/2048 of its maximum where that is more */
    int64_t turn_us;              /* 5 s between opposite moves while nobody waits, but of what lies unused */
    uint64_t stall_bytes_per_s;   /* 15 MiB/s: slower inflating means the guest is near out of memory ... */
    int64_t stall_us;             /* ... when it lasts 4 s (ChromeOS concierge's figures) */
    int64_t rest_us;              /* 60 s: first rest after distress, doubling ... */
    int64_t rest_max_us;          /* ... up to 30 min */
    int64_t learned_half_life_us; /* 10 min: after the rest the learned floor fades, so one bad night is not
                                     for ever */
    int64_t override_us;          /* 10 min: how long somebody else's setmem is respected */
    /* Bursts, as residency shows them. */
    uint64_t burst_step_bytes; /* 3 MiB: what a first touch of 120-195 MiB/s takes 20 ms for; idle guests move
                                      by less from look to look */
    uint64_t burst_bytes_per_s; /* 32 MiB/s: anything slower is in time when statistics show it */
    int64_t burst_quiet_us;     /* 300 ms without fast growth end a burst */
    uint32_t burst_lead;        /* 3: nothing is expected beyond three times what was shown */
    uint64_t burst_first_bytes; /* 16 MiB, at most 1/16 of the maximum: a burst's first grant ... */
    int64_t burst_room_us;      /* ... unless it has room for 1.5 s of its growth anyway ... */
    int64_t burst_twitch_us;    /* ... or came to less than such a grant the last time, within 10 s */
    int64_t
        burst_near_us; /* 400 ms: where the slack is not whole, who has room for longer gets no further one */
    uint64_t
        burst_cache_bytes;  /* 32 MiB grown, and less than a fourth of it in use: that is file cache ... */
    int64_t burst_cache_us; /* ... and no early grants for 60 s */
    /* Where residency cannot show a burst, statistics must be young enough for one of this speed: above the 120-195 MiB/s
     * of first touch measured. */
    uint64_t blind_bytes_per_s; /* 256 MiB/s */
    /* Safety rules; only tests turn one off, to see the scenario that needs it fail. Bit = 1 << Rule. */
    uint32_t disabled_rules;
} PolicyParams;

typedef enum {
    RULE_PAY_FIRST,         /* G1: grants are paid from what really came back */
    RULE_COUNT_REBOOT_FULL, /* G1: a starting or rebooting server counts at its maximum */
    RULE_KEEP_FLOOR,        /* G2: no target below minimum, learned floor, used + margin */
    RULE_FRESH_ONLY,        /* G2: no reclaim on stale statistics */
    RULE_FIXED,             /* G3 */
    RULE_SURPLUS_YIELDS,    /* G4: surplus and comfort are given up while somebody waits */
    RULE_WEIGHTS,           /* G5 */
    RULE_CHECK_RESIDENCY,   /* G6: a claim of use is held against residency */
    RULE_DEAD_BAND,         /* G7 */
    RULE_HOLD_FAULTING,     /* G2: while it swaps or faults nothing is taken that could come back from swap */
    RULE_REST,              /* G9: rest with a raised floor after distress */
    RULE_N
} Rule;

/* policy_params_default: the figures above. */
PolicyParams policy_params_default(void);

static inline bool rule_on(const PolicyParams *params, Rule rule)
{
    return (params->disabled_rules & (UINT32_C(1) << rule)) == 0;
}
