#include "web/problem.h"
#include <string.h>
#include "base/json.h"

const char *web_reason(int status)
{
    static const struct {
        int status;
        const char *words;
    } REASONS[] = {
        {400, "Bad Request"},       {401, "Unauthorized"},          {403, "Forbidden"},
        {404, "Not Found"},         {405, "Method Not Allowed"},    {409, "Conflict"},
        {413, "Content Too Large"}, {414, "URI Too Long"},          {415, "Unsupported Media Type"},
        {429, "Too Many Requests"}, {500, "Internal Server Error"}, {503, "Service Unavailable"},
        {504, "Gateway Timeout"},   {507, "Insufficient Storage"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(REASONS); i++)
        if (REASONS[i].status == status)
            return REASONS[i].words;
    return "Error";
}

GBytes *web_problem(int status, const char *kind, const char *detail, const char *instance, json_t *more)
{
    g_autofree char *type = g_strconcat("urn:aerostat:problem:", kind, NULL);
    g_autofree char *text = g_utf8_make_valid(detail, -1);
    g_autofree char *where = instance ? g_utf8_make_valid(instance, -1) : NULL;
    g_autoptr(json_t) problem = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", type, "title",
                                          web_reason(status), "status", status, "detail", text, "kind", kind);
    if (where)
        json_object_set_new(problem, "instance", json_string(where));
    if (more)
        json_object_update_missing(problem, more);
    char *line = json_line(problem);
    return g_bytes_new_take(line, strlen(line));
}
