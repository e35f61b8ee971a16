/* Runs the steps of one operation, forwards and back, and writes each down before it is begun. */
#include <string.h>
#include "base/error.h"
#include "base/json.h"
#include "manage/manage_private.h"

/* In the data: it is being taken back, and why; in which boot of the host it was begun. */
#define UNDOING "undoing"
#define BOOT    "boot"
/* Between two tries, and for how long an undo is tried: a libvirtd that is upgraded is away for seconds, a broken one for
 * as long as somebody takes to look. */
#define AGAIN_US G_USEC_PER_SEC
#define UNDO_US  (INT64_C(600) * G_USEC_PER_SEC)

struct Job {
    Manage *manage;
    const JobRecipe *recipe;
    Operation *operation;
    json_t *data;
    guint step;
    gboolean undoing;
    gboolean resumed;
    gboolean ended;
    int64_t step_began_us;
    const char *doubted; /* (nullable) static: in the data until the undo under way has succeeded */
    int64_t again_us;    /* when the step, or its undo, is begun once more; 0: it is under way */
    guint serial;        /* of the step: an answer to another one says nothing */
    GString *told;
    guint64 room; /* what the engine keeps for it; 0: nothing. Not written down: a new daemon asks anew. */
};

typedef struct {
    Alive *alive;
    int64_t id;
    guint serial;
} Held;

/* ---- what the steps may ask */

Manage *job_manage(const Job *job)
{
    return job->manage;
}

const Operation *job_operation(const Job *job)
{
    return job->operation;
}

const char *job_name(const Job *job)
{
    return job->operation->name;
}

Tracked *job_server(const Job *job)
{
    return manage_by_id(job->manage, job->operation->server_id);
}

void job_set_server(Job *job, const char *server_id)
{
    g_free(job->operation->server_id);
    job->operation->server_id = g_strdup(server_id);
}

int64_t job_step_us(const Job *job)
{
    return g_get_monotonic_time() - job->step_began_us;
}

const char *job_get(const Job *job, const char *key)
{
    return json_string_value(json_object_get(job->data, key));
}

uint64_t job_get_bytes(const Job *job, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(job->data, key));
    return value < 0 ? 0 : (uint64_t)value;
}

void job_set(Job *job, const char *key, const char *value)
{
    g_autofree char *valid = value ? g_utf8_make_valid(value, -1) : NULL;
    if (valid)
        json_object_set_new(job->data, key, json_string(valid));
    else
        json_object_del(job->data, key);
}

void job_set_bytes(Job *job, const char *key, uint64_t value)
{
    json_object_set_new(job->data, key, json_bytes(value));
}

guint64 *job_room_slot(Job *job)
{
    return &job->room;
}

/* ---- writing down and telling */

gboolean job_save(Job *job, GError **error)
{
    Operation *operation = job->operation;
    g_free(operation->data);
    operation->data = json_dumps(job->data, JSON_COMPACT);
    return !job->manage->store || store_operation_update(job->manage->store, operation, NULL, error);
}

void job_text(Job *job, char *text)
{
    g_free(job->operation->text);
    job->operation->text = text;
    manage_tell(job->manage, job->operation);
}

void job_tell(Job *job, char *text)
{
    g_string_append_printf(job->told, " %s", text);
    g_free(text);
}

void job_progress(Job *job, guint permille)
{
    if (permille <= job->operation->progress_permille || permille > 1000)
        return;
    job->operation->progress_permille = permille;
    manage_tell(job->manage, job->operation);
}

/* The last word: into the store, the journal and to whoever listens. */
static void end(Job *job, gboolean done)
{
    Operation *operation = job->operation;
    g_autoptr(GError) error = NULL;
    g_autofree char *text =
        done ? job->recipe->done_text(job)
             : g_strdup_printf("%s: %s failed: %s", operation->name, operation->kind, operation->error);
    gboolean stop = job->told->len > 0 && !g_str_has_suffix(text, ".");
    g_autofree char *whole = g_strconcat(text, stop ? "." : "", job->told->str, NULL);
    job->ended = TRUE;
    job->serial++;
    operation->state = (g_free(operation->state), g_strdup(done ? "done" : "failed"));
    operation->progress_permille = done ? 1000 : operation->progress_permille;
    operation->text = (g_free(operation->text), g_strdup(whole));
    if (!job_save(job, &error)) {
        g_warning("operation %" G_GINT64_FORMAT " has ended, but that cannot be written down yet: %s",
                  operation->id, error->message);
        manage_save_later(job->manage, operation);
    }
    engine_note(job->manage->engine, whole);
    job_room_ended(job);
    manage_tell(job->manage, operation);
    manage_job_ended(job->manage, job);
}

/* ---- forwards */

/* Not before it is written down, so that a daemon that goes on knows what may have been done. */
static void enter_step(Job *job)
{
    const JobStep *step = &job->recipe->steps[job->step];
    g_autoptr(GError) error = NULL;
    job->serial++;
    job->operation->step = (g_free(job->operation->step), g_strdup(step->name));
    job->operation->progress_permille = MAX(job->operation->progress_permille, step->progress_permille);
    gboolean saved = job_save(job, &error);
    /* Past the point of return a server that is back matters more than a record of it. */
    if (!saved && job->step < job->recipe->finish_from) {
        job_fail(job, g_steal_pointer(&error));
        return;
    }
    if (!saved)
        job_tell(job, g_strdup_printf("(It could not be written down: %s)", error->message));
    manage_tell(job->manage, job->operation);
    step->begin(job);
}

static void begin_step(Job *job)
{
    job->step_began_us = g_get_monotonic_time();
    enter_step(job);
}

static void go_to(Job *job, guint step)
{
    job->step = step;
    if (step < job->recipe->n_steps)
        begin_step(job);
    else
        end(job, TRUE);
}

void job_next(Job *job)
{
    g_return_if_fail(!job->undoing && !job->ended);
    go_to(job, job->step + 1);
}

void job_skip_to(Job *job, const char *name)
{
    for (guint i = job->step + 1; i < job->recipe->n_steps; i++)
        if (g_str_equal(job->recipe->steps[i].name, name)) {
            go_to(job, i);
            return;
        }
    g_return_if_reached();
}

/* ---- back */

static void undo_step(Job *job)
{
    g_autoptr(GError) error = NULL;
    const JobStep *step = &job->recipe->steps[job->step];
    job->serial++;
    job->doubted = NULL;
    job->step_began_us = g_get_monotonic_time();
    job->operation->step = (g_free(job->operation->step), g_strdup(step->name));
    if (!job_save(job, &error))
        g_warning("operation %" G_GINT64_FORMAT " cannot be written down: %s", job->operation->id,
                  error->message);
    if (step->undo)
        step->undo(job);
    else
        job_undone(job);
}

void job_undone(Job *job)
{
    g_return_if_fail(job->undoing && !job->ended);
    if (job->step == 0) {
        end(job, FALSE);
        return;
    }
    job->step--;
    undo_step(job);
}

/* What passes by itself. What is being taken back matters enough to wait for more. */
static gboolean may_pass(const Job *job, const GError *error)
{
    if (error->domain != AEROSTAT_ERROR)
        return FALSE;
    return error->code == AEROSTAT_ERROR_UNAVAILABLE ||
           (job->undoing && (error->code == AEROSTAT_ERROR_TIMEOUT || error->code == AEROSTAT_ERROR_NO_ROOM));
}

/* A hypervisor that is away, while it is being restarted for one, comes back within seconds: what it was to do is asked
 * again, forwards as long as the step may take. What is being taken back is waited for longer. */
static gboolean tried_again(Job *job, const GError *error)
{
    const JobStep *step = &job->recipe->steps[job->step];
    int64_t now_us = g_get_monotonic_time(), limit_us = job->undoing ? UNDO_US : step->deadline_us;
    if (!may_pass(job, error) || now_us - job->step_began_us >= limit_us)
        return FALSE;
    job->serial++;
    job->again_us = now_us + AGAIN_US;
    job_text(job, g_strdup_printf("%s: %s; it is tried again.", job_name(job), error->message));
    return TRUE;
}

void job_fail(Job *job, GError *error)
{
    g_return_if_fail(!job->ended);
    if (tried_again(job, error)) {
        g_error_free(error);
        return;
    }
    if (!job->undoing) {
        job->undoing = TRUE;
        job->operation->error = (g_free(job->operation->error), g_strdup(error->message));
        job_set(job, UNDOING, error->message);
        undo_step(job);
    } else {
        /* What cannot be taken back stays, and is told. */
        job_tell(job, g_strdup_printf("(Taking it back: %s)", error->message));
        job_undone(job);
    }
    g_error_free(error);
}

/* ---- answers */

gboolean job_is_resumed(const Job *job)
{
    return job->resumed;
}

gpointer job_hold(Job *job)
{
    Held *held = g_new0(Held, 1);
    held->alive = manage_alive(job->manage);
    held->id = job->operation->id;
    held->serial = job->serial;
    return held;
}

Job *job_held(gpointer data)
{
    Held *held = data;
    Manage *manage = held->alive->manage;
    Job *found = NULL;
    for (guint i = 0; manage && i < manage->jobs->len; i++) {
        Job *job = manage->jobs->pdata[i];
        if (job->operation->id == held->id && job->serial == held->serial && !job->ended)
            found = job;
    }
    alive_unref(held->alive);
    g_free(held);
    return found;
}

void job_done(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    engine_look(job->manage->engine);
    if (error)
        job_fail(job, g_error_copy(error));
    else
        job_next(job);
}

void job_doubt(Job *job, const char *key)
{
    job->doubted = key;
    job_set(job, key, "yes");
}

void job_undo_done(Backend *backend, const char *id, const GError *error, gpointer user_data)
{
    Job *job = job_held(user_data);
    if (!job)
        return;
    engine_look(job->manage->engine);
    if (error) {
        job_fail(job, g_error_copy(error));
        return;
    }
    if (job->doubted)
        job_set(job, job->doubted, NULL);
    job_undone(job);
}

static void tick_back(Job *job, const JobStep *step, int64_t now_us)
{
    if (!step->undo_poll)
        return;
    if (now_us - job->step_began_us >= UNDO_US)
        job_fail(job, g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT, "it took more than %d s",
                                  (int)(UNDO_US / G_USEC_PER_SEC)));
    else
        step->undo_poll(job);
}

static void tick_forward(Job *job, const JobStep *step, int64_t now_us)
{
    guint serial = job->serial;
    if (step->poll)
        step->poll(job);
    if (job->serial != serial || job->ended || job->undoing)
        return;
    if (step->deadline_us == 0 || now_us - job->step_began_us < step->deadline_us)
        return;
    if (step->expired)
        step->expired(job);
    else
        job_fail(job, g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_TIMEOUT, "the step %s took more than %d s",
                                  step->name, (int)(step->deadline_us / G_USEC_PER_SEC)));
}

void job_tick(Job *job, int64_t now_us)
{
    const JobStep *step = &job->recipe->steps[job->step];
    if (job->ended)
        return;
    if (job->again_us != 0) {
        if (now_us < job->again_us)
            return;
        job->again_us = 0;
        if (job->undoing)
            step->undo(job);
        else
            enter_step(job);
    } else if (job->undoing) {
        tick_back(job, step, now_us);
    } else {
        tick_forward(job, step, now_us);
    }
}

/* ---- begin and end */

static Job *job_new(Manage *manage, const JobRecipe *recipe, Operation *operation, json_t *data)
{
    Job *job = g_new0(Job, 1);
    job->manage = manage;
    job->recipe = recipe;
    job->operation = operation;
    job->data = data ? data : json_object();
    job->told = g_string_new(NULL);
    return job;
}

void job_free(Job *job)
{
    operation_free(job->operation);
    json_decref(job->data);
    g_string_free(job->told, TRUE);
    g_free(job);
}

static gboolean is_same(const Operation *operation, const char *server_id, const char *name)
{
    return g_str_equal(operation->name, name) ||
           (server_id && g_strcmp0(operation->server_id, server_id) == 0);
}

gboolean manage_check_free(Manage *manage, const char *server_id, const char *name, GError **error)
{
    const Operation *busy = NULL;
    for (guint i = 0; i < manage->jobs->len; i++) {
        const Job *job = manage->jobs->pdata[i];
        if (is_same(job->operation, server_id, name))
            busy = job->operation;
    }
    for (guint i = 0; manage->found && i < manage->found->len; i++)
        if (is_same(manage->found->pdata[i], server_id, name))
            busy = manage->found->pdata[i];
    if (!busy)
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_BUSY,
                "server %s: a %s is under way (operation %" G_GINT64_FORMAT
                ", by %s); wait until it has ended",
                name, busy->kind, busy->id, busy->who);
    return FALSE;
}

Job *job_begin(Manage *manage, const JobRecipe *recipe, const char *server_id, const char *name, json_t *data,
               const ManageCaller *caller, GError **error)
{
    g_autoptr(json_t) own = data ? data : json_object();
    if (manage->boot_id)
        json_object_set_new(own, BOOT, json_string(manage->boot_id));
    if (!manage_check_free(manage, server_id, name, error))
        return NULL;
    g_autoptr(Operation) operation = g_new0(Operation, 1);
    operation->kind = g_strdup(recipe->kind);
    operation->name = g_strdup(name);
    operation->server_id = g_strdup(server_id);
    operation->state = g_strdup("running");
    operation->step = g_strdup(recipe->steps[0].name);
    operation->text = g_strdup_printf("%s: %s begins.", name, recipe->kind);
    operation->who = g_strdup(caller->who);
    operation->from = g_strdup(caller->from);
    operation->started_us = operation->changed_us = g_get_real_time();
    operation->data = json_dumps(own, JSON_COMPACT);
    AuditEntry audit = {.who = caller->who,
                        .from = caller->from,
                        .action = recipe->kind,
                        .name = name,
                        .server_id = server_id,
                        .after = operation->data};
    if (!manage->store)
        operation->id = ++manage->last_id;
    else if (!store_operation_add(manage->store, operation, &audit, error))
        return NULL;
    Job *job = job_new(manage, recipe, g_steal_pointer(&operation), g_steal_pointer(&own));
    g_ptr_array_add(manage->jobs, job);
    manage_job_began(manage);
    begin_step(job);
    return job;
}

static const JobRecipe *recipe_of(Manage *manage, const char *kind)
{
    for (guint i = 0; i < manage->recipes->len; i++) {
        const JobRecipe *recipe = manage->recipes->pdata[i];
        if (g_str_equal(recipe->kind, kind))
            return recipe;
    }
    return NULL;
}

static void give_up(Manage *manage, Operation *operation)
{
    g_autoptr(GError) error = NULL;
    operation->state = (g_free(operation->state), g_strdup("failed"));
    operation->error = (g_free(operation->error), g_strdup("this daemon does not know how to go on with it"));
    if (!store_operation_update(manage->store, operation, NULL, &error))
        g_warning("operation %" G_GINT64_FORMAT ": %s", operation->id, error->message);
    operation_free(operation);
}

/* The step from which to go on when the host was booted after the operation began; n_steps: nothing is left to do. */
static guint after_boot(const Job *job)
{
    const JobRecipe *recipe = job->recipe;
    const char *boot = job_get(job, BOOT);
    guint step = 0;
    if (!recipe->after_boot || !boot || !job->manage->boot_id || g_str_equal(boot, job->manage->boot_id))
        return 0;
    while (step < recipe->n_steps && !g_str_equal(recipe->steps[step].name, recipe->after_boot))
        step++;
    return step;
}

/* What was stopped, or half stopped, by the host's own end is not stopped once more. */
static gboolean is_over(Job *job)
{
    guint step = after_boot(job);
    if (step == job->recipe->n_steps) {
        job->operation->error =
            (g_free(job->operation->error), g_strdup("the host was booted meanwhile; nothing more was done"));
        end(job, FALSE);
        return TRUE;
    }
    job->step = MAX(job->step, step);
    return FALSE;
}

static void take_up(Job *job)
{
    const char *reason = job_get(job, UNDOING);
    g_autofree char *step = g_strdup(job->operation->step);
    if (!reason && job->step >= job->recipe->finish_from && is_over(job))
        return;
    if (reason || job->step < job->recipe->finish_from) {
        job->undoing = TRUE;
        if (!job->operation->error)
            job->operation->error =
                g_strdup(reason ? reason : "the daemon was stopped before anything was changed");
        job_tell(job, g_strdup_printf("The daemon was stopped in the step %s; the operation was taken back.",
                                      step));
        job_set(job, UNDOING, job->operation->error);
        undo_step(job);
        return;
    }
    job_tell(job, g_strdup_printf("The daemon was stopped in the step %s; the next one finished it.", step));
    begin_step(job);
}

gboolean job_is_unseen(Manage *manage, const Operation *operation)
{
    const JobRecipe *recipe = recipe_of(manage, operation->kind);
    for (guint i = 0; recipe && i < recipe->n_steps; i++)
        if (g_str_equal(recipe->steps[i].name, operation->step))
            return recipe->steps[i].unseen;
    return FALSE;
}

void job_resume(Manage *manage, Operation *operation)
{
    const JobRecipe *recipe = recipe_of(manage, operation->kind);
    guint step = 0;
    while (recipe && step < recipe->n_steps && !g_str_equal(recipe->steps[step].name, operation->step))
        step++;
    if (!recipe || step == recipe->n_steps) {
        give_up(manage, operation);
        return;
    }
    const char *text = operation->data ? operation->data : "{}";
    Job *job = job_new(manage, recipe, operation, json_parse_object(text, strlen(text), NULL));
    job->step = step;
    job->resumed = TRUE;
    g_ptr_array_add(manage->jobs, job);
    take_up(job);
}
