/* The first byte chooses what a percentage is of; the rest is the text. */
#include <string.h>
#include "base/error.h"
#include "base/size.h"
#include "fuzz.h"

#define UNTOUCHED UINT64_C(0xabcdef)

static void check_error(const GError *error)
{
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_assert_null(strchr(error->message, '\n'));
}

static void check_percent(const char *text, uint64_t of_bytes, gboolean parsed, uint64_t bytes)
{
    double percent = -1;
    g_autoptr(GError) error = NULL;
    if (!size_parse_percent(text, &percent, &error)) {
        check_error(error);
        return;
    }
    g_assert_true(percent >= 0 && percent <= 100);
    if (parsed)
        g_assert_cmpuint(bytes, ==, size_of_percent(of_bytes, percent));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t OF[] = {0, 1, GIB, SIZE_MAX_BYTES, UINT64_MAX};
    if (size == 0)
        return 0;
    g_autofree char *text = g_strndup((const char *)data + 1, size - 1);
    uint64_t of_bytes = OF[data[0] % G_N_ELEMENTS(OF)], bytes = UNTOUCHED;
    g_autoptr(GError) error = NULL;
    gboolean parsed = size_parse(text, of_bytes, &bytes, &error);
    if (parsed) {
        char buffer[16];
        uint64_t back;
        g_assert_no_error(error);
        g_assert_cmpuint(bytes, <=, SIZE_MAX_BYTES);
        size_format_buf(bytes, buffer, sizeof buffer);
        /* What is shown can be typed in again, up to the largest unit that is read. */
        g_assert_true(size_parse(buffer, 0, &back, NULL) || bytes > 1023 * TIB);
    } else {
        check_error(error);
        g_assert_cmpuint(bytes, ==, UNTOUCHED);
    }
    check_percent(text, of_bytes, parsed, bytes);
    return 0;
}
