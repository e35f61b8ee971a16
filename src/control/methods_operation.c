/* What is done to whole servers: power, creation, images, and what became of it. */
#include "base/error.h"
#include "base/json.h"
#include "control/method.h"
#include "manage/manage.h"

#define LIMIT 200

static void set(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
}

static json_t *text_or_null(const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    return valid ? json_string(valid) : json_null();
}

json_t *json_of_operation(const Operation *operation)
{
    json_t *object = json_object();
    set(object, "id", json_integer(operation->id));
    set(object, "kind", json_string(operation->kind));
    set(object, "name", text_or_null(operation->name));
    set(object, "state", json_string(operation->state));
    set(object, "step", json_string(operation->step));
    set(object, "text", text_or_null(operation->text));
    set(object, "progress_permille", json_integer(operation->progress_permille));
    set(object, "error", text_or_null(operation->error));
    set(object, "started_us", json_integer(operation->started_us));
    set(object, "changed_us", json_integer(operation->changed_us));
    set(object, "who", text_or_null(operation->who));
    return object;
}

static Manage *manage_of(const Call *call, GError **error)
{
    if (!call->context->manage)
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "the daemon is just starting, or ending; try again");
    return call->context->manage;
}

static ManageCaller caller_of(const Call *call)
{
    return (ManageCaller){.who = call->caller->who, .from = call->caller->from};
}

static json_t *answer(const Operation *operation)
{
    return operation ? json_of_operation(operation) : NULL;
}

/* Absent leaves *ret alone; FALSE only with an error. */
static gboolean optional_uint64(json_t *params, const char *name, uint64_t *ret, GError **error)
{
    GError *problem = NULL;
    json_member_uint64(params, name, FALSE, ret, &problem);
    if (problem)
        g_propagate_error(error, problem);
    return problem == NULL;
}

static gboolean optional_string(json_t *params, const char *name, const char **ret, GError **error)
{
    GError *problem = NULL;
    json_member_string(params, name, FALSE, ret, &problem);
    if (problem)
        g_propagate_error(error, problem);
    return problem == NULL;
}

static json_t *method_power(Call *call, GError **error)
{
    Manage *manage = manage_of(call, error);
    ManageCaller caller = caller_of(call);
    const char *name = NULL;
    uint64_t patience_s = 0;
    PowerAction action;
    if (!manage || !json_member_string(call->params, "action", TRUE, &name, error) ||
        !optional_uint64(call->params, "timeout_seconds", &patience_s, error))
        return NULL;
    if (!power_action_from_name(name, &action)) {
        g_autofree char *shown = error_printable(name, -1, 40);
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                    "\"%s\" is no action; use start, shutdown, restart or stop", shown);
        return NULL;
    }
    return answer(
        manage_power(manage, call->server, action, (unsigned)MIN(patience_s, UINT_MAX), &caller, error));
}

static json_t *method_create(Call *call, GError **error)
{
    Manage *manage = manage_of(call, error);
    ManageCaller caller = caller_of(call);
    ManageCreate create = {0};
    if (!manage || !json_member_string(call->params, "name", TRUE, &create.name, error) ||
        !json_member_string(call->params, "image", TRUE, &create.image, error) ||
        !json_member_uint64(call->params, "memory_bytes", TRUE, &create.memory_bytes, error) ||
        !optional_string(call->params, "user", &create.owner, error))
        return NULL;
    return answer(manage_create(manage, &create, &caller, error));
}

static json_t *method_images(Call *call, GError **error)
{
    Manage *manage = manage_of(call, error);
    if (!manage)
        return NULL;
    g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) images = image_folder_list(manage_images(manage), problems);
    json_t *array = json_array(), *told = json_array();
    for (guint i = 0; i < images->len; i++) {
        const Image *image = images->pdata[i];
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:o, s:s}", "name", image->name, "title", image->title,
                                        "minimum_bytes", json_bytes(image->minimum_bytes), "kind", "kvm"));
    }
    /* File names are the host's business. */
    for (guint i = 0; i < problems->len && call_is_operator(call); i++)
        json_array_append_new(told, text_or_null(problems->pdata[i]));
    return json_pack("{s:o, s:o}", "images", array, "problems", told);
}

static json_t *method_operations(Call *call, GError **error)
{
    Manage *manage = manage_of(call, error);
    const OperationQuery query = {
        .name = call->server ? call->server->latest->name : NULL,
        .account = call->caller->role == ROLE_OPERATOR ? NULL : call->caller->account,
        .limit = LIMIT,
    };
    g_autoptr(GPtrArray) operations = manage ? manage_operations(manage, &query, error) : NULL;
    if (!operations)
        return NULL;
    json_t *array = json_array();
    for (guint i = 0; i < operations->len; i++) {
        const Operation *operation = operations->pdata[i];
        if (caller_may_see(call->caller, call->store, operation->server_id))
            json_array_append_new(array, json_of_operation(operation));
    }
    return json_pack("{s:o}", "operations", array);
}

static json_t *method_operation(Call *call, GError **error)
{
    Manage *manage = manage_of(call, error);
    uint64_t id = 0;
    if (!manage || !json_member_uint64(call->params, "id", TRUE, &id, error))
        return NULL;
    g_autoptr(Operation) operation = id > G_MAXINT64 ? NULL : manage_operation(manage, (int64_t)id, NULL);
    if (operation && caller_may_see(call->caller, call->store, operation->server_id))
        return json_of_operation(operation);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND, "there is no operation %" G_GUINT64_FORMAT,
                id);
    return NULL;
}

static const MethodRow ROWS[] = {
    {"power", method_power, ACCESS_SERVER, TRUE},
    {"create", method_create, ACCESS_OPERATOR, TRUE},
    {"images", method_images, ACCESS_ACCOUNT, FALSE},
    {"operation", method_operation, ACCESS_ACCOUNT, FALSE},
    {"operations", method_operations, ACCESS_SERVER_OR_ALL, FALSE},
};
const MethodTable methods_operation = {ROWS, G_N_ELEMENTS(ROWS)};

static void on_operation(Manage *manage, const Operation *operation, gpointer server)
{
    if (control_server_subscribers(server) == 0)
        return;
    g_autoptr(json_t) data = json_of_operation(operation);
    control_server_emit(server, "operation", operation->server_id, data, NULL);
}

void methods_publish_operations(struct Manage *manage, ControlServer *server)
{
    manage_listen(manage, server ? on_operation : NULL, server);
}
