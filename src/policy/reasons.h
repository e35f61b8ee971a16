/* Names and sentences for people: what each reason, move and wait is called, and where there is one, its fix.
 */
#pragma once
#include "policy/plan.h"

const char *fixed_name(FixedReason reason);     /* "no-driver"; "none" for FIXED_NO */
const char *fixed_sentence(FixedReason reason); /* "The guest has no balloon driver, ..." */
const char *fixed_remedy(FixedReason reason);   /* one line, or NULL */
const char *hold_name(HoldReason reason);
const char *hold_sentence(HoldReason reason);
const char *hold_remedy(HoldReason reason);
const char *move_name(Move move);
const char *wait_name(Wait wait);
const char *wait_sentence(Wait wait);
