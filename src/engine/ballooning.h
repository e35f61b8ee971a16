/*
 * Ballooning: what is so with one server's ballooning, told from the machine that runs, never from the wish alone. Pure.
 */
#pragma once
#include "engine/tracked.h"

typedef enum {
    BALLOON_ON,
    BALLOON_OFF_PENDING, /* wished off: the running machine still has its balloon */
    BALLOON_OFF,         /* no balloon, all memory made resident at its start */
    BALLOON_ON_PENDING,  /* wished on again: the running machine has no balloon yet */
    BALLOON_UNAVAILABLE, /* it cannot be had: the reason says why */
    BALLOON_STATES
} BallooningState;

typedef struct {
    BallooningState state;
    FixedReason reason;   /* of UNAVAILABLE */
    const char *sentence; /* one for people; static */
} BallooningStatus;

BallooningStatus ballooning_status(const Tracked *tracked);
/* "on", "off-pending-restart", "off", "on-pending-restart", "unavailable" */
const char *ballooning_state_name(BallooningState state);

/* ballooning_wants_off: its owner's wish: as set, or, where nothing was ever set here, as marked in the definition. */
gboolean ballooning_wants_off(const Tracked *tracked);
/* ballooning_pins: it runs with a balloon that its owner does not want: it is given all its memory, and keeps it. */
gboolean ballooning_pins(const Tracked *tracked);
