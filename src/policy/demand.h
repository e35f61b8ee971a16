/*
 * Demand: from what one server is seen to use, what it would use well now.
 *
 *   used        = balloon size at the sample - available, and never more than the guest has touched, which is
 *                 residency + 16 MiB (G6); the same holds for what it will be using one reaction time later
 *                 while the balloon inflates a sample may belong to the size before or after: the floor counts
 *                 with the larger; the working set stays where it was if that is possible with either, lest a
 *                 reclaim look like growth and be undone
 *                 residency that rises until it nears the balloon size counts as use at once, without a sample
 *   working set = used + file cache that has proven to be in use
 *   need        = working set + headroom; rises at once, falls at once: this is what nobody may be refused
 *   comfort     = need, falling with a half-life of 20 s: kept out of caution, given up when somebody waits
 *   floor       = max(minimum, learned floor, used + margin): no target below it (G2)
 *   enough      = the same with the size that fits what was known before: who has less is short
 *   faulting    available looks high after a swap-out, and what is in swap has to come back: while the guest swaps or
 *   floor       faults, a second floor keeps all it has but what lies unused (free, not cache) beyond all that swap may
 *               bring back and a full headroom. Below it nothing may be taken, down to it only while somebody waits;
 *               so comfort is all it has
 */
#pragma once
#include "policy/facts.h"
#include "policy/params.h"

/* What is remembered of one server between beats. Zero-initialised is the right beginning. The caller owns
 * it. */
typedef struct {
    uint64_t boot_count;
    int64_t last_sample_us;
    uint64_t used_bytes; /* at most: paired with the larger balloon size when it moved */
    uint64_t growth_bytes_per_s;
    uint64_t cache_bytes;          /* file cache that showed itself in use by faulting when squeezed */
    uint64_t sample_balloon_bytes; /* balloon size of the last sample */
    uint64_t unshrunk_bytes;       /* balloon size before the latest shrink ... */
    int64_t shrunk_us;             /* ... and when that was last seen shrinking */
    uint64_t comfort_bytes;
    int64_t comfort_us;
    uint64_t swap_in_bytes; /* cumulative values at rate_us */
    uint64_t major_faults;
    uint64_t refaults; /* cumulative values at told_us */
    uint64_t stall_us;
    int64_t told_us;
    int64_t faulting_until_us; /* the faulting floor is in force until then */
    uint64_t unused_bytes;     /* of the last sample; 0 when nobody knows */
    uint64_t swapped_bytes;    /* what swap may bring back, at most; UNKNOWN when nobody knows ... */
    uint64_t swapped_in_bytes; /* ... and the counters of the sample that was last counted in */
    uint64_t swapped_out_bytes;
    int64_t swapped_out_us;       /* when it was last seen to have written to swap; 0 = never */
    bool wrote;                   /* ... the last sample did */
    int64_t grew_us;              /* ... and to have grown as fast as a burst */
    uint32_t starved_samples;     /* samples in a row that found the headroom nearly gone */
    uint64_t learned_floor_bytes; /* raised by distress; after the rest it fades (learned_half_life_us) */
    int64_t rest_until_us;
    uint32_t distress_count;
    int64_t last_distress_us;
    /* Rates are taken between two looks at least 20 ms apart; the counters above belong to the earlier one. */
    int64_t rate_us;
    uint64_t rate_used_bytes;
    uint64_t rate_resident_bytes;
    uint64_t resident_growth_bytes_per_s; /* the host's own view of growth, which nobody can claim */
    uint64_t touched_bytes;               /* of the last sample's balloon size, what the guest had touched */
    uint64_t sure_bytes;                  /* used as it was, as far as the sample allows while inflating */
    uint64_t claimed_bytes;               /* used as the guest says, whatever it has touched */
    int64_t old_boot_sample_us;           /* seen before the guest booted: says nothing about it now */
    int64_t squeezed_us;                  /* when it last faulted for being shrunk; 0 = never ... */
    uint32_t squeezed_count;              /* ... and how often within the hour: the next probe waits longer */
} DemandState;

typedef struct {
    uint64_t used_bytes; /* UNKNOWN until the guest has answered */
    uint64_t working_set_bytes;
    uint64_t headroom_bytes;
    uint64_t need_bytes;           /* within [minimum, maximum] */
    uint64_t comfort_bytes;        /* within [need, maximum] */
    uint64_t floor_bytes;          /* within [minimum, maximum] */
    uint64_t enough_bytes;         /* within [minimum, floor] */
    uint64_t faulting_floor_bytes; /* 0 while not faulting; UINT64_MAX while nothing may be taken */
    uint32_t active_permille; /* share of the need that is working set: ESX's f, for the idle tax; of the need
                                 and not of the balloon size, so that an allocation cannot change itself */
    bool known;               /* the guest has told what it uses since it booted */
    bool stale;               /* ... but not within demand_stale_us() */
    bool faulting;            /* it swaps in, faults or stalls, or did so a moment ago */
    bool resting;             /* after distress: the floor is a learned one */
} Demand;

/*
 * demand_update: one beat for one server.
 * Takes up a new sample if facts->sample_us changed, lets comfort fall, and says what the server needs now.
 * A server whose statistics never came has need = comfort = floor = its present balloon size.
 * After a change of boot_count the cumulative counters start anew; the learned floor stays.
 */
Demand demand_update(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                     int64_t now_us);

/* demand_floor: no reclaim goes below it (G2), by the rules that are on. */
static inline uint64_t demand_floor(const Demand *demand, const PolicyParams *params)
{
    uint64_t floor_bytes = rule_on(params, RULE_KEEP_FLOOR) ? demand->floor_bytes : 0;
    bool holds = rule_on(params, RULE_HOLD_FAULTING) && demand->faulting_floor_bytes > floor_bytes;
    return holds ? demand->faulting_floor_bytes : floor_bytes;
}

/* demand_stale_us: nothing is reclaimed on statistics older than this (G2): params->stale_us, or three periods in which the guest
 * speaks where these are longer, of 2 s at most. */
int64_t demand_stale_us(const ServerFacts *facts, const PolicyParams *params);

/* demand_is_blind: its residency shows no burst, since nearly all it holds is resident. FALSE while nothing is known of it. */
bool demand_is_blind(const Demand *demand, const ServerFacts *facts, const PolicyParams *params);

/*
 * demand_sample_age_us: how old this server's statistics may become before they are asked for; INT64_MAX where its own
 * period will do. A guest whose memory is nearly all resident, most often as file cache, shows no burst: unless it idles,
 * its growth must be seen in statistics by the time it could have used half of what it has left.
 */
int64_t demand_sample_age_us(const Demand *demand, const ServerFacts *facts, const PolicyParams *params);

/*
 * demand_distress: the guest ran out of memory under its balloon, or stalled while inflating.
 * Raises the learned floor to @floor_bytes (at most the maximum) and lets the server rest: 60 s, doubling
 * with each distress within the hour, at most 30 min (G9). The same trouble seen again within 10 s (a request
 * still on its way, a refused one) raises the floor and begins the rest anew, but does not double it.
 */
void demand_distress(DemandState *state, const ServerFacts *facts, const PolicyParams *params,
                     uint64_t floor_bytes, int64_t now_us);
