#include <string.h>
#include "base/error.h"

static const struct {
    AerostatError code;
    const char *name;
    int jsonrpc, http;
} TABLE[] = {
    {AEROSTAT_ERROR_FAILED, "failed", -32000, 500},
    {AEROSTAT_ERROR_INVALID, "invalid", -32602, 400},
    {AEROSTAT_ERROR_NOT_FOUND, "not-found", -32002, 404},
    {AEROSTAT_ERROR_DENIED, "denied", -32003, 403},
    {AEROSTAT_ERROR_CONFLICT, "conflict", -32004, 409},
    {AEROSTAT_ERROR_UNAVAILABLE, "unavailable", -32005, 503},
    {AEROSTAT_ERROR_TIMEOUT, "timeout", -32006, 504},
    {AEROSTAT_ERROR_NO_ROOM, "no-room", -32007, 507},
    {AEROSTAT_ERROR_UNAUTHENTICATED, "unauthenticated", -32008, 401},
    {AEROSTAT_ERROR_FORBIDDEN, "forbidden", -32009, 403},
    {AEROSTAT_ERROR_RATE_LIMITED, "rate-limited", -32010, 429},
    {AEROSTAT_ERROR_BUSY, "busy", -32011, 409},
};

static void test_table(void)
{
    g_assert_cmpuint(G_N_ELEMENTS(TABLE), ==, AEROSTAT_N_ERRORS);
    for (guint i = 0; i < G_N_ELEMENTS(TABLE); i++) {
        g_assert_cmpstr(error_code_name(TABLE[i].code), ==, TABLE[i].name);
        g_assert_cmpint(error_code_from_name(TABLE[i].name), ==, TABLE[i].code);
        g_assert_cmpint(error_code_jsonrpc(TABLE[i].code), ==, TABLE[i].jsonrpc);
        g_assert_cmpint(error_code_http(TABLE[i].code), ==, TABLE[i].http);
    }
}

static void test_figures(void)
{
    g_autoptr(GError) error = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_RATE_LIMITED, "wait");
    g_assert_cmpint(error_retry_after_s(error), ==, 0);
    g_assert_cmpuint(error_missing_bytes(error), ==, 0);
    error_set_retry_after(error, 7);
    error_set_missing(error, UINT64_MAX);
    g_autoptr(GError) copy = g_error_copy(error);
    g_assert_cmpint(error_retry_after_s(copy), ==, 7);
    g_assert_cmpuint(error_missing_bytes(copy), ==, UINT64_MAX);
    g_autoptr(GError) other = g_error_new(G_FILE_ERROR, G_FILE_ERROR_NOENT, "elsewhere");
    g_assert_cmpint(error_retry_after_s(other), ==, 0);
    g_assert_cmpuint(error_missing_bytes(other), ==, 0);
}

static void test_unknown(void)
{
    static const char *const NAMES[] = {NULL, "", "Invalid", "invalid ", "nonsense"};
    for (guint i = 0; i < G_N_ELEMENTS(NAMES); i++)
        g_assert_cmpint(error_code_from_name(NAMES[i]), ==, AEROSTAT_ERROR_FAILED);
    static const int CODES[] = {AEROSTAT_N_ERRORS, -1, 99, G_MAXINT, G_MININT};
    for (guint i = 0; i < G_N_ELEMENTS(CODES); i++) {
        AerostatError code = (AerostatError)CODES[i];
        g_assert_cmpstr(error_code_name(code), ==, "failed");
        g_assert_cmpint(error_code_http(code), ==, 500);
        g_assert_cmpint(error_code_jsonrpc(code), ==, -32000);
    }
}

/* A letter that turns the direction of writing round: not spelt out, so that nothing turns round here. */
static const char TURNED[] = {'a', (char)0xe2, (char)0x80, (char)0xae, 'z', '\0'};

static void test_printable(void)
{
    static const struct {
        const char *text;
        gssize length;
        guint max;
        const char *expect;
    } ROWS[] = {
        {"", -1, 10, ""},
        {"plain text", -1, 10, "plain text"},
        {"plain text!", -1, 10, "plain text..."},
        {"x", -1, 0, "..."},
        {"a\nb\tc\x7f", -1, 10, "a\\x0ab\\x09c\\x7f"},
        {"a\0b", 3, 10, "a\\x00b"},
        {"größe", -1, 10, "größe"},
        {"größe", -1, 3, "grö..."},
        {"gr\xc3", -1, 10, "gr\\xc3"},    /* cut in the middle of a letter */
        {"gr\xc3\xb6", 3, 10, "gr\\xc3"}, /* the same by length */
        {"\xff\xfe", -1, 10, "\\xff\\xfe"},
        {"a\xe2\x80\xa8z", -1, 10, "a\\xe2\\x80\\xa8z"}, /* a line separator */
        {TURNED, -1, 10, "a\\xe2\\x80\\xaez"},           /* turns the writing round */
        {"\xed\xa0\x80", -1, 10, "\\xed\\xa0\\x80"},     /* half of a surrogate pair */
    };
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autofree char *got = error_printable(ROWS[i].text, ROWS[i].length, ROWS[i].max);
        g_assert_cmpstr(got, ==, ROWS[i].expect);
        g_assert_true(g_utf8_validate(got, -1, NULL));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/table", test_table);
    g_test_add_func("/error/figures", test_figures);
    g_test_add_func("/error/unknown", test_unknown);
    g_test_add_func("/error/printable", test_printable);
    return g_test_run();
}
