/* One line of JSON-RPC 2.0 to one request, or to the refusal that is its answer. Pure: no sockets, any bytes
 * are safe. */
#pragma once
#include <glib.h>
#include <jansson.h>

#define JSONRPC_PARSE_ERROR      (-32700)
#define JSONRPC_INVALID_REQUEST  (-32600)
#define JSONRPC_METHOD_NOT_FOUND (-32601)
#define JSONRPC_INVALID_PARAMS   (-32602)

typedef struct {
    json_t *object; /* what everything below is borrowed from */
    json_t *id;     /* NULL: a notification, which is never answered */
    const char *method;
    json_t *params;   /* always an object; owned */
    json_t *auth;     /* NULL, or an object */
    const char *from; /* NULL when there is none */
} Request;

/*
 * request_parse:
 * @ret:         (out): request_clear() it; all NULL on failure
 * @ret_refusal: (out) (transfer full): the whole answer object for a line that is no request; untouched on
 * success
 */
gboolean request_parse(const char *line, gsize length, Request *ret, json_t **ret_refusal);
void request_clear(Request *request);

/* The three shapes an answer has. @id is borrowed, NULL gives null; @result is taken over. */
json_t *response_result(json_t *id, json_t *result);
json_t *response_error(json_t *id, int code, const char *message, const char *kind);
json_t *response_gerror(json_t *id, const GError *error);
