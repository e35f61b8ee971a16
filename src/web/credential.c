#include "web/credential.h"
#include <string.h>
#include <gio/gio.h>

/* More than any of ours has. */
#define SECRET_LIMIT 200

static gboolean is_secret(const char *text, gsize length)
{
    if (length == 0 || length > SECRET_LIMIT)
        return FALSE;
    for (gsize i = 0; i < length; i++)
        if (!g_ascii_isalnum(text[i]) && text[i] != '-' && text[i] != '_')
            return FALSE;
    return TRUE;
}

char *web_cookie_session(const char *cookie)
{
    g_auto(GStrv) parts = g_strsplit(cookie ? cookie : "", ";", -1);
    for (guint i = 0; parts[i]; i++) {
        const char *part = g_strstrip(parts[i]);
        if (!g_str_has_prefix(part, WEB_COOKIE "="))
            continue;
        const char *value = part + strlen(WEB_COOKIE "=");
        if (is_secret(value, strlen(value)))
            return g_strdup(value);
    }
    return NULL;
}

char *web_bearer_token(const char *authorization)
{
    static const char SCHEME[] = "Bearer ";
    if (!authorization || g_ascii_strncasecmp(authorization, SCHEME, sizeof SCHEME - 1) != 0)
        return NULL;
    g_autofree char *value = g_strstrip(g_strdup(authorization + sizeof SCHEME - 1));
    return is_secret(value, strlen(value)) ? g_steal_pointer(&value) : NULL;
}

/* Origin is scheme://host[:port]; what it names must be the Host that was asked. */
static gboolean same_origin(const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    return authority && host && g_ascii_strcasecmp(authority + 3, host) == 0;
}

const char *web_cross_site(const WebHeaders *headers, gboolean has_body_type)
{
    const char *site = headers->fetch_site;
    if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return "this request comes from another site; changes are taken from this server's own pages only";
    if (headers->origin && !same_origin(headers->origin, headers->host))
        return "this request comes from another origin; changes are taken from this server's own pages only";
    if (!site && !headers->origin && !headers->requested_with && !has_body_type)
        return "a change needs a body of type application/json or the header X-Requested-With, so that no "
               "other "
               "site's form can send it";
    return NULL;
}

static gboolean is_proxy(const char *peer, const char *const *proxies)
{
    return proxies && g_strv_contains(proxies, peer);
}

char *web_client_address(const char *peer, const char *const *proxies, const WebHeaders *headers)
{
    if (!headers->forwarded_for || !is_proxy(peer, proxies))
        return g_strdup(peer);
    const char *comma = strrchr(headers->forwarded_for, ',');
    g_autofree char *last = g_strstrip(g_strdup(comma ? comma + 1 : headers->forwarded_for));
    g_autoptr(GInetAddress) address = g_inet_address_new_from_string(last);
    return address ? g_inet_address_to_string(address) : g_strdup(peer);
}

gboolean web_is_secure(gboolean tls, const char *peer, const char *const *proxies, const WebHeaders *headers)
{
    return tls || (headers->forwarded_proto && is_proxy(peer, proxies) &&
                   g_ascii_strcasecmp(headers->forwarded_proto, "https") == 0);
}
