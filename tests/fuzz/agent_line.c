/* Lines of a guest's agent, one after the other, as a channel would hand them on. */
#include <string.h>
#include "backend/agent_line.h"
#include "base/error.h"
#include "base/u64.h"
#include "fuzz.h"
#include "policy/facts.h"

#define MAXIMUM_BYTES (4 * GIB)

static void check(const AgentSample *sample)
{
    g_assert_cmpuint(sample->total_bytes, <=, MAXIMUM_BYTES);
    g_assert_cmpuint(sample->available_bytes, <=, sample->total_bytes);
    g_assert_cmpuint(sample->free_bytes, <=, sample->total_bytes);
    g_assert_cmpuint(strlen(sample->version), >, 0);
    g_assert_cmpuint(strlen(sample->boot), >, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AgentSample before, sample;
    gboolean has_before = FALSE;
    const char *text = (const char *)data, *end = text + size;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        gsize length = (gsize)((newline ? newline : end) - text);
        g_autoptr(GError) error = NULL;
        if (agent_line_parse(text, length, MAXIMUM_BYTES, has_before ? &before : NULL, &sample, &error)) {
            check(&sample);
            before = sample;
            has_before = TRUE;
        } else {
            g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
            g_assert_true(g_utf8_validate(error->message, -1, NULL));
        }
        text += length + 1;
    }
    return 0;
}
