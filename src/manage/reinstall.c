/* A server made anew, and the old one kept until it is purged. */
#include "manage/reinstall.h"
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "base/size.h"
#include "engine/ballooning.h"
#include "engine/reservation.h"
#include "manage/disk.h"
#include "manage/manage_private.h"
#include "store/accounts.h"

#define SECOND_US ((int64_t)G_USEC_PER_SEC)
#define COPY_US   (3600 * SECOND_US)
#define CALL_US   (240 * SECOND_US)
#define PURGE_US  (3700 * SECOND_US)
/* What it holds is not needed any more; still, it may finish what it is writing. */
#define PATIENCE_US (30 * SECOND_US)
#define SEEN_US     (30 * SECOND_US)

/* ---- who does what */

static Backend *maker(Engine *engine)
{
    for (guint i = 0; i < engine_backends(engine)->len; i++) {
        const EngineBackend *known = engine_backends(engine)->pdata[i];
        if (known->connected && known->backend->ops->create && known->backend->ops->start)
            return known->backend;
    }
    return NULL;
}

static Backend *by_name(Engine *engine, const char *name)
{
    for (guint i = 0; i < engine_backends(engine)->len; i++) {
        const EngineBackend *known = engine_backends(engine)->pdata[i];
        if (g_strcmp0(known->backend->ops->name, name) == 0)
            return known->backend;
    }
    return NULL;
}

static GError *away(void)
{
    return g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "the hypervisor does not answer");
}

/* (nullable) the step has failed then. */
static Backend *new_home(Job *job)
{
    Backend *backend = maker(job_manage(job)->engine);
    if (!backend)
        job_fail(job, away());
    return backend;
}

static Backend *old_home(Job *job)
{
    Backend *backend = by_name(job_manage(job)->engine, job_get(job, "backend"));
    if (!backend)
        job_fail(job, away());
    return backend;
}

static const char *old_id(const Job *job)
{
    return job_get(job, "old_id");
}

static const char *new_id(const Job *job)
{
    return job_get(job, "id");
}

/* (nullable) the job has failed then. */
static Image *image_of(Job *job)
{
    GError *error = NULL;
    Image *image = image_folder_find(job_manage(job)->images, job_get(job, "image"), &error);
    if (!image)
        job_fail(job, error);
    return image;
}

/* ---- the new disk, while the old server still runs */

static void copied(const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    if (error)
        job_fail(job, g_error_copy(error));
    else
        job_next(job);
}

static void disk_begin(Job *job)
{
    g_autoptr(Image) image = image_of(job);
    if (!image)
        return;
    if (!job_get(job, "disk")) {
        job_next(job);
        return;
    }
    job_text(job, g_strdup_printf("%s: its new disk is being copied from %s.", job_name(job), image->name));
    disk_copy(image->disk, job_get(job, "disk"), copied, job_hold(job));
}

static void disk_undo(Job *job)
{
    g_autoptr(GError) error = NULL;
    if (job_get(job, "disk") && !disk_remove(job_get(job, "disk"), &error))
        job_tell(job, g_strdup_printf("(%s)", error->message));
    job_undone(job);
}

/* ---- the old server stops */

static gboolean is_off(const Tracked *tracked)
{
    return tracked->latest->power == POWER_OFF;
}

/* Whatever becomes of the word: when the time is over it is stopped. */
static void pressed(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (job && error)
        job_next(job);
}

static void shutdown_begin(Job *job)
{
    const Tracked *old = job_server(job);
    if (!old || is_off(old)) {
        job_next(job);
        return;
    }
    job_text(job, g_strdup_printf("%s: the old server is asked to shut down.", job_name(job)));
    old->backend->ops->shutdown(old->backend, old_id(job), pressed, job_hold(job));
}

static void shutdown_poll(Job *job)
{
    const Tracked *old = job_server(job);
    if (!old || is_off(old) || job_step_us(job) >= PATIENCE_US)
        job_next(job);
}

static void runs_again(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    engine_look(job_manage(job)->engine);
    if (error) {
        job_fail(job, g_error_copy(error));
        return;
    }
    job_tell(job, g_strdup("The old server runs as before."));
    job_undone(job);
}

/* The first of the two steps that stop it, so the last to be taken back: it runs if it ran. */
static void shutdown_undo(Job *job)
{
    Backend *backend;
    if (!job_get(job, "ran")) {
        job_undone(job);
        return;
    }
    backend = old_home(job);
    if (!backend)
        return;
    backend->ops->start(backend, old_id(job), runs_again, job_hold(job));
}

static void stopped(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    engine_look(job_manage(job)->engine);
    if (error)
        job_fail(job, g_error_copy(error));
}

static void stop_begin(Job *job)
{
    const Tracked *old = job_server(job);
    if (!old || is_off(old)) {
        job_next(job);
        return;
    }
    job_text(job, g_strdup_printf("%s: the old server is being stopped.", job_name(job)));
    old->backend->ops->stop(old->backend, old_id(job), stopped, job_hold(job));
}

/* Goes on when the engine has seen it off: what it held is free by the account, too. */
static void stop_poll(Job *job)
{
    const Tracked *old = job_server(job);
    if (!old || is_off(old))
        job_next(job);
}

/* ---- the old server goes aside */

static void aside_begin(Job *job)
{
    Backend *backend = old_home(job);
    if (!backend)
        return;
    job_text(job, g_strdup_printf("%s: the old server is set aside.", job_name(job)));
    backend->ops->set_aside(backend, old_id(job), job_get(job, "keep"), job_done, job_hold(job));
}

static void taken_back(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    engine_look(job_manage(job)->engine);
    if (error)
        job_fail(job, g_error_copy(error));
    else
        job_undone(job);
}

static void aside_undo(Job *job)
{
    Backend *backend = old_home(job);
    if (backend)
        backend->ops->take_back(backend, old_id(job), job_get(job, "keep"), taken_back, job_hold(job));
}

/* ---- the new server */

/* Settings, owner and history belong to an id. Before the engine sees the new server, which is when it reads them. */
static gboolean move_things(Job *job, const char *from, const char *to, GError **error)
{
    Store *store = job_manage(job)->store;
    return !store || store_move_server(store, from, to, job_name(job), NULL, error);
}

static void hand_over_begin(Job *job)
{
    GError *error = NULL;
    if (move_things(job, old_id(job), new_id(job), &error)) {
        job_set_server(job, new_id(job)); /* whose owner may look on */
        job_next(job);
    } else {
        job_fail(job, error);
    }
}

static void hand_over_undo(Job *job)
{
    GError *error = NULL;
    if (move_things(job, new_id(job), old_id(job), &error)) {
        job_set_server(job, old_id(job));
        job_undone(job);
    } else {
        job_fail(job, error);
    }
}

static void define_begin(Job *job)
{
    Backend *backend = new_home(job);
    g_autoptr(Image) image = backend ? image_of(job) : NULL;
    if (!image)
        return;
    BackendSpec spec = {.name = job_name(job),
                        .id = new_id(job),
                        .memory_bytes = job_get_bytes(job, "memory_bytes"),
                        .ballooning = job_get(job, "ballooning_off") ? BALLOONING_OFF : BALLOONING_ON,
                        .kernel = image->kernel,
                        .initramfs = image->initramfs,
                        .command_line = image->command_line,
                        .disk = job_get(job, "disk"),
                        .disk_format = image->format,
                        .network = image->network};
    job_text(job, g_strdup_printf("%s: the new server is made.", job_name(job)));
    backend->ops->create(backend, &spec, job_done, job_hold(job));
}

static void define_undo(Job *job)
{
    Backend *backend = new_home(job);
    if (backend)
        backend->ops->remove(backend, new_id(job), job_undo_done, job_hold(job));
}

static void start_begin(Job *job)
{
    Backend *backend = new_home(job);
    if (!backend || !job_room(job))
        return;
    job_set(job, "begun", "yes");
    job_text(job, g_strdup_printf("%s: the new server starts.", job_name(job)));
    backend->ops->start(backend, new_id(job), job_done, job_hold(job));
}

/* A daemon that goes on here makes the room again. */
static void start_poll(Job *job)
{
    if (!job_get(job, "begun"))
        start_begin(job);
}

static void start_undo(Job *job)
{
    Backend *backend = new_home(job);
    if (backend)
        backend->ops->stop(backend, new_id(job), job_undo_done, job_hold(job));
}

static void verify_begin(Job *job)
{
    engine_look(job_manage(job)->engine);
}

static void verify_poll(Job *job)
{
    const Tracked *tracked = job_server(job);
    if (tracked && tracked_counts(tracked))
        job_next(job);
}

/* ---- the recipes */

static void reinstall_ended(Job *job, gboolean done)
{
    job_room_ended(job);
}

static char *reinstall_text(Job *job)
{
    return g_strdup_printf(
        "%s: was reinstalled from %s and is running. The old server is kept, switched off; "
        "`aerostat purge %s --confirm %s` removes it for good.",
        job_name(job), job_get(job, "image"), job_name(job), job_name(job));
}

static const JobStep reinstall_steps[] = {
    JOB_ROOM_STEP,
    {.name = "disk", .progress_permille = 50, .begin = disk_begin, .undo = disk_undo, .deadline_us = COPY_US},
    {.name = "shutdown",
     .progress_permille = 400,
     .begin = shutdown_begin,
     .poll = shutdown_poll,
     .undo = shutdown_undo},
    {.name = "stop",
     .progress_permille = 500,
     .begin = stop_begin,
     .poll = stop_poll,
     .deadline_us = CALL_US},
    {.name = "set-aside",
     .progress_permille = 550,
     .begin = aside_begin,
     .undo = aside_undo,
     .deadline_us = CALL_US,
     .unseen = TRUE},
    {.name = "hand-over",
     .progress_permille = 600,
     .begin = hand_over_begin,
     .undo = hand_over_undo,
     .unseen = TRUE},
    {.name = "define",
     .progress_permille = 650,
     .begin = define_begin,
     .undo = define_undo,
     .deadline_us = CALL_US,
     .unseen = TRUE},
    {.name = "new-room",
     .progress_permille = 700,
     .begin = job_room_begin,
     .poll = job_room_poll,
     .expired = job_room_expired,
     .deadline_us = JOB_ROOM_US},
    {.name = "start",
     .progress_permille = 800,
     .begin = start_begin,
     .poll = start_poll,
     .undo = start_undo,
     .deadline_us = CALL_US},
    {.name = "verify",
     .progress_permille = 900,
     .begin = verify_begin,
     .poll = verify_poll,
     .deadline_us = SEEN_US},
};
/* From "hand-over" on a new daemon finishes it: the old server is aside. */
static const JobRecipe reinstall_recipe = {"reinstall", reinstall_steps, G_N_ELEMENTS(reinstall_steps),
                                           5,           reinstall_text,  reinstall_ended};

static void purge_begin(Job *job)
{
    Backend *backend = old_home(job);
    if (!backend)
        return;
    job_text(job, g_strdup_printf("%s: what was set aside is being removed.", job_name(job)));
    backend->ops->purge(backend, old_id(job), job_get(job, "keep"), job_done, job_hold(job));
}

static char *purge_text(Job *job)
{
    return g_strdup_printf("%s: what was set aside at its reinstallation is gone for good.", job_name(job));
}

static const JobStep purge_steps[] = {{.name = "purge", .begin = purge_begin, .deadline_us = PURGE_US}};
static const JobRecipe purge_recipe = {"purge", purge_steps, G_N_ELEMENTS(purge_steps), 0, purge_text, NULL};

void reinstall_register(Manage *manage)
{
    manage_add_recipe(manage, &reinstall_recipe);
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
    g_autoptr(GPtrArray) operations = manage_operations(manage, name, NULL);
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

static gboolean check_confirm(const char *name, const char *confirm, const char *what, GError **error)
{
    if (confirm && g_str_equal(confirm, name))
        return TRUE;
    g_autofree char *shown = error_printable(confirm ? confirm : "", -1, 80);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "server %s: %s must be confirmed by its name: \"%s\", not \"%s\"; nothing was changed", name,
                what, name, shown);
    return FALSE;
}

static gboolean conflict(const char *name, const char *why, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT, "server %s: %s", name, why);
    return FALSE;
}

static gboolean check_state(Manage *manage, const Tracked *tracked, GError **error)
{
    const BackendServer *latest = tracked->latest;
    const BackendOps *ops = tracked->backend->ops;
    g_autoptr(Operation) aside = manage_aside(manage, latest->name);
    if (!ops->set_aside || !ops->take_back || !ops->shutdown || !ops->stop || !ops->start)
        return conflict(latest->name, "its hypervisor offers no such thing", error);
    if (latest->power == POWER_MIGRATING)
        return conflict(latest->name, "it is being migrated, saved or copied; wait until that is over",
                        error);
    if (!latest->persistent)
        return conflict(latest->name, "it is transient: once stopped, nobody could start it again", error);
    if (!aside)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                "server %s: the server that it was before its last reinstallation is still kept; "
                "`aerostat purge %s --confirm %s` removes that",
                latest->name, latest->name, latest->name);
    return FALSE;
}

static uint64_t whole_mib(uint64_t bytes)
{
    return (bytes + MIB - 1) / MIB * MIB;
}

static gboolean take_memory(const Tracked *tracked, const Image *image, uint64_t *bytes, GError **error)
{
    const BackendServer *latest = tracked->latest;
    g_autofree char *minimum = size_format(image->minimum_bytes);
    if (*bytes == 0 && latest->unlimited) {
        g_set_error(
            error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
            "server %s: it has no memory limit that the new server could have as well; say how much it gets "
            "(--memory)",
            latest->name);
        return FALSE;
    }
    *bytes = whole_mib(*bytes ? MIN(*bytes, SIZE_MAX_BYTES) : latest->maximum_bytes);
    if (*bytes >= image->minimum_bytes)
        return TRUE;
    g_autofree char *wrong = size_format(*bytes);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "server %s: a memory of %s does not do; image %s needs at least %s", latest->name, wrong,
                image->name, minimum);
    return FALSE;
}

/* Room for the new one in place of the old, its QEMU included, which a container has not: before anything stops. */
static gboolean check_room(Manage *manage, Tracked *tracked, uint64_t bytes, GError **error)
{
    const Reservation *room = engine_keep_room(manage->engine, tracked, NULL, bytes, TRUE, SECOND_US, error);
    if (!room) {
        g_prefix_error(error, "server %s: ", tracked->latest->name);
        return FALSE;
    }
    engine_give_up_room(manage->engine, room->id);
    return TRUE;
}

static json_t *data_for(Manage *manage, const Tracked *tracked, const Image *image, uint64_t bytes)
{
    const BackendServer *latest = tracked->latest;
    g_autofree char *id = g_uuid_string_random();
    g_autofree char *keep = g_strdup_printf("%s.aside-%.8s", latest->name, id);
    g_autofree char *disk = disk_path(manage, image, latest->name, id);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s*, s:s*, s:s*}", "image", image->name, "id", id,
                     "old_id", latest->id, "backend", tracked->backend->ops->name, "keep", keep,
                     "memory_bytes", (json_int_t)bytes, "disk", disk, "ran",
                     tracked_counts(tracked) ? "yes" : NULL, "ballooning_off",
                     tracked->settings.ballooning_disabled ? "yes" : NULL);
}

const Operation *manage_reinstall(Manage *manage, Tracked *tracked, const ManageReinstall *reinstall,
                                  const ManageCaller *caller, GError **error)
{
    const BackendServer *latest = tracked->latest;
    uint64_t bytes = reinstall->memory_bytes;
    if (!check_confirm(latest->name, reinstall->confirm, "the reinstallation", error) ||
        !manage_check_free(manage, latest->id, latest->name, error) || !check_state(manage, tracked, error))
        return NULL;
    g_autoptr(Image) image = image_folder_find(manage->images, reinstall->image, error);
    if (!image || !take_memory(tracked, image, &bytes, error) || !disk_check(manage, image, error))
        return NULL;
    if (!maker(manage->engine)) {
        g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                    "no hypervisor that makes servers answers; is libvirtd running?");
        return NULL;
    }
    if (!check_room(manage, tracked, bytes, error))
        return NULL;
    Job *job = job_begin(manage, &reinstall_recipe, latest->id, latest->name,
                         data_for(manage, tracked, image, bytes), caller, error);
    return job ? job_operation(job) : NULL;
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
    if (!check_confirm(name, confirm, "removing what was set aside", error))
        return NULL;
    Job *job =
        job_begin(manage, &purge_recipe, aside->server_id, name, g_steal_pointer(&data), caller, error);
    return job ? job_operation(job) : NULL;
}
