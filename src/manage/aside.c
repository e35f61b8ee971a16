/* Sets the old server of a reinstallation aside, takes it back, and purges it. */
#include "manage/aside.h"
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "manage/manage_private.h"
#include "manage/reinstall.h"

#define PURGE_US (INT64_C(3700) * G_USEC_PER_SEC)
#define STUCK    "still_aside"

Backend *aside_home(Job *job)
{
    Engine *engine = job_manage(job)->engine;
    for (guint i = 0; i < engine_backends(engine)->len; i++) {
        const EngineBackend *known = engine_backends(engine)->pdata[i];
        if (g_strcmp0(known->backend->ops->name, job_get(job, "backend")) == 0)
            return known->backend;
    }
    job_fail(job, g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "the hypervisor does not answer"));
    return NULL;
}

const char *aside_id(const Job *job)
{
    return job_get(job, "old_id");
}

void aside_begin(Job *job)
{
    Backend *backend = aside_home(job);
    if (!backend)
        return;
    job_text(job, g_strdup_printf("%s: the old server is set aside.", job_name(job)));
    backend->ops->set_aside(backend, aside_id(job), job_get(job, "keep"), job_done, job_hold(job));
}

void aside_undo(Job *job)
{
    job_doubt(job, STUCK);
    Backend *backend = aside_home(job);
    if (backend)
        backend->ops->take_back(backend, aside_id(job), job_get(job, "keep"), job_undo_done, job_hold(job));
}

gboolean aside_is_stuck(const Job *job)
{
    return job_get(job, STUCK) != NULL;
}

/* ---- purge */

static void purge_begin(Job *job)
{
    Backend *backend = aside_home(job);
    if (!backend)
        return;
    job_text(job, g_strdup_printf("%s: what was set aside is being removed.", job_name(job)));
    backend->ops->purge(backend, aside_id(job), job_get(job, "keep"), job_done, job_hold(job));
}

static char *purge_text(Job *job)
{
    return g_strdup_printf("%s: what was set aside at its reinstallation is gone for good.", job_name(job));
}

static const JobStep purge_steps[] = {{.name = "purge", .begin = purge_begin, .deadline_us = PURGE_US}};
static const JobRecipe purge_recipe = {
    .kind = "purge", .steps = purge_steps, .n_steps = G_N_ELEMENTS(purge_steps), .done_text = purge_text};

void aside_register(Manage *manage)
{
    manage_add_recipe(manage, &purge_recipe);
}

/* ---- what is set aside */

static json_t *data_of(const Operation *operation)
{
    return operation->data ? json_parse_object(operation->data, strlen(operation->data), NULL) : NULL;
}

/* Whether a later purge among @operations, newest first, was of what @keep names. */
static gboolean is_purged(GPtrArray *operations, guint before, const char *keep)
{
    for (guint i = 0; i < before; i++) {
        const Operation *operation = operations->pdata[i];
        g_autoptr(json_t) data = data_of(operation);
        if (g_str_equal(operation->kind, "purge") && g_str_equal(operation->state, "done") &&
            g_strcmp0(json_string_value(json_object_get(data, "keep")), keep) == 0)
            return TRUE;
    }
    return FALSE;
}

Operation *manage_aside(Manage *manage, const char *name)
{
    const OperationQuery query = {.name = name, .kinds = "reinstall purge", .limit = G_MAXINT};
    g_autoptr(GPtrArray) operations = manage_operations(manage, &query, NULL);
    for (guint i = 0; operations && i < operations->len; i++) {
        const Operation *operation = operations->pdata[i];
        if (!g_str_equal(operation->kind, "reinstall") || !g_str_equal(operation->state, "done"))
            continue;
        g_autoptr(json_t) data = data_of(operation);
        const char *keep = json_string_value(json_object_get(data, "keep"));
        if (keep && !is_purged(operations, i, keep))
            return operation_copy(operation);
    }
    return NULL;
}

/* ---- what is asked */

gboolean aside_check_confirm(const char *name, const char *confirm, const char *what, GError **error)
{
    if (confirm && g_str_equal(confirm, name))
        return TRUE;
    g_autofree char *shown = error_printable(confirm ? confirm : "", -1, 80);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "server %s: %s must be confirmed by its name: \"%s\", not \"%s\"; nothing was changed", name,
                what, name, shown);
    return FALSE;
}

const Operation *manage_purge(Manage *manage, const char *name, const char *confirm,
                              const ManageCaller *caller, GError **error)
{
    g_autoptr(Operation) aside = manage_aside(manage, name);
    g_autoptr(json_t) data = aside ? data_of(aside) : NULL;
    if (!data) {
        g_autofree char *shown = error_printable(name, -1, 80);
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND,
                    "server %s: nothing is kept from a reinstallation, so there is nothing to purge", shown);
        return NULL;
    }
    if (!aside_check_confirm(name, confirm, "removing what was set aside", error))
        return NULL;
    Job *job =
        job_begin(manage, &purge_recipe, aside->server_id, name, g_steal_pointer(&data), caller, error);
    return job ? job_operation(job) : NULL;
}
