/* Whole episodes: mischief with every decision checked, then calm (G7), and pairs of a liar and its honest twin. */
#pragma once
#include "checks.h"

/* Grants to bursts between decisions, over all episodes so far: a test without any would show nothing. */
extern uint64_t granted_bursts;

/* Runs @episode to its end or to the first violation; returns the decisions taken. @trace prints them. */
uint64_t episode_run(const Episode *episode, Violation *violation, bool trace);

/* The same host twice, guest 0 lying once (G6). */
uint64_t liar_run(uint64_t seed, uint32_t disabled_rules, Violation *violation);

/* Takes away events, guests and steps as long as the same guarantee still fails. */
Episode episode_shrink(const Episode *episode, const Violation *violation);
