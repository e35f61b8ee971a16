#include "web/cache.h"
#include <string.h>
#include "base/json.h"

#define FRESH_US INT64_C(200000)
/* So long it still serves while a newer one is on its way: nobody waits for the daemon because others ask often. */
#define STALE_US INT64_C(500000)
/* Answers kept at once; a list of 1,000 servers is near 1 MiB. */
#define ENTRIES_MAX 64

typedef struct {
    WebCached done;
    gpointer asker;
} Waiter;

typedef struct {
    WebCache *cache;
    char *key;
    guint64 call; /* 0: none is under way */
    GArray *waiters;
    WebBody *body; /* the last answer; NULL before the first */
    int64_t answered_us;
} Entry;

struct WebCache {
    WebLink *link;
    GHashTable *entries; /* key -> Entry, borrowed from `all` */
    GPtrArray *all;      /* Entry, owned; with those that are under way and no longer to be found by key */
};

static void entry_free(gpointer data)
{
    Entry *entry = data;
    if (entry->call)
        web_link_cancel(entry->cache->link, entry->call);
    g_clear_pointer(&entry->body, web_body_unref);
    g_array_unref(entry->waiters);
    g_free(entry->key);
    g_free(entry);
}

static void drop(Entry *entry)
{
    WebCache *cache = entry->cache;
    if (g_hash_table_lookup(cache->entries, entry->key) == entry)
        g_hash_table_remove(cache->entries, entry->key);
    g_ptr_array_remove_fast(cache->all, entry);
}

static void on_answer(const WebAnswer *answer, gpointer user_data)
{
    Entry *entry = user_data;
    entry->call = 0;
    entry->answered_us = g_get_monotonic_time();
    g_clear_pointer(&entry->body, web_body_unref);
    if (answer->result)
        entry->body = web_body_new(answer->result);
    g_autoptr(GArray) waiters = g_steal_pointer(&entry->waiters);
    entry->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    g_autoptr(WebBody) body = entry->body ? web_body_ref(entry->body) : NULL;
    /* A failure is not kept, nor an answer that a change has made old. */
    if (!body || g_hash_table_lookup(entry->cache->entries, entry->key) != entry)
        drop(entry);
    for (guint i = 0; i < waiters->len; i++) {
        Waiter *waiter = &g_array_index(waiters, Waiter, i);
        waiter->done(body, answer, waiter->asker);
    }
}

/* Whatever differs in who asks or what is asked makes another key; the parts cannot run into each other. */
static char *key_of(const char *method, json_t *params, const WebCredential *credential)
{
    g_autofree char *text = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS);
    return g_strjoin("\n", method, credential->session ? "session" : "token",
                     credential->session ? credential->session : credential->token, text, NULL);
}

static void forget_old(WebCache *cache, int64_t now_us)
{
    for (guint i = cache->all->len; i > 0; i--) {
        Entry *entry = cache->all->pdata[i - 1];
        if (entry->call == 0 && (now_us - entry->answered_us > STALE_US || cache->all->len > ENTRIES_MAX))
            drop(entry);
    }
}

/* (transfer full key) */
static Entry *add_entry(WebCache *cache, char *key)
{
    Entry *entry = g_new0(Entry, 1);
    entry->cache = cache;
    entry->key = key;
    entry->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    g_ptr_array_add(cache->all, entry);
    g_hash_table_insert(cache->entries, entry->key, entry);
    return entry;
}

void web_cache_ask(WebCache *cache, const char *method, json_t *params, const WebCredential *credential,
                   guint timeout_ms, WebCached done, gpointer asker)
{
    int64_t now_us = g_get_monotonic_time();
    forget_old(cache, now_us);
    g_autofree char *key = key_of(method, params, credential);
    Entry *entry = g_hash_table_lookup(cache->entries, key);
    if (!entry)
        entry = add_entry(cache, g_steal_pointer(&key));
    g_autoptr(WebBody) body =
        entry->body && now_us - entry->answered_us <= STALE_US ? web_body_ref(entry->body) : NULL;
    if (!body) {
        Waiter waiter = {done, asker};
        g_array_append_val(entry->waiters, waiter);
    }
    if (entry->call == 0 && (!body || now_us - entry->answered_us > FRESH_US))
        entry->call =
            web_link_call(cache->link, method, json_incref(params), credential, timeout_ms, on_answer, entry);
    json_decref(params);
    if (body) {
        WebAnswer answer = {0};
        done(body, &answer, asker);
    }
}

void web_cache_forget(WebCache *cache, gconstpointer asker)
{
    for (guint i = 0; i < cache->all->len; i++) {
        Entry *entry = cache->all->pdata[i];
        for (guint w = entry->waiters->len; w > 0; w--)
            if (g_array_index(entry->waiters, Waiter, w - 1).asker == asker)
                g_array_remove_index_fast(entry->waiters, w - 1);
    }
}

void web_cache_clear(WebCache *cache)
{
    g_hash_table_remove_all(cache->entries);
    for (guint i = cache->all->len; i > 0; i--)
        if (((Entry *)cache->all->pdata[i - 1])->call == 0)
            g_ptr_array_remove_index_fast(cache->all, i - 1);
}

WebCache *web_cache_new(WebLink *link)
{
    WebCache *cache = g_new0(WebCache, 1);
    cache->link = link;
    cache->entries = g_hash_table_new(g_str_hash, g_str_equal);
    cache->all = g_ptr_array_new_with_free_func(entry_free);
    return cache;
}

void web_cache_free(WebCache *cache)
{
    if (!cache)
        return;
    g_hash_table_unref(cache->entries);
    g_ptr_array_unref(cache->all);
    g_free(cache);
}
