#include <string.h>
#include "control/limiter.h"

#define SOURCE_FREE  5
#define ACCOUNT_FREE 10
#define WAIT_MAX_S   60
#define FORGET_US    (INT64_C(900) * G_USEC_PER_SEC)
/* How long a source that has logged in to an account stays known to it. */
#define KNOWN_US (INT64_C(30) * 24 * 3600 * G_USEC_PER_SEC)
/* About a megabyte at most; then the oldest go. */
#define ENTRIES_MAX 4096

typedef struct {
    guint failures;
    int64_t last_us;  /* of a failure, or of the success that made it known */
    int64_t until_us; /* it waits until then */
} Entry;

struct Limiter {
    GHashTable *sources, *accounts; /* name -> Entry */
    GHashTable *known;              /* "account\nsource" -> Entry */
};

Limiter *limiter_new(void)
{
    Limiter *limiter = g_new0(Limiter, 1);
    limiter->sources = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    limiter->accounts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    limiter->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return limiter;
}

void limiter_free(Limiter *limiter)
{
    if (!limiter)
        return;
    g_hash_table_unref(limiter->sources);
    g_hash_table_unref(limiter->accounts);
    g_hash_table_unref(limiter->known);
    g_free(limiter);
}

static gboolean is_old(gpointer key, gpointer value, gpointer before_us)
{
    return ((const Entry *)value)->last_us < *(int64_t *)before_us;
}

/* What is half the age goes, then a quarter, ... until there is room: seldom, and bounded. */
static void make_room(GHashTable *table, int64_t age_us, int64_t now_us)
{
    while (g_hash_table_size(table) >= ENTRIES_MAX) {
        int64_t before_us = now_us - age_us;
        g_hash_table_foreach_remove(table, is_old, &before_us);
        if (age_us == 0)
            g_hash_table_remove_all(table);
        age_us /= 2;
    }
}

static Entry *entry_of(GHashTable *table, const char *key, int64_t age_us, int64_t now_us)
{
    Entry *entry = g_hash_table_lookup(table, key);
    if (!entry) {
        make_room(table, age_us, now_us);
        entry = g_new0(Entry, 1);
        g_hash_table_insert(table, g_strdup(key), entry);
    }
    if (now_us - entry->last_us > age_us)
        *entry = (Entry){0};
    return entry;
}

static char *account_key(const char *account)
{
    return g_ascii_strdown(account, -1); /* accounts do not differ by case */
}

static char *pair_key(const char *account, const char *source)
{
    g_autofree char *low = account_key(account);
    return g_strconcat(low, "\n", source, NULL);
}

static gboolean is_known(const Limiter *limiter, const char *account, const char *source, int64_t now_us)
{
    g_autofree char *key = pair_key(account, source);
    const Entry *entry = g_hash_table_lookup(limiter->known, key);
    return entry && now_us - entry->last_us <= KNOWN_US;
}

static int64_t left_us(GHashTable *table, const char *key, int64_t now_us)
{
    const Entry *entry = g_hash_table_lookup(table, key);
    return entry ? MAX(entry->until_us - now_us, 0) : 0;
}

guint limiter_wait_s(Limiter *limiter, const char *account, const char *source, int64_t now_us)
{
    g_autofree char *key = account_key(account);
    int64_t wait_us = left_us(limiter->sources, source, now_us);
    if (!is_known(limiter, account, source, now_us))
        wait_us = MAX(wait_us, left_us(limiter->accounts, key, now_us));
    return (guint)((wait_us + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC);
}

static gboolean count(GHashTable *table, const char *key, guint free_failures, int64_t now_us)
{
    Entry *entry = entry_of(table, key, FORGET_US, now_us);
    entry->failures++;
    entry->last_us = now_us;
    if (entry->failures < free_failures)
        return FALSE;
    guint doublings = MIN(entry->failures - free_failures, 6);
    entry->until_us = now_us + MIN(INT64_C(1) << doublings, WAIT_MAX_S) * G_USEC_PER_SEC;
    return entry->failures == free_failures;
}

gboolean limiter_failed(Limiter *limiter, const char *account, const char *source, int64_t now_us)
{
    g_autofree char *key = account_key(account);
    gboolean source_begins = count(limiter->sources, source, SOURCE_FREE, now_us);
    /* Who is known to the account mistypes; that is no attack on it. */
    gboolean account_begins =
        !is_known(limiter, account, source, now_us) && count(limiter->accounts, key, ACCOUNT_FREE, now_us);
    return source_begins || account_begins;
}

void limiter_succeeded(Limiter *limiter, const char *account, const char *source, int64_t now_us)
{
    g_autofree char *key = account_key(account), *pair = pair_key(account, source);
    g_hash_table_remove(limiter->accounts, key);
    entry_of(limiter->known, pair, KNOWN_US, now_us)->last_us = now_us;
}
