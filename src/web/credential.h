/* Credential: who asks, read from a request's headers; and whether the request may be believed to be meant. Pure. */
#pragma once
#include <glib.h>

#define WEB_COOKIE "aerostat_session"

/* What of a request's headers matters here; NULL where it has none. Borrowed. */
typedef struct {
    const char *cookie, *authorization, *host, *origin, *fetch_site, *requested_with, *forwarded_for,
        *forwarded_proto;
} WebHeaders;

/*
 * web_cookie_session: the session named in a Cookie header; NULL when there is none. (transfer full)
 * A value with anything but letters, digits, - and _ is none: nothing of ours has them.
 */
char *web_cookie_session(const char *cookie);

/* web_bearer_token: the token of "Authorization: Bearer T"; NULL for anything else. (transfer full) */
char *web_bearer_token(const char *authorization);

/*
 * web_cross_site: why an unsafe request that a browser sent by itself (with our cookie, or to log in) must be refused:
 * a sentence, or NULL when it comes from our own page or from a program. A browser says where a request comes from
 * (Sec-Fetch-Site, Origin); where neither is there, a header that no form can send must be: X-Requested-With.
 * @has_body_type: its body is declared as JSON, which no form can do either
 */
const char *web_cross_site(const WebHeaders *headers, gboolean has_body_type);

/* web_client_address: where the person sits: @peer, or what a proxy at @peer says when it is one of @proxies
 * (nullable, NULL-terminated): the last address of X-Forwarded-For. (transfer full) */
char *web_client_address(const char *peer, const char *const *proxies, const WebHeaders *headers);

/* web_is_secure: the connection to the person is TLS: @tls, or a trusted proxy says so. */
gboolean web_is_secure(gboolean tls, const char *peer, const char *const *proxies, const WebHeaders *headers);
