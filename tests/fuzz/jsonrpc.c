#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "control/request.h"
#include "fuzz.h"

/* A refusal is a whole JSON-RPC answer on one line. */
static void check_refusal(json_t *refusal)
{
    json_t *error = json_object_get(refusal, "error");
    json_int_t code = json_integer_value(json_object_get(error, "code"));
    g_assert_true(code == JSONRPC_PARSE_ERROR || code == JSONRPC_INVALID_REQUEST ||
                  code == JSONRPC_INVALID_PARAMS);
    g_assert_true(json_is_string(json_object_get(error, "message")));
    g_assert_cmpstr(json_string_value(json_object_get(json_object_get(error, "data"), "kind")), ==,
                    "invalid");
    json_t *id = json_object_get(refusal, "id");
    g_assert_true(json_is_null(id) || json_is_string(id) || json_is_number(id));
    g_autofree char *line = json_line(refusal);
    g_assert_true(strchr(line, '\n') == line + strlen(line) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Request request;
    json_t *refusal = NULL;
    if (request_parse((const char *)data, size, &request, &refusal)) {
        g_assert_null(refusal);
        g_assert_true(request.method != NULL && *request.method != '\0');
        g_assert_true(json_is_object(request.params));
        json_t *id = request.id;
        g_assert_true(id == NULL || json_is_null(id) || json_is_string(id) || json_is_number(id));
        g_autoptr(json_t) answer = response_result(id, json_incref(request.params));
        g_autofree char *line = json_line(answer);
        g_assert_true(strchr(line, '\n') == line + strlen(line) - 1);
    } else {
        g_assert_null(request.object);
        g_assert_null(request.params);
        check_refusal(refusal);
        json_decref(refusal);
    }
    request_clear(&request);
    return 0;
}
