#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "fuzz.h"

static void check_error(const GError *error)
{
    g_assert_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_assert_null(strchr(error->message, '\n'));
}

/* Each member read as each type: taken or refused, and never both. */
static void check_members(json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        const char *text;
        uint64_t number;
        gboolean flag;
        g_autoptr(GError) of_string = NULL, of_number = NULL, of_bool = NULL;
        gboolean as_string = json_member_string(object, name, TRUE, &text, &of_string);
        gboolean as_number = json_member_uint64(object, name, TRUE, &number, &of_number);
        gboolean as_bool = json_member_bool(object, name, TRUE, &flag, &of_bool);
        g_assert_cmpint(as_string + as_number + as_bool, <=, 1);
        g_assert_true(as_string == (of_string == NULL));
        g_assert_true(as_number == (of_number == NULL));
        g_assert_true(as_bool == (of_bool == NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) object = json_parse_object((const char *)data, size, &error);
    g_assert_true((object == NULL) == (error != NULL));
    if (!object) {
        check_error(error);
        return 0;
    }
    check_members(object);
    /* What is written is one line, and reads back as the same. */
    g_autofree char *line = json_line(object);
    g_assert_true(strchr(line, '\n') == line + strlen(line) - 1);
    g_autoptr(json_t) again = json_parse_object(line, strlen(line), &error);
    g_assert_no_error(error);
    g_assert_true(json_equal(object, again));
    return 0;
}
