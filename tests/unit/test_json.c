#include <string.h>
#include "base/error.h"
#include "base/json.h"

static json_t *parse(const char *text, GError **error)
{
    return json_parse_object(text, strlen(text), error);
}

static void test_bytes(void)
{
    static const struct {
        uint64_t bytes;
        json_int_t expect;
    } ROWS[] = {{0, 0},
                {1, 1},
                {INT64_MAX, INT64_MAX},
                {(uint64_t)INT64_MAX + 1, INT64_MAX},
                {UINT64_MAX, INT64_MAX}};
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(json_t) value = json_bytes(ROWS[i].bytes);
        g_assert_true(json_is_integer(value));
        g_assert_cmpint(json_integer_value(value), ==, ROWS[i].expect);
    }
    g_autoptr(json_t) missing = json_bytes_or_null(UINT64_MAX);
    g_assert_true(json_is_null(missing));
    g_autoptr(json_t) largest = json_bytes_or_null(UINT64_MAX - 1);
    g_assert_cmpint(json_integer_value(largest), ==, INT64_MAX);
    g_autoptr(json_t) none = json_bytes_or_null(0);
    g_assert_true(json_is_integer(none));
}

static void test_members(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) object =
        parse("{\"s\":\"text\",\"e\":\"\",\"n\":7,\"z\":0,\"m\":9223372036854775807,\"t\":true,\"f\":false}",
              &error);
    g_assert_no_error(error);
    const char *text = NULL;
    uint64_t number = 1;
    gboolean flag = FALSE;
    g_assert_true(json_member_string(object, "s", TRUE, &text, &error));
    g_assert_cmpstr(text, ==, "text");
    g_assert_true(json_member_string(object, "e", FALSE, &text, &error));
    g_assert_cmpstr(text, ==, "");
    g_assert_true(json_member_uint64(object, "n", TRUE, &number, &error));
    g_assert_cmpuint(number, ==, 7);
    g_assert_true(json_member_uint64(object, "z", TRUE, &number, &error));
    g_assert_cmpuint(number, ==, 0);
    g_assert_true(json_member_uint64(object, "m", TRUE, &number, &error));
    g_assert_cmpuint(number, ==, INT64_MAX);
    g_assert_true(json_member_bool(object, "t", TRUE, &flag, &error));
    g_assert_true(flag);
    g_assert_true(json_member_bool(object, "f", TRUE, &flag, &error));
    g_assert_false(flag);
    g_assert_no_error(error);
}

static void test_members_absent(void)
{
    g_autoptr(json_t) object = json_object();
    g_autoptr(GError) error = NULL;
    const char *text = "before";
    uint64_t number = 7;
    gboolean flag = 2;
    g_assert_false(json_member_string(object, "x", FALSE, &text, &error));
    g_assert_false(json_member_uint64(object, "x", FALSE, &number, &error));
    g_assert_false(json_member_bool(object, "x", FALSE, &flag, &error));
    g_assert_no_error(error);
    g_assert_false(json_member_string(object, "x", TRUE, &text, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==, "\"x\" is missing; give a string");
    g_clear_error(&error);
    g_assert_false(json_member_uint64(object, "x", TRUE, &number, &error));
    g_assert_cmpstr(error->message, ==, "\"x\" is missing; give an integer of 0 or more");
    g_clear_error(&error);
    g_assert_false(json_member_bool(object, "x", TRUE, &flag, &error));
    g_assert_cmpstr(error->message, ==, "\"x\" is missing; give true or false");
    g_assert_cmpstr(text, ==, "before");
    g_assert_cmpuint(number, ==, 7);
    g_assert_cmpint(flag, ==, 2);
}

/* Each type of value against each typed member: right only where both are the same, and never half taken. */
static void test_members_wrong_type(void)
{
    static const struct {
        const char *value;
        char right; /* s, n, b; or x: none */
    } ROWS[] = {{"\"a\"", 's'}, {"1", 'n'},   {"true", 'b'}, {"false", 'b'}, {"-1", 'x'},
                {"1.0", 'x'},   {"1e3", 'x'}, {"null", 'x'}, {"[]", 'x'},    {"{}", 'x'}};
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++)
        for (guint required = 0; required < 2; required++) {
            g_autofree char *json = g_strdup_printf("{\"a\":%s}", ROWS[i].value);
            g_autoptr(json_t) object = parse(json, NULL);
            g_autoptr(GError) of_string = NULL, of_number = NULL, of_bool = NULL;
            const char *text = "before";
            uint64_t number = 77;
            gboolean flag = 2;
            g_assert_cmpint(json_member_string(object, "a", (gboolean)required, &text, &of_string), ==,
                            ROWS[i].right == 's');
            g_assert_cmpint(json_member_uint64(object, "a", (gboolean)required, &number, &of_number), ==,
                            ROWS[i].right == 'n');
            g_assert_cmpint(json_member_bool(object, "a", (gboolean)required, &flag, &of_bool), ==,
                            ROWS[i].right == 'b');
            if (ROWS[i].right != 's') {
                g_assert_error(of_string, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
                g_assert_true(g_str_has_suffix(of_string->message, "; give a string"));
                g_assert_cmpstr(text, ==, "before");
            }
            if (ROWS[i].right != 'n') {
                g_assert_error(of_number, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
                g_assert_true(g_str_has_suffix(of_number->message, "; give an integer of 0 or more"));
                g_assert_cmpuint(number, ==, 77);
            }
            if (ROWS[i].right != 'b') {
                g_assert_error(of_bool, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
                g_assert_true(g_str_has_suffix(of_bool->message, "; give true or false"));
                g_assert_cmpint(flag, ==, 2);
            }
        }
}

#define BYTES(literal) (literal), sizeof(literal) - 1

static void test_garbage(void)
{
    static const struct {
        const char *text;
        gsize length;
    } ROWS[] = {
        {BYTES("")},
        {BYTES(" ")},
        {BYTES("{")},
        {BYTES("}")},
        {BYTES("[")},
        {BYTES("{]")},
        {BYTES("[]")},
        {BYTES("1")},
        {BYTES("null")},
        {BYTES("\"{}\"")},
        {BYTES("{} {}")},
        {BYTES("{}x")},
        {BYTES("{}\0")},
        {BYTES("\0{}")},
        {BYTES("\xef\xbb\xbf{}")},
        {BYTES("{\"a\"}")},
        {BYTES("{\"a\":}")},
        {BYTES("{\"a\":1,}")},
        {BYTES("{\"a\":1,\"a\":2}")},
        {BYTES("{a:1}")},
        {BYTES("{'a':1}")},
        {BYTES("{\"a\":01}")},
        {BYTES("{\"a\":+1}")},
        {BYTES("{\"a\":.5}")},
        {BYTES("{\"a\":0x1}")},
        {BYTES("{\"a\":NaN}")},
        {BYTES("{\"a\":Infinity}")},
        {BYTES("{\"a\":1e999}")},
        {BYTES("{\"a\":9223372036854775808}")},
        {BYTES("{\"a\":-9223372036854775809}")},
        {BYTES("{\"a\":\"\\u0000\"}")},
        {BYTES("{\"a\":\"\\ud800\"}")},
        {BYTES("{\"a\":\"\\x\"}")},
        {BYTES("{\"a\":\"\xff\"}")},
        {BYTES("{\"a\":\"\xc3\"}")},
        {BYTES("{\"a\":\"\n\"}")},
        {BYTES("{\"a\":\"\0\"}")},
        {BYTES("{\"a\":\"")},
        {BYTES("{\"a\":\"\\")},
        {BYTES("{\"a\":tru}")},
        {BYTES("// {}\n{}")},
    };
    for (guint i = 0; i < G_N_ELEMENTS(ROWS); i++) {
        g_autoptr(GError) error = NULL;
        /* A copy of exactly this size: reading past its end is caught. */
        g_autofree char *exact = g_memdup2(ROWS[i].text, ROWS[i].length);
        g_autofree char *printable = error_printable(ROWS[i].text, (gssize)ROWS[i].length, 80);
        g_test_message("%s", printable);
        g_assert_null(json_parse_object(exact, ROWS[i].length, &error));
        g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
        g_test_message("%s", error->message);
        g_assert_true(g_utf8_validate(error->message, -1, NULL));
        g_assert_null(strchr(error->message, '\n'));
    }
}

static void test_position(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(parse("{\"a\": 1, !}", &error));
    g_assert_true(g_str_has_prefix(error->message, "not valid JSON at byte 10: "));
}

static char *nested(guint depth)
{
    g_autofree char *open = g_strnfill(depth - 1, '['), *close = g_strnfill(depth - 1, ']');
    return g_strconcat("{\"a\":", open, close, "}", NULL);
}

static void test_depth(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *deep = nested(JSON_MAX_DEPTH), *deeper = nested(JSON_MAX_DEPTH + 1);
    g_autofree char *deepest = nested(1000000);
    g_autoptr(json_t) value = parse(deep, &error);
    g_assert_no_error(error);
    g_assert_nonnull(value);
    g_assert_null(parse(deeper, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "too deep"));
    g_assert_null(parse(deepest, NULL));
    /* Brackets in strings, and quotes escaped in them, are no depth. */
    g_autofree char *brackets = g_strnfill(1000, '[');
    g_autofree char *text = g_strconcat("{\"a\":\"\\\"", brackets, "\\\\\",\"b\":[]}", NULL);
    g_autoptr(json_t) flat = parse(text, NULL);
    g_assert_nonnull(flat);
    /* Side by side is no depth either. */
    g_autoptr(GString) wide = g_string_new("{\"a\":[0");
    for (guint i = 0; i < 1000; i++)
        g_string_append(wide, ",[]");
    g_string_append(wide, "]}");
    g_autoptr(json_t) broad = parse(wide->str, NULL);
    g_assert_nonnull(broad);
}

static void test_too_long(void)
{
    g_autoptr(GError) error = NULL;
    gsize length = JSON_MAX_BYTES + 1;
    g_autofree char *text = g_strnfill(length, ' ');
    text[0] = '{';
    text[1] = '}';
    g_assert_null(json_parse_object(text, length, &error));
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_autoptr(json_t) fits = json_parse_object(text, length - 1, NULL);
    g_assert_nonnull(fits);
}

static void test_line(void)
{
    g_autoptr(json_t) object =
        parse(" { \"z\" : 1 ,\n \"a\" : [ true , null ] , \"m\" : \"x\\ny\\u2028\" } ", NULL);
    g_autofree char *line = json_line(object);
    g_assert_cmpstr(line, ==, "{\"z\":1,\"a\":[true,null],\"m\":\"x\\ny\xe2\x80\xa8\"}\n");
    g_autoptr(json_t) number = json_integer(5);
    g_autofree char *alone = json_line(number);
    g_assert_cmpstr(alone, ==, "5\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/bytes", test_bytes);
    g_test_add_func("/json/members", test_members);
    g_test_add_func("/json/members-absent", test_members_absent);
    g_test_add_func("/json/members-wrong-type", test_members_wrong_type);
    g_test_add_func("/json/garbage", test_garbage);
    g_test_add_func("/json/position", test_position);
    g_test_add_func("/json/depth", test_depth);
    g_test_add_func("/json/too-long", test_too_long);
    g_test_add_func("/json/line", test_line);
    return g_test_run();
}
