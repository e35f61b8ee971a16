/* Start, shutdown, restart, stop. */
#include <string.h>
#include "base/error.h"
#include "engine/ballooning.h"
#include "engine/reservation.h"
#include "manage/manage_private.h"

#define SECOND_US          ((int64_t)G_USEC_PER_SEC)
#define PATIENCE_DEFAULT_S 60
#define PATIENCE_MAX_S     3600
/* Some guests hear their power button only once they are up: it is pressed again; sooner where the press itself failed. */
#define PRESS_AGAIN_US  (10 * SECOND_US)
#define PRESS_FAILED_US SECOND_US
/* The engine looks once a second; a busy host takes a few. */
#define SEEN_US (30 * SECOND_US)
/* A guest that was told to end, and has not yet when nobody wants it any more, may still do so for as long. */
#define LATE_US (30 * SECOND_US)
/* Beyond the backend's own deadlines, for an answer that is lost. */
#define CALL_US (240 * SECOND_US)

static const char *const action_names[ACTIONS] = {
    [ACTION_START] = "start",
    [ACTION_SHUTDOWN] = "shutdown",
    [ACTION_RESTART] = "restart",
    [ACTION_STOP] = "stop",
};

gboolean power_action_from_name(const char *name, PowerAction *ret)
{
    for (guint i = 0; i < ACTIONS; i++)
        if (g_strcmp0(action_names[i], name) == 0) {
            *ret = (PowerAction)i;
            return TRUE;
        }
    return FALSE;
}

/* The server, or NULL when it has gone and the job has failed for it. */
static Tracked *server_of(Job *job)
{
    Tracked *tracked = job_server(job);
    if (!tracked)
        job_fail(job,
                 g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND, "the server is not there any more"));
    return tracked;
}

static const BackendOps *ops_of(const Tracked *tracked)
{
    return tracked->backend->ops;
}

static gboolean is_off(const Tracked *tracked)
{
    return tracked->latest->power == POWER_OFF;
}

/* ---- shutdown and stop */

static int64_t patience_us(const Job *job)
{
    return (int64_t)job_get_bytes(job, "patience_s") * SECOND_US;
}

/* A transient server is gone once it is off. Where nobody can be asked it may just not have been seen yet. */
static gboolean is_gone(Job *job)
{
    EngineState state = engine_host(job_manage(job)->engine)->state;
    gboolean can_tell = state != ENGINE_STARTING && state != ENGINE_DISCONNECTED;
    return can_tell && !job_server(job) && !g_str_equal(job_operation(job)->kind, "restart");
}

/* What a failed press says nothing about the guest: the next look, or the next press, will tell. */
static gboolean tells_nothing(const Job *job, const GError *error)
{
    gboolean restarts = g_str_equal(job_operation(job)->kind, "restart");
    return job_get(job, "heard") || g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE) ||
           g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT) ||
           (!restarts && g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND));
}

static void pressed(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    job_set(job, "failed_press", error ? "yes" : NULL);
    if (!error) {
        g_autoptr(GError) unsaved = NULL;
        job_set(job, "heard", "yes");
        if (!job_save(job, &unsaved)) /* a daemon that goes on without knowing asks once more */
            g_debug("%s", unsaved->message);
    } else if (tells_nothing(job, error)) {
        job_text(job, g_strdup_printf("%s: %s; it is asked again.", job_name(job), error->message));
    } else if (g_str_equal(job_operation(job)->kind, "restart")) {
        job_tell(job, g_strdup_printf("It could not be asked to shut down (%s).", error->message));
        job_next(job); /* it will be stopped */
    } else {
        job_fail(job, g_error_copy(error));
    }
}

static void press(Job *job, const Tracked *tracked)
{
    job_set_bytes(job, "pressed_us", (uint64_t)MAX(0, job_step_us(job)));
    ops_of(tracked)->shutdown(tracked->backend, tracked->latest->id, pressed, job_hold(job));
}

static void shutdown_begin(Job *job)
{
    if (is_gone(job)) {
        job_next(job);
        return;
    }
    Tracked *tracked = server_of(job);
    if (!tracked)
        return;
    if (is_off(tracked)) {
        job_next(job);
        return;
    }
    job_text(job, g_strdup_printf("%s: asked to shut down; it has %" G_GINT64_FORMAT " s for that.",
                                  job_name(job), patience_us(job) / SECOND_US));
    press(job, tracked);
}

static void shutdown_poll(Job *job)
{
    if (is_gone(job)) {
        job_next(job);
        return;
    }
    Tracked *tracked = server_of(job);
    if (!tracked)
        return;
    if (is_off(tracked)) {
        job_next(job);
        return;
    }
    if (job_step_us(job) < patience_us(job)) {
        int64_t again_us = job_get(job, "failed_press") ? PRESS_FAILED_US : PRESS_AGAIN_US;
        if (job_step_us(job) - (int64_t)job_get_bytes(job, "pressed_us") >= again_us)
            press(job, tracked);
        return;
    }
    if (!job_get(job, "heard")) { /* who was never asked has not refused, and is not ended for it */
        job_fail(job, g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                                  "it could not be asked to shut down within %" G_GINT64_FORMAT
                                  " s and still runs; `aerostat stop %s` ends it at once",
                                  patience_us(job) / SECOND_US, job_name(job)));
        return;
    }
    if (g_str_equal(job_operation(job)->kind, "restart")) {
        job_tell(job, g_strdup_printf("It did not shut down within %" G_GINT64_FORMAT " s and was stopped.",
                                      patience_us(job) / SECOND_US));
        job_next(job);
        return;
    }
    job_fail(job, g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT,
                              "it did not shut down within %" G_GINT64_FORMAT
                              " s and still runs; `aerostat stop %s` ends it at once",
                              patience_us(job) / SECOND_US, job_name(job)));
}

/* Goes on when the engine has seen it off, not before: what it held is then free by the account, too. */
static void stopped(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    engine_look(job_manage(job)->engine);
    if (error && !(is_gone(job) || g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_NOT_FOUND)))
        job_fail(job, g_error_copy(error));
}

static void stop_begin(Job *job)
{
    if (is_gone(job)) {
        job_next(job);
        return;
    }
    Tracked *tracked = server_of(job);
    if (!tracked)
        return;
    if (is_off(tracked)) {
        job_next(job);
        return;
    }
    job_text(job, g_strdup_printf("%s: is being stopped.", job_name(job)));
    ops_of(tracked)->stop(tracked->backend, tracked->latest->id, stopped, job_hold(job));
}

static void stop_poll(Job *job)
{
    if (is_gone(job)) {
        job_next(job);
        return;
    }
    Tracked *tracked = server_of(job);
    if (tracked && is_off(tracked))
        job_next(job);
}

/* ---- define and start */

static const char *now_defined(const Tracked *tracked)
{
    return tracked->latest->next_start == NEXT_START_DISABLED ? "off" : "on";
}

static void define_begin(Job *job)
{
    job_set(job, "asked", NULL);
    Tracked *tracked = server_of(job);
    if (!tracked || !job_room(job))
        return; /* a daemon that goes on here has to make the room again: poll comes back */
    gboolean off = ballooning_wants_off(tracked);
    if (!job_get(job, "before"))
        job_set(job, "before", now_defined(tracked));
    job_set(job, "defined", off ? "off" : "on");
    if (!ops_of(tracked)->configure || (!off && tracked->latest->next_start != NEXT_START_DISABLED)) {
        job_set(job, "defined", job_get(job, "before"));
        job_next(job);
        return;
    }
    gboolean lock = off && !job_manage(job)->lock_refused;
    job_set(job, "locked", lock ? "tried" : NULL);
    job_set(job, "asked", "yes");
    Ballooning ballooning = off ? (lock ? BALLOONING_OFF_LOCKED : BALLOONING_OFF) : BALLOONING_ON;
    ops_of(tracked)->configure(tracked->backend, tracked->latest->id, ballooning, job_done, job_hold(job));
}

static void define_poll(Job *job)
{
    if (!job_get(job, "asked"))
        define_begin(job);
}

static void start_begin(Job *job);

static void defined_unlocked(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    if (error) {
        job_fail(job, g_error_copy(error));
        return;
    }
    job_set(job, "begun", NULL);
    start_begin(job);
}

static void started(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    Tracked *tracked = job ? server_of(job) : NULL;
    if (!tracked)
        return;
    engine_look(job_manage(job)->engine);
    if (!error) {
        if (job_get(job, "unlocked")) {
            job_manage(job)->lock_refused = TRUE;
            job_tell(job, g_strdup_printf(
                              "Its memory is resident but not locked: this host does not let it be (%s).",
                              job_get(job, "unlocked")));
        }
        job_next(job);
    } else if (job_get(job, "locked") && !g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT) &&
               !g_error_matches(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE)) {
        /* Whether the lock is to blame shows when it starts without. */
        job_set(job, "locked", NULL);
        job_set(job, "unlocked", error->message);
        ops_of(tracked)->configure(tracked->backend, tracked->latest->id, BALLOONING_OFF, defined_unlocked,
                                   job_hold(job));
    } else {
        job_fail(job, g_error_copy(error));
    }
}

static void start_begin(Job *job)
{
    job_set(job, "begun", NULL);
    Tracked *tracked = server_of(job);
    if (!tracked || !job_room(job))
        return;
    if (!is_off(tracked)) {
        job_next(job);
        return;
    }
    job_set(job, "begun", "yes");
    job_text(job, g_strdup_printf("%s: is starting.", job_name(job)));
    ops_of(tracked)->start(tracked->backend, tracked->latest->id, started, job_hold(job));
}

static void start_poll(Job *job)
{
    if (!job_get(job, "begun"))
        start_begin(job);
}

static void started_as_before(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    engine_look(job_manage(job)->engine);
    if (error) {
        job_fail(job, g_error_copy(error));
        return;
    }
    job_tell(job, g_strdup("It was started as it was before."));
    job_undone(job);
}

static void defined_as_before(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    if (error)
        job_fail(job, g_error_copy(error));
    else
        backend->ops->start(backend, id, started_as_before, job_hold(job));
}

/* Off: it starts, once there is room. One that was asked to shut down, or to stop, may yet do so: it is waited for. */
static void restart_undo_poll(Job *job)
{
    Tracked *tracked = job_server(job);
    const char *before = job_get(job, "before"), *defined = job_get(job, "defined");
    if (job_get(job, "starting"))
        return;
    if (!tracked || (!is_off(tracked) && job_step_us(job) >= LATE_US)) {
        job_undone(job);
        return;
    }
    if (!is_off(tracked) || !job_room(job))
        return;
    const BackendOps *ops = ops_of(tracked);
    job_set(job, "starting", "yes");
    if (ops->configure && before && g_strcmp0(before, defined) != 0)
        ops->configure(tracked->backend, tracked->latest->id,
                       g_str_equal(before, "off") ? BALLOONING_OFF : BALLOONING_ON, defined_as_before,
                       job_hold(job));
    else
        ops->start(tracked->backend, tracked->latest->id, started_as_before, job_hold(job));
}

/* A restart that gets no further, the last to be taken back: it runs again as it did before. */
static void restart_undo(Job *job)
{
    job_set(job, "starting", NULL);
    restart_undo_poll(job);
}

static void verify_begin(Job *job)
{
    engine_look(job_manage(job)->engine);
}

static void verify_poll(Job *job)
{
    Tracked *tracked = server_of(job);
    if (!tracked || is_off(tracked))
        return;
    BallooningStatus status = ballooning_status(tracked);
    gboolean pending = status.state == BALLOON_OFF_PENDING || status.state == BALLOON_ON_PENDING;
    /* The definition of the running machine is read a moment after its start. */
    if (pending && job_step_us(job) < SEEN_US / 3)
        return;
    if (pending || status.state == BALLOON_OFF)
        job_tell(job, g_strdup(status.sentence));
    job_next(job);
}

static void verify_expired(Job *job)
{
    job_fail(job, g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_FAILED,
                              "it was started, but does not run; look into its own log"));
}

/* ---- the recipes */

static char *text_started(Job *job)
{
    return g_strdup_printf("%s: is running.", job_name(job));
}

static char *text_restarted(Job *job)
{
    return g_strdup_printf("%s: was restarted.", job_name(job));
}

static char *text_off(Job *job)
{
    return g_strdup_printf("%s: is off.", job_name(job));
}

#define SHUTDOWN                                                                                             \
    {                                                                                                        \
        .name = "shutdown", .begin = shutdown_begin, .poll = shutdown_poll                                   \
    }
#define STOP                                                                                                 \
    {                                                                                                        \
        .name = "stop", .begin = stop_begin, .poll = stop_poll, .deadline_us = CALL_US                       \
    }
#define DEFINE                                                                                               \
    {                                                                                                        \
        .name = "define", .begin = define_begin, .poll = define_poll, .deadline_us = CALL_US                 \
    }
#define START                                                                                                \
    {                                                                                                        \
        .name = "start", .begin = start_begin, .poll = start_poll, .deadline_us = CALL_US                    \
    }
#define VERIFY                                                                                               \
    {                                                                                                        \
        .name = "verify", .begin = verify_begin, .poll = verify_poll, .expired = verify_expired,             \
        .deadline_us = SEEN_US                                                                               \
    }

static JobStep start_steps[] = {JOB_ROOM_STEP, DEFINE, START, VERIFY};
static JobStep shutdown_steps[] = {SHUTDOWN};
static JobStep stop_steps[] = {STOP};
static JobStep restart_steps[] = {
    JOB_ROOM_STEP,
    {.name = "shutdown",
     .begin = shutdown_begin,
     .poll = shutdown_poll,
     .undo = restart_undo,
     .undo_poll = restart_undo_poll},
    STOP,
    DEFINE,
    START,
    VERIFY,
};

static const JobRecipe recipes[ACTIONS] = {
    [ACTION_START] = {.kind = "start",
                      .steps = start_steps,
                      .n_steps = G_N_ELEMENTS(start_steps),
                      .finish_from = 1,
                      .done_text = text_started},
    [ACTION_SHUTDOWN] = {.kind = "shutdown",
                         .steps = shutdown_steps,
                         .n_steps = G_N_ELEMENTS(shutdown_steps),
                         .after_boot = "",
                         .done_text = text_off},
    [ACTION_RESTART] = {.kind = "restart",
                        .steps = restart_steps,
                        .n_steps = G_N_ELEMENTS(restart_steps),
                        .finish_from = 1,
                        .after_boot = "define",
                        .done_text = text_restarted},
    [ACTION_STOP] = {.kind = "stop",
                     .steps = stop_steps,
                     .n_steps = G_N_ELEMENTS(stop_steps),
                     .after_boot = "",
                     .done_text = text_off},
};

/* For people who watch: how far along each step is. */
static void spread_progress(JobStep *steps, guint n)
{
    for (guint i = 0; i < n; i++)
        steps[i].progress_permille = i * 1000 / n;
}

void power_register(Manage *manage)
{
    spread_progress(start_steps, G_N_ELEMENTS(start_steps));
    spread_progress(restart_steps, G_N_ELEMENTS(restart_steps));
    for (guint i = 0; i < ACTIONS; i++)
        manage_add_recipe(manage, &recipes[i]);
}

/* ---- what is asked */

static gboolean conflict(const Tracked *tracked, const char *why, GError **error)
{
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT, "server %s: %s", tracked->latest->name, why);
    return FALSE;
}

static gboolean can(const BackendOps *ops, PowerAction action)
{
    switch (action) {
    case ACTION_START:
        return ops->start != NULL;
    case ACTION_SHUTDOWN:
        return ops->shutdown != NULL;
    case ACTION_RESTART:
        return ops->start && ops->stop && ops->shutdown;
    case ACTION_STOP:
        return ops->stop != NULL;
    case ACTIONS:
        break;
    }
    return FALSE;
}

static gboolean check_state(const Tracked *tracked, PowerAction action, GError **error)
{
    const BackendServer *latest = tracked->latest;
    if (!can(ops_of(tracked), action))
        return conflict(tracked, "its hypervisor offers no such thing", error);
    if (latest->power == POWER_MIGRATING)
        return conflict(tracked, "it is being migrated, saved or copied; wait until that is over", error);
    if (action == ACTION_START && !is_off(tracked))
        return conflict(tracked, "it runs already", error);
    if (action == ACTION_RESTART && is_off(tracked))
        return conflict(tracked, "it is off; start it", error);
    if (action == ACTION_SHUTDOWN && latest->power == POWER_PAUSED)
        return conflict(tracked, "it is paused and cannot hear; resume it, or stop it", error);
    if (action == ACTION_RESTART && latest->kind == SERVER_KIND_KVM && !latest->persistent)
        return conflict(tracked, "it is transient: once stopped, nobody could start it again", error);
    return TRUE;
}

/* Refused here and now, before there is any operation: what cannot work out in the end. */
static gboolean check_room(Manage *manage, const Tracked *tracked, GError **error)
{
    const Reservation *room =
        engine_keep_room(manage->engine, tracked, NULL, tracked->latest->maximum_bytes,
                         tracked->latest->kind == SERVER_KIND_KVM, G_USEC_PER_SEC, error);
    if (!room) {
        g_prefix_error(error, "server %s: ", tracked->latest->name);
        return FALSE;
    }
    engine_give_up_room(manage->engine, room->id);
    return TRUE;
}

static gboolean check_patience(unsigned *patience_s, GError **error)
{
    if (*patience_s == 0)
        *patience_s = PATIENCE_DEFAULT_S;
    if (*patience_s <= PATIENCE_MAX_S)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "a guest may be given 1 to %d s to shut down, not %u", PATIENCE_MAX_S, *patience_s);
    return FALSE;
}

const Operation *manage_power(Manage *manage, Tracked *tracked, PowerAction action, unsigned patience_s,
                              const ManageCaller *caller, GError **error)
{
    const BackendServer *latest = tracked->latest;
    gboolean starts = action == ACTION_START || action == ACTION_RESTART;
    g_return_val_if_fail(action < ACTIONS, NULL);
    if (!manage_check_free(manage, latest->id, latest->name, error) || !check_patience(&patience_s, error) ||
        !check_state(tracked, action, error) || (starts && !check_room(manage, tracked, error)))
        return NULL;
    json_t *data = json_object();
    json_object_set_new(data, "memory_bytes", json_integer((json_int_t)latest->maximum_bytes));
    json_object_set_new(data, "patience_s", json_integer(patience_s));
    if (latest->kind == SERVER_KIND_LXC)
        json_object_set_new(data, "container", json_string("yes"));
    Job *job = job_begin(manage, &recipes[action], latest->id, latest->name, data, caller, error);
    return job ? job_operation(job) : NULL;
}
