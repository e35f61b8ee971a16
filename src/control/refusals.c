#include "control/refusals.h"

#define MINUTE_US (INT64_C(60) * G_USEC_PER_SEC)
/* As many callers at once; then those of earlier minutes are forgotten. */
#define CALLERS_MAX 1024

typedef struct {
    int64_t began_us;
    guint taken;
} Minute;

struct Refusals {
    GHashTable *minutes; /* who -> Minute */
};

Refusals *refusals_new(void)
{
    Refusals *refusals = g_new0(Refusals, 1);
    refusals->minutes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return refusals;
}

void refusals_free(Refusals *refusals)
{
    if (!refusals)
        return;
    g_hash_table_unref(refusals->minutes);
    g_free(refusals);
}

static gboolean is_over(const Minute *minute, int64_t now_us)
{
    return now_us - minute->began_us >= MINUTE_US;
}

static gboolean is_old(gpointer who, gpointer minute, gpointer now_us)
{
    return is_over(minute, *(int64_t *)now_us);
}

static Minute *minute_of(Refusals *refusals, const char *who, int64_t now_us)
{
    Minute *minute = g_hash_table_lookup(refusals->minutes, who);
    if (minute)
        return minute;
    if (g_hash_table_size(refusals->minutes) >= CALLERS_MAX)
        g_hash_table_foreach_remove(refusals->minutes, is_old, &now_us);
    if (g_hash_table_size(refusals->minutes) >= CALLERS_MAX)
        g_hash_table_remove_all(refusals->minutes);
    minute = g_new0(Minute, 1);
    minute->began_us = now_us;
    g_hash_table_insert(refusals->minutes, g_strdup(who), minute);
    return minute;
}

RefusalFate refusals_take(Refusals *refusals, const char *who, int64_t now_us, guint *ret_left)
{
    Minute *minute = minute_of(refusals, who, now_us);
    *ret_left = 0;
    if (is_over(minute, now_us)) {
        *ret_left = minute->taken > REFUSALS_A_MINUTE ? minute->taken - REFUSALS_A_MINUTE : 0;
        *minute = (Minute){.began_us = now_us};
    }
    if (minute->taken < G_MAXUINT)
        minute->taken++;
    if (minute->taken <= REFUSALS_A_MINUTE)
        return REFUSAL_WRITE;
    return minute->taken == REFUSALS_A_MINUTE + 1 ? REFUSAL_LAST : REFUSAL_LEAVE;
}
