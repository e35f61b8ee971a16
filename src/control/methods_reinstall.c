/* A server made anew, and the end of what it was before. */
#include "base/error.h"
#include "base/json.h"
#include "control/method.h"
#include "manage/reinstall.h"

static Manage *manage_of(const Call *call, GError **error)
{
    if (!call->context->manage)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "the daemon is just starting, or ending; try again");
    return call->context->manage;
}

static json_t *method_reinstall(Call *call, GError **error)
{
    ManageReinstall wanted = {0};
    Manage *manage = manage_of(call, error);
    if (!manage || !json_member_string(call->params, "image", TRUE, &wanted.image, error) ||
        !json_member_string(call->params, "confirm", TRUE, &wanted.confirm, error))
        return NULL;
    if (json_object_get(call->params, "memory_bytes") &&
        (!call_needs_operator(call, "memory_bytes", error) ||
         !json_member_uint64(call->params, "memory_bytes", TRUE, &wanted.memory_bytes, error)))
        return NULL;
    ManageCaller caller = {call->caller->who, call->caller->from};
    const Operation *begun = manage_reinstall(manage, call->server, &wanted, &caller, error);
    return begun ? json_of_operation(begun) : NULL;
}

static json_t *method_purge(Call *call, GError **error)
{
    const char *name = NULL, *confirm = NULL;
    Manage *manage = manage_of(call, error);
    if (!manage || !json_member_string(call->params, "name", TRUE, &name, error) ||
        !json_member_string(call->params, "confirm", TRUE, &confirm, error))
        return NULL;
    ManageCaller caller = {call->caller->who, call->caller->from};
    const Operation *begun = manage_purge(manage, name, confirm, &caller, error);
    return begun ? json_of_operation(begun) : NULL;
}

static const MethodRow ROWS[] = {
    {"reinstall", method_reinstall, ACCESS_SERVER, TRUE},
    {"purge", method_purge, ACCESS_OPERATOR, TRUE},
};
const MethodTable methods_reinstall = {ROWS, G_N_ELEMENTS(ROWS)};
