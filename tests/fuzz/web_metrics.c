/* The daemon's answers, garbled, as metrics: whatever they hold, each line is a comment or a name, labels and a number. */
#include <string.h>
#include "fuzz.h"
#include "web/metrics.h"

static void check_sample(const char *line)
{
    const char *end = strrchr(line, ' ');
    g_assert_true(g_str_has_prefix(line, "aerostat_") && end && end[1]);
    char *rest = NULL;
    g_ascii_strtod(end + 1, &rest);
    g_assert_true(rest > end + 1 && *rest == '\0');
    const char *labels = strchr(line, '{');
    g_assert_true(!labels || end[-1] == '}');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *newline = memchr(data, '\n', size);
    gsize first = newline ? (gsize)(newline - text) : size;
    json_t *host = json_loadb(text, first, JSON_DECODE_ANY, NULL);
    json_t *list = newline ? json_loadb(newline + 1, size - first - 1, JSON_DECODE_ANY, NULL) : NULL;
    g_autoptr(GBytes) metrics = web_metrics(host, list);
    gsize length = 0;
    g_autofree char *out = g_strndup(g_bytes_get_data(metrics, &length), g_bytes_get_size(metrics));
    g_assert_cmpuint(strlen(out), ==, length);
    g_assert_true(g_str_has_suffix(out, "\n# EOF\n"));
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    for (char **line = lines; **line || line[1]; line++)
        if (**line != '#')
            check_sample(*line);
    json_decref(host);
    json_decref(list);
    return 0;
}
