#include "control/request.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"

json_t *response_result(json_t *id, json_t *result)
{
    json_t *answer = json_object();
    json_object_set_new(answer, "jsonrpc", json_string("2.0"));
    json_object_set_new(answer, "id", id != NULL ? json_incref(id) : json_null());
    json_object_set_new(answer, "result", result);
    return answer;
}

/* An address with its port; the longest numeric one has 53 bytes. */
#define FROM_LIMIT_BYTES 64

json_t *response_error(json_t *id, int code, const char *message, const char *kind)
{
    json_t *error = json_object();
    json_object_set_new(error, "code", json_integer(code));
    /* A message that quotes a name which is not UTF-8 must not lose the whole answer. */
    g_autofree char *text = g_utf8_make_valid(message, -1);
    json_object_set_new(error, "message", json_string(text));
    json_object_set_new(error, "data", json_pack("{s:s}", "kind", kind));

    json_t *answer = json_object();
    json_object_set_new(answer, "jsonrpc", json_string("2.0"));
    json_object_set_new(answer, "id", id != NULL ? json_incref(id) : json_null());
    json_object_set_new(answer, "error", error);
    return answer;
}

json_t *response_gerror(json_t *id, const GError *error)
{
    AerostatError code = error->domain == AEROSTAT_ERROR ? (AerostatError)error->code : AEROSTAT_ERROR_FAILED;
    json_t *answer = response_error(id, error_code_jsonrpc(code), error->message, error_code_name(code));
    json_t *data = json_object_get(json_object_get(answer, "error"), "data");
    if (error_retry_after_s(error) > 0)
        json_object_set_new(data, "retry_after_s", json_integer(error_retry_after_s(error)));
    if (error_missing_bytes(error) > 0)
        json_object_set_new(data, "missing_bytes", json_bytes(error_missing_bytes(error)));
    return answer;
}

static gboolean refuse(json_t **ret_refusal, json_t *id, int code, const char *message)
{
    *ret_refusal = response_error(id, code, message, error_code_name(AEROSTAT_ERROR_INVALID));
    return FALSE;
}

/* A line that does not begin like an object: a batch, some other JSON value, or no JSON at all. */
static gboolean refuse_non_object(const char *line, gsize length, char first, json_t **ret_refusal)
{
    if (first == '[')
        return refuse(ret_refusal, NULL, JSONRPC_INVALID_REQUEST,
                      "batches are not taken: send one request object a line");
    g_autoptr(json_t) value = json_loadb(line, length, JSON_DECODE_ANY, NULL);
    if (value == NULL)
        return refuse(ret_refusal, NULL, JSONRPC_PARSE_ERROR,
                      "not JSON: a request is one JSON object on one line");
    return refuse(ret_refusal, NULL, JSONRPC_INVALID_REQUEST, "a request is a JSON object");
}

/* An id that can be given back, even when the rest of the request is wrong. */
static json_t *usable_id(json_t *object)
{
    json_t *id = json_object_get(object, "id");
    return json_is_string(id) || json_is_number(id) || json_is_null(id) ? id : NULL;
}

static gboolean check_object(json_t *object, json_t **ret_refusal)
{
    json_t *id = usable_id(object);
    const char *version = json_string_value(json_object_get(object, "jsonrpc"));
    if (g_strcmp0(version, "2.0") != 0)
        return refuse(ret_refusal, id, JSONRPC_INVALID_REQUEST, "jsonrpc must be the string \"2.0\"");
    if (id == NULL && json_object_get(object, "id") != NULL)
        return refuse(ret_refusal, NULL, JSONRPC_INVALID_REQUEST, "id must be a string, a number or null");
    json_t *method = json_object_get(object, "method");
    if (method == NULL)
        return refuse(ret_refusal, id, JSONRPC_INVALID_REQUEST, "method is missing");
    if (!json_is_string(method) || json_string_length(method) == 0)
        return refuse(ret_refusal, id, JSONRPC_INVALID_REQUEST, "method must be a string that is not empty");
    json_t *params = json_object_get(object, "params");
    if (params != NULL && !json_is_object(params))
        return refuse(ret_refusal, id, JSONRPC_INVALID_PARAMS, "params must be an object with named members");
    json_t *auth = json_object_get(object, "auth"), *from = json_object_get(object, "from");
    if (auth != NULL && !json_is_object(auth))
        return refuse(ret_refusal, id, JSONRPC_INVALID_REQUEST,
                      "auth must be an object: {\"session\": \"...\"} or {\"token\": \"...\"}");
    if (from != NULL && (!json_is_string(from) || json_string_length(from) > FROM_LIMIT_BYTES))
        return refuse(ret_refusal, id, JSONRPC_INVALID_REQUEST, "from must be a string of at most 64 bytes");
    return TRUE;
}

gboolean request_parse(const char *line, gsize length, Request *ret, json_t **ret_refusal)
{
    memset(ret, 0, sizeof *ret);
    gsize start = 0;
    while (start < length && strchr(" \t\r", line[start]) != NULL && line[start] != '\0')
        start++;
    if (start == length)
        return refuse(ret_refusal, NULL, JSONRPC_INVALID_REQUEST, "the line is empty");
    if (line[start] != '{')
        return refuse_non_object(line, length, line[start], ret_refusal);

    g_autoptr(GError) error = NULL;
    g_autoptr(json_t) object = json_parse_object(line, length, &error);
    if (object == NULL) {
        g_autofree char *message = g_strdup_printf("not JSON: %s", error->message);
        return refuse(ret_refusal, NULL, JSONRPC_PARSE_ERROR, message);
    }
    if (!check_object(object, ret_refusal))
        return FALSE;

    json_t *params = json_object_get(object, "params");
    ret->id = json_object_get(object, "id");
    ret->method = json_string_value(json_object_get(object, "method"));
    ret->auth = json_object_get(object, "auth");
    ret->from = json_string_value(json_object_get(object, "from"));
    ret->params = params != NULL ? json_incref(params) : json_object();
    ret->object = g_steal_pointer(&object);
    return TRUE;
}

void request_clear(Request *request)
{
    g_clear_pointer(&request->params, json_decref);
    g_clear_pointer(&request->object, json_decref);
    request->id = request->auth = NULL;
    request->from = NULL;
    request->method = NULL;
}
