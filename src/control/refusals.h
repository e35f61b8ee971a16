/* Refusals: how many of each caller's are written into the audit; the same count keeps owners from changing things without end.
 * Pure bookkeeping: time is an argument, memory is bounded. */
#pragma once
#include <stdint.h>
#include <glib.h>

/* More than a person at work comes to, and at worst 25 MB a day of somebody whose program asks amiss without end. */
#define REFUSALS_A_MINUTE 60

typedef struct Refusals Refusals;

Refusals *refusals_new(void);
void refusals_free(Refusals *refusals);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Refusals, refusals_free)

typedef enum {
    REFUSAL_WRITE,
    REFUSAL_LAST,  /* write that more were not recorded */
    REFUSAL_LEAVE, /* it is only counted */
} RefusalFate;

/*
 * refusals_take: one more refusal of @who, at @now_us (monotonic).
 * @ret_left: (out): how many of an earlier minute have not been recorded, which is to be written with this one; said once
 */
RefusalFate refusals_take(Refusals *refusals, const char *who, int64_t now_us, guint *ret_left);
