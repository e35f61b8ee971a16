/* Reservations: room for a server that is about to start. */
#include "base/error.h"
#include "base/json.h"
#include "control/method.h"
#include "engine/reservation.h"

#define RESERVATION_DEFAULT_S 300
#define RESERVATION_MAX_S     86400

static json_t *json_of_reservation(const Reservation *reservation)
{
    int64_t left_us = reservation->expires_us - g_get_monotonic_time();
    return json_pack("{s:I, s:s?, s:o, s:b, s:o, s:I}", "id", (json_int_t)reservation->id, "for",
                     reservation->for_name, "bytes", json_bytes(reservation->bytes), "ready",
                     reservation->ready, "missing_bytes", json_bytes(reservation->missing_bytes),
                     "expires_in_us", (json_int_t)MAX(left_us, 0));
}

static gboolean read_reserve(json_t *params, uint64_t *bytes, const char **for_name, uint64_t *seconds,
                             GError **error)
{
    GError *problem = NULL;
    if (!json_member_uint64(params, "bytes", TRUE, bytes, error))
        return FALSE;
    json_member_string(params, "for", FALSE, for_name, &problem);
    if (!problem)
        json_member_uint64(params, "lifetime_seconds", FALSE, seconds, &problem);
    if (problem) {
        g_propagate_error(error, problem);
        return FALSE;
    }
    if (*seconds >= 1 && *seconds <= RESERVATION_MAX_S)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID, "lifetime_seconds must be from 1 to %d",
                RESERVATION_MAX_S);
    return FALSE;
}

static json_t *method_reserve(Call *call, GError **error)
{
    uint64_t bytes = 0, seconds = RESERVATION_DEFAULT_S;
    const char *for_name = NULL;
    if (!read_reserve(call->params, &bytes, &for_name, &seconds, error))
        return NULL;
    g_autoptr(json_t) what =
        json_pack("{s:o, s:I}", "bytes", json_bytes(bytes), "lifetime_seconds", (json_int_t)seconds);
    g_autofree char *after = json_dumps(what, JSON_COMPACT);
    AuditEntry audit = call_audit(call, for_name, NULL, after);
    const Reservation *made =
        engine_reserve(call->engine, bytes, for_name, (int64_t)seconds * G_USEC_PER_SEC, &audit, error);
    return made ? json_of_reservation(made) : NULL;
}

static json_t *method_reservations(Call *call, GError **error)
{
    GPtrArray *all = engine_reservations(call->engine);
    json_t *array = json_array();
    for (guint i = 0; i < all->len; i++)
        json_array_append_new(array, json_of_reservation(all->pdata[i]));
    return json_pack("{s:o}", "reservations", array);
}

static json_t *method_release(Call *call, GError **error)
{
    uint64_t id = 0;
    if (!json_member_uint64(call->params, "id", TRUE, &id, error))
        return NULL;
    g_autofree char *before = g_strdup_printf("{\"id\":%" G_GUINT64_FORMAT "}", id);
    AuditEntry audit = call_audit(call, NULL, before, NULL);
    if (!engine_release(call->engine, id, &audit, error))
        return NULL;
    return json_pack("{s:I}", "released", (json_int_t)id);
}

static const MethodRow ROWS[] = {
    {"reserve", method_reserve, ACCESS_OPERATOR, TRUE},
    {"reservations", method_reservations, ACCESS_OPERATOR, FALSE},
    {"release", method_release, ACCESS_OPERATOR, TRUE},
};
const MethodTable methods_reservation = {ROWS, G_N_ELEMENTS(ROWS)};
