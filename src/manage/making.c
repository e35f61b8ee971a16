/* Disk, definition and start of a new server, and their way back. */
#include "manage/making.h"
#include <fnmatch.h>
#include <string.h>
#include "base/error.h"
#include "manage/disk.h"
#include "manage/manage_private.h"

#define NAME_MAX_CHARS 64
/* In the data: its definition could not be taken back, so its disk is still somebody's. */
#define STILL_DEFINED "still_defined"
/* In the data: it could not be stopped, so it may hold what was kept for it. */
#define MAY_RUN "may_run"

Backend *making_backend(Engine *engine)
{
    for (guint i = 0; i < engine_backends(engine)->len; i++) {
        const EngineBackend *known = engine_backends(engine)->pdata[i];
        if (known->connected && known->backend->ops->create && known->backend->ops->start)
            return known->backend;
    }
    return NULL;
}

gboolean making_check(Manage *manage, GError **error)
{
    if (making_backend(manage->engine))
        return TRUE;
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE,
                "no hypervisor that makes servers answers; is libvirtd running?");
    return FALSE;
}

static gboolean check_characters(const char *name, GError **error)
{
    gsize length = strlen(name);
    if (length > 0 && length <= NAME_MAX_CHARS && g_ascii_isalnum(name[0]) &&
        strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._+-") == length)
        return TRUE;
    g_autofree char *shown = error_printable(name, -1, 80);
    g_set_error(
        error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
        "\"%s\" cannot be a server's name; use 1 to %d letters, digits, and . _ + -, beginning with a "
        "letter or digit",
        shown, NAME_MAX_CHARS);
    return FALSE;
}

gboolean making_check_name(Manage *manage, const char *name, const Tracked *same, GError **error)
{
    if (!check_characters(name, error))
        return FALSE;
    GPtrArray *servers = engine_servers(manage->engine);
    for (guint i = 0; i < servers->len; i++) {
        const Tracked *tracked = servers->pdata[i];
        if (tracked != same && g_str_equal(tracked->latest->name, name)) {
            g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_CONFLICT,
                        "there is %s server %s already; choose another name", same ? "another" : "a", name);
            return FALSE;
        }
    }
    for (guint i = 0; manage->patterns[i]; i++)
        if (fnmatch(manage->patterns[i], name, 0) == 0)
            return TRUE;
    g_autofree char *patterns = g_strjoinv(", ", manage->patterns);
    g_set_error(error, AEROSTAT_ERROR, AEROSTAT_ERROR_INVALID,
                "the daemon looks after servers named %s ([libvirt] servers), and \"%s\" is not one of them",
                patterns, name);
    return FALSE;
}

/* (nullable) the step has failed then. */
static Backend *home(Job *job)
{
    Backend *backend = making_backend(job_manage(job)->engine);
    if (!backend)
        job_fail(job,
                 g_error_new(AEROSTAT_ERROR, AEROSTAT_ERROR_UNAVAILABLE, "the hypervisor does not answer"));
    return backend;
}

/* (nullable) the step has failed then. */
static Image *image_of(Job *job)
{
    GError *error = NULL;
    Image *image = image_folder_find(job_manage(job)->images, job_get(job, "image"), &error);
    if (!image)
        job_fail(job, error);
    return image;
}

/* ---- disk */

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

void making_disk_begin(Job *job)
{
    g_autoptr(Image) image = image_of(job);
    if (!image)
        return;
    if (!job_get(job, "disk")) {
        job_next(job);
        return;
    }
    job_text(job, g_strdup_printf("%s: its disk is being copied from %s.", job_name(job), image->name));
    disk_copy(image->disk, job_get(job, "disk"), copied, job_hold(job));
}

void making_disk_undo(Job *job)
{
    g_autoptr(GError) error = NULL;
    const char *disk = job_get(job, "disk");
    /* Where disks lie is the log's to say: owners read the rest. */
    if (disk && job_get(job, STILL_DEFINED)) {
        g_message("%s: the disk %s stays, since a definition still names it", job_name(job), disk);
        job_tell(job, g_strdup("Its new disk stays, since a definition still names it."));
    } else if (disk && !disk_remove(disk, &error)) {
        g_message("%s: %s", job_name(job), error->message);
        job_tell(job, g_strdup("Its new disk could not be removed; the daemon's log says why."));
    }
    job_undone(job);
}

/* ---- definition */

void making_define_begin(Job *job)
{
    Backend *backend = home(job);
    g_autoptr(Image) image = backend ? image_of(job) : NULL;
    if (!image)
        return;
    BackendSpec spec = {.name = job_name(job),
                        .id = job_get(job, "id"),
                        .memory_bytes = job_get_bytes(job, "memory_bytes"),
                        .ballooning = job_get(job, "ballooning_off") ? BALLOONING_OFF : BALLOONING_ON,
                        .kernel = image->kernel,
                        .initramfs = image->initramfs,
                        .command_line = image->command_line,
                        .disk = job_get(job, "disk"),
                        .disk_format = image->format,
                        .network = image->network,
                        .autostart = job_get(job, "autostart") != NULL};
    job_text(job, g_strdup_printf("%s: the new server is made.", job_name(job)));
    backend->ops->create(backend, &spec, job_done, job_hold(job));
}

void making_define_undo(Job *job)
{
    job_doubt(job, STILL_DEFINED);
    Backend *backend = home(job);
    if (backend)
        backend->ops->remove(backend, job_get(job, "id"), job_undo_done, job_hold(job));
}

/* ---- start */

void making_start_begin(Job *job)
{
    job_set(job, "begun", NULL);
    Backend *backend = home(job);
    if (!backend || !job_room(job))
        return;
    job_set(job, "begun", "yes");
    job_text(job, g_strdup_printf("%s: the new server starts.", job_name(job)));
    backend->ops->start(backend, job_get(job, "id"), job_done, job_hold(job));
}

/* A daemon that goes on here makes the room again. */
void making_start_poll(Job *job)
{
    if (!job_get(job, "begun"))
        making_start_begin(job);
}

void making_start_undo(Job *job)
{
    job_doubt(job, MAY_RUN);
    Backend *backend = home(job);
    if (backend)
        backend->ops->stop(backend, job_get(job, "id"), job_undo_done, job_hold(job));
}

gboolean making_may_run(const Job *job)
{
    return job_get(job, MAY_RUN) != NULL;
}

/* It was started, or this step would not have begun. What became of it since, with another daemon or none, is its owner's
 * doing or the host's, and no reason to take it back: it may have been in use for long. */
void making_verify_begin(Job *job)
{
    engine_look(job_manage(job)->engine);
    if (job_is_resumed(job))
        job_next(job);
}

void making_verify_poll(Job *job)
{
    const Tracked *tracked = job_server(job);
    if (tracked && tracked_counts(tracked))
        job_next(job);
}
