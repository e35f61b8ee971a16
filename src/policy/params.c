/* The default figures; params.h has the reason for each. */
#include "policy/params.h"
#include "base/u64.h"

#define SECOND_US INT64_C(1000000)

PolicyParams policy_params_default(void)
{
    return (PolicyParams){
        .headroom_bytes = 96 * MIB,
        .headroom_permille = 100,
        .reaction_us = INT64_C(700000),
        .margin_permille = 500,
        .comfort_half_life_us = 20 * SECOND_US,
        .growth_half_life_us = 2 * SECOND_US,
        .faulting_hold_us = 5 * SECOND_US,
        .major_faults_per_s = 50,
        .swap_in_bytes_per_s = 256 * KIB,
        .refaults_per_s = 500,
        .stall_permille = 10,
        .probe_memory_us = 10 * SECOND_US,
        .probe_permille = 10,
        .residency_margin_bytes = 16 * MIB,
        .stale_us = 3 * SECOND_US,
        .tax_permille = 750,
        .ready_permille = 500,
        .quantum_bytes = MIB,
        .band_permille = 5,
        .settle_us = 10 * SECOND_US,
        .settle_permille = 20,
        .pace_bytes_per_s = 48 * MIB,
        .needed_half_life_us = 20 * SECOND_US,
        .working_pace_bytes_per_s = 6 * MIB,
        .turn_us = 5 * SECOND_US,
        .stall_bytes_per_s = 15 * MIB,
        .stall_us = 4 * SECOND_US,
        .rest_us = 60 * SECOND_US,
        .rest_max_us = 1800 * SECOND_US,
        .learned_half_life_us = 600 * SECOND_US,
        .override_us = 600 * SECOND_US,
        .burst_step_bytes = 3 * MIB,
        .burst_bytes_per_s = 32 * MIB,
        .burst_quiet_us = INT64_C(300000),
        .burst_lead = 3,
        .burst_first_bytes = 16 * MIB,
        .burst_room_us = 3 * SECOND_US / 2,
        .burst_near_us = INT64_C(400000),
        .burst_twitch_us = 10 * SECOND_US,
        .burst_cache_bytes = 32 * MIB,
        .burst_cache_us = 60 * SECOND_US,
        .blind_bytes_per_s = 256 * MIB,
        .disabled_rules = 0,
    };
}
