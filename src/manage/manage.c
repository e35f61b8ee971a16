/* Who is at work on which server, and what a daemon before this one has left. */
#include "base/error.h"
#include "manage/manage_private.h"

/* A step that waits for a fact sees it this soon after the engine has. */
#define TICK_MS 100
/* With nothing under way: only wishes and definitions are compared, of which the engine learns no sooner anyway. */
#define IDLE_MS 1000
/* A full disk is not asked all the time. */
#define SAVE_AGAIN_US INT64_C(1000000)
/* A server that is not seen this long after the start is not coming. */
#define FOUND_US INT64_C(20000000)
/* A hypervisor that is away may be the very one that is needed; one that is not there at all holds up nobody for ever. */
#define CONNECTED_US INT64_C(300000000)
#define HISTORY_MAX  100
#define BOOT_ID      "/proc/sys/kernel/random/boot_id"

static Alive *alive_new(Manage *manage)
{
    Alive *alive = g_new0(Alive, 1);
    alive->manage = manage;
    alive->references = 1;
    return alive;
}

Alive *manage_alive(Manage *manage)
{
    manage->alive->references++;
    return manage->alive;
}

void alive_unref(Alive *alive)
{
    if (--alive->references == 0)
        g_free(alive);
}

Tracked *manage_by_id(Manage *manage, const char *server_id)
{
    GPtrArray *servers = engine_servers(manage->engine);
    for (guint i = 0; server_id && i < servers->len; i++) {
        Tracked *tracked = servers->pdata[i];
        if (g_str_equal(tracked->latest->id, server_id))
            return tracked;
    }
    return NULL;
}

/* ---- what a daemon before this one has left */

static void find_left(Manage *manage)
{
    g_autoptr(GError) error = NULL;
    if (!manage->store)
        return;
    manage->found =
        store_operations(manage->store, &(OperationQuery){.running_only = TRUE, .limit = G_MAXINT}, &error);
    if (!manage->found) {
        g_autofree char *text = g_strdup_printf(
            "Operations that were under way cannot be read, and are left as they are: %s", error->message);
        engine_note(manage->engine, text);
    }
}

static gboolean all_connected(Engine *engine)
{
    for (guint i = 0; i < engine_backends(engine)->len; i++)
        if (!((const EngineBackend *)engine_backends(engine)->pdata[i])->connected)
            return FALSE;
    return TRUE;
}

static void take_up_left(Manage *manage, int64_t now_us)
{
    const EngineHost *host = engine_host(manage->engine);
    if (!manage->found || host->beats == 0 || host->state == ENGINE_DISCONNECTED)
        return;
    if (!all_connected(manage->engine) && now_us - manage->started_us < CONNECTED_US)
        return;
    for (guint i = manage->found->len; i > 0; i--) { /* oldest first */
        Operation *operation = manage->found->pdata[i - 1];
        gboolean here = !operation->server_id || manage_by_id(manage, operation->server_id) ||
                        job_is_unseen(manage, operation);
        if (!here && now_us - manage->started_us < FOUND_US)
            continue;
        job_resume(manage, g_ptr_array_steal_index(manage->found, i - 1));
    }
    if (manage->found->len == 0)
        g_clear_pointer(&manage->found, g_ptr_array_unref);
}

/* ---- the turn */

/* So that whoever looks at a server sees what is being done to it. */
static void mark_servers(Manage *manage)
{
    GPtrArray *servers = engine_servers(manage->engine);
    for (guint i = 0; i < servers->len; i++) {
        Tracked *tracked = servers->pdata[i];
        const Operation *operation = manage_operation_on(manage, tracked->latest->id);
        tracked->operation = operation ? operation->id : 0;
    }
}

static gboolean on_tick(gpointer data);

/* A daemon with nothing to do should not wake its host ten times a second. */
static void pace(Manage *manage)
{
    guint tick_ms = manage->jobs->len > 0 || manage->found ? TICK_MS : IDLE_MS;
    if (tick_ms == manage->ticking_ms)
        return;
    if (manage->tick_source != 0)
        g_source_remove(manage->tick_source);
    manage->ticking_ms = tick_ms;
    manage->tick_source = g_timeout_add(tick_ms, on_tick, manage);
}

void manage_job_began(Manage *manage)
{
    pace(manage);
}

void manage_save_later(Manage *manage, const Operation *operation)
{
    g_ptr_array_add(manage->unsaved, operation_copy(operation));
}

static void save_unsaved(Manage *manage, int64_t now_us)
{
    if (manage->unsaved->len == 0 || now_us < manage->save_after_us)
        return;
    manage->save_after_us = now_us + SAVE_AGAIN_US;
    for (guint i = manage->unsaved->len; i > 0; i--) {
        g_autoptr(GError) error = NULL;
        if (store_operation_update(manage->store, manage->unsaved->pdata[i - 1], NULL, &error) ||
            g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND))
            g_ptr_array_remove_index(manage->unsaved, i - 1);
    }
}

static gboolean on_tick(gpointer data)
{
    Manage *manage = data;
    int64_t now_us = g_get_monotonic_time();
    save_unsaved(manage, now_us);
    take_up_left(manage, now_us);
    for (guint i = manage->jobs->len; i > 0; i--)
        if (i <= manage->jobs->len)
            job_tick(manage->jobs->pdata[i - 1], now_us);
    rewrite_definitions(manage, now_us);
    mark_servers(manage);
    guint source = manage->tick_source;
    pace(manage);
    return source == manage->tick_source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean on_free_ended(gpointer data)
{
    Manage *manage = data;
    manage->free_source = 0;
    g_ptr_array_set_size(manage->ended, 0);
    return G_SOURCE_REMOVE;
}

void manage_job_ended(Manage *manage, Job *job)
{
    guint index;
    if (!g_ptr_array_find(manage->jobs, job, &index))
        return;
    g_ptr_array_add(manage->ended, g_ptr_array_steal_index(manage->jobs, index));
    if (!manage->store) {
        g_queue_push_head(&manage->history, operation_copy(job_operation(job)));
        if (manage->history.length > HISTORY_MAX)
            operation_free(g_queue_pop_tail(&manage->history));
    }
    if (manage->free_source == 0)
        manage->free_source = g_idle_add(on_free_ended, manage);
    mark_servers(manage);
    engine_look(manage->engine);
}

void manage_tell(Manage *manage, const Operation *operation)
{
    mark_servers(manage);
    if (manage->listener)
        manage->listener(manage, operation, manage->listener_data);
}

void manage_listen(Manage *manage, ManageListener listener, gpointer user_data)
{
    manage->listener = listener;
    manage->listener_data = user_data;
}

void manage_add_recipe(Manage *manage, const JobRecipe *recipe)
{
    g_ptr_array_add(manage->recipes, (gpointer)recipe);
}

/* (transfer full) (nullable) */
static char *boot_id(const char *given)
{
    char *text = g_strdup(given);
    if (!text && g_file_get_contents(BOOT_ID, &text, NULL, NULL))
        g_strstrip(text);
    return text;
}

Manage *manage_new(Engine *engine, Store *store, const ManageOptions *options)
{
    static const char *const all[] = {"*", NULL};
    Manage *manage = g_new0(Manage, 1);
    manage->engine = engine;
    manage->store = store;
    manage->images = image_folder_new(options->images);
    manage->disks = g_strdup(options->disks);
    manage->patterns = g_strdupv((char **)(options->patterns ? options->patterns : all));
    manage->boot_id = boot_id(options->boot_id);
    manage->recipes = g_ptr_array_new();
    manage->jobs = g_ptr_array_new_with_free_func((GDestroyNotify)job_free);
    manage->ended = g_ptr_array_new_with_free_func((GDestroyNotify)job_free);
    manage->unsaved = g_ptr_array_new_with_free_func((GDestroyNotify)operation_free);
    manage->alive = alive_new(manage);
    manage->rewriting = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    manage->rewrite_after = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    manage->started_us = g_get_monotonic_time();
    power_register(manage);
    create_register(manage);
    reinstall_register(manage);
    aside_register(manage);
    find_left(manage);
    pace(manage);
    return manage;
}

void manage_free(Manage *manage)
{
    if (!manage)
        return;
    g_source_remove(manage->tick_source);
    save_unsaved(manage, G_MAXINT64 - SAVE_AGAIN_US);
    g_clear_handle_id(&manage->free_source, g_source_remove);
    manage->alive->manage = NULL;
    alive_unref(manage->alive);
    g_ptr_array_unref(manage->jobs);
    g_ptr_array_unref(manage->ended);
    g_ptr_array_unref(manage->unsaved);
    g_ptr_array_unref(manage->recipes);
    g_clear_pointer(&manage->found, g_ptr_array_unref);
    g_queue_clear_full(&manage->history, (GDestroyNotify)operation_free);
    g_hash_table_unref(manage->rewriting);
    g_hash_table_unref(manage->rewrite_after);
    image_folder_free(manage->images);
    g_strfreev(manage->patterns);
    g_free(manage->disks);
    g_free(manage->boot_id);
    g_free(manage);
}

/* ---- what can be asked */

const Operation *manage_operation_on(Manage *manage, const char *server_id)
{
    for (guint i = 0; i < manage->jobs->len; i++) {
        const Operation *operation = job_operation(manage->jobs->pdata[i]);
        if (g_strcmp0(operation->server_id, server_id) == 0)
            return operation;
    }
    return NULL;
}

static const Operation *in_memory(Manage *manage, int64_t id)
{
    for (guint i = 0; i < manage->jobs->len; i++)
        if (job_operation(manage->jobs->pdata[i])->id == id)
            return job_operation(manage->jobs->pdata[i]);
    for (GList *l = manage->history.head; l; l = l->next)
        if (((const Operation *)l->data)->id == id)
            return l->data;
    return NULL;
}

Operation *manage_operation(Manage *manage, int64_t id, GError **error)
{
    const Operation *operation = in_memory(manage, id);
    if (operation)
        return operation_copy(operation);
    if (manage->store)
        return store_operation(manage->store, id, error);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND, "there is no operation %" G_GINT64_FORMAT,
                id);
    return NULL;
}

static gboolean is_asked(const OperationQuery *query, const Operation *operation)
{
    return (!query->name || g_str_equal(operation->name, query->name)) &&
           (!query->kinds || operation_is_of(operation, query->kinds)) &&
           (!query->running_only || g_str_equal(operation->state, "running"));
}

GPtrArray *manage_operations(Manage *manage, const OperationQuery *query, GError **error)
{
    if (manage->store) {
        GPtrArray *stored = store_operations(manage->store, query, error);
        /* Those under way are further than what was written down. */
        for (guint i = 0; stored && i < stored->len; i++) {
            const Operation *now = in_memory(manage, ((Operation *)stored->pdata[i])->id);
            if (!now)
                continue;
            operation_free(stored->pdata[i]);
            stored->pdata[i] = operation_copy(now);
        }
        return stored;
    }
    GPtrArray *operations = g_ptr_array_new_with_free_func((GDestroyNotify)operation_free);
    for (guint i = manage->jobs->len; i > 0; i--)
        if (is_asked(query, job_operation(manage->jobs->pdata[i - 1])))
            g_ptr_array_add(operations, operation_copy(job_operation(manage->jobs->pdata[i - 1])));
    for (GList *l = manage->history.head; l; l = l->next)
        if (is_asked(query, l->data))
            g_ptr_array_add(operations, operation_copy(l->data));
    g_ptr_array_set_size(operations, (int)MIN(operations->len, query->limit));
    return operations;
}

ImageFolder *manage_images(Manage *manage)
{
    return manage->images;
}

Engine *manage_engine(Manage *manage)
{
    return manage->engine;
}
