/*
 * Events: server-sent events to browsers. One subscription at the daemon per account, shared by all of its streams; each
 * event is put into words once per account. A stream ends when its session or token does.
 */
#pragma once
#include "web/http.h"
#include "web/link.h"

/* How many streams an account may have open at once: a person's tabs and programs, and none who starves the others. An
 * operator may put screens on walls, and is who measures this (bench/real/web.py: 500). One more is 429. */
#define WEB_STREAMS_OF_OWNER    20
#define WEB_STREAMS_OF_OPERATOR 600
/* Accounts that watch at once: each has a connection to the daemon, which lets this process have 84 (control/server.c). The
 * rest is for the link that everything else goes over, and for others on this host. One more is 503. */
#define WEB_WATCHERS_MAX 80

typedef struct WebEvents WebEvents;

/* web_events_new: @link: borrowed, for asking who somebody is; @socket_path: for the subscriptions' own connections. */
WebEvents *web_events_new(WebLink *link, const char *socket_path);
void web_events_free(WebEvents *events);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WebEvents, web_events_free)

/* web_events_open: answers @request with a stream, or with a problem when @credential is not (any more) good. */
void web_events_open(WebEvents *events, HttpRequest *request, const WebCredential *credential);
/* web_events_gone: @request's client has gone; harmless for a request that has no stream. */
void web_events_gone(WebEvents *events, HttpRequest *request);
/* web_events_end_session: ends the streams of a session that has just been logged out. */
void web_events_end_session(WebEvents *events, const char *session);

/* web_event_text: one event as it goes over the wire; @data: a JSON text without newlines. (transfer full) */
GBytes *web_event_text(const char *type, const char *data);
