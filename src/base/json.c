#include <stdlib.h>
#include "base/error.h"
#include "base/json.h"

#define QUOTE_CHARS 120

json_t *json_bytes(uint64_t bytes)
{
    return json_integer(bytes > INT64_MAX ? INT64_MAX : (json_int_t)bytes);
}

json_t *json_bytes_or_null(uint64_t bytes)
{
    return bytes == UINT64_MAX ? json_null() : json_bytes(bytes);
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return json_integer_value(value) < 0 ? "a negative number" : "an integer";
    case JSON_REAL:
        return "a number with a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

/* NULL when it is not there, with an error when it had to be. */
static json_t *member(json_t *object, const char *name, gboolean required, const char *right, GError **error)
{
    json_t *value = json_object_get(object, name);
    if (!value && required)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "\"%s\" is missing; give %s", name, right);
    return value;
}

static gboolean wrong_type(const json_t *value, const char *name, const char *right, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "\"%s\" is %s; give %s", name,
                type_name(value), right);
    return FALSE;
}

gboolean json_member_string(json_t *object, const char *name, gboolean required, const char **ret,
                            GError **error)
{
    static const char RIGHT[] = "a string";
    json_t *value = member(object, name, required, RIGHT, error);
    if (!value)
        return FALSE;
    if (!json_is_string(value))
        return wrong_type(value, name, RIGHT, error);
    *ret = json_string_value(value);
    return TRUE;
}

gboolean json_member_uint64(json_t *object, const char *name, gboolean required, uint64_t *ret,
                            GError **error)
{
    static const char RIGHT[] = "an integer of 0 or more";
    json_t *value = member(object, name, required, RIGHT, error);
    if (!value)
        return FALSE;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return wrong_type(value, name, RIGHT, error);
    *ret = (uint64_t)json_integer_value(value);
    return TRUE;
}

gboolean json_member_bool(json_t *object, const char *name, gboolean required, gboolean *ret, GError **error)
{
    static const char RIGHT[] = "true or false";
    json_t *value = member(object, name, required, RIGHT, error);
    if (!value)
        return FALSE;
    if (!json_is_boolean(value))
        return wrong_type(value, name, RIGHT, error);
    *ret = json_is_true(value);
    return TRUE;
}

/* jansson parses and frees by recursion, 2048 levels deep: more stack than a small thread has. So depth is
 * counted first. In broken text the count may be off, and then the parser stops at what broke it. */
static gboolean depth_is_bounded(const char *text, gsize length, gsize *ret_position)
{
    gsize depth = 0;
    gboolean in_string = FALSE;
    for (gsize i = 0; i < length; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = FALSE;
        } else if (c == '"') {
            in_string = TRUE;
        } else if (c == '{' || c == '[') {
            *ret_position = i;
            if (++depth > JSON_MAX_DEPTH)
                return FALSE;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return TRUE;
}

json_t *json_parse_object(const char *text, gsize length, GError **error)
{
    gsize position;
    json_error_t failure;
    if (length > JSON_MAX_BYTES) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "%" G_GSIZE_FORMAT " bytes of JSON are too many; at most %" G_GUINT64_FORMAT, length,
                    JSON_MAX_BYTES);
        return NULL;
    }
    if (!depth_is_bounded(text, length, &position)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "JSON nests too deep at byte %" G_GSIZE_FORMAT "; at most %d levels", position,
                    JSON_MAX_DEPTH);
        return NULL;
    }
    json_t *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &failure);
    if (!value) {
        g_autofree char *why = error_printable(failure.text, -1, QUOTE_CHARS);
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "not valid JSON at byte %d: %s",
                    failure.position, why);
        return NULL;
    }
    if (!json_is_object(value)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "the JSON is %s; give an object, {...}",
                    type_name(value));
        json_decref(value);
        return NULL;
    }
    return value;
}

char *json_line(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    g_assert(text); /* only a value that contains itself has no text: a bug */
    char *line = g_strconcat(text, "\n", NULL);
    free(text);
    return line;
}
