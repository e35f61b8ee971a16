/* A server made anew, and the old one kept until it is purged. */
#include "manage/reinstall.h"
#include "base/error.h"
#include "base/size.h"
#include "engine/ballooning.h"
#include "engine/reservation.h"
#include "manage/aside.h"
#include "manage/disk.h"
#include "manage/making.h"
#include "manage/manage_private.h"
#include "store/accounts.h"

/* What it holds is not needed any more; still, it may finish what it is writing. */
#define PATIENCE_US (30 * MAKING_SECOND_US)

/* ---- the old server stops */

static gboolean is_off(const Tracked *tracked)
{
    return tracked->latest->power == POWER_OFF;
}

/* Whatever becomes of the word: when the time is over it is stopped. Where nobody can be asked just now it has that time, too. */
static void pressed(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (job && error && !g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE) &&
        !g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT))
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
    old->backend->ops->shutdown(old->backend, aside_id(job), pressed, job_hold(job));
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

/* Off, or not seen: it starts, once there is room. One that was asked to shut down may yet do so: it is waited for. */
static void shutdown_undo_poll(Job *job)
{
    const Tracked *old = job_server(job);
    if (job_get(job, "starting"))
        return;
    if (old && !is_off(old)) {
        if (job_step_us(job) < PATIENCE_US)
            return;
        job_tell(job, g_strdup("The old server runs as before."));
        job_undone(job);
        return;
    }
    Backend *backend = job_room(job) ? aside_home(job) : NULL;
    if (!backend)
        return;
    job_set(job, "starting", "yes");
    backend->ops->start(backend, aside_id(job), runs_again, job_hold(job));
}

/* The first of the two steps that stop it, so the last to be taken back: it runs if it ran. */
static void shutdown_undo(Job *job)
{
    job_set(job, "starting", NULL);
    if (aside_is_stuck(job)) {
        job_tell(job, g_strdup_printf("The old server is off, and is still called %s by its hypervisor.",
                                      job_get(job, "keep")));
        job_undone(job);
    } else if (job_get(job, "ran") && making_may_run(job)) {
        job_tell(job,
                 g_strdup("The old server is back, but off: the new one could not be stopped and may run."));
        job_undone(job);
    } else if (job_get(job, "ran")) {
        shutdown_undo_poll(job);
    } else {
        job_undone(job);
    }
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
    old->backend->ops->stop(old->backend, aside_id(job), stopped, job_hold(job));
}

/* Goes on when the engine has seen it off: what it held is free by the account, too. */
static void stop_poll(Job *job)
{
    const Tracked *old = job_server(job);
    if (!old || is_off(old))
        job_next(job);
}

/* ---- what belongs to it */

/* Settings, owner and history belong to an id. Before the engine sees the new server, which is when it reads them. */
static gboolean move_things(Job *job, const char *from, const char *to, GError **error)
{
    Store *store = job_manage(job)->store;
    return !store || store_move_server(store, from, to, job_name(job), NULL, error);
}

static void hand_over_begin(Job *job)
{
    GError *error = NULL;
    if (move_things(job, aside_id(job), job_get(job, "id"), &error)) {
        job_set_server(job, job_get(job, "id")); /* whose owner may look on */
        job_next(job);
    } else {
        job_fail(job, error);
    }
}

static gboolean handed_back(Job *job, GError **error)
{
    if (!move_things(job, job_get(job, "id"), aside_id(job), error))
        return FALSE;
    job_set_server(job, aside_id(job));
    job_set(job, "handed_over", NULL);
    return TRUE;
}

/* A store that cannot be written is no reason to leave the old server off: the first step, undone last, tries once more,
 * with the new disk gone, which may be what fills the file system. */
static void hand_over_undo(Job *job)
{
    g_autoptr(GError) error = NULL;
    job_set(job, "handed_over", "yes");
    if (!handed_back(job, &error))
        g_warning("%s: its settings and owner cannot be handed back yet: %s", job_name(job), error->message);
    job_undone(job);
}

static void room_undo(Job *job)
{
    GError *error = NULL;
    if (job_get(job, "handed_over") && !handed_back(job, &error)) {
        GError *again = g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                                    "its settings and owner cannot be handed back: %s", error->message);
        g_error_free(error);
        job_fail(job, again);
        return;
    }
    job_undone(job);
}

/* ---- the recipes */

static char *reinstall_text(Job *job)
{
    return g_strdup_printf(
        "%s: was reinstalled from %s and is running. The old server is kept, switched off; "
        "`aerostat purge %s --confirm %s` removes it for good.",
        job_name(job), job_get(job, "image"), job_name(job), job_name(job));
}

static const JobStep reinstall_steps[] = {
    {.name = "room",
     .begin = job_room_begin,
     .poll = job_room_poll,
     .expired = job_room_expired,
     .undo = room_undo,
     .deadline_us = JOB_ROOM_US},
    MAKING_DISK_STEP(50),
    {.name = "shutdown",
     .progress_permille = 400,
     .begin = shutdown_begin,
     .poll = shutdown_poll,
     .undo = shutdown_undo,
     .undo_poll = shutdown_undo_poll},
    {.name = "stop",
     .progress_permille = 500,
     .begin = stop_begin,
     .poll = stop_poll,
     .deadline_us = MAKING_CALL_US},
    {.name = "set-aside",
     .progress_permille = 550,
     .begin = aside_begin,
     .undo = aside_undo,
     .deadline_us = MAKING_CALL_US,
     .unseen = TRUE},
    {.name = "hand-over",
     .progress_permille = 600,
     .begin = hand_over_begin,
     .undo = hand_over_undo,
     .unseen = TRUE},
    MAKING_DEFINE_STEP(650),
    {.name = "new-room",
     .progress_permille = 700,
     .begin = job_room_begin,
     .poll = job_room_poll,
     .expired = job_room_expired,
     .deadline_us = JOB_ROOM_US},
    MAKING_START_STEP(800),
    MAKING_VERIFY_STEP(900),
};
static const JobRecipe reinstall_recipe = {
    .kind = "reinstall",
    .steps = reinstall_steps,
    .n_steps = G_N_ELEMENTS(reinstall_steps),
    .finish_from = 5, /* from "hand-over" on a new daemon finishes it: the old server is aside */
    .done_text = reinstall_text,
};

void reinstall_register(Manage *manage)
{
    manage_add_recipe(manage, &reinstall_recipe);
}

/* ---- what is asked */

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

/* A container may be called what no virtual machine can be. One that is there has its name already. */
static gboolean check_name(Manage *manage, const Tracked *tracked, GError **error)
{
    if (tracked->latest->kind == SERVER_KIND_KVM ||
        making_check_name(manage, tracked->latest->name, tracked, error))
        return TRUE;
    g_prefix_error(error,
                   "server %s cannot be made a virtual machine under its name: ", tracked->latest->name);
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
    const Reservation *room =
        engine_keep_room(manage->engine, tracked, NULL, bytes, TRUE, MAKING_SECOND_US, error);
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
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s*, s:s*, s:s*, s:s*}", "image", image->name, "id", id,
        "old_id", latest->id, "backend", tracked->backend->ops->name, "keep", keep, "memory_bytes",
        (json_int_t)bytes, "old_memory_bytes", (json_int_t)(latest->unlimited ? 0 : latest->maximum_bytes),
        "disk", disk, "ran", tracked_counts(tracked) ? "yes" : NULL, "ballooning_off",
        tracked->settings.ballooning_disabled ? "yes" : NULL, "autostart", latest->autostart ? "yes" : NULL);
}

const Operation *manage_reinstall(Manage *manage, Tracked *tracked, const ManageReinstall *reinstall,
                                  const ManageCaller *caller, GError **error)
{
    const BackendServer *latest = tracked->latest;
    uint64_t bytes = reinstall->memory_bytes;
    if (!aside_check_confirm(latest->name, reinstall->confirm, "the reinstallation", error) ||
        !manage_check_free(manage, latest->id, latest->name, error) || !check_state(manage, tracked, error))
        return NULL;
    g_autoptr(Image) image = image_folder_find(manage->images, reinstall->image, error);
    if (!image || !take_memory(tracked, image, &bytes, error) || !disk_check(manage, image, error))
        return NULL;
    if (!making_check(manage, error) || !check_name(manage, tracked, error))
        return NULL;
    if (!check_room(manage, tracked, bytes, error))
        return NULL;
    Job *job = job_begin(manage, &reinstall_recipe, latest->id, latest->name,
                         data_for(manage, tracked, image, bytes), caller, error);
    return job ? job_operation(job) : NULL;
}
