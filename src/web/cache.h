/*
 * Cache: the same question of the same person, asked many times at once, goes to the daemon once; and its answer serves
 * for a fifth of a second more, a fifth of the daemon's own beat; for half a second at most while a newer one is on its
 * way. Any change asked for through this process empties it.
 */
#pragma once
#include "web/http.h"
#include "web/link.h"

typedef struct WebCache WebCache;

/* @body: the result, or NULL with @answer's failure. Called once for each asker, perhaps from within web_cache_ask(). */
typedef void (*WebCached)(WebBody *body, const WebAnswer *answer, gpointer user_data);

WebCache *web_cache_new(WebLink *link); /* @link: borrowed */
void web_cache_free(WebCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WebCache, web_cache_free)

/* web_cache_ask: as web_link_call(). @asker: names this question for web_cache_forget(); one question each at a time. */
void web_cache_ask(WebCache *cache, const char *method, json_t *params, const WebCredential *credential,
                   guint timeout_ms, WebCached done, gpointer asker);
void web_cache_forget(WebCache *cache, gconstpointer asker);
/* web_cache_clear: later questions are asked anew; those under way are still answered. */
void web_cache_clear(WebCache *cache);
