/*
 * property [--steps N] [--seed S] [--no-rules] [--trace] [--keep-going]: random hosts until N decisions are taken, from seed S on.
 *
 * Without --no-rules it also shows, as a test of the tests, that each safety rule of the policy is needed: with the rule
 * off, the guarantee it serves must fail. Exit 0 when no guarantee failed and every rule was missed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "episodes.h"

#define DEFAULT_STEPS UINT64_C(150000)
#define EPISODE_STEPS 300
/* A rule whose absence does not show in this many episodes is not covered. */
#define RULE_EPISODES 400
/* Every so many episodes one pair with a liar. */
#define LIAR_EVERY 4

typedef struct {
    Rule rule;
    const char *name, *guarantee;
} RuleCase;

static const RuleCase rule_cases[] = {
    {RULE_PAY_FIRST, "pay-first", "G1"},
    {RULE_COUNT_REBOOT_FULL, "count-reboot-full", "G1"},
    {RULE_KEEP_FLOOR, "keep-floor", "G2"},
    {RULE_FRESH_ONLY, "fresh-only", "G2"},
    {RULE_FIXED, "fixed", "G3"},
    {RULE_SURPLUS_YIELDS, "surplus-yields", "G4"},
    {RULE_WEIGHTS, "weights", "G5"},
    {RULE_CHECK_RESIDENCY, "check-residency", "G6"},
    {RULE_DEAD_BAND, "dead-band", "G7"},
    {RULE_HOLD_FAULTING, "hold-faulting", "G2"},
    {RULE_REST, "rest", "G9"},
};
_Static_assert(sizeof rule_cases / sizeof rule_cases[0] == RULE_N, "every rule has a case");

static bool check_rule(const RuleCase *one, uint64_t seed)
{
    for (uint64_t i = 0; i < RULE_EPISODES; i++) {
        Violation violation = {.only = one->guarantee};
        if (one->rule == RULE_CHECK_RESIDENCY) {
            liar_run(seed + i, UINT32_C(1) << one->rule, &violation);
        } else {
            Episode episode = episode_make(seed + i, EPISODE_STEPS);
            episode.disabled_rules = UINT32_C(1) << one->rule;
            episode_run(&episode, &violation, false);
        }
        if (violation.found) {
            printf("rule %-18s off: %s fails at seed %" PRIu64 ": %s\n", one->name, one->guarantee, seed + i,
                   violation.text);
            return true;
        }
    }
    printf("rule %-18s off: %s does not fail in %d episodes\n", one->name, one->guarantee, RULE_EPISODES);
    return false;
}

static void report(const Episode *episode, const Violation *violation, bool trace)
{
    printf("seed %" PRIu64 ": %s fails at step %d, guest %d: %s\n", episode->seed, violation->guarantee,
           violation->step, violation->guest, violation->text);
    Episode small = episode_shrink(episode, violation);
    int guests = 0;
    for (int i = 0; i < small.n_guests; i++)
        guests += small.present[i];
    Violation again = {.only = violation->guarantee};
    episode_run(&small, &again, trace);
    printf("seed %" PRIu64 ", made smaller: %d guests, %d events, %d steps; step %d, guest %d: %s\n",
           episode->seed, guests, small.n_events, small.steps, again.step, again.guest, again.text);
    for (int i = 0; i < small.n_events; i++)
        printf("  step %d: %s, guest %d, value %" PRIu64 "\n", small.events[i].step,
               event_name(small.events[i].kind), small.events[i].guest, small.events[i].value);
}

typedef struct {
    uint64_t steps, seed;
    bool rules, trace, all;
} Options;

static bool parse(int argc, char **argv, Options *options)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc)
            options->steps = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            options->seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--no-rules") == 0)
            options->rules = false;
        else if (strcmp(argv[i], "--trace") == 0)
            options->trace = true;
        else if (strcmp(argv[i], "--keep-going") == 0)
            options->all = true;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    Options options = {.steps = DEFAULT_STEPS, .seed = 1, .rules = true};
    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: property [--steps N] [--seed S] [--no-rules] [--trace] [--keep-going]\n");
        return 2;
    }
    uint64_t taken = 0, episodes = 0, violations = 0, missed = 0;
    for (; taken < options.steps && (violations == 0 || options.all); episodes++) {
        uint64_t seed = options.seed + episodes;
        Violation violation = {0};
        Episode episode = episode_make(seed, EPISODE_STEPS);
        taken += episode_run(&episode, &violation, false);
        if (violation.found)
            report(&episode, &violation, options.trace);
        violations += violation.found;
        if (episodes % LIAR_EVERY == 0) {
            Violation lie = {0};
            taken += liar_run(seed, 0, &lie);
            if (lie.found)
                printf("seed %" PRIu64 ": %s fails, guest %d: %s\n", seed, lie.guarantee, lie.guest,
                       lie.text);
            violations += lie.found;
        }
    }
    for (size_t i = 0; options.rules && i < RULE_N; i++)
        missed += !check_rule(&rule_cases[i], 1);
    printf("%" PRIu64 " decisions, %" PRIu64 " grants to bursts between them, %" PRIu64
           " reclaims from who faulted, %" PRIu64 " episodes (seeds %" PRIu64 " to %" PRIu64 "), %" PRIu64
           " violations, %" PRIu64 " rules not covered\n",
           taken, granted_bursts, reclaims_while_faulting, episodes, options.seed,
           options.seed + episodes - 1, violations, missed);
    bool unseen = granted_bursts == 0 || reclaims_while_faulting == 0;
    return violations > 0 || missed > 0 || (options.steps >= DEFAULT_STEPS && unseen);
}
