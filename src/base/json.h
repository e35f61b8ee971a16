/* Small helpers over jansson: autoptr, typed members with good errors, bytes that survive 64 bits. */
#pragma once
#include <stdint.h>
#include <glib.h>
#include <jansson.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

/* json_bytes: an integer JSON value; values beyond what JSON integers hold are clamped to INT64_MAX. */
json_t *json_bytes(uint64_t bytes);

/* json_bytes_or_null: null for UINT64_MAX, which is how a missing fact is kept. */
json_t *json_bytes_or_null(uint64_t bytes);

/*
 * Typed members. Absent gives FALSE without error when @required is FALSE (and leaves *ret alone).
 * A wrong type gives AEROSTAT_ERROR_INVALID naming the member and the type that would be right.
 */
gboolean json_member_string(json_t *object, const char *name, gboolean required, const char **ret,
                            GError **error);
gboolean json_member_uint64(json_t *object, const char *name, gboolean required, uint64_t *ret,
                            GError **error);
gboolean json_member_bool(json_t *object, const char *name, gboolean required, gboolean *ret, GError **error);

/* What json_parse_object() takes: a list of 10,000 servers is near 8 MiB; nothing of ours nests deeper than 8. */
#define JSON_MAX_BYTES (UINT64_C(16) * 1024 * 1024)
#define JSON_MAX_DEPTH 64

/* json_parse_object: one JSON object from @length bytes, a name at most once in it. Any bytes are safe; depth and size
 * are bounded as above. AEROSTAT_ERROR_INVALID with the position. */
json_t *json_parse_object(const char *text, gsize length, GError **error);

/* json_line: compact text with a newline at its end and nowhere else, (transfer full). Keys keep their order. */
char *json_line(const json_t *value);
