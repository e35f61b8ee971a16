/*
 * A request as a stranger writes it: "METHOD PATH?QUERY", header lines, an empty line, a body. Whatever it is, it becomes
 * a known method with parameters of the right types, or a sentence; and who asks is nobody, or made of harmless letters.
 */
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "fuzz.h"
#include "web/credential.h"
#include "web/problem.h"
#include "web/routes.h"

static void check_error(const GError *error)
{
    g_assert_true(error->domain == AEROSTAT_ERROR);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    AerostatError code = (AerostatError)error->code;
    g_autoptr(GBytes) problem =
        web_problem(error_code_http(code), error_code_name(code), error->message, NULL, NULL);
    gsize length = 0;
    const char *text = g_bytes_get_data(problem, &length);
    g_autoptr(json_t) document = json_loadb(text, length, 0, NULL);
    g_assert_true(json_is_object(document));
}

static gboolean is_harmless(const char *text)
{
    for (; *text; text++)
        if (!g_ascii_isgraph(*text) || *text == '"')
            return FALSE;
    return TRUE;
}

/* The session and the token go to the daemon, the address into its audit. */
static void check_headers(char **lines)
{
    static const char *const NAMES[] = {"cookie",          "authorization",    "host",
                                        "origin",          "sec-fetch-site",   "x-requested-with",
                                        "x-forwarded-for", "x-forwarded-proto"};
    const char *found[G_N_ELEMENTS(NAMES)] = {NULL};
    for (; *lines; lines++)
        for (gsize i = 0; i < G_N_ELEMENTS(NAMES); i++)
            if (g_ascii_strncasecmp(*lines, NAMES[i], strlen(NAMES[i])) == 0 &&
                (*lines)[strlen(NAMES[i])] == ':')
                found[i] = *lines + strlen(NAMES[i]) + 1 + ((*lines)[strlen(NAMES[i]) + 1] == ' ');
    WebHeaders headers = {found[0], found[1], found[2], found[3], found[4], found[5], found[6], found[7]};
    static const char *const PROXIES[] = {"127.0.0.1", NULL};
    g_autofree char *session = web_cookie_session(headers.cookie);
    g_assert_true(!session || (*session && is_harmless(session)));
    g_autofree char *token = web_bearer_token(headers.authorization);
    g_assert_true(!token || (*token && is_harmless(token)));
    g_autofree char *client = web_client_address("127.0.0.1", PROXIES, &headers);
    g_assert_true(client && g_utf8_validate(client, -1, NULL));
    g_autofree char *stranger = web_client_address("192.0.2.1", PROXIES, &headers);
    g_assert_cmpstr(stranger, ==, "192.0.2.1");
    g_assert_false(web_is_secure(FALSE, "192.0.2.1", PROXIES, &headers));
    const char *refusal = web_cross_site(&headers, FALSE);
    g_assert_true(!refusal || g_utf8_validate(refusal, -1, NULL));
    WebHeaders foreign = headers;
    foreign.fetch_site = "cross-site";
    g_assert_nonnull(web_cross_site(&foreign, TRUE));
}

static gboolean take_query(RouteMatch *match, char *query, GError **error)
{
    g_auto(GStrv) pairs = g_strsplit(query, "&", -1);
    for (char **pair = pairs; *pair; pair++) {
        char *value = strchr(*pair, '=');
        if (value)
            *value++ = '\0';
        if (!route_query(match, *pair, value, error))
            return FALSE;
    }
    return TRUE;
}

static void check_request(char *first, const char *body, gsize length)
{
    char *path = strchr(first, ' ');
    if (!path)
        return;
    *path++ = '\0';
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    g_auto(RouteMatch) match = {NULL, NULL};
    g_autofree char *allow = NULL;
    g_autoptr(GError) error = NULL;
    if (!route_match(first, path, &match, &allow, &error)) {
        g_assert_true(error->code != AEROSTAT_ERROR_CONFLICT || allow);
        check_error(error);
        return;
    }
    g_assert_true(match.route->http_method && json_is_object(match.params));
    if ((query && !take_query(&match, query, &error)) || !route_body(&match, body, length, &error))
        check_error(error);
    else
        g_assert_true(json_is_object(match.params));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    /* A header never holds a NUL, the body may. */
    gsize head = strlen(text);
    char *end = strstr(text, "\n\n");
    const char *body = "";
    gsize length = 0;
    if (end) {
        head = (gsize)(end - text);
        body = (const char *)data + head + 2;
        length = size - head - 2;
        *end = '\0';
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    if (!lines[0])
        return 0;
    check_headers(lines + 1);
    check_request(lines[0], body, length);
    return 0;
}
