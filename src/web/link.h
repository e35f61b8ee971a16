/*
 * Link: one connection to the daemon's control socket that never blocks: many calls at once, each with its own
 * credential and deadline. It connects by itself, and again in growing pauses when the daemon goes.
 *
 * Everything runs on the GMainContext that is the thread's default at construction.
 */
#pragma once
#include <glib.h>
#include <jansson.h>

typedef struct WebLink WebLink;

/* Who asks: what the daemon decides by, and where the person sits (kept for its audit). Strings may be NULL. */
typedef struct {
    const char *session;
    const char *token;
    const char *from;
} WebCredential;

typedef struct {
    GBytes *result;      /* the result's JSON text as the daemon wrote it; NULL on failure */
    int http_status;     /* on failure */
    const char *kind;    /* on failure: "not-found", "unavailable", ... */
    const char *message; /* on failure: one sentence */
    json_t *details;     /* on failure: the error's other data, or NULL */
} WebAnswer;

/* The answer and what it points to are valid during the call only; take a reference of @result to keep it. */
typedef void (*WebAnswered)(const WebAnswer *answer, gpointer user_data);
/* A notification's params. */
typedef void (*WebNotified)(json_t *params, gpointer user_data);
/* @connected: whether the daemon can be reached now. */
typedef void (*WebLinkChanged)(gboolean connected, gpointer user_data);

typedef struct {
    WebNotified notified;   /* may be NULL */
    WebLinkChanged changed; /* may be NULL */
    gpointer user_data;
} WebLinkEvents;

/* web_link_new: @socket_path and @events are copied. Begins to connect at once. */
WebLink *web_link_new(const char *socket_path, const WebLinkEvents *events);
/* Answers every call that is still open with "unavailable" before it returns. */
void web_link_free(WebLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WebLink, web_link_free)

gboolean web_link_connected(const WebLink *link);

/*
 * web_link_call:
 * @params:     (transfer full) (nullable): an object
 * @credential: (nullable): NULL sends none: the call is this process's own
 * @done:       called exactly once, never from within this function: with the result, or with kind "unavailable"
 *              (no daemon), "timeout" (@timeout_ms has passed), or what the daemon refused it with
 * Returns: a number for web_link_cancel(), never 0.
 */
guint64 web_link_call(WebLink *link, const char *method, json_t *params, const WebCredential *credential,
                      guint timeout_ms, WebAnswered done, gpointer user_data);

/* web_link_cancel: @done of call @id will not be called; a number that is not open any more is ignored. */
void web_link_cancel(WebLink *link, guint64 id);

/*
 * web_line_result: the text of a JSON-RPC answer's result, found without reading it.
 * @ret_id: (out): the answer's id
 * Returns: the offset where the result begins in @line, its length in *@ret_length; 0 when the line is not exactly
 *          {"jsonrpc":"2.0","id":N,"result":...} as the daemon writes it; it must then be read as JSON.
 */
gsize web_line_result(const char *line, gsize length, guint64 *ret_id, gsize *ret_length);
