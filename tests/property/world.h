/*
 * A small adversarial world for the policy: guests that grow, burst, stall, lie, fall silent, reboot and run out
 * of memory; a hypervisor that refuses, loses and delays; people who start, stop and set balloons themselves.
 *
 * Deterministic: everything comes from Episode.seed and its events. The noise of one guest depends on nothing but
 * the seed, the guest and the step, so that taking away an event or a guest leaves the others as they were.
 */
#pragma once
#include "policy/decide.h"

#define GUESTS_MAX 40
#define EVENTS_MAX 96

typedef enum {
    EVENT_USE,     /* the guest's use goes to a new value at some speed */
    EVENT_SPEED,   /* how fast it inflates; 0 = stuck */
    EVENT_DEFLATE, /* whether it takes grants up at all */
    EVENT_SILENT,  /* statistics stop, or come again */
    EVENT_REBOOT,
    EVENT_START, /* by somebody else, without asking */
    EVENT_STOP,
    EVENT_POOL,
    EVENT_SLACK,
    EVENT_SETMEM,   /* somebody else moves the balloon */
    EVENT_OOM,      /* needs more than it has, at once */
    EVENT_LIE,      /* claims to use all, nothing, or either by turns */
    EVENT_SETTINGS, /* minimum and weight */
    EVENT_FIX,      /* becomes fixed, or no longer */
    EVENT_HOLD,     /* paused, migrating or unresponsive for a while */
    EVENT_RESTART,  /* of the daemon: everything remembered is gone */
    EVENT_REQUESTS, /* requests to its hypervisor are refused, lost, late or slow for a while */
    EVENT_FAULTS, /* it has swapped out nothing, some or all that it has, often frees most, and swaps in for a while */
    EVENT_UNKNOWN, /* residency, free memory and what was swapped out cannot be read, or can again */
    EVENT_N
} EventKind;

typedef struct {
    int step;
    EventKind kind;
    int guest;
    uint64_t value; /* random; what it means is the kind's */
} Event;

typedef struct {
    uint64_t seed;
    int n_guests;
    bool present[GUESTS_MAX];
    int n_events;
    Event events[EVENTS_MAX];
    int steps;
    uint32_t disabled_rules;
} Episode;

typedef enum { LIE_NONE, LIE_HIGH, LIE_LOW, LIE_BY_TURNS, LIE_N } Lie;
typedef enum { ANSWER_ACCEPT, ANSWER_REFUSE, ANSWER_LOSE, ANSWER_LATE, ANSWER_SLOW, ANSWER_N } Answer;

/* A request under way, or one that timed out and may yet take effect. */
typedef struct {
    bool busy;
    Answer answer;
    int64_t answer_us, effect_us;
    bool pending; /* its effect is still to come */
    uint64_t target_bytes;
    uint64_t boot_count;
    ServerFacts facts;
    PlanRow row;
} Request;

typedef struct {
    bool on;
    ServerFacts facts; /* what the policy is shown */
    ServerTrack track;
    Request request;
    uint64_t real_bytes;      /* guest RAM really not in the balloon */
    uint64_t in_force_bytes;  /* the target the hypervisor has */
    uint64_t used_bytes;      /* what the guest really uses */
    uint64_t goal_bytes;      /* where its use is going */
    uint64_t use_bytes_per_s; /* and how fast */
    uint64_t inflate_bytes_per_s;
    uint64_t touched_bytes;
    uint64_t swapped_out_bytes; /* since it booted, whether it says so or not */
    bool deflates, reports_free_pages, silent, foreign, hides_residency;
    Lie lie;
    Answer answers;
    int64_t answers_until_us, faults_until_us, hold_until_us;
    HoldReason hold;
    int64_t driver_us, wrong_until_us; /* after a reset: the driver comes, and `actual` becomes right */
    uint64_t wrong_bytes;
    uint64_t last_shown_bytes, last_claimed_bytes;
    bool oom; /* since the last decision it took memory back from its balloon */
} Guest;

typedef struct {
    const Episode *episode;
    PolicyParams params;
    HostFacts host;
    int64_t now_us;
    int step;
    int64_t restarted_us;
    Guest guests[GUESTS_MAX];
    Decision *decision, *looking; /* at a beat, and between two */
    /* This decision's arrays, and whose row each is. */
    int n;
    int ids[GUESTS_MAX];
    ServerFacts facts[GUESTS_MAX];
    ServerTrack tracks[GUESTS_MAX];
} World;

uint64_t mix(uint64_t a, uint64_t b);
uint64_t below(uint64_t *state, uint64_t n);
const char *event_name(EventKind kind);

Episode episode_make(uint64_t seed, int steps);
void world_init(World *world, const Episode *episode);
void world_clear(World *world);
/* Lets @elapsed_us pass for every guest. */
void world_pass(World *world, int64_t elapsed_us, bool noise);
void world_event(World *world, const Event *event);
/* Shows the policy what can be seen and decides; world->n rows afterwards. */
void world_decide(World *world);
/* Sends the rows to the hypervisor. */
void world_act(World *world);
/* Between two decisions: looks at residencies, and grants on them into world->looking->rows; returns how many. The facts of
 * the last decision must still be of guests that are on. */
size_t world_look(World *world);
void world_act_look(World *world);
/* What the guest can really hold without asking anyone, requests of ours under way included. */
uint64_t world_truth(const Guest *guest);
/* Ends all mischief: from now on guests obey, answer and stay as they are. */
void world_freeze(World *world);
