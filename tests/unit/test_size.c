#include <math.h>
#include <string.h>
#include "base/error.h"
#include "base/size.h"

#define UNTOUCHED UINT64_C(0xabcdef)

/* Rows hold newlines and broken bytes, which the test protocol cannot carry. */
static void announce(const char *text)
{
    g_autofree char *printable = error_printable(text, -1, 80);
    g_test_message("\"%s\"", printable);
}

static const struct {
    const char *text;
    uint64_t of, expect;
} GOOD[] = {
    {"0", 0, 0},
    {"1", 0, 1},
    {"007", 0, 7},
    {"1048576", 0, MIB},
    {"1048576B", 0, MIB},
    {"12 b", 0, 12},
    {"4096KiB", 0, 4 * MIB},
    {"512M", 0, 512 * MIB},
    {"2GiB", 0, 2 * GIB},
    {"2gib", 0, 2 * GIB},
    {"2gB", 0, 2 * GIB},
    {"2GB", 0, 2 * GIB}, /* binary too */
    {"3T", 0, 3 * TIB},
    {" 2 GiB ", 0, 2 * GIB},
    {"\t2G\n", 0, 2 * GIB},
    {"1.5G", 0, 3 * GIB / 2},
    {"1.50000000000000000000000000000000000000G", 0, 3 * GIB / 2},
    {"0.5K", 0, 512},
    {"0.1K", 0, 102},        /* 102.4: what is below a byte is dropped */
    {"0.9999999K", 0, 1023}, /* never rounded up */
    {"0.0001K", 0, 0},
    {"1.999999999999999999999G", 0, 2 * GIB - 1},
    {"0.3T", 0, 329853488332},                     /* 329853488332.8; a double gives the same, barely */
    {"65535.999999999999T", 0, 72057594037927934}, /* ...7934.9 */
    {"72057594037927935", 0, SIZE_MAX_BYTES},
    {"0000000000000000000000000000000072057594037927935", 0, SIZE_MAX_BYTES},
    {"70368744177663K", 0, SIZE_MAX_BYTES - 1023},
    {"5%", 100, 5},
    {"5 %", 100, 5},
    {" 5% ", GIB, 53687091}, /* ...91.2 */
    {"100%", GIB, GIB},
    {"100%", SIZE_MAX_BYTES, SIZE_MAX_BYTES},
    {"100.000%", 7, 7},
    {"0%", GIB, 0},
    {"99.9%", 1000, 999},
    {"99.9%", 1001, 999}, /* 999.999 */
    {"0.000000001%", UINT64_C(100000000000), 1},
    {"33.333333333%", 3, 0},
    {"512M", GIB, 512 * MIB}, /* where a percentage may stand, a size may */
};

static void test_good(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(GOOD); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t bytes = UNTOUCHED;
        announce(GOOD[i].text);
        gboolean ok = size_parse(GOOD[i].text, GOOD[i].of, &bytes, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
        g_assert_cmpuint(bytes, ==, GOOD[i].expect);
    }
}

static const struct {
    const char *text;
    uint64_t of;
    const char *wrong; /* part of the message */
} BAD[] = {
    {"", 0, "is empty"},
    {" ", 0, "is empty"},
    {"\n\t", GIB, "percentage such as"},
    {"-1", 0, "is negative"},
    {"-0", 0, "is negative"},
    {" -5%", GIB, "is negative"},
    {"+1", 0, "is not a size"},
    {"1e9", 0, "is not a size"},
    {"0x10", 0, "is not a size"},
    {"K", 0, "is not a size"},
    {"GiB", 0, "is not a size"},
    {"NaN", 0, "is not a size"},
    {"inf", 0, "is not a size"},
    {"auto", 0, "is not a size"},
    {".5G", 0, "is not a size"},
    {"1.G", 0, "is not a size"},
    {"1.", 0, "is not a size"},
    {"1.5.5G", 0, "is not a size"},
    {"1,5G", 0, "is not a size"},
    {"1 000", 0, "is not a size"},
    {"1_000", 0, "is not a size"},
    {"2G2", 0, "is not a size"},
    {"2G 2G", 0, "is not a size"},
    {"2G;", 0, "is not a size"},
    {"\xd9\xa5", 0, "is not a size"},   /* an Arabic five */
    {"5\xc2\xa0G", 0, "is not a size"}, /* a space that does not break */
    {"5\xff", 0, "is not a size"},
    {"2X", 0, "has no known unit"},
    {"2 Gb i", 0, "is not a size"},
    {"2Gi", 0, "has no known unit"},
    {"2GiBB", 0, "has no known unit"},
    {"2Bi", 0, "has no known unit"},
    {"2P", 0, "has no known unit"},
    {"1.5", 0, "is a fraction of bytes"},
    {"1.5B", 0, "is a fraction of bytes"},
    {"72057594037927936", 0, "is too large"},
    {"65536T", 0, "is too large"},
    {"70368744177664K", 0, "is too large"},
    {"18446744073709551615", 0, "is too large"},
    {"18446744073709551616", 0, "is too large"},
    {"18446744073709551616K", 0, "is too large"},
    {"99999999999999999999999999999999999999999999999999999999T", 0, "is too large"},
    {"5%", 0, "of nothing"},
    {"5%%", GIB, "is not a percentage"},
    {"5%G", GIB, "is not a percentage"},
    {"%", GIB, "is not a size"},
    {"5G%", GIB, "is not a size"},
    {"101%", GIB, "is more than all of it"},
    {"100.000000001%", GIB, "is more than all of it"},
    {"18446744073709551617%", GIB, "is more than all of it"},
    {"100%", UINT64_MAX, "is too large"},
};

static void test_bad(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(BAD); i++) {
        g_autoptr(GError) error = NULL;
        uint64_t bytes = UNTOUCHED;
        announce(BAD[i].text);
        g_assert_false(size_parse(BAD[i].text, BAD[i].of, &bytes, &error));
        g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, BAD[i].wrong));
        g_assert_nonnull(strstr(error->message, "; write "));
        g_assert_null(strchr(error->message, '\n'));
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        g_assert_cmpuint(bytes, ==, UNTOUCHED);
        g_assert_false(size_parse(BAD[i].text, BAD[i].of, &bytes, NULL));
    }
}

static void test_huge_text(void)
{
    g_autoptr(GError) error = NULL;
    uint64_t bytes = UNTOUCHED;
    g_autofree char *nines = g_strnfill(1000000, '9');
    g_assert_false(size_parse(nines, 0, &bytes, &error));
    g_assert_cmpuint(strlen(error->message), <, 200);
    g_autofree char *zeros = g_strnfill(1000000, '0');
    g_autofree char *tiny = g_strconcat("3.", zeros, "9K", NULL);
    g_assert_true(size_parse(tiny, 0, &bytes, NULL));
    g_assert_cmpuint(bytes, ==, 3 * KIB);
}

static void test_percent(void)
{
    static const struct {
        const char *text;
        double expect; /* negative: refused */
    } ROWS[] = {
        {"0%", 0},       {"5%", 5},     {"12.5 %", 12.5},
        {" 100% ", 100}, {"0.1%", 0.1}, {"0.0000000001%", 0},
        {"", -1},        {"5", -1},     {"%", -1},
        {"-5%", -1},     {"101%", -1},  {"100.1%", -1},
        {"5%%", -1},     {"5e1%", -1},  {"nan%", -1},
        {"5M", -1},      {".5%", -1},   {"99999999999999999999%", -1},
    };
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(GError) error = NULL;
        double percent = -7;
        announce(ROWS[i].text);
        gboolean ok = size_parse_percent(ROWS[i].text, &percent, &error);
        g_assert_cmpint(ok, ==, ROWS[i].expect >= 0);
        if (ok) {
            g_assert_cmpfloat(percent, ==, ROWS[i].expect);
        } else {
            g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
            g_assert_cmpfloat(percent, ==, -7);
        }
    }
}

/* The percentage kept for later gives the very bytes that the same text gives at once. */
static void test_percent_agrees(void)
{
    for (guint i = 0; i < 20000; i++) {
        guint64 of = ((guint64)g_test_rand_int() << 32 | (guint32)g_test_rand_int()) & SIZE_MAX_BYTES;
        guint nano = (guint)g_test_rand_int_range(0, 1000000000),
              whole = (guint)g_test_rand_int_range(0, 100);
        g_autofree char *text = g_strdup_printf("%u.%09u%%", whole, nano);
        uint64_t bytes = UNTOUCHED;
        double percent = -1;
        g_assert_true(size_parse(text, of, &bytes, NULL) || of == 0);
        g_assert_true(size_parse_percent(text, &percent, NULL));
        if (of)
            g_assert_cmpuint(bytes, ==, size_of_percent(of, percent));
    }
    g_assert_cmpuint(size_of_percent(UINT64_MAX, 100), ==, UINT64_MAX);
    g_assert_cmpuint(size_of_percent(GIB, 1000), ==, GIB);
    g_assert_cmpuint(size_of_percent(GIB, -1), ==, 0);
    g_assert_cmpuint(size_of_percent(GIB, (double)NAN), ==, 0);
}

static void test_format(void)
{
    static const struct {
        uint64_t bytes;
        const char *expect;
    } ROWS[] = {
        {0, "0 B"},
        {1, "1 B"},
        {1023, "1023 B"},
        {KIB, "1 KiB"},
        {KIB + 51, "1 KiB"},
        {KIB + 52, "1.1 KiB"},
        {1536, "1.5 KiB"},
        {512 * MIB, "512 MiB"},
        {GIB, "1 GiB"},
        {1503238554, "1.4 GiB"},
        {2 * GIB, "2 GiB"},
        {99 * GIB + GIB / 2, "99.5 GiB"},
        {100 * GIB - 1, "100 GiB"},
        {100 * GIB + GIB / 2 - 1, "100 GiB"},
        {100 * GIB + GIB / 2, "101 GiB"},
        {MIB - 1, "1 MiB"},
        {GIB - 1, "1 GiB"},
        {1023 * MIB + MIB / 2 - 1, "1023 MiB"},
        {1023 * MIB + MIB / 2, "1 GiB"},
        {1023 * KIB, "1023 KiB"},
        {3 * TIB, "3 TiB"},
        {SIZE_MAX_BYTES, "64 PiB"},
        {UINT64_C(1) << 60, "1 EiB"},
        {UINT64_MAX, "16 EiB"},
    };
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autofree char *text = size_format(ROWS[i].bytes);
        g_assert_cmpstr(text, ==, ROWS[i].expect);
        char small[4];
        g_assert_true(size_format_buf(ROWS[i].bytes, small, sizeof small) == small);
        g_assert_cmpuint(strlen(small), ==, MIN(strlen(text), 3));
    }
}

/* What is shown can be typed in again, and is within the half of a decimal of the truth. */
static void test_format_round_trip(void)
{
    for (guint i = 0; i < 20000; i++) {
        guint64 random = (guint64)g_test_rand_int() << 32 | (guint32)g_test_rand_int();
        guint64 bytes = random >> (guint)g_test_rand_int_range(15, 64); /* below 512 TiB: no PiB are read */
        char buffer[16];
        uint64_t back = 0;
        size_format_buf(bytes, buffer, sizeof buffer);
        g_assert_cmpuint(strlen(buffer), <, sizeof buffer - 1);
        g_assert_true(size_parse(buffer, 0, &back, NULL));
        guint64 off = back > bytes ? back - bytes : bytes - back;
        g_assert_cmpuint(off, <=, bytes / 20 + 1);
    }
}

static void test_arithmetic(void)
{
    g_assert_cmpuint(u64_add_sat(1, 2), ==, 3);
    g_assert_cmpuint(u64_add_sat(UINT64_MAX, 1), ==, UINT64_MAX);
    g_assert_cmpuint(u64_add_sat(UINT64_MAX - 1, 1), ==, UINT64_MAX);
    g_assert_cmpuint(u64_sub_sat(3, 2), ==, 1);
    g_assert_cmpuint(u64_sub_sat(2, 3), ==, 0);
    g_assert_cmpuint(u64_min(2, 3), ==, 2);
    g_assert_cmpuint(u64_max(2, 3), ==, 3);
    g_assert_cmpuint(u64_clamp(1, 2, 4), ==, 2);
    g_assert_cmpuint(u64_clamp(3, 2, 4), ==, 3);
    g_assert_cmpuint(u64_clamp(5, 2, 4), ==, 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/size/good", test_good);
    g_test_add_func("/size/bad", test_bad);
    g_test_add_func("/size/huge-text", test_huge_text);
    g_test_add_func("/size/percent", test_percent);
    g_test_add_func("/size/percent-agrees", test_percent_agrees);
    g_test_add_func("/size/format", test_format);
    g_test_add_func("/size/format-round-trip", test_format_round_trip);
    g_test_add_func("/size/arithmetic", test_arithmetic);
    return g_test_run();
}
