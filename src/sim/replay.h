/* Replay: a recording as a scenario: the same servers wanting the same memory at the same times, to be run with another
 * pool, other weights, another policy. */
#pragma once
#include "recording/recording.h"
#include "sim/scenario.h"

/*
 * replay_scenario:
 * @path: for messages and for the name
 * @sets: (nullable): KEY=VALUE of --set; "pool=80%" is of the recorded pool
 *
 * A server's use is what it was seen to use (balloon size at the sample - available, and what it had swapped out); it
 * grows between two samples as fast as it must have. What it would have used with more memory than it had nobody knows. Servers that hold more
 * than the changed pool at the beginning begin with an equal share of it instead: it is the pool they always had.
 */
Scenario *replay_scenario(const Recording *recording, const char *path, const char *const *sets,
                          GError **error);

/* replay_pool_moved: by more than 1 %: one scenario has one pool, the first. */
gboolean replay_pool_moved(const Recording *recording);
